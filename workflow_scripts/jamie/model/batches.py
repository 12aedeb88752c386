"""Mini-batches in which latents can be mixed exactly.

A mini-batch holds some cells of each modality. Their partners must be encoded too, whether they are in the
batch or not: `Batches` brings them along as *extra* rows, which take part in the aggregation and, as targets,
in the terms that compare partners, but have no loss of their own. No Python work is done per cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from jamie.data.correspondence import strongest_partners


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
        The same of the estimated correspondence, or None: one partner per own cell without a known one,
        drawn anew every epoch with the probabilities of F~.
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
        Estimated correspondence, CSR (n_1, n_2) with rows and columns that sum to 1 at most, or None. Only
        entries between cells without a known partner count.
    """

    def __init__(
        self,
        f: sparse.csr_matrix,
        f_estimated: sparse.csr_matrix | None,
        batch_size: int,
        seed: int,
    ):
        self.f = _Lookup(f)
        self.f_t = _Lookup(f.T.tocsr())
        self.estimated = None if f_estimated is None else _Estimated(f, f_estimated)
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
        if self.estimated is not None:
            self.estimated.draw(self.rng)
        for pair, alone_1, alone_2 in zip(pairs, alone[0][::-1], alone[1][::-1], strict=True):
            pair = self.chosen(pair)
            yield self.batch(np.concatenate([pair[:, 0], alone_1]), np.concatenate([pair[:, 1], alone_2]))

    def chosen(self, pairs: np.ndarray) -> np.ndarray:
        """Those of the pairs (k, 2) whose turn it is that fill the batch: all, each once."""
        return pairs

    def batch(self, own_1: np.ndarray, own_2: np.ndarray) -> Batch:
        """Bring along the partners of the cells given, and the partners of those F~ points to."""
        need_1, need_2 = own_1, own_2
        if self.estimated is not None:
            need_1 = _join(own_1, self.estimated.partners(1, own_2))
            need_2 = _join(own_2, self.estimated.partners(0, own_1))
        rows_2 = _join(need_2, self.f.partners(need_1))
        rows_1 = _join(need_1, self.f_t.partners(need_2))
        block = None
        if self.estimated is not None:
            block = self.estimated.block(rows_1, rows_2, (len(own_1), len(own_2)))
        return Batch((rows_1, rows_2), (len(own_1), len(own_2)), self.f.block(rows_1, rows_2), block)


class _Lookup:
    """Rows of a CSR matrix, and dense blocks of it, by whole-array operations only."""

    def __init__(self, matrix: sparse.csr_matrix):
        self.indptr, self.indices = matrix.indptr.astype(np.int64), matrix.indices
        self.data = matrix.data.astype(np.float32)
        self.place = np.full(matrix.shape[1], -1, dtype=np.int64)  # of a column inside the block

    def _entries(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Position in the block of each entry's row, and its place in ``indices`` and ``data``."""
        start, n = self.indptr[rows], self.indptr[rows + 1] - self.indptr[rows]
        row = np.repeat(np.arange(len(rows)), n)
        return row, np.arange(len(row)) + np.repeat(start - (np.cumsum(n) - n), n)

    def partners(self, rows: np.ndarray) -> np.ndarray:
        return self.indices[self._entries(rows)[1]]

    def block(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Dense float32 (len(rows), len(cols)); ``cols`` are distinct."""
        block = np.zeros((len(rows), len(cols)), dtype=np.float32)
        self.place[cols] = np.arange(len(cols))
        row, entry = self._entries(rows)
        col = self.place[self.indices[entry]]
        block[row[col >= 0], col[col >= 0]] = self.data[entry[col >= 0]]
        self.place[cols] = -1
        return block


class _Estimated:
    """F~ among cells without a known partner, of which each draws one partner per epoch."""

    def __init__(self, f: sparse.csr_matrix, estimated: sparse.csr_matrix):
        free = [sparse.diags((np.asarray(f.sum(axis)).ravel() == 0).astype(np.float32)) for axis in (1, 0)]
        matrix = sparse.csr_matrix(free[0] @ estimated @ free[1])
        matrix.eliminate_zeros()
        self.sides = [matrix, matrix.T.tocsr()]
        self.sums = [np.concatenate([[0.0], np.cumsum(m.data, dtype=np.float64)]) for m in self.sides]
        self.drawn = [np.full(m.shape[0], -1) for m in self.sides]
        self.mass = [np.asarray(m.sum(1), dtype=np.float32).ravel() for m in self.sides]

    def draw(self, rng: np.random.Generator) -> None:
        for side, matrix in enumerate(self.sides):
            rows = np.flatnonzero(np.diff(matrix.indptr))
            low, high = (self.sums[side][matrix.indptr[rows + i]] for i in (0, 1))
            entry = np.searchsorted(self.sums[side], low + rng.random(len(rows)) * (high - low), "right") - 1
            # rounding at the border between two rows
            entry = np.clip(entry, matrix.indptr[rows], matrix.indptr[rows + 1] - 1)
            self.drawn[side][rows] = matrix.indices[entry]

    def partners(self, side: int, own: np.ndarray) -> np.ndarray:
        drawn = self.drawn[side][own]
        return drawn[drawn >= 0]

    def block(self, rows_1: np.ndarray, rows_2: np.ndarray, n_own: tuple[int, int]) -> np.ndarray:
        """Dense float32: at an own cell and its drawn partner the mass of the cell."""
        block = np.zeros((len(rows_1), len(rows_2)), dtype=np.float32)
        rows = (rows_1, rows_2)
        for side, n in enumerate(n_own):
            drawn = self.drawn[side][rows[side][:n]]
            own = np.flatnonzero(drawn >= 0)
            order = np.argsort(rows[1 - side])
            partner = order[np.searchsorted(rows[1 - side], drawn[own], sorter=order)]
            entry = (own, partner) if side == 0 else (partner, own)
            block[entry] = np.maximum(block[entry], self.mass[side][rows[side][own]])
        return block


def _together(f: sparse.csr_matrix) -> np.ndarray:
    """Cells that share a batch, int (k, 2): each row's best partner, which goes to its strongest claimant."""
    rows, best, strength = strongest_partners(f)
    order = np.argsort(-strength, kind="stable")
    cols, first = np.unique(best[order], return_index=True)
    return np.column_stack([rows[order[first]], cols])


def _join(own: np.ndarray, more: np.ndarray) -> np.ndarray:
    """``own`` first, in order, then what ``more`` adds."""
    return np.concatenate([own, np.setdiff1d(more, own)]).astype(np.int64)
