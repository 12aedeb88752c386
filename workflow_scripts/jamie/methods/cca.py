"""Canonical correlation analysis on principal components."""

from __future__ import annotations

import numpy as np

from jamie.data.projection import Projection
from jamie.methods.base import Spec

SPEC = Spec(
    label="CCA",
    summary="Canonical correlation analysis of the principal components of known pairs; imputation by its "
    "linear prediction.",
    citation="Hotelling, Biometrika 28, 321-377 (1936); scikit-learn's CCA",
    min_pairs=20,
    options={"n_components": 30, "n_latent": 16},
)


class Method:
    def __init__(self, *, seed: int = 0, n_components: int = 30, n_latent: int = 16):
        self.n_components, self.n_latent = n_components, n_latent

    def fit(self, train, known) -> Method:
        """Canonical axes of the known pairs, in both directions of prediction."""
        from sklearn.cross_decomposition import CCA

        self.names = list(train.mod)
        pairs = known.best_pairs()
        # a space wider than half of the pairs would correlate perfectly by chance
        width = min(self.n_components, len(pairs) // 2)
        self.spaces, scores = {}, {}
        for axis, (name, adata) in enumerate(train.mod.items()):
            self.spaces[name] = Projection.fit(adata.X, adata.var["sd"].to_numpy(), width)
            scores[name] = self.spaces[name].transform(adata.X)[pairs[:, axis]].astype(float)
        first, second = self.names
        n_latent = min(self.n_latent, *(s.shape[1] for s in scores.values()))
        self.cca = {
            (a, b): CCA(n_latent, max_iter=5000).fit(scores[a], scores[b])
            for a, b in ((first, second), (second, first))
        }
        variates = self.cca[first, second].transform(scores[first], scores[second])
        self.width = [v.std(axis=0) for v in variates]
        self.correlation = np.array(
            [np.corrcoef(x, y)[0, 1] for x, y in zip(variates[0].T, variates[1].T, strict=True)]
        )
        return self

    def embed(self, mdata) -> dict:
        """Canonical variates of unit variance, weighted by their correlation."""
        first, second = self.names
        cca = self.cca[first, second]
        scores = {m: self.spaces[m].transform(mdata.mod[m].X).astype(float) for m in self.names}
        nothing = np.zeros((1, self.spaces[first].components.shape[0]))
        variates = cca.transform(scores[first]), cca.transform(nothing, scores[second])[1]
        return {
            m: (v / w * self.correlation).astype(np.float32)
            for m, v, w in zip(self.names, variates, self.width, strict=True)
        }

    def imputer(self, mdata, source: str, target: str):
        measured = self.spaces[source].transform(mdata.mod[source].X).astype(float)
        scores = self.cca[source, target].predict(measured)
        return lambda rows: self.spaces[target].inverse(scores[rows])
