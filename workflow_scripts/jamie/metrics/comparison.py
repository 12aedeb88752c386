"""What compares the scores of one method with those of another, feature by feature."""

from __future__ import annotations

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
