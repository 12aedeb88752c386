"""What linked features say of shared coordinates, and what links left out say of a matching."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from jamie import contract as c
from jamie.linear.canonical import Moments

FEWEST_LINKS = 10
POWER = 0.4  # of the products of loadings: these weigh an axis by about the square of what is shared
N_SHUFFLES = 200
Z_EVEN, Z_SLOPE = 5.0, 1.0


@dataclass(frozen=True)
class LinkedValues:
    """Values of linked features, cell by cell: columns of both are linked one to one.

    Attributes
    ----------
    first, second
        float32 (n_1, L), (n_2, L), each column of mean 0 and sd 1 over all cells.
    names
        Of the linked features, as "CD3E - CD3" or a gene.
    """

    first: np.ndarray
    second: np.ndarray
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    @property
    def sides(self) -> tuple[np.ndarray, np.ndarray]:
        return self.first, self.second

    def of(self, rows: np.ndarray, cols: np.ndarray) -> LinkedValues:
        """The same of these cells."""
        return LinkedValues(self.first[rows], self.second[cols], self.names)


def values(first, second, table: pd.DataFrame) -> LinkedValues:
    """Linked features as columns: a feature with many partners stands against their weighted sum.

    Parameters
    ----------
    first, second
        AnnData, prepared: ``layers["counts"]`` where there are counts, else ``X``.
    table
        Columns first, second, weight, as of `jamie.data.linked`; features that were left out are passed over.
    """
    table = table[table["first"].isin(first.var_names) & table["second"].isin(second.var_names)]
    one = "first" if table["first"].nunique() <= table["second"].nunique() else "second"
    names = list(dict.fromkeys(table[one]))
    unit = pd.Index(names).get_indexer(table[one])
    sides = []
    for side, adata in (("first", first), ("second", second)):
        weight = np.ones(len(table)) if side == one else table["weight"].to_numpy(float)
        at = adata.var_names.get_indexer(table[side])
        maps = sparse.coo_matrix((weight, (at, unit)), (adata.n_vars, len(names))).tocsr()
        if side == one:
            maps.data[:] = 1
        sides.append(_standard(_combined(adata, maps)))
    varies = (sides[0].std(axis=0) > 0) & (sides[1].std(axis=0) > 0)
    kept = tuple(name for name, ok in zip(names, varies, strict=True) if ok)
    return LinkedValues(sides[0][:, varies], sides[1][:, varies], kept)


def _combined(adata, maps: sparse.csr_matrix) -> np.ndarray:
    """Weighted sums of features: of counts as log1p of their share of a cell's total, else of z-scores."""
    if c.COUNTS in adata.layers:
        counts = sparse.csr_matrix(adata.layers[c.COUNTS])
        total = np.asarray(counts.sum(axis=1)).ravel()
        scale = np.median(total) / np.maximum(total, 1)
        summed = np.asarray((sparse.diags(scale) @ counts @ maps).todense())
        if adata.uns[c.KIND] == c.PROTEIN:
            logged = counts.copy()
            logged.data = np.log1p(logged.data)
            level = np.asarray(logged.mean(axis=1)).ravel()
            return np.log1p(np.asarray((counts @ maps).todense())) - level[:, None]
        return np.sign(summed) * np.log1p(np.abs(summed))
    z = adata.X.toarray() if sparse.issparse(adata.X) else np.asarray(adata.X)
    return _standard(z) @ maps


def _standard(x: np.ndarray) -> np.ndarray:
    sd = x.std(axis=0)
    return ((x - x.mean(axis=0)) / np.where(sd > 0, sd, 1)).astype(np.float32)


def moments(features, linked: LinkedValues, of_all, ridge: float, which=slice(None)) -> Moments:
    """What linked features say of shared coordinates, as if it had come from one pair of cells.

    A feature loads on the components of its modality, its partner on those of the other; the sum over links
    of the products of their loadings says which directions of one are those of the other. Its singular
    values, over whitened components, grow with what is shared to about the power of two, hence `POWER`.

    Parameters
    ----------
    features
        float (n_1, d_1), (n_2, d_2).
    of_all
        Covariances of both.
    which
        The links that may be used, by position.
    """
    loadings, whiten, unwhiten = [], [], []
    for f, x, covariance in zip(features, linked.sides, of_all, strict=True):
        f = f - f.mean(axis=0)
        loadings.append(f.T.astype(np.float64) @ x[:, which] / len(f))
        eigenvalues, vectors = np.linalg.eigh(covariance)
        root = np.sqrt(np.maximum(eigenvalues, 0) + ridge * max(eigenvalues.mean(), 1e-12))
        whiten.append(vectors / root @ vectors.T)
        unwhiten.append(vectors * root @ vectors.T)
    u, s, vt = np.linalg.svd(whiten[0] @ loadings[0] @ (whiten[1] @ loadings[1]).T)
    s = (s / max(s[0], 1e-12)) ** POWER
    r = len(s)
    across = unwhiten[0] @ (u[:, :r] * s) @ vt[:r] @ unwhiten[1]
    centre = tuple(f.mean(axis=0).astype(float) for f in features)
    within = tuple(v + np.outer(m, m) for v, m in zip(of_all, centre, strict=True))
    return Moments(1.0, *centre, within, across + np.outer(*centre))


@dataclass(frozen=True)
class Evidence:
    """How links that were left out of a matching fare in it.

    Attributes
    ----------
    n_links
        Left out, in turn.
    r, r_random, sd_random
        Mean correlation of a feature with its partner, over the cells it was matched to; the same of features
        with partners drawn at random, its mean and standard deviation over draws.
    """

    n_links: int
    r: float
    r_random: float
    sd_random: float

    @property
    def z(self) -> float:
        return (self.r - self.r_random) / max(self.sd_random, 1e-9)

    @property
    def probability(self) -> float:
        """That the matching is better than none, by how far true links stand out (`Z_EVEN`, `Z_SLOPE`)."""
        return float(1 / (1 + np.exp(-(self.z - Z_EVEN) / Z_SLOPE)))

    def in_words(self) -> str:
        return (
            f"{self.n_links} linked features were left out in turn: over matched cells they correlate by "
            f"{self.r:.3f} with their partners, and by {self.r_random:.3f} +- {self.sd_random:.3f} with "
            "others drawn at random"
        )


def judge(match: sparse.csr_matrix, linked: LinkedValues, which: np.ndarray) -> np.ndarray:
    """Correlations (len(which), len(which)) of features ``which`` with all of their partners, over a matching.

    Entry (i, j): feature i of the first modality with what the matched cells have of the partner of j. The
    diagonal holds the true links.
    """
    total = np.asarray(match.sum(axis=1)).ravel()
    rows = np.flatnonzero(total > 0)
    moved = sparse.diags(1 / total[rows]) @ match[rows] @ linked.second[:, which].astype(np.float64)
    a, b = _standard(linked.first[rows][:, which].astype(np.float64)), _standard(np.asarray(moved))
    return a.T.astype(np.float64) @ b / len(rows)


def evidence(tables: list[np.ndarray], seed: int) -> Evidence:
    """Evidence of the tables that `judge` made of each fold."""
    rng = np.random.default_rng(seed)
    own = np.concatenate([np.diag(t) for t in tables])
    draws = []
    for _ in range(N_SHUFFLES):
        drawn = [t[np.arange(len(t)), _derangement(len(t), rng)] for t in tables]
        draws.append(np.concatenate(drawn).mean())
    return Evidence(len(own), float(own.mean()), float(np.mean(draws)), float(np.std(draws)))


def _derangement(n: int, rng) -> np.ndarray:
    """A permutation of n that leaves none in its place, by a turn of a random order."""
    order = rng.permutation(n)
    turned = np.empty(n, dtype=int)
    turned[order] = np.roll(order, 1)
    return turned
