"""What the encoders see and latents start from: the axes the known pairs share, the rest shrunk."""

import numpy as np
import pytest
import torch
from scipy import sparse

from jamie.model.canonical import SharedAxes
from jamie.model.network import JointVAE
from jamie.model.options import Options
from jamie.model.trainer import train
from jamie.model.watch import validation_split

N_CELLS, STRENGTH = 400, 100.0
pytestmark = pytest.mark.usefixtures("one_torch_thread")


def two_views(n: int = N_CELLS, n_inputs=(6, 5), seed: int = 0):
    """Input 0 of both modalities is the same, the others are noise of the same size."""
    rng = np.random.default_rng(seed)
    x = [rng.normal(size=(n, p)).astype(np.float32) for p in n_inputs]
    x[1][:, 0] = x[0][:, 0]
    return tuple(x)


def pairs(n: int = N_CELLS, shown: int | None = None) -> sparse.csr_matrix:
    return sparse.diags((np.arange(n) < (n if shown is None else shown)).astype(np.float32)).tocsr()


def maps(x, f, strength=STRENGTH):
    return SharedAxes.of(x, f, strength, start=False).maps


def strength_of_inputs(axes: np.ndarray) -> np.ndarray:
    return np.linalg.norm(axes, axis=1)


def test_what_is_shared_comes_first_and_noise_is_small():
    x = two_views()
    for side, axes in zip(x, maps(x, pairs()), strict=True):
        assert axes.shape == (side.shape[1],) * 2 and axes.dtype == np.float32
        spread = (side @ axes).std(axis=0)
        assert spread[0] > 4 * spread[1:].max()
        assert strength_of_inputs(axes).argmax() == 0
        assert np.square(spread).mean() == pytest.approx(1, rel=1e-4)


def test_both_modalities_come_to_lie_side_by_side():
    x = two_views()
    first, second = (side @ axes for side, axes in zip(x, maps(x, pairs()), strict=True))
    assert np.corrcoef(first[:, 0], second[:, 0])[0, 1] > 0.95


def test_more_ridge_shrinks_more():
    x = two_views(n_inputs=(6, 6))
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0].astype(np.float32)
    x = x[0], x[0] @ rotation * np.linspace(1, 0.2, 6).astype(np.float32)
    ratios = []
    for strength in (10.0, 1000.0):
        spread = (x[1] @ maps(x, pairs(), strength)[1]).std(axis=0)
        ratios.append(spread[0] / spread[-1])
    assert ratios[1] > 2 * ratios[0]


def test_fewer_pairs_than_inputs_leave_the_input_as_it_is():
    x = two_views()
    assert SharedAxes.of(x, pairs(shown=5), STRENGTH, start=True) is None
    assert SharedAxes.of(x, pairs(shown=6), STRENGTH, start=True) is not None


def test_a_soft_pair_counts_by_its_value():
    x = two_views()
    assert SharedAxes.of(x, pairs(shown=10) * 0.5, STRENGTH, start=True) is None
    certain, soft = maps(x, pairs()), maps(x, pairs() * 0.5, STRENGTH / 2)
    for a, b in zip(certain, soft, strict=True):
        np.testing.assert_allclose(np.abs(a), np.abs(b), atol=1e-5)


def small(**options) -> Options:
    return Options.of(hidden_layers=[8], n_latent=4, max_epochs=2, min_steps=2, device="cpu", **options)


def test_a_fit_learns_its_axes_from_fitted_cells_only():
    x, f, options = two_views(), pairs(), small(validation_fraction=0.2, residual=True)
    fit_rows, watched = validation_split(f, options.validation_fraction, 0)
    other = tuple(side.copy() for side in x)
    for side, rows in zip(other, watched, strict=True):
        side[rows] = 7.0
    before = train(x, f, options, progress=False).model
    after = train(other, f, options, progress=False).model
    of_fit = tuple(side[rows] for side, rows in zip(x, fit_rows, strict=True))
    expected = SharedAxes.of(of_fit, f[fit_rows[0]][:, fit_rows[1]], options.canonical_ridge, start=True)
    for a, b, axes in zip(before.vaes, after.vaes, expected.maps, strict=True):
        torch.testing.assert_close(a.axes, b.axes)
        torch.testing.assert_close(a.axes, torch.as_tensor(axes))
        torch.testing.assert_close(a.shared, b.shared)
        torch.testing.assert_close(a.shared.diag(), torch.as_tensor(expected.latent[:4]))


def test_latents_start_from_what_is_shared_beyond_chance():
    x = two_views()
    latent = SharedAxes.of(x, pairs(), STRENGTH, start=True).latent
    assert latent.shape == (5,) and latent.dtype == np.float32
    assert 0.9 < latent[0] <= 1
    assert not latent[1:].any()
    assert not SharedAxes.of(x, pairs(), STRENGTH, start=False).latent.any()


def test_where_nothing_is_shared_latents_start_at_nothing():
    views = ((two_views(seed=seed)[0], two_views(seed=100 + seed)[1]) for seed in range(40))
    starts = np.array([SharedAxes.of(x, pairs(), STRENGTH, start=True).latent for x in views])
    assert (starts.any(axis=1)).sum() <= 6  # one in 20 by chance: more than 6 of 40 at p < 0.005
    assert (starts < 0.6).all()


@pytest.mark.parametrize("beyond", [[1.0, 0.5], [0.0, 0.0]])
def test_the_encoder_sees_the_input_along_the_axes_and_adds_to_them(beyond):
    model = JointVAE((3, 2), small(residual=True)).eval()
    x = torch.randn(7, 3)
    mu, log_var = model.vaes[0].encode(x)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0].astype(np.float32)
    model.set_axes(SharedAxes((turn, np.eye(2, dtype=np.float32)), np.array(beyond, np.float32)))
    found = model.vaes[0].encode(x @ torch.as_tensor(turn).T)
    torch.testing.assert_close(found[0][:, :2], mu[:, :2] + x[:, :2] * torch.tensor(beyond))
    torch.testing.assert_close(found[0][:, 2:], mu[:, 2:])
    torch.testing.assert_close(found[1], log_var)


def test_a_latent_of_fewer_dimensions_takes_the_first_coordinates():
    model = JointVAE((6, 5), Options.of(hidden_layers=[8], n_latent=3, residual=True, device="cpu"))
    model.set_axes(SharedAxes.of(two_views(), pairs(), STRENGTH, start=True))
    assert model.vaes[0].shared.shape == (6, 3) and model.vaes[1].shared.shape == (5, 3)


def test_without_the_option_there_are_no_axes():
    options = small(canonical_ridge=None, residual=True)
    fitted = train(two_views(), pairs(), options, progress=False).model
    assert not any("axes" in name or "shared" in name for name in fitted.state_dict())
    assert Options.of("paper").canonical_ridge is None
