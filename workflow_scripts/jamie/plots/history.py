"""How each loss term went during training."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jamie.contract import HISTORY_COLUMNS
from jamie.evaluation import roles
from jamie.plots import style

VALIDATION = "validation_"
TRAINING_COLOR, VALIDATION_COLOR = "#D55E00", "#222222"
LOG_RANGE = 30  # largest over smallest value above which y is logarithmic


@style.styled
def loss_curves(history: pd.DataFrame) -> Figure:
    """One panel per loss term: a thin line per seed, a thick one for their mean.

    Parameters
    ----------
    history
        Columns ``epoch``, ``term``, ``value`` (unweighted), ``weight``, ``seed``. A term ``validation_x`` is
        drawn dashed in the panel of ``x``. A weight that changes over the epochs is drawn faintly on a second
        axis.

    Raises
    ------
    ValueError
        When a column is missing or no value is finite.
    """
    style.require(history, (*HISTORY_COLUMNS, "seed"), "training history")
    history = history[np.isfinite(history["value"].astype(float))]
    if history.empty:
        raise ValueError("The training history holds no finite loss value.")
    terms = _panel_terms(history)
    n_columns = min(3, len(terms))
    n_rows = -(-len(terms) // n_columns)
    size = (max(5.5, 0.4 + 3.2 * n_columns), 0.9 + 2.1 * n_rows)
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    has_weight = False
    for i, term in enumerate(terms):
        ax = figure.add_subplot(n_rows, n_columns, i + 1)
        has_weight |= _draw_term(ax, history, term)
        if i + n_columns >= len(terms):
            ax.set_xlabel("epoch")
        if i % n_columns == 0:
            ax.set_ylabel("loss (unweighted)")
    n_seeds = history["seed"].nunique()
    has_validation = history["term"].str.startswith(VALIDATION).any()
    _legend(figure, n_seeds=n_seeds, has_validation=has_validation, has_weight=has_weight)
    n_epochs = history.groupby("seed")["epoch"].nunique()
    span = f"{n_epochs.min():,} to {n_epochs.max():,}" if n_epochs.nunique() > 1 else f"{n_epochs.max():,}"
    seeds = f"{n_seeds} seeds" if n_seeds > 1 else "one seed"
    style.headline(figure, f"Training ran for {span} epochs", f"loss terms of {seeds}")
    return figure


def _panel_terms(history: pd.DataFrame) -> list[str]:
    """Terms in the order they were written; the total first."""
    terms = dict.fromkeys(term.removeprefix(VALIDATION) for term in history["term"])
    return sorted(terms, key=lambda term: term != "total")


def _draw_term(ax: Axes, history: pd.DataFrame, term: str) -> bool:
    """Draw the curves of one term; whether its weight was drawn too."""
    drawn = []
    for name, color, dashes in ((term, TRAINING_COLOR, "-"), (VALIDATION + term, VALIDATION_COLOR, "--")):
        rows = history[history["term"] == name]
        if rows.empty:
            continue
        table = rows.pivot_table(index="epoch", columns="seed", values="value")
        drawn.append(table.to_numpy().ravel())
        mean = table.dropna().mean(
            axis=1
        )  # only epochs that every seed reached: no jump where one stops early
        if table.shape[1] > 1:
            for seed in table.columns:
                curve = table[seed].dropna()
                ax.plot(curve.index, curve, color=color, linestyle=dashes, linewidth=0.6, alpha=0.4)
        ax.plot(mean.index, mean, color=color, linestyle=dashes, linewidth=1.6)
    values = np.concatenate(drawn)
    values = values[np.isfinite(values)]
    if values.min() > 0 and values.max() / values.min() > LOG_RANGE:
        ax.set_yscale("log")
    style.clean(ax, grid="y")
    ax.set_title(roles.label(term).replace("_", " "))
    return _draw_weight(ax, history[history["term"] == term])


def _draw_weight(ax: Axes, rows: pd.DataFrame) -> bool:
    weight = rows.groupby("epoch")["weight"].mean().dropna()
    if weight.nunique() < 2:
        return False
    twin = ax.twinx()
    twin.plot(weight.index, weight, color=style.GREY, linewidth=1, linestyle=":")
    twin.set_ylim(0, weight.max() * 1.08)
    twin.set_ylabel("weight", color=style.GREY)
    twin.spines["right"].set_visible(True)
    style.clean(twin)
    twin.tick_params(labelcolor=style.GREY)
    return True


def _legend(figure: Figure, *, n_seeds: int, has_validation: bool, has_weight: bool) -> None:
    several = n_seeds > 1
    handles = [Line2D([], [], color=TRAINING_COLOR, linewidth=1.6, label="training" + ", mean" * several)]
    if has_validation:
        handles.append(
            Line2D(
                [],
                [],
                color=VALIDATION_COLOR,
                linestyle="--",
                linewidth=1.6,
                label="validation" + ", mean" * several,
            )
        )
    if several:
        handles.append(
            Line2D([], [], color=style.GREY, linewidth=0.6, label="single seed (same colour, thin)")
        )
    if has_weight:
        handles.append(
            Line2D([], [], color=style.GREY, linewidth=1, linestyle=":", label="weight of the term")
        )
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles))
