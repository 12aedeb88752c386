"""Values of linked features, and what they say of coordinates that both modalities share."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import sparse

from jamie import contract as c
from jamie.linear.canonical import Moments

POWER = 0.4  # of the products of loadings: these weigh an axis by about the square of what is shared


@dataclass(frozen=True)
class Side:
    """One modality of `LinkedFeatures`.

    Attributes
    ----------
    matrix
        (n, p) counts, CSR, or other values.
    sums
        CSR (p, L): how features add up to the linked ones.
    kind
        Of counts, as in ``uns["kind"]``; "" of other values.
    rows
        int (m,): the cells of ``matrix`` that are meant, in this order.
    """

    matrix: sparse.csr_matrix | np.ndarray
    sums: sparse.csr_matrix
    kind: str
    rows: np.ndarray

    def values(self) -> np.ndarray:
        """float32 (m, L): mean 0 and sd 1 over the cells, uncorrelated with their depth.

        Counts are summed, then log1p of their share of the cell's total at the median depth; of proteins,
        log1p less the cell's mean of it. Other values are summed as z-scores.
        """
        x = self.matrix[self.rows]
        if not self.kind:
            return _standard(_standard(x.toarray() if sparse.issparse(x) else np.asarray(x)) @ self.sums)
        x = sparse.csr_matrix(x, dtype=np.float64)
        depth = np.asarray(x.sum(axis=1)).ravel()
        if self.kind == c.PROTEIN:
            level = np.asarray(x.log1p().mean(axis=1)).ravel()
            values = np.log1p((x @ self.sums).toarray()) - level[:, None]
        else:
            scale = np.median(depth) / np.maximum(depth, 1)
            summed = (sparse.diags(scale) @ x @ self.sums).toarray()
            values = np.sign(summed) * np.log1p(np.abs(summed))
        return _standard(_without(_standard(values), np.log1p(depth)))


@dataclass(frozen=True)
class LinkedFeatures:
    """Linked features of two modalities, one to one: a feature with many partners stands against their sum.

    Attributes
    ----------
    sides
        Of both modalities.
    names
        Of the L linked features.
    """

    sides: tuple[Side, Side]
    names: tuple[str, ...]

    @classmethod
    def of(cls, first, second, table: pd.DataFrame) -> LinkedFeatures:
        """Linked features of prepared cells.

        Parameters
        ----------
        first, second
            AnnData, prepared: ``layers["counts"]`` where there are counts, else ``X``.
        table
            Columns first, second, weight, as of `jamie.data.linked`; features that were left out are passed
            over.
        """
        table = table[table["first"].isin(first.var_names) & table["second"].isin(second.var_names)]
        one = "first" if table["first"].nunique() <= table["second"].nunique() else "second"
        names = list(dict.fromkeys(table[one]))
        place = pd.Index(names).get_indexer(table[one])
        sides = []
        for column, adata in (("first", first), ("second", second)):
            weight = np.ones(len(table)) if column == one else table["weight"].to_numpy(float)
            at = adata.var_names.get_indexer(table[column])
            sums = sparse.coo_matrix((weight, (at, place)), (adata.n_vars, len(names))).tocsr()
            if column == one:
                sums.data[:] = 1  # one feature, however many partners it has
            counted = c.COUNTS in adata.layers
            matrix = adata.layers[c.COUNTS] if counted else adata.X
            kind = adata.uns[c.KIND] if counted else ""
            sides.append(Side(matrix, sums, kind, np.arange(adata.n_obs)))
        return cls(tuple(sides), tuple(names))

    def __len__(self) -> int:
        return len(self.names)

    def cells(self, rows: np.ndarray, cols: np.ndarray) -> LinkedFeatures:
        """The same of these cells of either modality, in this order."""
        sides = (replace(s, rows=s.rows[i]) for s, i in zip(self.sides, (rows, cols), strict=True))
        return LinkedFeatures(tuple(sides), self.names)

    def values(self) -> tuple[np.ndarray, np.ndarray]:
        """Of all cells meant: float32 (n_1, L), (n_2, L)."""
        return self.sides[0].values(), self.sides[1].values()


def _standard(x: np.ndarray) -> np.ndarray:
    sd = x.std(axis=0)
    return ((x - x.mean(axis=0)) / np.where(sd > 0, sd, 1)).astype(np.float32)


def _without(x: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Values (n, L) of mean 0, less what follows linearly from another value of the cells (n,)."""
    if np.ptp(by) == 0:
        return x
    by = ((by - by.mean()) / np.linalg.norm(by - by.mean())).astype(x.dtype)
    return x - np.outer(by, by @ x)


def moments(features, values, of_all, ridge: float, which=slice(None)) -> Moments:
    """What linked features say of shared coordinates, as if it had come from one pair of cells.

    A feature loads on the components of its modality, its partner on those of the other; the sum over links
    of the products of their loadings says which directions of one are those of the other. Its singular
    values, over whitened components, grow with what is shared to about the power of two, hence `POWER`.

    Parameters
    ----------
    features
        float (n_1, d_1), (n_2, d_2), of mean 0 over all cells of the modality.
    values
        float (n_1, L), (n_2, L): of the linked features of the same cells.
    of_all
        Covariances (d_1, d_1), (d_2, d_2) of all cells.
    which
        The links that may be used, by position.
    """
    loadings, whiten, unwhiten = [], [], []
    for f, x, covariance in zip(features, values, of_all, strict=True):
        loadings.append((f - f.mean(axis=0)).T.astype(np.float64) @ x[:, which] / len(f))
        eigenvalues, vectors = np.linalg.eigh(covariance)
        root = np.sqrt(np.maximum(eigenvalues, 0) + ridge * max(eigenvalues.mean(), 1e-12))
        whiten.append(vectors / root @ vectors.T)
        unwhiten.append(vectors * root @ vectors.T)
    u, s, vt = np.linalg.svd(whiten[0] @ loadings[0] @ (whiten[1] @ loadings[1]).T, full_matrices=False)
    s = (s / max(s[0], 1e-12)) ** POWER
    across = unwhiten[0] @ (u * s) @ vt @ unwhiten[1]
    zero = tuple(np.zeros(len(v)) for v in of_all)
    return Moments(1.0, *zero, of_all, across)
