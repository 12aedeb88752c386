"""How many principal components a modality is reduced to: one rule for every method."""

from __future__ import annotations

FEW_COMPONENTS, MANY_COMPONENTS, MANY_CELLS = 30, 100, 2_000


def n_components(n_cells: int) -> int:
    """Components by the number of training cells of the smaller modality.

    Few for few cells, as more would be noise to learn by heart.
    """
    return MANY_COMPONENTS if n_cells >= MANY_CELLS else FEW_COMPONENTS
