"""UnionCom's matching of two geometries: every cell, by a primal-dual method. Exact, so for few cells."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jamie.data.correspondence import certain_pairs
from jamie.errors import InputError
from jamie.linear.neighbours import nearest
from jamie.matching.assignment import top
from jamie.matching.geometry import bridge, graph_of
from jamie.matching.landmarks import correlation
from jamie.matching.problem import Estimate, Problem

N_STEPS = 2000
PENALTY = 1.0  # rho, on the constraints
STEP = 1.0  # in units of a step that is safe
ROW_SUMS = 0.1, 1.5  # mean of the row sums, which should be 1: below, F~ collapsed; above, it diverged


def estimate(problem: Problem) -> Estimate:
    """F~ of all cells, dense inside; confidence is the agreement of starts and graphs, 0 after a collapse.

    Geodesics are those of the first of the problem's neighbour graphs; the last is asked whether it agrees.

    Raises
    ------
    InputError
        More than ``max_cells`` cells in a modality.
    """
    x, known, neighbours = problem.x, problem.known, problem.neighbours
    if max(problem.shape) > problem.max_cells:
        raise InputError(
            "`method: unioncom` is meant for few cells",
            expected=f"at most {problem.max_cells} training cells in each modality",
            found=f"{len(x[0])} and {len(x[1])}",
            change="`estimate: method: landmarks`, or `estimate: max_cells`",
        )
    shapes = {size: [_geodesics(side, size) for side in x] for size in neighbours}
    components = {
        f"modality {i + 1}": {f"k={size}": shapes[size][i][1][:10] for size in neighbours} for i in (0, 1)
    }
    notes = [
        f"the graph of {size} neighbours of modality {i + 1} has {len(shapes[size][i][1])} unconnected parts"
        for size in neighbours
        for i in (0, 1)
        if len(shapes[size][i][1]) > 1
    ]
    geodesics = [distance for distance, _ in shapes[neighbours[0]]]
    allowed = _allowed(problem)
    rng = np.random.default_rng(problem.seed)
    f = _solve(geodesics, allowed, known, rng)
    row_sum = float(f.sum() / min(f.shape))
    info = {"regime": "unioncom", "components": components, "notes": notes, "mean_row_sum": row_sum}
    if not ROW_SUMS[0] < row_sum < ROW_SUMS[1]:
        what = "collapsed to zero" if row_sum <= ROW_SUMS[0] else "diverged"
        reason = f"the primal-dual method {what}: rows of F~ sum to {row_sum:.3f} on average instead of 1"
        info |= {"collapsed": True, "parts": {"restarts": 0.0}, "reason": reason}
        return Estimate(_certain(known), 0.0, info)
    parts = {"restarts": _agreement(f, _solve(geodesics, allowed, known, rng, noise=3.0), geodesics)}
    if len(neighbours) > 1:
        others = [distance for distance, _ in shapes[neighbours[-1]]]
        parts["graphs"] = _agreement(f, _solve(others, allowed, known, rng), geodesics)
    reason = "agreement of " + ", ".join(f"{name} {value:.2f}" for name, value in parts.items())
    info |= {"collapsed": False, "parts": parts, "reason": reason}
    return Estimate(_sparse(f, known, problem.k), round(float(np.prod(list(parts.values()))), 4), info)


def match(x, *, seed: int, neighbours: int = 10, k: int = 10, device: str = "auto") -> sparse.csr_matrix:
    """F~ of one run from geometry alone, without the other runs that `estimate` judges it by.

    Parameters
    ----------
    x
        Pair of float (n_1, p), (n_2, q).

    Raises
    ------
    ArithmeticError
        F~ collapsed to zero or diverged.
    """
    shape = tuple(map(len, x))
    none = sparse.csr_matrix(shape, dtype=np.float32)
    geodesics = [_geodesics(side, neighbours)[0] for side in x]
    f = _solve(geodesics, np.ones(shape, dtype=bool), none, np.random.default_rng(seed), device=device)
    row_sum = f.sum() / min(shape)
    if not ROW_SUMS[0] < row_sum < ROW_SUMS[1]:
        raise ArithmeticError(
            f"UnionCom's matching failed: rows sum to {row_sum:.3f} on average instead of 1"
        )
    return _sparse(f, none, k)


def primal_dual(
    a: np.ndarray, b: np.ndarray, start: np.ndarray, allowed, n_steps: int = N_STEPS, device: str = "auto"
) -> np.ndarray:
    """Minimise ||a - f b f'||^2 over f >= 0 (n, m), n <= m, with rows that sum to 1 and columns to at most 1.

    Gradient steps on the augmented Lagrangian in f and in the slack of the columns, gradient ascent in the
    multipliers. ``allowed`` (n, m) bool keeps entries at 0.

    Source: Cao, Bai, Hong, Wan, Bioinformatics 36, i48-i56 (2020), eq. 3-7.
    """
    import torch

    from jamie.device import choose_device

    n, m = start.shape
    rate = STEP / (12 * np.linalg.norm(a, 2) * np.linalg.norm(b, 2) / max(n, m) + PENALTY * (n + m))
    device = choose_device(device)
    a, b, f = (torch.as_tensor(v, dtype=torch.float32, device=device) for v in (a, b, start))
    allowed = torch.as_tensor(np.asarray(allowed), device=device)
    f = f * allowed
    slack = (1 - f.sum(0)).clamp(min=0)
    rows, cols = torch.zeros_like(f[:, 0]), torch.zeros_like(f[0])
    for _ in range(n_steps):
        row_gap, col_gap = f.sum(1) - 1, f.sum(0) + slack - 1
        half = f @ b
        gradient = 4 * ((half @ f.T - a) @ half) / max(n, m)
        gradient += (rows + PENALTY * row_gap)[:, None] + (cols + PENALTY * col_gap)[None]
        f = (f - rate * gradient).clamp_(min=0) * allowed
        slack = (slack - rate * (cols + PENALTY * col_gap)).clamp(min=0)
        rows += rate * PENALTY * (f.sum(1) - 1)
        cols += rate * PENALTY * (f.sum(0) + slack - 1)
    return f.cpu().numpy()


def _solve(geodesics, allowed, known, rng, noise: float = 0.1, device: str = "auto") -> np.ndarray:
    """Dense F~ (n_1, n_2) from an even start with priors and noise; the smaller modality's rows sum to 1."""
    a, b = geodesics
    start = np.exp(noise * rng.standard_normal(allowed.shape))
    start = start / start.mean() / max(allowed.shape) + known.toarray()
    if len(a) > len(b):
        return primal_dual(b, a, start.T, allowed.T, device=device).T
    return primal_dual(a, b, start, allowed, device=device)


def _geodesics(x: np.ndarray, size: int) -> tuple[np.ndarray, list[int]]:
    """float (n, n), at most 1, and the sizes of the graph's parts before they are bridged."""
    from scipy.sparse.csgraph import dijkstra

    graph, sizes = bridge(graph_of(*nearest(x, x, size + 1), "length"), x)
    distance = dijkstra(graph, directed=False)
    return distance / distance.max(), sizes


def _allowed(problem: Problem) -> np.ndarray:
    """bool (n_1, n_2): where F~ may be above 0."""
    allowed = np.ones(problem.shape, dtype=bool)
    if problem.groups is not None:
        first, second = problem.groups
        allowed &= (first[:, None] == second[None]) | (first == "")[:, None] | (second == "")[None]
    rows, cols = problem.pairs.T
    allowed[rows], allowed[:, cols] = False, False
    allowed[rows, cols] = True
    return allowed


def _certain(known) -> sparse.csr_matrix:
    pairs = certain_pairs(known)
    return sparse.csr_matrix((np.ones(len(pairs), np.float32), (pairs[:, 0], pairs[:, 1])), known.shape)


def _sparse(f: np.ndarray, known, k: int) -> sparse.csr_matrix:
    """Top entries of each row; rows sum to 1 at most and certain pairs are exactly 1."""
    f = f / np.maximum(f.sum(axis=1, keepdims=True), 1)
    pairs = certain_pairs(known)
    f[pairs[:, 0]] = 0
    return top(sparse.csr_matrix(f), k) + _certain(known)


def _agreement(f: np.ndarray, other: np.ndarray, geodesics) -> float:
    """Correlation of the geodesic distances from where two results send the cells of the first modality."""
    where = [g @ geodesics[1] / np.maximum(g.sum(axis=1, keepdims=True), 1e-12) for g in (f, other)]
    return max(0.0, correlation(*where, np.ones(len(f))))
