"""Variants of one method against the first of them, score by score."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jamie.contract import METRIC_COLUMNS, OK
from jamie.evaluation import paired, roles
from jamie.evaluation.phrases import number, score_name
from jamie.evaluation.roles import label
from jamie.metrics.comparison import UNTOLD, paired_difference
from jamie.plots import style
from jamie.plots.scores import BETTER, JITTER, panel_title

MAIN_SCORES = ("foscttm", "lta", "pearson")
BETTER_COLOR, WORSE_COLOR = "#0072B2", "#D55E00"
FOOTNOTE = (
    "small dots: seeds; large dot and bar: mean and one standard deviation; dashed: mean of the reference;\n"
    "right: difference to it, blue = better and orange = worse, where its 95% interval leaves out 0"
)


def differences(metrics: pd.DataFrame, variants: list[str], held_out: float) -> pd.DataFrame:
    """Every main score of every variant, and how it differs from the first variant.

    Parameters
    ----------
    metrics
        METRIC_COLUMNS of one dataset, scenario and group of cells.
    variants
        Methods, the first of them is what the others are compared with.
    held_out
        Share of the cells with both modalities that is held out.

    Returns
    -------
    metric, modality, method, mean, sd, n_seeds, difference (mean over the seeds both have; NaN where there is
    none), low and high (ends of its 95 % interval), verdict: "better", "worse" or "" (the interval holds 0,
    or there is none).
    """
    ratio = paired.split_ratio(metrics["cells"].iloc[0], held_out)
    rows = metrics[metrics["metric"].isin(MAIN_SCORES) & metrics["method"].isin(variants)]
    rows = rows[rows["status"] == OK].fillna({"modality": ""}).astype({"value": float})
    rows = rows[(rows["metric"] != "lta") | (rows["modality"] == "")]
    order = list(dict.fromkeys(metrics["modality"].fillna("")))  # that of the dataset
    rows = rows.sort_values("modality", key=lambda column: column.map(order.index), kind="stable")
    found = []
    for (metric, modality), part in rows.groupby(["metric", "modality"], sort=False):
        wide = part.pivot_table(index="seed", columns="method", values="value").reindex(columns=variants)
        for method in variants:
            own = wide[method].dropna()
            gap = paired_difference(
                wide[method], wide[variants[0]], better=BETTER[metric], test_over_train=ratio
            )
            verdict = "" if gap.verdict == UNTOLD else gap.verdict
            score = [metric, modality, method, own.mean(), own.std(), len(own)]
            found.append([*score, gap.mean, gap.low, gap.high, verdict])
    columns = [
        "metric",
        "modality",
        "method",
        "mean",
        "sd",
        "n_seeds",
        "difference",
        "low",
        "high",
        "verdict",
    ]
    return pd.DataFrame(found, columns=columns)


@style.styled
def ablation_panels(
    metrics: pd.DataFrame, *, variants: list[str], held_out: float, about: str = ""
) -> Figure:
    """A panel per main score, a row per variant: seeds, mean and sd, and the difference to the first one.

    Parameters
    ----------
    metrics
        METRIC_COLUMNS of one dataset, scenario and group of cells.
    variants
        Methods, in the order of rows; the first is what the others are compared with.
    held_out
        Share of the cells with both modalities that is held out.
    about
        Line of context below the headline.

    Raises
    ------
    ValueError
        No variant has a score.
    """
    style.require(metrics, METRIC_COLUMNS, "metrics")
    table = differences(metrics, variants, held_out)
    if table.empty:
        raise ValueError("No variant has a score for these cells.")
    panels = list(dict.fromkeys(zip(table["metric"], table["modality"], strict=True)))
    panels.sort(key=lambda p: (MAIN_SCORES.index(p[0]), p[1] != ""))
    size = (2.3 + 2.35 * len(panels), 1.75 + 0.3 * len(variants))
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    for j, (metric, modality) in enumerate(panels):
        ax = figure.add_subplot(1, len(panels), j + 1)
        rows = metrics[(metrics["metric"] == metric) & (metrics["modality"].fillna("") == modality)]
        own = table[(table["metric"] == metric) & (table["modality"] == modality)].set_index("method")
        _draw_panel(ax, rows[rows["status"] == OK], own, variants)
        ax.set_title(panel_title(metric, modality))
        ax.set_xlabel({"lower": "← better", "higher": "better →"}[BETTER[metric]])
        ax.set_yticks(range(len(variants)), [roles.label(m) for m in variants])
        ax.tick_params(axis="y", length=0, labelleft=j == 0)
    style.headline(figure, headline(table, variants), about)
    figure.supxlabel(FOOTNOTE, fontsize=style.FONT_SIZE, color=style.GREY)
    return figure


def _draw_panel(ax: Axes, rows: pd.DataFrame, table: pd.DataFrame, variants: list[str]) -> None:
    style.clean(ax, grid="x")
    ax.spines["left"].set_visible(False)
    ax.set_ylim(len(variants) - 0.5, -0.5)
    ax.locator_params(axis="x", nbins=4)
    reference = table.loc[variants[0], "mean"]
    if np.isfinite(reference):
        ax.axvline(reference, color=style.GREY, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
    for y, method in enumerate(variants):
        values = rows.loc[rows["method"] == method, "value"].to_numpy(float)
        own = table.loc[method]
        if not len(values):
            ax.text(
                0.5, y, "n/a", transform=ax.get_yaxis_transform(), ha="center", va="center", color=style.GREY
            )
            continue
        color = style.GREY if y == 0 else style.TEXT
        spread = np.linspace(-JITTER, JITTER, len(values)) if len(values) > 1 else np.zeros(1)
        style.scatter(ax, values, y + spread, s=9, color=color, alpha=0.5)
        sd = own["sd"] if np.isfinite(own["sd"]) else None
        ax.errorbar(own["mean"], y, xerr=sd, fmt="o", color=color, markersize=4.5, linewidth=1.3)
        words, tint = ("reference", style.GREY) if y == 0 else _difference(own)
        weight = "bold" if own["verdict"] else "normal"
        ax.text(1.03, y, words, transform=ax.get_yaxis_transform(), va="center", color=tint, weight=weight)


def _difference(own: pd.Series) -> tuple[str, str]:
    if not np.isfinite(own["difference"]):
        return "n/a", style.GREY
    color = {"better": BETTER_COLOR, "worse": WORSE_COLOR}.get(own["verdict"], style.GREY)
    return f"{own['difference']:+z.3f}".replace("-", "\N{MINUS SIGN}"), color


def headline(table: pd.DataFrame, variants: list[str]) -> str:
    """How many scores the last variant improves over the first."""
    last = table[table["method"] == variants[-1]]
    better = int((last["verdict"] == "better").sum())
    if table["n_seeds"].max() < paired.MIN_SEEDS:
        return f"One seed cannot tell whether a variant is better than “{roles.label(variants[0])}”"
    return (
        f"{roles.label(variants[-1])}: better than “{roles.label(variants[0])}” in {better} of "
        f"{len(last)} scores"
    )


def in_words(table: pd.DataFrame, variants: list[str], cells: str) -> str:
    """The caption: every score of the reference, and what each variant is told to change."""
    reference = table[table["method"] == variants[0]]
    scores = [
        f"{score_name(row.metric, row.modality)} {row.mean:z.3f}"
        + (f" ± {row.sd:.3f}" if row.n_seeds > 1 else "")
        for row in reference.itertuples(index=False)
    ]
    n_seeds = number(int(table["n_seeds"].max()), "seed")
    said = [f"On {cells}; {n_seeds}. {label(variants[0])}: {', '.join(scores)}"]
    for method in variants[1:]:
        told = table[(table["method"] == method) & (table["verdict"] != "")]
        changes = [
            f"{score_name(row.metric, row.modality)} {row.difference:+z.3f} ({row.verdict})"
            for row in told.itertuples(index=False)
        ]
        said.append(f"{label(method)}: {', '.join(changes) or 'no difference that can be told'}")
    return ". ".join(said) + "."
