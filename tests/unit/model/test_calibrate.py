"""Calibration of odd data: missing values, groups of one side, few cells, names."""

import anndata
import numpy as np
import pandas as pd
import pytest

from jamie import JAMIE, InputError
from jamie import contract as c
from jamie.data.correspondence import from_names
from jamie.io import together
from jamie.model.calibrate import Grouping
from jamie.model.intervals import EVERYONE

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def cells(n: int = 240, missing: float = 0.0, seed: int = 0):
    """Two modalities that follow one state: continuous, and fractions of which a share is not measured."""
    rng = np.random.default_rng(seed)
    state = rng.normal(size=(n, 3))
    x = state @ rng.normal(size=(3, 12)) + 0.5 * rng.normal(size=(n, 12))
    y = 1 / (1 + np.exp(-(state @ rng.normal(size=(3, 10)) + 0.5 * rng.normal(size=(n, 10)))))
    y[rng.random(y.shape) < missing] = np.nan
    obs = pd.DataFrame(index=[f"cell_{i}" for i in range(n)])
    mods = {}
    for name, values in (("ephys", x), ("methylation", y)):
        mods[name] = anndata.AnnData(
            values, obs=obs.copy(), uns={"kind": c.METHYLATION if name != "ephys" else c.CONTINUOUS}
        )
    return together(mods)


def fitted(mdata, small_options, **changes):
    options = small_options | {"folds": 2, "max_epochs": 15, "min_steps": 80} | changes
    return JAMIE(seed=0, progress=False, **options).fit(mdata)


def test_intervals_hold_measured_values_where_half_of_them_are_missing(small_options):
    mdata = cells(400, missing=0.5)
    train = together({m: a[:300].copy() for m, a in mdata.mod.items()})
    for m, a in mdata.mod.items():
        train.mod[m].uns.update(a.uns)
    model = fitted(train, small_options)
    new = together({m: a[300:].copy() for m, a in mdata.mod.items()})
    for m, a in mdata.mod.items():
        new.mod[m].uns.update(a.uns)
    values = model.impute(new, "ephys", "methylation")
    low, high = model.interval(values, "methylation", model.groups(new, "ephys"), native=True)
    y = new.mod["methylation"].X
    inside = ((y >= low - 1e-6) & (y <= high + 1e-6))[~np.isnan(y)]
    assert inside.mean() == pytest.approx(0.92, abs=0.05)
    assert low.min() >= 0 and high.max() <= 1
    native = model.to_native(values, "methylation")
    assert native.min() >= 0 and native.max() <= 1
    np.testing.assert_allclose(native.mean(axis=0), np.nanmean(y, axis=0), atol=0.1)


def labelled(mdata, first: str, second: str):
    """Cell types whose names differ between the modalities."""
    for a, word in zip(mdata.mod.values(), (first, second), strict=True):
        a.obs[c.CELL_TYPE] = np.where(np.arange(a.n_obs) < 120, "a", word)
    return mdata


def test_a_group_without_a_measured_cell_is_not_called_usable(small_options):
    """Noise, and a type whose name the other modality does not have: there is no mean to be better than."""
    mdata = labelled(cells(), "T cells", "T")
    rng = np.random.default_rng(1)
    mdata.mod["methylation"].X = rng.random(mdata.mod["methylation"].shape)
    model = fitted(mdata, small_options)
    intervals = model.calibration.intervals["methylation"]
    assert not intervals.usable[:, intervals.groups.index("T cells")].any()
    assert intervals.usable.mean() < 0.2


def test_labels_that_are_numbers_name_groups_too(small_options):
    mdata = cells()
    for a in mdata.mod.values():
        a.obs[c.CELL_TYPE] = (np.arange(a.n_obs) < 120).astype(int)
    intervals = fitted(mdata, small_options, max_epochs=3, min_steps=0).calibration.intervals["methylation"]
    assert dict(zip(intervals.groups, intervals.n_cells, strict=True)) == {EVERYONE: 240, "0": 120, "1": 120}


def test_cells_of_unknown_type_or_without_label_are_of_everyone():
    grouping = Grouping(["a", "b"], None)
    obs = pd.DataFrame({c.CELL_TYPE: pd.Categorical(["a", None, "z", "b"])})
    assert grouping(obs, np.zeros((4, 2))).tolist() == ["a", EVERYONE, EVERYONE, "b"]


def test_a_type_may_not_be_called_what_means_everyone(small_options):
    with pytest.raises(InputError, match="means something else"):
        fitted(labelled(cells(), EVERYONE, EVERYONE), small_options, max_epochs=1, min_steps=0)


def test_few_cells_are_fitted_and_their_intervals_are_wide(small_options):
    mdata = cells(15)
    model = fitted(mdata, small_options, max_epochs=2, min_steps=0, n_components=4)
    assert model.calibration.n_pairs == 0
    values = model.impute(mdata, "ephys", "methylation")
    low, high = model.interval(values, "methylation", model.groups(mdata, "ephys"))
    y = mdata.mod["methylation"].X
    assert ((y >= low) & (y <= high)).all()
    score, threshold = model.unlikeness(mdata, "ephys")
    assert np.isnan(threshold) and np.isnan(score).all()


def test_one_fold_is_refused(small_options):
    with pytest.raises(InputError, match="One fold"):
        JAMIE(**small_options | {"folds": 1})


def test_names_of_modalities_may_hold_dots(small_options, tmp_path):
    mdata = cells(60)
    renamed = together(
        {"ephys.v2": mdata.mod["ephys"].copy(), "methylation": mdata.mod["methylation"].copy()}
    )
    for m, a in zip(renamed.mod, mdata.mod.values(), strict=True):
        renamed.mod[m].uns.update(a.uns)
    model = fitted(renamed, small_options, max_epochs=2, min_steps=0)
    model.save(tmp_path / "model")
    values = model.impute(renamed, "methylation", "ephys.v2")
    again = JAMIE.load(tmp_path / "model", device="cpu")
    np.testing.assert_array_equal(again.to_native(values, "ephys.v2"), model.to_native(values, "ephys.v2"))


def test_wrong_pairs_that_are_not_certain_do_not_widen_intervals(small_options):
    """Pairs of little confidence are fitted with, but are no truth to calibrate on."""
    mdata = cells(120)
    f = from_names(mdata)
    f.matrix.data[:60] = 0.05
    model = JAMIE(seed=0, progress=False, **small_options | {"folds": 3}).fit(mdata, f)
    assert model.calibration.n_pairs == 60
