"""Principal axes of scaled values, without ever scaling, centring or copying the matrix as a whole.

Exact where one side of the matrix is short. Else a randomised block Krylov method (Musco and Musco 2015,
algorithm 2) on the implicit product of the shorter side: it meets the sparse matrix a few times, with many
vectors at once. Directions that stand out are exact to rounding; in a flat tail of noise, where axes are
arbitrary anyway, those found hold a little less variance than the best ones.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from jamie.linear.blocks import row_blocks

SHORT = 2_000  # cells or features: the largest matrix of products that is computed and decomposed
BLOCK = 64  # vectors multiplied at once
KRYLOV = (500, 5)  # dimensions of the space that is searched: in any case, and for every axis wanted


def principal_axes(x, sd: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and leading principal axes of x / sd; the same input gives the same bits.

    Parameters
    ----------
    x
        (n, p), dense or CSR, finite.
    sd
        (p,) > 0.
    n_components
        Axes wanted; there are at most min(n - 1, p).

    Returns
    -------
    center : float64 (p,)
    axes : float64 (k, p)
        Orthonormal rows, by falling variance; the largest loading of each is positive.
    variance : float64 (k,)
        Over cells, with n - 1.
    """
    from sklearn.utils.extmath import svd_flip

    n, p = x.shape
    k = min(n_components, p, n - 1)
    center = sum(np.asarray(x[rows].sum(axis=0), float).ravel() for rows in row_blocks(n, p)) / n / sd
    to_cells, to_features = _maps(x, sd, center)
    if min(n, p) <= max(SHORT, 2 * k):
        squares, vectors = _largest(_products(x, sd, center), k)
    elif p <= n:
        squares, vectors = _largest_implicit(lambda q: to_features(to_cells(q)), p, k)
    else:
        squares, vectors = _largest_implicit(lambda u: to_cells(to_features(u)), n, k)
    if p > n:  # orthogonal already, but of length 0 where cells are equal
        vectors = np.linalg.qr(to_features(vectors))[0]
    axes, _ = svd_flip(vectors, np.zeros_like(vectors).T, u_based_decision=True)
    # one memory order, before and after saving: products then round alike
    return center, np.ascontiguousarray(axes.T), np.maximum(squares, 0) / (n - 1)


def _maps(x, sd, center) -> tuple[Callable, Callable]:
    """q (p, b) -> S q (n, b) and u (n, b) -> S^T u (p, b), for S = x / sd - center, in x's precision."""

    def to_cells(q: np.ndarray) -> np.ndarray:
        return x @ (q / sd[:, None]).astype(x.dtype) - center @ q

    def to_features(u: np.ndarray) -> np.ndarray:
        return (x.T @ u.astype(x.dtype)) / sd[:, None] - np.outer(center, u.sum(axis=0))

    return to_cells, to_features


def _products(x, sd, center) -> np.ndarray:
    """S^T S (p, p) or S S^T (n, n), whichever is smaller, for S = x / sd - center; float64, in blocks."""
    n, p = x.shape
    if p <= n:
        blocks = (_dense(x[rows]) / sd - center for rows in row_blocks(n, p))
    else:
        x = sparse.csc_matrix(x) if sparse.issparse(x) else x
        blocks = ((_dense(x[:, part]) / sd[part] - center[part]).T for part in row_blocks(p, n))
    return sum(block.T @ block for block in blocks)


def _dense(block) -> np.ndarray:
    return np.asarray(block.toarray() if sparse.issparse(block) else block, dtype=np.float64)


def _largest(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest eigenvalues (k,), falling, and their vectors (size, k) of a symmetric matrix."""
    from scipy.linalg import eigh

    values, vectors = eigh(matrix, subset_by_index=[len(matrix) - k, len(matrix) - 1])
    return values[::-1], vectors[:, ::-1]


def _largest_implicit(product: Callable, size: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The same of the symmetric matrix behind a product (size, b) -> (size, b), from a Krylov space."""
    width = min(BLOCK, size)
    n_blocks = min(-(-(KRYLOV[0] + KRYLOV[1] * k) // width), size // width)
    basis, images = np.empty((2, size, n_blocks * width))
    block = np.random.default_rng(0).normal(size=(size, width))
    for start in range(0, n_blocks * width, width):
        done, new = basis[:, :start], slice(start, start + width)
        for _ in range(2):  # once more after scaling: what is left of an exhausted space is rounding
            block = np.linalg.qr(block - done @ (done.T @ block))[0]
        basis[:, new] = block
        images[:, new] = block = product(block)
    values, vectors = _largest(basis.T @ images, k)
    return values, basis @ vectors
