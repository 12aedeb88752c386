"""How well imputed values agree with measured ones, feature by feature.

Every metric takes blocks (n_cells, p) whose rows are the same cells, and returns one value per feature (p,).
NaN means that the truth leaves the metric undefined for this feature; such features do not enter any mean.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy import special

from jamie.metrics.base import metric

MIN_VALUES = 3  # measured values a feature needs
MIN_WITHIN = 5  # of a group of cells, so that its own mean says little of a single cell
_FLAT = 1e-6  # relative to the largest value: a range below it is rounding of float32


def _valid(missing) -> np.ndarray | None:
    """Which entries are truth: bool (n_cells, p), or None where all are, which saves most of the time."""
    return None if missing is None else ~np.asarray(missing, dtype=bool)


def _masked(values, valid):
    """``values`` with 0 where not valid; rows are contiguous either way, so that sums round alike."""
    return np.ascontiguousarray(values) if valid is None else np.where(valid, values, 0)


def _number(measured, valid) -> np.ndarray:
    """Valid values per feature: int (p,)."""
    return np.full(measured.shape[1], len(measured)) if valid is None else valid.sum(axis=0)


def _range(values, valid) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest valid value per feature, (p,) each; inf and -inf without any."""
    where = True if valid is None else valid
    low = np.min(values, axis=0, where=where, initial=np.inf)
    return low, np.max(values, axis=0, where=where, initial=-np.inf)


def _is_flat(values, valid) -> np.ndarray:
    """bool (p,): the valid values of this feature are one value."""
    low, high = _range(values, valid)
    return ~(high - low > _FLAT * np.maximum(np.abs(high), np.abs(low)))


def _ratio(numerator, denominator, defined) -> np.ndarray:
    """numerator / denominator (p,), NaN where not defined or where the denominator is 0."""
    denominator = np.asarray(denominator, dtype=np.float64)
    out = np.full(denominator.shape, np.nan)
    return np.divide(numerator, denominator, out=out, where=defined & (denominator > 0))


def _undefined(measured, valid) -> np.ndarray:
    """bool (p,): too few measured values, or the truth is constant."""
    return (_number(measured, valid) < MIN_VALUES) | _is_flat(measured, valid)


@metric(
    "pearson",
    needs=("measured", "imputed", "missing"),
    better="higher",
    perfect=1.0,
    chance=0.0,
    description="Pearson correlation of measured and imputed values over cells, mean of features.",
    per="modality",
)
def pearson(measured, imputed, missing=None) -> np.ndarray:
    """Pearson r per feature.

    Parameters
    ----------
    measured, imputed
        (n_cells, p), on one scale.
    missing
        bool (n_cells, p): entries of ``measured`` that are not truth; None = all are.

    Returns
    -------
    float (p,). A constant imputed feature has no linear information: 0. A feature whose truth is constant, or
    has fewer than 3 values, is undefined: NaN.
    """
    valid = _valid(missing)
    n = np.maximum(_number(measured, valid), 1)

    def centred(values):
        if valid is None:
            return values - values.mean(axis=0, dtype=np.float64)
        values = np.where(valid, values, 0).astype(np.float64)
        return np.where(valid, values - values.sum(axis=0) / n, 0)

    def product(a, b):
        return np.einsum("ij,ij->j", a, b)

    x, y = centred(np.asarray(measured)), centred(np.asarray(imputed))
    spread = np.sqrt(product(x, x) * product(y, y))
    flat = _is_flat(imputed, valid) | (spread == 0)
    r = _ratio(product(x, y), np.where(flat, 1, spread), ~_undefined(measured, valid))
    return np.clip(np.where(flat & np.isfinite(r), 0, r), -1, 1)


@metric(
    "pearson_within",
    needs=("measured", "imputed", "missing", "groups"),
    better="higher",
    perfect=1.0,
    chance=0.0,
    description="Pearson correlation within cell types (clusters where there are no labels): of values less "
    "their type's mean, over all types, mean of features.",
    per="modality",
)
def pearson_within(measured, imputed, missing=None, groups=None, min_cells=MIN_WITHIN) -> np.ndarray:
    """Pearson r per feature of values less the mean of the cell's group, in measured and imputed alike.

    Groups are pooled: with s_g and c_g the sums of squares and products of group g around its own means, r is
    sum c_g / sqrt(sum s_g of measured * sum s_g of imputed), so a group weighs as its cells and their spread.

    Parameters
    ----------
    measured, imputed, missing
        (n_cells, p), as in :func:`pearson`.
    groups
        int (n_cells,), below 0 = in none and left out; None = one group of all cells.
    min_cells
        A group with fewer values of a feature is left out for this feature.

    Returns
    -------
    float (p,). Imputed values that are constant within every group: 0. NaN where no group has enough values,
    or the truth is constant within all of them.
    """
    groups = np.zeros(len(measured), dtype=int) if groups is None else np.asarray(groups)
    rows = np.argsort(groups, kind="stable")[(groups < 0).sum() :]  # group after group
    starts, sizes = np.unique(groups[rows], return_index=True, return_counts=True)[1:]
    valid = np.ones((len(rows), 1), bool) if missing is None else _valid(missing)[rows]
    n = np.add.reduceat(valid, starts, axis=0, dtype=int)  # (group, p), or (group, 1)
    used = valid & np.repeat(n >= min_cells, sizes, axis=0)

    def largest(values) -> np.ndarray:
        return np.maximum(-values.min(axis=0, initial=0), values.max(axis=0, initial=0))

    def centred(values) -> tuple[np.ndarray, np.ndarray]:
        values = np.asarray(values)[rows].astype(np.float64)
        if missing is not None:
            values[~valid] = 0
        rounding = _FLAT * largest(values)
        for start, size, number in zip(starts, sizes, np.maximum(n, 1), strict=True):
            group = values[start : start + size]
            group -= group.sum(axis=0) / number
        if not used.all():
            values *= used
        return values, largest(values) <= rounding

    (x, x_flat), (y, y_flat) = centred(measured), centred(imputed)
    spread = np.sqrt(np.einsum("ij,ij->j", x, x) * np.einsum("ij,ij->j", y, y))
    defined = (used.sum(axis=0) >= MIN_VALUES) & ~x_flat
    r = _ratio(np.einsum("ij,ij->j", x, y), np.where(y_flat, 1, spread), defined)
    return np.clip(np.where(y_flat & defined, 0, r), -1, 1)


def binarise(measured, counts=None, missing=None) -> np.ndarray:
    """The truth as yes / no, per feature: count > 0, or without counts value > median of the feature.

    Parameters
    ----------
    measured, counts, missing
        (n_cells, p); ``counts`` None for a modality without counts.

    Returns
    -------
    bool (n_cells, p); False where missing.
    """
    valid = _valid(missing)
    if counts is not None:
        return _masked(np.asarray(counts) > 0, valid).astype(bool)
    if valid is None or valid.all():
        return measured > np.median(measured, axis=0)
    with warnings.catch_warnings():  # a feature without any value: all False, which auroc leaves out
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        median = np.nanmedian(np.where(valid, measured, np.nan), axis=0)
    return (measured > median) & valid


@metric(
    "auroc",
    needs=("positive", "imputed", "missing"),
    better="higher",
    perfect=1.0,
    chance=0.5,
    description="Area under the ROC curve for the truth binarised per feature, mean of features.",
    per="modality",
)
def auroc(positive, imputed, missing=None) -> np.ndarray:
    """Area under the ROC curve per feature, from ranks (Mann-Whitney U; ties count half).

    Parameters
    ----------
    positive
        bool (n_cells, p), see :func:`binarise`.
    imputed, missing
        (n_cells, p), as in :func:`pearson`.

    Returns
    -------
    float (p,), NaN where the truth has one class only.
    """
    valid = _valid(missing)
    positive = _masked(np.asarray(positive, dtype=bool), valid).astype(bool)
    n, n_positive = _number(positive, valid), positive.sum(axis=0)
    # missing entries take the lowest ranks, which are then taken off again
    values = np.asarray(imputed) if valid is None else np.where(valid, imputed, -np.inf)
    by_feature = (np.ascontiguousarray(of.T) for of in (values, positive))
    ranks = np.array([_rank_sum(*of) for of in zip(*by_feature, strict=True)])
    u = ranks - n_positive * (len(positive) - n) - n_positive * (n_positive + 1) / 2
    return _ratio(u, n_positive * (n - n_positive), n >= MIN_VALUES)


def _rank_sum(values, chosen) -> float:
    """Sum of the ranks (1 is the lowest, equal values share their mean) of the chosen ones of values (n,).

    Values are sorted, not their order: several times faster; the chosen ones, often few, find their place.
    """
    ordered, wanted = np.sort(values), np.sort(values[chosen])
    below, up_to = (np.searchsorted(ordered, wanted, side) for side in ("left", "right"))
    return (below.sum() + up_to.sum() + len(wanted)) / 2


@metric(
    "rmse",
    needs=("measured", "imputed", "missing", "sd"),
    better="lower",
    perfect=0.0,
    chance=None,
    description="Root mean squared error in training standard deviations of the feature, mean of features.",
    per="modality",
)
def rmse(measured, imputed, missing=None, sd=1.0) -> np.ndarray:
    """Root mean squared error per feature, in training standard deviations.

    Parameters
    ----------
    measured, imputed, missing
        (n_cells, p), as in :func:`pearson`.
    sd
        (p,): standard deviation of the feature over training cells.

    Returns
    -------
    float (p,), NaN where ``sd`` is 0 or there are fewer than 3 values.
    """
    valid = _valid(missing)
    n = _number(measured, valid)
    error = _masked(np.subtract(measured, imputed, dtype=np.float64), valid)
    root = np.sqrt((error**2).sum(axis=0) / np.maximum(n, 1))
    return _ratio(root, np.broadcast_to(sd, root.shape), n >= MIN_VALUES)


@metric(
    "r2",
    needs=("measured", "imputed", "missing", "mean"),
    better="higher",
    perfect=1.0,
    chance=0.0,
    description="1 - squared error / squared error of the feature's training mean, mean of features.",
    per="modality",
)
def r2(measured, imputed, missing=None, mean=0.0) -> np.ndarray:
    """Coefficient of determination per feature against the training mean: below 0 is worse than the mean.

    Parameters
    ----------
    measured, imputed, missing
        (n_cells, p), as in :func:`pearson`.
    mean
        (p,): mean of the feature over training cells.

    Returns
    -------
    float (p,), NaN where the truth is constant in these cells or has fewer than 3 values.
    """
    valid = _valid(missing)
    error = _masked(np.subtract(measured, imputed, dtype=np.float64), valid)
    baseline = _masked(np.subtract(measured, mean, dtype=np.float64), valid)
    return 1 - _ratio((error**2).sum(axis=0), (baseline**2).sum(axis=0), ~_undefined(measured, valid))


def _histograms(values, low, width, groups, valid, n_bins) -> np.ndarray:
    """Counts (group, p, bin) of values (n_cells, p) where valid; groups int (n_cells,) from 0."""
    shape = (groups.max(initial=-1) + 1, values.shape[1], n_bins)
    bins = values - low
    bins /= width
    np.clip(bins, 0, n_bins - 1, out=bins)
    flat = bins.astype(np.int64)
    flat += (groups[:, None] * shape[1] + np.arange(shape[1])) * n_bins
    flat = flat.ravel() if valid is None or valid.all() else flat[valid]
    return np.bincount(flat, minlength=np.prod(shape)).reshape(shape)


@metric(
    "js_distance",
    needs=("measured", "imputed", "missing", "cell_types"),
    better="lower",
    perfect=0.0,
    chance=None,
    description="Jensen-Shannon distance of measured and imputed values within types of 10 cells or more.",
    per="modality",
)
def js_distance(measured, imputed, missing=None, cell_types=None, n_bins=20, min_cells=10) -> np.ndarray:
    """Jensen-Shannon distance per feature between the two distributions, in [0, 1].

    Histograms of ``n_bins`` equal bins over the joint range of the feature's measured and imputed values; one
    distance per cell type, averaged with the number of cells as weight. Square root of the divergence, base 2
    (Endres & Schindelin 2003): 0 for identical, 1 for disjoint histograms.

    Parameters
    ----------
    measured, imputed, missing
        (n_cells, p), as in :func:`pearson`.
    cell_types
        int (n_cells,), below 0 = not known and left out; None = one group of all cells.
    min_cells
        A cell type with fewer values of a feature is left out for this feature.

    Returns
    -------
    float (p,), NaN where no cell type has enough values.
    """
    valid = _valid(missing)
    cell_types = np.zeros(len(measured), dtype=int) if cell_types is None else np.asarray(cell_types)
    both = [np.asarray(values, dtype=np.float64) for values in (measured, imputed)]
    low, high = np.array([_range(values, valid) for values in both]).transpose(1, 0, 2)
    low, high = low.min(axis=0), high.max(axis=0)
    differs = high - low > _FLAT * np.maximum(np.abs(high), np.abs(low))
    width = np.where(differs, high - low, np.inf) / n_bins  # one value: all in the first bin
    low = np.where(np.isfinite(low), low, 0)
    rows = np.flatnonzero(cell_types >= 0)
    groups = np.unique(cell_types[rows], return_inverse=True)[1]
    kept = None if valid is None else valid[rows]
    histograms = [_histograms(values[rows], low, width, groups, kept, n_bins) for values in both]
    total, weight = np.zeros(len(low)), np.zeros(len(low))
    for p, q in zip(*histograms, strict=True):
        n = p.sum(axis=1)
        p, q = p / np.maximum(n, 1)[:, None], q / np.maximum(n, 1)[:, None]
        middle = (p + q) / 2
        divergence = (special.rel_entr(p, middle) + special.rel_entr(q, middle)).sum(axis=1) / 2 / np.log(2)
        used = np.where(n >= min_cells, n, 0)
        total += used * np.sqrt(np.clip(divergence, 0, 1))  # rounding can leave [0, 1] by 1e-16
        weight += used
    return _ratio(total, weight, weight > 0)
