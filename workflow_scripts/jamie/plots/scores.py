"""Scores of all methods side by side."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jamie.contract import FAILED, METRIC_COLUMNS, OK
from jamie.evaluation import paired, roles
from jamie.plots import palette, style

INTEGRATION = ("foscttm", "lta", "silhouette", "modality_mixing", "batch_mixing")
IMPUTATION = ("pearson", "pearson_within", "r2_median", "auroc", "js_distance")
BETTER = {
    "foscttm": "lower",
    "lta": "higher",
    "silhouette": "higher",
    "modality_mixing": "higher",
    "batch_mixing": "higher",
    "pearson": "higher",
    "pearson_within": "higher",
    "r2_median": "higher",
    "auroc": "higher",
    "js_distance": "lower",
}
LOWEST = {"r2_median": -1.0}  # R2 has no lower bound: one bad method must not squeeze the others
N_COLUMNS = 4
JITTER = 0.13
FOOTNOTE = (
    "small dots: seeds; large dot and bar: mean and one standard deviation; dashed lines: controls; "
    "best, worse: by the 95% interval of the difference, seed by seed"
)
NOTE = {
    "color": style.GREY,
    "style": "italic",
    "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.8},
    "zorder": 5,
}


@style.styled
def score_panels(
    metrics: pd.DataFrame,
    *,
    protocol: str,
    cells: str,
    held_out: float,
    better: Mapping[str, str] | None = None,
) -> Figure:
    """One panel per metric and modality, a row per method: a dot per seed, the mean, and one sd either side.

    Controls (floors, and the reference that reads the truth) are vertical lines at their mean. A method
    without a score says n/a.

    Parameters
    ----------
    metrics
        Columns of ``METRIC_COLUMNS``, of one dataset and scenario.
    protocol, cells
        Which rows to draw.
    held_out
        Share of the cells with both modalities that is held out.
    better
        ``"lower"`` or ``"higher"`` by metric; a metric without an entry gets no hint. Default: ``BETTER``.

    Raises
    ------
    ValueError
        When the rows are of several datasets or scenarios, or no method has a score.
    """
    better = BETTER if better is None else better
    style.require(metrics, METRIC_COLUMNS, "metrics")
    rows = style.select_case(metrics, "scores", protocol=protocol, cells=cells)
    rows = rows[rows["metric"].isin((*INTEGRATION, *IMPUTATION))].assign(
        modality=rows["modality"].fillna(""), value=pd.to_numeric(rows["value"])
    )
    methods = [m for m in roles.order_methods(rows["method"]) if not roles.is_control(m)]
    panels = _panels(rows)
    if not methods or not panels:
        raise ValueError("No method has a score for these cells.")

    n_controls = rows["method"].map(roles.is_control).groupby(rows["method"]).first().sum()
    row_in = 0.245 * (len(methods) + 0.62 * n_controls) + 0.95
    figure = Figure(figsize=(10, 0.75 + row_in * len(panels)), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(len(panels), N_COLUMNS)
    for i, line in enumerate(panels):
        for j, (metric, modality) in enumerate(line):
            ax = figure.add_subplot(grid[i, j])
            chosen = rows[(rows["metric"] == metric) & (rows["modality"] == modality)]
            _draw_panel(ax, chosen, methods, metric, n_controls)
            ax.set_title(panel_title(metric, modality))
            ax.set_xlabel({"lower": "← better", "higher": "better →"}.get(better.get(metric), ""))
            if j:
                ax.tick_params(labelleft=False)
    about = f"{roles.case_words(protocol, cells, rows['seed'].nunique())}, {_n_cells(rows)}"
    style.headline(figure, _message(rows, panels, better, paired.split_ratio(cells, held_out)), about)
    figure.supxlabel(FOOTNOTE, fontsize=style.FONT_SIZE, color=style.GREY)
    return figure


def _n_cells(rows: pd.DataFrame) -> str:
    """How many cells are scored; scores of both modalities together, which count a cell twice, apart."""
    ok = rows[rows["status"] == OK]
    scored = ok[ok["metric"].eq("foscttm") | ok["modality"].ne("")]
    n = (ok if scored.empty else scored)["n_cells"].astype(int)
    return f"n = {n.max():,} cells" if n.min() == n.max() else f"n = {n.min():,} to {n.max():,} cells"


def _panels(rows: pd.DataFrame) -> list[list[tuple[str, str]]]:
    """(metric, modality) with at least one score, in lines of four; imputation starts a new line.

    Mixing of batches is shown for both modalities together: they hardly differ in it.
    """
    scored = rows[(rows["status"] == OK) & ~rows["method"].map(roles.is_control)]
    modalities = [m for m in dict.fromkeys(rows["modality"]) if m]
    present = set(zip(scored["metric"], scored["modality"], strict=True))
    lines = []
    for family in (INTEGRATION, IMPUTATION):
        found = [(k, m) for k in family for m in ("", *modalities) if (k, m) in present]
        found = [(k, m) for k, m in found if k != "batch_mixing" or not m]
        lines += [found[i : i + N_COLUMNS] for i in range(0, len(found), N_COLUMNS)]
    return lines


def panel_title(metric: str, modality: str) -> str:
    """Title of a score's panel, in one or two lines."""
    if not modality:
        return roles.label(metric)
    what = "labels of" if metric == "lta" else "imputed" if metric in IMPUTATION else ""
    return f"{roles.label(metric)}\n{what} {roles.label(modality)}".replace("\n ", "\n")


def _draw_panel(ax: Axes, rows: pd.DataFrame, methods: list[str], metric: str, n_controls: int) -> None:
    ok = rows[rows["status"] == OK]
    low, high = _limits(ok["value"], LOWEST.get(metric, -np.inf))
    ax.set_xlim(low, high)
    ax.set_ylim(len(methods) - 0.4, -0.6 - 0.62 * n_controls)
    style.clean(ax, grid="x")
    ax.set_yticks(range(len(methods)), [roles.label(m) for m in methods])
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=4)
    ax.spines["left"].set_visible(False)
    _draw_controls(ax, ok)
    for y, method in enumerate(methods):
        own = rows[rows["method"] == method]
        _draw_method(ax, y, own, palette.method_color(method, methods))


def _limits(values: pd.Series, lowest: float) -> tuple[float, float]:
    low, high = max(values.min(), lowest), values.max()
    pad = 0.07 * (high - low) or 0.05
    return low - pad, high + pad


def _draw_controls(ax: Axes, ok: pd.DataFrame) -> None:
    """Grey lines, each named on a line of its own above the methods."""
    low, high = ax.get_xlim()
    means = ok.groupby("method")["value"].mean()
    controls = [m for m in means.index if roles.is_control(m)]
    # the outermost line is the highest: a label, which points inwards, then meets no other line
    controls.sort(key=lambda m: abs(means[m] - (low + high) / 2))
    for i, method in enumerate(controls):
        x, color = means[method], palette.method_color(method, controls)
        if x < low:
            continue
        height = -0.6 - 0.62 * i
        ax.plot(
            [x, x],
            [ax.get_ylim()[0], height],
            color=color,
            linestyle=palette.control_dashes(method),
            linewidth=1,
        )
        left = (x - low) / (high - low) < 0.5
        ax.annotate(
            roles.label(method),
            (x, height),
            xytext=(2 if left else -2, 1),
            textcoords="offset points",
            ha="left" if left else "right",
            va="bottom",
            color=style.GREY,
        )


def _draw_method(ax: Axes, y: int, own: pd.DataFrame, color: str) -> None:
    low, high = ax.get_xlim()
    values = own.loc[own["status"] == OK, "value"].to_numpy(float)
    n_missing = int((own["status"] != OK).sum())
    failed = bool((own["status"] == FAILED).any())
    if not len(values):
        text = "n/a (failed)" if failed else "n/a"
        ax.text(low + 0.03 * (high - low), y, text, va="center", **NOTE)
        return
    mean, sd = values.mean(), values.std(ddof=1) if len(values) > 1 else 0.0
    if mean < low:
        ax.text(low, y, f" ◂ {mean:.2g}", va="center", color=color)
        return
    spread = np.linspace(-JITTER, JITTER, len(values)) if len(values) > 1 else np.zeros(1)
    style.scatter(ax, values, y + spread, s=9, color=color, alpha=0.55)
    ax.errorbar(mean, y, xerr=sd or None, fmt="o", color=color, markersize=5, linewidth=1.4, clip_on=False)
    if n_missing:
        right = (mean - low) / (high - low) < 0.5
        ax.text(
            high if right else low,
            y,
            f"n/a: {n_missing} of {len(own)} seeds",
            ha="right" if right else "left",
            va="center",
            **NOTE,
        )


def _message(rows: pd.DataFrame, panels: list, better: Mapping[str, str], ratio: float) -> str:
    """How JAMIE stands on the scores that another method has too, by differences seed by seed."""
    by_score = paired.by_seed(rows)
    found = [
        paired.standing(by_score[panel], "jamie", better[panel[0]], ratio)
        for line in panels
        for panel in line
        if panel[0] in better and "jamie" in by_score[panel]
    ]
    found = [standing for standing in found if standing != paired.ALONE]
    if not found:
        return "Scores of all methods"
    if set(found) == {paired.ONE_SEED}:
        return f"Scores of all methods; one seed cannot tell whether {roles.label('jamie')} is better"
    best, level, behind = (found.count(kind) for kind in (paired.BEST, paired.LEVEL, paired.BEHIND))
    of = f"of {len(found)} score{'s' if len(found) != 1 else ''}"
    return (
        f"{roles.label('jamie')} is best on {best}, not told from the best on {level}, worse on {behind} {of}"
    )
