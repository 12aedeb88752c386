"""Ridge regression from the principal components of one modality to those of the other."""

from __future__ import annotations

import numpy as np

from jamie.linear.projection import Projection
from jamie.methods import base
from jamie.registry import Spec

SPEC = Spec(
    label="ridge",
    summary="Ridge regression between principal components of known pairs; the penalty by leave-one-out.",
    citation="Hoerl & Kennard, Technometrics 12, 55-67 (1970); scikit-learn's RidgeCV",
    embeds=False,
    min_pairs=20,
    cost="linear in cells",
    options={"n_components": None},
    search={"n_components": (None, 10, 20, 30, 50, 100)},
)


class Method:
    def __init__(self, *, seed: int = 0, n_components: int | None = None):
        self.n_components = n_components

    def fit(self, train, known) -> Method:
        from sklearn.linear_model import RidgeCV

        pairs = known.best_pairs()
        k = base.n_components(train, known, self.n_components)
        self.spaces, scores = {}, {}
        for axis, (name, adata) in enumerate(train.mod.items()):
            self.spaces[name] = Projection.fit(adata.X, adata.var["sd"].to_numpy(), k)
            scores[name] = self.spaces[name].transform(adata.X)[pairs[:, axis]].astype(float)
        first, second = train.mod
        self.models = {
            (a, b): RidgeCV(alphas=np.logspace(-2, 5, 29)).fit(scores[a], scores[b])
            for a, b in ((first, second), (second, first))
        }
        return self

    def imputer(self, mdata, source: str, target: str):
        scores = self.models[source, target].predict(
            self.spaces[source].transform(mdata.mod[source].X).astype(float)
        )
        return lambda rows: self.spaces[target].inverse(scores[rows])
