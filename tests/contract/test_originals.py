"""Beside public implementations: as good a value of the objective on the same input.

The one of UnionCom is not among the locked packages: `pip install unioncom==0.4.0 torchvision` for its test.
"""

import numpy as np
import pytest
from scipy import sparse

from jamie.matching import unioncom
from jamie.methods import cca
from shared.curves import cells

N = 150


def pair() -> tuple[np.ndarray, np.ndarray]:
    """The same cells twice: as they are, and bent, rotated and with noise; (n, 12) each."""
    rng = np.random.default_rng(4)
    first = cells()[:N]
    rotation = np.linalg.qr(rng.normal(size=(12, 12)))[0]
    return first, np.tanh(first @ rotation / 3) * 3 + 0.1 * rng.normal(size=first.shape)


def test_cca_without_shrinkage_reaches_the_correlations_of_scikit_learn():
    from sklearn.cross_decomposition import CCA

    first, second = (side - side.mean(axis=0) for side in pair())
    theirs = CCA(n_components=8, max_iter=5000, tol=1e-9).fit(first, second).transform(first, second)
    axes = cca.Axes.fit([first, second], 8, 0.0)
    ours = [axes.transform(side, i) for i, side in enumerate((first, second))]

    def correlations(variates):
        return [np.corrcoef(a, b)[0, 1] for a, b in zip(*(v.T for v in variates), strict=True)]

    np.testing.assert_allclose(correlations(ours), correlations(theirs), atol=1e-3)


def test_primal_dual_matching_is_as_good_as_the_published_one(monkeypatch):
    published = pytest.importorskip("unioncom.UnionCom", exc_type=ImportError).UnionCom
    if not hasattr(np, "int"):
        monkeypatch.setattr(np, "int", int, raising=False)  # the package is of before numpy 1.24
    distances = [unioncom._geodesics(side, 10)[0] for side in pair()]
    original = published(epoch_pd=2000)
    original.device = "cpu"
    theirs = original.Prime_Dual(distances, dx=1.0, dy=1.0)
    none, everywhere = sparse.csr_matrix((N, N)), np.ones((N, N), dtype=bool)
    ours = unioncom._solve(distances, everywhere, none, np.random.default_rng(0), device="cpu")

    def agreement(f):
        """Correlation of one geometry with the other as f sends it: the objective without its scale."""
        return np.corrcoef(distances[0].ravel(), (f @ distances[1] @ f.T).ravel())[0, 1]

    assert agreement(ours) > agreement(theirs) - 0.02
