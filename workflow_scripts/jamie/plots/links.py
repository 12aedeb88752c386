"""Whether peak-gene links are real: near the gene, true in a simulation, or known from elsewhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from jamie.plots import palette, style
from jamie.plots.link_words import (
    NO_MEASURED,
    cut_of,
    distance_message,
    known_message,
    level_of,
    promise,
    statistics_in,
    truth_message,
    with_signs,
)
from jamie.regulation.enrichment import DISTANCE_BINS, IMPUTED, MEASURED, TOP, WITH, WITHOUT

_LOG_ABOVE = 8.0  # a larger fold squeezes a linear axis
_COLORS = {IMPUTED: palette.method_color("jamie", ["jamie"]), MEASURED: "#0072B2"}
_MARKERS = {IMPUTED: "o", MEASURED: "s"}
_CHANCE = {"color": style.TEXT, "linewidth": 0.8, "linestyle": (0, (6, 3)), "zorder": 1}


@style.styled
def distance_figure(profile: pd.DataFrame, near: pd.DataFrame, *, about: str = "") -> Figure:
    """Links over chance by distance from the TSS, and the odds that the strongest pairs lie near it.

    Parameters
    ----------
    profile, near
        Of :func:`jamie.regulation.enrichment.distance_profile` and ``near_enrichment``.
    about
        Line of context below the headline.
    """
    style.require(profile, ("statistic", "bin", "n_links", "fold", "ci_low", "ci_high"), "distance profile")
    style.require(near, ("statistic", "cut", "odds_ratio", "reason"), "near enrichment")
    figure = Figure(figsize=(9.4, 4.2), layout="constrained", facecolor="white")
    folds, odds = figure.subplots(1, 2, width_ratios=(1.25, 1))
    _draw_folds(folds, profile)
    _draw_odds(odds, near)
    shown = statistics_in(profile)
    _legend(figure, _points(profile), "bars: 95 % interval, pairs taken as independent", shown)
    style.headline(figure, distance_message(profile, near), about)
    return figure


def _draw_folds(ax: Axes, profile: pd.DataFrame) -> None:
    style.clean(ax, grid="y")
    shown = statistics_in(profile)
    for statistic in shown:
        own = profile[profile["statistic"] == statistic].set_index("bin").loc[list(DISTANCE_BINS)]
        _with_bars(ax, np.arange(len(own)) + 0.12 * _side(statistic, shown), own["fold"], own, statistic)
    ax.axhline(1, **_CHANCE)
    high = max(1.5, 1.05 * profile["ci_high"].max())
    if profile["fold"].max() > _LOG_ABOVE and profile["fold"].min() > 0:
        _log_axis(ax, "y", min(profile["fold"].min(), 1) / 1.5, high)
    else:
        ax.set_ylim(-0.03 * high, high)
    n_pairs = profile[profile["statistic"] == shown[0]].set_index("bin")["n_links"]
    ax.set_xticks(range(len(DISTANCE_BINS)), [f"{name}\nn = {n_pairs[name]:,}" for name in DISTANCE_BINS])
    ax.set(xlim=(-0.5, len(DISTANCE_BINS) - 0.5), xlabel="distance of the peak from the TSS (n: pairs)")
    ax.set_ylabel("pairs found / pairs expected by chance")
    ax.set_title(f"Pairs with p ≤ {level_of(profile):g}, over the matched null")


def _draw_odds(ax: Axes, near: pd.DataFrame) -> None:
    """A row per cut and statistic; one without odds says why."""
    style.clean(ax, grid="x")
    names = []
    for y, row in enumerate(near.sort_values("cut", key=lambda cut: cut == TOP, kind="stable").itertuples()):
        of = f"{row.n_significant_near:,} of {row.n_significant:,} near"
        names.append(f"{row.statistic}, {cut_of(row)}\n{of if row.n_significant else 'none'}")
        if not row.reason:
            bars = [[row.odds_ratio - row.ci_low], [row.ci_high - row.odds_ratio]]
            ax.errorbar(row.odds_ratio, y, xerr=bars, markersize=5, **_look(row.statistic))
            continue
        place = {"transform": ax.get_yaxis_transform(), "ha": "center", "va": "center", "style": "italic"}
        ax.text(0.5, y, with_signs(row.reason), color=style.GREY, backgroundcolor="white", **place)
    ax.axvline(1, **_CHANCE)
    ends = np.append(near[["ci_low", "ci_high"]].to_numpy(dtype=float).ravel(), [0.5, 2])
    _log_axis(ax, "x", np.nanmin(ends) / 1.2, np.nanmax(ends) * 1.2)
    ax.set_yticks(range(len(names)), names)
    ax.set(ylim=(len(names) - 0.5, -0.5), xlabel="odds ratio (1: as often as the other pairs)")
    ax.set_title("Nearer than 10 kb to the TSS")


@style.styled
def truth_figure(
    curve: pd.DataFrame, summary: pd.DataFrame, calibration: pd.DataFrame, *, about: str = ""
) -> Figure:
    """Precision against recall of the true links, and the share of false links against what q promises.

    Parameters
    ----------
    curve, summary, calibration
        Of :func:`jamie.regulation.enrichment.precision_recall` and ``calibration``.
    about
        Line of context below the headline.
    """
    style.require(curve, ("statistic", "recall", "precision"), "precision-recall")
    style.require(calibration, ("statistic", "level", "n_significant"), "calibration")
    figure = Figure(figsize=(9.4, 4.6), layout="constrained", facecolor="white")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    handles = _draw_curves(left, curve, summary)
    _draw_calibration(right, calibration)
    _legend(figure, handles, "left: area under the curve", statistics_in(calibration))
    style.headline(figure, truth_message(summary), about)
    return figure


def _draw_curves(ax: Axes, curve: pd.DataFrame, summary: pd.DataFrame) -> list[Line2D]:
    """Lines, best ranking first, then chance."""
    style.clean(ax, grid="both")
    lines = []
    for row in summary.sort_values("auprc", ascending=False, kind="stable").itertuples():
        own, family = curve[curve["statistic"] == row.statistic], row.statistic.split(",")[0]
        solid = row.statistic.endswith(WITH)
        dashes = "-" if solid else (0, (3, 1.2)) if row.statistic.endswith(WITHOUT) else ":"
        look = {"color": _COLORS.get(family, style.GREY), "linestyle": dashes}
        look["linewidth"] = 2.0 if solid else 1.2
        label = f"{row.auprc:.3f}  {row.statistic}"
        lines += ax.plot(own["recall"], own["precision"], drawstyle="steps-post", label=label, **look)
    base_rate = summary["base_rate"].iloc[0]
    lines.append(ax.axhline(base_rate, label=f"{base_rate:.3f}  chance", **_CHANCE))
    ax.set(xlim=(0, 1.01), ylim=(0, 1.03), xlabel="recall (share of the true links found)")
    ax.set_ylabel("precision (share of the found that are true)")
    ax.set_title("Pairs ranked, true links first?")
    return lines


def _draw_calibration(ax: Axes, calibration: pd.DataFrame) -> None:
    """Points with their number of links beside them: imputed to the left, measured to the right."""
    style.clean(ax, grid="y")
    shown, levels = statistics_in(calibration), np.sort(calibration["level"].unique())
    high = min(1.03, 1.08 * np.nanmax([calibration["ci_high"].max(), 1.5 * levels[-1]]))
    for statistic in shown:
        own = calibration[calibration["statistic"] == statistic].set_index("level").loc[levels]
        side = _side(statistic, shown) or 1
        x, share = np.arange(len(levels)) + 0.06 * side, own["false_discovery_proportion"]
        _with_bars(ax, x, share, own, statistic)
        place = {"textcoords": "offset points", "ha": "left" if side > 0 else "right", "va": "center"}
        for at, y, n in zip(x, share, own["n_significant"], strict=True):
            words, y = (f"{n:,}", y) if n else ("no link", 0.03 * high)
            ax.annotate(words, (at, y), (7 * side, 0), color=_COLORS[statistic], zorder=4, **place)
    ax.plot(np.arange(len(levels)), levels, **_CHANCE)
    ax.set(xlim=(-0.5, len(levels) - 0.5), ylim=(-0.03 * high, high))
    ax.set_xticks(range(len(levels)), [f"≤ {level:g}" for level in levels])
    ax.set_xlabel("q (beside the points: number of links; dashed: what q promises)")
    ax.set_ylabel("share of false links")
    ax.set_title(promise(calibration))


@style.styled
def known_figure(enrichment: pd.DataFrame, *, about: str = "") -> Figure:
    """Odds of a known link among the strongest pairs over those among the rest, by how many are taken.

    Parameters
    ----------
    enrichment
        Of :func:`jamie.regulation.enrichment.known_enrichment`.
    about
        Line of context below the headline.
    """
    style.require(enrichment, ("statistic", "n_top", "n_known", "odds_ratio"), "known links")
    figure = Figure(figsize=(6.8, 4.4), layout="constrained", facecolor="white")
    ax = figure.add_subplot()
    style.clean(ax, grid="both")
    drawn = enrichment.dropna(subset="odds_ratio")
    for statistic in statistics_in(drawn):
        own = drawn[drawn["statistic"] == statistic]
        ax.plot(own["n_top"], own["odds_ratio"], markersize=4, **{**_look(statistic), "linestyle": "-"})
        band = {"color": _COLORS[statistic], "alpha": 0.18, "linewidth": 0}
        ax.fill_between(own["n_top"], own["ci_low"], own["ci_high"], **band)
    ax.axhline(1, **_CHANCE)
    _log_axis(ax, "x", drawn["n_top"].min() / 1.2, drawn["n_top"].max() * 1.2)
    _log_axis(ax, "y", min(0.5, drawn["ci_low"].min()), max(2, drawn["ci_high"].max()))
    ax.set(xlabel="strongest pairs taken, by p (number)", ylabel="odds ratio of a known link")
    _legend(figure, _points(drawn), "band: 95 % interval, pairs taken as independent", statistics_in(drawn))
    style.headline(figure, known_message(enrichment), about)
    return figure


def _side(statistic: str, shown: list[str]) -> int:
    return 0 if len(shown) == 1 else 2 * shown.index(statistic) - 1


def _look(statistic: str) -> dict:
    return {"color": _COLORS[statistic], "marker": _MARKERS[statistic], "linestyle": ""}


def _points(table: pd.DataFrame) -> list[Line2D]:
    points = [Line2D([], [], label=f"{s} values", **_look(s)) for s in statistics_in(table)]
    return [*points, Line2D([], [], label="chance", **_CHANCE)]


def _legend(figure: Figure, handles: list[Line2D], note: str, shown: list[str]) -> None:
    note += "" if MEASURED in shown else f"; {NO_MEASURED}"
    figure.legend(handles=handles, title=note, loc="outside lower left", ncols=3, alignment="left")


def _with_bars(ax: Axes, x: np.ndarray, y: pd.Series, ends: pd.DataFrame, statistic: str) -> None:
    bars = np.clip([y - ends["ci_low"], ends["ci_high"] - y], 0, None)
    ax.errorbar(x, y, yerr=bars, elinewidth=1, markersize=5, **_look(statistic))


def _log_axis(ax: Axes, axis: str, low: float, high: float) -> None:
    """Log scale with plain numbers, at 1, 2 and 5 of each decade where there is room."""
    ax.set(**{f"{axis}scale": "log", f"{axis}lim": (low, high)})
    decades = 10.0 ** np.arange(np.floor(np.log10(low)), np.ceil(np.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 500 else (1,)
    ticks = [t for t in np.outer(decades, steps).ravel() if low <= t <= high]
    ax.set(**{f"{axis}ticks": ticks, f"{axis}ticklabels": [f"{t:,.6g}" for t in ticks]})
    (ax.xaxis if axis == "x" else ax.yaxis).set_minor_locator(NullLocator())
