"""The training loop: `Trainer` holds the parts of one fit, `train` runs it."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from tqdm import tqdm

from jamie.contract import HISTORY_COLUMNS
from jamie.device import choose_device
from jamie.model.canonical import SharedAxes
from jamie.model.checkpoint import Checkpoint, digest_of
from jamie.model.feed import DeviceBatch, Feed
from jamie.model.graphs import Graphs
from jamie.model.losses import LossTerms, weights
from jamie.model.network import JointVAE
from jamie.model.options import Options
from jamie.model.reference import pieces_for
from jamie.model.watch import Means, Watch, fraction_to_watch, submatrix, validation_split

log = logging.getLogger(__name__)
MIN_BATCH = 16  # cells: with fewer, BatchNorm is noise, and memory is short for another reason
MIN_EPOCHS = 2  # also where the largest number of steps is reached sooner


@dataclass
class Fit:
    """What a training run leaves: the model, its history and how it ended."""

    model: JointVAE
    history: pd.DataFrame
    info: dict = field(default_factory=dict)


def train(
    x: tuple[np.ndarray, np.ndarray],
    f: sparse.csr_matrix,
    options: Options,
    *,
    f_estimated: sparse.csr_matrix | None = None,
    seed: int = 0,
    progress: bool = True,
    checkpoint: str | Path | None = None,
    checkpoint_s: float = 60.0,
) -> Fit:
    """Fit the joint VAE; where a GPU's memory is too small for it, with smaller batches, and says so.

    Parameters
    ----------
    x
        Model input of the training cells: float32 (n_1, p_1), (n_2, p_2).
    f, f_estimated
        Known and estimated correspondence of these cells, CSR (n_1, n_2).
    checkpoint
        File to which the state of the fit is saved every ``checkpoint_s`` seconds, and from which a fit
        that was killed goes on, to the same weights (on the CPU). SIGTERM and SIGINT save it and end the
        process. It stays: what follows may be killed, too.

    Raises
    ------
    FloatingPointError
        The input is not finite, or a loss term no longer is; the message names it and the epoch.
    """
    _check_input(x)
    sparse_parts = [part for m in (f, f_estimated) if m is not None for part in (m.indptr, m.indices, m.data)]
    while True:
        saved = Checkpoint(checkpoint, digest_of([*x, *sparse_parts], options.to_dict(), seed), checkpoint_s)
        try:
            with saved:
                return Trainer(x, f, options, f_estimated, seed).run(saved, progress)
        except torch.OutOfMemoryError:
            if options.batch_size // 2 < MIN_BATCH:
                raise
        options = replace(options, batch_size=options.batch_size // 2)
        log.warning("out of GPU memory: starting anew with batches of %d cells", options.batch_size)
        torch.cuda.empty_cache()


class Trainer:
    """One fit: its parts, and the loop over epochs and mini-batches.

    Parameters
    ----------
    x, f, options, f_estimated, seed
        See `train`.

    Attributes
    ----------
    model, optimizer, schedule, batches, loss, stopper
        The parts; ``schedule`` is None where the learning rate is constant.
    data
        Model input of the cells that are fitted, on the device.
    watch
        The cells that are not.
    history
        Rows (epoch, term, value, weight) of the epochs done.
    """

    def __init__(self, x, f: sparse.csr_matrix, options: Options, f_estimated=None, seed: int = 0):
        torch.manual_seed(seed)
        self.options, self.device = options, choose_device(options.device)
        pieces = pieces_for(options.faults)
        self.loss, self.stopper = pieces.loss(options), pieces.stopper(options)
        fit_rows, watch_rows = validation_split(f, fraction_to_watch(f, options.validation_fraction), seed)
        self.n_train, self.n_validation = ([len(r) for r in rows] for rows in (fit_rows, watch_rows))
        fitted, watched = (
            tuple(v[r] for v, r in zip(x, rows, strict=True)) for rows in (fit_rows, watch_rows)
        )
        fit_f = submatrix(f, fit_rows)
        fit_estimated = None if f_estimated is None else submatrix(f_estimated, fit_rows)
        self.batches = pieces.batches(fit_f, fit_estimated, options.batch_size, seed)
        self.n_epochs = number_of_epochs(options, self.batches.n_batches)
        self.model = self._network(
            fitted, fit_f if fit_estimated is None else _with_open(fit_f, fit_estimated)
        )
        self.optimizer, self.schedule = _optimizer(
            self.model, options, self.n_epochs * self.batches.n_batches
        )
        self.data = self._tensors(fitted)
        self.watch = Watch(self._tensors(watched), submatrix(f, watch_rows), self.loss)
        self.graphs = None
        if self.device.type == "cuda" and not options.compile:
            self.graphs = Graphs(self.model.parameters(), self.device)
        self.feed = Feed(options, self.device, level=self.graphs is not None)
        self.history: list[tuple] = []

    def _network(self, x: tuple[np.ndarray, np.ndarray], f: sparse.csr_matrix) -> JointVAE:
        model = JointVAE(tuple(v.shape[1] for v in x), self.options).to(self.device)
        if self.options.canonical_ridge is not None:
            shared = SharedAxes.of(x, f, self.options.canonical_ridge, start=self.options.residual)
            if shared is not None:
                model.set_axes(shared)
        if self.options.compile:
            model.compile_networks()
        return model

    def _tensors(self, x: tuple[np.ndarray, np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
        return tuple(torch.as_tensor(v, dtype=torch.float32, device=self.device) for v in x)

    def run(self, saved: Checkpoint, progress: bool = True) -> Fit:
        """All epochs still to do, then the best weights."""
        start = time.monotonic()
        first = self._resume(saved.load(self.device))
        bar = tqdm(
            range(first, self.n_epochs),
            initial=first,
            total=self.n_epochs,
            desc="JAMIE",
            unit="epoch",
            disable=None if progress else True,  # None: where nobody watches, as in a file
            mininterval=1.0,
        )
        for epoch in bar:
            stop = self.run_epoch(epoch, lambda losses: bar.set_postfix(losses, refresh=False))
            if stop or self._out_of_time(epoch, time.monotonic() - start):
                break
            if epoch + 1 < self.n_epochs:
                saved.save(partial(self._state, epoch))
        bar.close()
        self.stopper.restore(self.model)
        self.model.eval()
        return Fit(
            self.model, pd.DataFrame(self.history, columns=list(HISTORY_COLUMNS)), self._info(epoch + 1)
        )

    def run_epoch(self, epoch: int, show: Callable[[dict], None] = lambda losses: None) -> bool:
        """One pass over the cells and a look at those not fitted; returns whether to stop."""
        options = self.options
        midpoint = options.kl_midpoint if options.kl_midpoint is not None else self.n_epochs / 4
        weight = weights(options, annealing(epoch, midpoint))
        losses, last = self.fit_epoch(weight)
        _check_finite(losses, epoch)
        self.history += [(epoch, name, value, weight[name]) for name, value in losses.items()]
        validation = self.watch.losses(self.model)
        _check_finite({f"validation_{name}": value for name, value in validation.items()}, epoch)
        self.history += [
            (epoch, f"validation_{name}", value, weight[name]) for name, value in validation.items()
        ]
        show({name: f"{value:.3f}" for name, value in losses.items()})
        # the KL weight grows while training, so the loss that is watched has it fully on
        watched = self.stopper.watched(losses, validation, last)
        return self.stopper.should_stop(epoch, watched, weights(options, 1.0), self.model)

    def fit_epoch(self, weight: dict[str, float]) -> tuple[dict[str, float], LossTerms]:
        """The mean of each term over the mini-batches, and the terms of the last."""
        self.model.train()
        means = Means()
        for batch in self.feed(self.batches.epoch()):
            terms = self.step(batch, weight)
            means.add(terms)
        return means.values(), terms

    def step(self, batch: DeviceBatch, weight: dict[str, float]) -> LossTerms:
        """One step of both networks; returns the terms of the mini-batch."""
        if self.graphs is None:
            terms = self.gradients(batch, weight)
        else:
            terms = self.graphs(self.gradients, batch, weight)
        self.optimizer.step()
        if self.schedule is not None:
            self.schedule.step()
        return terms

    def gradients(self, batch: DeviceBatch, weight: dict[str, float | torch.Tensor]) -> LossTerms:
        """The terms of the mini-batch; leaves the gradients of their weighted sum, clipped."""
        terms = self.loss(self.model, self.data, batch)
        self.optimizer.zero_grad(set_to_none=True)
        terms.total(weight).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.options.gradient_clip)
        return terms

    def _out_of_time(self, epoch: int, elapsed_s: float) -> bool:
        limit_s = self.options.max_time_s
        if limit_s is None or elapsed_s <= limit_s:
            return False
        log.warning("stopped after epoch %d of %d: `max_time_s` is %g", epoch + 1, self.n_epochs, limit_s)
        return True

    def _info(self, n_epochs: int) -> dict:
        return {
            "device": str(self.device),
            "n_epochs": n_epochs,
            "n_epochs_planned": self.n_epochs,
            "n_steps": n_epochs * self.batches.n_batches,
            "batch_size": self.options.batch_size,
            "n_train": self.n_train,
            "n_validation": self.n_validation,
            "delta": self.model.delta.item(),
        }

    def _state(self, epoch: int) -> dict:
        """All that the epochs to come depend on."""
        schedule = None
        if self.schedule is not None:  # without the functions in it, which are part of the schedule itself
            schedule = {k: v for k, v in self.schedule.state_dict().items() if not callable(v)}
        return {
            "epoch": epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": schedule,
            "batches": self.batches.rng.bit_generator.state,
            "stopper": (self.stopper.best, self.stopper.best_epoch, self.stopper.weights),
            "history": self.history,
        }

    def _resume(self, state: dict | None) -> int:
        """Put a saved state in place; returns the first epoch to do."""
        if state is None:
            return 0
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        self.batches.rng.bit_generator.state = state["batches"]
        self.stopper.best, self.stopper.best_epoch, self.stopper.weights = state["stopper"]
        self.history = [tuple(row) for row in state["history"]]
        return state["epoch"] + 1


def number_of_epochs(options: Options, n_batches: int) -> int:
    """``max_epochs``, but at least ``min_steps`` and at most ``max_steps`` optimiser steps."""
    n_epochs = max(options.max_epochs, math.ceil(options.min_steps / n_batches))
    if options.max_steps is None:
        return n_epochs
    return min(n_epochs, max(MIN_EPOCHS, options.max_steps // n_batches))


def annealing(epoch: int, midpoint: float) -> float:
    """Sigmoid from 0 to 1, half way at ``midpoint`` epochs."""
    return 1 / (1 + math.exp(-10 * (epoch - midpoint) / max(midpoint, 1)))


def _with_open(f: sparse.csr_matrix, estimated: sparse.csr_matrix) -> sparse.csr_matrix:
    """F, and F~ between cells that F gives no partner."""
    free = [sparse.diags((np.asarray(f.sum(axis)).ravel() == 0).astype(np.float32)) for axis in (1, 0)]
    return sparse.csr_matrix(f + free[0] @ estimated @ free[1])


def _optimizer(model, options: Options, n_steps: int):
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    optimizer = kinds[options.optimizer](
        model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay, fused=True
    )
    if options.schedule == "constant":
        return optimizer, None
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.learning_rate, total_steps=n_steps
    )


def _check_input(x: tuple[np.ndarray, np.ndarray]) -> None:
    for number, side in enumerate(x, start=1):
        bad = np.flatnonzero(~np.isfinite(side).all(axis=1))
        if len(bad):
            raise FloatingPointError(
                f"the model input of modality {number} is not finite in {len(bad):,} of {len(side):,} cells, "
                f"first in row {bad[0]}"
            )


def _check_finite(losses: dict[str, float], epoch: int) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss term {name!r} is {value} in epoch {epoch}")
