"""From shared coordinates to a sparse soft matching of all cells."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jamie.data.correspondence import certain_pairs
from jamie.linear.neighbours import nearest

N_BALANCE = 10  # rounds of scaling rows and columns


def soft_match(z, k: int, *, known: sparse.csr_matrix | None = None, groups=None) -> sparse.csr_matrix:
    """F~ of cells with shared coordinates: CSR float32 (n_1, n_2).

    At most k entries a row, which sum to 1 at most.

    Each cell weighs the ``k`` nearest cells of the other modality by a Gaussian as wide as they are far on
    average; rows and columns are then balanced in turn (Sinkhorn and Knopp 1967), so that a cell near many
    has no more to give than others.

    Parameters
    ----------
    z
        Pair of float (n_1, r), (n_2, r).
    known
        Known F. A cell with a certain partner (value 1 and nothing else) keeps exactly that one. Other values
        are priors: a row with known values that sum to s keeps these, and 1 - s goes to what is estimated.
    groups
        Pair of string arrays (n_1,), (n_2,), or None: only cells of one group match; "" is free.
    """
    n, m = (len(side) for side in z)
    certain = certain_pairs(known) if known is not None else np.zeros((0, 2), dtype=int)
    free = [np.ones(n, bool), np.ones(m, bool)]
    for axis in (0, 1):
        free[axis][certain[:, axis]] = False
    found = sparse.csr_matrix((n, m))
    for rows, cols in _blocks(free, groups):
        found = found.maximum(_candidates(z, rows, cols, k, (n, m)))
    found = top(_balance(found), k)
    if known is not None:
        fixed = sparse.csr_matrix((np.ones(len(certain)), (certain[:, 0], certain[:, 1])), (n, m))
        found = top(_with_priors(found, known, free), k) + fixed
    return sparse.csr_matrix(found, dtype=np.float32)


def told_apart(match: sparse.csr_matrix, z, sizes, k: int) -> np.ndarray:
    """How far each row of a matching is to be believed, float (n_1,), 0 to 1.

    A cell of a kind that the other modality lacks still has nearest cells there. But these have nearer ones,
    and are not as far out in its direction. So this is the share of a row that lies on cells among whose
    ``k`` nearest it is, times how near it is to the mean of its matches; 1 from the median of all rows on.

    Parameters
    ----------
    match
        (n_1, n_2), from `soft_match`.
    z
        The coordinates it follows from, of unit length: (n_1, r), (n_2, r).
    sizes
        The same before they were brought to unit length.
    k
        As of `soft_match`; where the first modality has more cells, as many more count.
    """
    entries, total = match.tocoo(), np.maximum(_sums(match, 1), 1e-12)
    distance = np.linalg.norm(z[0][entries.row] - z[1][entries.col], axis=1)
    among = nearest(z[1], z[0], int(np.ceil(k * max(1.0, len(z[0]) / len(z[1])))))[0][:, -1]
    is_mutual = distance <= among[entries.col] + 1e-6
    mutual = np.bincount(entries.row, entries.data * is_mutual, match.shape[0]) / total
    sd = [np.maximum(u.std(axis=0), 1e-12) for u in sizes]
    own, other = (u / s * np.sqrt(sd[0] * sd[1]) for u, s in zip(sizes, sd, strict=True))
    away = np.linalg.norm(own - sparse.diags(1 / total) @ match @ other, axis=1)
    share = mutual * np.minimum(1, np.median(away) / np.maximum(away, 1e-12))
    return np.minimum(1, share / max(np.median(share), 1e-12))


def top(f: sparse.csr_matrix, k: int) -> sparse.csr_matrix:
    """The ``k`` largest values of each row, scaled to the row's sum, 1 at most."""
    f = sparse.csr_matrix(f)
    entries = f.tocoo()
    order = np.lexsort((entries.col, -entries.data, entries.row))
    row, col, value = entries.row[order], entries.col[order], entries.data[order]
    start = np.concatenate([[0], np.cumsum(np.diff(f.indptr))])
    keep = np.arange(len(row)) - start[row] < k
    kept = sparse.csr_matrix((value[keep], (row[keep], col[keep])), f.shape)
    total = np.minimum(_sums(f, 1), 1)
    return sparse.csr_matrix(sparse.diags(total / np.maximum(_sums(kept, 1), 1e-12)) @ kept)


def _blocks(free, groups):
    """Pairs of cell indices between which matches may be."""
    rows, cols = (np.flatnonzero(side) for side in free)
    if groups is None:
        return [(rows, cols)] if len(rows) and len(cols) else []
    first, second = (np.asarray(g, dtype=str) for g in groups)
    blocks = []
    for name in np.union1d(first[rows], second[cols]):
        if name == "":
            blocks += [(rows[first[rows] == ""], cols), (rows, cols[second[cols] == ""])]
        else:
            blocks.append((rows[first[rows] == name], cols[second[cols] == name]))
    return [block for block in blocks if len(block[0]) and len(block[1])]


def _candidates(z, rows, cols, k: int, shape) -> sparse.csr_matrix:
    """Gaussian weights of the nearest cells, in both directions."""
    weights = []
    for source, target, own, others in ((z[0], z[1], rows, cols), (z[1], z[0], cols, rows)):
        distance, index = nearest(source[own], target[others], k)
        width = np.maximum(distance.mean(axis=1, keepdims=True), 1e-9)
        value = np.maximum(np.exp(-((distance / width) ** 2) / 2), 1e-12).ravel()
        weights.append((value, (np.repeat(own, index.shape[1]), others[index.ravel()])))
    (a, (i, j)), (b, (u, v)) = weights
    return sparse.csr_matrix((a, (i, j)), shape).maximum(sparse.csr_matrix((b, (v, u)), shape))


def _balance(f: sparse.csr_matrix) -> sparse.csr_matrix:
    """Rows that sum to 1, and columns that share them evenly as far as the entries allow."""
    f = sparse.csr_matrix(f)
    if f.nnz == 0:
        return f
    n_rows, n_cols = (np.count_nonzero(_sums(f, axis)) for axis in (1, 0))
    for _ in range(N_BALANCE):
        f = f @ sparse.diags((n_rows / n_cols) / np.maximum(_sums(f, 0), 1e-12))
        f = sparse.diags(1 / np.maximum(_sums(f, 1), 1e-12)) @ f
    return sparse.csr_matrix(f)


def _with_priors(found, known, free) -> sparse.csr_matrix:
    """Known values below 1, and what is estimated in the rest of their row."""
    open_ = sparse.diags(free[0].astype(float)) @ known @ sparse.diags(free[1].astype(float))
    total = _sums(open_, 1)
    prior = sparse.diags(1 / np.maximum(total, 1)) @ open_
    return sparse.csr_matrix(prior + sparse.diags(np.maximum(1 - total, 0)) @ found)


def _sums(f, axis: int) -> np.ndarray:
    return np.asarray(f.sum(axis=axis)).ravel()
