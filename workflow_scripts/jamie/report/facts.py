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

    ``n_test`` counts held-out cells with a partner, which scores are of, ``n_test_alone`` those without.
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
    n_test_alone: int = 0
    estimates: list[dict] = field(default_factory=list)
    values: pd.DataFrame | None = None
    findings: list[Finding] = field(default_factory=list)

    @classmethod
    def of(cls, split: pd.DataFrame, known, pairs) -> Facts:
        by_modality = split.groupby("modality", sort=False)[c.ROLE]
        is_test = {name: (roles == c.TEST).to_numpy() for name, roles in by_modality}
        shown, true = known.best_pairs(), pairs.best_pairs()
        n_test = {name: int(own[true[:, i]].sum()) for i, (name, own) in enumerate(is_test.items())}
        return cls(
            by_modality.size().to_dict(),
            n_test,
            len(true),
            len(shown),
            len(shown) - pairs.matrix.multiply(_ones_at(shown, pairs.matrix.shape)).nnz,
            sum(int(own.sum()) for own in is_test.values()) - sum(n_test.values()),
        )

    @property
    def n_hidden(self) -> int:
        """True pairs of training cells that were not shown, nor anything in their place."""
        return self.n_pairs - max(self.n_test.values()) - self.n_known


def _ones_at(places: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(len(places)), (places[:, 0], places[:, 1])), shape=shape)
