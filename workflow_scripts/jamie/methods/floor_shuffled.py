"""Floor: the same pipeline, told meaningless pairs."""

from __future__ import annotations

import numpy as np

from jamie.data.correspondence import Correspondence
from jamie.methods import cca
from jamie.registry import Spec

SPEC = Spec(
    label="floor: shuffled pairs",
    summary="CCA fitted after the partners of all known pairs were shuffled.",
    min_pairs=cca.SPEC.min_pairs,
    control="floor",
    cost="linear in cells",
    builds_on=("methods/cca.py",),
    options=cca.SPEC.options,
)


class Method(cca.Method):
    def __init__(self, *, seed: int = 0, **options):
        super().__init__(seed=seed, **options)
        self.seed = seed

    def fit(self, train, known) -> Method:
        pairs = known.best_pairs()
        matrix = known.matrix.copy()
        matrix.data[:] = 0
        matrix = matrix.tolil()
        matrix[pairs[:, 0], np.random.default_rng(self.seed).permutation(pairs[:, 1])] = 1
        return super().fit(train, Correspondence(matrix, known.row_names, known.col_names))
