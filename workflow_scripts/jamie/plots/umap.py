"""Cells on UMAP: each modality alone, and both in the joint latent space."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from jamie.contract import ROLE, TEST
from jamie.evaluation import roles
from jamie.plots import palette, style

UNLABELLED = "not labelled"
SEED = 0  # of the order in which points are drawn


@style.styled
def umap_panels(raw: dict[str, pd.DataFrame], joint: pd.DataFrame, *, group_name: str, title: str) -> Figure:
    """Each modality's own UMAP above, the joint UMAP below.

    Parameters
    ----------
    raw
        Per modality one row per cell: ``x``, ``y`` (UMAP coordinates, no unit), ``group`` (may be NaN).
    joint
        One row per cell and modality: ``x``, ``y``, ``modality``, ``group``, ``role``. Where some roles are
        ``test``, a third panel shows the cells that no fitted step has seen.
    group_name
        What the groups are, for example ``cell type`` or ``Leiden cluster``.
    title
        The message of the figure.

    Raises
    ------
    ValueError
        When there are not two modalities, a table is empty or lacks a column, or no cell has a group.
    """
    if len(raw) != 2:
        raise ValueError(f"This figure shows two modalities, and {len(raw)} are given.")
    raw = {
        m: _with_groups(table, ("x", "y", "group"), f"UMAP of {roles.label(m)}") for m, table in raw.items()
    }
    joint = _with_groups(joint, ("x", "y", "modality", "group", ROLE), "joint UMAP")
    groups = style.natural_order(set().union(*(t["group"] for t in (*raw.values(), joint))) - {UNLABELLED})
    if not groups:
        raise ValueError(f"No cell has a {group_name}, so the UMAP cannot be coloured by it.")
    colors = {**palette.group_colors(groups), UNLABELLED: style.LIGHT_GREY}
    marks = _marks(groups)
    shows_roles = bool((joint[ROLE] == TEST).any())

    names = {g: g if marks.get(g, g) == g else f"{marks[g]}  {g}" for g in groups}
    entries = {names[g]: colors[g] for g in groups}
    if any((t["group"] == UNLABELLED).any() for t in (*raw.values(), joint)):
        entries[UNLABELLED] = colors[UNLABELLED]
    plan = _Plan(list(entries), has_roles=shows_roles)
    figure = Figure(figsize=(plan.width, plan.height), facecolor="white")
    for column, (modality, table) in enumerate(raw.items()):
        ax = plan.panel(figure, 0, column, f"{roles.label(modality)} alone ({len(table):,} cells)")
        _draw_groups(ax, table, colors, marks)
    _draw_modalities(plan.panel(figure, 1, 0, "Joint latent space, by modality"), joint)
    _draw_groups(plan.panel(figure, 1, 1, f"Joint latent space, by {group_name}"), joint, colors, marks)
    if shows_roles:
        _draw_roles(plan.panel(figure, 1, 2, "Joint latent space, held-out cells"), joint)
    plan.group_legend(figure, entries, group_name)
    style.headline(figure, title)
    return figure


class _Plan:
    """Where everything lies, in inches: square panels in two rows, and the legend of the groups.

    The legend takes the free place at the right of the top row where it fits, a column of its own where there
    are only two columns of panels, else the foot of the figure.
    """

    left, top, gap_x, gap_y, row = 0.4, 0.6, 0.4, 0.65, 0.178

    def __init__(self, entries: list[str], *, has_roles: bool):
        self.side = 2.8 if has_roles else 3.1
        n_rows = int((self.side if has_roles else 2 * self.side + self.gap_y) / self.row) - 2
        entry = 0.42 + 0.063 * max(map(len, entries))
        self.n_legend_columns = -(-len(entries) // n_rows)
        legend_width = entry * self.n_legend_columns
        self.at_foot = legend_width > (self.side + 0.05 if has_roles else 3.2)
        self.width = self.left + (3 if has_roles else 2) * (self.side + self.gap_x) - self.gap_x + 0.15
        self.height = self.top + 2 * self.side + self.gap_y + (0.9 if has_roles else 0.7)
        self.foot = 0.0
        if self.at_foot:
            self.n_legend_columns = max(1, int((self.width - 0.2) / entry))
            self.foot = 0.35 + self.row * -(-len(entries) // self.n_legend_columns)
            self.height += self.foot
        elif not has_roles:
            self.width += 0.25 + legend_width

    def panel(self, figure: Figure, row: int, column: int, title: str) -> Axes:
        x = self.left + column * (self.side + self.gap_x)
        y = self.height - self.top - self.side - row * (self.side + self.gap_y)
        box = (x / self.width, y / self.height, self.side / self.width, self.side / self.height)
        ax = figure.add_axes(box)
        style.clean(ax)
        ax.set(xticks=[], yticks=[], title=title)
        ax.set_xlabel("UMAP 1", loc="left", color=style.GREY)
        ax.set_ylabel("UMAP 2", loc="bottom", color=style.GREY)
        ax.margins(0.04)
        return ax

    def group_legend(self, figure: Figure, entries: dict[str, str], group_name: str) -> None:
        x, y = 0.1, self.foot
        if not self.at_foot:
            x, y = self.left + 2 * (self.side + self.gap_x) - 0.1, self.height - self.top
        figure.legend(
            handles=[_handle(text, color) for text, color in entries.items()],
            title=group_name,
            alignment="left",
            loc="upper left",
            bbox_to_anchor=(x / self.width, y / self.height),
            borderaxespad=0,
            ncols=self.n_legend_columns,
            handletextpad=0.2,
            columnspacing=1.0,
        )


def _with_groups(table: pd.DataFrame, columns: tuple[str, ...], what: str) -> pd.DataFrame:
    style.require(table, columns, what)
    group = table["group"].astype(object)
    named = group.notna() & (group.astype(str).str.strip() != "")
    return table.assign(group=np.where(named, group.astype(str), UNLABELLED))


def _marks(groups: list[str]) -> dict[str, str]:
    """Short names written on the cells: colours alone stop being readable above eight groups."""
    if len(groups) <= len(palette.OKABE_ITO):
        return {}
    short = all(len(group) <= 3 for group in groups)
    return {group: group if short else str(i) for i, group in enumerate(groups, start=1)}


def _points(ax: Axes, table: pd.DataFrame, color, size: float) -> None:
    """All points in one random order, so that no group or modality lies on top."""
    order = np.random.default_rng(SEED).permutation(len(table))
    style.scatter(
        ax,
        table["x"].to_numpy()[order],
        table["y"].to_numpy()[order],
        c=np.asarray(color, dtype=object)[order].tolist(),
        s=size,
        alpha=0.85,
    )


def _draw_groups(ax: Axes, table: pd.DataFrame, colors: dict[str, str], marks: dict[str, str]) -> None:
    _points(ax, table, table["group"].map(colors).to_numpy(), style.point_size(len(table)))
    for group, cells in table.groupby("group"):
        if group in marks:
            ax.text(
                cells["x"].median(),
                cells["y"].median(),
                marks[group],
                ha="center",
                va="center",
                fontsize=style.FONT_SIZE,
                fontweight="bold",
                path_effects=[patheffects.withStroke(linewidth=2, foreground="white")],
            )


def _draw_modalities(ax: Axes, joint: pd.DataFrame) -> None:
    modalities = list(dict.fromkeys(joint["modality"]))
    colors = {m: palette.modality_color(m, modalities) for m in modalities}
    _points(ax, joint, joint["modality"].map(colors).to_numpy(), style.point_size(len(joint)))
    _legend_below(ax, {roles.label(m): colors[m] for m in modalities})


def _draw_roles(ax: Axes, joint: pd.DataFrame) -> None:
    modalities = list(dict.fromkeys(joint["modality"]))
    colors = {m: palette.modality_color(m, modalities) for m in modalities}
    test = joint[ROLE] == TEST
    size = style.point_size(len(joint))
    _points(ax, joint[~test], np.full((~test).sum(), style.LIGHT_GREY), size)
    _points(ax, joint[test], joint.loc[test, "modality"].map(colors).to_numpy(), 1.5 * size)
    entries = {"training": style.LIGHT_GREY} | {f"held-out, {roles.label(m)}": colors[m] for m in modalities}
    _legend_below(ax, entries)


def _legend_below(ax: Axes, entries: dict[str, str]) -> None:
    wide = sum(map(len, entries)) > 36
    ax.legend(
        handles=[_handle(text, color) for text, color in entries.items()],
        loc="upper center",
        bbox_to_anchor=(0.5, -0.06),
        ncols=1 if wide else len(entries),
        handletextpad=0.1,
        columnspacing=1.0,
        labelspacing=0.25,
    )


def _handle(text: str, color: str) -> Line2D:
    return Line2D([], [], linestyle="", marker="o", markersize=5, markeredgewidth=0, color=color, label=text)
