"""Coordinates both modalities share: canonical axes of weighted pairs, shrunk by all cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

N_AXES = 15
RIDGES = (0.1, 0.3, 1.0, 3.0)
FROM_ALL = 0.5  # share of the covariance of all cells, paired or not, in that of a modality


@dataclass
class Moments:
    """Weighted sums over pairs of cells; those of several sources of pairs add up.

    Attributes
    ----------
    weight
        Sum of the weights.
    first, second
        float (d_1,), (d_2,): sums of features.
    within, across
        float (d_1, d_1) and (d_2, d_2); (d_1, d_2): sums of products.
    """

    weight: float
    first: np.ndarray
    second: np.ndarray
    within: tuple[np.ndarray, np.ndarray]
    across: np.ndarray

    @classmethod
    def of(cls, weights, a: np.ndarray, b: np.ndarray) -> Moments:
        """Of pairs with ``weights`` (n_1, n_2), sparse or dense, and features (n_1, d_1), (n_2, d_2)."""
        p, q = (np.asarray(weights.sum(axis=axis)).ravel() for axis in (1, 0))
        rows, cols = np.flatnonzero(p), np.flatnonzero(q)
        if sparse.issparse(weights):
            weights = sparse.csr_matrix(weights)[rows][:, cols]
        else:
            weights = weights[np.ix_(rows, cols)]
        a, b, p, q = a[rows].astype(float), b[cols].astype(float), p[rows], q[cols]
        return cls(
            float(p.sum()),
            p @ a,
            q @ b,
            (a.T @ (a * p[:, None]), b.T @ (b * q[:, None])),
            a.T @ (weights @ b),
        )

    def __add__(self, other: Moments) -> Moments:
        return Moments(
            self.weight + other.weight,
            self.first + other.first,
            self.second + other.second,
            tuple(a + b for a, b in zip(self.within, other.within, strict=True)),
            self.across + other.across,
        )

    def __mul__(self, factor: float) -> Moments:
        return Moments(
            self.weight * factor,
            self.first * factor,
            self.second * factor,
            tuple(w * factor for w in self.within),
            self.across * factor,
        )

    def scaled(self, weight: float) -> Moments:
        """The same pairs, worth ``weight`` pairs in all."""
        return self * (weight / max(self.weight, 1e-12))


def covariance(features: np.ndarray) -> np.ndarray:
    """Covariance (d, d) of all cells of a modality."""
    return np.atleast_2d(np.cov(features.T.astype(float), bias=True))


@dataclass
class Axes:
    """Maps of both modalities into the shared space.

    Attributes
    ----------
    centre
        (d_1,), (d_2,).
    weights
        (d_1, r), (d_2, r): canonical axes times their correlation.
    correlation
        (r,), of the (shrunk) pairs.
    """

    centre: tuple[np.ndarray, np.ndarray]
    weights: tuple[np.ndarray, np.ndarray]
    correlation: np.ndarray

    def project(self, features: np.ndarray, axis: int) -> np.ndarray:
        """float32 (n, r) of modality ``axis``."""
        return (features - self.centre[axis].astype(np.float32)) @ self.weights[axis].astype(np.float32)

    def transform(self, features: np.ndarray, axis: int) -> np.ndarray:
        """float32 (n, r) of modality ``axis``, each cell scaled to length 1: the angle tells cells apart."""
        z = self.project(features, axis)
        return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), 1e-9)


def canonical(moments: Moments, of_all, ridge: float):
    """Regularised canonical correlation of weighted pairs (Vinod, J. Econometrics 4, 147-166, 1976).

    Parameters
    ----------
    of_all
        Covariances (d_1, d_1), (d_2, d_2) of all cells: unpaired cells steady the axes where pairs are few.
    ridge
        Added to the eigenvalues of a modality's covariance, in multiples of their mean.

    Returns
    -------
    Centres (d_1,), (d_2,); axes (d_1, d_1), (d_2, d_2), one a column, the most correlated first; their
    correlations (min(d_1, d_2),).
    """
    centre = moments.first / moments.weight, moments.second / moments.weight
    whiten = []
    for axis in (0, 1):
        own = moments.within[axis] / moments.weight - np.outer(centre[axis], centre[axis])
        values, vectors = np.linalg.eigh((1 - FROM_ALL) * own + FROM_ALL * of_all[axis])
        values = np.maximum(values, 0)
        whiten.append(vectors / np.sqrt(values + ridge * max(values.mean(), 1e-12)) @ vectors.T)
    across = moments.across / moments.weight - np.outer(*centre)
    u, s, vt = np.linalg.svd(whiten[0] @ across @ whiten[1])
    return centre, (whiten[0] @ u, whiten[1] @ vt.T), s


def fit(moments: Moments, of_all: tuple[np.ndarray, np.ndarray], ridge: float, n_axes: int = N_AXES) -> Axes:
    """The first ``n_axes`` axes of `canonical`, each times its correlation."""
    centre, axes, correlation = canonical(moments, of_all, ridge)
    r = min(n_axes, len(correlation))
    return Axes(centre, tuple(a[:, :r] * correlation[:r] for a in axes), correlation[:r])
