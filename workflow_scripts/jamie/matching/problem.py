"""What is to be matched, and what an estimate of the correspondence is."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from scipy import sparse

from jamie.data.correspondence import certain_pairs
from jamie.matching.evidence import OfLinks
from jamie.matching.linked import LinkedFeatures


@dataclass(frozen=True)
class Chosen:
    """What left-out links chose: components, and cells matched with each in the rounds; how they fared."""

    n_components: int
    reach: int
    of_links: OfLinks


@dataclass(frozen=True)
class Problem:
    """Two modalities to match, what is known of it, and how: every step takes this one thing.

    Attributes
    ----------
    x
        Pair of float32 (n_1, p_1), (n_2, p_2): model input, finite.
    known
        Known F, CSR float32 (n_1, n_2).
    groups
        Pair of string arrays (n_1,), (n_2,), "" is free; None: any cells match.
    k, neighbours, n_landmarks, restarts, max_cells, seed
        As of `jamie.matching.estimate`; ``neighbours`` are below the number of cells.
    linked
        Linked features of the same cells, None where there are too few.
    chosen
        What left-out links chose in an earlier estimate of the same cells, which hangs on no known pair.
    """

    x: tuple[np.ndarray, np.ndarray]
    known: sparse.csr_matrix
    groups: tuple[np.ndarray, np.ndarray] | None
    k: int
    neighbours: tuple[int, ...]
    n_landmarks: int
    restarts: int
    max_cells: int
    seed: int
    linked: LinkedFeatures | None = None
    chosen: Chosen | None = None

    @cached_property
    def pairs(self) -> np.ndarray:
        """The certain known pairs, int (n_pairs, 2)."""
        return certain_pairs(self.known)

    @property
    def shape(self) -> tuple[int, int]:
        return self.known.shape

    def of(self, rows: np.ndarray, cols: np.ndarray) -> Problem:
        """The same for these cells of either modality, in this order."""
        x = self.x[0][rows], self.x[1][cols]
        groups = self.groups and (self.groups[0][rows], self.groups[1][cols])
        linked = self.linked and self.linked.cells(rows, cols)
        known = sparse.csr_matrix(self.known[rows][:, cols])
        return replace(self, x=x, known=known, groups=groups, linked=linked)


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
    chosen
        What links left out of it chose and how they fare, where it follows from links.
    """

    matrix: sparse.csr_matrix
    confidence: float
    info: dict = field(default_factory=dict)
    coordinates: tuple[np.ndarray, np.ndarray] | None = None
    chosen: Chosen | None = None
