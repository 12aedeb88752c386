"""F~: estimate from two modalities' geometry and the known pairs which cells may be the same."""

from __future__ import annotations

import logging

import numpy as np
from scipy import sparse

from jamie.data.linked import FEWEST
from jamie.matching import evidence
from jamie.matching.confidence import TRUSTED_FROM, TRUSTED_FROM_PAIRS
from jamie.matching.linked import LinkedFeatures
from jamie.matching.problem import Chosen, Estimate, Problem

log = logging.getLogger(__name__)

METHODS = ("auto", "landmarks", "unioncom")
MIN_CELLS = 10
K, K_LINKED = 10, 30


def estimate(
    x,
    known=None,
    *,
    method: str = "auto",
    seed: int = 0,
    groups=None,
    k: int | None = None,
    neighbours=(10, 30),
    n_landmarks: int = 150,
    restarts: int = 12,
    unpaired: bool = True,
    max_cells: int = 3000,
    linked: LinkedFeatures | None = None,
    labels=None,
    chosen: Chosen | None = None,
) -> Estimate:
    """Estimate F~.

    Parameters
    ----------
    x
        Pair of float (n_1, p_1), (n_2, p_2): model input (scaled principal components), finite.
    known
        Known F, sparse (n_1, n_2), values in [0, 1]: 1 and nothing else in row and column is certain, other
        values are priors. None: no pair is known.
    method
        "auto": linked features where there are 10 or more, else landmarks. "landmarks": geometry and known
        pairs; time and memory grow linearly in cells. "unioncom": every cell, for few cells.
    groups
        Pair of string arrays (n_1,), (n_2,): only cells of one group match; "" is free. None: any cells.
    k
        Entries of F~ a row holds at most; None: 30 by linked features, 10 by geometry.
    neighbours
        Sizes of the neighbour graphs whose geodesics are averaged.
    n_landmarks
        Landmarks per modality.
    restarts
        Starts of the matching of landmarks.
    unpaired
        Whether to estimate where no pair is known.
    max_cells
        Largest modality that "unioncom" takes.
    linked
        Linked features of the same cells; with fewer than 10 of them geometry is all there is.
    labels
        Pair of string arrays (n_1,), (n_2,), "" where none, or None: cell types, by which matches are judged
        where fewer than 8 pairs are known. They are not used to match.
    chosen
        Of an earlier estimate of the same cells and links, whatever pairs were known: chosen once, it holds.

    Raises
    ------
    InputError
        F of the wrong shape, no pairs where ``unpaired`` is off, too few cells, values that are missing or
        all equal, a single group label, an unknown method.
    """
    from jamie.matching import validate

    validate.method(method, METHODS)
    x, known = validate.inputs(x, known, min_cells=MIN_CELLS)
    groups = validate.groups(groups, x)
    if not unpaired:
        validate.some_pair(known)
    sizes, notes = validate.neighbours(neighbours, min(map(len, x)))
    enough = linked if linked is not None and len(linked) >= FEWEST else None
    k = k or (K_LINKED if enough and method == "auto" else K)
    problem = Problem(x, known, groups, k, sizes, n_landmarks, restarts, max_cells, seed, enough, chosen)
    order, back = _own_order(x)
    result = _by_method(method, problem.of(*order))
    result.matrix = sparse.csr_matrix(result.matrix[back[0]][:, back[1]], dtype=np.float32)
    if result.coordinates is not None:
        result.coordinates = tuple(z[b] for z, b in zip(result.coordinates, back, strict=True))
    if result.info["regime"] in ("links", "geometry"):
        _judge(result, labels, seed)
    result.info = {
        "method": method,
        "n_cells": [len(side) for side in x],
        "n_known": int(known.nnz),
        "n_linked": 0 if linked is None else len(linked),
        "confidence": result.confidence,
        "notes": notes + result.info.pop("notes", []),
        **result.info,
    }
    trusted_from = TRUSTED_FROM_PAIRS if result.info["regime"] == "pairs" else TRUSTED_FROM
    result.info |= {"trusted": bool(result.confidence >= trusted_from), "trusted_from": trusted_from}
    for note in result.info["notes"]:
        log.info(note)
    log.info("confidence %.2f: %s", result.confidence, result.info["reason"])
    return result


def _judge(result: Estimate, labels, seed: int) -> None:
    """Confidence and reason where too few pairs are known to tell: by left-out links, and by labels."""
    of_links = result.chosen and result.chosen.of_links
    of_labels = evidence.of_labels(result.matrix, labels, seed)
    found = [one for one in (of_links, of_labels) if one is not None]
    for name, one in (("links", of_links), ("labels", of_labels)):
        if one is not None:
            result.info[name] = one.to_dict()
    if found:
        result.confidence = round(evidence.probability(found), 4)
        result.info["reason"] = "; ".join(one.in_words() for one in found)
    else:  # two geometries may agree on a wrong matching as well
        result.confidence = round(result.confidence * evidence.probability([]), 4)
        result.info["reason"] += "; but geometry alone does not tell a right matching from a wrong one"


def _own_order(x) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """An order of the cells that hangs on their values alone, so that the one they come in changes nothing.

    Returns the order of both modalities, and the way back.
    """
    order = [np.lexsort(side.T[::-1]) for side in x]
    return order, [np.argsort(o, kind="stable") for o in order]


def _by_method(method: str, problem: Problem) -> Estimate:
    if len(problem.pairs) == min(problem.shape):
        reason = "every cell of a modality has a certain known partner: nothing is left to estimate"
        return Estimate(problem.known, 1.0, {"reason": reason, "parts": {}, "regime": "known"})
    if method == "unioncom":
        from jamie.matching import unioncom

        return unioncom.estimate(problem)
    if method == "auto" and problem.linked is not None:
        from jamie.matching import by_features

        return by_features.estimate(problem)
    from jamie.matching import default

    return default.estimate(problem)
