"""The default estimate: landmarks matched by geometry, known pairs, then coordinates all cells share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamie.linear import canonical
from jamie.linear.canonical import Moments
from jamie.matching import confidence as trust
from jamie.matching import landmarks
from jamie.matching.assignment import soft_match
from jamie.matching.geometry import Geometry, measure
from jamie.matching.problem import Estimate, Problem

MIN_JUDGED = 8  # known pairs from which leaving some out says something
GEOMETRY_BELOW = 100  # known pairs from which the matching of landmarks adds nothing
WORTH = (0.0, 20.0)  # pairs that the matching of landmarks counts as; left-out pairs choose
ROUNDS = 3  # of matching cells and fitting the shared coordinates anew
SELF = 0.3, 1.0  # what an estimated match counts in the next round against a pair given; where none is known
UNPAIRED_RIDGE, UNPAIRED_AXES = 3.0, 6
N_FOLDS = 5
N_REFINED = 5000  # cells of a modality that take part in the rounds


def estimate(problem: Problem) -> Estimate:
    """See `jamie.matching.estimate`; cells are in an order of their own."""
    geometries = [_geometries(problem, problem.seed)]
    info = {"components": _components(geometries[0]), "notes": _notes(geometries[0])}
    match = None
    if len(problem.pairs) < GEOMETRY_BELOW:
        geometries.append(_geometries(problem, problem.seed + 1))
        match = _match_landmarks(geometries, problem)
        info["optima"] = [
            {"cost": round(s.cost, 5), "weight": round(float(w), 4)}
            for s, w in zip(match.draws[0].solutions, match.draws[0].weights(), strict=True)
        ]
    features = [g.features for g in geometries[0]]
    of_all = tuple(canonical.covariance(f) for f in features)
    if len(problem.pairs) >= MIN_JUDGED:
        choice = _choose(features, of_all, problem, match)
    else:
        choice = _by_geometry(match)
    matrix, z = _refine(features, of_all, problem, match, choice)
    info |= choice.info | {"parts": choice.parts, "reason": choice.reason}
    return Estimate(matrix, round(choice.confidence, 4), info, z)


@dataclass
class Draw:
    """One draw of landmarks, matched by geometry.

    Attributes
    ----------
    geometries
        Of both modalities.
    solutions
        Different optima, in the order of their cost.
    misses
        float (n_solutions, n_pairs): how far from its partner each optimum sends a known pair, 0-1; 0.5 is
        chance.
    moments
        What each optimum says about shared coordinates.
    fused
        float (L_1, L_2): cost of matching landmarks of unlike groups, or None.
    """

    geometries: tuple[Geometry, Geometry]
    solutions: list[landmarks.Solution]
    misses: np.ndarray
    moments: list[Moments]
    fused: np.ndarray | None

    def weights(self, pairs=slice(None)) -> np.ndarray:
        """Weight of each optimum given some of the known pairs (positions); the best has 1."""
        return trust.weigh(self.solutions, 2 * self.misses[:, pairs].sum(axis=1))


@dataclass
class Match:
    """Two draws of landmarks, matched by geometry; the model input has ``n_features`` columns."""

    draws: tuple[Draw, Draw]
    n_features: tuple[int, int]

    def best(self, pairs=slice(None)) -> Moments:
        """What the best optimum says, together with that of the second draw where it agrees."""
        first, second = (int(draw.weights(pairs).argmax()) for draw in self.draws)
        moments = self.draws[0].moments[first].scaled(1)
        if self._agreement(first, second) >= trust.AGREES_FROM:
            moments = moments + self.draws[1].moments[second].scaled(1)
        return moments

    def parts(self) -> dict[str, float]:
        """Of the confidence: how far other optima, graphs and landmarks agree with the best matching."""
        ranked, restarts, graphs = [], [], []
        for draw in self.draws:
            order = np.argsort(-draw.weights(), kind="stable")
            solutions = [draw.solutions[i] for i in order]
            ranked.append(int(order[0]))
            restarts.append(trust.of_restarts(draw.weights()[order], solutions, *draw.geometries))
            by_graph = trust.of_graphs(solutions, *draw.geometries, fused=draw.fused)
            graphs.append(np.mean(list(by_graph.values())))
        return {
            "restarts": float(np.mean(restarts)),
            "graphs": float(np.mean(graphs)),
            "landmarks": self._agreement(*ranked),
        }

    def _agreement(self, first: int, second: int) -> float:
        plans = self.draws[0].solutions[first].plan, self.draws[1].solutions[second].plan
        return trust.of_draws(plans, [draw.geometries for draw in self.draws], self.n_features)


def _match_landmarks(geometries, problem: Problem) -> Match:
    features = [g.features for g in geometries[0]]
    fused = [_group_cost(pair, problem.groups) for pair in geometries]
    draws = []
    for i, (pair, cost) in enumerate(zip(geometries, fused, strict=True)):
        solutions = landmarks.solve(*pair, restarts=problem.restarts, seed=problem.seed + i, fused=cost)
        centres = [g.means(f) for g, f in zip(pair, features, strict=True)]
        misses = np.array([_misses(s.plan, pair, problem.pairs) for s in solutions]).reshape(
            len(solutions), -1
        )
        draws.append(Draw(pair, solutions, misses, [Moments.of(s.plan, *centres) for s in solutions], cost))
    return Match(tuple(draws), tuple(side.shape[1] for side in problem.x))


def _misses(plan, draw, pairs) -> np.ndarray:
    """float (n_pairs,): mean geodesic rank between where a plan sends a cell's landmark and its partner's."""
    if len(pairs) == 0:
        return np.zeros(0)
    i, j = draw[0].cluster[pairs[:, 0]], draw[1].cluster[pairs[:, 1]]
    there = (plan / plan.sum(axis=1, keepdims=True)) @ draw[1].distances
    back = (plan / plan.sum(axis=0)).T @ draw[0].distances
    return (there[i, j] + back[j, i]) / 2


def _group_cost(draw, groups):
    """float (L_1, L_2): 0 where the cells of two landmarks are of the same groups, 1 if they share none."""
    if groups is None:
        return None
    names = np.union1d(*groups)
    names = names[names != ""]
    shares = []
    for geometry, labels in zip(draw, groups, strict=True):
        member = np.zeros((len(geometry.mass), len(names)))
        known = labels != ""
        np.add.at(member, (geometry.cluster[known], np.searchsorted(names, labels[known])), 1)
        shares.append(member / np.maximum(member.sum(axis=1, keepdims=True), 1))
    return 1 - np.minimum(shares[0][:, None], shares[1][None]).sum(axis=2)


@dataclass
class Choice:
    """Settings of the shared coordinates, and how far to trust what they lead to.

    Attributes
    ----------
    ridge, n_axes
        Of the canonical correlation.
    worth
        Pairs that the matching of landmarks counts as.
    confidence, parts, reason, info
        As of `Estimate`.
    """

    ridge: float
    worth: float
    n_axes: int
    confidence: float
    parts: dict[str, float]
    reason: str
    info: dict


def _by_geometry(match: Match) -> Choice:
    """Without the pairs to judge by: fixed settings, trusted as far as matchings agree."""
    parts = match.parts()
    confidence, reason = _verdict(parts)
    return Choice(UNPAIRED_RIDGE, WORTH[-1], UNPAIRED_AXES, confidence, parts, reason, {"regime": "geometry"})


def _choose(features, of_all, problem: Problem, match: Match | None) -> Choice:
    """Ridge, and what the matching of landmarks is worth, by leaving known pairs out in turn."""
    known, pairs, seed = problem.known, problem.pairs, problem.seed
    fold = np.random.default_rng(seed).permutation(len(pairs)) % min(N_FOLDS, len(pairs))
    settings = [(r, w) for r in canonical.RIDGES for w in (WORTH if match else WORTH[:1])]
    found = {setting: [] for setting in settings}
    for part in np.unique(fold):
        shown = known.tolil()
        shown[pairs[fold == part, 0], pairs[fold == part, 1]] = 0
        of_known = Moments.of(shown.tocsr(), *features)
        for ridge, worth in settings:
            moments = of_known
            if worth:
                moments = moments + match.best(fold != part).scaled(worth)
            axes = canonical.fit(moments, of_all, ridge)
            z = [axes.transform(f, i) for i, f in enumerate(features)]
            found[ridge, worth].append(trust.recovery(z, pairs[fold == part], seed))
    found = {setting: np.concatenate(parts) for setting, parts in found.items()}
    ridge, worth = min(settings, key=lambda setting: found[setting].mean())
    best = found[ridge, worth]
    confidence = trust.from_recovery(best)
    reason = (
        f"{len(pairs):,} known pairs were left out in turn: {best.mean():.0%} of the cells come before the "
        "true partner on average (chance: 50%)"
    )
    info = {"regime": "pairs", "left_out_foscttm": float(best.mean()), "ridge": ridge, "worth": worth}
    return Choice(ridge, worth, canonical.N_AXES, confidence, {"left_out_pairs": confidence}, reason, info)


def _refine(features, of_all, problem: Problem, match: Match | None, choice: Choice):
    """F~ of all cells and the shared coordinates it follows from.

    In each round the matches of the one before help to fit the coordinates.
    """
    known, ridge, n_axes = problem.known, choice.ridge, choice.n_axes
    given = Moments.of(known, *features) if known.nnz else None
    if match is not None and choice.worth:
        of_landmarks = match.best().scaled(choice.worth)
        given = of_landmarks if given is None else given + of_landmarks
    n_open = min(problem.shape) - len(problem.pairs)
    own_weight = SELF[0] * n_open if known.nnz else SELF[1] * given.weight
    rng = np.random.default_rng(problem.seed)
    rows = [np.sort(rng.permutation(n)[:N_REFINED]) for n in problem.shape]
    of_some = [f[r] for f, r in zip(features, rows, strict=True)]
    some = problem.of(*rows)
    axes = canonical.fit(given, of_all, ridge, n_axes)
    for _ in range(ROUNDS):
        z = [axes.transform(f, i) for i, f in enumerate(of_some)]
        matrix = soft_match(z, some.k, known=some.known, groups=some.groups)
        axes = canonical.fit(given + Moments.of(matrix, *of_some).scaled(own_weight), of_all, ridge, n_axes)
    z = tuple(axes.transform(f, i) for i, f in enumerate(features))
    return soft_match(z, problem.k, known=known, groups=problem.groups), z


def _verdict(parts: dict[str, float]) -> tuple[float, str]:
    """The confidence is the product of its parts, the reason names the weakest."""
    words = {
        "restarts": "quite another matching fits the two geometries almost as well",
        "graphs": "the neighbour graphs prefer different matchings",
        "landmarks": "another draw of landmarks gives another matching",
    }
    confidence = float(np.prod(list(parts.values())))
    if confidence >= trust.TRUSTED_FROM:
        return confidence, "restarts, neighbour graphs and draws of landmarks agree on one matching"
    return confidence, f"geometry alone is ambiguous here: {words[min(parts, key=parts.get)]}"


def _geometries(problem: Problem, seed: int) -> tuple[Geometry, Geometry]:
    options = {"neighbours": problem.neighbours, "n_landmarks": problem.n_landmarks}
    damped = len(problem.pairs) < MIN_JUDGED
    return tuple(measure(side, seed=seed, damped_features=damped, **options) for side in problem.x)


def _components(draw) -> dict:
    return {
        f"modality {i}": {f"k={k}": sizes[:10] for k, sizes in g.components.items()}
        for i, g in enumerate(draw, start=1)
    }


def _notes(draw) -> list[str]:
    """One sentence for every neighbour graph that falls into parts."""
    return [
        f"the graph of {k} neighbours of modality {i} has {len(sizes)} unconnected parts "
        f"(of {', '.join(map(str, sizes[:5]))}{' ...' if len(sizes) > 5 else ''} cells), "
        "bridged where they are closest"
        for i, g in enumerate(draw, start=1)
        for k, sizes in g.components.items()
        if len(sizes) > 1
    ]
