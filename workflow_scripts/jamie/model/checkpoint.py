"""A fit that was killed goes on where it was: ``checkpoint.pt``, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from pathlib import Path

import torch

from jamie import io

log = logging.getLogger(__name__)


def digest_of(arrays, options: dict, seed: int) -> str:
    """Digest of data, settings and seed: a checkpoint of anything else is not resumed."""
    digest = hashlib.sha256(json.dumps([options, seed], sort_keys=True).encode())
    for array in arrays:
        digest.update(str((array.shape, array.dtype)).encode() + array.tobytes())
    return digest.hexdigest()


class Checkpoint:
    """Saves the state of a fit at most every ``every_s`` seconds, at the end of an epoch.

    Parameters
    ----------
    path
        The file; None: nothing is saved.
    digest
        Of what is fitted, see `digest_of`.
    """

    def __init__(self, path: str | Path | None, digest: str, every_s: float):
        self.path = None if path is None else Path(path)
        self.digest, self.every_s, self.saved = digest, every_s, time.monotonic()

    def load(self, device) -> dict | None:
        """The saved state, or None if there is none of this fit; random generators are set back."""
        if self.path is None or not self.path.exists():
            return None
        state = torch.load(self.path, map_location=device, weights_only=True)
        if state.pop("digest") != self.digest:
            log.info("%s is of other data or settings: not resumed, starting anew", self.path)
            return None
        torch.set_rng_state(state.pop("rng").cpu())
        if torch.cuda.is_available():
            torch.cuda.set_rng_state_all([s.cpu() for s in state.pop("cuda_rng")])
        log.info("resumed from %s after epoch %d", self.path, state["epoch"])
        return state

    def save(self, state: dict) -> None:
        """Write, if it is time to."""
        if self.path is None or time.monotonic() - self.saved < self.every_s:
            return
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        with io.atomic(self.path) as temporary:
            torch.save(
                state | {"digest": self.digest, "rng": torch.get_rng_state(), "cuda_rng": cuda}, temporary
            )
        self.saved = time.monotonic()

    def remove(self) -> None:
        """The fit is complete."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
