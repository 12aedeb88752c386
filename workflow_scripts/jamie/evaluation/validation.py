"""Validation pairs: known pairs whose cells a fit never sees, and how well they come out of it."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from jamie import contract as c
from jamie.data.correspondence import Correspondence
from jamie.io import together
from jamie.registry import Spec

if TYPE_CHECKING:
    import mudata

SHARE = 0.2  # of the known pairs, for validation
_BLOCK_ENTRIES = 8_000_000  # cells x features compared at once: 64 MB as float64


def take_out(
    train: mudata.MuData, known: Correspondence, seed: int
) -> tuple[mudata.MuData, Correspondence, mudata.MuData]:
    """Take the cells of a random fifth of the certain known pairs out.

    Returns
    -------
    rest
        MuData of the other training cells, in their order.
    known
        Correspondence of exactly these.
    validation
        MuData whose row i is the same cell in both modalities.
    """

    pairs = known.certain_pairs()
    n = round(SHARE * len(pairs))
    chosen = pairs[np.sort(np.random.default_rng([seed, 2]).permutation(len(pairs))[:n])]  # (n, 2)
    rest, validation = {}, {}
    for axis, (name, adata) in enumerate(train.mod.items()):
        keep = np.ones(adata.n_obs, dtype=bool)
        keep[chosen[:, axis]] = False
        rest[name], validation[name] = adata[keep].copy(), adata[chosen[:, axis]].copy()
    names = [a.obs_names for a in rest.values()]
    return together(rest), known.align(*names), together(validation)


def objective(parts: dict[str, float]) -> float:
    """Mean over what a method has: 1 - 2 FOSCTTM, and Pearson's r of either imputed modality; 1 is best."""
    return float(np.mean([1 - 2 * v if name == "foscttm" else v for name, v in parts.items()]))


def parts_of(method, spec: Spec, validation: mudata.MuData) -> dict[str, float]:
    """FOSCTTM of a fitted method and the mean over features of Pearson's r by imputed modality.

    ``validation`` has the same cell in row i of both modalities. What the method does not give is left out.
    """
    from jamie.metrics.alignment import foscttm

    found: dict[str, float] = {}
    n = next(iter(validation.mod.values())).n_obs
    if spec.embeds:
        latents = [_finite(z, "latents") for z in method.embed(validation).values()]
        found["foscttm"] = foscttm(latents, np.column_stack([np.arange(n)] * 2))
    if spec.imputes:
        for source, target in permutations(validation.mod, 2):
            imputed = _finite(method.imputer(validation, source, target)(slice(0, n)), "imputed values")
            found[f"pearson_{target}"] = _mean_pearson(validation.mod[target], imputed)
    return found


def _finite(values: np.ndarray, what: str) -> np.ndarray:
    """The same values: a comparison with NaN is false, which would score as perfect."""
    if not np.isfinite(values).all():
        raise FloatingPointError(f"{what} of validation cells are not finite")
    return values


def _mean_pearson(adata, imputed: np.ndarray) -> float:
    """Mean over features of Pearson's r of measured and imputed (n, p) values, in blocks of features."""
    from jamie.metrics.imputation import pearson

    layers = [adata.X, adata.layers.get(c.MISSING)]
    layers = [m.tocsc() if sparse.issparse(m) else m for m in layers]
    size = max(1, _BLOCK_ENTRIES // len(imputed))
    r = []
    for block in (slice(start, start + size) for start in range(0, adata.n_vars, size)):
        parts = [None if m is None else m[:, block] for m in layers]
        measured, missing = (m.toarray() if sparse.issparse(m) else m for m in parts)
        r.append(pearson(measured, imputed[:, block], missing))
    return float(np.nanmean(np.concatenate(r)))
