"""Colours, shapes and dashes of methods, modalities and groups: the same in every figure.

Colours of methods, modalities and up to eight groups come from palettes made for colour-blind readers: Okabe
and Ito, "Color universal design" (2008), and the "muted" scheme of Paul Tol's technical note
SRON/EPS/TN/09-002.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import matplotlib
from matplotlib.colors import to_hex

from jamie.evaluation.roles import is_control, uses_pairs

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000", "#F0E442")
_METHOD_COLORS = {
    "jamie": "#D55E00",
    "jamie_paper": "#E69F00",
    "knn": "#0072B2",
    "cca": "#56B4E9",
    "ridge": "#009E73",
    "kernel_ridge": "#117733",
    "nlma": "#CC79A7",
    "unioncom": "#332288",
    "mmd_ma": "#882255",
    "babel": "#000000",
    "lma": "#661100",
}
_MODALITY_COLORS = {
    "rna": "#0072B2",
    "atac": "#E69F00",
    "adt": "#009E73",
    "ephys": "#CC79A7",
    "methylation": "#999933",
}
_SPARE_COLORS = ("#44AA99", "#AA4499", "#6699CC", "#DDCC77", "#CC6677")
_METHOD_MARKERS = {
    "jamie": "o",
    "jamie_paper": "p",
    "knn": "s",
    "cca": "D",
    "ridge": "X",
    "kernel_ridge": "H",
    "nlma": "^",
    "lma": "v",
    "unioncom": "P",
    "mmd_ma": "<",
    "babel": "*",
}
_SPARE_MARKERS = (">", "h", "d", "8")
_CONTROL_MARKERS = {"ceiling": "1", "floor_shuffled": "2", "floor_type": "4"}
_CONTROL_COLORS = {"ceiling": "#4D4D4D", "floor_type": "#6E6E6E"}


def _spare(name: str, everyone: Iterable[str], fixed: Mapping[str, str], spare: Sequence[str]) -> str:
    """What is fixed for a name, else one of ``spare`` by its place among all that have nothing fixed."""
    if name in fixed:
        return fixed[name]
    unknown = sorted({other for other in everyone if other not in fixed and not is_control(other)} | {name})
    return spare[unknown.index(name) % len(spare)]


def method_color(name: str, all_methods: Iterable[str]) -> str:
    """Hex colour of a method: the same in every figure for known methods, grey for controls.

    Methods that are not in the table get spare colours in the order of their names among ``all_methods``.
    """
    if is_control(name):
        return _CONTROL_COLORS.get(name, "#8C8C8C")
    return _spare(name, all_methods, _METHOD_COLORS, [*_SPARE_COLORS, *_large_palette()])


def method_marker(name: str, all_methods: Iterable[str]) -> str:
    """Shape of a method's points, so that many methods in one panel are told apart by more than colour."""
    if is_control(name):
        return _CONTROL_MARKERS.get(name, "3")
    return _spare(name, all_methods, _METHOD_MARKERS, _SPARE_MARKERS)


def method_points(name: str, all_methods: Iterable[str]) -> dict:
    """Colour and shape of a method's points for matplotlib: open where it learns from no known pair."""
    color = method_color(name, all_methods)
    filling = color if uses_pairs(name) else "white"
    return {"color": color, "marker": method_marker(name, all_methods), "markerfacecolor": filling}


def modality_color(name: str, all_modalities: Iterable[str]) -> str:
    """Hex colour of a modality: the same in every figure for known modalities."""
    return _spare(name, all_modalities, _MODALITY_COLORS, [*_SPARE_COLORS, *_large_palette()])


def control_dashes(name: str) -> str | tuple:
    """Line style that tells the grey controls apart."""
    dashes = {"ceiling": (0, (6, 2)), "floor_shuffled": (0, (1, 1.5)), "floor_type": (0, (6, 2, 1, 2))}
    return dashes.get(name, (0, (3, 2)))


def _large_palette() -> list[str]:
    """54 colours: the strong half of tab20, its light half, then tab20b and tab20c; no plain greys."""
    maps = {
        name: [to_hex(c) for c in matplotlib.colormaps[name].colors] for name in ("tab20", "tab20b", "tab20c")
    }
    tab20 = [c for i, c in enumerate(maps["tab20"]) if i not in (14, 15)]
    return (
        tab20[::2]
        + tab20[1::2]
        + maps["tab20b"][::2]
        + maps["tab20c"][:16:2]
        + maps["tab20b"][1::2]
        + (maps["tab20c"][1:16:2])
    )


def group_colors(groups: Sequence[str]) -> dict[str, str]:
    """Colour per group, in the order given: Okabe-Ito up to 8 groups, 54 colours in turn above."""
    palette = OKABE_ITO if len(groups) <= len(OKABE_ITO) else _large_palette()
    return {group: palette[i % len(palette)] for i, group in enumerate(groups)}
