"""Where tensors live: the CPU, or a GPU where there is one."""

from __future__ import annotations

import logging

import torch

from jamie.errors import InputError

log = logging.getLogger(__name__)
_chosen: list[torch.device] = []  # since the process began


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
    _chosen.append(torch.device(name))
    return _chosen[-1]


def used() -> dict[str, str | None]:
    """The ``device`` that was chosen last, and how the ``gpu`` is called where it was one."""
    device = _chosen[-1].type if _chosen else "cpu"
    return {"device": device, "gpu": torch.cuda.get_device_name() if device == "cuda" else None}
