"""Which methods the seeds tell apart on a score, and which not: bold, "best", "level" and "worse" everywhere.

Each comparison is made alone at 95 %: of twenty between equal methods, one is taken for a difference.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie.evaluation import roles
from jamie.metrics.base import load_metrics
from jamie.metrics.comparison import BETTER, WORSE, Difference, paired_difference, reach_of

BEST, LEVEL, BEHIND, ALONE, ONE_SEED = "best", "level", "worse", "alone", "one seed"
MIN_SEEDS = 2


def split_ratio(cells: str, held_out: float) -> float:
    """Held-out cells over the others: how much two splits share. 0 for cells that are the same in every seed.

    Parameters
    ----------
    cells
        Group of cells the scores are about.
    held_out
        Share of the cells with both modalities that the scenario holds out, 0-0.9.
    """
    return held_out / (1 - held_out) if cells == c.TEST else 0.0


def by_seed(rows: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Scores with status ok by (metric, modality): a row per seed, a column per method, NaN = none.

    Parameters
    ----------
    rows
        METRIC_COLUMNS of one dataset, scenario and group of cells.
    """
    ok = rows[rows["status"] == c.OK].fillna({"modality": ""}).astype({"value": float})
    return {
        key: part.pivot_table(index="seed", columns="method", values="value")
        for key, part in ok.groupby(["metric", "modality"], sort=False)
    }


def competing(scores: pd.DataFrame) -> pd.DataFrame:
    """The columns of methods that are no controls and have a score in two seeds at least."""
    keep = [m for m in scores if not roles.is_control(m) and scores[m].notna().sum() >= MIN_SEEDS]
    return scores[keep]


def level_with_best(scores: pd.DataFrame, better: str, ratio: float) -> list[str]:
    """The method with the best mean and those that the seeds cannot tell from it; the best one first.

    Empty where fewer than two methods have a score in two seeds: with one seed nothing can be told.

    Parameters
    ----------
    scores
        A row per seed, a column per method.
    better
        "lower" or "higher".
    ratio
        As from :func:`split_ratio`.
    """
    scores = competing(scores)
    if scores.shape[1] < 2:
        return []
    means = scores.mean()
    best = means.idxmin() if better == "lower" else means.idxmax()
    gaps = {
        m: paired_difference(scores[m], scores[best], better=better, test_over_train=ratio)
        for m in scores
        if m != best
    }
    return [best, *(m for m, gap in gaps.items() if gap.n_seeds >= MIN_SEEDS and gap.verdict != WORSE)]


def against(scores: pd.DataFrame, method: str, better: str, ratio: float) -> dict[str, Difference]:
    """The difference of ``method`` to each other method that is no control and has a score."""
    return {
        m: paired_difference(scores[method], scores[m], better=better, test_over_train=ratio)
        for m in scores
        if m != method and not roles.is_control(m)
    }


def standing(scores: pd.DataFrame, method: str, better: str, ratio: float) -> str:
    """How a method stands among the others on one score.

    Returns
    -------
    "best" (better than each other method), "worse" (than one of them), "level" (neither: the seeds do not
    tell), "one seed" (nothing can be told), or "alone" (there is no other method with this score).
    """
    gaps = against(scores, method, better, ratio)
    told = [gap.verdict for gap in gaps.values() if gap.n_seeds >= MIN_SEEDS]
    if not told:
        return ONE_SEED if gaps else ALONE
    if WORSE in told:
        return BEHIND
    return BEST if all(verdict == BETTER for verdict in told) else LEVEL


def standings(rows: pd.DataFrame, method: str, held_out: float) -> dict[tuple[str, str], str]:
    """The standing of a method on each score it has, by (metric, modality).

    Parameters
    ----------
    rows
        METRIC_COLUMNS of one dataset, scenario and group of cells.
    held_out
        As in :func:`split_ratio`.
    """
    found, registered = {}, load_metrics()
    for (metric, modality), scores in by_seed(rows).items():
        if method in scores and metric in registered:
            ratio = split_ratio(rows["cells"].iloc[0], held_out)
            found[metric, modality] = standing(scores, method, registered[metric].better, ratio)
    return found


def mean_over_features(
    features: pd.DataFrame, score: str, method: str, other: str, *, ratio: float
) -> Difference:
    """How two methods differ in a score, mean over the features that both have in a seed.

    Features of the same cells vary together: they are averaged, not counted as so many comparisons.

    Parameters
    ----------
    features
        FEATURE_SCORE_COLUMNS of one dataset, scenario, group of cells and modality.
    score
        A column in which higher is better.
    ratio
        As from :func:`split_ratio`.
    """
    wide = features.pivot_table(index=["seed", "feature"], columns="method", values=score)
    means = wide.reindex(columns=[method, other]).dropna().groupby(level="seed").mean()
    return paired_difference(means[method], means[other], better="higher", test_over_train=ratio)


def interval_in_words(gap: Difference) -> str:
    """A difference with its interval and verdict, such as "+0.050 (0.012 to 0.088): better"."""
    said = interval_alone(gap)
    return f"{said}: {gap.verdict}" if np.isfinite(gap.mean) else said


def interval_alone(gap: Difference) -> str:
    """The same without the verdict: "+0.050 (0.012 to 0.088)"."""
    if not np.isfinite(gap.mean):
        return "no seed in common"
    if not np.isfinite(gap.low):
        why = "one seed" if gap.n_seeds < MIN_SEEDS else "equal in all seeds"
        return f"{gap.mean:+z.3f} ({why})"
    return f"{gap.mean:+z.3f} ({gap.low:z.3f} to {gap.high:z.3f})"


def few_seeds(n_seeds: int, held_out: float) -> str:
    """What so many seeds can tell, in one sentence."""
    if n_seeds < MIN_SEEDS:
        return "One seed cannot tell which of two methods is better; run at least three."
    reach = reach_of(n_seeds, held_out / (1 - held_out))
    return (
        f"With {n_seeds} seeds a difference can be told only where its mean is more than {reach:.1f} times "
        "its standard deviation over seeds; what cannot be told is not shown to be equal."
    )
