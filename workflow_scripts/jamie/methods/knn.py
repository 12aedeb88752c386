"""Impute by the k nearest training cells that were measured in both modalities."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jamie.data.projection import Projection
from jamie.methods.base import Spec

SPEC = Spec(
    label="KNN",
    summary="Mean of the other modality over the k nearest paired training cells, in principal components.",
    citation="the imputation baseline of Cohen Kalafut et al. (2023), k = 5",
    embeds=False,
    min_pairs=5,
    options={"k": 5, "n_components": 30},
    search={"k": (5, 15, 30, 50), "n_components": (10, 30, 50)},
)


class Method:
    def __init__(self, *, seed: int = 0, k: int = 5, n_components: int = 30):
        self.k, self.n_components = k, n_components

    def fit(self, train, known) -> Method:
        pairs = known.best_pairs()
        self.spaces, self.paired = {}, {}
        for axis, (name, adata) in enumerate(train.mod.items()):
            self.spaces[name] = Projection.fit(adata.X, adata.var["sd"].to_numpy(), self.n_components)
            self.paired[name] = adata.X[pairs[:, axis]]
        return self

    def imputer(self, mdata, source: str, target: str):
        from sklearn.neighbors import NearestNeighbors

        space = self.spaces[source]
        k = min(self.k, self.paired[source].shape[0])  # all pairs, where there are fewer than k
        neighbors = NearestNeighbors(n_neighbors=k).fit(space.transform(self.paired[source]))
        cells = space.transform(mdata.mod[source].X)
        values = self.paired[target]

        def impute(rows: slice) -> np.ndarray:
            mean = neighbors.kneighbors_graph(cells[rows]) @ values / k
            return np.asarray(mean.todense() if sparse.issparse(mean) else mean, dtype=np.float32)

        return impute
