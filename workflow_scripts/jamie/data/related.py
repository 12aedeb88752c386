"""Whether paired cells are more alike than cells paired at random: by their depth, and by what they hold.

Both are permutation tests, within samples where these are known, so that a difference between samples does
not make strangers alike. Of content the statistic is Pillai's trace, the sum of squared canonical
correlations of the leading components of both (Pillai, Ann. Math. Stat. 26, 117-121, 1955); of depth it is
Spearman's correlation of the counts of a cell, with one sign or the other. Pairs of strangers have a small p
as often as p says; pairs of one cell practically always have one, if modalities have anything in common.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamie import contract as c
from jamie.data import preprocess
from jamie.linear.blocks import count_nonzero
from jamie.linear.principal import principal_axes

MOST_PAIRS = 2_000  # drawn; more tell nothing more
FEWEST_PAIRS = 50  # of strangers and of cells that share little, fewer pairs look the same
N_COMPONENTS = 10
N_TOP = {c.RNA: 2_000, c.ATAC: 5_000}
N_PERMUTATIONS = 499
SMALL_P = 0.01
TRIALS = 20  # samples of as many other pairs, of which all but one must be told from strangers


@dataclass(frozen=True)
class Relation:
    """How alike paired cells are: depth is NaN unless both modalities hold counts.

    Attributes
    ----------
    n_pairs
        Pairs that were compared.
    depth, p_depth
        Rank correlation of depths, and its p (two-sided, by permutation).
    content, p_content
        Mean squared canonical correlation of components, and its p (by permutation).
    """

    n_pairs: int
    depth: float
    p_depth: float
    content: float
    p_content: float

    @property
    def found(self) -> bool:
        """Whether either says that these are pairs of one cell."""
        return min(self.p_content, np.nan_to_num(self.p_depth, nan=1.0)) <= SMALL_P


def in_words(relation: Relation) -> str:
    """A relation as numbers."""
    words = f"shared content {relation.content:.3f} (p = {relation.p_content:.2g})"
    if np.isnan(relation.depth):
        return words
    return f"depth r = {relation.depth:.2f} (p = {relation.p_depth:.2g}), {words}"


class Pairs:
    """Paired cells of two modalities, at most MOST_PAIRS of them, as few numbers each.

    Parameters
    ----------
    first, second
        AnnData as ingested: raw ``X``; ``uns["kind"]``, ``uns["values"]``.
    pairs
        int (n_pairs, 2): rows of the two.
    samples
        str (n_pairs,), or None: the sample of each pair.
    seed
        Of the draw and of the permutations.
    """

    def __init__(self, first, second, pairs: np.ndarray, samples: np.ndarray | None = None, seed: int = 0):
        self.rng = np.random.default_rng(seed)
        chosen = np.sort(self.rng.permutation(len(pairs))[:MOST_PAIRS])
        sides = [adata[pairs[chosen, axis]] for axis, adata in enumerate((first, second))]
        self.samples = np.zeros(len(chosen), int) if samples is None else np.asarray(samples)[chosen]
        self.components = [_components(side) for side in sides]
        self.depths = [_depths(side) for side in sides]

    def relation(self, rows: np.ndarray | None = None) -> Relation:
        """Of all, or of some of the pairs: int (n,)."""
        rows = np.arange(len(self.samples)) if rows is None else rows
        samples = self.samples[rows]
        order = [_within(samples, self.rng) for _ in range(N_PERMUTATIONS)]
        content, p_content = _test(*(_basis(z[rows], samples) for z in self.components), order)
        depth, p_depth = np.nan, np.nan
        if all(depths is not None for depths in self.depths):
            ranks = [_ranks(depths[rows], samples) for depths in self.depths]
            depth = float((ranks[0].T @ ranks[1]).item())
            p_depth = _test(*ranks, order)[1]
        return Relation(len(rows), depth, p_depth, content, p_content)

    def samples_unrelated(self) -> list[str]:
        """Samples whose pairs look like strangers, although as many pairs of the other samples do not."""
        names = [s for s in np.unique(self.samples) if (self.samples == s).sum() >= FEWEST_PAIRS]
        rows = {s: np.flatnonzero(self.samples == s) for s in names}
        strangers = [s for s in names if not self.relation(rows[s]).found]
        others = np.concatenate([rows[s] for s in names if s not in strangers] or [np.empty(0, int)])
        return [str(s) for s in strangers if self._would_be_seen(others, len(rows[s]))]

    def _would_be_seen(self, others: np.ndarray, n: int) -> bool:
        """Whether pairs as good as ``others`` would be told from strangers if there were ``n`` of them."""
        if len(others) < n:
            return False
        drawn = (self.rng.choice(others, n, replace=False) for _ in range(TRIALS))
        return sum(not self.relation(np.sort(rows)).found for rows in drawn) <= 1


def _components(adata) -> np.ndarray:
    """Leading principal components of some cells: float (n, k)."""
    adata = adata[:, count_nonzero(adata.X)[1] > 0]
    state = preprocess.fit(adata, np.ones(adata.n_obs, dtype=bool), _n_top(adata))
    values = preprocess.scaled(adata, state)
    center, axes, _ = principal_axes(values, state["sd"], min(N_COMPONENTS, adata.n_obs // 10))
    return values @ (axes / state["sd"]).T - center @ axes.T


def _n_top(adata) -> int | None:
    return N_TOP.get(adata.uns[c.KIND]) if adata.uns.get("values", c.COUNTS) == c.COUNTS else None


def _depths(adata) -> np.ndarray | None:
    """Counts of each cell, float (n,); None unless the values are counts."""
    if adata.uns[c.KIND] not in c.COUNT_KINDS or adata.uns.get("values", c.COUNTS) != c.COUNTS:
        return None
    return np.asarray(adata.X.sum(axis=1), dtype=float).ravel()


def _centred(values: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Values (n, k) less the mean of their sample."""
    _, place = np.unique(samples, return_inverse=True)
    sums = np.zeros((place.max() + 1, values.shape[1]))
    np.add.at(sums, place, values)
    return values - (sums / np.bincount(place)[:, None])[place]


def _basis(values: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Orthonormal columns that span the centred values, float (n, r)."""
    u, s, _ = np.linalg.svd(_centred(values, samples), full_matrices=False)
    return u[:, s > 1e-6 * s[0]] if s[0] > 0 else u[:, :0]


def _ranks(depths: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Centred ranks of length 1, (n, 1)."""
    from scipy.stats import rankdata

    ranks = _centred(rankdata(depths)[:, None], samples)
    return ranks / max(np.linalg.norm(ranks), 1e-12)


def _within(samples: np.ndarray, rng) -> np.ndarray:
    """A permutation of the rows that keeps each within its sample: int (n,)."""
    order = np.empty(len(samples), dtype=int)
    by_sample = np.argsort(samples, kind="stable")
    shuffled = np.lexsort((rng.random(len(samples)), samples))
    order[by_sample] = shuffled
    return order


def _test(first: np.ndarray, second: np.ndarray, orders: list[np.ndarray]) -> tuple[float, float]:
    """Mean squared canonical correlation of two orthonormal bases (n, r), and its p under ``orders``."""
    size = max(1, min(first.shape[1], second.shape[1]))
    trace = np.square(first.T @ second).sum()
    null = np.array([np.square(first.T @ second[order]).sum() for order in orders])
    return float(trace / size), float((1 + (null >= trace * (1 - 1e-9)).sum()) / (1 + len(orders)))
