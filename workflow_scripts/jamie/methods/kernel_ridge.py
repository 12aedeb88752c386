"""Kernel ridge regression from the principal components of one modality to those of the other."""

from __future__ import annotations

from jamie.linear.kernel import KernelRidge
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
    builds_on=("linear/kernel.py",),
    min_pairs=20,
    cost="linear in cells",
    options={"n_components": None},
    search={"n_components": (None, 10, 20, 30, 50, 100)},
)


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
            (a, b): KernelRidge.fit(scores[a], scores[b], self.seed)
            for a, b in ((first, second), (second, first))
        }
        return self

    def imputer(self, mdata, source: str, target: str):
        cells = self.spaces[source].transform(mdata.mod[source].X)
        model, space = self.models[source, target], self.spaces[target]
        return lambda rows: space.inverse(model.predict(cells[rows].astype(float)))
