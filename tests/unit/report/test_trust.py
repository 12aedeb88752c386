"""Intervals, mask and unlikeness inside a completed dataset."""

import mudata
import numpy as np
import pytest

from jamie import JAMIE, InputError, bounds
from jamie.data.correspondence import from_names
from jamie.report import complete, trust

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def model(raw_multiome, small_options):
    return JAMIE(seed=0, progress=False, **small_options | {"folds": 3}).fit(raw_multiome)


def write(folder, raw, model):
    complete.write_completed(folder / "completed.h5mu", raw, from_names(raw), model)
    return mudata.read_h5mu(folder / "completed.h5mu")


@pytest.fixture(scope="module")
def completed(raw_multiome, model, tmp_path_factory):
    return write(tmp_path_factory.mktemp("trust"), raw_multiome, model)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(("source", "target"), [("rna", "atac"), ("atac", "rna")])
def test_bounds_of_imputed_cells_are_those_of_the_model(
    raw_multiome, model, completed, source, target, native
):
    adata = completed.mod[f"{target}_completed"]
    imputed = (adata.obs["values"] == "imputed").to_numpy()
    low, high = bounds(adata, native=native)
    cells = raw_multiome.mod[source].obs_names.get_indexer(adata.obs_names[imputed])
    values = model.impute(raw_multiome, source, target)[cells]
    group = model.groups(raw_multiome, source)[cells]
    for mine, theirs in zip((low, high), model.interval(values, target, group, native=native), strict=True):
        np.testing.assert_allclose(mine[imputed], theirs, rtol=1e-4, atol=1e-5)
    center = (adata.layers["native"] if native else adata.X).toarray()
    np.testing.assert_array_equal(low[~imputed], center[~imputed])  # a measured value is what it is
    np.testing.assert_array_equal(high[~imputed], center[~imputed])
    assert (high[imputed] - low[imputed]).min() > 0


def test_bounds_of_a_part_are_part_of_the_bounds(completed):
    adata = completed.mod["atac_completed"]
    cells, features = [40, 3, 99], [5, 0]
    whole, part = bounds(adata), bounds(adata[cells, features])
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_array_equal(a[np.ix_(cells, features)], b)


def test_mask_groups_and_unlikeness_are_those_of_the_model(raw_multiome, model, completed):
    adata = completed.mod["rna_completed"]
    intervals = model.calibration.intervals["rna"]
    np.testing.assert_array_equal(adata.varm[trust.USABLE], intervals.usable)
    assert list(adata.uns[trust.GROUPS]) == intervals.groups
    imputed = (adata.obs["values"] == "imputed").to_numpy()
    cells = raw_multiome.mod["atac"].obs_names.get_indexer(adata.obs_names[imputed])
    found, threshold = model.unlikeness(raw_multiome, "atac")
    np.testing.assert_allclose(adata.obs[trust.UNLIKENESS][imputed], found[cells], rtol=1e-5)
    np.testing.assert_array_equal(adata.obs[trust.UNLIKE][imputed], found[cells] > threshold)
    types = raw_multiome.mod["atac"].obs["cell_type"].astype(str).to_numpy()[cells]
    np.testing.assert_array_equal(adata.obs[trust.GROUP].astype(str)[imputed], types)


def test_without_labels_groups_are_clusters_and_every_imputed_cell_has_one(
    raw_multiome, small_options, tmp_path
):
    bare = raw_multiome.copy()
    for adata in bare.mod.values():
        adata.obs = adata.obs[[]]
    model = JAMIE(seed=0, progress=False, **small_options | {"folds": 2}).fit(bare)
    adata = write(tmp_path, bare, model).mod["atac_completed"]
    assert adata.obs[trust.GROUP].notna().all()
    assert set(adata.obs[trust.GROUP].astype(str)) <= {"cluster 1", "cluster 2"}
    low, high = bounds(adata)
    assert np.isfinite(low).all() and (low <= high).all()


def test_without_calibration_there_is_no_native_layer_and_bounds_say_why(
    raw_multiome, small_options, tmp_path
):
    model = JAMIE(seed=0, progress=False, **small_options).fit(raw_multiome)
    adata = write(tmp_path, raw_multiome, model).mod["rna_completed"]
    assert "native" not in adata.layers
    with pytest.raises(InputError, match="no intervals"):
        bounds(adata)
