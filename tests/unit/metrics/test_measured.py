"""Groups of cells for scores within types: labels, those of partners, clusters; the scores made of them."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from jamie.data.correspondence import Correspondence, from_names
from jamie.io import together
from jamie.methods import base
from jamie.metrics import measured, score
from jamie.metrics.measured import Measured

N, N_TRAIN = 240, 200
KIND = np.arange(N) % 3


@pytest.fixture
def prepared():
    """Three blobs of cells, the same in both modalities; the last 40 cells are held out."""
    rng = np.random.default_rng(0)
    parts = {}
    for name, n_features in (("a", 6), ("b", 4)):
        centres = rng.normal(scale=8, size=(3, n_features))
        adata = AnnData((centres[KIND] + rng.normal(size=(N, n_features))).astype(np.float32))
        adata.obs_names, adata.var_names = (
            [f"c{i}" for i in range(N)],
            [f"{name}{j}" for j in range(n_features)],
        )
        adata.obs["role"] = np.where(np.arange(N) < N_TRAIN, "train", "test")
        adata.var["mean"], adata.var["sd"] = adata.X[:N_TRAIN].mean(axis=0), adata.X[:N_TRAIN].std(axis=0)
        parts[name] = adata
    return together(parts)


def same_partition(a, b) -> bool:
    return len(set(zip(a, b, strict=True))) == len(set(a)) == len(set(b))


def test_groups_are_labels_where_there_are_any(prepared):
    labels = np.array(["x", "y", ""])[KIND]
    prepared.mod["a"].obs["cell_type"] = pd.Categorical(np.where(labels == "", None, labels))
    found = Measured.of(prepared, from_names(prepared))
    assert found.by_cluster == {"a": False, "b": False}
    assert (found.groups["a"][KIND == 2] == -1).all()
    assert same_partition(found.groups["a"], KIND)
    np.testing.assert_array_equal(found.groups["b"] < 0, KIND == 2)
    assert same_partition(found.groups["b"], KIND)


def test_cells_without_a_label_or_a_partner_are_in_no_group(prepared):
    prepared.mod["a"].obs["cell_type"] = np.array(["x", "y", "z"])[KIND]
    truth = from_names(prepared)
    keep = sparse.diags((np.arange(N) < 100).astype(float))
    found = Measured.of(prepared, Correspondence(keep @ truth.matrix, truth.row_names, truth.col_names))
    assert (found.groups["a"] >= 0).all()
    np.testing.assert_array_equal(found.groups["b"] >= 0, np.arange(N) < 100)


@pytest.mark.parametrize("form", [np.asarray, sparse.csc_matrix])
def test_clusters_are_those_of_the_measured_values_of_training_cells(prepared, form, monkeypatch):
    monkeypatch.setattr(measured, "MAX_CLUSTERS", 3)
    for adata in prepared.mod.values():
        adata.X = form(adata.X)
    found = Measured.of(prepared, from_names(prepared))
    assert found.by_cluster == {"a": True, "b": True}
    for groups in found.groups.values():
        assert same_partition(groups, KIND)
    changed = (
        prepared.mod["a"].X.toarray() if sparse.issparse(prepared.mod["a"].X) else prepared.mod["a"].X.copy()
    )
    changed[N_TRAIN:] += 100
    prepared.mod["a"].X = changed
    again = measured.clusters(prepared.mod["a"])
    np.testing.assert_array_equal(again[:N_TRAIN], found.groups["a"][:N_TRAIN])


def test_few_cells_are_one_cluster(prepared):
    few = together({name: a[:30].copy() for name, a in prepared.mod.items()})
    assert set(measured.clusters(few.mod["a"])) == {0}


@pytest.mark.parametrize("labels", [True, False])
def test_within_groups_the_group_mean_scores_nothing_and_the_rows_say_which_groups(
    prepared, labels, tmp_path, monkeypatch
):
    monkeypatch.setattr(measured, "MAX_CLUSTERS", 3)
    if labels:
        for adata in prepared.mod.values():
            adata.obs["cell_type"] = np.array(["x", "y", "z"])[KIND]
    means = {
        m: np.array([a.X[k == KIND].mean(axis=0) for k in range(3)])[KIND] for m, a in prepared.mod.items()
    }
    half = {m: (means[m] + a.X) / 2 for m, a in prepared.mod.items()}
    truth = from_names(prepared)
    none = Correspondence(truth.matrix * 0, truth.row_names, truth.col_names)
    for values, r in ((means, 0.0), (half, 1.0)):
        rows = {
            (s, t): (lambda chosen, t=t, values=values: values[t][chosen])
            for s, t in (("a", "b"), ("b", "a"))
        }
        base.write_imputed(tmp_path / "imputed.h5mu", prepared, rows)
        run = {"dataset": "toy", "scenario": "all", "method": "m", "seed": 0}
        table, features = score.score_method(prepared, truth, none, None, tmp_path / "imputed.h5mu", **run)
        within = table[table["metric"] == "pearson_within"]
        assert len(within) and (within["status"] == "ok").all()
        assert within["value"].to_numpy() == pytest.approx(r, abs=1e-6)
        assert set(within["reason"]) == {"" if labels else score.BY_CLUSTER}
        assert (table.loc[table["metric"] == "pearson", "value"] > 0.8).all()
        assert features["pearson_within"].notna().all()
