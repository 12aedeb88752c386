"""The estimate from linked features: coordinates both modalities share, from links and known pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from jamie.data.correspondence import without_pairs
from jamie.linear import canonical
from jamie.linear.canonical import Axes, Moments
from jamie.matching import confidence as trust
from jamie.matching import evidence, linked
from jamie.matching.assignment import soft_match, told_apart
from jamie.matching.problem import Chosen, Estimate, Problem

MIN_JUDGED = 8  # known pairs from which leaving some out says something
WIDTHS = (30, 100, 400)  # components; left-out links choose
N_AXES = 30
WORTH = (0.0, 20.0, 100.0)  # pairs that the links count as; left-out pairs choose
ROUNDS = 2  # of matching cells and fitting the coordinates anew; more drift away from the links
REACH = (120, 240)  # cells that each is matched with in the rounds, where not as in F~; left-out links choose
FEWEST_BEYOND = 2  # so many times as many cells there have to be
SELF = 1.0, 0.3  # what matches count in the next round, of the links' worth; of each open cell beside pairs
N_FOLDS = 3
N_JUDGED = 2000  # pairs left out at a time that are looked for
N_REFINED = 5000  # cells of a modality that tell of links and take part in the rounds


@dataclass(frozen=True)
class Setting:
    """Ridge of the canonical axes, and how many pairs the links count as."""

    ridge: float
    worth: float


UNPAIRED = Setting(ridge=1.0, worth=20.0)


def estimate(problem: Problem) -> Estimate:
    """See `jamie.matching.estimate`; the problem has linked features, and components ordered by variance."""
    drawn = Drawn.of(problem)
    chosen = problem.chosen or _by_left_out_links(drawn)
    drawn, judged = replace(drawn.wide(chosen.n_components), reach=chosen.reach), chosen.of_links
    if len(problem.pairs) >= MIN_JUDGED:
        setting, confidence, info = _by_pairs(drawn)
    else:
        setting, confidence = UNPAIRED, evidence.probability([judged])
        info = {"regime": "links", "parts": {"left_out_links": confidence}, "reason": judged.in_words()}
    info |= {"n_components": chosen.n_components, "reach": chosen.reach, "components": {}, "notes": []}
    of_pairs = Moments.of(problem.known, *drawn.features) if problem.known.nnz else None
    given = _given(of_pairs, _of_links(drawn, setting.ridge), setting.worth)
    axes = _refined(drawn, setting, given, drawn.some.known)
    z = drawn.transform(axes, drawn.features)
    matrix = soft_match(z, problem.k, known=problem.known, groups=problem.groups)
    matrix = _believed(matrix, z, drawn.project(axes, drawn.features), problem.known, problem.k)
    return Estimate(matrix, round(confidence, 4), info, z, chosen)


@dataclass(frozen=True)
class Drawn:
    """A problem, and cells drawn of it that tell of links and are matched in the rounds.

    Attributes
    ----------
    problem
        Of all cells.
    some
        Of those drawn, at most N_REFINED of a modality.
    values
        float32 (m_1, L), (m_2, L): of the linked features of those drawn.
    reach
        Cells that each is matched with in the rounds.
    features, of_some
        (n_1, d_1), (n_2, d_2) and (m_1, d_1), (m_2, d_2): the first components, of mean 0 over all cells.
    of_all
        Their covariances over all cells.
    """

    problem: Problem
    rows: tuple[np.ndarray, np.ndarray]
    some: Problem
    values: tuple[np.ndarray, np.ndarray]
    reach: int
    features: tuple[np.ndarray, ...] = ()
    of_some: tuple[np.ndarray, ...] = ()
    of_all: tuple[np.ndarray, ...] = ()

    @classmethod
    def of(cls, problem: Problem) -> Drawn:
        rng = np.random.default_rng(problem.seed)
        rows = tuple(np.sort(rng.permutation(n)[:N_REFINED]) for n in problem.shape)
        some = problem.of(*rows)
        return cls(problem, rows, some, some.linked.values(), problem.k)

    def wide(self, width: int) -> Drawn:
        """The same with so many components."""
        features = tuple(side[:, :width] - side[:, :width].mean(axis=0) for side in self.problem.x)
        of_some = tuple(f[i] for f, i in zip(features, self.rows, strict=True))
        of_all = tuple(map(canonical.covariance, features))
        return replace(self, features=features, of_some=of_some, of_all=of_all)

    def project(self, axes: Axes, features) -> tuple[np.ndarray, np.ndarray]:
        return tuple(axes.project(f, i) for i, f in enumerate(features))

    def transform(self, axes: Axes, features) -> tuple[np.ndarray, np.ndarray]:
        return tuple(axes.transform(f, i) for i, f in enumerate(features))


def _of_links(drawn: Drawn, ridge: float, which=slice(None)) -> Moments:
    """What links, some of them, say."""
    return linked.moments(drawn.of_some, drawn.values, drawn.of_all, ridge, which)


def _given(of_pairs: Moments | None, of_links: Moments, worth: float) -> Moments:
    """What known pairs and links say together; without pairs, the links alone."""
    if of_pairs is None:
        return of_links.scaled(worth or UNPAIRED.worth)
    return of_pairs + of_links.scaled(worth) if worth else of_pairs


def _refined(drawn: Drawn, setting: Setting, given: Moments, known) -> Axes:
    """Shared axes from what is given, and from matches of the cells drawn; ``known`` (m_1, m_2) of these."""
    some, paired = drawn.some, len(drawn.problem.pairs) >= MIN_JUDGED and known.nnz
    n_open = min(drawn.problem.shape) - len(drawn.problem.pairs)
    own = SELF[1] * n_open if paired else SELF[0] * given.weight
    axes = canonical.fit(given, drawn.of_all, setting.ridge, N_AXES)
    for _ in range(ROUNDS):
        z = drawn.transform(axes, drawn.of_some)
        matrix = soft_match(z, drawn.reach, known=known, groups=some.groups)
        moments = given + Moments.of(matrix, *drawn.of_some).scaled(own)
        axes = canonical.fit(moments, drawn.of_all, setting.ridge, N_AXES)
    return axes


def _believed(matrix, z, sizes, known, k: int) -> sparse.csr_matrix:
    """A matching whose rows are worth as much as they are to be believed; those with known values all."""
    matrix = sparse.csr_matrix(matrix)
    share = told_apart(matrix, z, sizes, k).astype(np.float32)
    share[np.asarray(known.sum(axis=1)).ravel() > 0] = 1
    return sparse.csr_matrix(sparse.diags(share) @ matrix)


def _by_left_out_links(drawn: Drawn) -> Chosen:
    """Components first, then how many cells each is matched with in the rounds."""
    widest = max(side.shape[1] for side in drawn.problem.x)
    widths = [w for w in WIDTHS if w < widest] + [min(widest, WIDTHS[-1])]
    found = {width: _left_out_links(drawn.wide(width)) for width in widths}
    width = max(widths, key=lambda w: found[w].stands_out)
    drawn, k = drawn.wide(width), drawn.problem.k
    wider = [more for more in REACH if k < more <= min(drawn.some.shape) // FEWEST_BEYOND]
    found = {k: found[width]} | {more: _left_out_links(replace(drawn, reach=more)) for more in wider}
    reach = max(found, key=lambda k: found[k].stands_out)
    return Chosen(width, reach, found[reach])


def _left_out_links(drawn: Drawn) -> evidence.OfLinks:
    """Links left out in turn: are the partners of a cell's features high where the features are?"""
    n = len(drawn.some.linked)
    fold = np.arange(n) * N_FOLDS // n  # neighbours on the genome, which share peaks, are left out together
    nobody = sparse.csr_matrix(drawn.some.shape, dtype=np.float32)
    tables = []
    for part in range(N_FOLDS):
        of_links = _of_links(drawn, UNPAIRED.ridge, np.flatnonzero(fold != part))
        given = _given(None, of_links, UNPAIRED.worth)
        z = drawn.transform(_refined(drawn, UNPAIRED, given, nobody), drawn.of_some)
        matrix = soft_match(z, drawn.some.k, groups=drawn.some.groups)
        tables.append(evidence.correlations(matrix, drawn.values, np.flatnonzero(fold == part)))
    return evidence.of_links(tables, drawn.problem.seed)


def _by_pairs(drawn: Drawn) -> tuple[Setting, float, dict]:
    """Ridge, and what the links are worth, by leaving known pairs out in turn."""
    problem = drawn.problem
    pairs, seed = problem.pairs, problem.seed
    place = np.random.default_rng(seed).permutation(len(pairs))
    pairs, fold = pairs[np.argsort(place)], np.arange(len(pairs)) % N_FOLDS
    settings = [Setting(ridge, worth) for ridge in canonical.RIDGES for worth in WORTH]
    found = {setting: [] for setting in settings}
    of_links = {ridge: _of_links(drawn, ridge) for ridge in canonical.RIDGES}
    for part in range(N_FOLDS):
        left_out = pairs[fold == part]
        shown = without_pairs(problem.known, left_out)
        of_pairs = Moments.of(shown, *drawn.features) if shown.nnz else None
        for setting in settings:
            given = _given(of_pairs, of_links[setting.ridge], setting.worth)
            axes = canonical.fit(given, drawn.of_all, setting.ridge, N_AXES)
            z = drawn.transform(axes, drawn.features)
            found[setting].append(trust.recovery(z, left_out[:N_JUDGED], seed))
    found = {setting: np.concatenate(parts) for setting, parts in found.items()}
    best = min(settings, key=lambda setting: found[setting].mean())
    mean, confidence = float(found[best].mean()), trust.from_recovery(found[best])
    reason = (
        f"{len(pairs):,} known pairs were left out in turn: {mean:.0%} of the cells come before the "
        "true partner on average (chance: 50%)"
    )
    info = {"regime": "pairs", "left_out_foscttm": mean, "ridge": best.ridge, "worth": best.worth}
    return best, confidence, info | {"parts": {"left_out_pairs": confidence}, "reason": reason}
