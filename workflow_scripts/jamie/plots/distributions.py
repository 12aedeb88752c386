"""Whether imputed values are distributed as the measured ones, cell type by cell type."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from jamie.contract import FEATURE_SCORE_COLUMNS
from jamie.evaluation import paired, roles
from jamie.plots import palette, style

MEASURED, IMPUTED = "measured", "imputed"
MEASURED_COLOR = "#7F7F7F"
MAX_FEATURES, MAX_GROUPS, N_COLUMNS = 6, 15, 3
MIN_CELLS = 5  # below this a density means nothing: the values are drawn as points


@style.styled
def measured_and_imputed(
    values: pd.DataFrame,
    *,
    method: str = "jamie",
    group_name: str = "cell type",
    value_name: str = "value (model input scale)",
) -> Figure:
    """Split violins per group: measured values above, imputed ones below, and a tick at each median.

    Parameters
    ----------
    values
        One row per cell, feature and kind: ``modality``, ``feature``, ``group``, ``kind`` (``measured`` or
        ``imputed``), ``value``; optional ``r``, the Pearson r of the feature. At most 6 features a modality.
    method, group_name, value_name
        Which method imputed; what the groups are (the largest 15 are drawn); the unit or scale of ``value``.

    Raises
    ------
    ValueError
        When a column is missing, no cell has a group, a kind is missing, or there are too many features.
    """
    style.require(values, ("modality", "feature", "group", "kind", "value"), "measured and imputed values")
    values = values[values["group"].notna() & np.isfinite(values["value"].astype(float))]
    lines = _lines(values)
    sizes = values["group"].astype(str).value_counts()
    groups = style.natural_order(sizes.index[:MAX_GROUPS])
    colors = {MEASURED: MEASURED_COLOR, IMPUTED: palette.method_color(method, [method])}
    height = 1.0 + len(lines) * (0.95 + 0.2 * len(groups))
    figure = Figure(figsize=(10, height), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(len(lines), N_COLUMNS)
    for i, line in enumerate(lines):
        for j, (modality, name) in enumerate(line):
            ax = figure.add_subplot(grid[i, j])
            rows = values[(values["modality"] == modality) & (values["feature"] == name)]
            _draw_feature(ax, rows, groups, colors)
            ax.set_title(_feature_title(rows, modality, name))
            ax.set_xlabel(value_name)
            if j:
                ax.tick_params(labelleft=False)
    handles = [
        Patch(facecolor=colors[MEASURED], alpha=0.75, label="measured"),
        Patch(facecolor=colors[IMPUTED], alpha=0.75, label=f"imputed by {roles.label(method)}"),
        Line2D([], [], color="black", linewidth=1.1, label="median"),
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=3)
    left_out = f"the {MAX_GROUPS} largest of {len(sizes)} groups" if len(sizes) > MAX_GROUPS else ""
    message = f"Measured values and values imputed by {roles.label(method)}, by {group_name}"
    style.headline(figure, message, left_out)
    return figure


def _lines(values: pd.DataFrame) -> list[list[tuple[str, str]]]:
    """(modality, feature) of each panel, in lines of three; a modality starts a new line."""
    if set(values["kind"]) != {MEASURED, IMPUTED}:
        raise ValueError("Measured and imputed values of labelled cells are both needed, and one is missing.")
    features = values.groupby("modality", sort=False)["feature"].unique()
    if features.map(len).max() > MAX_FEATURES:
        raise ValueError(f"At most {MAX_FEATURES} features of a modality fit in this figure.")
    return [
        [(modality, name) for name in names[i : i + N_COLUMNS]]
        for modality, names in features.items()
        for i in range(0, len(names), N_COLUMNS)
    ]


def _feature_title(rows: pd.DataFrame, modality: str, name: str) -> str:
    r = rows["r"].dropna() if "r" in rows else ()
    return f"{name}, {roles.label(modality)}" + (f"\nr = {r.iloc[0]:z.2f}" if len(r) else "")


def _draw_feature(ax: Axes, rows: pd.DataFrame, groups: list[str], colors: dict[str, str]) -> None:
    style.clean(ax, grid="x")
    group_of = rows["group"].astype(str)
    for kind, side, step in ((MEASURED, "low", -1), (IMPUTED, "high", 1)):
        color = colors[kind]
        for y, group in enumerate(groups):
            own = rows.loc[(group_of == group) & (rows["kind"] == kind), "value"].to_numpy(float)
            if len(own) == 0:
                continue
            if len(own) >= MIN_CELLS and np.ptp(own) > 0:
                parts = ax.violinplot(
                    own, [y], orientation="horizontal", widths=0.86, side=side, showextrema=False
                )
                for body in parts["bodies"]:
                    body.set(facecolor=color, alpha=0.75, edgecolor="none")
            else:
                style.scatter(ax, own, np.full(len(own), y + 0.18 * step), s=7, color=color, alpha=0.75)
            median = np.median(own)
            ax.plot([median, median], [y, y + 0.36 * step], color="black", linewidth=1.1)
    ax.set_ylim(len(groups) - 0.4, -0.6)
    ax.set_yticks(range(len(groups)), groups)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


@style.styled
def js_curves(
    feature_scores: pd.DataFrame,
    *,
    ratio: float,
    protocol: str | None = None,
    cells: str | None = None,
) -> Figure:
    """Jensen-Shannon similarity of every feature, best first: a line per method, a panel per modality.

    Parameters
    ----------
    feature_scores
        Columns of ``FEATURE_SCORE_COLUMNS``. Similarity is 1 - ``js_distance`` (no unit; 1 = the measured and
        imputed distributions are equal), averaged over seeds per feature; features without a distance are
        left out.
    ratio
        As from :func:`jamie.evaluation.paired.split_ratio`.
    protocol, cells
        Which rows to draw; may be left out where there is only one.

    Raises
    ------
    ValueError
        When no feature has a distance, or the rows mix several cases.
    """
    style.require(feature_scores, FEATURE_SCORE_COLUMNS, "feature scores")
    rows = style.select_case(feature_scores, "feature scores", protocol=protocol, cells=cells)
    rows = rows[rows["js_distance"].notna()]
    if rows.empty:
        raise ValueError("No feature has a Jensen-Shannon distance; it needs cell types and imputed values.")
    modalities = list(dict.fromkeys(rows["modality"]))
    distances = rows.groupby(["modality", "method", "feature"])["js_distance"].mean()
    by_seed = 1 - rows.groupby(["modality", "method", "seed"])["js_distance"].mean()
    sd = by_seed.groupby(["modality", "method"]).std()  # NaN for one seed
    width = max(6.5, 0.4 + (5.6 if sd.notna().any() else 4.8) * len(modalities))
    figure = Figure(figsize=(width, 4.6), layout="constrained", facecolor="white")
    methods = roles.order_methods(rows["method"])
    best = {}
    for j, modality in enumerate(modalities):
        ax = figure.add_subplot(1, len(modalities), j + 1, sharey=figure.axes[0] if j else None)
        _draw_curves(ax, 1 - distances.loc[modality], sd.loc[modality], methods)
        level = paired.level_with_best(by_seed.loc[modality].unstack("method"), "higher", ratio)
        if level:
            best[roles.label(modality)] = " or ".join(roles.label(m) for m in level)
        ax.set_title(f"imputed {roles.label(modality)}")
        if j == 0:
            ax.set_ylabel("Jensen-Shannon similarity (1 = equal)")
    case = roles.case_words(rows["protocol"].iloc[0], rows["cells"].iloc[0], rows["seed"].nunique())
    style.headline(figure, textwrap.fill(_closest(best), int(10.5 * width)), case)
    return figure


def _closest(best: dict[str, str]) -> str:
    """The message: by modality, the closest method with those that the seeds cannot tell from it."""
    if not best:
        return "Imputed distributions against measured ones"
    if len(set(best.values())) == 1:
        winners = f"{next(iter(best.values()))}, for {' and '.join(best)}"
    else:
        winners = ", ".join(f"{winner} for {modality}" for modality, winner in best.items())
    return f"Closest to the measured distributions: {winners}"


def _draw_curves(ax: Axes, similarity: pd.Series, sd: pd.Series, methods: list[str]) -> None:
    """Draw the ranked similarity of each method. ``sd``: over seeds."""
    means = similarity.groupby("method").mean().sort_values(ascending=False)
    handles = []
    for method in means.index:
        ranked = np.sort(similarity.loc[method].to_numpy())[::-1]
        control = roles.is_control(method)
        line = {
            **palette.method_points(method, methods),
            "markersize": 4,
            "linestyle": palette.control_dashes(method) if control else "-",
            "linewidth": 2.2 if method == "jamie" else 1.3,
            "zorder": 4 if method == "jamie" else 2 if control else 3,
        } | ({"marker": ""} if control and len(ranked) > 1 else {})
        ax.plot(np.linspace(0, 1, len(ranked)), ranked, markevery=0.15, **line)
        spread = f" ± {sd[method]:.3f}" if np.isfinite(sd[method]) else ""
        handles.append(Line2D([], [], label=f"{means[method]:z.3f}{spread}  {roles.label(method)}", **line))
    ax.set_xlabel(f"features, best first (fraction of {similarity.groupby('method').size().max():,})")
    ax.set_xlim(0, 1)
    style.clean(ax, grid="y")
    ax.legend(
        handles=handles,
        title="mean similarity" + (" ± sd over seeds" if sd.notna().any() else ""),
        alignment="left",
        loc="upper left",
        bbox_to_anchor=(0, -0.16),
        ncols=2,
        handlelength=2.4,
    )
