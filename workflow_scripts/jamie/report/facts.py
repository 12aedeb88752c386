"""What a dataset and scenario consist of, counted from their files."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import sparse

from jamie import contract as c
from jamie.data.findings import Finding


@dataclass
class Facts:
    """Numbers of cells and pairs of one dataset and scenario (first seed).

    ``n_known`` counts every pair that was shown, ``n_wrong`` those among them that are no true pair;
    ``estimates`` says of each seed of the method shown what became of the estimated correspondence, and
    ``values`` what was found of its values (see `jamie.evaluation.calibration`); None: not checked.
    ``findings`` are those about the dataset itself.
    """

    n_cells: dict[str, int]
    n_test: dict[str, int]
    n_pairs: int
    n_known: int
    n_wrong: int = 0
    estimates: list[dict] = field(default_factory=list)
    values: pd.DataFrame | None = None
    findings: list[Finding] = field(default_factory=list)

    @classmethod
    def of(cls, split: pd.DataFrame, known, pairs) -> Facts:
        by_modality = split.groupby("modality", sort=False)[c.ROLE]
        shown = known.best_pairs()
        return cls(
            by_modality.size().to_dict(),
            by_modality.agg(lambda role: int((role == c.TEST).sum())).to_dict(),
            len(pairs.best_pairs()),
            len(shown),
            len(shown) - pairs.matrix.multiply(_ones_at(shown, pairs.matrix.shape)).nnz,
        )

    @property
    def n_hidden(self) -> int:
        """True pairs of training cells that were not shown, nor anything in their place."""
        return self.n_pairs - max(self.n_test.values()) - self.n_known


def _ones_at(places: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(len(places)), (places[:, 0], places[:, 1])), shape=shape)
