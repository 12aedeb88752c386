"""The features that separate each cell type: ranked, and cell by cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from jamie.evaluation import roles
from jamie.plots import palette, style
from jamie.plots.ranked import ranked_headline, ranked_panels
from jamie.regulation.markers import MARKER_COLUMNS

CELL_COLUMNS = ("modality", "cell_type", "rank", "label", "is_own", "attribution", "value")
COLUMNS = (*MARKER_COLUMNS, "label")
MAX_TYPES, MAX_NAMED, N_BARS = 12, 6, 10
VALUES = "cividis"  # told apart by colour-blind readers
N_BINS = 50  # of a beeswarm, along x
REACH, STEP = 0.42, 0.045  # of a beeswarm from the middle of its row, and of one point, in rows
AXIS = "attribution (logit)"


def marker_words(table: pd.DataFrame) -> str:
    """Sentences for the caption, a few per modality: the strongest features and the costliest knock-out.

    Parameters
    ----------
    table
        `COLUMNS`; ``label`` is what figures call a feature, ``knockout_lta`` may be all NaN.
    """
    return " ".join(_words_of(rows, name) for name, rows in table.groupby("modality", sort=False))


def _words_of(rows: pd.DataFrame, modality: str) -> str:
    first = rows[rows["rank"] == 1]
    best = first.loc[first["attribution"].idxmax()]
    absent = first.loc[first["mean_difference"] < 0, "cell_type"]
    words = (
        f"{roles.label(modality)}: of {len(first)} cell types, {best['cell_type']} has the strongest single "
        f"feature, {best['label']} (mean attribution {best['attribution']:z.2f})."
    )
    if len(absent):
        verb = "is" if len(absent) == 1 else "are"
        words += f" {_list(absent)} {verb} told best by a feature that is lower there than in other cells."
    known = rows.dropna(subset="knockout_lta").drop_duplicates("feature")
    if len(known):
        worst = known.loc[known["knockout_lta"].idxmin()]
        words += (
            f" Of {len(known)} features replaced by their mean, one at a time, {worst['label']} changes "
            f"label transfer accuracy most: by {worst['knockout_lta']:+z.3f}."
            if worst["knockout_lta"] < 0
            else f" None of {len(known)} features, each replaced by its mean, lowers label transfer accuracy."
        )
    return words + _not_drawn(first["cell_type"].tolist())


def _not_drawn(types: list[str]) -> str:
    left = types[MAX_TYPES:]
    return f" Not drawn, for want of room: {_list(left)}." if left else ""


def _list(names: Sequence[str]) -> str:
    names = list(names)
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


@style.styled
def markers_figure(
    table: pd.DataFrame, *, modality: str, cell_types: Sequence[str] | None = None, about: str = ""
) -> Figure:
    """Ranked bars of the top 10 features, a panel per cell type, all on one scale.

    Parameters
    ----------
    table
        `COLUMNS`. An open bar is a feature that is lower in the type than in
        other cells (``mean_difference`` < 0), so that its lack is what tells the type.
    modality
        Whose features.
    cell_types
        Which types to draw, in this order; None: those of the table. At most 12 are, and the figure says so.
    about
        Words of context under the headline, such as the dataset.

    Raises
    ------
    ValueError
        The table lacks a column, or has none of ``cell_types``.
    """
    rows, types, every = _chosen(table, COLUMNS, modality, cell_types)
    if not len(rows):
        return style.notice(f"There are no marker features of {roles.label(modality)}.")
    colors = palette.group_colors(every)
    rows = rows[rows["rank"] <= N_BARS]
    low, high = min(rows["attribution"].min(), 0), rows["attribution"].max()

    def draw(ax: Axes, own: pd.DataFrame, name: str) -> None:
        style.clean(ax, grid="x")
        faces = ["white" if lower else colors[name] for lower in own["mean_difference"] < 0]
        ax.barh(own["rank"], own["attribution"], 0.72, color=faces, edgecolor=colors[name], linewidth=0.9)
        ax.set(xlim=(1.04 * low, 1.04 * high), ylim=(N_BARS + 0.6, 0.4))
        ax.locator_params(axis="x", nbins=4)

    figure, _ = ranked_panels(rows, types, 0.19 * N_BARS, draw, xlabel=AXIS)
    handles = [
        Patch(facecolor=style.GREY, edgecolor=style.GREY, label="higher in the type than in other cells")
    ]
    handles.append(Patch(facecolor="white", edgecolor=style.GREY, label="lower in the type"))
    figure.legend(handles=handles, loc="outside lower left", ncols=2)
    first = rows[rows["rank"] == 1].set_index("cell_type")["label"]
    message = _shortened([f"{first[name]} for {name}" for name in types])
    context = "mean over the cells of a type, 10 strongest features"
    _headline(
        figure, f"Strongest {roles.label(modality)} feature per type: {message}", about, context, types, every
    )
    return figure


@style.styled
def beeswarm_figure(
    cells: pd.DataFrame,
    *,
    modality: str,
    cell_types: Sequence[str] | None = None,
    n_features: int = 4,
    about: str = "",
) -> Figure:
    """A point per cell: attribution on x, a row per top feature, coloured by the feature's value.

    In each row the cells of the type lie above the line, all others below it.

    Parameters
    ----------
    cells
        From `jamie.regulation.markers.cell_table`, with ``label``.
    modality, cell_types, about
        As for `markers_figure`.
    n_features
        Rows in a panel. A feature's colours run from its 1st to its 99th percentile over the cells.

    Raises
    ------
    ValueError
        The table lacks a column, or has none of ``cell_types``.
    """
    rows, types, every = _chosen(cells, CELL_COLUMNS, modality, cell_types)
    if not len(rows):
        return style.notice(f"There are no attributions of {roles.label(modality)}.")
    rows = rows[rows["rank"] <= n_features]
    n_rows = int(rows["rank"].max())

    def draw(ax: Axes, own: pd.DataFrame, name: str) -> None:
        style.clean(ax)
        ax.axvline(0, color=style.GREY, linewidth=0.6, zorder=1)
        edges = np.linspace(own["attribution"].min(), own["attribution"].max() + 1e-9, N_BINS + 1)
        for rank, of_feature in own.groupby("rank"):
            ax.axhline(rank, color=style.LIGHT_GREY, linewidth=0.5, zorder=1)
            color = _scaled(of_feature["value"].to_numpy(float))
            for is_own, side in ((True, -1), (False, 1)):  # y runs downwards
                points = (of_feature["is_own"] == is_own).to_numpy()
                x = of_feature["attribution"].to_numpy()[points]
                options = {"c": color[points], "cmap": VALUES, "vmin": 0, "vmax": 1, "zorder": 2, "s": 3}
                style.scatter(ax, x, rank + side * swarm(x, edges), rasterise_from=len(rows), **options)
        ax.set_ylim(n_rows + 0.55, 0.45)
        ax.locator_params(axis="x", nbins=4)

    figure, axes = ranked_panels(rows, types, 0.42 * n_rows, draw, xlabel=AXIS)
    _draw_bar(figure, axes)
    signs = [_direction(rows[(rows["cell_type"] == name) & (rows["rank"] == 1)]) for name in types]
    message = _shortened([f"{sign} for {name}" for sign, name in zip(signs, types, strict=True)])
    context = "a point per cell; above the line: cells of the type, below: all others"
    _headline(figure, f"{roles.label(modality)} speaks cell by cell: {message}", about, context, types, every)
    return figure


def swarm(x: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Distance from the line (n,), in rows, so that points of one bin of ``edges`` do not hide each other."""
    bins = pd.Series(np.digitize(x, edges))
    place = bins.groupby(bins).cumcount().to_numpy() + 0.6
    return place * min(STEP, REACH / max(place.max(initial=1), 1))


def _scaled(values: np.ndarray) -> np.ndarray:
    """0-1 from the 1st to the 99th percentile; from the lowest to the highest where these are equal."""
    low, high = np.percentile(values, (1, 99))
    if low == high:
        low, high = values.min(), values.max()
    return np.clip((values - low) / max(high - low, 1e-12), 0, 1)


def _direction(rows: pd.DataFrame) -> str:
    """``high Sst`` where much of it drives cells towards the type, ``low Sst`` where little does."""
    covariance = np.cov(rows["value"].to_numpy(float), rows["attribution"].to_numpy(float))[0, 1]
    return f"{'low' if covariance < 0 else 'high'} {rows['label'].iloc[0]}"


def _chosen(
    table: pd.DataFrame, columns: Sequence[str], modality: str, cell_types: Sequence[str] | None
) -> tuple[pd.DataFrame, list[str], list[str]]:
    """Rows to draw, their types in order, and every type of the modality in natural order."""
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise ValueError(f"The marker table lacks the column(s) {', '.join(missing)}.")
    rows = table[table["modality"] == modality]
    every = list(dict.fromkeys(rows["cell_type"]))
    types = every if cell_types is None else [name for name in cell_types if name in every]
    if every and not types:
        raise ValueError(f"None of the cell types {', '.join(cell_types)} is in the marker table.")
    types = types[:MAX_TYPES]
    rows = rows[rows["cell_type"].isin(types)]
    return rows.assign(feature=rows["label"]), types, style.natural_order(every)


def _draw_bar(figure: Figure, axes: list[Axes]) -> None:
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), VALUES), ax=axes, aspect=30, fraction=0.03, pad=0.01
    )
    bar.set_ticks([0, 1], labels=["low", "high"])
    bar.set_label("feature value, low to high")
    bar.outline.set_visible(False)
    style.clean(bar.ax)


def _shortened(parts: list[str]) -> str:
    n_more = len(parts) - MAX_NAMED
    return ", ".join(parts[:MAX_NAMED]) + (f" and {n_more} more" if n_more > 0 else "")


def _headline(
    figure: Figure, message: str, about: str, context: str, types: list[str], every: list[str]
) -> None:
    cut = f"{len(types)} of {len(every)} cell types" * (len(types) < len(every))
    ranked_headline(figure, message, about, context, cut)
