"""The genes along a stretch of genome: lines with arrowheads, stacked so that their names do not overlap."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator

from jamie.data.genome import tss_position
from jamie.plots import style

GENOME_IN = 6.2  # width of the genome's axis, inches
MAX_ROWS = 4  # of genes


def text_in(text: str, **font) -> float:
    """Width of a line of text, inches."""
    return TextPath((0, 0), text, prop=FontProperties(size=style.FONT_SIZE, **font)).get_extents().width / 72


def stacked(gene: str, models: pd.DataFrame, table: pd.DataFrame, view) -> tuple[pd.DataFrame, int]:
    """Gene models in view, each in the first row where it and its label are free, and how many found none.

    The gene itself comes first, then the nearest. Adds ``tss``, ``row``, and ``middle`` of the label (bp).
    """
    (left, right), chrom = view, table["chrom"].iloc[0]
    seen = (models["chrom"] == chrom) & (models["end"] > left) & (models["start"] < right)
    models = models[seen].assign(tss=tss_position)
    order = np.lexsort([(models["tss"] - table["tss_bp"].iloc[0]).abs(), models.index != gene])
    taken, placed, inch = [[] for _ in range(MAX_ROWS)], [], (right - left) / GENOME_IN
    for symbol, model in models.iloc[order].iterrows():
        start, end = np.clip([model["start"], model["end"]], *view)
        width = text_in(symbol, style="italic", weight="bold" if symbol == gene else "normal")
        half = inch * (width / 2 + 0.06)
        middle = np.clip((start + end) / 2, left + half, right - half)
        low, high = min(start, middle - half), max(end, middle + half)
        row = next((i for i, others in enumerate(taken) if all(high < a or low > b for a, b in others)), None)
        if row is not None:
            taken[row].append((low, high))
            placed.append((symbol, start, end, model["strand"], model["tss"], row, middle))
    columns = ["symbol", "start", "end", "strand", "tss", "row", "middle"]
    return pd.DataFrame(placed, columns=columns).set_index("symbol"), len(models) - len(placed)


def draw_genes(ax: Axes, gene: str, genes: pd.DataFrame, n_more: int, view) -> None:
    """Gene models as lines with arrowheads along the strand and a bar at the TSS; the gene itself is bold."""
    for symbol, model in genes.iterrows():
        own, y, length = symbol == gene, -model["row"], model["end"] - model["start"]
        color, width, weight = (style.TEXT, 2.2, "bold") if own else (style.GREY, 1.1, "normal")
        ax.plot([model["start"], model["end"]], [y, y], color=color, linewidth=width)
        n_arrows = max(int(length / (view[1] - view[0]) * GENOME_IN / 0.2), 1)
        arrows = model["start"] + (np.arange(n_arrows) + 0.5) / n_arrows * length
        marker = {"+": ">", "-": "<"}.get(model["strand"], "")
        ax.plot(arrows, [y] * n_arrows, marker, color=color, markersize=3 + width / 2, linestyle="")
        if marker and view[0] <= model["tss"] < view[1]:
            ax.plot([model["tss"]] * 2, [y - 0.22, y + 0.22], color=color, linewidth=2.2)
        words = {"ha": "center", "va": "bottom", "fontweight": weight, "fontstyle": "italic"}
        ax.text(model["middle"], y + 0.25, symbol, color=color, **words)
    n_rows, more = (
        genes["row"].nunique() or 1,
        f"\n+ {n_more} more gene{'s' * (n_more > 1)}" if n_more else "",
    )
    ax.set(ylim=(0.35 - n_rows, 0.9), yticks=[0.5 - n_rows / 2], yticklabels=["genes" + more])
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)


def label_positions(ax: Axes, view, chrom: str) -> None:
    """Round positions in Mb, or in kb where the view is narrow."""
    unit, bp = ("Mb", 1e6) if view[1] - view[0] >= 2e5 else ("kb", 1e3)
    ticks = MaxNLocator(6, steps=[1, 2, 5, 10]).tick_values(*view)
    ticks = ticks[(ticks >= view[0]) & (ticks <= view[1])]
    decimals = max(int(np.ceil(-np.log10((ticks[1] - ticks[0]) / bp) - 1e-9)), 0)
    ax.set_xticks(ticks, [f"{tick / bp:,.{decimals}f}" for tick in ticks])
    ax.set_xlabel(f"position on {chrom} ({unit})")
