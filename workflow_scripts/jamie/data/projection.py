"""Standardise, reduce by PCA, and back: linear, fitted on training cells, never densifying sparse input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse


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
        from sklearn.decomposition import PCA

        n, p = x.shape
        k = min(n_components, p, n - 1)
        scaled = sparse.csr_matrix(x @ sparse.diags(1 / sd)) if sparse.issparse(x) else np.asarray(x) / sd
        solver = "covariance_eigh" if p <= 2500 else "arpack"
        pca = PCA(k, svd_solver=solver, random_state=0).fit(scaled.astype(np.float64))
        scale = float(np.sqrt(pca.explained_variance_.mean()))
        # one memory order, before and after saving: products then round alike
        components = np.ascontiguousarray(pca.components_)
        return cls(np.asarray(sd, float), np.asarray(pca.mean_).ravel(), components, scale)

    def transform(self, x) -> np.ndarray:
        """(n, p) to float32 (n, k)."""
        weights = (self.components / self.sd).T / self.scale
        offset = self.center @ self.components.T / self.scale
        return np.asarray(x @ weights - offset, dtype=np.float32)

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
