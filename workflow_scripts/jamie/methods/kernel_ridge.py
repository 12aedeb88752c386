"""Kernel ridge regression from the principal components of one modality to those of the other.

The kernel is Gaussian, exp(-d^2 / (factor x median d^2)). Its width and, for every component of the target, a
penalty are those that predict known pairs best when each is left out, which has a closed form. With up to
`LANDMARKS` pairs the regression is exact; beyond, the kernel is that of Nystroem on so many pairs drawn at
random, so that nothing is as large as pairs x pairs.
"""

from __future__ import annotations

import numpy as np

from jamie.linear.projection import Projection
from jamie.methods import base
from jamie.registry import Spec

SPEC = Spec(
    label="kernel ridge",
    summary="Kernel ridge regression (Gaussian) between principal components of known pairs; width and "
    "penalties by leave-one-out.",
    citation="Saunders, Gammerman & Vovk, ICML (1998); Williams & Seeger, NeurIPS (2000); scikit-learn's "
    "Nystroem and RidgeCV",
    embeds=False,
    min_pairs=20,
    cost="linear in cells",
    options={"n_components": None},
    search={"n_components": (None, 10, 20, 30, 50, 100)},
)
LANDMARKS = 500
CHOSEN_ON = 2_000  # pairs, at most, on which width and penalties are chosen
FACTORS = (0.5, 1.0, 2.0, 4.0, 8.0)
PENALTIES = np.logspace(-3, 3, 13)


class Method:
    def __init__(self, *, seed: int = 0, n_components: int | None = None):
        self.seed, self.n_components = seed, n_components

    def fit(self, train, known) -> Method:
        pairs = known.best_pairs()
        k = base.n_components(train, known, self.n_components)
        self.spaces, scores = {}, {}
        for axis, (name, adata) in enumerate(train.mod.items()):
            self.spaces[name] = Projection.fit(adata.X, adata.var["sd"].to_numpy(), k)
            scores[name] = self.spaces[name].transform(adata.X)[pairs[:, axis]].astype(float)
        first, second = train.mod
        self.models = {
            (a, b): fit_direction(scores[a], scores[b], self.seed)
            for a, b in ((first, second), (second, first))
        }
        return self

    def imputer(self, mdata, source: str, target: str):
        cells = self.spaces[source].transform(mdata.mod[source].X)
        model, space = self.models[source, target], self.spaces[target]
        return lambda rows: space.inverse(model.predict(cells[rows].astype(float)))


def fit_direction(x: np.ndarray, y: np.ndarray, seed: int):
    """Kernel features, then ridge: a scikit-learn pipeline fitted to x (n, p) and y (n, q), row i a pair."""
    from scipy.spatial.distance import pdist
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import Ridge, RidgeCV
    from sklearn.pipeline import make_pipeline

    chosen = np.random.default_rng(seed).permutation(len(x))[:CHOSEN_ON]
    median = max(np.median(pdist(x[chosen], "sqeuclidean")), 1e-12)
    found = []
    for factor in FACTORS:
        kernel = Nystroem(
            gamma=1 / (factor * median), n_components=min(LANDMARKS, len(chosen)), random_state=seed
        )
        trial = RidgeCV(PENALTIES, alpha_per_target=True).fit(kernel.fit_transform(x[chosen]), y[chosen])
        found.append((np.mean(trial.best_score_), kernel, trial.alpha_))
    _, kernel, penalty = max(found, key=lambda trial: trial[0])
    model = make_pipeline(kernel, Ridge(penalty))  # the kernel keeps the landmarks it was fitted with
    model[-1].fit(kernel.transform(x), y)
    return model
