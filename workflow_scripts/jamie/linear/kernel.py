"""Kernel ridge regression between components of known pairs.

The kernel is Gaussian, exp(-d^2 / (factor x median d^2)). Its width and, for every column of the target, a
penalty are those that predict known pairs best when each is left out, which has a closed form. With up to
`LANDMARKS` pairs the regression is exact; beyond, the kernel is that of Nystroem on so many pairs drawn at
random, so that nothing is as large as pairs x pairs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LANDMARKS = 500
CHOSEN_ON = 2_000  # pairs, at most, on which width and penalties are chosen
FACTORS = (0.5, 1.0, 2.0, 4.0, 8.0)
PENALTIES = np.logspace(-3, 3, 13)


@dataclass(frozen=True)
class KernelRidge:
    """y = exp(-gamma |x - landmarks|^2) @ weights + intercept.

    Attributes
    ----------
    gamma
        Of the kernel.
    landmarks, weights, intercept
        float64 (m, p), (m, q), (q,).
    penalty
        float64 (q,), as chosen.
    """

    gamma: float
    landmarks: np.ndarray
    weights: np.ndarray
    intercept: np.ndarray
    penalty: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, y: np.ndarray, seed: int) -> KernelRidge:
        """Of pairs: row i of x (n, p) with row i of y (n, q)."""
        from scipy.spatial.distance import pdist
        from sklearn.kernel_approximation import Nystroem
        from sklearn.linear_model import Ridge, RidgeCV

        chosen = np.random.default_rng(seed).permutation(len(x))[:CHOSEN_ON]
        median = max(np.median(pdist(x[chosen], "sqeuclidean")), 1e-12)
        found = []
        for factor in FACTORS:
            kernel = Nystroem(
                gamma=1 / (factor * median), n_components=min(LANDMARKS, len(chosen)), random_state=seed
            )
            trial = RidgeCV(PENALTIES, alpha_per_target=True).fit(kernel.fit_transform(x[chosen]), y[chosen])
            found.append((np.mean(trial.best_score_), kernel, trial.alpha_))
        _, kernel, penalty = max(found, key=lambda trial: trial[0])
        ridge = Ridge(penalty).fit(kernel.transform(x), y)  # with the landmarks the kernel was fitted with
        weights = kernel.normalization_.T @ ridge.coef_.T
        return cls(kernel.gamma, kernel.components_, weights, ridge.intercept_, penalty)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """x (n, p) to float64 (n, q)."""
        from sklearn.metrics.pairwise import rbf_kernel

        kernel = rbf_kernel(np.asarray(x, dtype=float), self.landmarks, gamma=self.gamma)
        return kernel @ self.weights + self.intercept
