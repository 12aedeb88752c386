"""Standardise, reduce by PCA, and back: linear, fitted on training cells, never densifying sparse input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamie.linear.blocks import row_blocks
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

    def inverse(self, scores: np.ndarray) -> np.ndarray:
        """(n, k) to float32 (n, p), on the scale of x."""
        scaled = np.asarray(scores, dtype=np.float32) @ (self.components * self.scale).astype(np.float32)
        return (scaled + self.center.astype(np.float32)) * self.sd.astype(np.float32)

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
