"""A fit that was stopped goes on where it was: ``checkpoint.pt``, written whole or not at all."""

from __future__ import annotations

import copy
import hashlib
import io as streams
import json
import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch

from jamie import io

log = logging.getLogger(__name__)
SIGNALS = signal.SIGTERM, signal.SIGINT
STOP_S = 8.0  # from a signal to the end of the process; schedulers grant some more before they kill
LONG_EPOCH_S = 2.0  # from here on the end of an epoch is not waited for
DIGEST_BYTES = 32


def digest_of(arrays, options: dict, seed: int) -> str:
    """Digest of data, settings and seed: a checkpoint of anything else is not resumed."""
    digest = hashlib.sha256(json.dumps([options, seed], sort_keys=True).encode())
    for array in arrays:
        digest.update(str((array.shape, array.dtype)).encode() + array.tobytes())
    return digest.hexdigest()


class Checkpoint:
    """Saves the state of a fit at the end of an epoch: every ``every_s`` seconds, and when told to stop.

    As a context it takes SIGTERM and SIGINT: it saves the last whole epoch and ends the process, at the end
    of an epoch or, where epochs are long, at once. The file is a sha256 and what `torch.save` wrote.

    Parameters
    ----------
    path
        The file; None: nothing is saved, and signals are left alone.
    digest
        Of what is fitted, see `digest_of`.
    """

    def __init__(self, path: str | Path | None, digest: str, every_s: float):
        self.path = None if path is None else Path(path)
        self.digest, self.every_s, self.saved = digest, every_s, time.monotonic()
        self.epoch_began, self.last = time.monotonic(), None
        self.asked: int | None = None  # the signal, once there was one
        self.before: dict = {}

    def __enter__(self) -> Checkpoint:
        # Python runs handlers in the main thread alone
        if self.path is not None and threading.current_thread() is threading.main_thread():
            self.before = {number: signal.signal(number, self._stop) for number in SIGNALS}
        return self

    def __exit__(self, *error) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def load(self, device) -> dict | None:
        """The saved state, or None if there is none of this fit; random generators are set back."""
        if self.path is None:
            return None
        io.remove_leftovers(self.path)
        if not self.path.exists():
            return None
        content = self.path.read_bytes()
        written, packed = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
        if hashlib.sha256(packed).digest() != written:
            log.warning("%s is not as it was written: not resumed, starting anew", self.path)
            return None
        state = torch.load(streams.BytesIO(packed), map_location=device, weights_only=True)
        if state.pop("digest") != self.digest:
            log.info("%s is of other data or settings: not resumed, starting anew", self.path)
            return None
        torch.set_rng_state(state.pop("rng").cpu())
        if torch.cuda.is_available():
            torch.cuda.set_rng_state_all([s.cpu() for s in state.pop("cuda_rng")])
        log.info("resumed from %s after epoch %d", self.path, state["epoch"])
        return state

    def save(self, state: Callable[[], dict]) -> None:
        """An epoch has ended: write its state, if it is time to or the process was asked to stop.

        Raises
        ------
        SystemExit
            It was asked to stop.
        """
        if self.path is None:
            return
        now = time.monotonic()
        long, self.epoch_began = now - self.epoch_began > LONG_EPOCH_S, now
        self.last = None  # no longer the last whole epoch
        due = self.asked is not None or now - self.saved >= self.every_s
        if not (due or long):
            return
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
        complete = state() | {"digest": self.digest, "rng": torch.get_rng_state(), "cuda_rng": cuda}
        if long:
            self.last = copy.deepcopy(complete)
        if due:
            self._write(complete)
        if self.asked is not None:
            self._exit(f"{self.path} holds epoch {complete['epoch']}")

    def _write(self, state: dict) -> None:
        packed = streams.BytesIO()
        torch.save(state, packed)
        with io.atomic(self.path) as temporary, open(temporary, "wb") as handle:
            handle.write(hashlib.sha256(packed.getbuffer()).digest())
            handle.write(packed.getbuffer())
        self.saved = time.monotonic()

    def _stop(self, number: int, frame) -> None:
        """A signal came: save and end now, if possible, else when the epoch ends or after `STOP_S`."""
        self.asked = number
        if self.last is not None:
            self._write(self.last)
            self._exit(f"{self.path} holds epoch {self.last['epoch']}")
        signal.signal(signal.SIGALRM, lambda *_: self._exit("this epoch was too long to wait for"))
        signal.setitimer(signal.ITIMER_REAL, STOP_S)

    def _exit(self, how: str) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        log.warning("stopped by %s: %s, the next run goes on", signal.Signals(self.asked).name, how)
        raise SystemExit(128 + self.asked)
