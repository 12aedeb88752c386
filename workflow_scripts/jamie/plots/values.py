"""Imputed values in native units as they were measured, and how many of them the intervals hold."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter

from jamie.contract import OK
from jamie.evaluation import roles
from jamie.evaluation.calibration import CLOSE, MIN_COUNTS
from jamie.model.intervals import ALPHA, EVERYONE
from jamie.plots import palette, style


@style.styled
def values_as_measured(groups: pd.DataFrame, features: pd.DataFrame) -> Figure:
    """A line of panels per imputed modality: means of features, and coverage by group of cells.

    Parameters
    ----------
    groups, features
        As from `jamie.evaluation.calibration.check_values`, with a column ``seed``.
    """
    groups = groups[groups["status"] == OK]
    if groups.empty:
        return style.notice("Not applicable: no cell whose other modality is known was left out of the fit.")
    modalities = list(dict.fromkeys(groups["modality"]))
    rows = [groups[groups["modality"] == m] for m in modalities]
    heights = [max(2.3, 0.6 + 0.16 * part["group"].nunique()) for part in rows]
    figure = Figure(figsize=(7.4, 0.9 + sum(heights)), layout="constrained", facecolor="white")
    axes = figure.subplots(len(rows), 2, squeeze=False, height_ratios=heights)
    for (left, right), modality, part in zip(axes, modalities, rows, strict=True):
        own = features[features["modality"] == modality]
        _means(left, own, palette.modality_color(modality, modalities))
        left.set_title(f"{roles.label(modality)}: mean of each feature")
        _coverage(right, part)
        right.set_title(f"{roles.label(modality)}: values inside their interval")
    coverage = groups[groups["group"] == EVERYONE].groupby("modality", sort=False)["coverage"].mean()
    message = f"Intervals of {1 - ALPHA:.0%} hold " + " and ".join(
        f"{value:.0%} of {roles.label(modality)}" for modality, value in coverage.items()
    )
    n_seeds = groups["seed"].nunique()
    cells = roles.label(groups["cells"].iloc[0])
    style.headline(figure, message, f"{cells}; {n_seeds} seed{'s' if n_seeds > 1 else ''}")
    return figure


def _means(ax: Axes, features: pd.DataFrame, color: str) -> None:
    """Imputed against measured mean in native units; logarithmic for counts."""
    means = features.groupby("feature", sort=False)[["measured", "native", "n_counts"]].mean()
    is_count = means["n_counts"].notna().any()
    if is_count:
        means = means[(means["measured"] > 0) & (means["native"] > 0)]
        few = means["n_counts"] < MIN_COUNTS
        parts = ((means[few], style.LIGHT_GREY), (means[~few], color))
        ax.set(xscale="log", yscale="log")
    else:
        parts = ((means, color),)
    for part, shade in parts:
        size = min(2 * style.point_size(len(means)), 8)
        style.scatter(ax, part["measured"], part["native"], s=size, color=shade, alpha=0.8)
    ends = np.array([means[["measured", "native"]].min().min(), means[["measured", "native"]].max().max()])
    ax.plot(ends, ends, color=style.TEXT, linewidth=0.8)
    if is_count:
        for factor in CLOSE:
            ax.plot(ends, ends * factor, color=style.GREY, linewidth=0.6, linestyle="--")
        note = f"grey: fewer than {MIN_COUNTS} counts\ndashed: {CLOSE[0]} and {CLOSE[1]} times"
        ax.text(0.03, 0.97, note, transform=ax.transAxes, va="top", color=style.GREY, fontsize=7)
    unit = "counts a cell" if is_count else "unit of the data"
    ax.set(xlabel=f"measured ({unit})", ylabel=f"imputed ({unit})")
    style.clean(ax)


def _coverage(ax: Axes, groups: pd.DataFrame) -> None:
    """Coverage of each group, one mark a seed, in both units."""
    names = [EVERYONE, *style.natural_order(set(groups["group"]) - {EVERYONE})]
    for column, marker, words, shift in (
        ("coverage", "o", "scale of the model", 0.15),
        ("coverage_native", "D", "native units", -0.15),
    ):
        places = len(names) - 1 - groups["group"].map(names.index) + shift
        style.scatter(ax, groups[column], places, s=12, marker=marker, label=words, alpha=0.8)
    lowest = groups[["coverage", "coverage_native"]].min().min()
    ax.axvline(1 - ALPHA, color=style.TEXT, linewidth=0.8)
    ax.set_yticks(range(len(names)), names[::-1])
    ax.set(xlabel="share of values inside", xlim=(min(0.79, lowest - 0.02), 1.005))
    ax.xaxis.set_major_locator(MultipleLocator(0.05))
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.legend(loc="lower left", fontsize=7, handletextpad=0.2)
    style.clean(ax, grid="x")
