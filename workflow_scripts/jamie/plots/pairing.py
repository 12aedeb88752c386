"""Scores against the number of known pairs, and against the share of wrong ones."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from jamie.evaluation import roles
from jamie.plots import palette, style
from jamie.plots.scores import BETTER, panel_title

NEEDED = ("method", "metric", "modality", "seed", "value")
FOOTNOTE = "line and bar: mean and one standard deviation over seeds; dots: seeds; grey: controls"
TICK_GAP = 0.09  # of the axis: nearer tick labels would touch


@style.styled
def pairing_curves(
    known: pd.DataFrame,
    wrong: pd.DataFrame | None = None,
    *,
    shown: str,
    message: str,
    about: str = "",
    verdicts: Mapping[tuple[str, str], str] | None = None,
    enough: Mapping[tuple[str, str], float] | None = None,
) -> Figure:
    """A panel per score; first row over the number of known pairs, second row over the share of wrong ones.

    Parameters
    ----------
    known
        method, metric, modality ("" = both), seed, value and ``n_pairs``: number of known pairs.
    wrong
        The same with ``wrong``, the share of the shown pairs that are wrong (0-1); None: no second row.
    shown
        Method whose verdicts are given; its line is thicker.
    message, about
        Headline, and the line of context below it.
    verdicts, enough
        By (metric, modality): words below the panel's title; number of pairs to be marked.

    Raises
    ------
    ValueError
        No method that is not a control has a score.
    """
    style.require(known, (*NEEDED, "n_pairs"), "pairing curves")
    methods = [m for m in roles.order_methods(known["method"]) if not roles.is_control(m)]
    if not methods:
        raise ValueError("No method has a score at any number of known pairs.")
    scored = known[known["method"].isin(methods)]
    panels = list(dict.fromkeys(zip(scored["metric"], scored["modality"], strict=True)))
    panels.sort(key=lambda p: (list(BETTER).index(p[0]), p[1] != ""))
    rows = [(known, "n_pairs")] + ([] if wrong is None or wrong.empty else [(wrong, "wrong")])
    size = (max(6.0, 0.5 + 2.65 * len(panels)), 1.25 + 2.75 * len(rows))
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    for i, (table, x) in enumerate(rows):
        for j, panel in enumerate(panels):
            ax = figure.add_subplot(len(rows), len(panels), i * len(panels) + j + 1)
            part = table[(table["metric"] == panel[0]) & (table["modality"] == panel[1])]
            _draw_panel(ax, part, x, methods, shown)
            said = (verdicts or {}).get(panel, "") if i == 0 else ""
            ax.set_title(panel_title(*panel) + (f"\n{said}" if said else ""))
            ax.set_ylabel({"lower": "lower is better", "higher": "higher is better"}[BETTER[panel[0]]])
            if i == 0 and panel in (enough or {}):
                ax.axvline(
                    enough[panel], color=palette.method_color(shown, methods), linewidth=1, linestyle=":"
                )
    _legend(figure, known, methods, shown, bool(enough))
    style.headline(figure, textwrap.fill(message, int(10.5 * size[0])), about)
    return figure


def _draw_panel(ax: Axes, part: pd.DataFrame, x: str, methods: list[str], shown: str) -> None:
    style.clean(ax, grid="y")
    if not part["method"].isin(methods).any():
        ax.text(0.5, 0.5, "n/a", transform=ax.transAxes, ha="center", va="center", color=style.GREY)
        ax.set(xticks=[], yticks=[])
        return
    ax.locator_params(axis="y", nbins=5)
    places = np.sort(part[x].unique())
    if x == "n_pairs":
        positive = places[places > 0]
        ax.set_xscale("symlog", linthresh=positive[0] if len(positive) else 1, linscale=0.6)
        ax.set_xlabel("known pairs (cells)")
        ax.set_xlim(_padded(ax, places))
        _ticks(ax, places, [f"{p:,.0f}" for p in places])
    else:
        ax.set_xlabel("wrong among the pairs shown")
        ax.set_xlim(places[0] - 0.03, places[-1] + 0.03)
        _ticks(ax, places, [f"{p:.0%}" for p in places])
    ax.set_ylim(*_limits(part, x))
    for method in roles.order_methods(part["method"]):
        own = part[part["method"] == method]
        if roles.is_control(method):
            _draw_control(ax, own["value"].mean(), _line(method, methods, shown), right=x == "wrong")
            continue
        color = palette.method_color(method, methods)
        by_place = own.groupby(x)["value"]
        mean, sd = by_place.mean(), by_place.std().fillna(0.0)
        ax.errorbar(
            mean.index, mean, yerr=sd, elinewidth=0.9, capsize=0, zorder=3, **_line(method, methods, shown)
        )
        style.scatter(ax, own[x], own["value"], s=7, color=color, alpha=0.45, zorder=2)


def _limits(part: pd.DataFrame, x: str) -> tuple[float, float]:
    """Room for the methods, bars included, and the floor; for the reference unless it squeezes these."""
    inside = part[part["method"] != "ceiling"]
    bars = inside[~inside["method"].str.startswith("floor")].groupby(["method", x])["value"]
    mean, sd = bars.mean(), bars.std().fillna(0.0)
    low = min(inside["value"].min(), (mean - sd).min())
    high = max(inside["value"].max(), (mean + sd).max())
    ceiling = part.loc[part["method"] == "ceiling", "value"].mean()
    span = (high - low) or 0.1
    if low - span < ceiling < high + span:
        low, high = min(low, ceiling), max(high, ceiling)
    return low - 0.07 * span, high + 0.07 * span


def _draw_control(ax: Axes, value: float, line: dict, *, right: bool) -> None:
    """A line, or a note at the edge beyond which it lies, on the side where the curves are far from it."""
    low, high = ax.get_ylim()
    if low <= value <= high:
        ax.axhline(value, zorder=1, **line)
        return
    y, va, arrow = (0.98, "top", "▴") if value > high else (0.02, "bottom", "▾")
    x, ha = (0.98, "right") if right else (0.02, "left")
    place = {"transform": ax.transAxes, "ha": ha, "va": va}
    ax.text(x, y, f"{arrow} reference {value:.2f}", color=style.GREY, style="italic", **place)


def _line(method: str, methods: list[str], shown: str) -> dict:
    if roles.is_control(method):
        dashes = palette.control_dashes(method)
        return {"color": palette.method_color(method, [method]), "linestyle": dashes, "linewidth": 1}
    width = 2.0 if method == shown else 1.1
    return {"linewidth": width, "markersize": 4, **palette.method_points(method, methods)}


def _padded(ax: Axes, places: np.ndarray) -> tuple[float, float]:
    """Limits a little outside of the first and last place, on the scale of the axis."""
    forward = ax.xaxis.get_transform()
    low, high = forward.transform(np.asarray([places[0], places[-1]], dtype=float))
    pad = 0.05 * (high - low) or 0.5
    return tuple(forward.inverted().transform(np.array([low - pad, high + pad])))


def _ticks(ax: Axes, places: np.ndarray, names: list[str]) -> None:
    """A tick at every place; a name where there is room, the last and the first place first."""
    low, high = ax.xaxis.get_transform().transform(np.asarray(ax.get_xlim(), dtype=float))
    at = (ax.xaxis.get_transform().transform(np.asarray(places, dtype=float)) - low) / (high - low)
    kept: list[int] = []
    for i in [len(places) - 1, 0, *range(len(places) - 2, 0, -1)]:
        if all(abs(at[i] - at[k]) > TICK_GAP for k in kept):
            kept.append(i)
    ax.set_xticks(places, [name if i in kept else "" for i, name in enumerate(names)])
    ax.xaxis.set_minor_locator(NullLocator())


def _legend(figure: Figure, known: pd.DataFrame, methods: list[str], shown: str, marked: bool) -> None:
    everyone = [*methods, *(m for m in roles.order_methods(known["method"]) if roles.is_control(m))]
    handles = [Line2D([], [], label=roles.label(m), **_line(m, methods, shown)) for m in everyone]
    if marked:
        color = palette.method_color(shown, methods)
        label = f"enough for {roles.label(shown)}"
        handles.append(Line2D([], [], color=color, linewidth=1, linestyle=":", label=label))
    entry = 0.55 + 0.068 * max(len(handle.get_label()) for handle in handles)  # inches
    figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=min(len(handles), int((figure.get_figwidth() - 0.2) / entry)),
        columnspacing=1.4,
        title=FOOTNOTE,
        title_fontproperties={"size": style.FONT_SIZE},
        alignment="left",
    )
