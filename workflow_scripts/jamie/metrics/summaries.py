"""What sums up the scores of one method over features in another way than by their mean."""

from __future__ import annotations

import numpy as np

from jamie.metrics.base import NotApplicable, metric


@metric(
    "r2_median",
    needs=("features",),
    better="higher",
    perfect=1.0,
    chance=0.0,
    description="R2 as above, median of features: one feature far off does not decide it.",
    per="modality",
)
def r2_median(features) -> tuple[float, int]:
    """Median of R2 over features.

    Parameters
    ----------
    features
        DataFrame with a column ``r2``, one row per feature; NaN is left out.

    Returns
    -------
    The median, and the number of features.

    Raises
    ------
    NotApplicable
        No feature has an R2.
    """
    values = features["r2"].to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if not len(values):
        raise NotApplicable("no feature has an R2 in these cells")
    return float(np.median(values)), len(values)
