"""What methods that only embed share: their training cells, and imputation by neighbours in the latent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from jamie.linear.neighbours import mean_of, nearest
from jamie.linear.projection import Projection

K_IMPUTE = 15


@dataclass
class Cells:
    """Training cells of a modality: names, prepared values (n, p) and their principal components (n, k)."""

    names: pd.Index
    values: object
    space: Projection
    x: np.ndarray

    @classmethod
    def of(cls, adata, n_components: int) -> Cells:
        space = Projection.fit(adata.X, adata.var["sd"].to_numpy(), n_components)
        return cls(pd.Index(adata.obs_names), adata.X, space, space.transform(adata.X))


class Embedder:
    """A method that places cells in a latent space; `fit` is left to it.

    Attributes
    ----------
    cells
        {modality: `Cells`} of the training cells.
    latent
        {modality: float32 (n, d)} of the training cells.
    """

    cells: dict[str, Cells]
    latent: dict[str, np.ndarray]

    def place(self, x: np.ndarray, modality: str) -> np.ndarray:
        """Latent (n, d) of cells that were not in training, from their principal components (n, k)."""
        raise NotImplementedError

    def embed(self, mdata) -> dict[str, np.ndarray]:
        """Training cells keep the place they were given; others get one by `place`."""
        return {m: self._embed(a, m) for m, a in mdata.mod.items()}

    def _embed(self, adata, modality: str) -> np.ndarray:
        own = self.cells[modality].names.get_indexer(adata.obs_names)
        z = self.latent[modality][np.maximum(own, 0)].astype(np.float32)
        new = np.flatnonzero(own < 0)
        if len(new):
            z[new] = self.place(self.cells[modality].space.transform(adata.X[new]), modality)
        return z

    def imputer(self, mdata, source: str, target: str):
        """Mean of the target's training cells that are nearest in the latent space."""
        z, known = self._embed(mdata.mod[source], source), self.latent[target]
        values = self.cells[target].values
        return lambda rows: mean_of(nearest(z[rows], known, K_IMPUTE)[1], values)
