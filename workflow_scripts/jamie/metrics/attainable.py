"""The Pearson r that a prediction without any noise could reach, given how few counts were measured.

Binomial thinning: each count is split in two by fair coin flips. If counts are Poisson, the halves are
independent given the cell's rates, so what they share is what can be predicted (Neufeld et al., Biostatistics
25, 270-287, 2024). Both halves are brought to the scale of prepared values, each at half the cell's depth.
Their correlation r over cells is the reliability of one half; that of the whole is 2 r / (1 + r) (Spearman,
Brown, British J. Psychology 3, 271-322, 1910), and a prediction equal to the expected value correlates with
what was measured by the square root of that (Spearman, American J. Psychology 15, 72-101, 1904).

Features where r can be told from 0 are chosen on one half of the cells and estimated on the other, so that
being chosen does not flatter. As the logarithm is not linear, the mean over features is right within some
percent, and for TF-IDF rather too high than too low.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jamie import contract as c
from jamie.data import preprocess
from jamie.linear.blocks import BLOCK_VALUES
from jamie.metrics.base import NotApplicable, metric

MIN_FEATURES, LEAST_MEAN = 10, 0.05  # for a ratio to what can be reached
N_SPLITS = 3  # thinnings that are averaged
MAX_CELLS = 10_000  # random ones of more tell the same
Z = 3.0  # standard errors above 0 that r must be in one half of the cells, for the other to be asked
MIN_TOGETHER = 5  # cells of that half where both halves of the count are above 0: below, r is an accident's


def attainable(adata, cells: np.ndarray, seed: int = 0) -> np.ndarray | None:
    """The attainable r of each feature of a modality, on the scale of its prepared values.

    Parameters
    ----------
    adata
        Of prepared.h5mu, with whole counts in ``layers["counts"]``.
    cells
        Rows to look at: those whose values are compared with imputed ones.

    Returns
    -------
    float (p,), NaN where a feature's r cannot be told from 0 in either half of the cells. None for a modality
    without counts, or whose counts are not whole numbers.
    """
    if c.COUNTS not in adata.layers:
        return None
    rng = np.random.default_rng(seed)
    cells = np.sort(rng.permutation(cells)[:MAX_CELLS])
    counts = sparse.csc_matrix(sparse.csr_matrix(adata.layers[c.COUNTS])[cells])
    if (counts.data != np.round(counts.data)).any():
        return None
    kind_of = adata.uns[c.PREPROCESSING]
    sizes = adata.obs[preprocess.SIZE].to_numpy(float)[cells]
    half_of = rng.permutation(len(cells)) % 2  # the half of the cells a cell is in
    splits = [_agreement(counts, sizes, half_of, kind_of, rng) for _ in range(N_SPLITS)]
    r, together = np.mean(splits, axis=0)
    told = (r * np.sqrt(np.bincount(half_of, minlength=2))[:, None] > Z) & (together >= MIN_TOGETHER)
    n_told = told.sum(axis=0)
    other = (r[::-1] * told).sum(axis=0) / np.maximum(n_told, 1)  # of the half that did not choose
    reliability = 2 * other / (1 + other)
    return np.where(n_told > 0, np.sqrt(np.maximum(reliability, 0)), np.nan)


def _agreement(counts: sparse.csc_matrix, sizes, half_of, state: dict, rng) -> np.ndarray:
    """Two thinned halves of the counts (n, p), in each half of the cells.

    Returns float (2, 2, p): their Pearson r, 0 where one is flat, and the number of cells that have both.
    """
    drawn = rng.binomial(counts.data.astype(np.int64), 0.5).astype(np.float32)
    halves = [
        sparse.csc_matrix((data, counts.indices, counts.indptr), counts.shape)
        for data in (drawn, counts.data - drawn)
    ]
    factors = [_row_factor(half, sizes / 2, state) for half in halves]
    n = np.bincount(half_of, minlength=2)[:, None]
    found, start = np.zeros((2, 2, counts.shape[1])), 0
    for stop in _column_blocks(counts):
        entries = slice(counts.indptr[start], counts.indptr[stop])
        rows = counts.indices[entries]
        columns = np.repeat(np.arange(stop - start), np.diff(counts.indptr[start : stop + 1]))
        group = half_of[rows] * (stop - start) + columns
        a, b = (np.log1p(f[rows] * half.data[entries]) for f, half in zip(factors, halves, strict=True))

        def total(values, group=group, width=stop - start) -> np.ndarray:
            return np.bincount(group, values, minlength=2 * width).reshape(2, width)

        mean_a, mean_b = total(a) / n, total(b) / n
        spread = (total(a * a) / n - mean_a**2) * (total(b * b) / n - mean_b**2)
        covariance = total(a * b) / n - mean_a * mean_b
        found[0, :, start:stop] = np.where(spread > 1e-12, covariance / np.sqrt(np.maximum(spread, 1e-12)), 0)
        found[1, :, start:stop] = total((a > 0) & (b > 0))
        start = stop
    return found


def _column_blocks(counts: sparse.csc_matrix):
    """Ends of blocks of columns that hold some millions of entries each."""
    ends = np.searchsorted(counts.indptr, np.arange(BLOCK_VALUES, counts.nnz, BLOCK_VALUES))
    return [int(end) for end in np.unique([*ends, counts.shape[1]]) if end > 0]


def _row_factor(half: sparse.csc_matrix, sizes: np.ndarray, state: dict) -> np.ndarray:
    """What a half's counts of a cell are multiplied by before the logarithm: float (n,)."""
    if state["kind"] == c.PROTEIN:  # the geometric mean of the half itself: it does not scale with depth
        sizes = np.exp(np.asarray(half.log1p().mean(axis=1), float).ravel())
    return preprocess.row_factor(sizes, state)


@metric(
    "pearson_attainable",
    needs=("attainable",),
    better="higher",
    perfect=1.0,
    chance=None,
    description="Pearson correlation a prediction without noise could reach, by binomial thinning of counts; "
    "the same for every method, mean of features where it can be told from 0.",
    per="modality",
)
def pearson_attainable(attainable) -> np.ndarray:
    """What :func:`attainable` found for these features, float (p,): of the data, not of a method."""
    return np.asarray(attainable, dtype=float)


@metric(
    "pearson_over_attainable",
    needs=("features",),
    better="higher",
    perfect=1.0,
    chance=0.0,
    description="Mean Pearson correlation over mean attainable one, of features where the latter is known.",
    per="modality",
)
def pearson_over_attainable(features) -> tuple[float, int]:
    """Ratio of means over the features that have both.

    Parameters
    ----------
    features
        DataFrame with columns ``pearson`` and ``pearson_attainable``.

    Returns
    -------
    The ratio, and the number of features. It can exceed 1 by chance, or where counts vary more than Poisson
    ones, as what two cells of one rate differ by is then partly shared by the halves.

    Raises
    ------
    NotApplicable
        Fewer than `MIN_FEATURES` have both, or what they could attain is too little to be divided by.
    """
    both = features[["pearson", "pearson_attainable"]].astype(float).dropna()
    if len(both) < MIN_FEATURES:
        raise NotApplicable(
            f"attainable r is known of {len(both)} feature{'s' * (len(both) != 1)}, fewer than {MIN_FEATURES}"
        )
    if both["pearson_attainable"].mean() < LEAST_MEAN:
        raise NotApplicable(f"the mean attainable r is below {LEAST_MEAN}: too little to be divided by")
    return float(both["pearson"].mean() / both["pearson_attainable"].mean()), len(both)
