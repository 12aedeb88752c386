"""What calibrates a fitted model: native units, intervals, and how unlike training a cell is.

All of it is learned from what cross-fits say of training cells that they did not see, and stored with the
model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from jamie import contract as c
from jamie.data import preprocess
from jamie.errors import InputError
from jamie.linear.blocks import dense, row_blocks
from jamie.linear.neighbours import nearest
from jamie.model.crossfit import CrossFit
from jamie.model.intervals import EVERYONE, Intervals, better_than_mean, half_widths, limits
from jamie.model.native import SOFT, Native, fit_counts, fit_line, fit_open, log_rate, sizes
from jamie.model.unlike import Reference

PAIRS_PER_CLUSTER, MOST_CLUSTERS = 60, 15
MOST_CELLS = 5_000  # that clusters, and the mean over all imputed cells, are learned from
MIN_SIZES = 20  # pairs, from which on sizes are predicted
LEADING = 5  # components that sizes are predicted from: the others are not the same in two fits


@dataclass
class Grouping:
    """Groups of cells that have intervals of their own.

    Attributes
    ----------
    names
        Of the groups.
    centers : float32 (n_groups, d)
        Of clusters of the latent space; None: groups are cell types, told by ``obs``.
    """

    names: list[str]
    centers: np.ndarray | None

    @classmethod
    def of(cls, train, latents: dict[str, np.ndarray], n_pairs: int, seed: int) -> Grouping:
        """Cell types, where both modalities have labels, else clusters (k-means) of their latents."""
        from sklearn.cluster import KMeans

        if all(c.CELL_TYPE in a.obs for a in train.mod.values()):
            labels = [set(a.obs[c.CELL_TYPE].dropna().astype(str)) for a in train.mod.values()]
            names = sorted(set.union(*labels))
            if EVERYONE in names:
                raise InputError(
                    "A cell type has a name that means something else",
                    expected=f"any name but {EVERYONE!r}",
                    found=f"{EVERYONE!r} among the cell types",
                    change="the labels of the cells",
                )
            return cls(names, None)
        rng = np.random.default_rng([seed, 11])
        cells = np.concatenate([z[np.sort(rng.permutation(len(z))[:MOST_CELLS])] for z in latents.values()])
        n = int(np.clip(n_pairs // PAIRS_PER_CLUSTER, 1, MOST_CLUSTERS))
        centers = KMeans(n, n_init=1, random_state=seed).fit(cells).cluster_centers_
        return cls([f"cluster {i + 1}" for i in range(n)], centers.astype(np.float32))

    def __call__(self, obs, latent: np.ndarray) -> np.ndarray:
        """Name of each cell's group, or `EVERYONE`: str (n,)."""
        if self.centers is not None:
            return np.asarray(self.names, dtype=object)[nearest(latent, self.centers, 1)[1][:, 0]]
        if c.CELL_TYPE not in obs:
            return np.full(len(obs), EVERYONE, dtype=object)
        labels = obs[c.CELL_TYPE].astype(str)  # a missing label is no name of a type
        known = obs[c.CELL_TYPE].notna() & labels.isin(self.names)
        return np.where(known, labels.astype(object), EVERYONE)


@dataclass
class Calibration:
    """See the head of this module; ``native`` and ``intervals`` by target, ``reference`` by source.

    Without a fold there is no ``reference``.
    """

    native: dict[str, Native]
    intervals: dict[str, Intervals]
    reference: dict[str, Reference]
    grouping: Grouping
    n_pairs: int

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything but names, by keys such as ``native.rna.offset``."""
        found = {}
        for part in ("native", "intervals", "reference"):
            for modality, values in getattr(self, part).items():
                found |= {f"{part}.{modality}.{key}": array for key, array in values.arrays().items()}
        return found | ({} if self.grouping.centers is None else {"centers": self.grouping.centers})

    def names(self) -> dict:
        """What `from_arrays` needs beside the arrays."""
        return {"groups": self.grouping.names, "n_pairs": self.n_pairs}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], names: dict, options) -> Calibration:
        parts: dict[str, dict] = {"native": {}, "intervals": {}, "reference": {}}
        for key, array in arrays.items():
            if key != "centers":
                part, rest = key.split(".", 1)
                modality, name = rest.rsplit(".", 1)
                parts[part].setdefault(modality, {})[name] = array
        groups = [EVERYONE, *names["groups"]]
        return cls(
            {m: Native(**a) for m, a in parts["native"].items()},
            {m: Intervals(groups, **a) for m, a in parts["intervals"].items()},
            {m: Reference.from_arrays(a, options) for m, a in parts["reference"].items()},
            Grouping(names["groups"], arrays.get("centers")),
            names["n_pairs"],
        )


def calibrate(model, train, crossfit: CrossFit) -> Calibration:
    """Learn what calibrates a fitted `JAMIE` from its cross-fits.

    Parameters
    ----------
    model
        With networks, projections and states.
    train
        Prepared MuData of its training cells, with the layer of missing values.
    """
    latents = model.embed(train)
    n_pairs = len(crossfit.pairs(model.modalities[0]))
    grouping = Grouping.of(train, latents, n_pairs, model.seed)
    groups = {m: grouping(train.mod[m].obs, latents[m]) for m in model.modalities}
    found = Calibration({}, {}, crossfit.reference, grouping, n_pairs)
    for name in model.modalities:
        target = _Target(model, train, name, crossfit, groups, grouping.names)
        found.native[name], found.intervals[name] = target.fit()
    return found


class _Target:
    """Calibration of one modality as it is imputed from the other, in blocks of features."""

    def __init__(self, model, train, name: str, crossfit: CrossFit, groups, names: list[str]):
        adata, source = train.mod[name], next(m for m in model.modalities if m != name)
        self.state, self.name, self.crossfit = model.states[name], name, crossfit
        self.projection, self.names = model.projections[name], [EVERYONE, *names]
        rows = crossfit.pairs(name)
        self.places = _places(groups[source][crossfit.pairs(source)], self.names)
        self.members = self.places[:, None] == np.arange(len(self.names))
        self.members[:, 0] = True
        self.x, self.missing = _by_column(adata.X[rows]), None
        if c.MISSING in adata.layers:
            self.missing = dense(adata.layers[c.MISSING][rows]) > 0
        low, high = (_flat(end) for end in (adata.X.min(axis=0), adata.X.max(axis=0)))
        self.widest = high - low
        self.means = _Means(adata, _places(groups[name], self.names), rows, len(self.names))
        some = train.mod[source].X[_some(train.mod[source].n_obs, model.seed)]
        self.population = model.imputed(model.projections[source].transform(some), source)
        self.size_weights = np.zeros(1)
        if self.state["values"] == "counts":
            size = adata.obs[preprocess.SIZE].to_numpy(float)
            self.mean_count, self.most = _mean_and_most(adata.X, self.state, size)
            self.counts = _by_column(preprocess.to_counts(adata.X[rows], self.state, size[rows]))
            self._learn_sizes(size, size[rows])

    def fit(self) -> tuple[Native, Intervals]:
        """Both parts, of all features."""
        n = max(len(self.places), len(self.population))
        blocks = [self._block(features) for features in row_blocks(len(self.state["features"]), n)]
        found = {key: np.concatenate([block[key] for block in blocks]) for key in blocks[0]}
        native = {key: found.pop(key) for key in ("offset", "slope", "soft", "open_rate")}
        n_cells = self.members.sum(axis=0)
        return Native(**native, size_weights=self.size_weights), Intervals(self.names, n_cells, **found)

    def _learn_sizes(self, size: np.ndarray, of_pairs: np.ndarray) -> None:
        """Log size by imputed components, learned of the pairs; the mean size where these are few."""
        from sklearn.linear_model import RidgeCV

        n_axes = self.population.shape[1]
        self.size_weights = np.append(np.zeros(n_axes), np.log(size.mean()))
        imputed = np.empty((0, n_axes))
        if len(of_pairs):
            folds = self.crossfit.folds
            values = (fold.projections[self.name].inverse(fold.imputed[self.name]) for fold in folds)
            imputed = np.concatenate([self.projection.transform(v) for v in values])
        if (of_pairs > 0).sum() >= MIN_SIZES:
            some = of_pairs > 0
            x = imputed[:, :LEADING]
            model = RidgeCV(np.geomspace(0.1, 1e5, 13)).fit(x[some], np.log(of_pairs[some]))
            shift = np.log(of_pairs.sum() / np.exp(model.predict(x)).sum())  # from logs to means
            self.size_weights[: len(model.coef_)] = model.coef_
            self.size_weights[-1] = model.intercept_ + shift
        self.size_of_pairs, self.size_of_population = (
            sizes(self.size_weights, components) for components in (imputed, self.population)
        )

    def _block(self, features: slice) -> dict[str, np.ndarray]:
        state = preprocess.of_features(self.state, features)
        x = dense(self.x[:, features]).astype(float)
        v = self.crossfit.imputed(self.name, features).astype(float) if len(x) else x
        if self.missing is not None:
            x[self.missing[:, features]] = np.nan
        population = self.projection.inverse(self.population, features).astype(float)
        fit = self._counts if self.state["values"] == "counts" else self._line
        native, distance, widest = fit(features, state, v, x, population)
        own_error, means = (x - v) ** 2, self.means.without(x, self.places, features)
        usable = [
            better_than_mean((x - mean) ** 2 - own_error, members)
            for mean, members in zip(means, (self.members[:, :1], self.members[:, 1:]), strict=True)
        ]
        return native | {
            "half_width": half_widths(np.abs(x - v), self.members, self.widest[features]),
            "half_width_native": half_widths(distance, self.members, widest),
            "usable": np.hstack(usable),
        }

    def _counts(self, features: slice, state: dict, v, x, population):
        """Native units of counts; distances (n, b) of their intervals, and the widest half-width (b,)."""
        soft = np.maximum(SOFT * np.maximum(population, 0).mean(axis=0), 1e-3 * state["sd"])
        expected = self.size_of_population @ np.exp(log_rate(population, state, soft)) / len(population)
        believed = np.log(self.mean_count[features] / expected)
        y, u = dense(self.counts[:, features]).astype(float), log_rate(v, state, soft)
        a, b = fit_counts(y, u, self.size_of_pairs, believed)
        mu = self.size_of_pairs[:, None] * np.exp(np.clip(a + b * u, -30, 30))
        rate = fit_open(y, mu) if state["kind"] == c.ATAC else np.ones_like(a)
        native = {"offset": a, "slope": b, "soft": soft, "open_rate": rate}
        return native, np.abs(np.log1p(y) - np.log1p(mu)), np.log1p(self.most[features])

    def _line(self, features: slice, state: dict, v, x, population):
        """The same of fractions and continuous values."""
        y, v, mean = (preprocess.invert(part, state) for part in (x, v, state["mean"][None]))
        shift = (mean - preprocess.invert(population, state).mean(axis=0))[0]
        spread = preprocess.invert((state["mean"] + state["sd"])[None], state)[0] - mean[0]
        d, b = fit_line(y, v, shift, np.maximum(np.abs(spread), 1e-12))
        ones = np.ones_like(d)
        factor, start = state.get("spread", ones), state.get("center", 0 * ones)
        if state["kind"] != c.CONTINUOUS:
            factor, start = ones, 0 * ones
        native = {"offset": d + b * start, "slope": b * factor, "soft": ones, "open_rate": ones}
        imputed = np.clip(d + b * v, *limits(state["kind"], state["values"]))
        return native, np.abs(y - imputed), self.widest[features] * factor


class _Means:
    """Mean of each feature over all training cells and over those of each group, of what was measured."""

    def __init__(self, adata, places: np.ndarray, rows: np.ndarray, n_groups: int):
        cells = np.arange(len(places))
        chosen = sparse.csr_matrix((np.ones(len(places)), (places, cells)), (n_groups, len(places)))
        self.own = places[rows]  # groups of the pairs' cells
        self.sums = dense(chosen @ adata.X).astype(float)
        self.n = np.repeat(np.bincount(places, minlength=n_groups)[:, None], adata.n_vars, axis=1)
        if c.MISSING in adata.layers:  # X holds a mean there
            missing = dense(adata.layers[c.MISSING]) > 0
            self.sums -= chosen @ np.where(missing, dense(adata.X), 0)
            self.n = self.n - dense(chosen @ missing.astype(float)).astype(int)
        self.sums[0], self.n[0] = self.sums.sum(axis=0), self.n.sum(axis=0)

    def without(self, x: np.ndarray, places: np.ndarray, features: slice):
        """Means (n, b) for the pairs' cells x (n, b) without themselves: of everyone, and of ``places``.

        NaN where nothing else was measured, as in a group that has no cell in this modality.
        """
        measured = ~np.isnan(x)
        for group in (np.zeros_like(places), places):
            inside = measured & ((group == 0) | (group == self.own))[:, None]
            n = self.n[group][:, features] - inside
            total = self.sums[group][:, features] - np.where(inside, x, 0)
            yield np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _mean_and_most(x, state: dict, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and largest count of each feature (p,) in prepared cells x (n, p), block by block."""
    total, most = np.zeros((2, x.shape[1]))
    for rows in row_blocks(*x.shape):
        counts = preprocess.to_counts(x[rows], state, size[rows])
        total += _flat(counts.sum(axis=0))
        most = np.maximum(most, _flat(counts.max(axis=0)))
    return total / x.shape[0], most


def _places(groups: np.ndarray, names: list[str]) -> np.ndarray:
    """Place of each group among ``names``, int (n,)."""
    return np.array([names.index(group) for group in groups], dtype=np.int64)


def _some(n: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng([seed, 13]).permutation(n)[:MOST_CELLS])


def _by_column(x):
    return sparse.csc_matrix(x) if sparse.issparse(x) else np.asarray(x)


def _flat(row) -> np.ndarray:
    return np.asarray(dense(row), dtype=float).ravel()
