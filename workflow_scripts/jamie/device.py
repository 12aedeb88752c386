"""Where tensors live: the CPU, or a GPU where there is one."""

from __future__ import annotations

import logging

import torch

from jamie.errors import InputError

log = logging.getLogger(__name__)


def choose_device(name: str) -> torch.device:
    """The device of that name; ``auto`` is CUDA where there is one, else the CPU, and says so."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
        log.info("device: %s", name)
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "A GPU was asked for and there is none",
            expected="a CUDA device",
            found="none visible to torch",
            change="`device: auto` (or cpu) under the method's `options:`",
        )
    return torch.device(name)
