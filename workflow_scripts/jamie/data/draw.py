"""Draw counts from rates, in blocks of cells, so that no dense matrix of all cells is ever held."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import sparse

DEPTH_SD = 0.35  # of the log depth
BLOCK_VALUES = 4_000_000  # cells x features held densely at a time


@dataclass
class Depth:
    """Expected counts of each cell, log-normal.

    Attributes
    ----------
    mean
        Over cells.
    shared : float (n_cells,)
        Standard normal; what the depths of a cell in both modalities have in common.
    correlation
        Of the log depth with that of the other modality, 0-1: the share of its variance that is ``shared``.
    """

    mean: float
    shared: np.ndarray
    correlation: float = 0.0

    def draw(self, rng) -> np.ndarray:
        """Float (n_cells,)."""
        own_sd, shared_sd = DEPTH_SD * np.sqrt(1 - self.correlation), DEPTH_SD * np.sqrt(self.correlation)
        shared = np.exp(shared_sd * self.shared - shared_sd**2 / 2)
        return self.mean * rng.lognormal(-(own_sd**2) / 2, own_sd, len(shared)) * shared


def draw_counts(rates: Callable, n_features: int, depth: Depth, dispersion, rng) -> sparse.csr_matrix:
    """Counts of all cells, CSR float32 (cell, feature), drawn in blocks of cells.

    Each kind of draw has its own stream and is drawn cell by cell, so the size of the blocks changes nothing.
    """
    depth_rng, gamma_rng, total_rng, place_rng, fill_rng = rng.spawn(5)
    depth = depth.draw(depth_rng)
    n_cells = len(depth)
    spread = 0 if dispersion is None else dispersion * depth_rng.lognormal(0, 0.3, n_features)
    blocks, n_rows = [], max(1, BLOCK_VALUES // n_features)
    n_open = np.zeros(n_features, dtype=np.int64)
    for low in range(0, n_cells, n_rows):
        rows = slice(low, min(low + n_rows, n_cells))
        block = rates(rows)
        block *= (depth[rows] / block.sum(axis=1))[:, None]
        if np.any(spread):
            shape = (1 / spread).astype(np.float32)
            block *= gamma_rng.standard_gamma(np.broadcast_to(shape, block.shape), dtype=np.float32) / shape
        blocks.append(draw_poisson(block, total_rng, place_rng))
        n_open += np.bincount(blocks[-1].indices, minlength=n_features)
    x = _stacked(blocks)
    empty = np.flatnonzero(n_open == 0)
    if len(empty):
        where = (fill_rng.integers(0, n_cells, len(empty)), empty)
        x = x + sparse.csr_matrix((np.ones(len(empty), np.float32), where), shape=x.shape)
    return x


def _stacked(blocks: list[sparse.csr_matrix]) -> sparse.csr_matrix:
    """Blocks of cells in one matrix; scipy's vstack would hold the indices in 64 bits besides.

    Empties the list on its way: nothing is held twice but the larger half of it.
    """
    n_features = blocks[0].shape[1]
    n_values = np.concatenate([np.diff(block.indptr) for block in blocks])
    data, indices = [block.data for block in blocks], [block.indices for block in blocks]
    blocks.clear()
    data = np.concatenate(data)
    indices = np.concatenate(indices)
    indptr = np.append(0, np.cumsum(n_values, dtype=np.int64))
    return sparse.csr_matrix((data, indices, indptr), shape=(len(n_values), n_features))


def draw_poisson(rates: np.ndarray, total_rng, place_rng) -> sparse.csr_matrix:
    """Poisson counts of a dense block of rates (cell, feature).

    The total of a cell is drawn, then a feature for each of its counts: the same distribution as one Poisson
    draw per entry, at the cost of one draw per count.
    """
    edges = np.cumsum(rates, axis=1, dtype=np.float64)
    total = edges[:, -1].copy()
    offset = np.cumsum(total) - total
    edges += offset[:, None]
    n = np.maximum(total_rng.poisson(total), 1)
    row = np.repeat(np.arange(len(rates)), n)
    place = np.sort(offset[row] + place_rng.random(len(row)) * total[row])  # sorted look-ups are much faster
    column = np.searchsorted(edges.ravel(), place, side="right") - row * rates.shape[1]
    column = np.clip(column, 0, rates.shape[1] - 1)  # rounding at the border between two cells
    return sparse.csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=rates.shape)
