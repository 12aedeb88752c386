"""Kernel ridge: the closed form it must equal, a curve, noise, and more pairs than landmarks."""

import numpy as np
import pytest
from sklearn import kernel_ridge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.preprocessing import KernelCenterer

from jamie.linear import kernel
from jamie.linear.kernel import KernelRidge


def curve(n: int, noise: float = 0.05, seed: int = 0):
    """Points x (n, 2) and y (n, 2): even functions of x, which no linear map follows."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (n, 2))
    y = np.column_stack([np.cos(2 * x[:, 0]), x[:, 0] ** 2 - x[:, 1] ** 2])
    return x, y + noise * rng.normal(size=y.shape)


def explained(model, x, y) -> np.ndarray:
    """R2 of each column."""
    return 1 - ((model.predict(x) - y) ** 2).sum(axis=0) / ((y - y.mean(axis=0)) ** 2).sum(axis=0)


def test_with_few_pairs_it_is_kernel_ridge_regression_itself():
    (x, y), (new, _) = curve(120), curve(30, seed=1)
    model = KernelRidge.fit(x, y, seed=0)
    centre = KernelCenterer().fit(rbf_kernel(x, gamma=model.gamma))
    within = centre.transform(rbf_kernel(x, gamma=model.gamma))
    across = centre.transform(rbf_kernel(new, x, gamma=model.gamma))
    exact = kernel_ridge.KernelRidge(alpha=model.penalty, kernel="precomputed").fit(
        within, y - y.mean(axis=0)
    )
    np.testing.assert_allclose(model.predict(new), exact.predict(across) + y.mean(axis=0), atol=1e-4)


def test_it_follows_a_curve_that_no_line_follows():
    (x, y), unseen = curve(300), curve(200, seed=1)
    assert (explained(KernelRidge.fit(x, y, seed=0), *unseen) > 0.95).all()


def test_what_cannot_be_predicted_is_the_mean():
    x, y = curve(300)
    y[:, 1] = np.random.default_rng(5).normal(size=300)
    model = KernelRidge.fit(x, y, seed=0)
    unseen, truth = curve(300, seed=1)
    assert explained(model, unseen, truth)[0] > 0.95
    assert np.var(model.predict(unseen)[:, 1]) < 0.05
    assert model.penalty[1] > 100 * model.penalty[0]


def test_beyond_so_many_pairs_the_kernel_rests_on_landmarks(monkeypatch):
    monkeypatch.setattr(kernel, "LANDMARKS", 60)
    monkeypatch.setattr(kernel, "CHOSEN_ON", 200)
    model = KernelRidge.fit(*curve(1_000), seed=0)
    assert model.landmarks.shape == (60, 2)
    assert (explained(model, *curve(200, seed=1)) > 0.9).all()


@pytest.mark.parametrize("n", [20, 21])
def test_the_fewest_pairs_give_finite_values(n):
    x, y = curve(n)
    assert np.isfinite(KernelRidge.fit(x, y, seed=0).predict(x)).all()
    same = KernelRidge.fit(np.ones((n, 2)), y, seed=0)  # cells that are all alike
    np.testing.assert_allclose(same.predict(np.ones((1, 2)))[0], y.mean(axis=0), atol=1e-6)
