"""What compares the scores of one method with those of another, feature by feature."""

from __future__ import annotations

import numpy as np
from scipy.stats import binomtest

from jamie.metrics.base import NotApplicable, metric


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


def sign_test(a, b) -> tuple[int, int, float]:
    """Two-sided sign test of paired values.

    Parameters
    ----------
    a, b
        (n_features,) scores of two methods for the same features. Pairs with a NaN are left out; ties
        count for neither side.

    Returns
    -------
    n_above, n_below, p_value
        How often ``a > b``, how often ``a < b``, and the probability of a split at least as uneven if both
        sides were equally likely; 1.0 where every pair is a tie. Features are taken as independent, which
        correlated genes are not: read the p value as a lower bound.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    n_above, n_below = int((a > b).sum()), int((a < b).sum())
    if n_above + n_below == 0:
        return 0, 0, 1.0
    return n_above, n_below, float(binomtest(n_above, n_above + n_below).pvalue)
