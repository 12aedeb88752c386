"""Non-linear manifold alignment: eigenvectors of one graph that joins both modalities.

Coordinates y of all cells of both modalities minimise

    sum_ij W1_ij |y_i - y_j|^2 + sum_ij W2_ij |y_i - y_j|^2 + 2 mu sum_ij F_ij |y_i - y_j|^2

at unit scale, y' D y = I: the smallest eigenvectors of L y = lambda D y, with L = D - W of the joint graph
W = [[W1, mu F], [mu F', W2]]. W1 and W2 are graphs of nearest neighbours, F holds the known pairs.

Source: Ham, Lee, Saul, AISTATS 2005; Wang & Mahadevan, IJCAI 2009, non-linear form.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jamie.linear.neighbours import gaussian_weights
from jamie.methods import base
from jamie.methods.latent import Cells, Embedder
from jamie.registry import Spec

SPEC = Spec(
    label="NLMA",
    summary="Eigenvectors of the joint graph of neighbours within modalities and known pairs across; new "
    "cells and values by neighbours.",
    citation="Ham, Lee & Saul, AISTATS (2005); Wang & Mahadevan, IJCAI (2009)",
    min_pairs=10,
    cost="linear in cells but for the search of neighbours",
    builds_on=("methods/latent.py",),
    options={"n_components": None, "n_latent": 8, "k": 20, "mu": 10.0},
    search={"k": (5, 10, 20), "n_latent": (4, 8, 16, 32), "mu": (1.0, 10.0, 100.0)},
)


class Method(Embedder):
    def __init__(
        self,
        *,
        seed: int = 0,
        n_components: int | None = None,
        n_latent: int = 8,
        k: int = 20,
        mu: float = 10.0,
    ):
        self.seed, self.n_components, self.n_latent, self.k, self.mu = seed, n_components, n_latent, k, mu

    def fit(self, train, known) -> Method:
        k = base.n_components(train, known, self.n_components)
        self.cells = {m: Cells.of(a, k) for m, a in train.mod.items()}
        graph = joint_graph([c.x for c in self.cells.values()], known.matrix, self.k, self.mu)
        y = smallest_eigenvectors(graph, self.n_latent, self.seed)
        n_first = known.matrix.shape[0]
        self.latent = dict(zip(self.cells, (y[:n_first], y[n_first:]), strict=True))
        return self

    def place(self, x: np.ndarray, modality: str) -> np.ndarray:
        """Where the cell's neighbours are (the Nystrom extension of the graph's eigenvectors)."""
        return gaussian_weights(x, self.cells[modality].x, self.k) @ self.latent[modality]


def joint_graph(x, f: sparse.csr_matrix, k: int, mu: float) -> sparse.csr_matrix:
    """W (n_1 + n_2, n_1 + n_2): both graphs of neighbours, and pairs, whose weights sum to mu times theirs.

    Parameters
    ----------
    x
        Pair of float (n_1, p), (n_2, q).
    f
        Known F (n_1, n_2).
    """
    within = [neighbour_graph(side, k) for side in x]
    pairs = f.astype(float) * (mu * sum(w.sum() for w in within) / (2 * f.sum()))
    return sparse.csr_matrix(sparse.bmat([[within[0], pairs], [pairs.T, within[1]]]))


def neighbour_graph(x: np.ndarray, k: int) -> sparse.csr_matrix:
    """Symmetric graph (n, n) of the k nearest neighbours, Gaussian weights."""
    graph = gaussian_weights(x, x, k + 1)  # itself among them
    graph.setdiag(0)
    graph.eliminate_zeros()
    return (graph + graph.T) / 2


def smallest_eigenvectors(graph: sparse.csr_matrix, n_latent: int, seed: int) -> np.ndarray:
    """Solutions y (n, n_latent) of L y = lambda D y after the constant one, unit variance each.

    The largest eigenvectors of D^-1/2 W D^-1/2 + I, which has none below 0.
    """
    from scipy.sparse.linalg import eigsh

    degree = np.asarray(graph.sum(axis=1)).ravel()
    half = 1 / np.sqrt(np.maximum(degree, 1e-12))
    scaled = sparse.diags(half) @ graph @ sparse.diags(half) + sparse.identity(len(degree))
    n_latent = min(n_latent, len(degree) - 2)
    start = np.random.default_rng(seed).standard_normal(len(degree))
    values, vectors = eigsh(scaled, k=n_latent + 1, which="LA", v0=start, tol=1e-6, maxiter=20_000)
    order = np.argsort(-values)[1:]
    y = vectors[:, order] * half[:, None]
    y *= np.sign(y[np.abs(y).argmax(axis=0), np.arange(y.shape[1])])  # an eigenvector has no sign of its own
    return (y / np.maximum(y.std(axis=0), 1e-12)).astype(np.float32)
