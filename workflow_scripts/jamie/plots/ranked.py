"""Panels of ranked features, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

N_COLUMNS = 4


def ranked_panels(
    rows: pd.DataFrame,
    names: Sequence[str],
    panel_in: float,
    draw: Callable[[Axes, pd.DataFrame, str], None],
    *,
    of: str = "cell_type",
    xlabel: str = "",
) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each of ``names``: a feature per row, the best at the top.

    Parameters
    ----------
    rows
        Columns ``of`` (one of ``names``), rank (from 1) and feature.
    panel_in
        Height of a panel, inches.
    draw
        Called with a panel, its rows and its name.
    xlabel
        Below the lowest panel of each column.
    """
    names_in = 0.066 * rows["feature"].map(len).max()
    n_columns = min(len(names), N_COLUMNS, max(1, int(12.5 / (names_in + 1.75))))
    n_lines = -(-len(names) // n_columns)
    width = max(7.5, n_columns * (names_in + 1.75))
    figure = Figure(
        figsize=(width, 1.4 + n_lines * (panel_in + 0.55)), layout="constrained", facecolor="white"
    )
    grid, axes = figure.add_gridspec(n_lines, n_columns), []
    for i, name in enumerate(names):
        ax = figure.add_subplot(grid[divmod(i, n_columns)])
        own = rows[rows[of] == name]
        draw(ax, own, name)
        labels = own.drop_duplicates("rank")
        ax.set_yticks(labels["rank"], labels["feature"])
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_title(name)
        if i + n_columns >= len(names):
            ax.set_xlabel(xlabel)
        axes.append(ax)
    return figure, axes
