"""The axes that known pairs share: the encoders' view of their input, and where latents start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from jamie.linear import canonical
from jamie.linear.canonical import Moments

N_DRAWS = 19  # of pairs at random: what exceeds all is beyond chance at p < 0.05


@dataclass(frozen=True)
class SharedAxes:
    """Canonical axes of known pairs, as a fit uses them.

    Attributes
    ----------
    maps
        float32 (p_1, p_1), (p_2, p_2), of the model input of either modality: its canonical axes, each times
        its correlation, such that x @ map has a mean variance of 1. What the modalities do not share stays,
        but small, so that a network fitted to few cells has less noise to learn by heart.
    latent
        float32 (min(p_1, p_2),): what the first coordinates, x @ map, are multiplied with as the start of the
        latent; all 0 where that is not asked for. Correlation beyond chance over correlation: 0 from the one
        on that correlates by no more than the first does in some of 19 draws of pairs at random (parallel
        analysis; Horn, Psychometrika 30, 179-185, 1965).
    """

    maps: tuple[np.ndarray, np.ndarray]
    latent: np.ndarray

    @classmethod
    def of(
        cls,
        x: tuple[np.ndarray, np.ndarray],
        f: sparse.csr_matrix,
        strength: float,
        *,
        start: bool,
        seed: int = 0,
    ) -> SharedAxes | None:
        """Axes of known pairs; None with fewer than inputs, which cannot tell the axes apart.

        Parameters
        ----------
        x
            Model input of the cells that are fitted: float (n_1, p_1), (n_2, p_2).
        f
            Their known correspondence (n_1, n_2); a soft pair counts by its value.
        strength
            Ridge of the canonical correlation times the number of pairs: fewer pairs, more shrinkage.
        start
            Whether ``latent`` is asked for.
        seed
            Of the draws for it.
        """
        n_pairs = float(f.sum())
        if n_pairs < max(side.shape[1] for side in x):
            return None
        of_all = tuple(canonical.covariance(side) for side in x)
        _, axes, correlation = canonical.canonical(Moments.of(f, *x), of_all, strength / n_pairs)
        chance = _by_chance(x, f, of_all, strength / n_pairs, seed) if start else np.inf
        beyond = np.sqrt(np.maximum(correlation**2 - chance**2, 0)) / np.maximum(correlation, 1e-12)
        # the wider modality has axes without a counterpart, which count as the last one that has
        scaled = [a * np.pad(correlation, (0, a.shape[1] - len(correlation)), mode="edge") for a in axes]
        maps = (
            (a / np.sqrt((side @ a).var(axis=0).mean())).astype(np.float32)
            for side, a in zip(x, scaled, strict=True)
        )
        return cls(tuple(maps), beyond.astype(np.float32))


def _by_chance(x, f: sparse.csr_matrix, of_all, ridge: float, seed: int) -> float:
    """The largest correlation where the partners of cells are drawn at random among those there are."""
    rng = np.random.default_rng([seed, 17])
    partners = np.flatnonzero(np.diff(sparse.csc_matrix(f).indptr))
    matched, others = sparse.csc_matrix(f)[:, partners], x[1][partners]
    largest = []
    for _ in range(N_DRAWS):
        moments = Moments.of(matched, x[0], others[rng.permutation(len(others))])
        largest.append(canonical.canonical(moments, of_all, ridge)[2][0])
    return float(np.max(largest))
