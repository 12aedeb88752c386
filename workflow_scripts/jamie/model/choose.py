"""Whether the estimated correspondence F~ helps a fit: decided on known pairs left out, and said."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import torch
from scipy import sparse, stats

from jamie.data.correspondence import left_out_pairs, without_pairs
from jamie.matching.prepared import EstimatedCorrespondence
from jamie.model.options import Options
from jamie.model.trainer import Fit, train

log = logging.getLogger(__name__)

TRIAL = 3  # a trial runs this share of the epochs: 1 / TRIAL


def fit(x, f, options: Options, estimated: EstimatedCorrespondence | None, *, seed: int, **arguments) -> Fit:
    """Fit with F~ or without, whichever the option ``estimated`` and the left-out pairs say.

    ``estimated`` is of exactly the cells of ``x`` (n_1, p_1), (n_2, p_2) and ``f`` (n_1, n_2).
    ``info["estimated"]`` of the result holds ``used``, ``confidence``, ``reason`` and, after trials, the
    FOSCTTM of the left-out pairs with and without it. Other arguments are those of
    `jamie.model.trainer.train`.
    """
    if estimated is not None and estimated.info.get("regime") == "geometry":
        # geometry tells where a kind of cell lies, not which cell is which: no partners to learn from
        options = replace(options, estimated_in=tuple(t for t in options.estimated_in if t != "pairs"))
    use, said = _decide(x, f, options, estimated, seed)
    result = train(x, f, options, f_estimated=weighted(estimated) if use else None, seed=seed, **arguments)
    confidence = None if estimated is None else estimated.confidence
    result.info["estimated"] = {"used": use, "confidence": confidence, **said}
    log.info("estimated correspondence %s: %s", "used" if use else "not used", said["reason"])
    return result


def weighted(estimated: EstimatedCorrespondence) -> sparse.csr_matrix:
    """F~ as it enters a fit: scaled by its confidence."""
    return estimated.f.matrix * np.float32(estimated.confidence)


def _decide(
    x, f, options: Options, estimated: EstimatedCorrespondence | None, seed: int
) -> tuple[bool, dict]:
    if estimated is None or options.estimated == "never":
        return False, {"reason": "not asked for"}
    if not _adds_to(f, estimated.f.matrix):
        return False, {"reason": "no two cells without a known partner are joined by it"}
    if options.estimated == "always":
        return True, {"reason": "asked for"}
    pairs = left_out_pairs(f, seed)
    if estimated.check is None or not len(pairs):
        evidence = estimated.info.get("reason", "the estimate's own checks decide")
        why = "too few known pairs to decide, so other evidence does" if f.nnz else "other evidence decides"
        return estimated.trusted, {"reason": f"{why} (confidence {estimated.confidence:.2f}): {evidence}"}
    with_it, without = _trials(x, f, options, estimated, pairs, seed)
    gain, error = float((without - with_it).mean()), float(stats.sem(without - with_it))
    said = {"foscttm_with": float(with_it.mean()), "foscttm_without": float(without.mean())}
    said |= {"gain": gain, "standard_error": error, "n_left_out": len(pairs)}
    helps = gain > error
    said["reason"] = (
        f"it {'brings' if helps else 'does not bring'} {len(pairs):,} left-out pairs closer by more than a "
        f"standard error (FOSCTTM {with_it.mean():.3f} with, {without.mean():.3f} without; difference "
        f"{with_it.mean() - without.mean():+z.4f}, standard error {error:.4f})"
    )
    return helps, said


def _adds_to(f: sparse.csr_matrix, estimated: sparse.csr_matrix) -> bool:
    free = [np.asarray(f.sum(axis)).ravel() == 0 for axis in (1, 0)]
    entries = estimated.tocoo()
    return bool((free[0][entries.row] & free[1][entries.col]).any())


def _trials(
    x, f, options: Options, estimated: EstimatedCorrespondence, pairs, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """FOSCTTM of each left-out pair after a short fit with F~, and after one without."""
    from jamie.metrics.alignment import closer_fractions

    short = replace(options.shorter(TRIAL), validation_fraction=0.0)
    scores = []
    for matrix in (estimated.check.matrix * np.float32(estimated.confidence), None):
        trial = train(x, without_pairs(f, pairs), short, f_estimated=matrix, seed=seed, progress=False)
        device = next(trial.model.parameters()).device
        with torch.no_grad():
            latents = [
                vae.encode(torch.as_tensor(v[rows], device=device))[0].cpu().numpy()
                for vae, v, rows in zip(trial.model.vaes, x, pairs.T, strict=True)
            ]
        order = np.column_stack([np.arange(len(pairs))] * 2)
        scores.append(closer_fractions(latents, order).mean(axis=0))
    return scores[0], scores[1]
