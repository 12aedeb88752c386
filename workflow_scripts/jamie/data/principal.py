"""Principal axes of scaled values, without ever scaling, centring or copying the matrix as a whole.

Exact where one side of the matrix is small: from the p x p covariance or the n x n products of cells. Else
block Lanczos on the implicitly centred covariance (Golub & Underwood 1977), two sparse products a step. It
finds what ``PCA(svd_solver="arpack")`` of scikit-learn finds, sooner, as it multiplies by many vectors at a
time, and without a scaled float64 copy of the data.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from scipy import sparse

from jamie.data.blocks import row_blocks

log = logging.getLogger(__name__)

EXACT_SIZE = 2500  # the largest dense square matrix that is decomposed
BLOCK_VECTORS = 32
TOLERANCE = 1e-3  # residual of an axis, relative to its variance; the error of the variance is its square


def principal_axes(x, sd: np.ndarray, n_components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and leading principal axes of x / sd, the same for the same input.

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
    if p <= EXACT_SIZE:
        squares, axes = _from_covariance(x, sd, center, k)
    elif n <= EXACT_SIZE:
        squares, axes = _from_products_of_cells(x, sd, center, k)
    else:
        squares, axes = block_lanczos(_covariance_product(x, sd, center), p, k, most=min(n - 1, p))
    axes, _ = svd_flip(axes, np.zeros_like(axes).T, u_based_decision=True)
    # one memory order, before and after saving: products then round alike
    return center, np.ascontiguousarray(axes.T), np.maximum(squares, 0) / (n - 1)


def _dense(block) -> np.ndarray:
    return np.asarray(block.toarray() if sparse.issparse(block) else block, dtype=np.float64)


def _largest(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest eigenvalues (k,), falling, and their vectors (size, k) of a symmetric matrix."""
    from scipy.linalg import eigh

    values, vectors = eigh(matrix, subset_by_index=[len(matrix) - k, len(matrix) - 1])
    return values[::-1], vectors[:, ::-1]


def _from_covariance(x, sd, center, k: int) -> tuple[np.ndarray, np.ndarray]:
    n, p = x.shape
    covariance = np.zeros((p, p))
    for rows in row_blocks(n, p):
        block = _dense(x[rows]) / sd - center
        covariance += block.T @ block
    return _largest(covariance, k)


def _from_products_of_cells(x, sd, center, k: int) -> tuple[np.ndarray, np.ndarray]:
    n, p = x.shape
    by_column = sparse.csc_matrix(x) if sparse.issparse(x) else x
    products, axes = np.zeros((n, n)), np.empty((p, k))
    for columns in row_blocks(p, n):
        block = _dense(by_column[:, columns]) / sd[columns] - center[columns]
        products += block @ block.T
    squares, vectors = _largest(products, k)
    for columns in row_blocks(p, n):
        axes[columns] = (_dense(by_column[:, columns]) / sd[columns] - center[columns]).T @ vectors
    return squares, np.linalg.qr(axes)[0]  # orthogonal already, but of length 0 where cells are equal


def _covariance_product(x, sd, center) -> Callable[[np.ndarray], np.ndarray]:
    """q (p, b) -> S^T S q for S = x / sd - center; the products of cells in float32, all else in float64."""

    def product(q: np.ndarray) -> np.ndarray:
        scaled, offset = (q / sd[:, None]).astype(np.float32), (center @ q).astype(np.float32)
        total, sums = np.zeros(q.shape), np.zeros(q.shape[1])
        for rows in row_blocks(*x.shape):
            scores = x[rows] @ scaled - offset
            total += x[rows].T @ scores
            sums += scores.sum(axis=0, dtype=np.float64)
        return total / sd[:, None] - np.outer(center, sums)

    return product


def block_lanczos(product: Callable, size: int, k: int, *, most: int, tolerance: float = TOLERANCE):
    """Leading eigenpairs of a symmetric positive operator.

    Parameters
    ----------
    product
        (size, b) -> (size, b).
    k
        How many are wanted.
    most
        Largest dimension of the search space; its rank is enough.
    tolerance
        Largest norm of the residual, relative to the eigenvalue.

    Returns
    -------
    values : float64 (k,), falling
    vectors : float64 (size, k), orthonormal
    """
    q = np.linalg.qr(np.random.default_rng(0).normal(size=(size, min(BLOCK_VECTORS, most))))[0]
    basis, images, n_checked = np.empty((size, 0)), np.empty((size, 0)), 0
    while True:
        image = product(q)
        basis, images = np.hstack([basis, q]), np.hstack([images, image])
        full = basis.shape[1] >= most
        if full or basis.shape[1] >= max(k, 1.1 * n_checked):
            n_checked = basis.shape[1]
            projected = basis.T @ images
            values, inner = _largest((projected + projected.T) / 2, k)
            vectors = basis @ inner
            residual = np.linalg.norm(images @ inner - vectors * values, axis=0)
            if full or (residual <= tolerance * values + 1e-6 * values[0]).all():
                log.debug("block Lanczos: %d dimensions, residual %.1e", n_checked, residual.max())
                return values, vectors
        for _ in range(2):  # once is not enough for what is nearly in the space already
            image -= basis @ (basis.T @ image)
            image = np.linalg.qr(image)[0]
        q = image[:, : most - basis.shape[1]]
