"""Work on a large matrix in blocks of cells: no copy of the whole, and float64 for one block at a time."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import sparse

BLOCK_VALUES = 4_000_000  # cells x features of a block: 32 MB if it were dense float64
_FLAT = 1e-8  # of the mean: an sd below it is rounding


def row_blocks(n: int, p: int) -> Iterator[slice]:
    """Slices that cover ``n`` rows of a matrix with ``p`` columns, in order."""
    size = max(1, BLOCK_VALUES // max(p, 1))
    for start in range(0, n, size):
        yield slice(start, min(start + size, n))


def dense(matrix) -> np.ndarray:
    """The same values as an array, of a sparse matrix or an array."""
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def count_nonzero(matrix) -> tuple[np.ndarray, np.ndarray]:
    """How many values of each row and of each column are not 0: int (n,) and (p,), of CSR or an array."""
    n, p = matrix.shape
    of_row, of_column = np.zeros(n, dtype=np.int64), np.zeros(p, dtype=np.int64)
    for rows in row_blocks(n, p):
        present = matrix[rows] != 0
        of_row[rows] += np.asarray(present.sum(axis=1)).ravel()
        of_column += np.asarray(present.sum(axis=0)).ravel()
    return of_row, of_column


def moments(x, y: np.ndarray) -> np.ndarray:
    """x' y: float32 (p, k) of x (n, p), sparse or dense, and y (n, k), dense.

    Dense block by block: a value costs a sparse product many times what it costs a dense one.
    """
    x = sparse.csc_matrix(x) if sparse.issparse(x) else x
    y = np.asarray(y, dtype=np.float32)
    found = np.empty((x.shape[1], y.shape[1]), dtype=np.float32)
    for columns in row_blocks(x.shape[1], x.shape[0]):
        found[columns] = dense(x[:, columns]).astype(np.float32, copy=False).T @ y
    return found


def scaled_log1p(counts: sparse.csr_matrix, per_row: np.ndarray, per_column: np.ndarray | None = None):
    """log1p(row factor x count) x column factor: CSR float32 (n, p), computed in float64.

    Parameters
    ----------
    counts
        CSR (n, p).
    per_row, per_column
        float (n,), float (p,) or None for 1.

    Returns
    -------
    A matrix that shares ``indices`` and ``indptr`` with ``counts``.
    """
    values = np.empty(counts.nnz, dtype=np.float32)
    for rows in row_blocks(*counts.shape):
        bounds = counts.indptr[rows.start : rows.stop + 1]
        part = slice(bounds[0], bounds[-1])
        block = counts.data[part] * np.repeat(np.asarray(per_row, float)[rows], np.diff(bounds))
        np.log1p(block, out=block)
        if per_column is not None:
            block *= per_column[counts.indices[part]]
        values[part] = block
    return sparse.csr_matrix((values, counts.indices, counts.indptr), shape=counts.shape)


def column_mean_sd(matrix) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column of (n, p), float64 (p,) each; sd of equal values is 0."""
    from sklearn.utils.sparsefuncs import incr_mean_variance_axis

    if not sparse.issparse(matrix):
        matrix = np.asarray(matrix, dtype=np.float64)
        return matrix.mean(axis=0), np.where(np.ptp(matrix, axis=0) > 0, matrix.std(axis=0), 0)
    p = matrix.shape[1]
    mean, variance, n = np.zeros(p), np.zeros(p), np.zeros(p)
    for rows in row_blocks(*matrix.shape):
        block = sparse.csr_matrix(matrix[rows], dtype=np.float64)
        mean, variance, n = incr_mean_variance_axis(
            block, axis=0, last_mean=mean, last_var=variance, last_n=n
        )
    sd = np.sqrt(np.maximum(variance, 0))
    return mean, np.where(sd > _FLAT * np.abs(mean), sd, 0)
