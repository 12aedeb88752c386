"""Native units: known regressions are recovered, few pairs are not trusted, means come out right."""

import numpy as np
import pytest
from scipy import sparse

from jamie import JAMIE
from jamie import contract as c
from jamie.data import preprocess
from jamie.data.correspondence import from_names
from jamie.data.simulate import simulate_multiome
from jamie.data.split import split_cells
from jamie.model import native

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def regression(n: int, slope: float = 0.6, offset: float = -1.0, seed: int = 0):
    """Counts of 40 features that follow u, with sizes, over-dispersed."""
    rng = np.random.default_rng(seed)
    u, size = rng.normal(size=(n, 40)), rng.lognormal(3, 0.4, n)
    mu = size[:, None] * np.exp(offset + slope * u)
    return rng.poisson(mu * rng.gamma(5, 1 / 5, mu.shape)).astype(float), u, size


def test_many_pairs_recover_offset_and_slope():
    y, u, size = regression(4000)
    a, b = native.fit_counts(y, u, size, np.zeros(40))
    np.testing.assert_allclose(a, -1, atol=0.03)
    np.testing.assert_allclose(b, 0.6, atol=0.05)
    mu = size[:, None] * np.exp(a + b * u)
    np.testing.assert_allclose(mu.sum(axis=0), y.sum(axis=0), rtol=2e-3)


def test_without_pairs_what_is_believed_stays_and_few_move_it_a_little():
    believed = np.linspace(-2, 1, 40)
    a, b = native.fit_counts(np.empty((0, 40)), np.empty((0, 40)), np.empty(0), believed)
    np.testing.assert_array_equal(a, believed)
    np.testing.assert_array_equal(b, 1)
    y, u, size = regression(4, offset=-6)  # hardly a count: next to no information
    a, b = native.fit_counts(y, u, size, np.full(40, -5.0))
    assert (np.abs(b - 1) < 0.5).all() and (a < -5).mean() > 0.5 and a.min() > -6.5


def test_slopes_stay_positive_so_that_the_step_can_be_undone():
    y, u, size = regression(500, slope=-1.0)
    assert native.fit_counts(y, u, size, np.zeros(40))[1].min() == native.SLOPES[0]


def test_as_many_peaks_are_expected_open_as_are():
    rng = np.random.default_rng(1)
    mu = rng.gamma(0.5, 0.4, (500, 30))
    y = rng.poisson(mu * rng.gamma(0.5, 2, mu.shape))  # over-dispersed: fewer are open than of a Poisson
    y[:, 0], y[:, 1] = 0, 3
    rate = native.fit_open(y, mu)
    chance = -np.expm1(-rate * mu)
    np.testing.assert_allclose(chance.mean(axis=0)[2:], (y > 0).mean(axis=0)[2:], rtol=1e-3)
    assert rate[0] == 1 and (rate[2:] < 1).mean() > 0.8 and np.isfinite(rate).all()


def test_a_line_is_recovered_with_missing_values_and_not_trusted_of_few_cells():
    rng = np.random.default_rng(2)
    v = rng.normal(5, 2, (600, 20))
    y = 1.5 + 0.8 * v + rng.normal(0, 0.5, v.shape)
    y[rng.random(y.shape) < 0.3] = np.nan
    d, b = native.fit_line(y, v, np.zeros(20), np.full(20, 2.0))
    np.testing.assert_allclose(b, 0.8, atol=0.05)
    np.testing.assert_allclose(d, 1.5, atol=0.25)
    d, b = native.fit_line(y[:0], v[:0], np.full(20, 0.3), np.full(20, 2.0))
    np.testing.assert_allclose(d, 0.3)
    np.testing.assert_allclose(b, 1.0)


@pytest.mark.parametrize("kind", [c.RNA, c.ATAC, c.PROTEIN])
def test_the_rate_undoes_the_transform_of_each_kind(kind, raw_multiome):
    """With values far above the soft width, exp(log rate) * size is the count a value was made from."""
    adata = raw_multiome.mod["rna"].copy()
    adata.X = adata.X + sparse.csr_matrix(np.ones(adata.shape))
    adata.uns |= {"kind": kind, "values": "counts"}
    state = preprocess.fit(adata, np.ones(adata.n_obs, bool))
    done = preprocess.apply(adata, state)
    x, size = done.X.toarray(), done.obs["size"].to_numpy()
    rate = np.exp(native.log_rate(x, state, np.full(x.shape[1], 1e-3)))
    counts = done.layers["counts"].toarray()
    np.testing.assert_allclose(rate * size[:, None], counts, rtol=1e-3)
    np.testing.assert_allclose(preprocess.to_counts(done.X, state, size).toarray(), counts, rtol=1e-4)


@pytest.fixture(scope="module")
def calibrated():
    """A model of 480 training cells, and 120 it has not seen."""
    mdata, _ = simulate_multiome(n_cells=600, n_types=3, n_genes=80, n_peaks=200, atac_depth=150, seed=4)
    prepared = preprocess.prepare(mdata, split_cells(from_names(mdata), 0.2, 0))
    model = JAMIE(seed=0, progress=False, device="cpu", hidden_layers=(64,), max_epochs=12, folds=3)
    return model.fit(prepared, from_names(prepared)), prepared


def held_out(prepared, modality: str):
    adata = prepared.mod[modality]
    return np.flatnonzero((adata.obs["role"] == "test").to_numpy())


@pytest.mark.parametrize(("source", "target"), [("rna", "atac"), ("atac", "rna")])
def test_counts_of_unseen_cells_sum_to_what_was_measured(calibrated, source, target):
    model, prepared = calibrated
    values = model.impute(prepared, source, target)[held_out(prepared, source)]
    y = prepared.mod[target].layers["counts"][held_out(prepared, target)].toarray()
    mu = model.to_native(values, target)
    assert mu.sum() == pytest.approx(y.sum(), rel=0.08)  # it was a tenth of it for peaks
    frequent = y.sum(axis=0) >= 50
    assert np.median(mu.mean(axis=0)[frequent] / y.mean(axis=0)[frequent]) == pytest.approx(1, abs=0.12)
    back = preprocess.invert(values, model.states[target])
    assert abs(back.sum() / y.sum() - 1) > 0.3  # without the calibration


def test_counts_follow_the_size_that_is_asked_for_and_none_is_negative(calibrated):
    model, prepared = calibrated
    values = model.impute(prepared, "rna", "atac")[:50]
    values[0, :3] = -0.5  # a decoder may go below zero
    size = np.linspace(50, 300, 50)
    once, twice = (model.to_native(values, "atac", size * k) for k in (1, 2))
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-5)
    assert (
        once.min() >= 0
        and (np.diff(model.to_native(np.sort(values, axis=0), "atac", np.ones(50)), axis=0) >= 0).all()
    )


def test_the_chance_of_being_open_is_right_on_average_and_asked_of_peaks_only(calibrated):
    from jamie.errors import InputError

    model, prepared = calibrated
    values = model.impute(prepared, "rna", "atac")[held_out(prepared, "rna")]
    y = prepared.mod["atac"].layers["counts"][held_out(prepared, "atac")].toarray()
    chance = model.to_open(values, "atac")
    assert chance.min() >= 0 and chance.max() <= 1
    assert chance.sum() == pytest.approx((y > 0).sum(), rel=0.08)
    with pytest.raises(InputError, match="open or closed"):
        model.to_open(values, "rna")


def test_it_is_the_same_after_saving(calibrated, tmp_path):
    model, prepared = calibrated
    model.save(tmp_path / "model")
    again = JAMIE.load(tmp_path / "model", device="cpu")
    values = model.impute(prepared, "rna", "atac")
    np.testing.assert_array_equal(again.to_native(values, "atac"), model.to_native(values, "atac"))
    group = model.groups(prepared, "rna")
    for native_units in (False, True):
        for mine, theirs in zip(
            again.interval(values, "atac", group, native=native_units),
            model.interval(values, "atac", group, native=native_units),
            strict=True,
        ):
            np.testing.assert_array_equal(mine, theirs)
    (mine, threshold), (theirs, limit) = (m.unlikeness(prepared, "rna") for m in (again, model))
    np.testing.assert_array_equal(mine, theirs)
    assert threshold == limit
