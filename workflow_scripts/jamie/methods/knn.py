"""Impute by the k nearest training cells that were measured in both modalities."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jamie.linear.neighbours import mean_of, nearest
from jamie.linear.projection import Projection
from jamie.methods import base
from jamie.registry import Spec

CHOICES = (5, 15, 30, 50)
MAX_JUDGED = 500  # pairs whose values are looked at to choose k

SPEC = Spec(
    label="KNN",
    summary="Mean of the other modality over the k nearest paired training cells, in principal components; "
    f"k is the one of {', '.join(map(str, CHOICES))} that imputes known pairs best from the others.",
    citation="the imputation baseline of Cohen Kalafut et al. (2023), there with k = 5",
    embeds=False,
    min_pairs=5,
    cost="linear in the cells imputed; the paired cells stay in memory",
    options={"k": None, "n_components": None},
    search={"n_components": (None, 10, 20, 30, 50)},
)


class Method:
    """``k`` nearest cells; None: chosen for each direction, see `best_k`."""

    def __init__(self, *, seed: int = 0, k: int | None = None, n_components: int | None = None):
        self.seed, self.k, self.n_components = seed, k, n_components

    def fit(self, train, known) -> Method:
        pairs = known.best_pairs()
        width = base.n_components(train, known, self.n_components)
        self.spaces, self.paired, self.x = {}, {}, {}
        for axis, (name, adata) in enumerate(train.mod.items()):
            self.spaces[name] = Projection.fit(adata.X, adata.var["sd"].to_numpy(), width)
            self.paired[name] = adata.X[pairs[:, axis]]
            self.x[name] = self.spaces[name].transform(self.paired[name])
        first, second = train.mod
        self.chosen = {
            source: self.k or best_k(self.x[source], self.paired[target], self.seed)
            for source, target in ((first, second), (second, first))
        }
        return self

    def imputer(self, mdata, source: str, target: str):
        cells = self.spaces[source].transform(mdata.mod[source].X)
        x, values, k = self.x[source], self.paired[target], self.chosen[source]
        return lambda rows: mean_of(nearest(cells[rows], x, k)[1], values)


def best_k(x: np.ndarray, values, seed: int) -> int:
    """The k of `CHOICES` by which each pair is imputed best from all others (mean Pearson r of the features).

    Parameters
    ----------
    x
        Components (n, q) of the source modality's side of the pairs.
    values
        Prepared values (n, p) of the other side.
    """
    from jamie.metrics.imputation import pearson

    judged = np.sort(np.random.default_rng(seed).permutation(len(x))[:MAX_JUDGED])
    index = nearest(x[judged], x, max(CHOICES) + 1)[1]
    others = index != judged[:, None]
    others[others.all(axis=1), -1] = False  # the pair itself is not among those found: it has equals
    index = index[others].reshape(len(index), -1)
    truth = values[judged]
    truth = truth.toarray() if sparse.issparse(truth) else np.asarray(truth)
    r = [np.nanmean(pearson(truth, mean_of(index[:, :k], values))) for k in CHOICES]
    return CHOICES[int(np.argmax(r))]
