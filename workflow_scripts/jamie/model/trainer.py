"""The training loop."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from tqdm import tqdm

from jamie.contract import HISTORY_COLUMNS
from jamie.device import choose_device
from jamie.model.batches import Batches
from jamie.model.canonical import input_axes
from jamie.model.checkpoint import Checkpoint, digest_of, resume, state_of
from jamie.model.losses import weights
from jamie.model.network import JointVAE
from jamie.model.options import Options
from jamie.model.watch import (
    Means,
    Stopper,
    Watch,
    batch_loss,
    fraction_to_watch,
    submatrix,
    validation_split,
)

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
        that was killed goes on, to the same weights (on the CPU). Removed at the end.

    Raises
    ------
    FloatingPointError
        The input is not finite, or a loss term no longer is; the message names it and the epoch.
    """
    try:
        return _train(x, f, options, f_estimated, seed, progress, (checkpoint, checkpoint_s))
    except torch.OutOfMemoryError:
        smaller = replace(options, batch_size=options.batch_size // 2)
        if smaller.batch_size < MIN_BATCH:
            raise
        log.warning("out of GPU memory: starting anew with batches of %d cells", smaller.batch_size)
    torch.cuda.empty_cache()
    return train(
        x,
        f,
        smaller,
        f_estimated=f_estimated,
        seed=seed,
        progress=progress,
        checkpoint=checkpoint,
        checkpoint_s=checkpoint_s,
    )


def _train(x, f, options: Options, f_estimated, seed: int, progress: bool, checkpoint) -> Fit:
    _check_input(x)
    torch.manual_seed(seed)
    device = choose_device(options.device)
    data = tuple(torch.as_tensor(v, dtype=torch.float32, device=device) for v in x)
    fit_rows, watch_rows = validation_split(f, fraction_to_watch(f, options.validation_fraction), seed)
    fit_data = tuple(d[torch.as_tensor(r, device=device)] for d, r in zip(data, fit_rows, strict=True))
    fit_f = submatrix(f, fit_rows)
    batches = Batches(
        fit_f,
        None if f_estimated is None else submatrix(f_estimated, fit_rows),
        options.batch_size,
        seed,
        "pair_sampling" in options.faults,
    )
    n_epochs = number_of_epochs(options, batches.n_batches)
    model = JointVAE(tuple(v.shape[1] for v in x), options).to(device)
    if options.canonical_ridge is not None:
        axes = input_axes(
            tuple(v[r] for v, r in zip(x, fit_rows, strict=True)), fit_f, options.canonical_ridge
        )
        if axes is not None:
            model.set_axes(axes)
    if options.compile:
        model.compile_networks()
    optimizer, schedule = _optimizer(model, options, n_epochs * batches.n_batches)
    watch, stopper = Watch(data, f, watch_rows, options), Stopper(options)
    sparse_parts = [part for m in (f, f_estimated) if m is not None for part in (m.indptr, m.indices, m.data)]
    saved = Checkpoint(checkpoint[0], digest_of([*x, *sparse_parts], options.to_dict(), seed), checkpoint[1])
    parts = (model, optimizer, schedule, batches, stopper)
    history: list[tuple] = []
    epoch = _run_epochs(parts, fit_data, watch, options, n_epochs, saved, history, progress)
    saved.remove()
    stopper.restore(model)
    model.eval()
    info = {
        "device": str(device),
        "n_epochs": epoch + 1,
        "n_epochs_planned": n_epochs,
        "n_steps": (epoch + 1) * batches.n_batches,
        "batch_size": options.batch_size,
        "n_train": [len(r) for r in fit_rows],
        "n_validation": [len(r) for r in watch_rows],
        "delta": model.delta.item(),
    }
    return Fit(model, pd.DataFrame(history, columns=list(HISTORY_COLUMNS)), info)


def _run_epochs(parts, data, watch, options: Options, n_epochs, saved, history, progress) -> int:
    """All epochs still to do; returns the last one done."""
    model, stopper, start = parts[0], parts[-1], time.monotonic()
    midpoint = options.kl_midpoint if options.kl_midpoint is not None else n_epochs / 4
    first = resume(saved.load(data[0].device), parts, history)
    bar = tqdm(
        range(first, n_epochs),
        initial=first,
        total=n_epochs,
        desc="JAMIE",
        unit="epoch",
        disable=not progress,
        mininterval=1.0,
    )
    for epoch in bar:
        weight = weights(options, annealing(epoch, midpoint))
        losses, last = _train_epoch(parts, data, weight, options)
        _check_finite(losses, epoch)
        history += [(epoch, name, value, weight[name]) for name, value in losses.items()]
        watched = watch.losses(model)
        _check_finite({f"validation_{name}": value for name, value in watched.items()}, epoch)
        history += [(epoch, f"validation_{name}", value, weight[name]) for name, value in watched.items()]
        bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()}, refresh=False)
        # the KL weight grows while training, so the loss that is watched has it fully on
        watched = last if "one_batch_stop" in options.faults else watched or losses
        if stopper.should_stop(epoch, watched, weights(options, 1.0), model):
            break
        if options.max_time_s is not None and time.monotonic() - start > options.max_time_s:
            log.warning(
                "stopped after epoch %d of %d: `max_time_s` is %g", epoch + 1, n_epochs, options.max_time_s
            )
            break
        if epoch + 1 < n_epochs:
            saved.save(state_of(epoch, parts, history))
    bar.close()
    return epoch


def number_of_epochs(options: Options, n_batches: int) -> int:
    """``max_epochs``, but at least ``min_steps`` and at most ``max_steps`` optimiser steps."""
    n_epochs = max(options.max_epochs, math.ceil(options.min_steps / n_batches))
    if options.max_steps is None:
        return n_epochs
    return min(n_epochs, max(MIN_EPOCHS, options.max_steps // n_batches))


def annealing(epoch: int, midpoint: float) -> float:
    """Sigmoid from 0 to 1, half way at ``midpoint`` epochs."""
    return 1 / (1 + math.exp(-10 * (epoch - midpoint) / max(midpoint, 1)))


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


def _train_epoch(parts, data, weight, options) -> tuple[dict[str, float], dict[str, float]]:
    """One pass over the cells; returns the mean of each term, and the terms of the last batch."""
    model, optimizer, schedule, batches, _ = parts
    model.train()
    means = Means()
    for batch in batches.epoch():
        terms = joint_step(model, optimizer, batch, data, weight, options)
        if schedule is not None:
            schedule.step()
        means.add(terms)
    return means.values(), {name: value.item() for name, value in terms.items()}


def joint_step(model, optimizer, batch, data, weight, options):
    """One step of both networks; returns the terms of the batch."""
    terms = batch_loss(model, batch, data, options)
    optimizer.zero_grad(set_to_none=True)
    terms.total(weight).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), options.gradient_clip)
    optimizer.step()
    return terms


def _check_input(x: tuple[np.ndarray, np.ndarray]) -> None:
    for number, side in enumerate(x, start=1):
        bad = np.flatnonzero(~np.isfinite(side).all(axis=1))
        if len(bad):
            raise FloatingPointError(
                f"the model input of modality {number} is not finite in {len(bad)} of {len(side)} cells, "
                f"first in row {bad[0]}"
            )


def _check_finite(losses: dict[str, float], epoch: int) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss term {name!r} is {value} in epoch {epoch}")
