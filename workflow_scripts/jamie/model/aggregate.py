"""Mixing the latents of corresponding cells, and the mini-batches in which that can be done exactly.

    M^X = diag(1 + delta F 1)^-1 (L^X + delta F L^Y)
    M^Y = diag(1 + F^T 1 / delta)^-1 (L^Y + F^T L^X / delta)

A mini-batch holds some cells of each modality. Their partners must be encoded too, whether they are in the
batch or not: `Batches` brings them along as *extra* rows, which take part in the aggregation and in nothing
else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse

from jamie.data.correspondence import strongest_partners


def aggregate(latent_x, latent_y, f, delta) -> tuple[torch.Tensor, torch.Tensor]:
    """M^X (n_X, d) and M^Y (n_Y, d) from L^X (n_X, d), L^Y (n_Y, d) and F (n_X, n_Y).

    A cell without a partner keeps its own latent.
    """
    mixed_x = (latent_x + delta * (f @ latent_y)) / (1 + delta * f.sum(1, keepdim=True))
    mixed_y = (latent_y + (f.T @ latent_x) / delta) / (1 + f.sum(0).unsqueeze(1) / delta)
    return mixed_x, mixed_y


@dataclass
class Batch:
    """Rows of the two modalities, the batch's own cells first and then the extra partners.

    Attributes
    ----------
    rows
        Two int arrays, indices of the cells to encode.
    n_own
        How many of each belong to the batch; the others are there for the aggregation only.
    f
        Block of F for these rows, float32 (len(rows[0]), len(rows[1])).
    f_estimated
        The same of the estimated correspondence, or None.
    """

    rows: tuple[np.ndarray, np.ndarray]
    n_own: tuple[int, int]
    f: np.ndarray
    f_estimated: np.ndarray | None


class Batches:
    """Mini-batches that visit every cell once per epoch, the two cells of a pair together where they can be.

    Parameters
    ----------
    f
        Known correspondence, CSR (n_1, n_2).
    f_estimated
        Estimated correspondence for the alignment term, CSR (n_1, n_2), or None.
    """

    def __init__(
        self, f: sparse.csr_matrix, f_estimated: sparse.csr_matrix | None, batch_size: int, seed: int
    ):
        self.f, self.f_t = f, f.T.tocsr()
        self.estimated = f_estimated
        n_1, n_2 = f.shape
        self.pairs = _together(f)
        self.alone = [np.setdiff1d(np.arange(n), self.pairs[:, axis]) for axis, n in enumerate(f.shape)]
        self.n_batches = max(1, -(-max(n_1, n_2) // batch_size))
        # BatchNorm needs a few cells of each modality in every batch
        self.n_batches = max(1, min(self.n_batches, n_1 // 4, n_2 // 4))
        self.rng = np.random.default_rng(seed)

    def epoch(self) -> Iterator[Batch]:
        # pairs and single cells are spread separately, so that every batch has some of each modality
        pairs, *alone = (
            np.array_split(self.rng.permutation(cells), self.n_batches) for cells in (self.pairs, *self.alone)
        )
        for pair, alone_1, alone_2 in zip(pairs, alone[0][::-1], alone[1][::-1], strict=True):
            yield self.batch(np.concatenate([pair[:, 0], alone_1]), np.concatenate([pair[:, 1], alone_2]))

    def batch(self, own_1: np.ndarray, own_2: np.ndarray) -> Batch:
        """Bring along the partners of the cells given, and the partners of those F~ points to."""
        need_2 = own_2 if self.estimated is None else _join(own_2, _partners(self.estimated, own_1))
        rows_2 = _join(need_2, _partners(self.f, own_1))
        rows_1 = _join(own_1, _partners(self.f_t, need_2))
        return Batch(
            (rows_1, rows_2),
            (len(own_1), len(own_2)),
            _block(self.f, rows_1, rows_2),
            None if self.estimated is None else _block(self.estimated, rows_1, rows_2),
        )


def _together(f: sparse.csr_matrix) -> np.ndarray:
    """Cells that share a batch, int (k, 2): each row's best partner, which goes to its strongest claimant."""
    rows, best, strength = strongest_partners(f)
    order = np.argsort(-strength, kind="stable")
    cols, first = np.unique(best[order], return_index=True)
    return np.column_stack([rows[order[first]], cols])


def _partners(f: sparse.csr_matrix, rows: np.ndarray) -> np.ndarray:
    return f[rows].indices


def _join(own: np.ndarray, more: np.ndarray) -> np.ndarray:
    """``own`` first, in order, then what ``more`` adds."""
    return np.concatenate([own, np.setdiff1d(more, own)]).astype(np.int64)


def _block(f: sparse.csr_matrix, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
    return f[rows][:, cols].toarray().astype(np.float32)
