"""Finds the methods: every module in `jamie.methods` with a ``SPEC``. Nothing is listed anywhere else."""

from __future__ import annotations

import importlib
import pkgutil

import jamie.methods
from jamie.methods.base import Spec


def specs() -> dict[str, Spec]:
    """SPEC of each method by its module's name; imports nothing heavy."""
    names = sorted(m.name for m in pkgutil.iter_modules(jamie.methods.__path__))
    modules = {name: importlib.import_module(f"jamie.methods.{name}") for name in names}
    return {name: module.SPEC for name, module in modules.items() if hasattr(module, "SPEC")}


def build(module: str, seed: int, options: dict):
    """A method, ready to fit."""
    return importlib.import_module(f"jamie.methods.{module}").Method(seed=seed, **options)
