"""Expected gradients of a few outputs, from the principal components back to all features.

The estimator of Erion et al., Nature Machine Intelligence 2021, and of `shap.GradientExplainer`. Gradients
with respect to the components alone are kept, never a dense matrix of cells by features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from scipy import sparse

from jamie.linear.blocks import row_blocks

CHUNK = 256  # cells whose gradients for every type are held at once


@dataclass(frozen=True)
class Paths:
    """Straight lines between background and explained cells, a point on each in every round.

    ``start`` (m, k) and ``end`` (n, k): principal components; ``own`` int (n,): the type of a cell;
    ``reference`` int (rounds, n): the row of ``start`` a line begins at; ``alpha`` (rounds, n): how far along
    it the point is, 0-1.
    """

    start: torch.Tensor
    end: torch.Tensor
    own: torch.Tensor
    reference: torch.Tensor
    alpha: torch.Tensor

    @classmethod
    def draw(cls, start, end, own, n_rounds: int, rng, device) -> Paths:
        """Each cell meets every n-th part of the background, as it is ordered, and of the line once."""
        strata = np.tile(np.arange(n_rounds), (2, len(end), 1))
        share, alpha = (rng.permuted(strata, axis=2) + rng.random(strata.shape)).swapaxes(1, 2) / n_rounds
        reference = np.minimum((share * len(start)).astype(np.int64), len(start) - 1)
        arrays = start, end, own, reference, alpha.astype(np.float32)
        return cls(*(torch.as_tensor(a, device=device) for a in arrays))

    def points(self, i: int, cells: slice = slice(None)) -> torch.Tensor:
        start = self.start[self.reference[i, cells]]
        return start + self.alpha[i, cells, None] * (self.end[cells] - start)


@torch.no_grad()
def own_gradients(logits, paths: Paths) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of the logit of each explained cell's own type along its lines.

    Returns
    -------
    by_cell : (n, k)
        Mean over rounds.
    by_background : (t, m, k)
        The same gradients summed by type and background cell.
    sums : (n,)
        Gradient times length of the line, mean over rounds: the sum over features of a cell's attributions.
    """
    n_rounds, n = paths.reference.shape
    own, (n_background, k) = paths.own.cpu().numpy(), paths.start.shape
    by_cell, sums = np.zeros((n, k)), np.zeros(n)
    by_background = np.zeros((own.max() + 1, n_background, k))
    own_logit = torch.func.grad(lambda points: logits(points).gather(1, paths.own[:, None]).sum())
    for i in range(n_rounds):
        gradient, reference = own_logit(paths.points(i)) / n_rounds, paths.reference[i]
        sums += (gradient * (paths.end - paths.start[reference])).sum(dim=1).cpu().numpy()
        by_cell += (gradient := gradient.cpu().numpy())
        np.add.at(by_background, (own, reference.cpu().numpy()), gradient)
    return by_cell, by_background, sums


def mean_attribution(x, background, by_cell, by_background, own, weights) -> np.ndarray:
    """Mean over the cells of each type, float64 (t, p): where `own_gradients` meet the values, in blocks."""
    values = sparse.vstack([sparse.csc_matrix(x), sparse.csc_matrix(background)], format="csc")
    result = np.empty((len(by_background), len(weights)))
    for i, of_type in enumerate(by_background):
        is_own = (own == i)[:, None]
        gradients = np.vstack([by_cell * is_own, -of_type]) / is_own.sum()  # (n + m, k)
        for block in row_blocks(*weights.shape):
            result[i, block] = ((values[:, block].T @ gradients) * weights[block]).sum(axis=1)
    return result


@torch.no_grad()
def cell_attribution(logits, paths: Paths, values, base, weights) -> np.ndarray:
    """Of some features of each type, for its logit, in every explained cell: float32 (n, t, n_top).

    ``values`` (n, t, n_top) are those of explained, ``base`` (m, t, n_top) those of background cells;
    ``weights`` (t, n_top, k) of the same features.
    """
    device = paths.end.device
    values, base = (torch.as_tensor(v, device=device) for v in (values, base))
    weights = torch.as_tensor(weights, dtype=torch.float32, device=device).transpose(1, 2)  # (t, k, n_top)
    jacobian = torch.func.jacrev(lambda points: logits(points).sum(dim=0))  # cells are independent
    total, n_rounds = torch.zeros_like(values), len(paths.reference)
    for start in range(0, len(values), CHUNK):
        cells = slice(start, start + CHUNK)
        for i in range(n_rounds):
            by_feature = torch.bmm(jacobian(paths.points(i, cells)), weights)  # (t, b, n_top)
            total[cells] += by_feature.transpose(0, 1) * (values[cells] - base[paths.reference[i, cells]])
    return (total / n_rounds).cpu().numpy()


@torch.no_grad()
def completeness(logits, paths: Paths, sums: np.ndarray) -> dict:
    """Relative errors of ``sums`` (n,) against the differences of logits they should add up to."""
    own = paths.own[:, None]
    before = logits(paths.start)[paths.reference, paths.own].mean(dim=0)  # (n,)
    difference = (logits(paths.end).gather(1, own)[:, 0] - before).cpu().numpy()
    by_type = pd.DataFrame({"sum": sums, "difference": difference}).groupby(own[:, 0].cpu().numpy()).mean()
    return {
        "error": (by_type["sum"] / by_type["difference"] - 1).abs().to_numpy(),
        "cell_error": float(np.abs(sums - difference).mean() / np.abs(difference).mean()),
    }
