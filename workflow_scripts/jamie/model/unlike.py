"""How unlike the training cells a cell is, in model input, in latent space, and beside both.

Three distances of a cell: to its nearest training cells in model input and in latent space, and from the
space of the principal components (what of the cell the model is blind to). The logarithm of each is
standardised by what it is for cells that were left out; the score is the length of the vector of those that
exceed the mean. One in 20 left-out cells lies above the threshold, and so does one in 20 new cells, if they
are like them (a split-conformal p-value of 0.05; Bates et al., Annals of Statistics 51, 149, 2023).

For that, new cells must be seen as the left-out ones were: through components and encoder of a fit that had
neither. So the first of the cross-fits (`jamie.model.crossfit`) judges, not the model, whose distances mean
something else (of sparse peaks, a third of ordinary cells lay above a threshold carried over).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from jamie.linear.neighbours import nearest
from jamie.linear.projection import Projection

N_NEIGHBORS = 15
MOST = 5_000  # fitted cells kept to compare with
FLAGGED = 0.05  # of ordinary cells
_LEAST = 1e-6  # distance


@dataclass
class Reference:
    """A fit and its cells of one modality, that other cells are compared with.

    Attributes
    ----------
    projection
        Its principal components.
    encoder
        Its `jamie.model.network.VAE`.
    x : float32 (n, k)
        Model input of its cells, of 5,000 at most.
    z : float32 (n, d)
        Their latents.
    mean, sd : (3,)
        Of the log distances of left-out cells.
    threshold
        Score that one in 20 left-out cells exceeds.
    """

    projection: Projection
    encoder: object
    x: np.ndarray
    z: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    threshold: float

    @classmethod
    def of(
        cls, projection: Projection, varies: np.ndarray, encoder, fitted: np.ndarray, left, seed: int
    ) -> Reference:
        """Of a fit to cells with model input `fitted` (n, k), which left out prepared cells `left` (m, p).

        Features that do not vary among the cells fitted, bool (p,), tell nothing.
        """
        told = replace(
            projection, sd=np.where(varies, projection.sd, np.inf), center=projection.center * varies
        )
        as_stored = {key: array.astype(np.float32) for key, array in told.arrays().items()}
        projection = Projection.from_arrays(as_stored)
        x = fitted[np.sort(np.random.default_rng([seed, 7]).permutation(len(fitted))[:MOST])]
        found = cls(projection, encoder, x, encoder.latent(x), np.zeros(3), np.ones(3), np.inf)
        logs = found._log_distances(left)
        found.mean, found.sd = logs.mean(axis=0), np.maximum(logs.std(axis=0), _LEAST)
        scores = np.sort(found._of(logs))
        rank = int(np.ceil((len(scores) + 1) * (1 - FLAGGED)))
        found.threshold = float(scores[min(rank, len(scores)) - 1])
        return found

    def score(self, prepared) -> np.ndarray:
        """How unlike prepared cells (n, p) are, in standard deviations: float (n,)."""
        return self._of(self._log_distances(prepared))

    def _of(self, logs: np.ndarray) -> np.ndarray:
        return np.sqrt((np.maximum((logs - self.mean) / self.sd, 0) ** 2).sum(axis=1))

    def _log_distances(self, prepared) -> np.ndarray:
        """The three, float (n, 3)."""
        x = self.projection.transform(prepared)
        spaces = (x, self.x), (self.encoder.latent(x), self.z)
        near = [nearest(mine, theirs, N_NEIGHBORS)[0].mean(axis=1) for mine, theirs in spaces]
        distances = np.column_stack([*near, self.projection.off_axes(prepared, x)])
        return np.log(np.maximum(distances, _LEAST))

    def arrays(self) -> dict[str, np.ndarray]:
        """Everything, by names without a full stop."""
        found = {"x": self.x, "z": self.z, "mean": self.mean, "sd": self.sd}
        found["threshold"] = np.array([self.threshold])
        for key, value in self.encoder.state_dict().items():
            found[f"encoder:{key.replace('.', ':')}"] = value.cpu().numpy()
        return found | {f"projection:{key}": value for key, value in self.projection.arrays().items()}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], options) -> Reference:
        """What `arrays` gave, of a model with these options."""
        import torch

        from jamie.model.network import VAE

        parts: dict[str, dict] = {"encoder": {}, "projection": {}}
        for key in [key for key in arrays if ":" in key]:
            part, name = key.split(":", 1)
            parts[part][name.replace(":", ".")] = arrays[key]
        rest = {key: array for key, array in arrays.items() if ":" not in key}
        encoder = VAE(rest["x"].shape[1], options)
        encoder.load_state_dict({key: torch.as_tensor(value) for key, value in parts["encoder"].items()})
        threshold = float(rest.pop("threshold")[0])
        return cls(Projection.from_arrays(parts["projection"]), encoder.eval(), threshold=threshold, **rest)
