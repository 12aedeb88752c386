"""The encoders' view of their input: along the axes that known pairs share, scaled by how much they share."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jamie.linear import canonical


def input_axes(
    x: tuple[np.ndarray, np.ndarray], f: sparse.csr_matrix, strength: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """A linear map for each modality's input: its canonical axes, each times its correlation.

    What the modalities do not share stays, but small, so that a network fitted to few cells has less noise
    to learn by heart.

    Parameters
    ----------
    x
        Model input of the cells that are fitted: float (n_1, p_1), (n_2, p_2).
    f
        Their known correspondence (n_1, n_2); a soft pair counts by its value.
    strength
        Ridge of the canonical correlation times the number of pairs: fewer pairs, more shrinkage.

    Returns
    -------
    float32 (p_1, p_1), (p_2, p_2), such that x @ map has a mean variance of 1; None with fewer pairs than
    inputs, which cannot tell the axes apart.
    """
    n_pairs = float(f.sum())
    if n_pairs < max(side.shape[1] for side in x):
        return None
    moments = canonical.Moments.of(f, *x)
    of_all = tuple(canonical.covariance(side) for side in x)
    _, axes, correlation = canonical.canonical(moments, of_all, strength / n_pairs)
    # the wider modality has axes without a counterpart, which count as the last one that has
    scaled = [a * np.pad(correlation, (0, a.shape[1] - len(correlation)), mode="edge") for a in axes]
    return tuple(
        (a / np.sqrt((side @ a).var(axis=0).mean())).astype(np.float32)
        for side, a in zip(x, scaled, strict=True)
    )
