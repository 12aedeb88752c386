"""How many known pairs are enough: scores against the number of pairs, and where more cease to matter.

What would still be gained is the score at the largest number of pairs less that at a smaller one, taken seed
by seed, because within a seed two scenarios share their split and their start, with its 95 % interval
(:func:`jamie.metrics.comparison.paired_difference`). A gain matters when it is 0.01 or more, or 5 % of the
range of the curve if that is more. A number of pairs is *enough* where the interval of what would be gained
excludes such a gain, there and at every larger number that was tried. If that is so from the fewest pairs on,
the curve is flat. It still rises where the last step alone is told from 0. Otherwise the seeds cannot tell.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie.evaluation import roles
from jamie.evaluation.paired import MIN_SEEDS
from jamie.evaluation.phrases import number, score_name
from jamie.evaluation.roles import label
from jamie.metrics.base import load_metrics
from jamie.metrics.comparison import BETTER, Difference, paired_difference

ENOUGH, RISING, FLAT, UNTOLD, UNKNOWN = "enough", "still_rising", "flat", "cannot_tell", "not_applicable"
MATTERS, SHARE_OF_RANGE = 0.01, 0.05
MAIN_SCORES = ("foscttm", "lta", "pearson")
MIN_POINTS = 3
CURVE_COLUMNS = ("scenario", "n_pairs", "method", "metric", "modality", "seed", "value")


@dataclass(frozen=True)
class Knee:
    """Where a curve bends.

    Attributes
    ----------
    verdict
        "enough", "still_rising" (more pairs would still help), "flat" (no number of pairs gains anything that
        matters), "cannot_tell" (the seeds leave it open) or "not_applicable" (scores at fewer than three
        numbers of pairs).
    index
        Position of the number of pairs that is enough; -1 unless the verdict is "enough".
    matters
        The least gain that matters, in units of the score.
    most
        The most that could still be gained by all pairs (upper end of the interval): over the number that is
        enough or, failing that, over the last but one; inf where one seed leaves it open.
    """

    verdict: str
    index: int = -1
    matters: float = np.nan
    most: float = np.nan


def knee(values: np.ndarray, better: str, test_over_train: float) -> Knee:
    """The knee of one curve, see the head of this module.

    Parameters
    ----------
    values
        float (n_points, n_seeds), by rising number of pairs; NaN where there is no score.
    better
        "lower" or "higher".
    test_over_train
        As in :func:`jamie.metrics.comparison.paired_difference`.
    """
    values = np.asarray(values, dtype=float) * (-1 if better == "lower" else 1)
    scored = np.flatnonzero(np.isfinite(values).any(axis=1))
    if len(scored) < MIN_POINTS:
        return Knee(UNKNOWN)
    curve = values[scored]
    matters = max(MATTERS, SHARE_OF_RANGE * float(np.ptp(np.nanmean(curve, axis=1))))
    gains = [_gain(curve, i, test_over_train) for i in range(len(curve) - 1)]
    enough = np.array([gain.high < matters for gain in gains])
    first = len(enough) - int(np.argmin(enough[::-1])) if not enough.all() else 0
    if first == 0:
        return Knee(FLAT, matters=matters, most=gains[0].high)
    if first < len(enough):
        return Knee(ENOUGH, int(scored[first]), matters, gains[first].high)
    return Knee(RISING if gains[-1].verdict == BETTER else UNTOLD, matters=matters, most=gains[-1].high)


def _gain(curve: np.ndarray, i: int, test_over_train: float) -> Difference:
    """What the last point of a curve gains over point ``i``; higher is better."""
    last, own = pd.Series(curve[-1]), pd.Series(curve[i])
    return paired_difference(last, own, better="higher", test_over_train=test_over_train)


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


def knees(table: pd.DataFrame, ratio: float) -> pd.DataFrame:
    """The knee of every method (controls apart) and score: the content of ``pairing.tsv``.

    Parameters
    ----------
    table
        CURVE_COLUMNS, as from :func:`curves`.
    ratio
        As from :func:`jamie.evaluation.paired.split_ratio`.

    Returns
    -------
    method, metric, modality, verdict, n_pairs (enough; NaN without such a number), value (mean there),
    n_pairs_most and value_most (at the largest number), matters (the least gain that does), most (that could
    still be gained; inf = left open), n_points, n_seeds.
    """
    rows = []
    table = table[np.array([not roles.is_control(m) for m in table["method"]], dtype=bool)]
    for (method, metric, modality), part in table.groupby(["method", "metric", "modality"], sort=False):
        wide = part.pivot_table(index="n_pairs", columns="seed", values="value").sort_index()
        found = knee(wide.to_numpy(), load_metrics()[metric].better, ratio)
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
                "matters": found.matters,
                "most": found.most,
                "n_points": len(wide),
                "n_seeds": wide.shape[1],
            }
        )
    columns = ("method", "metric", "modality", "verdict", "n_pairs", "value", "n_pairs_most", "value_most")
    return pd.DataFrame(rows, columns=[*columns, "matters", "most", "n_points", "n_seeds"])


def answer(table: pd.DataFrame, method: str) -> str:
    """One sentence: how many pairs are enough for ``method``; empty if nothing was scored.

    Parameters
    ----------
    table
        As from :func:`knees`.
    """
    own = table[table["method"] == method].fillna({"modality": ""})
    enough, rising, flat, untold = (own[own["verdict"] == v] for v in (ENOUGH, RISING, FLAT, UNTOLD))
    of = len(enough) + len(rising) + len(flat) + len(untold)
    if not of:
        return ""
    if len(untold) == of:
        n_seeds = int(own["n_seeds"].max())
        why = "with one seed" if n_seeds < MIN_SEEDS else f"with {n_seeds} seeds"
        return f"How many pairs are enough cannot be told {why}"
    said = []
    if len(enough):
        here = "here" if len(enough) == of else f"for {len(enough)} of {of} scores"
        said.append(f"about {number(int(enough['n_pairs'].max()), 'paired cell')} are enough {here}")
    if len(rising):
        here = "would still help" if len(rising) == of else f"would still help {len(rising)} of {of}"
        said.append(f"more than {number(int(rising['n_pairs_most'].iloc[0]), 'paired cell')} {here}")
    if len(flat):
        here = "" if len(flat) == of else f" for {len(flat)} of {of}"
        said.append(f"more known pairs gain nothing that matters{here}")
    if len(untold):
        said.append(f"for {len(untold)} of {of} the seeds cannot tell")
    text = "; ".join(said)
    return text[0].upper() + text[1:]


def in_words(table: pd.DataFrame, method: str) -> str:
    """The answer with the verdict of each score, for captions and the first page."""
    said = answer(table, method)
    if not said:
        return f"No score of {label(method)} applies at three numbers of known pairs."
    own, parts, of = table[table["method"] == method].fillna({"modality": ""}), [], label(method)
    for row in own.itertuples():
        name = score_name(row.metric, row.modality)
        parts.append(f"{name}: {verdict_in_words(row)}")
    if (own["verdict"] != UNTOLD).any():  # else the answer gives the number of seeds as the reason
        of += f", {number(int(own['n_seeds'].max()), 'seed')}"
    return f"{said} ({of}). {'; '.join(parts)}."


def verdict_in_words(row) -> str:
    """Verdict of one row of :func:`knees`."""
    return {
        ENOUGH: f"about {row.n_pairs:,.0f} pairs are enough",
        RISING: f"still improving at {row.n_pairs_most:,.0f} pairs",
        FLAT: "no gain that matters",
        UNTOLD: "cannot tell",
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
