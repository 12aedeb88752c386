"""Floor: every cell gets the mean of each feature."""

from __future__ import annotations

import numpy as np

from jamie.registry import Spec

SPEC = Spec(
    label="floor: feature mean",
    summary="The training mean of each feature, whatever the cell.",
    embeds=False,
    uses_pairs=False,
    control="floor",
    cost="linear in cells",
)


class Method:
    def __init__(self, *, seed: int = 0):
        pass

    def fit(self, train, known) -> Method:
        self.means = {name: a.var["mean"].to_numpy(np.float32) for name, a in train.mod.items()}
        return self

    def imputer(self, mdata, source: str, target: str):
        n_cells = mdata.mod[source].n_obs
        return lambda rows: np.tile(self.means[target], (len(range(n_cells)[rows]), 1))
