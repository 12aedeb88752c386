"""What an estimate of the correspondence is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse


@dataclass
class Estimate:
    """An estimated correspondence.

    Attributes
    ----------
    matrix
        F~, CSR float32 (n_1, n_2): values in [0, 1], at most ``k`` a row, rows sum to 1 at most. A certain
        known pair is the only entry of its row and column.
    confidence
        0 (no better than chance, as far as can be told) to 1.
    info
        How it came about; JSON-able. ``trusted`` (bool), ``reason`` (plain words), ``parts`` (of the
        confidence), ``components`` (of the neighbour graphs), ``notes``.
    coordinates
        The shared coordinates F~ follows from: float32 (n_1, r), (n_2, r) of unit length, or None.
    """

    matrix: sparse.csr_matrix
    confidence: float
    info: dict = field(default_factory=dict)
    coordinates: tuple[np.ndarray, np.ndarray] | None = None
