"""Soft matching of the landmarks of two modalities: (fused) entropic Gromov-Wasserstein from many starts."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from jamie.matching.geometry import Geometry

EPSILON = 2e-2  # entropy, where distances are ranks in (0, 1]
N_ITERATIONS = 30
N_SCALINGS = 20  # of each iteration, going on from those of the one before
N_SIGNS = 3  # principal axes whose signs are tried
SAME = 0.95  # agreement from which two optima count as one


@dataclass
class Solution:
    """A local optimum.

    Attributes
    ----------
    plan
        float (L_1, L_2), soft matching of landmarks; sums to 1.
    cost
        Gromov-Wasserstein distortion, plus the fused cost.
    """

    plan: np.ndarray
    cost: float


def solve(first: Geometry, second: Geometry, *, restarts: int, seed: int, fused=None) -> list[Solution]:
    """The different local optima that ``restarts`` starts lead to, the best first.

    Starts are the matchings along the principal axes of the two geometries under every choice of signs (the
    ambiguity a geometry has most often), no preference at all, and random ones.

    Parameters
    ----------
    fused
        float (L_1, L_2): what matching two landmarks costs beside the distortion, 0-1; None: nothing.

    Source: Peyre, Cuturi, Solomon, ICML 2016; Vayer et al., Algorithms 13, 212 (2020); solver of POT.
    """
    distances = first.distances, second.distances
    found = []
    for start in _starts(first, second, restarts, np.random.default_rng(seed)):
        found.append(optimise(distances, first.mass, second.mass, start, fused))
    found.sort(key=lambda s: s.cost)
    different: list[Solution] = []
    for solution in found:
        if all(agreement(solution.plan, other.plan, first, second) < SAME for other in different):
            different.append(solution)
    return different


def optimise(distances, p, q, start, fused=None) -> Solution:
    """The local optimum that a start (L_1, L_2) leads to."""
    import ot
    from threadpoolctl import threadpool_limits

    options = {
        "epsilon": EPSILON,
        "G0": start,
        "max_iter": N_ITERATIONS,
        "tol": 1e-4,
        "numItermax": N_SCALINGS,
        "warmstart": True,
    }
    a, b = distances
    with threadpool_limits(1):  # products this small only wait for each other on several threads
        if fused is None:
            plan = ot.gromov.entropic_gromov_wasserstein(a, b, p, q, "square_loss", warn=False, **options)
        else:
            plan = ot.gromov.entropic_fused_gromov_wasserstein(
                fused, a, b, p, q, alpha=0.5, warn=False, **options
            )
    plan = plan / plan.sum()
    return Solution(plan, cost(distances, plan, fused))


def cost(distances, plan: np.ndarray, fused=None) -> float:
    """Mean squared difference of distances under a plan, plus the fused cost.

    sum_ijkl (a_ik - b_jl)^2 plan_ij plan_kl, expanded so that it needs matrix products only.
    """
    a, b = distances
    p, q = plan.sum(axis=1), plan.sum(axis=0)
    value = p @ (a**2) @ p + q @ (b**2) @ q - 2 * np.sum((a @ plan @ b) * plan)
    return float(value + (0.0 if fused is None else np.sum(fused * plan)))


def images(plan: np.ndarray, first: Geometry, second: Geometry) -> tuple[np.ndarray, np.ndarray]:
    """Where the landmarks of each modality come to lie in the other: mean features (L_1, d_2), (L_2, d_1)."""
    p, q = plan.sum(axis=1, keepdims=True), plan.sum(axis=0)[:, None]
    there = plan @ second.means(second.features) / np.maximum(p, 1e-12)
    back = plan.T @ first.means(first.features) / np.maximum(q, 1e-12)
    return there, back


def agreement(plan, other, first: Geometry, second: Geometry) -> float:
    """How alike two plans are: correlation of where they send landmarks, mean of both directions, -1 to 1."""
    pairs = zip(images(plan, first, second), images(other, first, second), strict=True)
    masses = first.mass, second.mass
    return float(np.mean([correlation(a, b, w) for (a, b), w in zip(pairs, masses, strict=True)]))


def correlation(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> float:
    """Correlation of positions (n, d) over all axes at once, cells weighted by ``weight`` (n,)."""
    weight = weight / weight.sum()
    a, b = a - weight @ a, b - weight @ b
    size = np.sqrt((weight @ a**2).sum() * (weight @ b**2).sum())
    return float((weight @ (a * b)).sum() / max(size, 1e-12))


def _starts(first: Geometry, second: Geometry, restarts: int, rng) -> list[np.ndarray]:
    outer = np.outer(first.mass, second.mass)
    axes = [_axes(g) for g in (first, second)]
    n_axes = min(a.shape[1] for a in axes)
    starts = []
    for signs in itertools.product((1, -1), repeat=n_axes):
        near = ((axes[0][:, None, :n_axes] * signs - axes[1][None, :, :n_axes]) ** 2).sum(axis=2)
        starts.append(np.exp(-2 * near))
    starts.append(np.ones_like(outer))
    starts += [np.exp(3 * rng.standard_normal(outer.shape)) for _ in range(max(0, restarts - len(starts)))]
    return [_balanced(start, first.mass, second.mass) for start in starts[:restarts]]


def _axes(geometry: Geometry) -> np.ndarray:
    """Ranks (L, N_SIGNS), -1 to 1, of the landmarks along the principal axes of their distances."""
    from scipy.stats import rankdata

    d, p = geometry.distances, geometry.mass
    centred = d - (d @ p)[:, None]
    centred = centred - p @ centred
    u, s, _ = np.linalg.svd(centred * np.sqrt(p)[:, None], full_matrices=False)
    n_axes = min(N_SIGNS, len(s))
    return np.column_stack([2 * rankdata(u[:, i] / np.sqrt(p)) / len(p) - 1 for i in range(n_axes)])


def _balanced(start: np.ndarray, p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """A start scaled towards the masses (L_1,) and (L_2,)."""
    for _ in range(20):
        start = start * (p / start.sum(axis=1))[:, None]
        start = start * (q / start.sum(axis=0))
    return start
