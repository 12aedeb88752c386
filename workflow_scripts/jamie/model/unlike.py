"""How unlike the training cells a cell is, in what the model is given, in its latent space, and beside both.

Three distances of a cell: to its nearest training cells in model input and in latent space, and from the
space of the principal components (what of the cell the model is blind to). The logarithm of each is
standardised by what it is for training cells that a fit left out (`jamie.model.crossfit`); the score is the
largest of the three. One in 20 left-out cells lies above the threshold, and so does one in 20 new cells, if
they are like them (a split-conformal p-value of 0.05; Bates et al., Annals of Statistics 51, 149, 2023).

Distances must mean the same in the fits of the folds and in the model: with 2,400 cells of sparse peaks and
100 components they do not, and a third of ordinary cells lie above the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamie.linear.neighbours import nearest

N_NEIGHBORS = 15
MOST = 5_000  # training cells kept to compare with
FLAGGED = 0.05  # of ordinary cells
_LEAST = 1e-6  # distance


@dataclass
class Reference:
    """Training cells of a modality that others are compared with.

    Attributes
    ----------
    x : float32 (n, k)
        Their model input.
    z : float32 (n, d)
        Their latents.
    mean, sd : (3,)
        Of the log distances of left-out cells; NaN where no cell was left out.
    threshold
        Score that one in 20 left-out cells exceeds; NaN as above.
    """

    x: np.ndarray
    z: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    threshold: float

    @classmethod
    def of(cls, x: np.ndarray, z: np.ndarray, seed: int) -> Reference:
        """Of these training cells, or 5,000 of them; still without a threshold."""
        rows = np.sort(np.random.default_rng([seed, 7]).permutation(len(x))[:MOST])
        return cls(x[rows], z[rows], np.full(3, np.nan), np.full(3, np.nan), np.nan)

    def distances(self, x: np.ndarray, z: np.ndarray, off_axes: np.ndarray) -> np.ndarray:
        """The three distances of cells: float (n, 3), from input (n, k), latents (n, d), `off_axes` (n,)."""
        near = [
            nearest(mine, theirs, N_NEIGHBORS)[0].mean(axis=1) for mine, theirs in ((x, self.x), (z, self.z))
        ]
        return np.column_stack([*near, off_axes])

    def learn(self, distances: np.ndarray) -> None:
        """Take the threshold from distances (n, 3) of left-out cells."""
        logs = np.log(np.maximum(distances, _LEAST))
        self.mean, self.sd = logs.mean(axis=0), np.maximum(logs.std(axis=0), _LEAST)
        scores = np.sort(self.score(distances))
        rank = int(np.ceil((len(scores) + 1) * (1 - FLAGGED)))
        self.threshold = float(scores[min(rank, len(scores)) - 1])

    def score(self, distances: np.ndarray) -> np.ndarray:
        """How unlike cells with these distances (n, 3) are, in standard deviations: float (n,)."""
        return ((np.log(np.maximum(distances, _LEAST)) - self.mean) / self.sd).max(axis=1)

    def arrays(self) -> dict[str, np.ndarray]:
        return {
            "x": self.x,
            "z": self.z,
            "mean": self.mean,
            "sd": self.sd,
            "threshold": np.array([self.threshold]),
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> Reference:
        return cls(**arrays | {"threshold": float(arrays["threshold"][0])})
