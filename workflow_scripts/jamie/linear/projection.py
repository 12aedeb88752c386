"""Standardise, reduce by PCA, and back: linear, fitted on training cells, never densifying sparse input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamie.linear.blocks import dense, row_blocks
from jamie.linear.principal import principal_axes


@dataclass
class Projection:
    """x -> ((x / sd) - center) @ components.T / scale.

    Attributes
    ----------
    sd : (p,)
        Training standard deviation of each feature.
    center : (p,)
        Training mean of x / sd.
    components : (k, p)
        Orthonormal rows.
    scale
        One number: the standard deviation over all training scores.
    """

    sd: np.ndarray
    center: np.ndarray
    components: np.ndarray
    scale: float

    @classmethod
    def fit(cls, x, sd: np.ndarray, n_components: int) -> Projection:
        """Learn from training cells ``x`` (n, p), dense or sparse, finite; ``sd`` (p,) > 0."""
        sd = np.asarray(sd, dtype=float)
        center, components, variance = principal_axes(x, sd, n_components)
        return cls(sd, center, components, float(np.sqrt(variance.mean())))

    def transform(self, x) -> np.ndarray:
        """(n, p) to float32 (n, k)."""
        weights = (self.components / self.sd).T / self.scale
        offset = self.center @ self.components.T / self.scale
        scores = np.empty((x.shape[0], len(self.components)), dtype=np.float32)
        for rows in row_blocks(*x.shape):  # the product with float64 weights copies what it is given
            scores[rows] = x[rows] @ weights - offset
        return scores

    def inverse(self, scores: np.ndarray, features: slice | np.ndarray = slice(None)) -> np.ndarray:
        """(n, k) to float32 (n, p), on the scale of x; or to some of its features."""
        components = (self.components[:, features] * self.scale).astype(np.float32)
        scaled = np.asarray(scores, dtype=np.float32) @ components
        return (scaled + self.center[features].astype(np.float32)) * self.sd[features].astype(np.float32)

    def off_axes(self, x, scores: np.ndarray) -> np.ndarray:
        """How far cells x (n, p) lie from the space of the components, where they are ``scores`` (n, k).

        Root mean square over features, in training standard deviations: float (n,).
        """
        total = np.empty(len(scores))
        for rows in row_blocks(*x.shape):
            total[rows] = ((dense(x[rows]) / self.sd - self.center) ** 2).sum(axis=1)
        inside = (np.asarray(scores, dtype=float) ** 2).sum(axis=1) * self.scale**2
        return np.sqrt(np.maximum(total - inside, 0) / len(self.sd))

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "sd": self.sd,
            "center": self.center,
            "components": self.components,
            "scale": np.array([self.scale]),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Projection:
        return cls(arrays["sd"], arrays["center"], arrays["components"], float(arrays["scale"][0]))
