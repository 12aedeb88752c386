"""The figure of scaling.py."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from jamie.plots import palette, style

PANELS = (
    ("seconds", "target_s", "slope_time", "time (s)"),
    ("peak_mb", "target_mb", "slope_memory", "peak memory (MB)"),
)
MARKERS = "osD^vP*X"


@style.styled
def scaling_figure(table: pd.DataFrame, trend: pd.DataFrame, about: str) -> Figure:
    """Time and peak memory against cells, both axes logarithmic, a line per stage, slopes in the legends.

    Parameters
    ----------
    table
        stage, n_cells, seconds, peak_mb, target_s, target_mb.
    trend
        stage, slope_time, slope_memory.
    about
        The machine, in one line.
    """
    figure = Figure(figsize=(8.6, 4.1), layout="constrained", facecolor="white")
    colors = palette.group_colors(list(trend["stage"]))
    for i, (column, target, slope, name) in enumerate(PANELS):
        ax = figure.add_subplot(1, 2, i + 1)
        handles = []
        for marker, (stage, part) in zip(MARKERS, table.groupby("stage", sort=False), strict=False):
            look = {"color": colors[stage], "marker": marker, "markersize": 4}
            ax.plot(part["n_cells"], part[column], linewidth=1.3, **look)
            ax.plot(
                part["n_cells"],
                part[target],
                linestyle="",
                **look | {"marker": "_", "markersize": 14, "markeredgewidth": 2},
            )
            value = trend.loc[trend["stage"] == stage, slope].iloc[0]
            words = f"{stage}: slope {round(value, 2) + 0.0:.2f}" if np.isfinite(value) else stage
            handles.append(Line2D([], [], linewidth=1.3, label=words, **look))
        if table[target].notna().any():
            bar = {"marker": "_", "markersize": 10, "markeredgewidth": 2, "linestyle": ""}
            handles.append(Line2D([], [], color=style.GREY, label="target (same colour)", **bar))
        ax.set(xscale="log", yscale="log", xlabel="cells", ylabel=name)
        sizes = sorted(table["n_cells"].unique())
        ax.set_xticks(sizes, [f"{n:,}" for n in sizes])
        ax.xaxis.set_minor_locator(NullLocator())
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        ax.yaxis.set_minor_formatter(NullFormatter())
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, -0.2), ncols=2)
        style.clean(ax, grid="both")
    style.headline(figure, message(trend), about)
    return figure


def message(trend: pd.DataFrame) -> str:
    """What the slopes say, for the title."""
    known = trend.dropna()
    if known.empty:
        return "Time and peak memory of each stage"
    (name, time), memory = (
        known.set_index("stage")["slope_time"].agg(["idxmax", "max"]),
        known["slope_memory"].max(),
    )
    return f"Time grows as cells to the power {time:.2f} at most ({name}), memory to the power {memory:.2f}"
