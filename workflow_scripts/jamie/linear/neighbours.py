"""Nearest cells, and what follows from them: weights, and means over neighbours."""

from __future__ import annotations

import numpy as np
from scipy import sparse

EXACT_BELOW = 20_000  # cells; above, neighbours are approximate
CHUNK = 4096


def nearest(x: np.ndarray, others: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``k`` nearest ``others`` (m, p) of each ``x`` (n, p): Euclidean distances and indices (n, k).

    Exact where one side is small, approximate (nearest neighbour descent) where both are large.
    """
    x, others = (np.ascontiguousarray(a, dtype=np.float32) for a in (x, others))
    k = min(k, len(others))
    if min(len(x), len(others)) > EXACT_BELOW:
        from pynndescent import NNDescent

        index = NNDescent(others, n_neighbors=max(15, k), random_state=0, compressed=False)
        found, distance = index.query(x, k=k)
        return distance, found.astype(np.int64)
    from sklearn.neighbors import NearestNeighbors

    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(others)
    parts = [search.kneighbors(x[i : i + CHUNK]) for i in range(0, len(x), CHUNK)]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


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
