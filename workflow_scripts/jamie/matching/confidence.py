"""How far an estimated correspondence can be trusted, without knowing the truth."""

from __future__ import annotations

import numpy as np

from jamie.matching.geometry import Geometry
from jamie.matching.landmarks import Solution, agreement, correlation, images, optimise

AGREES_FROM = 0.5  # agreement from which two matchings are taken for one
# Confidence from which an estimate is trusted. From geometry alone it must be higher: it measures whether
# matchings agree, and two geometries can also agree on a wrong one.
TRUSTED_FROM, TRUSTED_FROM_PAIRS = 0.6, 0.4
TEMPERATURE = 0.1  # an optimum this share costlier than the best counts 1/e
N_RECOVERY = 2000  # cells a left-out pair's partner is looked for among
N_PROBES = 5000


def of_restarts(weights: np.ndarray, solutions: list[Solution], first: Geometry, second: Geometry) -> float:
    """1 without a rival; towards 0 where an optimum unlike the best (the first) is nearly as good."""
    same = [max(0.0, agreement(s.plan, solutions[0].plan, first, second)) for s in solutions]
    return float(1 - np.max(weights * (1 - np.array(same))))


def of_graphs(solutions: list[Solution], first: Geometry, second: Geometry, fused=None) -> dict[str, float]:
    """For each neighbour graph alone: agreement of the optimum it prefers with the best of all graphs."""
    result = {}
    for name in first.layers.keys() & second.layers.keys():
        layer = first.layers[name], second.layers[name]
        own = [optimise(layer, first.mass, second.mass, s.plan, fused) for s in solutions[:3]]
        best = min(own, key=lambda s: s.cost)
        result[name] = max(0.0, agreement(best.plan, solutions[0].plan, first, second))
    return dict(sorted(result.items()))


def of_draws(plans, draws, n_features: tuple[int, int]) -> float:
    """Agreement of two draws of landmarks: correlation of where they send the same cells, 0-1.

    Parameters
    ----------
    plans
        The plan of each draw.
    draws
        For each draw, the geometries of both modalities.
    n_features
        Columns of the features that both draws share: the model input.
    """
    result = []
    for axis in (0, 1):
        width = n_features[1 - axis]
        where = [
            images(plan, *draw)[axis][draw[axis].cluster[:: _step(draw[axis])], :width]
            for plan, draw in zip(plans, draws, strict=True)
        ]
        result.append(correlation(*where, np.ones(len(where[0]))))
    return max(0.0, float(np.mean(result)))


def weigh(solutions: list[Solution], penalty: np.ndarray | float = 0.0) -> np.ndarray:
    """Weight of each optimum, the best 1: by its relative cost, and a penalty from known pairs."""
    costs = np.array([s.cost for s in solutions])
    score = (costs - costs.min()) / (TEMPERATURE * max(costs.min(), 1e-12)) + penalty
    return np.exp(-(score - score.min()))


def recovery(z, pairs: np.ndarray, seed: int) -> np.ndarray:
    """For each pair and direction: share of cells nearer than the true partner, 0 perfect, 0.5 chance.

    Parameters
    ----------
    z
        Shared coordinates (n_1, r), (n_2, r).
    pairs
        int (m, 2), left out of what ``z`` was fitted on.
    """
    from scipy.spatial.distance import cdist

    rng = np.random.default_rng(seed)
    result = []
    for axis in (0, 1):
        others = z[1 - axis]
        if len(others) > N_RECOVERY:
            others = others[rng.permutation(len(others))[:N_RECOVERY]]
        own, partner = z[axis][pairs[:, axis]], z[1 - axis][pairs[:, 1 - axis]]
        apart = np.linalg.norm(own - partner, axis=1)
        result.append((cdist(own, others) < apart[:, None] - 1e-6).mean(axis=1))
    return np.concatenate(result)


def from_recovery(fractions: np.ndarray) -> float:
    """1 where left-out pairs are found exactly, 0 at chance, one standard error on the careful side."""
    n_pairs = len(fractions) / 2
    error = fractions.std() / np.sqrt(max(n_pairs, 1))
    return float(np.clip(1 - 2 * (fractions.mean() + error), 0, 1))


def _step(geometry: Geometry) -> int:
    return max(1, len(geometry.cluster) // N_PROBES)
