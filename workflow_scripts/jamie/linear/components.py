"""How many principal components a modality is reduced to: one rule for every method.

Chosen by the mean r of left-out known pairs among training cells, with 25 to all pairs shown, of ridge, CCA,
kernel ridge and JAMIE on six datasets (`tests/benchmarks/choose_components.py` prints it).
"""

from __future__ import annotations

FEW_COMPONENTS, MANY_COMPONENTS, MANY_CELLS = 30, 100, 2_000
FEWEST, PAIRS_A_COMPONENT = 10, 6


def n_components(n_cells: int, n_pairs: int | None = None) -> int:
    """Components by what there is to learn from: with few cells or pairs, more would be noise learned.

    Parameters
    ----------
    n_cells
        Training cells of the smaller modality.
    n_pairs
        Known pairs; None or 0: by the cells alone, as for a method that learns from no pair.

    Returns
    -------
    30, or 100 with 2,000 cells or more; but no more than one for six pairs, and never less than 10 for that.
    """
    by_cells = MANY_COMPONENTS if n_cells >= MANY_CELLS else FEW_COMPONENTS
    return min(by_cells, max(FEWEST, n_pairs // PAIRS_A_COMPONENT)) if n_pairs else by_cells
