"""Finds the methods: every module in `jamie.methods` with a ``SPEC``. Nothing is listed anywhere else."""

from __future__ import annotations

import importlib
import pkgutil

import jamie.methods
from jamie.methods.base import Spec

NO_PAIRS = " (no pairs)"


def specs() -> dict[str, Spec]:
    """SPEC of each method by its module's name; imports nothing heavy."""
    names = sorted(m.name for m in pkgutil.iter_modules(jamie.methods.__path__))
    modules = {name: importlib.import_module(f"jamie.methods.{name}") for name in names}
    return {name: module.SPEC for name, module in modules.items() if hasattr(module, "SPEC")}


def unsupervised(spec: Spec) -> bool:
    """Whether a method learns from no known pair; a control is neither one nor the other."""
    return not spec.uses_pairs and not spec.control


def marked(label: str, spec: Spec) -> str:
    """The label of a method or of a variant of it, which says so where it learns from no known pair."""
    return f"{label.removesuffix(NO_PAIRS)}{NO_PAIRS}" if unsupervised(spec) else label


def build(module: str, seed: int, options: dict):
    """A method, ready to fit."""
    return importlib.import_module(f"jamie.methods.{module}").Method(seed=seed, **options)
