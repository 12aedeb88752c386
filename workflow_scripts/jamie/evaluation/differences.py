"""Differences between groups of cells, from measured values with the help of imputed ones.

Imputed values are conditional means: taken for measurements they vary too little and carry the model's
errors, so tests on them are wrong. Prediction-powered inference uses them otherwise: the mean of a
group is that of the measured values, moved by how the imputed values of the cells that lack the
modality differ from the imputed values of measured cells (whose own value the imputing fit had not
seen)::

    mean = mean(y) + lambda * (mean(f of lacking cells) - mean(f of measured cells))

which has the right expectation however wrong f is, and the less variance the better f is. A group is
compared with the others each by itself: the mean of each group by its share of all cells, so that a
group that was measured more often than others does not weigh more.

lambda is 0 (measured values alone) to 1 and chosen for the least variance (power tuning), per group and
feature. Cells that were measured in this modality alone have no f and count through mean(y).

Sources: Angelopoulos et al., Science 382, 669-674 (2023), and arXiv:2311.01453 (power tuning);
cross-fitting: Zrnic and Candes, PNAS 121, e2322083121 (2024). Estimates and their errors are those of
`ppi_py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

MIN_CELLS = 20  # measured cells of a group, below which nothing is said
MIN_NONZERO = 20  # of them with a value that is not zero: below, means are not normal, their errors too small
SURPRISE = (
    1e-4  # chance of as many such cells if groups did not differ, at which a rare feature is tested too
)
MIN_PREDICTED = 50  # measured cells of a group with an imputed value, below which lambda is 0
LEVEL = 0.95  # of intervals
COLUMNS = (
    "modality",
    "group",
    "feature",
    "difference",
    "ci_low",
    "ci_high",
    "p_value",
    "q_value",
    "difference_measured",
    "ci_low_measured",
    "ci_high_measured",
    "p_value_measured",
    "q_value_measured",
    "n_measured",
    "n_imputed",
    "reason",
)


@dataclass
class Cells:
    """Cells of three sorts and their groups.

    Attributes
    ----------
    paired
        Group of each cell that was measured, and imputed by a fit that had not seen it: str (n_paired,).
    lacking
        Of those with an imputed value alone: str (n_lacking,).
    alone
        Of those with a measured value alone: str (n_alone,).
    """

    paired: np.ndarray
    lacking: np.ndarray
    alone: np.ndarray

    def groups(self) -> list[str]:
        """Groups of which there are enough measured cells to say something, in order."""
        names, n = np.unique(np.concatenate([self.paired, self.alone]), return_counts=True)
        return names[n >= MIN_CELLS].tolist()


@dataclass
class Means:
    """Of each group (g) and feature (p): mean, its standard error squared, and degrees of freedom."""

    mean: np.ndarray
    variance: np.ndarray
    df: np.ndarray


def compare(
    cells: Cells,
    measured: np.ndarray,
    predicted: np.ndarray,
    imputed: np.ndarray,
    alone: np.ndarray,
    *,
    zeros: bool,
) -> pd.DataFrame:
    """Each group against the others, for a block of features.

    Parameters
    ----------
    cells
        Groups of the cells below.
    measured, predicted
        float (n_paired, p), measured and imputed values on one scale. A value of ``measured`` may be NaN.
    imputed
        float (n_lacking, p).
    alone
        float (n_alone, p), measured; may be NaN.
    zeros
        Whether 0 means that nothing was found (counts): then enough cells of a group must have another value.

    Returns
    -------
    DataFrame
        One row per group and feature, group by group: ``group``, ``feature`` (position), ``difference``
        (group minus the others), its interval and ``p_value``, all of them again from measured values
        alone, the number of cells, and the ``reason`` where there is no p-value.
    """
    missing = np.isnan(measured).any(axis=0) | np.isnan(alone).any(axis=0)
    parts = [np.flatnonzero(~missing)] + [np.array([j]) for j in np.flatnonzero(missing)]
    tables = [
        _compare(
            *_observed(cells, measured[:, at], predicted[:, at], imputed[:, at], alone[:, at]), zeros
        ).assign(feature=lambda t, at=at: at[t["feature"]])
        for at in parts
        if len(at)
    ]
    return pd.concat(tables).sort_values(["group", "feature"], ignore_index=True)


def _observed(cells: Cells, measured, predicted, imputed, alone) -> tuple:
    """The same without missing values (of one feature): a measured cell that misses its value lacks it."""
    gone, no = np.isnan(measured).any(axis=1), np.isnan(alone).any(axis=1)
    if not (gone.any() or no.any()):
        return cells, measured, predicted, imputed, alone
    lacking = np.concatenate([cells.lacking, cells.paired[gone]])
    moved = np.concatenate([imputed, predicted[gone]])
    left = Cells(cells.paired[~gone], lacking, cells.alone[~no])
    return left, measured[~gone], predicted[~gone], moved, alone[~no]


def _compare(cells: Cells, measured, predicted, imputed, alone, zeros: bool) -> pd.DataFrame:
    groups = cells.groups()
    p = measured.shape[1]
    if len(groups) < 2:
        return pd.DataFrame(columns=["group", "feature"])
    shares = _shares(cells, groups)
    with_imputed = _corrected(cells, groups, measured, predicted, imputed, alone)
    on_their_own = _measured(cells, groups, measured, alone)
    columns = _contrast(with_imputed, shares, "") | _contrast(on_their_own, shares, "_measured")
    reason = np.where(_enough(cells, groups, measured, alone) | (not zeros), "", "too few cells with a value")
    flat = np.maximum(on_their_own.variance, 0).sum(axis=0) == 0
    reason[:, flat] = "all values are equal"
    for name in columns:
        if not name.startswith("difference"):
            columns[name] = np.where(reason == "", columns[name], np.nan)
    n_measured = [(cells.paired == g).sum() + (cells.alone == g).sum() for g in groups]
    n_imputed = [(cells.lacking == g).sum() for g in groups]
    return pd.DataFrame(
        {"group": np.repeat(groups, p), "feature": np.tile(np.arange(p), len(groups))}
        | {name: values.ravel() for name, values in columns.items()}
        | {"n_measured": np.repeat(n_measured, p), "n_imputed": np.repeat(n_imputed, p)}
        | {"reason": reason.ravel()}
    )


def _shares(cells: Cells, groups: list[str]) -> np.ndarray:
    """(g,) of all cells of these groups."""
    everything = np.concatenate([cells.paired, cells.lacking, cells.alone])
    n = np.array([(everything == g).sum() for g in groups], float)
    return n / n.sum()


def _measured(cells: Cells, groups: list[str], measured, alone) -> Means:
    found = [np.concatenate([measured[cells.paired == g], alone[cells.alone == g]]) for g in groups]
    n = np.array([len(values) for values in found])
    variance = np.array([values.var(axis=0, ddof=1) for values in found]) / n[:, None]
    return Means(np.array([values.mean(axis=0) for values in found]), variance, n - 1)


def _corrected(cells: Cells, groups: list[str], measured, predicted, imputed, alone) -> Means:
    """Measured means corrected by imputed values, where a group has enough of both."""
    from ppi_py import ppi_mean_ci

    result = _measured(cells, groups, measured, alone)
    for k, group in enumerate(groups):
        y, f = measured[cells.paired == group], predicted[cells.paired == group]
        u = imputed[cells.lacking == group]
        n, n_alone = len(y), (cells.alone == group).sum()
        if n < MIN_PREDICTED or len(u) < 2:
            continue
        low, high = ppi_mean_ci(y, f, u, alpha=1 - LEVEL, lam=_power_tuned(y, f, u))
        error = (high - low) / 2 / stats.norm.ppf((1 + LEVEL) / 2)
        share = n / (n + n_alone)  # cells without f count with their measured values
        result.mean[k] += share * ((low + high) / 2 - y.mean(axis=0))
        result.variance[k] += share**2 * n / (n - 1) * (error**2 - y.var(axis=0) / n)
    return result


def _power_tuned(y: np.ndarray, f: np.ndarray, u: np.ndarray) -> np.ndarray:
    """(p,) lambda of least variance, from 0 to 1."""
    with_f = ((f - f.mean(axis=0)) * y).mean(axis=0)
    spread = f.var(axis=0) + u.var(axis=0) * len(y) / len(u)
    return np.clip(np.divide(with_f, spread, out=np.zeros_like(spread), where=spread > 0), 0, 1)


def _contrast(means: Means, shares: np.ndarray, suffix: str) -> dict[str, np.ndarray]:
    """Each group minus the others by their shares, (g, p): difference, interval and p (Welch's t)."""
    weights = -np.tile(shares, (len(shares), 1)) / (1 - shares)[:, None]
    np.fill_diagonal(weights, 1.0)
    difference = weights @ means.mean
    variance = weights**2 @ means.variance
    spread = weights**4 @ (means.variance**2 / means.df[:, None])
    df = np.divide(variance**2, spread, out=np.ones_like(spread), where=spread > 0)
    error = np.sqrt(variance)
    t = np.divide(np.abs(difference), error, out=np.zeros_like(error), where=error > 0)
    half = stats.t.ppf((1 + LEVEL) / 2, df) * error
    return {
        f"difference{suffix}": difference,
        f"ci_low{suffix}": difference - half,
        f"ci_high{suffix}": difference + half,
        f"p_value{suffix}": 2 * stats.t.sf(t, df),
    }


def _enough(cells: Cells, groups: list[str], measured, alone) -> np.ndarray:
    """Bool (g, p): whether group and others have, or would have if they did not differ, enough values but 0.

    What is expected does not depend on how the values fell, so asking for it favours neither side; a group in
    which a rare feature is frequent is let in where chance would hardly make it so.
    """
    inside = [np.concatenate([cells.paired == g, cells.alone == g]) for g in groups]
    nonzero = np.concatenate([measured != 0, alone != 0])
    known = np.any(inside, axis=0)
    share, result = nonzero[known].mean(axis=0), True
    for rows in (inside, [known & ~own for own in inside]):
        n = np.array([own.sum() for own in rows])[:, None]
        found = np.array([nonzero[own].sum(axis=0) for own in rows])
        chance = stats.binom.sf(found - 1, n, share)
        result = result & ((n * share >= MIN_NONZERO) | ((found >= MIN_NONZERO) & (chance < SURPRISE)))
    return result


def with_q(table: pd.DataFrame) -> pd.DataFrame:
    """The table of one modality, all blocks together, with q-values (Benjamini-Hochberg)."""
    table = table.copy()
    for suffix in ("", "_measured"):
        p = table[f"p_value{suffix}"].to_numpy(float)
        q = np.full(len(p), np.nan)
        tested = np.isfinite(p)
        if tested.any():
            q[tested] = stats.false_discovery_control(p[tested])
        table[f"q_value{suffix}"] = q
    return table
