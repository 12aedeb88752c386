"""Reference: reads the truth, on the same cells.

Its imputed values and its pairs are the truth, so no method can be nearer to it. It is no bound beyond that:
scores of cell types can be higher, as the measured values, which it takes for coordinates, hold noise that a
latent space leaves out.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jamie.linear.projection import Projection
from jamie.registry import Spec

SPEC = Spec(
    label="reference: truth",
    summary="Reads the measured values of the other modality where they exist, the feature mean elsewhere; "
    "both sides of a cell get the same coordinates. No bound: label transfer can lie above it.",
    control="ceiling",
    cost="linear in cells",
    uses_truth=True,
)


class Method:
    def __init__(self, *, seed: int = 0):
        self.truth = None

    def show_truth(self, pairs) -> None:
        """Take all pairs of the dataset (a `Correspondence`; cells are told by their names)."""
        self.truth = pairs

    def fit(self, train, known) -> Method:
        self.means = {name: a.var["mean"].to_numpy(np.float32) for name, a in train.mod.items()}
        self.spaces = {name: Projection.fit(a.X, a.var["sd"].to_numpy(), 30) for name, a in train.mod.items()}
        return self

    def embed(self, mdata) -> dict:
        """Principal components of both modalities side by side; those of a modality a cell lacks are 0."""
        scores = {name: self.spaces[name].transform(a.X) for name, a in mdata.mod.items()}
        latent = {}
        for name, a in mdata.mod.items():
            sides = []
            for other in mdata.mod:
                partner = np.arange(a.n_obs) if other == name else self._partners(mdata, name)
                sides.append(_pick(scores[other], partner, 0.0))
            latent[name] = np.hstack(sides)
        return latent

    def imputer(self, mdata, source: str, target: str):
        values, partner = mdata.mod[target].X, self._partners(mdata, source)
        return lambda rows: _pick(values, partner[rows], self.means[target])

    def _partners(self, mdata, source: str) -> np.ndarray:
        """Row of the true partner in the other modality, -1 where there is none: int (n_source,)."""
        axis = list(mdata.mod).index(source)
        partner = np.full(mdata.mod[source].n_obs, -1)
        pairs = self.truth.align(*(a.obs_names for a in mdata.mod.values())).best_pairs()
        partner[pairs[:, axis]] = pairs[:, 1 - axis]
        return partner


def _pick(values, rows: np.ndarray, fill) -> np.ndarray:
    """Rows of ``values``; ``fill`` where the row is -1."""
    picked = values[np.maximum(rows, 0)]
    picked = picked.toarray() if sparse.issparse(picked) else picked
    return np.where((rows >= 0)[:, None], picked, fill).astype(np.float32)
