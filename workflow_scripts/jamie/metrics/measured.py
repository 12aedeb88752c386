"""What is known of the measured values before any method is scored, and so is the same for all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from jamie import contract as c
from jamie.linear.components import FEW_COMPONENTS
from jamie.linear.projection import Projection
from jamie.metrics.attainable import attainable
from jamie.metrics.feature_scores import cell_types

CELLS_A_CLUSTER, MAX_CLUSTERS = 25, 15


@dataclass
class Measured:
    """Groups of cells within which imputed values are compared with measured ones, and what r can be reached.

    Attributes
    ----------
    groups
        {modality that is imputed: int (n,)}, of its cells, below 0 = in none.
    by_cluster
        {modality: whether these are clusters, for want of labels}.
    attainable
        {modality: Pearson r that could be reached, float (p,), see `jamie.metrics.attainable`; None without
        counts}, of the cells that have a partner.
    """

    groups: dict[str, np.ndarray]
    by_cluster: dict[str, bool]
    attainable: dict[str, np.ndarray | None]

    @classmethod
    def of(cls, prepared, truth) -> Measured:
        """From prepared data and all true pairs (a `Correspondence`).

        A modality's groups are its cell types; where it has none, those of its cells' partners; where these
        have none either, `clusters` of its own measured values.
        """
        names = c.check_two_modalities(prepared)
        pairs = truth.align(*(prepared.mod[m].obs_names for m in names)).certain_pairs()
        labels = {m: cell_types(prepared.mod[m]) for m in names}
        groups, by_cluster = {}, {}
        for axis, (name, other) in enumerate((names, names[::-1])):
            own = labels[name]
            if own is None and labels[other] is not None:
                own = np.full(prepared.mod[name].n_obs, "", dtype=object)
                own[pairs[:, axis]] = labels[other][pairs[:, 1 - axis]]
            by_cluster[name] = own is None or not (own != "").any()
            groups[name] = clusters(prepared.mod[name]) if by_cluster[name] else _codes(own)
        reach = {m: attainable(prepared.mod[m], rows) for m, rows in zip(names, pairs.T, strict=True)}
        return cls(groups, by_cluster, reach)


def _codes(labels: np.ndarray) -> np.ndarray:
    return np.where(labels == "", -1, pd.factorize(labels)[0])


def clusters(adata) -> np.ndarray:
    """Clusters of a modality's cells by their measured values: int (n,).

    k-means on principal components of training cells, one cluster for 25 of these and 15 at most; any cell
    belongs to the nearest centre. Nothing imputed enters, so no method is favoured. As the values to be
    imputed say themselves where a cell belongs, rather too little is left within a cluster than too much.
    """
    from sklearn.cluster import KMeans

    train = (
        np.ones(adata.n_obs, bool) if c.ROLE not in adata.obs else (adata.obs[c.ROLE] == c.TRAIN).to_numpy()
    )
    x = sparse.csr_matrix(adata.X) if sparse.issparse(adata.X) else adata.X
    space = Projection.fit(x[train], adata.var["sd"].to_numpy(), FEW_COMPONENTS)
    scores = space.transform(x)
    n_clusters = int(np.clip(train.sum() // CELLS_A_CLUSTER, 1, MAX_CLUSTERS))
    return KMeans(n_clusters, n_init=3, random_state=0).fit(scores[train]).predict(scores)
