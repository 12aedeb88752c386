"""The linear projection: PCA of scaled values, the same for sparse input, and exact on the way back."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.decomposition import PCA

from jamie.linear import blocks, principal
from jamie.linear.projection import Projection

N, P = 120, 40


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    """Sparse-looking, correlated, of very different scales, with a few dominant directions."""
    rng = np.random.default_rng(0)
    values = rng.gamma(1, 1, (N, 8)) @ rng.gamma(0.5, 1, (8, P)) + rng.random((N, P))
    return (np.where(rng.random((N, P)) < 0.4, 0, values) * rng.lognormal(0, 1, P)).astype(np.float32)


def fit(x, k: int = 6) -> Projection:
    return Projection.fit(x, (x.toarray() if sparse.issparse(x) else x).std(axis=0), k)


def up_to_sign(scores: np.ndarray, like: np.ndarray) -> np.ndarray:
    return scores * np.sign((scores * like).sum(axis=0))


def test_scores_are_sklearns_pca_of_scaled_values_over_one_scale(x):
    projection = fit(x)
    pca = PCA(6, svd_solver="full").fit(x.astype(float) / x.std(axis=0))
    wanted = pca.transform(x.astype(float) / x.std(axis=0))
    scores = projection.transform(x) * projection.scale
    np.testing.assert_allclose(up_to_sign(scores, wanted), wanted, atol=1e-4)
    assert projection.scale == pytest.approx(np.sqrt(pca.explained_variance_.mean()))


def test_training_scores_have_one_overall_variance_and_keep_their_proportions(x):
    scores = fit(x).transform(x)
    variance = scores.var(axis=0, ddof=1)
    assert variance.mean() == pytest.approx(1, rel=1e-4)
    assert variance[0] > 2 * variance[-1]  # not whitened
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-5)


def test_sparse_input_gives_what_dense_input_gives(x):
    from_dense, from_sparse = fit(x), fit(sparse.csr_matrix(x))
    a, b = from_dense.transform(x), from_sparse.transform(sparse.csr_matrix(x))
    assert a.dtype == b.dtype == np.float32
    np.testing.assert_allclose(up_to_sign(a, b), b, atol=1e-4)
    np.testing.assert_allclose(from_dense.inverse(a), from_sparse.inverse(b), atol=1e-3)


def test_wide_input_takes_the_other_solver_to_the_same_result():
    wide = sparse.random(30, 3000, density=0.1, random_state=0, format="csr", dtype=np.float32)
    sd = wide.toarray().std(axis=0)
    keep = sd > 0
    wide, sd = wide[:, keep], sd[keep]
    assert wide.shape[1] > 2500
    scaled = wide.toarray().astype(float) / sd
    wanted = PCA(5, svd_solver="full").fit_transform(scaled)
    projection = Projection.fit(wide, sd, 5)
    scores = projection.transform(wide) * projection.scale
    np.testing.assert_allclose(up_to_sign(scores, wanted), wanted, atol=1e-3)


@pytest.fixture
def exact_only_up_to_20(monkeypatch):
    """Send small matrices down the road of large ones."""
    monkeypatch.setattr(principal, "SHORT", 20)
    monkeypatch.setattr(blocks, "BLOCK_VALUES", 50 * P)  # several blocks of cells


def exact(x, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Axes and variances of scikit-learn's exact PCA of scaled values."""
    scaled = (x.toarray() if sparse.issparse(x) else x).astype(float)
    pca = PCA(k, svd_solver="full").fit(scaled / scaled.std(axis=0))
    return pca.components_, pca.explained_variance_


@pytest.mark.parametrize("layout", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("shape", [(900, 300), (300, 900)])
def test_large_input_is_decomposed_as_by_an_exact_pca(exact_only_up_to_20, layout, shape):
    rng = np.random.default_rng(0)
    signal = rng.gamma(1, 1, (shape[0], 12)) @ rng.gamma(0.3, 2, (12, shape[1]))
    x = layout(rng.poisson(0.3 * signal).astype(np.float32))
    axes, variance = exact(x, 8)
    projection = fit(x, 8)
    np.testing.assert_allclose((projection.components * axes).sum(axis=1), 1, atol=1e-5)
    assert projection.scale == pytest.approx(np.sqrt(variance.mean()), rel=1e-5)


def test_in_a_flat_tail_of_noise_the_axes_hold_nearly_what_the_best_ones_hold(monkeypatch):
    monkeypatch.setattr(principal, "SHORT", 500)
    monkeypatch.setattr(principal, "KRYLOV", (200, 5))  # 450 dimensions for 50 axes, of 1,000
    rng = np.random.default_rng(0)
    signal = 3 * rng.normal(size=(1200, 4)) @ rng.normal(size=(4, 1000))
    x = (signal + rng.normal(size=signal.shape)).astype(np.float32)
    sd = x.std(axis=0)
    _, axes, found = principal.principal_axes(x, sd, 50)
    best = PCA(50, svd_solver="full").fit(x.astype(float) / sd)
    np.testing.assert_allclose((axes * best.components_).sum(axis=1)[:4], 1, atol=1e-5)
    np.testing.assert_allclose(found[:4], best.explained_variance_[:4], rtol=1e-5)
    assert 0.99 < found[4:].sum() / best.explained_variance_[4:].sum() <= 1 + 1e-5
    assert (np.diff(found) <= 0).all()


@pytest.mark.parametrize("n_components", [5, 30])
def test_large_input_of_low_rank_gives_its_rank_and_orthonormal_axes(exact_only_up_to_20, n_components):
    rng = np.random.default_rng(0)
    x = (rng.random((200, 3)) @ rng.random((3, 150))).astype(np.float32)
    projection = fit(x, n_components)
    np.testing.assert_allclose(
        projection.components @ projection.components.T, np.eye(n_components), atol=1e-8
    )
    variance = projection.transform(x).var(axis=0)
    assert (variance[3:] < 1e-8 * variance[0]).all() and variance[2] > 1e-4 * variance[0]


@pytest.mark.parametrize("shape", [(120, 30), (15, 200), (200, 150)])
def test_the_same_input_gives_the_same_bits(exact_only_up_to_20, shape):
    x = sparse.random(*shape, density=0.4, random_state=0, format="csr", dtype=np.float32)
    first, second = fit(x), fit(x)
    np.testing.assert_array_equal(first.components, second.components)
    np.testing.assert_array_equal(first.transform(x), second.transform(x))


def test_equal_cells_leave_orthonormal_axes_even_where_nothing_varies():
    x = np.repeat(np.random.default_rng(0).random((3, 2600)), 4, axis=0).astype(np.float32)
    projection = fit(x, 6)
    np.testing.assert_allclose(projection.components @ projection.components.T, np.eye(6), atol=1e-8)
    assert np.isfinite(projection.transform(x)).all()


def test_inverse_is_exact_at_full_rank(x):
    projection = fit(x, k=P)
    np.testing.assert_allclose(
        projection.inverse(projection.transform(x)), x, atol=1e-3 * x.std(axis=0).max()
    )


def test_inverse_of_the_origin_is_the_mean(x):
    projection = fit(x)
    np.testing.assert_allclose(projection.inverse(np.zeros((1, 6)))[0], x.mean(axis=0), rtol=1e-4)


def test_inverse_of_few_components_is_the_best_approximation_of_that_rank(x):
    projection, sd = fit(x), x.std(axis=0)
    back = projection.inverse(projection.transform(x)) / sd
    scaled = x / sd
    singular = np.linalg.svd(scaled - scaled.mean(axis=0), compute_uv=False)
    assert ((scaled - back) ** 2).sum() == pytest.approx((singular[6:] ** 2).sum(), rel=1e-3)


@pytest.mark.parametrize(("n", "p", "wanted", "k"), [(5, 40, 30, 4), (120, 3, 30, 3), (120, 40, 30, 30)])
def test_never_more_components_than_the_data_have(x, n, p, wanted, k):
    part = x[:n, :p] + np.random.default_rng(1).random((n, p))
    projection = fit(part, wanted)
    assert projection.components.shape == (k, p)
    assert projection.transform(part).shape == (n, k)
    np.testing.assert_allclose(projection.components @ projection.components.T, np.eye(k), atol=1e-8)


def test_arrays_hold_everything(x, tmp_path):
    projection = fit(x)
    np.savez(tmp_path / "arrays.npz", **projection.arrays())
    with np.load(tmp_path / "arrays.npz") as arrays:
        again = Projection.from_arrays(dict(arrays))
    np.testing.assert_array_equal(again.transform(x), projection.transform(x))
    np.testing.assert_array_equal(again.inverse(x[:, :6]), projection.inverse(x[:, :6]))


def test_new_cells_are_projected_with_what_was_learned(x):
    projection = fit(x[:60])
    np.testing.assert_allclose(projection.transform(x)[60:], projection.transform(x[60:]), atol=1e-5)
    assert abs(projection.transform(x[60:] + 5 * x.std(axis=0)).mean()) > 0.1
