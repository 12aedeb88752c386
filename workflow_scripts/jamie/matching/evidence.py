"""What tells, without a known pair, whether a matching is better than none: left-out links, shared labels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
from scipy import sparse

N_DRAWS = 200
Z_EVEN, Z_SLOPE = 5.0, 1.0  # of left-out links: where use and no use are even, and how steep it is there
FEWEST_TYPES, FEWEST_CELLS = 4, 10  # of three types, one of six ways to name them fits by chance
MOST_RENAMED = 7  # types whose names are exchanged in all ways; of more, in N_RENAMED
N_RENAMED = 2000
KAPPA_EVEN, KAPPA_SLOPE = 0.25, 0.05
SMALL_P = 0.05
CLIP = 4.0  # the log odds that evidence gives at most, of one kind and of all: 98 %


@dataclass(frozen=True)
class OfLinks:
    """How linked features that were left out of a matching fare in it.

    Attributes
    ----------
    n
        Links left out, in turn.
    r, r_random, sd_random
        Mean correlation of a feature with its partner, over the cells it was matched to; the same of features
        with partners drawn at random, its mean and standard deviation over draws.
    own, random
        Percentiles 0 to 100 of the correlations of left-out features with their partners, and with others.
    """

    n: int
    r: float
    r_random: float
    sd_random: float
    own: tuple[float, ...]
    random: tuple[float, ...]

    @property
    def stands_out(self) -> float:
        return self.r - self.r_random

    @property
    def z(self) -> float:
        return self.stands_out / max(self.sd_random, 1e-9)

    @property
    def log_odds(self) -> float:
        """Of the matching being better than none, by how far true links stand out."""
        return _clipped((self.z - Z_EVEN) / Z_SLOPE)

    def to_dict(self) -> dict:
        return asdict(self) | {"z": self.z, "log_odds": self.log_odds}

    def in_words(self) -> str:
        return (
            f"{self.n:,} linked features were left out in turn: over matched cells they correlate by "
            f"{self.r:z.3f} with their partners, and by {self.r_random:z.3f} ± {self.sd_random:.3f} with "
            "others drawn at random"
        )


def correlations(match: sparse.csr_matrix, values, which: np.ndarray) -> np.ndarray:
    """Correlations (len(which), len(which)) of linked features, over a matching.

    Entry (i, j): feature i of the first modality with what the matched cells have of the partner of j. The
    diagonal holds the true links. ``values`` (n_1, L), (n_2, L).
    """
    total = np.asarray(match.sum(axis=1)).ravel()
    rows = np.flatnonzero(total > 0)
    moved = sparse.diags(1 / total[rows]) @ match[rows] @ values[1][:, which].astype(np.float64)
    own = values[0][rows][:, which].astype(np.float64)
    a, b = ((x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-12) for x in (own, np.asarray(moved)))
    return a.T @ b / max(len(rows), 1)


def of_links(tables: list[np.ndarray], seed: int) -> OfLinks:
    """From what `correlations` gave of each fold of links, by draws of other partners within a fold."""
    rng = np.random.default_rng(seed)
    own = np.concatenate([np.diag(t) for t in tables])
    draws = np.array(
        [
            np.concatenate([t[np.arange(len(t)), _derangement(len(t), rng)] for t in tables])
            for _ in range(N_DRAWS)
        ]
    )
    of_draws = draws.mean(axis=1)
    percentiles = (tuple(np.percentile(r, range(101)).round(4).tolist()) for r in (own, draws))
    return OfLinks(len(own), float(own.mean()), float(of_draws.mean()), float(of_draws.std()), *percentiles)


def _derangement(n: int, rng) -> np.ndarray:
    """A permutation of n that leaves none in its place, by a turn of a random order."""
    order = rng.permutation(n)
    turned = np.empty(n, dtype=int)
    turned[order] = np.roll(order, 1)
    return turned


@dataclass(frozen=True)
class OfLabels:
    """How far cells are matched with cells of the same label.

    Attributes
    ----------
    n_types
        Labels that both modalities have.
    kappa
        Cohen's kappa of the mass: 1, all on the same label; 0, as much as by chance.
    p
        Share of ways to exchange the names of one side that agree as well.
    """

    n_types: int
    kappa: float
    p: float

    @property
    def log_odds(self) -> float:
        """Of the matching being better than none."""
        return _clipped((self.kappa - KAPPA_EVEN) / KAPPA_SLOPE) if self.p <= SMALL_P else -CLIP

    def to_dict(self) -> dict:
        return asdict(self) | {"log_odds": self.log_odds}

    def in_words(self) -> str:
        return (
            f"matched cells have the same of {self.n_types} labels (kappa {self.kappa:.2f}; as well with "
            f"{'less than 0.1%' if self.p < 0.001 else f'{self.p:.1%}'} of the ways to exchange their names)"
        )


def of_labels(match: sparse.csr_matrix, labels, seed: int) -> OfLabels | None:
    """From labels that were not used in the matching; None where too few are shared to tell.

    Parameters
    ----------
    match
        (n_1, n_2).
    labels
        String arrays (n_1,), (n_2,), "" where none; or None.
    """
    if labels is None:
        return None
    counts = [dict(zip(*np.unique(side, return_counts=True), strict=True)) for side in labels]
    shared = [t for t, n in counts[0].items() if t and min(n, counts[1].get(t, 0)) >= FEWEST_CELLS]
    if len(shared) < FEWEST_TYPES:
        return None
    member = [
        sparse.csr_matrix((side[None, :] == np.array(shared)[:, None]).astype(float)) for side in labels
    ]
    mass = (member[0] @ match @ member[1].T).toarray()
    if mass.sum() == 0:
        return None
    own = _kappa(mass)
    renamed = [_kappa(mass[:, order]) for order in _renamings(len(shared), np.random.default_rng(seed))]
    p = (1 + sum(k >= own - 1e-12 for k in renamed)) / (1 + len(renamed))
    return OfLabels(len(shared), own, float(p))


def _renamings(n: int, rng) -> list[np.ndarray]:
    """All orders of n but the one they are in, or some of them."""
    if n <= MOST_RENAMED:
        return [np.array(order) for order in itertools.permutations(range(n))][1:]
    return [rng.permutation(n) for _ in range(N_RENAMED)]


def _kappa(mass: np.ndarray) -> float:
    mass = mass / mass.sum()
    chance = float(mass.sum(axis=1) @ mass.sum(axis=0))
    return float((np.trace(mass) - chance) / max(1 - chance, 1e-12))


def _clipped(log_odds: float) -> float:
    return max(-CLIP, min(CLIP, log_odds))


def probability(of: Iterable[OfLinks | OfLabels]) -> float:
    """That a matching is better than none, from all the evidence there is of it; even odds without any."""
    return 1 / (1 + math.exp(-_clipped(sum(one.log_odds for one in of))))
