"""How well methods align two modalities: FOSCTTM against label transfer accuracy."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jamie.contract import METRIC_COLUMNS, OK
from jamie.evaluation import paired, roles
from jamie.evaluation.phrases import mean_sd, number, ok_values
from jamie.evaluation.roles import label
from jamie.metrics.base import load_metrics
from jamie.plots import palette, style

SCORES = ("foscttm", "lta")
FOOTNOTE = (
    "point and bars: mean and one standard deviation over seeds\n"
    "filled: learns from known pairs; open: uses no pairs; grey: controls"
)


def alignment_scores(metrics: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread of both scores, for the methods that have both.

    Parameters
    ----------
    metrics
        METRIC_COLUMNS of one dataset, scenario and group of cells.

    Returns
    -------
    One row per method, controls last and the others best first (label transfer accuracy less FOSCTTM):
    ``foscttm``, ``lta``, ``foscttm_sd``, ``lta_sd`` (NaN for one seed).
    """
    rows = metrics[metrics["metric"].isin(SCORES) & (metrics["modality"].fillna("") == "")]
    rows = rows[rows["status"] == OK].astype({"value": float})
    found = rows.groupby(["method", "metric"])["value"].agg(["mean", "std"]).unstack("metric")
    columns = [("mean", m) for m in SCORES] + [("std", m) for m in SCORES]
    table = found.reindex(columns=pd.MultiIndex.from_tuples(columns))
    table.columns = [*SCORES, *(f"{m}_sd" for m in SCORES)]
    table = table.dropna(subset=list(SCORES))
    first = {m: i for i, m in enumerate(roles.order_methods(table.index))}
    order = sorted(
        table.index,
        key=lambda m: (roles.is_control(m), table.loc[m, "foscttm"] - table.loc[m, "lta"], first[m]),
    )
    return table.loc[order]


def why_no_alignment(metrics: pd.DataFrame) -> str:
    """Why the figure cannot be drawn; empty if it can."""
    table = alignment_scores(metrics)
    if not all(roles.is_control(m) for m in table.index):
        return ""
    rows = metrics[metrics["metric"].isin(SCORES) & (metrics["status"] != OK)]
    reasons = [r for r in dict.fromkeys(rows["reason"].dropna()) if r]
    why = f" ({'; '.join(reasons)})" if reasons else ""
    return f"Not applicable: no method has both FOSCTTM and label transfer accuracy{why}."


@style.styled
def alignment_scatter(
    metrics: pd.DataFrame,
    missing: Mapping[str, str] | None = None,
    *,
    held_out: float,
    about: str = "",
) -> Figure:
    """A point per method, FOSCTTM on x and label transfer accuracy on y; the legend is in order, best first.

    Parameters
    ----------
    metrics
        METRIC_COLUMNS of one dataset, scenario and group of cells.
    missing
        Reason by method for those without both scores, as from :func:`left_out`; given below the panel.
    held_out
        Share of the cells with both modalities that is held out.
    about
        Line of context below the headline.

    Raises
    ------
    ValueError
        No method has both scores.
    """
    style.require(metrics, METRIC_COLUMNS, "metrics")
    if reason := why_no_alignment(metrics):
        raise ValueError(reason)
    table = alignment_scores(metrics)
    figure = Figure(figsize=(8.2, 5.4), layout="constrained", facecolor="white")
    ax = figure.add_subplot()
    style.clean(ax, grid="both")
    for method in table.index[::-1]:
        own, look = table.loc[method], _look(method, list(table.index))
        bars = {f"{axis}err": _bar(own[f"{m}_sd"]) for axis, m in zip("xy", SCORES, strict=True)}
        ax.errorbar(own["foscttm"], own["lta"], **bars, **look, linestyle="", elinewidth=0.9)
    ax.margins(0.08)
    ax.set_xlabel(f"← better   {roles.label('foscttm')} (fraction; 0.5 = chance)")
    ax.set_ylabel(f"{roles.label('lta')} (fraction of cells)   better →")
    better = "\N{NORTH WEST ARROW} better"
    ax.text(0, 1.01, better, transform=ax.transAxes, ha="left", va="bottom", color=style.GREY, style="italic")
    _legend(ax, table)
    style.headline(figure, textwrap.fill(headline(metrics, held_out), 82), about)
    figure.supxlabel(
        "\n".join([FOOTNOTE, *style.reasons("not shown", missing or {}, 120)]),
        fontsize=style.FONT_SIZE,
        color=style.GREY,
    )
    return figure


def left_out(metrics: pd.DataFrame, table: pd.DataFrame) -> dict[str, str]:
    """Why each method (controls apart) is not in ``table``.

    ``metrics`` holds every group of cells: a method that was excluded has rows for one group only.
    """
    rows = metrics[metrics["metric"].isin(SCORES) & ~metrics["method"].isin(table.index)]
    rows = rows[(rows["status"] != OK) & ~rows["method"].map(roles.is_control).astype(bool)]
    return rows.groupby("method", sort=False)["reason"].first().to_dict()


def _bar(sd: float) -> float | None:
    return sd if np.isfinite(sd) else None


def _look(method: str, methods: list[str]) -> dict:
    points, control = palette.method_points(method, methods), roles.is_control(method)
    edge = points["color"] if control or not roles.uses_pairs(method) else "white"
    return {
        **points,
        "markersize": 11 if points["marker"] in "*1234" else 7.5,
        "markeredgecolor": edge,
        "markeredgewidth": 0.7 if edge == "white" else 1.4,
        "zorder": 2 if control else 3,
    }


def _legend(ax: Axes, table: pd.DataFrame) -> None:
    """Beside the panel: each method with both means, so that points may lie on each other."""
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            **_look(method, list(table.index)),
            label=f"{own['foscttm'] + 0.0:.3f}   {own['lta'] + 0.0:.3f}   {roles.label(method)}",
        )
        for method, own in table.iterrows()
    ]
    ax.legend(
        handles=handles,
        title="FOSCTTM, label transfer",
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(1.01, 1.0),
        borderaxespad=0,
        labelspacing=0.6,
    )


def level_methods(metrics: pd.DataFrame, held_out: float) -> dict[str, list[str]]:
    """By score, the method with the best mean and those that the seeds cannot tell from it, in order.

    Of the methods with both scores that are no controls; empty lists with one seed.
    """
    both = [m for m in alignment_scores(metrics).index if not roles.is_control(m)]
    ratio = paired.split_ratio(metrics["cells"].iloc[0], held_out)
    by_score, found = paired.by_seed(metrics), {}
    for score in SCORES:
        scores = by_score[score, ""][both]
        found[score] = paired.level_with_best(scores, load_metrics()[score].better, ratio)
    return found


def headline(metrics: pd.DataFrame, held_out: float) -> str:
    """Which methods align best, by both scores, as far as the seeds tell."""
    both = [m for m in alignment_scores(metrics).index if not roles.is_control(m)]
    if len(both) == 1:
        return f"{roles.label(both[0])} is the only method with both scores"
    level = level_methods(metrics, held_out)
    if not all(level.values()):
        return "One seed cannot tell which method aligns best"
    first = [m for m in level["foscttm"] if m in level["lta"]]
    if len(first) == 1 and set(first) == set(level["foscttm"]) == set(level["lta"]):
        return f"{roles.label(first[0])} is best on both scores"
    words = {score: _names(level[score]) for score in SCORES}
    return f"Best, or not told from the best: FOSCTTM {words['foscttm']}; label transfer {words['lta']}"


def _names(methods: list[str]) -> str:
    names = [roles.label(m) for m in methods]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def in_words(metrics: pd.DataFrame, missing: Mapping[str, str], cells: str) -> str:
    """The caption: both scores of every method, best first, and why a method is missing."""
    said = []
    for method in alignment_scores(metrics).index:
        values = ok_values(metrics, method)
        said.append(f"{label(method)} {' and '.join(mean_sd(values[score, '']) for score in SCORES)}")
    n_seeds = number(metrics["seed"].nunique(), "seed")
    text = f"On {cells}; {n_seeds}. FOSCTTM and label transfer accuracy, best first: {'; '.join(said)}."
    reasons = [f"{label(m)}: {why}" for m, why in missing.items()]
    return text + (f" Not shown: {'; '.join(reasons)}." if reasons else "")
