"""Panels of ranked features, side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jamie.plots import style

N_COLUMNS, LONGEST_TITLE = 4, 30


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
    titles = [textwrap.fill(name, LONGEST_TITLE) for name in names]
    title_in = 0.083 * max(len(line) for title in titles for line in title.splitlines())
    column_in = 0.066 * rows["feature"].map(len).max() + max(1.75, title_in)
    n_columns = min(len(names), N_COLUMNS, max(1, int(12.5 / column_in)))
    n_lines = -(-len(names) // n_columns)
    head_in = 0.55 + 0.16 * max(title.count("\n") for title in titles)
    size = max(7.5, n_columns * column_in), 1.4 + n_lines * (panel_in + head_in)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    grid, axes = figure.add_gridspec(n_lines, n_columns), []
    for i, (name, title) in enumerate(zip(names, titles, strict=True)):
        ax = figure.add_subplot(grid[divmod(i, n_columns)])
        own = rows[rows[of] == name]
        draw(ax, own, name)
        labels = own.drop_duplicates("rank")
        ax.set_yticks(labels["rank"], labels["feature"])
        ax.tick_params(axis="y", length=0)
        ax.spines["left"].set_visible(False)
        ax.set_title(title)
        if i + n_columns >= len(names):
            ax.set_xlabel(xlabel)
        axes.append(ax)
    return figure, axes


def ranked_headline(figure: Figure, message: str, *context: str) -> None:
    """Message and context above the panels, in lines that fit their width; empty words are left out."""
    width = figure.get_figwidth()
    about = textwrap.fill("; ".join(filter(None, context)), int(12.5 * width))
    style.headline(figure, textwrap.fill(message, int(9.5 * width)), about)
