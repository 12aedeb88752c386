"""The estimate from linked features: coordinates both modalities share, from links and known pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from jamie.linear import canonical
from jamie.linear.canonical import Moments
from jamie.matching import confidence as trust
from jamie.matching import linked
from jamie.matching.assignment import soft_match
from jamie.matching.problem import Estimate, Problem

MIN_JUDGED = 8  # known pairs from which leaving some out says something
WIDTHS = (30, 100, 400)  # components; left-out links choose
UNPAIRED_RIDGE, N_AXES = 1.0, 30
WORTH = (0.0, 20.0, 100.0)  # pairs that the links count as; left-out pairs choose
ROUNDS = 2  # of matching cells and fitting the coordinates anew; more drift away from the links
SELF = 1.0, 0.3  # what matches count in the next round, for links alone; for each open cell beside pairs
N_FOLDS = 3
N_REFINED = 5000  # cells of a modality that take part in the rounds


@dataclass(frozen=True)
class Setting:
    """Ridge of the canonical axes, and how many pairs the links count as."""

    ridge: float
    worth: float


def estimate(problem: Problem) -> Estimate:
    """See `jamie.matching.estimate`; the problem has linked values, and components ordered by variance."""
    unpaired = Setting(UNPAIRED_RIDGE, 1.0)
    widest = max(side.shape[1] for side in problem.x)
    widths = [w for w in WIDTHS if w < widest] + [min(widest, WIDTHS[-1])]
    found = {width: _left_out(_Sides.of(problem, width), problem, unpaired) for width in widths}
    width = max(widths, key=lambda w: found[w].r - found[w].r_random)
    sides, judged = _Sides.of(problem, width), found[width]
    if len(problem.pairs) >= MIN_JUDGED:
        setting, confidence, info = _by_pairs(sides, problem)
    else:
        setting, confidence = unpaired, judged.probability
        info = {"regime": "links", "parts": {"left_out_links": confidence}, "reason": judged.in_words()}
    links = {"n": judged.n_links, "r": judged.r, "r_random": judged.r_random, "z": judged.z}
    info |= {"links": links, "n_components": width, "components": {}, "notes": []}
    matrix, z = sides.match(problem, setting)
    return Estimate(matrix, round(confidence, 4), info, z)


@dataclass(frozen=True)
class _Sides:
    """Features (n_1, d_1), (n_2, d_2) of both modalities and their covariances."""

    features: list[np.ndarray]
    of_all: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, problem: Problem, width: int) -> _Sides:
        """Of the first ``width`` components."""
        features = [side[:, :width] - side[:, :width].mean(axis=0) for side in problem.x]
        return cls(features, tuple(canonical.covariance(f) for f in features))

    def given(self, problem: Problem, setting: Setting, known=None, links=slice(None)) -> Moments:
        """What known pairs and links (some of them) say."""
        known = problem.known if known is None else known
        parts = [Moments.of(known, *self.features)] if known.nnz else []
        if setting.worth or not parts:
            of_links = linked.moments(self.features, problem.linked, self.of_all, setting.ridge, links)
            parts.append(of_links.scaled(setting.worth or 1.0))
        return parts[0] if len(parts) == 1 else parts[0] + parts[1]

    def axes(self, moments: Moments, setting: Setting):
        return canonical.fit(moments, self.of_all, setting.ridge, N_AXES)

    def match(self, problem: Problem, setting: Setting, links=slice(None)):
        """F~ of all cells, and the coordinates it follows from."""
        given = self.given(problem, setting, links=links)
        n_open = min(problem.shape) - len(problem.pairs)
        own = SELF[1] * n_open if problem.known.nnz else SELF[0] * given.weight
        rng = np.random.default_rng(problem.seed)
        rows = [np.sort(rng.permutation(n)[:N_REFINED]) for n in problem.shape]
        some, of_some = problem.of(*rows), [f[r] for f, r in zip(self.features, rows, strict=True)]
        axes = self.axes(given, setting)
        for _ in range(ROUNDS):
            z = [axes.transform(f, i) for i, f in enumerate(of_some)]
            matrix = soft_match(z, some.k, known=some.known, groups=some.groups)
            axes = self.axes(given + Moments.of(matrix, *of_some).scaled(own), setting)
        z = tuple(axes.transform(f, i) for i, f in enumerate(self.features))
        return soft_match(z, problem.k, known=problem.known, groups=problem.groups), z


def _left_out(sides: _Sides, problem: Problem, setting: Setting) -> linked.Evidence:
    """Links left out in turn: are the partners of a cell's features high where the features are?"""
    n = len(problem.linked)
    fold = np.arange(n) * N_FOLDS // n  # neighbours on the genome, which share peaks, are left out together
    unpaired = replace(problem, known=sparse.csr_matrix(problem.shape, dtype=np.float32))
    tables = []
    for part in range(N_FOLDS):
        matrix, _ = sides.match(unpaired, setting, np.flatnonzero(fold != part))
        tables.append(linked.judge(matrix, problem.linked, np.flatnonzero(fold == part)))
    return linked.evidence(tables, problem.seed)


def _by_pairs(sides: _Sides, problem: Problem) -> tuple[Setting, float, dict]:
    """Ridge, and what the links are worth, by leaving known pairs out in turn."""
    pairs, seed = problem.pairs, problem.seed
    fold = np.random.default_rng(seed).permutation(len(pairs)) % min(N_FOLDS, len(pairs))
    settings = [Setting(ridge, worth) for ridge in canonical.RIDGES for worth in WORTH]
    found = {setting: [] for setting in settings}
    for part in np.unique(fold):
        shown = problem.known.tolil()
        shown[pairs[fold == part, 0], pairs[fold == part, 1]] = 0
        shown = shown.tocsr()
        for setting in settings:
            axes = sides.axes(sides.given(problem, setting, shown), setting)
            z = [axes.transform(f, i) for i, f in enumerate(sides.features)]
            found[setting].append(trust.recovery(z, pairs[fold == part], seed))
    found = {setting: np.concatenate(parts) for setting, parts in found.items()}
    best = min(settings, key=lambda setting: found[setting].mean())
    mean = found[best].mean()
    confidence = trust.from_recovery(found[best])
    reason = (
        f"{len(pairs)} known pairs were left out in turn: {mean:.0%} of the cells come before the "
        "true partner on average (chance: 50%)"
    )
    info = {
        "regime": "pairs",
        "left_out_foscttm": float(mean),
        "ridge": best.ridge,
        "worth": best.worth,
        "parts": {"left_out_pairs": confidence},
        "reason": reason,
    }
    return best, confidence, info
