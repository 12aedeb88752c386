"""Known and estimated correspondence: where the pairs lie, and how the estimated mass falls on labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from jamie.data.correspondence import Correspondence
from jamie.evaluation import roles
from jamie.matching.compare import Comparison
from jamie.plots import palette, style

KNOWN, ESTIMATED = palette.OKABE_ITO[0], palette.OKABE_ITO[1]
MAX_LABELS = 25
MAX_ROWS = 1500  # cells whose entries are drawn


@dataclass
class Entries:
    """What is drawn of F and F~.

    Attributes
    ----------
    table
        One row per entry: ``x``, ``y`` (position of the second and of the first modality's cell), ``mass``,
        ``known``.
    shape
        Cells of the first and of the second modality that are drawn.
    n_cells
        Cells there are.
    borders
        Positions (y, x) after the last cell of each label but the last.
    """

    table: pd.DataFrame
    shape: tuple[int, int]
    n_cells: tuple[int, int]
    borders: np.ndarray


def in_order(
    estimated: Correspondence, known: Correspondence, pairs: Correspondence, labels, seen
) -> Entries:
    """Entries with cells in the order of labels, true partners at the same place in both modalities.

    Parameters
    ----------
    labels
        Pair of string arrays (n_1,), (n_2,), "" = none; or None.
    seen
        Pair of bool arrays (n_1,), (n_2,): cells that the estimate had; others are not drawn. Of many cells a
        random part is.
    """
    n, m = estimated.matrix.shape
    labels = labels or (np.full(n, ""), np.full(m, ""))
    partner = np.full(m, -1)
    truth = pairs.certain_pairs()
    partner[truth[:, 1]] = truth[:, 0]
    rng = np.random.default_rng(0)
    drawn = rng.random(n) < MAX_ROWS / max(int(seen[0].sum()), 1)
    drawn_col = np.where(partner >= 0, drawn[partner], rng.random(m) < MAX_ROWS / max(int(seen[1].sum()), 1))
    rows, cols = np.flatnonzero(drawn & seen[0]), np.flatnonzero(drawn_col & seen[1])
    label = np.where(partner >= 0, labels[0][partner], labels[1])[cols]
    place = np.where(partner >= 0, partner, n + np.arange(m))[cols]
    rows, cols = rows[np.lexsort((rows, labels[0][rows]))], cols[np.lexsort((place, label))]
    f = estimated.matrix[rows][:, cols].tocoo()
    is_known = np.asarray(known.matrix[rows][:, cols][f.row, f.col]).ravel() == 1
    table = pd.DataFrame({"x": f.col, "y": f.row, "mass": f.data, "known": is_known})
    label = np.sort(label)
    names = np.unique(labels[0][rows])
    borders = [
        (np.searchsorted(labels[0][rows], name, "right"), np.searchsorted(label, name, "right"))
        for name in names[:-1]
    ]
    n_cells = int(seen[0].sum()), int(seen[1].sum())
    return Entries(table, (len(rows), len(cols)), n_cells, np.array(borders).reshape(-1, 2) - 0.5)


@style.styled
def known_and_estimated(drawn: Entries, result: Comparison, info: dict, *, modalities) -> Figure:
    """Entries of F and F~, mass by label, and mass on the same label and on the true partner.

    Parameters
    ----------
    drawn
        From `in_order`.
    result
        From `jamie.matching.compare.compare`.
    info
        Of the estimate: ``confidence``, ``trusted``, ``reason``; ``links`` where linked features tell.
    modalities
        Names of the two modalities.
    """
    has_labels, links = result.confusion is not None, info.get("links")
    table = _shortened(result.by_label) if has_labels else None
    heights = [3.9] + ([0.9 + 0.2 * len(table)] if has_labels else []) + ([2.2] if links else [])
    figure = Figure(figsize=(9.0, 1 + sum(heights)), layout="constrained", facecolor="white")
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    _draw_entries(figure.add_subplot(grid[0, 0]), drawn, modalities)
    ax = figure.add_subplot(grid[0, 1])
    if has_labels:
        _draw_confusion(figure, ax, result.confusion, list(table["label"]), modalities)
        _draw_bars(
            figure.add_subplot(grid[1, 0]),
            table,
            "same_label",
            "share of the mass on cells of the same label",
        )
        _draw_bars(figure.add_subplot(grid[1, 1]), table, "truth", "mean mass on the true partner")
    else:
        ax.axis("off")
        ax.text(0.5, 0.5, "The cells have no labels.", ha="center", va="center", color=style.GREY)
    if links:
        _draw_links(figure.add_subplot(grid[-1, :]), links)
    style.headline(figure, _title(result, info), _about(result, modalities))
    return figure


def _draw_links(ax: Axes, links: dict) -> None:
    """How linked features that were left out of the match correlate over it, beside partners at random."""
    share = np.arange(len(links["own"])) / 100
    style.clean(ax, grid="x")
    for name, color, of in (
        ("with its partner", ESTIMATED, links["own"]),
        ("with others at random", style.GREY, links["random"]),
    ):
        ax.plot(of, share, color=color, linewidth=1.6, label=name)
    ax.set(ylim=(0, 1), yticks=[0, 0.5, 1])
    ax.set_xlabel("correlation over matched cells of a linked feature that was left out")
    ax.set_ylabel("share of features\nbelow")
    words = f"mean {links['r']:z.3f}, at random {links['r_random']:z.3f} ± {links['sd_random']:.3f}"
    ax.set_title(f"Evidence: {links['n']:,} linked features, left out in turn ({words})")
    ax.legend(loc="lower right")


def _title(result: Comparison, info: dict) -> str:
    verdict = "to be trusted" if info["trusted"] else "not to be trusted"
    title = f"Estimated correspondence: confidence {info['confidence']:.2f}, {verdict}"
    if np.isfinite(result.same_label):
        title += (
            f"\n{result.same_label:.0%} of the mass is on cells of the same label"
            f" ({result.same_label_chance:.0%} by chance)"
        )
    return title


def _about(result: Comparison, modalities) -> str:
    name = roles.label(modalities[0])
    words = f"{result.n_open:,} cells of {name} are estimated, {result.n_known:,} have a known partner"
    if np.isfinite(result.truth):
        words += f"; mass on the true partner {result.truth / result.truth_chance:.1f} times chance"
    return words


def _draw_entries(ax: Axes, drawn: Entries, modalities) -> None:
    """The matrix as points: known pairs on the diagonal, estimated mass around it where it is right."""
    entries, shape = drawn.table, drawn.shape
    for y, x in drawn.borders:
        ax.axhline(y, color=style.LIGHT_GREY, linewidth=0.5, zorder=0)
        ax.axvline(x, color=style.LIGHT_GREY, linewidth=0.5, zorder=0)
    size = float(np.clip(3000 / max(shape), 1.0, 12))
    for known, color in ((False, ESTIMATED), (True, KNOWN)):
        part = entries[entries["known"] == known]
        if part.empty:
            continue
        alpha = 1.0 if known else np.clip(0.15 + part["mass"].to_numpy(), 0, 1)
        name = "known pair" if known else "estimated"
        style.scatter(ax, part["x"], part["y"], s=size, color=color, alpha=alpha, rasterise_from=len(entries))
        ax.scatter([], [], s=18, color=color, linewidths=0, label=f"{name} ({len(part):,})")
    ax.set(xlim=(-1, shape[1]), ylim=(shape[0], -1))
    ax.set_box_aspect(1)
    style.clean(ax)
    ax.set_xlabel(f"cell of {roles.label(modalities[1])}")
    ax.set_ylabel(f"cell of {roles.label(modalities[0])}")
    part = "" if shape == drawn.n_cells else f", {shape[0]:,} of {drawn.n_cells[0]:,} cells"
    ax.set_title(f"Entries of the correspondence{part}")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, handletextpad=0.1)


def _draw_confusion(figure: Figure, ax: Axes, confusion: pd.DataFrame, labels: list[str], modalities) -> None:
    part = confusion.reindex(index=labels, columns=labels, fill_value=0.0)
    rest = 1 - part.sum(axis=1)
    if (rest > 1e-6).any():
        part = part.assign(other=rest)
    image = ax.imshow(part.to_numpy(), cmap="cividis", vmin=0, vmax=1, aspect="auto")
    font = style.FONT_SIZE if len(labels) <= 12 else style.FONT_SIZE - 2
    ax.set_xticks(range(part.shape[1]), part.columns, rotation=90, fontsize=font)
    ax.set_yticks(range(len(part)), part.index, fontsize=font)
    ax.tick_params(length=0, labelsize=font)
    ax.spines[:].set_visible(False)
    ax.set_xlabel(f"label of the {roles.label(modalities[1])} cell")
    ax.set_ylabel(f"label of the {roles.label(modalities[0])} cell")
    ax.set_title("Estimated mass by label, rows sum to 1")
    bar = figure.colorbar(image, ax=ax, shrink=0.8, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=style.FONT_SIZE, length=2)


def _draw_bars(ax: Axes, table: pd.DataFrame, column: str, title: str) -> None:
    """A bar per label, and a mark where chance is."""
    y = np.arange(len(table))
    style.clean(ax, grid="x")
    ax.set_title(title[0].upper() + title[1:])
    if table[column].isna().all():
        ax.text(0.5, 0.5, "no true partner is known", ha="center", transform=ax.transAxes, color=style.GREY)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
        return
    ax.barh(y, table[column].fillna(0), color=ESTIMATED, height=0.65)
    chance = table[f"{column}_chance"]
    ax.scatter(chance, y, marker="|", s=60, color="black", linewidths=1.2, zorder=3)
    counts = table["n_truth" if column == "truth" else "n_cells"]
    names = [f"{label} (n = {n:,})" for label, n in zip(table["label"], counts, strict=True)]
    ax.set_yticks(y, names)
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.set_xlim(0, 1 if column == "same_label" else None)
    ax.set_xlabel("share of the mass (black marks: by chance)")


def _shortened(table: pd.DataFrame) -> pd.DataFrame:
    """The most frequent labels, in natural order."""
    kept = table.nlargest(MAX_LABELS, "n_cells")
    order = style.natural_order(kept["label"])
    return kept.set_index("label").loc[order].reset_index()
