"""How every figure looks: sizes, and how a figure is written. Colours are in `jamie.plots.palette`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter

from jamie.evaluation.roles import label
from jamie.io import atomic

TEXT, GREY, LIGHT_GREY = "#222222", "#767676", "#D0D0D0"
HTML_TABLE = {  # options of great_tables
    "table_font_size": "13px",
    "data_row_padding": "3px",
    "row_group_font_weight": "bold",
    "row_group_padding": "10px",
    "source_notes_font_size": "12px",
    "table_margin_left": "8px",
    "heading_align": "left",
    "heading_title_font_size": "16px",
}
DPI = 200
RASTERISE_ABOVE = 2000  # points: a vector file with more is slow to open
FONT_SIZE = 8.0

_RC = {
    "font.family": "DejaVu Sans",
    "font.size": FONT_SIZE,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": FONT_SIZE,
    "legend.fontsize": FONT_SIZE,
    "legend.frameon": False,
    "xtick.labelsize": FONT_SIZE,
    "ytick.labelsize": FONT_SIZE,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "jamie",
    "svg.fonttype": "path",
    "text.parse_math": False,  # a name with dollar signs is no formula
}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Run a drawing function under the report's settings and leave matplotlib's own settings as they were."""

    @wraps(draw)
    def wrapped(*args, **kwargs):
        with matplotlib.rc_context(_RC):
            return draw(*args, **kwargs)

    return wrapped


def natural_order(names: Iterable[str]) -> list[str]:
    """Sorted so that cluster 10 comes after cluster 2."""
    return sorted(
        set(names), key=lambda s: [int(p) if p.isdigit() else p.lower() for p in re.split(r"(\d+)", s)]
    )


def clean(ax: Axes, *, grid: str | None = None) -> None:
    """Fix tick sizes (ticks are made lazily, after the settings are gone) and draw an optional faint grid."""
    ax.tick_params(labelsize=FONT_SIZE, length=2.5, width=0.6, color=GREY, labelcolor=TEXT)
    if grid:
        ax.grid(axis=grid, color="#EBEBEB", linewidth=0.6)
        ax.set_axisbelow(True)


def scatter(ax: Axes, x, y, *, rasterise_from: int | None = None, **options):
    """Scatter without outlines; inside an SVG, many points become one picture and labels stay vector."""
    n = len(x) if rasterise_from is None else rasterise_from
    return ax.scatter(x, y, linewidths=0, rasterized=n > RASTERISE_ABOVE, **options)


def point_size(n: int) -> float:
    """Marker area in points² for ``n`` points in a panel of about 2.6 inches, from 177 to 100,000 cells."""
    return float(np.clip(8000 / max(n, 1), 0.5, 14))


def require(table: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Raise ValueError unless ``table`` has rows and the columns."""
    missing = [c for c in columns if c not in table.columns]
    if missing:
        raise ValueError(f"The {what} table lacks the column(s) {', '.join(missing)}.")
    if table.empty:
        raise ValueError(f"The {what} table holds no rows.")


def select_case(table: pd.DataFrame, what: str, **chosen: str | None) -> pd.DataFrame:
    """Rows of one dataset, scenario, protocol and group of cells; ``None`` takes the only one there is.

    Raises
    ------
    ValueError
        When no row is left, or when rows of several cases would be mixed in one figure.
    """
    for column, wanted in chosen.items():
        if wanted is not None:
            table = table[table[column] == wanted]
    if table.empty:
        wanted = ", ".join(f"{column} {value}" for column, value in chosen.items() if value is not None)
        raise ValueError(f"There are no {what} for {wanted}.")
    for column in ("dataset", "scenario", *chosen):
        found = table[column].dropna().unique()
        if len(found) > 1:
            raise ValueError(
                f"The {what} hold more than one {column} ({', '.join(map(str, found))}); choose one."
            )
    return table


def reasons(head: str, missing: Mapping[str, str], width: int) -> list[str]:
    """Lines that say why methods are missing, those with one reason together; none if there are none."""
    methods: dict[str, list[str]] = {}
    for method, reason in missing.items():
        methods.setdefault(reason, []).append(label(method))
    said = "; ".join(f"{', '.join(names)} ({reason})" for reason, names in methods.items())
    return textwrap.wrap(f"{head}: {said}", width) if said else []


def headline(figure: Figure, message: str, about: str = "") -> None:
    """Bold message at the top left and plain lines of context below it, kept clear of the panels."""
    height = figure.get_figheight()
    n_lines = message.count("\n") + 1
    figure.text(
        0.1 / figure.get_figwidth(), 1 - 0.1 / height, message, va="top", fontsize=10.5, fontweight="bold"
    )
    about_top = 0.1 + 0.19 * n_lines
    if about:
        figure.text(
            0.1 / figure.get_figwidth(), 1 - about_top / height, about, va="top", color=GREY, fontsize=9
        )
    engine = figure.get_layout_engine()
    about_in = 0.2 + 0.16 * about.count("\n") if about else 0
    if engine is not None:
        engine.set(rect=(0, 0, 1, 1 - (about_top + about_in + 0.04) / height))


class _PlainLog(LogFormatter):
    """Numbers of a logarithmic axis without mathematical markup, which no text of a figure may hold."""

    def __call__(self, x, pos=None):
        return f"{x:g}" if super().__call__(x, pos) else ""


@styled
def notice(text: str) -> Figure:
    """A figure that only says why another one does not apply."""
    figure = Figure(figsize=(7.5, 1.4), facecolor="white")
    figure.text(0.5, 0.5, text, ha="center", va="center", fontsize=10, color=GREY, wrap=True)
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure whole or not at all, as SVG or PNG by the suffix; equal figures give equal bytes.

    Raises
    ------
    ValueError
        When the suffix is neither ``.svg`` nor ``.png``.
    """
    path = Path(path)
    metadata = {".svg": {"Date": None}, ".png": {"Software": None}}
    if path.suffix not in metadata:
        raise ValueError(
            f"A figure is written as .svg or .png, not as {path.suffix or 'a file without suffix'}."
        )
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis) if axis.get_scale() == "log"):
        axis.set_major_formatter(_PlainLog())
        axis.set_minor_formatter(_PlainLog())
    with matplotlib.rc_context(_RC), atomic(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], dpi=DPI, metadata=metadata[path.suffix])
