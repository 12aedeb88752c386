"""Canonical correlation analysis on principal components, shrunk as much as left-out pairs ask for."""

from __future__ import annotations

import numpy as np

from jamie.linear.projection import Projection
from jamie.methods import base
from jamie.registry import Spec

SPEC = Spec(
    label="CCA",
    summary="Ridge-regularised canonical correlation of the principal components of known pairs, "
    "variates weighted by their correlation; imputation by regression on them.",
    citation="Hotelling, Biometrika 28, 321 (1936); Vinod, J. Econometrics 4, 147 (1976); cca-zoo's RidgeCCA",
    min_pairs=20,
    cost="linear in cells",
    options={"n_components": None, "n_latent": 16, "shrinkage": None},
    search={"n_components": (None, 10, 30, 50), "n_latent": (8, 16, 30)},
)
SHRINKAGES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)
N_FOLDS = 5


class Method:
    """``shrinkage`` of covariances towards the identity, 0 to 1; None: the best for left-out pairs."""

    def __init__(
        self,
        *,
        seed: int = 0,
        n_components: int | None = None,
        n_latent: int = 16,
        shrinkage: float | None = None,
    ):
        self.seed, self.n_components, self.n_latent, self.shrinkage = seed, n_components, n_latent, shrinkage

    def fit(self, train, known) -> Method:
        """Canonical axes of the known pairs."""
        from sklearn.linear_model import RidgeCV

        self.names = list(train.mod)
        pairs = known.best_pairs()
        k = base.n_components(train, known, self.n_components)
        self.spaces, scores = {}, []
        for axis, (name, adata) in enumerate(train.mod.items()):
            self.spaces[name] = Projection.fit(adata.X, adata.var["sd"].to_numpy(), k)
            scores.append(self.spaces[name].transform(adata.X)[pairs[:, axis]].astype(float))
        self.chosen = self.shrinkage
        if self.chosen is None:
            self.chosen = best_shrinkage(scores, self.n_latent, self.seed)
        self.axes = Axes.fit(scores, self.n_latent, self.chosen)
        variates = [self.axes.transform(s, axis) for axis, s in enumerate(scores)]
        alphas = np.geomspace(1e-2, 1e5, 15)
        self.regression = {
            self.names[axis]: RidgeCV(alphas=alphas).fit(variates[axis], scores[1 - axis]) for axis in (0, 1)
        }
        return self

    def embed(self, mdata) -> dict:
        """Canonical variates, each times its correlation."""
        return {m: self._variates(mdata.mod[m], m).astype(np.float32) for m in self.names}

    def imputer(self, mdata, source: str, target: str):
        scores = self.regression[source].predict(self._variates(mdata.mod[source], source))
        return lambda rows: self.spaces[target].inverse(scores[rows])

    def _variates(self, adata, modality: str) -> np.ndarray:
        scores = self.spaces[modality].transform(adata.X).astype(float)
        return self.axes.transform(scores, self.names.index(modality))


class Axes:
    """Canonical axes (p, d), (q, d) of paired scores, times their correlation, and means (p,), (q,)."""

    def __init__(self, means, weights):
        self.means, self.weights = means, weights

    @classmethod
    def fit(cls, scores, n_latent: int, shrinkage: float) -> Axes:
        from cca_zoo.linear import RidgeCCA

        means = [s.mean(axis=0) for s in scores]
        n_latent = min(n_latent, *(s.shape[1] for s in scores))
        model = RidgeCCA(n_components=n_latent, shrinkage=shrinkage).fit(list(scores))
        first, second = ((s - m) @ w for s, m, w in zip(scores, means, model.weights_, strict=True))
        # the axes have unit variance under the shrunk covariance, so this is the shrunk correlation
        correlation = (first * second).sum(axis=0) / (len(first) - 1)
        return cls(means, [w * correlation for w in model.weights_])

    def transform(self, scores: np.ndarray, axis: int) -> np.ndarray:
        return (scores - self.means[axis]) @ self.weights[axis]


def best_shrinkage(scores, n_latent: int, seed: int) -> float:
    """The shrinkage under which left-out pairs find their partners best (FOSCTTM, folds of known pairs)."""
    from jamie.metrics.alignment import foscttm

    n = len(scores[0])
    fold = np.random.default_rng(seed).permutation(n) % N_FOLDS
    found = []
    for shrinkage in SHRINKAGES:
        of_folds = []
        for i in range(N_FOLDS):
            axes = Axes.fit([s[fold != i] for s in scores], n_latent, shrinkage)
            left = [axes.transform(s[fold == i], axis) for axis, s in enumerate(scores)]
            of_folds.append(foscttm(left, np.column_stack([np.arange(len(left[0]))] * 2)))
        found.append(np.mean(of_folds))
    return SHRINKAGES[int(np.argmin(found))]
