"""Linear manifold alignment: the linear maps of both modalities that NLMA's objective asks for.

With Z = diag(X1, X2) and the joint graph of `jamie.methods.nlma`, maps A minimise tr(A' Z' L Z A) subject to
A' Z' D Z A = I: the smallest generalised eigenvectors of (Z' L Z, Z' D Z + ridge). The later ones hold the
modalities apart, so each coordinate is weighted by its correlation over known pairs.

Source: Wang & Mahadevan, IJCAI 2009, linear form (feature-level alignment).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jamie.methods import base, nlma
from jamie.methods.latent import Cells, Embedder
from jamie.registry import Spec

SPEC = Spec(
    label="LMA",
    summary="Linear maps of principal components that bring neighbours and known pairs together; values by "
    "neighbours.",
    cost="linear in cells",
    citation="Wang & Mahadevan, IJCAI (2009)",
    min_pairs=20,
    builds_on=("methods/latent.py", "methods/nlma.py"),
    options={"n_components": None, "n_latent": 30, "k": 10, "mu": 10.0, "ridge": 3.0},
    search={"n_latent": (8, 16, 30), "mu": (1.0, 10.0, 100.0), "ridge": (1.0, 3.0, 10.0)},
)


class Method(Embedder):
    def __init__(
        self,
        *,
        seed: int = 0,
        n_components: int | None = None,
        n_latent: int = 30,
        k: int = 10,
        mu: float = 10.0,
        ridge: float = 3.0,
    ):
        self.n_components, self.n_latent, self.k, self.mu, self.ridge = n_components, n_latent, k, mu, ridge

    def fit(self, train, known) -> Method:
        k = base.n_components(train, known, self.n_components)
        self.cells = {m: Cells.of(a, k) for m, a in train.mod.items()}
        x = [c.x.astype(float) for c in self.cells.values()]
        graph = nlma.joint_graph(x, known.matrix, self.k, self.mu)
        maps = linear_maps(x, graph, self.n_latent, self.ridge)
        weight = agreement([side @ m for side, m in zip(x, maps, strict=True)], known.best_pairs())
        self.maps = {m: a * weight for m, a in zip(self.cells, maps, strict=True)}
        self.latent = {m: self.place(c.x, m) for m, c in self.cells.items()}
        return self

    def place(self, x: np.ndarray, modality: str) -> np.ndarray:
        return (x @ self.maps[modality]).astype(np.float32)


def linear_maps(x, graph: sparse.csr_matrix, n_latent: int, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """Maps (p, d), (q, d) of inputs (n_1, p), (n_2, q); ``ridge`` in multiples of the mean of Z' D Z."""
    from scipy.linalg import eigh

    n_first, p = x[0].shape
    degree = np.asarray(graph.sum(axis=1)).ravel()
    z = [np.hstack([x[0], np.zeros((n_first, x[1].shape[1]))]), np.hstack([np.zeros((len(x[1]), p)), x[1]])]
    z = np.vstack(z)
    spread = z.T @ (z * degree[:, None])
    spread += ridge * np.trace(spread) / len(spread) * np.eye(len(spread))
    rough = z.T @ (z * degree[:, None] - graph @ z)
    vectors = eigh(rough, spread, subset_by_index=[0, min(n_latent, len(rough)) - 1])[1]
    y = z @ vectors
    vectors /= y.std(axis=0)
    return vectors[:p], vectors[p:]


def agreement(y, pairs: np.ndarray) -> np.ndarray:
    """Correlation (d,) of coordinates (n_1, d), (n_2, d) over pairs (k, 2), 0 where it is negative."""
    first, second = (side[rows] - side[rows].mean(axis=0) for side, rows in zip(y, pairs.T, strict=True))
    spread = np.sqrt((first**2).sum(axis=0) * (second**2).sum(axis=0))
    return np.maximum((first * second).sum(axis=0) / np.maximum(spread, 1e-12), 0)
