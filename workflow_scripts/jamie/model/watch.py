"""Cells kept out of the fit to watch it, and early stopping."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import sparse

from jamie.data.correspondence import single_pairs
from jamie.model.batches import Batches
from jamie.model.feed import DeviceBatch, Feed
from jamie.model.losses import JointLoss, LossTerms
from jamie.model.options import Options

MIN_WATCHED = 10  # pairs: a loss of fewer says nothing


def fraction_to_watch(f: sparse.csr_matrix, fraction: float) -> float:
    """``fraction``, or 0 where it would leave too few pairs to watch."""
    return fraction if round(fraction * len(single_pairs(f))) >= MIN_WATCHED else 0.0


def validation_split(
    f: sparse.csr_matrix, fraction: float, seed: int
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Rows to fit and rows to watch, per modality.

    A pair goes to one side whole: the cells watched are a share of the one-to-one pairs and, in each
    modality, the same share of the cells without a partner. Cells with several partners are never watched.
    """
    rng = np.random.default_rng(seed)
    pairs = single_pairs(f)
    n_partners = [np.diff(f.indptr), np.diff(f.tocsc().indptr)]
    pairs = pairs[rng.permutation(len(pairs))[: round(fraction * len(pairs))]]
    fit, watch = [], []
    for axis, n in enumerate(f.shape):
        alone = np.flatnonzero(n_partners[axis] == 0)
        alone = alone[rng.permutation(len(alone))[: round(fraction * len(alone))]]
        watched = np.concatenate([pairs[:, axis], alone]).astype(np.int64)
        watch.append(watched)
        fit.append(np.setdiff1d(np.arange(n), watched))
    return fit, watch


def submatrix(f: sparse.csr_matrix, rows) -> sparse.csr_matrix:
    return sparse.csr_matrix(f[rows[0]][:, rows[1]])


class Means:
    """Mean of each term over the batches in which it applies; read from the device once, at the end."""

    def __init__(self):
        self.terms: dict[str, list[torch.Tensor]] = {}

    def add(self, terms: LossTerms) -> None:
        for name, value in terms.items():
            self.terms.setdefault(name, []).append(value.detach())

    def values(self) -> dict[str, float]:
        read = torch.cat([torch.stack(values) for values in self.terms.values()]).cpu().numpy()
        parts = np.split(read, np.cumsum([len(values) for values in self.terms.values()])[:-1])
        # added one by one, so that a mean does not hang on how a sum is split
        sums = (float(np.add.accumulate(part)[-1]) for part in parts)
        return {name: s / len(values) for (name, values), s in zip(self.terms.items(), sums, strict=True)}


class Watch:
    """The loss of cells that are not fitted, without noise and dropout.

    Parameters
    ----------
    x
        Their model input, (n_1, p_1), (n_2, p_2), on the device.
    f
        Their known correspondence, CSR (n_1, n_2).
    """

    def __init__(self, x: tuple[torch.Tensor, torch.Tensor], f: sparse.csr_matrix, loss: JointLoss):
        self.x, self.loss = x, loss
        self.batches: list[DeviceBatch] = []
        if min(f.shape) >= 2:
            batches = Batches(f, None, loss.options.batch_size, seed=0)
            self.batches = list(Feed(loss.options, x[0].device)(batches.epoch()))

    @torch.no_grad()
    def losses(self, model) -> dict[str, float]:
        """Mean of each term; none where no cell is watched."""
        if not self.batches:
            return {}
        model.eval()
        means = Means()
        for batch in self.batches:
            means.add(self.loss(model, self.x, batch))
        return means.values()


class Stopper:
    """Stops after ``patience`` epochs without gain and goes back to the best weights."""

    def __init__(self, options: Options):
        self.patience, self.min_epochs = options.patience, options.min_epochs
        self.best, self.best_epoch, self.weights = math.inf, 0, None

    def watched(self, losses: dict[str, float], validation: dict[str, float], last: LossTerms) -> dict:
        """The loss that decides: that of the validation cells, or of the epoch where there are none.

        ``last`` are the terms of the epoch's last batch.
        """
        return validation or losses

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
