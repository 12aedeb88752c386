"""The completed dataset: the input unchanged, its embedding, and exactly the missing half imputed."""

import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jamie import JAMIE, contract, io
from jamie.contract import FEATURE_SCORE_COLUMNS, HIDDEN, TEST
from jamie.data.correspondence import Correspondence, from_names
from jamie.data.simulate import simulate_multiome
from jamie.report import complete

N_CELLS, N_GENES, N_PEAKS = 100, 30, 60


@pytest.fixture(scope="module")
def raw():
    """100 cells: 60 in both modalities, 20 with RNA alone, 20 with ATAC alone."""
    mdata, _ = simulate_multiome(
        n_cells=N_CELLS, n_types=3, n_genes=N_GENES, n_peaks=N_PEAKS, paired_fraction=0.6, seed=2
    )
    mdata.uns["source"] = "simulation"
    mdata.mod["rna"].uns["made_by"] = "test"
    return mdata


def fit(mdata) -> JAMIE:
    short = {"max_epochs": 30, "min_steps": 100, "hidden_layers": (32,), "n_latent": 8, "dropout": 0.1}
    return JAMIE(seed=0, device="cpu", progress=False, **short).fit(mdata)


@pytest.fixture(scope="module")
def model(raw):
    return fit(raw)


def feature_scores(modality: str, names, cells: str, pearson: float) -> pd.DataFrame:
    table = pd.DataFrame({"feature": names, "pearson": pearson})
    table = table.assign(
        modality=modality, cells=cells, scenario="paired_50" if cells == TEST else "transductive_50"
    )
    return table.reindex(columns=list(FEATURE_SCORE_COLUMNS))


@pytest.fixture(scope="module")
def scores(model):
    """Genes scored in held-out and hidden cells, all but one of them; peaks not scored at all."""
    genes = model.feature_names("rna")
    return pd.concat([feature_scores("rna", genes, HIDDEN, 0.1), feature_scores("rna", genes[1:], TEST, 0.6)])


@pytest.fixture(scope="module")
def completed(raw, model, scores, tmp_path_factory):
    path = tmp_path_factory.mktemp("completed") / "completed.h5mu"
    complete.write_completed(path, raw, from_names(raw), model, scores)
    # by the library, not by our own reader: anyone can open it
    found = mudata.read_h5mu(path)
    assert [p.name for p in path.parent.iterdir()] == ["completed.h5mu"]
    return found


def dense(matrix) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def without(mdata, modality: str) -> list[str]:
    """Cells that lack a modality, in the order of the other one."""
    other = next(m for m in ("rna", "atac") if m != modality)
    has = set(mdata.mod[modality].obs_names)
    return [cell for cell in mdata.mod[other].obs_names if cell not in has]


# --- what was there


def test_the_input_is_kept_as_it_was(completed, raw):
    assert list(completed.mod) == ["rna", "atac", "atac_imputed", "rna_imputed"]
    assert completed.uns["source"] == "simulation"
    for name, before in raw.mod.items():
        after = completed.mod[name]
        assert after.obs_names.tolist() == before.obs_names.tolist()
        assert sparse.issparse(after.X) and (after.X != before.X).nnz == 0
        pd.testing.assert_frame_equal(after.var, before.var, check_dtype=False, check_categorical=False)
        pd.testing.assert_frame_equal(after.obs, before.obs, check_dtype=False, check_categorical=False)
        np.testing.assert_array_equal(after.obsm["true_state"], before.obsm["true_state"])
        assert set(after.obsm) == {*before.obsm, "X_jamie", "X_umap", "X_umap_joint"}
    assert completed.mod["rna"].uns["made_by"] == "test"


def test_completing_leaves_the_data_in_memory_alone(raw, completed):
    assert set(raw.mod["rna"].obsm) == {"true_state", "true_programs"}
    assert list(raw.mod) == ["rna", "atac"] and "jamie" not in raw.uns


def test_columns_of_the_whole_dataset_are_kept(raw, model, tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    donors = raw.copy()
    donors.obs["donor"] = np.where(np.arange(N_CELLS) % 3 == 0, "one", "two")
    donors.obsm["place"] = np.arange(2.0 * N_CELLS).reshape(-1, 2)
    found = completed_in(tmp_path, donors, model)
    assert found.obs["donor"].reindex(donors.obs_names).tolist() == donors.obs["donor"].tolist()
    np.testing.assert_array_equal(found[donors.obs_names].obsm["place"], donors.obsm["place"])


# --- the embedding


def test_every_cell_has_the_latent_of_its_own_modality_and_their_mean(completed, raw, model):
    latent = {m: pd.DataFrame(z, raw.mod[m].obs_names) for m, z in model.embed(raw).items()}
    for name, values in latent.items():
        assert completed.mod[name].obsm["X_jamie"].dtype == np.float32
        np.testing.assert_array_equal(completed.mod[name].obsm["X_jamie"], values)
    joint = pd.DataFrame(completed.obsm["X_jamie"], completed.obs_names)
    assert joint.shape == (N_CELLS, 8)
    rna, atac = (set(raw.mod[m].obs_names) for m in ("rna", "atac"))
    both, rna_only = sorted(rna & atac), sorted(rna - atac)
    np.testing.assert_allclose(
        joint.loc[both], (latent["rna"].loc[both] + latent["atac"].loc[both]) / 2, atol=1e-6
    )
    np.testing.assert_array_equal(joint.loc[rna_only], latent["rna"].loc[rna_only])


def test_where_each_cell_was_measured(completed, raw):
    assert completed.obs["measured_in"].value_counts().to_dict() == {"rna+atac": 60, "rna": 20, "atac": 20}
    assert set(completed.obs_names[completed.obs["measured_in"] == "rna"]) == set(without(raw, "atac"))


def test_clusters_and_umap_are_of_the_joint_space(completed):
    assert completed.obsm["X_umap"].shape == (N_CELLS, 2) and np.isfinite(completed.obsm["X_umap"]).all()
    clusters = completed.obs["leiden"].astype(str)
    assert clusters.notna().all() and clusters.nunique() > 1
    # a cell's nearest neighbour in the latent space is in its cluster, far more often than chance has it
    latent = completed.obsm["X_jamie"]
    distance = np.linalg.norm(latent[:, None] - latent[None], axis=2)
    nearest = (distance + np.diag(np.full(N_CELLS, np.inf))).argmin(axis=1)
    same = (clusters.to_numpy() == clusters.to_numpy()[nearest]).mean()
    assert same > 0.8 > 2 * (clusters.value_counts(normalize=True) ** 2).sum()
    for name in ("rna", "atac"):
        for key in ("X_umap", "X_umap_joint"):
            assert completed.mod[name].obsm[key].shape == (80, 2)
            assert np.isfinite(completed.mod[name].obsm[key]).all()


# --- the missing half


@pytest.mark.parametrize(("target", "source"), [("atac", "rna"), ("rna", "atac")])
def test_exactly_the_cells_that_lack_a_modality_get_it(target, source, completed, raw, model):
    imputed = completed.mod[f"{target}_imputed"]
    assert imputed.obs_names.tolist() == without(raw, target)
    assert imputed.var_names.tolist() == model.feature_names(target).tolist()
    assert imputed.shape[0] == 20
    assert (imputed.obs["imputed_from"] == source).all()
    assert (
        imputed.obs["cell_type"].tolist() == raw.mod[source].obs.loc[imputed.obs_names, "cell_type"].tolist()
    )
    assert imputed.uns["kind"] == target


@pytest.mark.parametrize(("target", "source"), [("atac", "rna"), ("rna", "atac")])
def test_imputed_values_are_the_models(target, source, completed, raw, model):
    imputed = completed.mod[f"{target}_imputed"]
    whole = model.impute(raw, source, target)
    rows = raw.mod[source].obs_names.get_indexer(imputed.obs_names)
    np.testing.assert_allclose(imputed.X, whole[rows], rtol=1e-4, atol=1e-5)
    native = imputed.layers["native"]
    np.testing.assert_allclose(native, model.to_native(whole, target)[rows], rtol=1e-3, atol=1e-5)
    assert (native >= 0).all() and np.isfinite(native).all() and native.max() > 0.1


def test_values_are_the_same_when_written_in_small_chunks(completed, raw, model, tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    whole = io.append_array
    monkeypatch.setattr(io, "append_array", lambda *args: whole(*args, chunk_rows=7))
    found = completed_in(tmp_path, raw, model)
    for name in ("atac_imputed", "rna_imputed"):
        np.testing.assert_allclose(found.mod[name].X, completed.mod[name].X, rtol=1e-4, atol=1e-5)
        native = found.mod[name].layers["native"]
        np.testing.assert_allclose(native, completed.mod[name].layers["native"], rtol=1e-3, atol=1e-5)


def test_the_strictest_score_of_a_feature_stands_beside_it(completed):
    scored = completed.mod["rna_imputed"]
    assert np.isnan(scored.var["pearson"].iloc[0])
    assert (scored.var["pearson"].iloc[1:] == 0.6).all()
    assert scored.uns["pearson_of"] == "test cells of paired_50"
    assert "pearson" not in completed.mod["atac_imputed"].var


def test_hidden_pairs_score_where_nothing_is_held_out(model):
    hidden = feature_scores("rna", model.feature_names("rna"), HIDDEN, 0.1)
    assert (complete._best_scores(hidden, "rna")["pearson"] == 0.1).all()
    assert complete._best_scores(hidden, "atac") is None
    assert complete._best_scores(None, "rna") is None


def skip_umap(monkeypatch):
    """UMAP takes most of the time and is tested above."""
    monkeypatch.setattr(
        complete,
        "_umap_and_clusters",
        lambda values, clusters=True: (np.zeros((len(values), 2), np.float32), np.full(len(values), "0")),
    )


def completed_in(folder, mdata, model, pairs=None):
    complete.write_completed(folder / "completed.h5mu", mdata, pairs or from_names(mdata), model)
    return io.read_h5mu(folder / "completed.h5mu")


def test_fully_paired_data_lack_nothing(raw, model, tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    both = raw.mod["rna"].obs_names.intersection(raw.mod["atac"].obs_names)
    paired = mudata.MuData({name: a[both].copy() for name, a in raw.mod.items()})
    found = completed_in(tmp_path, paired, model)
    assert list(found.mod) == ["rna", "atac"]
    assert (found.obs["measured_in"] == "rna+atac").all()


def test_one_modality_may_be_complete(raw, model, tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    rna = raw.mod["rna"]
    some = mudata.MuData(
        {"rna": rna, "atac": raw.mod["atac"][raw.mod["atac"].obs_names.isin(rna.obs_names)].copy()}
    )
    found = completed_in(tmp_path, some, model)
    assert list(found.mod) == ["rna", "atac", "atac_imputed"]
    assert found.mod["atac_imputed"].n_obs == 20


def test_pairs_may_differ_from_names(raw, model, tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    renamed = raw.copy()
    partner = dict(zip(from_names(raw).col_names, [f"other_{i}" for i in range(80)], strict=True))
    atac = renamed.mod["atac"].copy()
    atac.obs_names = [partner[name] for name in atac.obs_names]
    renamed = mudata.MuData({"rna": renamed.mod["rna"], "atac": atac})
    pairs = Correspondence(from_names(raw).matrix, renamed.mod["rna"].obs_names, atac.obs_names)
    found = completed_in(tmp_path, renamed, model, pairs)
    assert found.mod["atac_imputed"].obs_names.tolist() == without(raw, "atac")
    assert found.mod["rna_imputed"].obs_names.tolist() == [partner[name] for name in without(raw, "rna")]


def test_pairs_are_told_by_names_not_by_their_order(raw, model, tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    pairs = from_names(raw)
    turned = pairs.align(pairs.row_names[::-1], pairs.col_names[::-1])
    found = completed_in(tmp_path, raw, model, turned)
    for target in ("rna", "atac"):
        assert found.mod[f"{target}_imputed"].obs_names.tolist() == without(raw, target)


# --- groups to colour by


def test_cells_are_grouped_by_type_where_every_modality_has_one(completed):
    name, groups = complete.groups_of(completed)
    assert name == "cell type" and list(groups) == ["rna", "atac"]
    assert groups["atac"].tolist() == completed.mod["atac"].obs["cell_type"].tolist()


def test_cells_without_types_are_grouped_by_cluster(completed):
    bare = completed.copy()
    del bare.mod["atac"].obs[contract.CELL_TYPE]
    name, groups = complete.groups_of(bare)
    assert name == "Leiden cluster"
    wanted = completed.obs.loc[completed.mod["atac"].obs_names, "leiden"].astype(str)
    assert groups["atac"].tolist() == wanted.tolist() and len(groups["rna"]) == 80
