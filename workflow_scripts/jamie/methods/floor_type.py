"""Floor: what can be imputed from nothing but the cell type that the source modality suggests.

A logistic regression on the source's principal components gives each cell a probability of every type; the
imputed value is the mean of the target's training cells of each type, weighted by these. The expected value
is taken rather than the mean of the likeliest type: it is the better guess of the two, so that a method has
more to beat.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from jamie.linear.projection import Projection
from jamie.methods.base import labels_of, n_components, shared_types
from jamie.registry import Spec

SPEC = Spec(
    label="floor: predicted type",
    summary="The target's training mean of each cell type, weighted by the type's probability in a logistic "
    "regression on the source's principal components. It reads labels, which no method does.",
    citation="scikit-learn's LogisticRegression",
    embeds=False,
    min_types=2,
    control="floor",
    cost="linear in cells",
    options={"n_components": None},
)


class Method:
    """``n_components`` of the source; None: as many as every method gets that learns from no pair."""

    def __init__(self, *, seed: int = 0, n_components: int | None = None):
        self.n_components = n_components

    def fit(self, train, known) -> Method:
        """Classifiers of both modalities' labelled training cells, and their means by type."""
        from sklearn.linear_model import LogisticRegression

        k = n_components(train, None, self.n_components)
        types, labels = shared_types(train, known), labels_of(train, known)
        self.spaces, self.classifiers, self.means = {}, {}, {}
        for name, adata in train.mod.items():
            rows = np.flatnonzero(np.isin(labels[name], types))
            codes = pd.Index(types).get_indexer(labels[name][rows])
            self.spaces[name] = Projection.fit(adata.X, adata.var["sd"].to_numpy(), k)
            scores = self.spaces[name].transform(adata.X[rows]).astype(float)
            self.classifiers[name] = LogisticRegression(max_iter=1_000).fit(scores, codes)
            self.means[name] = group_means(adata.X[rows], codes, len(types))
        return self

    def imputer(self, mdata, source: str, target: str):
        scores = self.spaces[source].transform(mdata.mod[source].X).astype(float)
        probability = self.classifiers[source].predict_proba(scores).astype(np.float32)
        return lambda rows: probability[rows] @ self.means[target]


def group_means(x, codes: np.ndarray, n_groups: int) -> np.ndarray:
    """Mean of the rows of x (n, p), sparse or dense, in each of ``n_groups``: float32 (n_groups, p)."""
    n = np.bincount(codes, minlength=n_groups)
    member = sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), (n_groups, len(codes)))
    total = member @ x
    total = total.toarray() if sparse.issparse(total) else np.asarray(total)
    return (total / n[:, None]).astype(np.float32)
