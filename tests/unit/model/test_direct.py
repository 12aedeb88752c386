"""The direct way of imputation: the regression it is, its Jacobian, its weight, and where it has no part."""

import numpy as np
import pytest
import torch
from scipy import sparse

from jamie import JAMIE
from jamie.linear.kernel import KernelRidge
from jamie.model import direct

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def sides(n: int = 80, seed: int = 0):
    """Components (n, 3) and (n, 2): the second is a curve of the first."""
    x = np.random.default_rng(seed).normal(size=(n, 3)).astype(np.float32)
    return x, np.column_stack([np.cos(x[:, 0]), x[:, 1] * x[:, 2]]).astype(np.float32)


def pairs(n: int = 80, known: int = 60) -> sparse.csr_matrix:
    return sparse.diags((np.arange(n) < known).astype(np.float32)).tocsr()


def test_it_is_the_regression_of_the_known_pairs():
    x, y = sides()
    there, back = direct.fit((x, y), pairs(), seed=0)
    for way, a, b in ((there, x, y), (back, y, x)):
        of_pairs = KernelRidge.fit(a[:60].astype(float), b[:60].astype(float), 0)
        np.testing.assert_allclose(way.predict(a), of_pairs.predict(a), atol=1e-5)


def test_many_cells_are_taken_in_parts(monkeypatch):
    x, y = sides()
    way = direct.fit((x, y), pairs(), seed=0)[0]
    whole = way.predict(x)
    monkeypatch.setattr(direct, "AT_ONCE", 7)
    np.testing.assert_allclose(way.predict(x), whole, atol=1e-6)
    assert way.predict(x[:0]).shape == (0, 2)


@pytest.mark.parametrize(("known", "n_ways"), [(19, 0), (20, 2)])
def test_few_pairs_are_no_regression(known, n_ways):
    assert len(direct.fit(sides(), pairs(known=known), seed=0)) == n_ways


def test_jacobians_are_those_of_autograd():
    x, y = sides()
    way = direct.fit((x, y), pairs(), seed=0)[0]
    steps = (np.arange(4) + 0.5) / 4
    found = way.path_jacobians(torch.as_tensor(x[:5]), steps)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda cell: way(cell[None])[0]))
    expected = sum(jacobian(torch.as_tensor(x[:5]) * step) for step in steps) / len(steps)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_the_better_of_both_weighs_more_and_few_pairs_weigh_both_alike():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(1000, 4))
    good, bad = (truth + sd * rng.normal(size=truth.shape) for sd in (0.1, 3.0))
    assert direct.share(truth, good, bad) > 0.9
    assert direct.share(truth, bad, good) < 0.1
    assert direct.share(truth[:10], good[:10], bad[:10]) == pytest.approx((10 + 50) / 110, abs=0.01)
    assert direct.share(truth[:0], good[:0], bad[:0]) == 0.5
    alike = truth + 0.5 * rng.normal(size=truth.shape)
    assert direct.share(truth, alike, truth + 0.5 * rng.normal(size=truth.shape)) == pytest.approx(
        0.5, abs=0.05
    )
    assert direct.share(truth, alike, alike) == pytest.approx(
        50 / 1100
    )  # they say the same: any weight will do


def test_latents_have_no_part_in_it(prepared_multiome):
    options = {"max_epochs": 2, "min_steps": 2, "folds": 0, "device": "cpu", "progress": False}
    model, alone = (JAMIE(direct=on, **options).fit(prepared_multiome) for on in (True, False))
    for a, b in zip(
        model.embed(prepared_multiome).values(), alone.embed(prepared_multiome).values(), strict=True
    ):
        np.testing.assert_array_equal(a, b)
    x = model.model_input(prepared_multiome, "rna")
    both = model.imputed(x, "rna")
    decoded = model.components(model.encode(x, "rna"), "atac")
    regressed = model.model.direct[0](torch.as_tensor(x)).numpy()
    np.testing.assert_allclose(both, (decoded + regressed) / 2, atol=1e-5)
    np.testing.assert_array_equal(alone.imputed(x, "rna"), decoded)
    assert not JAMIE("paper").options.direct


@pytest.fixture(scope="module")
def calibrated(prepared_multiome):
    options = {"max_epochs": 3, "min_steps": 3, "folds": 2, "device": "cpu", "progress": False}
    return JAMIE(direct=True, residual=True, **options).fit(prepared_multiome)


def test_what_calibrates_is_weighted_as_what_is_imputed(calibrated):
    shares = calibrated.fit_info_["calibration"]["shares"]
    assert set(shares) == set(calibrated.modalities)
    first, second = calibrated.modalities
    for axis, target in enumerate((second, first)):
        assert 0 <= shares[target] < 1
        assert calibrated.model.direct[axis].share.item() == pytest.approx(shares[target])
    assert not any(fold.regressed or fold.regressed_alone for fold in calibrated.crossfit_.folds)


def test_it_is_saved_with_the_model(calibrated, prepared_multiome, tmp_path):
    calibrated.save(tmp_path / "model")
    again = JAMIE.load(tmp_path / "model", device="cpu")
    for source, target in (calibrated.modalities, calibrated.modalities[::-1]):
        found = again.impute(prepared_multiome, source, target)
        np.testing.assert_array_equal(found, calibrated.impute(prepared_multiome, source, target))
        assert again.model.direct[0].share.item() == calibrated.model.direct[0].share.item()


def test_few_pairs_leave_the_decoder_alone(prepared_multiome):
    options = {"max_epochs": 2, "min_steps": 2, "folds": 2, "device": "cpu", "progress": False}
    names = [a.obs_names for a in prepared_multiome.mod.values()]
    known = sparse.csr_matrix((np.ones(25), (np.arange(25), np.arange(25))), tuple(map(len, names)))
    model = JAMIE(direct=True, **options).fit(prepared_multiome, known)
    assert not len(model.model.direct)  # 25 pairs, but the cross-fits have 12 each, too few to weigh it by
