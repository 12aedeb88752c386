"""The training loop."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy import sparse
from tqdm import tqdm

from jamie.contract import HISTORY_COLUMNS
from jamie.errors import InputError
from jamie.model.aggregate import Batches
from jamie.model.checkpoint import Checkpoint, digest_of, resume, state_of
from jamie.model.losses import LossTerms, joint_loss, weights
from jamie.model.network import JointVAE
from jamie.model.options import Options

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
    """Fit the joint VAE.

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
        A loss term is no longer finite; the message names it and the epoch.
    """
    torch.manual_seed(seed)
    device = choose_device(options.device)
    data = tuple(torch.as_tensor(v, dtype=torch.float32, device=device) for v in x)
    fit_rows, watch_rows = validation_split(f, options.validation_fraction, seed)
    fit_data = tuple(d[torch.as_tensor(r, device=device)] for d, r in zip(data, fit_rows, strict=True))
    batches = Batches(
        _sub(f, fit_rows),
        None if f_estimated is None else _sub(f_estimated, fit_rows),
        options.batch_size,
        seed,
    )
    n_epochs = max(options.max_epochs, math.ceil(options.min_steps / batches.n_batches))
    model = JointVAE(tuple(v.shape[1] for v in x), options).to(device)
    optimizer, schedule = _optimizer(model, options, n_epochs * batches.n_batches)
    midpoint = options.kl_midpoint if options.kl_midpoint is not None else n_epochs / 4
    watch = _Watch(data, f, watch_rows, options)
    stopper = _Stopper(options)
    history: list[tuple] = []
    sparse_parts = [part for m in (f, f_estimated) if m is not None for part in (m.indptr, m.indices, m.data)]
    digest = digest_of([*x, *sparse_parts], options.to_dict(), seed)
    saved = Checkpoint(checkpoint, digest, checkpoint_s)
    parts = (model, optimizer, schedule, batches, stopper)
    first = resume(saved.load(device), parts, history)
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
        losses = _train_epoch(model, batches, fit_data, optimizer, schedule, weight, options)
        _check_finite(losses, epoch)
        history += [(epoch, name, value, weight[name]) for name, value in losses.items()]
        watched = watch.losses(model)
        _check_finite({f"validation_{name}": value for name, value in watched.items()}, epoch)
        history += [(epoch, f"validation_{name}", value, weight[name]) for name, value in watched.items()]
        bar.set_postfix({name: f"{value:.3f}" for name, value in losses.items()}, refresh=False)
        # the KL weight grows while training, so the loss that is watched has it fully on
        if stopper.should_stop(epoch, watched or losses, weights(options, 1.0), model):
            break
        saved.save(state_of(epoch, parts, history))
    bar.close()
    saved.remove()
    stopper.restore(model)
    model.eval()
    info = {
        "device": str(device),
        "n_epochs": epoch + 1,
        "n_steps": (epoch + 1) * batches.n_batches,
        "n_train": [len(r) for r in fit_rows],
        "n_validation": [len(r) for r in watch_rows],
        "delta": model.delta.item(),
    }
    return Fit(model, pd.DataFrame(history, columns=list(HISTORY_COLUMNS)), info)


def annealing(epoch: int, midpoint: float) -> float:
    """Sigmoid from 0 to 1, half way at ``midpoint`` epochs."""
    return 1 / (1 + math.exp(-10 * (epoch - midpoint) / max(midpoint, 1)))


def validation_split(
    f: sparse.csr_matrix, fraction: float, seed: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Rows to fit and rows to watch, per modality.

    A pair goes to one side whole: the cells watched are a share of the one-to-one pairs and, in each
    modality, the same share of the cells without a partner. Cells with several partners are never watched.
    """
    rng = np.random.default_rng(seed)
    n_partners = [np.diff(f.indptr), np.diff(f.tocsc().indptr)]
    entries = f.tocoo()
    single = (n_partners[0][entries.row] == 1) & (n_partners[1][entries.col] == 1)
    pairs = np.column_stack([entries.row[single], entries.col[single]])
    pairs = pairs[rng.permutation(len(pairs))[: round(fraction * len(pairs))]]
    fit, watch = [], []
    for axis, n in enumerate(f.shape):
        alone = np.flatnonzero(n_partners[axis] == 0)
        alone = alone[rng.permutation(len(alone))[: round(fraction * len(alone))]]
        watched = np.concatenate([pairs[:, axis], alone]).astype(np.int64)
        watch.append(watched)
        fit.append(np.setdiff1d(np.arange(n), watched))
    return fit, watch


def _sub(f: sparse.csr_matrix, rows: list[np.ndarray]) -> sparse.csr_matrix:
    return sparse.csr_matrix(f[rows[0]][:, rows[1]])


def _optimizer(model, options: Options, n_steps: int):
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    optimizer = kinds[options.optimizer](
        model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    if options.schedule == "constant":
        return optimizer, None
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(
        optimizer, options.learning_rate, total_steps=n_steps
    )


def _train_epoch(model, batches, data, optimizer, schedule, weight, options) -> dict[str, float]:
    """One pass over the cells; returns the mean of each term."""
    model.train()
    means = _Means()
    for batch in batches.epoch():
        terms = _batch_loss(model, batch, data, options)
        optimizer.zero_grad(set_to_none=True)
        terms.total(weight).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), options.gradient_clip)
        optimizer.step()
        if schedule is not None:
            schedule.step()
        means.add(terms)
    return means.values()


def _batch_loss(model, batch, data, options: Options) -> LossTerms:
    device = data[0].device
    return joint_loss(
        model,
        tuple(d[torch.as_tensor(r, device=device)] for d, r in zip(data, batch.rows, strict=True)),
        batch.n_own,
        torch.as_tensor(batch.f, device=device),
        None if batch.f_estimated is None else torch.as_tensor(batch.f_estimated, device=device),
        options,
    )


class _Means:
    """Mean of each term over the batches in which it applies; read from the device once, at the end."""

    def __init__(self):
        self.sums: dict[str, torch.Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, terms: LossTerms) -> None:
        for name, value in terms.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach()
            self.counts[name] = self.counts.get(name, 0) + 1

    def values(self) -> dict[str, float]:
        return {name: float(value) / self.counts[name] for name, value in self.sums.items()}


def _check_finite(losses: dict[str, float], epoch: int) -> None:
    for name, value in losses.items():
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss term {name!r} is {value} in epoch {epoch}")


class _Watch:
    """The loss of cells that are not fitted, without noise and dropout."""

    def __init__(self, data, f: sparse.csr_matrix, rows: list[np.ndarray], options: Options):
        self.active = min(len(r) for r in rows) >= 2
        if not self.active:
            return
        self.x = tuple(d[torch.as_tensor(r, device=d.device)] for d, r in zip(data, rows, strict=True))
        self.batches = list(Batches(_sub(f, rows), None, options.batch_size, seed=0).epoch())
        self.options = options

    @torch.no_grad()
    def losses(self, model) -> dict[str, float]:
        if not self.active:
            return {}
        model.eval()
        means = _Means()
        for batch in self.batches:
            means.add(_batch_loss(model, batch, self.x, self.options))
        return means.values()


class _Stopper:
    """Stops after ``patience`` epochs without gain and goes back to the best weights."""

    def __init__(self, options: Options):
        self.patience, self.min_epochs = options.patience, options.min_epochs
        self.best, self.best_epoch, self.weights = math.inf, 0, None

    def should_stop(self, epoch: int, losses: dict[str, float], weight: dict[str, float], model) -> bool:
        if self.patience is None:
            return False
        loss = sum(weight[name] * value for name, value in losses.items())
        if loss < self.best:
            self.best, self.best_epoch = loss, epoch
            self.weights = {k: v.detach().clone() for k, v in model.state_dict().items()}
        return epoch >= self.min_epochs and epoch - self.best_epoch >= self.patience

    def restore(self, model) -> None:
        if self.weights is not None:
            model.load_state_dict(self.weights)
