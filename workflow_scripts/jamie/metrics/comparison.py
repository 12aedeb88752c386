"""What compares the scores of one method with those of another: seed by seed, or feature by feature.

Only differences over seeds say which of two methods is better. Features of the same cells vary together, so
that counting those won describes one set of cells and says nothing about others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import t

from jamie.metrics.base import NotApplicable, metric

BETTER, WORSE, UNTOLD = "better", "worse", "cannot tell"
CONFIDENCE = 0.95
DUST = 9  # digits of a score: what is left behind them is rounding


@metric(
    "win_rate_knn",
    needs=("scores", "knn_scores"),
    better="higher",
    perfect=1.0,
    chance=0.5,
    description="Share of features with a higher Pearson correlation than knn reaches; ties count half.",
    per="modality",
)
def win_rate_knn(scores, knn_scores) -> tuple[float, int]:
    """Share of features whose Pearson r is higher than that of knn; ties count half.

    Parameters
    ----------
    scores, knn_scores
        DataFrames with columns ``feature`` and ``pearson``, of the same cells. Features that are NaN in one
        of them are left out.

    Returns
    -------
    Share in [0, 1], and the number of features compared.

    Raises
    ------
    NotApplicable
        No feature has a correlation in both.
    """
    columns = ["feature", "pearson"]
    both = scores[columns].merge(knn_scores[columns], on="feature", suffixes=("", "_knn")).dropna()
    if both.empty:
        raise NotApplicable("no feature has a correlation in both methods")
    difference = (both["pearson"] - both["pearson_knn"]).to_numpy()
    return float(((difference > 0) + 0.5 * (difference == 0)).mean()), len(both)


@dataclass(frozen=True)
class Difference:
    """How one method differs from another, in units of the score.

    Attributes
    ----------
    mean
        The first method minus the second, mean over the seeds both have; NaN without one.
    low, high
        Ends of its 95 % interval; -inf and inf where the seeds do not say how large chance is.
    n_seeds
        Number of seeds both have.
    verdict
        "better" or "worse", of the first method, where the interval leaves out 0; else "cannot tell".
    """

    mean: float
    low: float
    high: float
    n_seeds: int
    verdict: str


def reach_of(n_seeds: int, test_over_train: float) -> float:
    """Half a 95 % interval of a mean difference, in standard deviations of the differences over seeds.

    Parameters
    ----------
    n_seeds
        Two or more.
    test_over_train
        As in :func:`paired_difference`.
    """
    return float(t.ppf((1 + CONFIDENCE) / 2, n_seeds - 1) * np.sqrt(1 / n_seeds + test_over_train))


def paired_difference(a: pd.Series, b: pd.Series, *, better: str, test_over_train: float) -> Difference:
    """The difference of two methods over the seeds both have: within one, both saw the same split and pairs.

    The interval is Student's t with n - 1 degrees of freedom and the variance (1 / n + test_over_train) times
    that of the differences. Splits of one dataset share most of their cells, so that differences of n splits
    are worth less than n independent ones [1]_. One seed has no interval. Nor have differences of several
    splits that are equal to the last digit: these come of a score too coarse to show how it varies.

    Parameters
    ----------
    a, b
        Scores of two methods, indexed by seed; NaN = none.
    better
        "lower" or "higher".
    test_over_train
        Number of held-out cells over that of training cells; 0 for scores of cells that are the same in every
        seed: the interval is then about these cells, not about others.

    References
    ----------
    .. [1] Nadeau C, Bengio Y. Inference for the generalization error. *Machine Learning* 52, 239-281 (2003).
       doi:10.1023/A:1024068626366
    """
    gaps = (a - b).dropna().astype(float).round(DUST)
    n = len(gaps)
    mean, spread = (float(gaps.mean()), float(gaps.std())) if n else (np.nan, np.nan)
    if n < 2 or (spread == 0 and test_over_train > 0):
        return Difference(mean, -np.inf, np.inf, n, UNTOLD)
    reach = reach_of(n, test_over_train) * spread
    verdict = BETTER if (mean > 0) == (better == "higher") else WORSE
    verdict = verdict if abs(mean) > reach else UNTOLD
    return Difference(mean, mean - reach, mean + reach, n, verdict)
