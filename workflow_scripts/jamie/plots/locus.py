"""One gene's locus as a genome browser shows it: links, accessibility by cell type, peaks and gene models."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path

from jamie.data.genome import signed_distance_bp
from jamie.plots import palette, style
from jamie.plots.gene_models import GENOME_IN, draw_genes, label_positions, stacked, text_in
from jamie.regulation.fine_mapping import linked

POSITIONS = ("peak", "peak_label", "chrom", "start", "end", "tss_bp", "strand")
LINK_COLUMNS = (*POSITIONS, "attribution", "effect", "q_set", "in_credible_set", "rank_score")
MEASURED_COLOR, BAND, PALE = "#4D4D4D", "#F2EBDC", "#C4C4C4"
# told apart by colour-blind readers; grey in the middle, not white, so that a weak link stays visible
SIGNED = LinearSegmentedColormap.from_list("signed", ("#053061", "#4393C3", "#CFCFCF", "#D6604D", "#67001F"))
MAX_TYPES = 12
MIN_CELLS = 5  # below this a density means nothing: the values are drawn as points
VISIBLE = 0.005  # share of the view below which a peak is widened so that it is seen
MIN_LIMIT = 0.0005  # of the colours, so that noise about 0 does not look like a strong link
SIDE_IN, ARCS_IN, PEAKS_IN, GENE_ROW_IN = 2.3, 1.55, 0.14, 0.3


def locus_words(gene: str, links: pd.DataFrame, q: float = 0.1) -> str:
    """For the caption: how many peaks are linked, and where the strongest lies (see `locus_figure`)."""
    if links.empty:
        return f"No peak lies within the window of {gene}."
    table = _completed(links, q)
    best, n, n_linked = table.iloc[-1], len(table), int(table["linked"].sum())
    verb = {1: " and raises it", -1: " and lowers it"}.get(np.sign(best["effect"]), "")
    carries = f"carries {100 * best['attribution']:.2g} % of the variance of its imputed expression{verb}"
    linked = f"{n_linked or 'none'} {'is' if n_linked < 2 else 'are'} linked to it (q ≤ {q:g})"
    return (
        f"Of {n} peak{'s' * (n > 1)} within the window of {gene}, {linked}; the strongest, "
        f"{best['peak_label']}, lies {_place(best)}, "
        f"{carries if best['attribution'] > 0 else 'yet adds nothing to it'}."
    )


@style.styled
def locus_figure(
    gene: str,
    links: pd.DataFrame,
    neighbours: pd.DataFrame,
    accessibility: pd.DataFrame,
    expression: pd.DataFrame,
    *,
    q: float = 0.1,
    about: str = "",
) -> Figure:
    """Arcs from the TSS to each peak, open shares by cell type, peaks, genes; expression beside each type.

    Parameters
    ----------
    gene, q, about
        Symbol; the largest q value of a linked set; words of context, such as the dataset.
    links
        One row per peak within the gene's window: ``LINK_COLUMNS``; positions in bp, 0-based half-open, and
        ``strand`` "+", "-" or ".". ``attribution``, share of the variance of the gene's imputed expression,
        may be slightly negative (drawn as 0); ``effect`` gives the sign. ``rank_score`` (0-1) is the height
        of an arc, and the highest is the strongest. Linked are the members of the credible set of a set with
        ``q_set`` <= ``q``.
    neighbours
        Gene models, the gene's own too; index = symbol: ``chrom``, ``start``, ``end`` (bp), ``strand``.
    accessibility
        Share of a type's cells (0-1) in which a peak is open: (peaks, types), types in the order to draw.
    expression
        One row per cell and source: ``cell_type``, ``source`` (``measured`` or ``imputed``), ``value``
        (log-normalised). A source may be absent.

    Raises
    ------
    ValueError
        When ``links`` lacks a column.
    """
    if links.empty:
        return style.notice(f"{gene}: no peak lies within the window, so there is nothing to link.")
    style.require(links, LINK_COLUMNS, "links of a gene")
    table = _completed(links, q)
    view, shown = _view(table)
    types = _shown_types(accessibility, expression)
    if len(types) < accessibility.shape[1]:
        shown += f"; the {len(types)} largest of {accessibility.shape[1]} cell types"
    genes, n_more = stacked(gene, neighbours, table, view)
    about = f"{about}; {shown}" if about else shown
    figure, panels = _panels(types, genes, _headline(gene, table, q), about)
    for name in ("arcs", "open", "peaks", "genes"):
        panels[name].set_xlim(*view)
    _draw_links(panels["arcs"], panels["bar"], table, q)
    _draw_accessibility(panels["open"], table, accessibility[types], view)
    _draw_expression(panels["expression"], expression, types)
    _mark(panels["peaks"], table, view)
    _bars(panels["peaks"], table, view, 1, color=np.where(table["linked"], style.TEXT, "#9A9A9A"))
    panels["peaks"].set(ylim=(0, 1), yticks=[0.5], yticklabels=["peaks"])
    draw_genes(panels["genes"], gene, genes, n_more, view)
    label_positions(panels["genes"], view, table["chrom"].iloc[0])
    return figure


def _completed(links: pd.DataFrame, q: float) -> pd.DataFrame:
    """Strongest link last; adds ``centre``, signed ``distance`` (bp), ``linked``, ``signed`` attribution."""
    table = links.assign(
        centre=lambda t: (t["start"] + t["end"]) // 2,
        distance=lambda t: signed_distance_bp(t["start"], t["end"], t["tss_bp"], t["strand"]),
        linked=lambda t: linked(t, q),
        signed=lambda t: (np.sign(t["effect"]) * t["attribution"].clip(lower=0)).fillna(0),
    )
    return table.sort_values(["linked", "rank_score", "attribution"], na_position="first", ignore_index=True)


def _length(bp: float) -> str:
    """For example ``850 bp``, ``1.2 kb``, ``140 kb``, ``1.2 Mb``."""
    if bp < 1e3:
        return f"{bp:.0f} bp"
    return f"{bp / 1e3:.{int(bp < 1e5)}f} kb" if bp < 999_500 else f"{bp / 1e6:.1f} Mb"


def _place(link: pd.Series) -> str:
    """Where a peak's centre lies from the TSS, in words; without a strand, only how far."""
    if link["start"] <= link["tss_bp"] < link["end"]:
        return "over the TSS"
    side = "upstream of" if link["distance"] < 0 else "downstream of"
    return f"{_length(abs(link['distance']))} {side if link['strand'] in ('+', '-') else 'from'} the TSS"


def _headline(gene: str, table: pd.DataFrame, q: float) -> str:
    n, n_linked, place = len(table), int(table["linked"].sum()), _place(table.iloc[-1])
    if n == 1:
        return f"{gene}: its only peak is {'' if n_linked else 'not '}linked (q ≤ {q:g}); it lies {place}"
    if n_linked == 0:
        return f"{gene}: no peak of {n} is linked at q ≤ {q:g}; the strongest lies {place}"
    if n_linked == 1:
        return f"{gene}: 1 of {n} peaks is linked (q ≤ {q:g}), {place}"
    return f"{gene}: {n_linked} of {n} peaks are linked (q ≤ {q:g}); strongest {place}"


def _view(table: pd.DataFrame) -> tuple[tuple[float, float], str]:
    """Linked peaks and TSS with a margin (bp), or all peaks if not twice as wide; and this in words."""

    def around(rows: pd.DataFrame) -> tuple[float, float]:
        low, high = rows[["start", "tss_bp"]].min(axis=None), rows[["end", "tss_bp"]].max(axis=None)
        margin = max(0.12 * (high - low), 5_000)
        return max(low - margin, 0), high + margin

    view, words = around(table), "in view: all peaks of the window"
    near = around(table[table["linked"]]) if table["linked"].any() else view
    if near[1] - near[0] < 0.5 * (view[1] - view[0]):
        n_outside = int((~table["centre"].between(*near)).sum())
        view, words = (
            near,
            f"in view: the linked peaks and the TSS ({n_outside} of {len(table)} peaks outside)",
        )
    least = VISIBLE * (view[1] - view[0])
    widened = (table["end"] - table["start"] < least).any()
    return view, words + f"; peaks drawn at least {_length(least)} wide" * bool(widened)


def _shown_types(accessibility: pd.DataFrame, expression: pd.DataFrame) -> list[str]:
    """The cell types in the order given; where there are too many, those with the most cells."""
    sizes = expression["cell_type"].value_counts().reindex(accessibility.columns, fill_value=0)
    kept = sizes.sort_values(ascending=False, kind="stable").index[:MAX_TYPES]
    return [name for name in accessibility.columns if name in kept]


def _panels(
    types: list[str], genes: pd.DataFrame, message: str, about: str
) -> tuple[Figure, dict[str, Axes]]:
    """The figure and its panels, placed in inches: genes are stacked by the width of the genome axis."""
    left = max(map(text_in, [*types, "+ 10 more genes"])) + 0.4
    side = left + GENOME_IN + 0.4
    width = side + SIDE_IN + 0.2
    message, about = textwrap.fill(message, int(10 * width)), textwrap.fill(about, int(14 * width))
    arcs_y = 0.5 + 0.19 * message.count("\n") + 0.18 * (about.count("\n") + 1)
    types_in = len(types) * np.clip(2 / len(types), 0.36, 0.7)
    types_y = arcs_y + ARCS_IN + 0.32
    peaks_y = types_y + types_in + 0.06
    genes_y, genes_in = peaks_y + PEAKS_IN + 0.08, GENE_ROW_IN * (genes["row"].nunique() or 1)
    height = max(genes_y + genes_in + 0.5, types_y + types_in + 1.1)
    boxes = {
        "arcs": (left, arcs_y, GENOME_IN, ARCS_IN),
        "open": (left, types_y, GENOME_IN, types_in),
        "peaks": (left, peaks_y, GENOME_IN, PEAKS_IN),
        "genes": (left, genes_y, GENOME_IN, genes_in),
        "expression": (side, types_y, SIDE_IN, types_in),
        "bar": (side + 0.1, arcs_y + 0.62, SIDE_IN - 0.2, 0.1),
    }
    figure, panels = Figure(figsize=(width, height), facecolor="white"), {}
    for name, (x, y, w, h) in boxes.items():
        panels[name] = figure.add_axes((x / width, 1 - (y + h) / height, w / width, h / height))
        style.clean(panels[name])
    style.headline(figure, message, about)
    return figure, panels


def _draw_links(ax: Axes, bar_ax: Axes, table: pd.DataFrame, q: float) -> None:
    """An arc per peak, as high as its score, and beside them what their lines and colours mean."""
    limit = max(table["signed"].abs().max(), MIN_LIMIT)
    colors = ScalarMappable(Normalize(-limit, limit), SIGNED)
    linked, other = {"linewidth": 2.2, "zorder": 4}, {"linewidth": 0.9, "alpha": 0.45, "zorder": 2}
    for link in table.itertuples():
        high = np.nan_to_num(link.rank_score) / 0.75  # a cubic curve rises to 3/4 of its control points
        corners = [(link.tss_bp, 0), (link.tss_bp, high), (link.centre, high), (link.centre, 0)]
        path, look = Path(corners, [Path.MOVETO] + [Path.CURVE4] * 3), linked if link.linked else other
        ax.add_patch(PathPatch(path, facecolor="none", edgecolor=colors.to_rgba(link.signed), **look))
    top = np.fmax(np.ceil(10 * table["rank_score"].max()) / 10, 0.5)
    ax.set(ylim=(0, 1.05 * top), yticks=(0, top / 2, top), ylabel="rank score")
    ax.text(table["tss_bp"].iloc[0], 1.07 * top, "TSS", ha="center", va="bottom")
    ax.tick_params(axis="x", labelbottom=False, length=0)
    bar = ax.figure.colorbar(colors, cax=bar_ax, orientation="horizontal")
    most = f"{100 * limit:.2g} %"
    bar.set_ticks([-limit, 0, limit], labels=[f"{most}\nlowers", "0", f"{most}\nraises"])
    bar.set_label("attribution (share of imputed\nvariance), signed by effect")
    bar.outline.set_visible(False)
    words = ((linked, f"linked (q ≤ {q:g})"), (other, "not linked"))
    handles = [Line2D([], [], color=style.GREY, label=text, **look) for look, text in words]
    place = {"loc": "lower left", "bbox_to_anchor": (0, 1.5), "bbox_transform": bar_ax.transAxes}
    ax.figure.legend(handles=handles, borderpad=0, **place)


def _bars(ax: Axes, table: pd.DataFrame, view, height, *, times: float = 1, **look) -> None:
    """A bar at each peak: ``times`` its true extent, but never too narrow to be seen."""
    width = times * np.maximum(table["end"] - table["start"], VISIBLE * (view[1] - view[0]))
    ax.bar((table["start"] + table["end"]) / 2, height, width, **{"zorder": 3} | look)


def _mark(ax: Axes, table: pd.DataFrame, view) -> None:
    """A band behind each linked peak and a line at the TSS, so that the eye can follow them down."""
    _bars(ax, table[table["linked"]], view, 1e3, times=2, color=BAND, zorder=0)
    ax.axvline(table["tss_bp"].iloc[0], color=style.GREY, linewidth=0.6, linestyle=(0, (2, 2)), zorder=1)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(length=0, labelbottom=False)


def _draw_accessibility(ax: Axes, table: pd.DataFrame, share: pd.DataFrame, view) -> None:
    """A row of bars per type, the first at the top, all on one scale: that of the peaks in view."""
    _mark(ax, table, view)
    share = share.reindex(table["peak"]).fillna(0)
    top = max(np.ceil(10 * share[table["centre"].between(*view).to_numpy()].max(axis=None)) / 10, 0.1)
    bases = np.arange(share.shape[1])[::-1]
    for (name, color), base in zip(palette.group_colors(list(share)).items(), bases, strict=True):
        _bars(ax, table, view, 0.85 * share[name].to_numpy() / top, bottom=base, color=color)
        ax.axhline(base, color=PALE, linewidth=0.6, zorder=2)
        chip = {"linewidth": 4, "solid_capstyle": "butt", "clip_on": False}
        ax.plot([-0.011] * 2, [base, base + 0.8], color=color, transform=ax.get_yaxis_transform(), **chip)
    ax.set(ylim=(0, len(bases)), yticks=bases + 0.4, yticklabels=list(share))
    ax.tick_params(axis="y", pad=10)
    words = f"share of cells in which the peak is open, each row 0 to {top:.1f}"
    ax.set_title(words, fontsize=style.FONT_SIZE)


def _draw_expression(ax: Axes, expression: pd.DataFrame, types: list[str]) -> None:
    """Of each type measured values above and imputed ones below the middle of its row; a tick at the mean."""
    handles, orange = [], palette.method_color("jamie", ["jamie"])
    sides = (("measured", "", "high", 1, MEASURED_COLOR), ("imputed", " by JAMIE", "low", -1, orange))
    for source, by, side, step, color in sides:
        values = expression[(expression["source"] == source) & expression["value"].notna()]
        for y, name in zip(np.arange(len(types))[::-1] + 0.42, types, strict=True):
            own = values.loc[values["cell_type"] == name, "value"].to_numpy(float)
            if len(own) >= MIN_CELLS and np.ptp(own) > 0:
                shape = {"orientation": "horizontal", "widths": 0.8, "side": side, "showextrema": False}
                (body,) = ax.violinplot(own, [y], **shape)["bodies"]
                body.set(facecolor=color, alpha=0.8, edgecolor="none")
            else:
                style.scatter(ax, own, np.full(len(own), y + 0.2 * step), s=7, color=color, alpha=0.8)
            if len(own):
                ax.plot([own.mean()] * 2, [y, y + 0.38 * step], color="black", linewidth=1.3)
        handles.append(Patch(facecolor=color, label=source + (by if len(values) else by + ": no values")))
    handles.append(Line2D([], [], color="black", linewidth=1.3, label="mean"))
    ax.set(ylim=(0, len(types)), yticks=[], xlabel="expression (log-normalised)")
    ax.spines["left"].set_visible(False)
    below = -0.42 / (ax.get_position().height * ax.figure.get_figheight())
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, below), borderpad=0, borderaxespad=0)
