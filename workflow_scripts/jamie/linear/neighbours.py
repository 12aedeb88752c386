"""Nearest cells, and what follows from them: weights, and means over neighbours."""

from __future__ import annotations

import numpy as np
from scipy import sparse

EXACT_PAIRS = 20_000_000_000  # pairs of cells, a minute of one core; beyond, neighbours are approximate
CHUNK = 4096
EPSILON = 0.5  # of the approximate search between two sets: 99 of 100 neighbours are found, with 0.1 only 86


def is_exact(n: int, m: int) -> bool:
    """Whether `nearest` of ``n`` cells among ``m`` others compares each with each."""
    return n * m <= EXACT_PAIRS


def nearest(x: np.ndarray, others: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` nearest ``others`` (m, p) of each ``x`` (n, p): Euclidean distances and indices (n, k).

    Exact, never with all distances at once, up to `EXACT_PAIRS`; approximate (nearest neighbour descent)
    beyond. The same input gives the same neighbours, whatever the number of threads.
    """
    within = x is others
    x, others = (np.ascontiguousarray(a, dtype=np.float32) for a in (x, others))
    k = min(k, len(others))
    if is_exact(len(x), len(others)):
        return _exact(x, others, k)
    from pynndescent import NNDescent

    # on several threads the descent takes another way with every number of them
    search = NNDescent(others, n_neighbors=max(15, k), random_state=0, compressed=False, n_jobs=1)
    index, distance = search.neighbor_graph if within else search.query(x, k=k, epsilon=EPSILON)
    index, distance = index[:, :k].astype(np.int64), distance[:, :k]
    missed = np.flatnonzero((index < 0).any(axis=1))  # the descent may find fewer than k
    if len(missed):
        distance[missed], index[missed] = _exact(x[missed], others, k)
    return distance, index


def _exact(x: np.ndarray, others: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(others)
    parts = [search.kneighbors(x[i : i + CHUNK]) for i in range(0, len(x), CHUNK)]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


class NeighbourGraph:
    """`nearest` among the cells of one set, as scanpy wants it of a ``transformer``.

    scanpy's own choice for many cells returns a sparse array, which scanpy cannot read.
    """

    def __init__(self, n_neighbors: int):
        self.n_neighbors = n_neighbors

    def get_params(self, deep: bool = True) -> dict:
        return {"n_neighbors": self.n_neighbors}

    def fit_transform(self, x: np.ndarray) -> sparse.csr_matrix:
        """CSR (n, n): distances of each cell of x (n, p) to ``n_neighbors - 1`` others, nearest first."""
        distance, index = nearest(x, x, self.n_neighbors)
        others = index != np.arange(len(x))[:, None]
        others[others.all(axis=1), -1] = False  # the cell itself is not among those found: it has equals
        ends = np.arange(0, len(x) * (self.n_neighbors - 1) + 1, self.n_neighbors - 1)
        return sparse.csr_matrix((distance[others], index[others], ends), (len(x), len(x)))


def gaussian_weights(x: np.ndarray, others: np.ndarray, k: int) -> sparse.csr_matrix:
    """CSR (n, m): each ``x`` (n, p) weighs its ``k`` nearest ``others`` (m, p); rows sum to 1.

    The weight is Gaussian, as wide as the neighbours are far on average.
    """
    distance, index = nearest(x, others, k)
    width = np.maximum(distance.mean(axis=1, keepdims=True), 1e-12)
    weight = np.exp(-((distance / width) ** 2))
    weight /= weight.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(len(x)), index.shape[1])
    return sparse.csr_matrix((weight.ravel(), (rows, index.ravel())), (len(x), len(others)))


def mean_of(index: np.ndarray, values) -> np.ndarray:
    """Mean of the rows ``index`` (n, k) of values (m, p): float32 (n, p)."""
    rows = np.repeat(np.arange(len(index)), index.shape[1])
    ones = np.ones(index.size, np.float32)  # the sum first: 1 / k is not exact in float32
    total = sparse.csr_matrix((ones, (rows, index.ravel())), (len(index), values.shape[0])) @ values
    return np.asarray(total.todense() if sparse.issparse(total) else total, np.float32) / index.shape[1]
