"""How well each cell type keeps together in the joint space of each method."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jamie.evaluation import paired, roles
from jamie.evaluation.phrases import number
from jamie.evaluation.roles import label
from jamie.plots import style

COLUMNS = ("type", "silhouette", "n_cells", "method", "seed")
COLORS = "RdBu"  # diverging, told apart by colour-blind readers; blue is good
EVERY = "all cells"
FOOTNOTE = (
    "1: far from every other type; 0: between two; below 0 (red): nearer to another type than to its own; "
    "bold: the best method and those that the seeds cannot tell from it"
)
SHORTEST = 0.2  # the colours reach at least so far from 0
CELL, ROW, GAP = 0.52, 0.21, 0.35  # inches, and the gap in rows or columns


def type_means(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """Mean over seeds by type and method, and the cells of each type.

    Parameters
    ----------
    table
        Columns COLUMNS.

    Returns
    -------
    means
        A row for all cells (the score ``silhouette``), then one per type in natural order; a column per
        method, controls last. NaN where a method has no value for a type.
    n_cells
        Mean over seeds, rounded, by the same rows.
    """
    overall = _overall(table).mean()
    by_type = table.groupby(["type", "method"])["silhouette"].mean().unstack("method")
    rows = [EVERY, *style.natural_order(by_type.index)]
    means = pd.concat([overall.to_frame(EVERY).T, by_type]).loc[rows, roles.order_methods(table["method"])]
    n_cells = table.groupby(["type", "seed"])["n_cells"].max().groupby("type").mean()
    n_cells[EVERY] = table.groupby(["method", "seed"])["n_cells"].sum().mean()
    return means, n_cells.round().astype(int)[rows]


def _overall(table: pd.DataFrame) -> pd.DataFrame:
    """Silhouette of all cells: a row per seed, a column per method."""
    weighted = table.assign(total=table["silhouette"] * table["n_cells"])
    sums = weighted.groupby(["seed", "method"])[["total", "n_cells"]].sum()
    return (sums["total"] / sums["n_cells"]).unstack("method")


def level_methods(table: pd.DataFrame, ratio: float) -> dict[str, list[str]]:
    """By row of the map, the best method and those that the seeds cannot tell from it; empty with one seed.

    Parameters
    ----------
    table
        Columns COLUMNS.
    ratio
        As from :func:`jamie.evaluation.paired.split_ratio`.
    """
    by_row = {EVERY: _overall(table)}
    for name, part in table.groupby("type", sort=False):
        by_row[name] = part.pivot(index="seed", columns="method", values="silhouette")
    return {name: paired.level_with_best(scores, "higher", ratio) for name, scores in by_row.items()}


@style.styled
def silhouette_map(
    table: pd.DataFrame,
    missing: Mapping[str, str] | None = None,
    *,
    ratio: float,
    about: str = "",
) -> Figure:
    """A heat map: cell types in rows, methods in columns, the mean silhouette width in each field.

    Parameters
    ----------
    table
        Columns COLUMNS, of one dataset, scenario and group of cells.
    missing
        Reason by method for those that should be here and are not: a column that says n/a.
    about
        Line of context below the headline.

    Raises
    ------
    ValueError
        The table is empty or lacks a column.
    """
    style.require(table, COLUMNS, "silhouettes")
    means, n_cells = type_means(table)
    missing = missing or {}
    methods = roles.order_methods([*means.columns, *missing])
    means = means.reindex(columns=methods)
    names = [f"{name}  ({n:,})" for name, n in n_cells.items()]
    n_controls = sum(map(roles.is_control, methods))
    has_gap = 0 < n_controls < len(methods)
    x = np.arange(len(methods)) + GAP * has_gap * (np.arange(len(methods)) >= len(methods) - n_controls)
    y = np.arange(len(names)) + GAP * (np.arange(len(names)) > 0)
    left = 0.3 + 0.066 * max(map(len, names))
    top = 0.75 + 0.044 * max(len(roles.label(m)) for m in methods)
    width = max(7.5, left + CELL * (x[-1] + 1) + 1.3)
    level = level_methods(table, ratio)
    message = textwrap.fill(headline(means, level), int(10.5 * width))
    top += 0.19 * message.count("\n")
    wide = int(16.5 * width)  # characters
    notes = [*textwrap.wrap(FOOTNOTE, wide), *style.reasons("n/a", missing, wide)]
    foot = 0.25 + 0.16 * len(notes)
    height = top + ROW * (y[-1] + 1) + foot
    figure = Figure(figsize=(width, height), facecolor="white")
    box = (left / width, foot / height, CELL * (x[-1] + 1) / width, ROW * (y[-1] + 1) / height)
    ax = figure.add_axes(box)
    reach = max(SHORTEST, np.ceil(10 * np.nanmax(np.abs(means.to_numpy()))) / 10)
    image = _draw_fields(ax, means, level, x, y, reach)
    ax.set_yticks(y, names)
    ax.text(x[0] - 0.6, y[0] - 0.6, "cell type  (cells)", ha="right", va="bottom", color=style.GREY)
    ax.set_xticks(x, [roles.label(m) for m in methods], rotation=40, ha="left", rotation_mode="anchor")
    for tick, method in zip(ax.get_xticklabels(), methods, strict=True):
        tick.set_color(style.GREY if roles.is_control(method) else style.TEXT)
    bar = figure.add_axes(((left + CELL * (x[-1] + 1) + 0.25) / width, box[1], 0.12 / width, box[3]))
    _draw_bar(figure, bar, image)
    style.headline(figure, message, about)
    figure.text(0.1 / width, 0.1 / height, "\n".join(notes), va="bottom", color=style.GREY)
    return figure


def _draw_bar(figure: Figure, bar: Axes, image) -> None:
    figure.colorbar(image, cax=bar).outline.set_visible(False)
    bar.set_title("silhouette", fontsize=style.FONT_SIZE, pad=7, loc="left")
    style.clean(bar)
    bar.locator_params(axis="y", nbins=5)


def _draw_fields(ax: Axes, means: pd.DataFrame, level: dict, x: np.ndarray, y: np.ndarray, reach: float):
    """Coloured fields with their values; returns what the colour bar is of."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    image = ScalarMappable(Normalize(-reach, reach), COLORS)
    for i, row in enumerate(means.to_numpy()):
        for j, value in enumerate(row):
            known = np.isfinite(value)
            fill = image.to_rgba(value) if known else "#F4F4F4"
            ax.add_patch(Rectangle((x[j] - 0.5, y[i] - 0.5), 1, 1, facecolor=fill, edgecolor="white"))
            text = f"{value:.2f}".replace("-0.00", "0.00").replace("-", "\N{MINUS SIGN}") if known else "n/a"
            dark = known and abs(value) > 0.62 * reach
            weight = "bold" if means.columns[j] in level[means.index[i]] else "normal"
            color = "white" if dark else style.TEXT if known else style.GREY
            ax.text(x[j], y[i], text, ha="center", va="center", fontsize=7, color=color, weight=weight)
    ax.set_xlim(x[0] - 0.5, x[-1] + 0.5)
    ax.set_ylim(y[-1] + 0.5, y[0] - 0.5)
    style.clean(ax)
    ax.tick_params(length=0, labeltop=True, labelbottom=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return image


def headline(means: pd.DataFrame, level: dict[str, list[str]]) -> str:
    """Which method keeps types apart best, as far as the seeds tell, and on how many types.

    Parameters
    ----------
    means, level
        As from :func:`type_means` and :func:`level_methods`.
    """
    own = means.loc[:, [m for m in means.columns if not roles.is_control(m)]].dropna(
        axis="columns", how="all"
    )
    if own.empty:
        return "Silhouette of each cell type"
    best = own.loc[EVERY].idxmax()
    value = f"{own.loc[EVERY, best]:.2f}"
    if own.shape[1] == 1:
        return f"{roles.label(best)}: silhouette {value} over all cells"
    if not level[EVERY]:
        return f"Highest over all cells: {roles.label(best)} ({value}); one seed cannot tell it from others"
    best, *others = level[EVERY]
    alike = f", not told from {' and '.join(map(roles.label, others))}" if others else ""
    types = [level[name] for name in own.index if name != EVERY and level[name]]
    n_best = sum(methods == [best] for methods in types)
    words = f"Best over all cells: {roles.label(best)} ({value}){alike}"
    return f"{words}; alone best for {n_best} of {len(types)} types"


def in_words(means: pd.DataFrame, n_cells: pd.Series, cells: str, missing: Mapping[str, str]) -> str:
    """The caption's numbers: the mean of every method, its worst type, and why a method is missing."""
    said = []
    for method in [m for m in means.columns if not roles.is_control(m)]:
        own = means[method].drop(index=EVERY)
        worst = own.idxmin()
        said.append(
            f"{label(method)} {means.loc[EVERY, method]:.3f} (lowest {own[worst]:.3f}, {label(worst)})"
        )
    text = f"On {cells}; {number(len(means) - 1, 'cell type')}, {number(int(n_cells[EVERY]), 'cell')}. "
    text += f"Mean silhouette width: {'; '.join(said) or 'no method has one'}."
    left_out = [f"{label(m)}: {why}" for m, why in missing.items()]
    return text + (f" Not shown: {'; '.join(left_out)}." if left_out else "")
