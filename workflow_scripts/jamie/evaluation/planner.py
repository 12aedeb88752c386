"""How many known pairs are enough: scores against the number of pairs, and where their curve bends.

The knee of a curve is the smallest number of pairs that was tried from which on every mean score is as good
as that of the largest number, within a tolerance: the largest of 5 % of the range of the curve, one standard
error of the shortfall, and 0.005. The shortfall is taken seed by seed, because within a seed two scenarios
share their split and their start. A curve whose gain from the fewest to the most pairs is below two of its
standard errors (or 0.005) is flat; one whose last but one number is not enough still rises.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie.evaluation import roles
from jamie.evaluation.phrases import label, number, score_name
from jamie.metrics.base import load_metrics

ENOUGH, RISING, FLAT, UNKNOWN = "enough", "still_rising", "flat", "not_applicable"
SHARE_OF_RANGE, HAIR, FLAT_ERRORS = 0.05, 0.005, 2.0
MAIN_SCORES = ("foscttm", "lta", "pearson")
MIN_POINTS = 3
CURVE_COLUMNS = ("scenario", "n_pairs", "method", "metric", "modality", "seed", "value")


@dataclass(frozen=True)
class Knee:
    """Where a curve bends.

    Attributes
    ----------
    verdict
        "enough", "still_rising" (more pairs would still help), "flat" (pairs make no measurable difference)
        or "not_applicable" (scores at fewer than three numbers of pairs).
    index
        Position of the number of pairs that is enough; -1 unless the verdict is "enough".
    tolerance
        How far below the score at all pairs still counts as equal, in units of the score.
    """

    verdict: str
    index: int = -1
    tolerance: float = np.nan


def knee(values: np.ndarray, better: str) -> Knee:
    """The knee of one curve, see the head of this module.

    Parameters
    ----------
    values
        float (n_points, n_seeds), by rising number of pairs; NaN where there is no score. One seed has no
        standard error: then the range alone decides.
    better
        "lower" or "higher".
    """
    values = np.asarray(values, dtype=float) * (-1 if better == "lower" else 1)
    scored = np.flatnonzero(np.isfinite(values).any(axis=1))
    if len(scored) < MIN_POINTS:
        return Knee(UNKNOWN)
    curve = values[scored]
    means = np.nanmean(curve, axis=1)
    gain, gain_error = _shortfall(curve, 0)
    largest = SHARE_OF_RANGE * np.ptp(means)
    short, errors = np.transpose([_shortfall(curve, i) for i in range(len(curve))])
    tolerance = np.maximum(np.maximum(largest, errors), HAIR)
    if gain <= max(HAIR, FLAT_ERRORS * gain_error):
        return Knee(FLAT, tolerance=float(tolerance[0]))
    enough = short <= tolerance
    first = len(enough) - int(np.argmin(enough[::-1])) if not enough.all() else 0
    if first == len(enough) - 1:
        return Knee(RISING, tolerance=float(tolerance[-2]))
    return Knee(ENOUGH, int(scored[first]), float(tolerance[first]))


def _shortfall(curve: np.ndarray, i: int) -> tuple[float, float]:
    """How far point ``i`` lies below the last one, mean over the seeds both have, and its standard error."""
    difference = curve[-1] - curve[i]
    difference = difference[np.isfinite(difference)]
    if not len(difference):
        return float(np.nanmean(curve[-1]) - np.nanmean(curve[i])), 0.0
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else 0.0
    return float(difference.mean()), float(error)


def curves(metrics: pd.DataFrame, n_pairs: dict[str, int], held_out: bool) -> pd.DataFrame:
    """The main scores of one dataset with the number of known pairs they were reached with.

    Parameters
    ----------
    metrics
        METRIC_COLUMNS, of one dataset.
    n_pairs
        Number of known pairs by scenario, in the order of the curve.
    held_out
        Whether the scores are those of held-out cells; otherwise those of cells whose pair was hidden.

    Returns
    -------
    CURVE_COLUMNS, by score (modalities in their own order) and rising number of pairs; only scores with
    status ok. Label transfer is the mean of both directions.
    """
    rows = metrics[metrics["scenario"].isin(list(n_pairs)) & (metrics["status"] == c.OK)]
    rows = rows[(rows["cells"] == (c.TEST if held_out else c.HIDDEN)) & rows["metric"].isin(MAIN_SCORES)]
    rows = rows.fillna({"modality": ""}).astype({"value": float})
    rows = rows[(rows["metric"] != "lta") | (rows["modality"] == "")]
    rows = rows.assign(n_pairs=rows["scenario"].map(n_pairs))[list(CURVE_COLUMNS)]
    ranks = {"metric": list(MAIN_SCORES), "modality": list(dict.fromkeys(metrics["modality"].fillna("")))}
    return rows.sort_values(
        ["metric", "modality", "n_pairs"],
        key=lambda column: column.map(ranks[column.name].index) if column.name in ranks else column,
        kind="stable",
        ignore_index=True,
    )


def knees(table: pd.DataFrame) -> pd.DataFrame:
    """The knee of every method (controls apart) and score: the content of ``pairing.tsv``.

    Parameters
    ----------
    table
        CURVE_COLUMNS, as from :func:`curves`.

    Returns
    -------
    method, metric, modality, verdict, n_pairs (enough; NaN without such a number), value (mean there),
    n_pairs_most and value_most (at the largest number), tolerance, n_points, n_seeds.
    """
    rows = []
    table = table[np.array([not roles.is_control(m) for m in table["method"]], dtype=bool)]
    for (method, metric, modality), part in table.groupby(["method", "metric", "modality"], sort=False):
        wide = part.pivot_table(index="n_pairs", columns="seed", values="value").sort_index()
        found = knee(wide.to_numpy(), load_metrics()[metric].better)
        means, at = wide.mean(axis=1), found.index
        rows.append(
            {
                "method": method,
                "metric": metric,
                "modality": modality,
                "verdict": found.verdict,
                "n_pairs": means.index[at] if at >= 0 else np.nan,
                "value": means.iloc[at] if at >= 0 else np.nan,
                "n_pairs_most": means.index[-1],
                "value_most": means.iloc[-1],
                "tolerance": found.tolerance,
                "n_points": len(wide),
                "n_seeds": wide.shape[1],
            }
        )
    columns = ("method", "metric", "modality", "verdict", "n_pairs", "value", "n_pairs_most", "value_most")
    return pd.DataFrame(rows, columns=[*columns, "tolerance", "n_points", "n_seeds"])


def answer(table: pd.DataFrame, method: str) -> str:
    """One sentence: how many pairs are enough for ``method``; empty if nothing was scored.

    Parameters
    ----------
    table
        As from :func:`knees`.
    """
    own = table[table["method"] == method].fillna({"modality": ""})
    enough, rising = (own[own["verdict"] == verdict] for verdict in (ENOUGH, RISING))
    if len(enough):
        said = f"About {number(int(enough['n_pairs'].max()), 'paired cell')} are enough"
        if not len(rising):
            return f"{said} here"
        of = len(enough) + len(rising)
        return f"{said} for {len(enough)} of {of} scores; more would still help the others"
    if len(rising):
        return f"More than {number(int(rising['n_pairs_most'].iloc[0]), 'paired cell')} would still help"
    if (own["verdict"] == FLAT).any():
        return "The number of known pairs makes no measurable difference"
    return ""


def in_words(table: pd.DataFrame, method: str) -> str:
    """The answer with the verdict of each score, for captions and the first page."""
    said = answer(table, method)
    if not said:
        return f"No score of {label(method)} applies at three numbers of known pairs."
    parts = []
    for row in table[table["method"] == method].fillna({"modality": ""}).itertuples():
        name = score_name(row.metric, row.modality)
        parts.append(f"{name}: {verdict_in_words(row)}")
    n_seeds = number(int(table["n_seeds"].max()), "seed")
    return f"{said} ({label(method)}, {n_seeds}). {'; '.join(parts)}."


def verdict_in_words(row) -> str:
    """Verdict of one row of :func:`knees`."""
    return {
        ENOUGH: f"about {row.n_pairs:,.0f} pairs are enough",
        RISING: f"still improving at {row.n_pairs_most:,.0f} pairs",
        FLAT: "no gain from more pairs",
        UNKNOWN: "too few points",
    }[row.verdict]


def marks(table: pd.DataFrame, method: str) -> dict[str, dict]:
    """Marks of the figure by (metric, modality): ``verdicts`` in words, and ``enough``, a number of pairs."""
    own = table[table["method"] == method].fillna({"modality": ""})
    rows = {(row.metric, row.modality): row for row in own.itertuples()}
    return {
        "verdicts": {panel: verdict_in_words(row) for panel, row in rows.items()},
        "enough": {panel: row.n_pairs for panel, row in rows.items() if row.verdict == ENOUGH},
    }


def context(curves: pd.DataFrame, dataset: str, held_out: bool) -> str:
    """The line below the headline of the figure."""
    protocol, cells = (c.HELD_OUT, c.TEST) if held_out else (c.TRANSDUCTIVE, c.HIDDEN)
    return f"{dataset}: {roles.case_words(protocol, cells, curves['seed'].nunique())}"
