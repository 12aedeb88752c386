"""Two methods compared feature by feature."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jamie.contract import FEATURE_SCORE_COLUMNS
from jamie.evaluation import roles
from jamie.plots import palette, style

SCORES = ("pearson", "auroc")


@style.styled
def win_scatter(
    feature_scores: pd.DataFrame,
    *,
    method: str = "jamie",
    against: str = "knn",
    protocol: str | None = None,
    cells: str | None = None,
) -> Figure:
    """A point per feature, ``against`` on x and ``method`` on y; columns are the imputed modalities.

    Parameters
    ----------
    feature_scores
        Columns of ``FEATURE_SCORE_COLUMNS``; seeds are averaged per feature.
    method, against
        The two methods.
    protocol, cells
        Which rows to draw; may be left out where there is only one.

    Raises
    ------
    ValueError
        When one of the methods has no imputation scores, or the rows mix several cases.
    """
    style.require(feature_scores, FEATURE_SCORE_COLUMNS, "feature scores")
    rows = style.select_case(feature_scores, "feature scores", protocol=protocol, cells=cells)
    for name in (method, against):
        if not rows.loc[rows["method"] == name, list(SCORES)].notna().any(axis=None):
            raise ValueError(f"There are no imputation scores of {roles.label(name)} to compare.")
    rows = rows[rows["method"].isin((method, against))]
    modalities = list(dict.fromkeys(rows["modality"]))
    means = rows.groupby(["modality", "feature", "method"])[list(SCORES)].mean()
    width = max(7.0, 0.4 + 3.5 * len(modalities))
    figure = Figure(figsize=(width, 8.0), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(len(SCORES), len(modalities))
    wins = []
    for j, modality in enumerate(modalities):
        for i, score in enumerate(SCORES):
            ax = figure.add_subplot(grid[i, j])
            table = means.loc[modality, score].unstack("method").reindex(columns=[method, against]).dropna()
            n_above, verdict = _draw_panel(ax, table, score, method, against)
            ax.set_title(f"{roles.label(score)}, imputed {roles.label(modality)}\n{verdict}")
            if score == "pearson" and len(table):
                wins.append(f"{n_above:,} of {len(table):,} ({roles.label(modality)})")
    case = roles.case_words(rows["protocol"].iloc[0], rows["cells"].iloc[0], rows["seed"].nunique())
    message = f"Features on which {roles.label(method)} is higher than {roles.label(against)}"
    if wins:
        message += f" (Pearson r):\n{', '.join(wins)}"
    style.headline(figure, message, f"{case}, a point per feature: mean of the seeds")
    return figure


def _draw_panel(ax: Axes, table: pd.DataFrame, score: str, method: str, against: str) -> tuple[int, str]:
    """Draw one comparison; returns the number of features above the diagonal, and that of all in words."""
    style.clean(ax)
    ax.set_box_aspect(1)
    ax.set_xlabel(f"{roles.label(against)}: {roles.label(score)}")
    ax.set_ylabel(f"{roles.label(method)}: {roles.label(score)}")
    if table.empty:
        ax.text(0.5, 0.5, "n/a", ha="center", va="center", color=style.GREY, transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return 0, "no feature has this score in both methods"
    n_above, n_below = draw_points(ax, table, method, against, both := (method, against))
    corners = (
        (method, n_above, 0.03, 0.97, "left", "top"),
        (against, n_below, 0.97, 0.03, "right", "bottom"),
    )
    for name, count, x_at, y_at, ha, va in corners:
        ax.text(
            x_at,
            y_at,
            f"{roles.label(name)} higher: {count:,}",
            ha=ha,
            va=va,
            color=palette.method_color(name, both),
            fontweight="bold",
            transform=ax.transAxes,
            bbox={"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 1.5},
        )
    return n_above, f"n = {len(table):,} features"


def draw_points(
    ax: Axes, table: pd.DataFrame, method: str, against: str, methods: Sequence[str]
) -> tuple[int, int]:
    """A point per feature on either side of the diagonal, in the colour of the better of two methods.

    Parameters
    ----------
    table
        A row per feature, a column per method; no NaN.
    methods
        Every method of the figure, for the colours.

    Returns
    -------
    How many features ``method`` is higher on, and how many lower.
    """
    x, y = table[against].to_numpy(), table[method].to_numpy()
    sides = (palette.method_color(m, methods) for m in (method, against))
    colors = np.where(x == y, style.GREY, np.where(y > x, *sides))
    n = len(table)
    order = np.random.default_rng(0).permutation(n)
    size, alpha = float(np.clip(9000 / n, 3, 22)), float(np.clip(400 / n, 0.25, 0.8))
    ax.axline((0, 0), slope=1, color=style.GREY, linewidth=0.8, zorder=1)
    style.scatter(ax, x[order], y[order], c=colors[order].tolist(), s=size, alpha=alpha, zorder=2)
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    pad = 0.06 * (high - low) or 0.05
    ax.set(xlim=(low - pad, high + pad), ylim=(low - pad, high + pad))
    ax.locator_params(nbins=5)
    return int((y > x).sum()), int((y < x).sum())
