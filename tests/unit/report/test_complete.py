"""The completed dataset: the input as it was, its embedding, and each modality over all cells."""

import anndata
import matplotlib.pyplot as plt
import mudata
import muon as mu
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

from jamie import JAMIE, contract, io
from jamie.contract import FEATURE_SCORE_COLUMNS, HIDDEN, TEST
from jamie.data import preprocess
from jamie.data.correspondence import Correspondence, from_names
from jamie.data.simulate import simulate_multiome
from jamie.report import complete, placed

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


def fit(mdata, max_epochs: int = 30) -> JAMIE:
    short = {
        "max_epochs": max_epochs,
        "min_steps": 3 * max_epochs,
        "hidden_layers": (32,),
        "n_latent": 8,
        "dropout": 0.1,
    }
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
def written(raw, model, scores, tmp_path_factory):
    path = tmp_path_factory.mktemp("completed") / "completed.h5mu"
    complete.write_completed(path, raw, from_names(raw), model, scores)
    assert [p.name for p in path.parent.iterdir()] == ["completed.h5mu"]
    return path


@pytest.fixture(scope="module")
def completed(written):
    return mudata.read_h5mu(written)  # by the library, not by our own reader: anyone can open it


def dense(matrix) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def without(mdata, modality: str) -> list[str]:
    """Cells that lack a modality, in the order of the other one."""
    other = next(m for m in ("rna", "atac") if m != modality)
    has = set(mdata.mod[modality].obs_names)
    return [cell for cell in mdata.mod[other].obs_names if cell not in has]


# --- what was there


def test_the_input_is_kept_as_it_was(completed, raw):
    assert list(completed.mod) == ["rna", "atac", "rna_completed", "atac_completed"]
    assert completed.uns["source"] == "simulation"
    for name, before in raw.mod.items():
        after = completed.mod[name]
        assert after.obs_names.tolist() == before.obs_names.tolist()
        assert sparse.issparse(after.X) and (after.X != before.X).nnz == 0
        pd.testing.assert_frame_equal(after.var, before.var, check_dtype=False, check_categorical=False)
        kept = after.obs.drop(columns=["leiden", "measured_in"])
        pd.testing.assert_frame_equal(kept, before.obs, check_dtype=False, check_categorical=False)
        np.testing.assert_array_equal(after.obsm["true_state"], before.obsm["true_state"])
        assert set(after.obsm) == {*before.obsm, "X_jamie", "X_umap", "X_umap_joint"}
        assert set(after.layers) - {None} == {"normalised"}
    assert completed.mod["rna"].uns["made_by"] == "test"


def test_completing_leaves_the_data_in_memory_alone(raw, completed):
    assert set(raw.mod["rna"].obsm) == {"true_state", "true_programs"}
    assert list(raw.mod) == ["rna", "atac"] and "jamie" not in raw.uns


def test_what_the_input_has_under_a_name_that_is_added_stays(raw, model, tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    taken = raw.copy()
    rna = taken.mod["rna"]
    rna.obsm["X_umap"], rna.obs["leiden"] = np.ones((80, 2)), "own"
    rna.layers["normalised"], rna.uns["jamie"] = rna.X.copy(), "own"
    taken.obs["leiden"], taken.obs["cell_type"] = "whole", "a type of the whole"
    found = completed_in(tmp_path, taken, model)
    after = found.mod["rna"]
    assert (after.obsm["original_X_umap"] == 1).all() and (after.obsm["X_umap"] == 0).all()
    assert (after.obs["original_leiden"] == "own").all() and (after.obs["leiden"] == "0").all()
    assert (after.layers["original_normalised"] != rna.X).nnz == 0
    assert after.uns["original_jamie"] == "own"
    assert (found.obs["original_leiden"] == "whole").all() and (found.obs["leiden"] == "0").all()
    assert (found.obs["original_cell_type"] == "a type of the whole").all()
    assert found.obs["cell_type"].isin(rna.obs["cell_type"].cat.categories).all()


def test_feature_names_are_unique_and_say_where_they_are_from(raw, model, tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    shared = raw.copy()
    names = shared.mod["atac"].var_names.to_numpy(str).copy()
    names[0] = shared.mod["rna"].var_names[0]
    shared.mod["atac"].var_names = names
    found = completed_in(tmp_path, shared, model)
    assert found.var_names.is_unique
    assert found.mod["rna"].var_names.tolist() == raw.mod["rna"].var_names.tolist()
    atac = found.mod["atac"]
    assert atac.var_names.tolist() == [f"atac:{names[0]}", *names[1:]]
    assert atac.var["feature"].tolist() == names.tolist()
    completed_rna = found.mod["rna_completed"]
    assert completed_rna.var["feature"].tolist() == model.feature_names("rna").tolist()
    assert completed_rna.var_names.tolist() == [f"rna_completed:{n}" for n in completed_rna.var["feature"]]


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


def test_labels_of_cells_are_joint_and_beside_every_modality(completed, raw):
    types = pd.concat([a.obs["cell_type"].astype(str) for a in raw.mod.values()])
    types = types[~types.index.duplicated()]
    assert completed.obs["cell_type"].astype(str).to_dict() == types.to_dict()
    for name in completed.mod:
        adata = completed.mod[name]
        for column in ("leiden", "measured_in", "cell_type"):
            joint = completed.obs.loc[adata.obs_names, column].astype(str)
            assert adata.obs[column].astype(str).tolist() == joint.tolist(), (name, column)
    for name in ("rna_completed", "atac_completed"):
        adata = completed.mod[name]
        rows = completed.obs_names.get_indexer(adata.obs_names)
        for key in ("X_umap", "X_jamie"):
            np.testing.assert_array_equal(adata.obsm[key], completed.obsm[key][rows])


# --- all cells in one matrix


@pytest.mark.parametrize(("target", "source"), [("atac", "rna"), ("rna", "atac")])
def test_every_cell_is_there_and_says_whether_it_was_measured(target, source, completed, raw, model):
    whole = completed.mod[f"{target}_completed"]
    assert whole.obs_names.tolist() == [*raw.mod[target].obs_names, *without(raw, target)]
    assert whole.var["feature"].tolist() == model.feature_names(target).tolist()
    assert (whole.obs["values"] == ["measured"] * 80 + ["imputed"] * 20).all()
    assert whole.obs["imputed_from"].isna().tolist() == [True] * 80 + [False] * 20
    assert (whole.obs["imputed_from"].iloc[80:] == source).all()
    assert whole.uns["kind"] == target and sparse.issparse(whole.X)
    assert "is_imputed" not in whole.layers


@pytest.mark.parametrize(("target", "source"), [("atac", "rna"), ("rna", "atac")])
def test_measured_and_imputed_are_on_one_scale(target, source, completed, raw, model):
    whole, measured = completed.mod[f"{target}_completed"], completed.mod[target]
    names = model.feature_names(target)
    prepared = preprocess.apply(raw.mod[target], model.states[target])
    np.testing.assert_allclose(dense(whole.X[:80]), dense(prepared.X), rtol=1e-6)
    normalised = dense(measured[:, names].layers["normalised"])
    np.testing.assert_allclose(normalised, dense(prepared.X), rtol=1e-6)
    np.testing.assert_array_equal(dense(whole.layers["native"][:80]), dense(measured[:, names].X))
    values = model.impute(raw, source, target)
    values = values[raw.mod[source].obs_names.get_indexer(without(raw, target))]
    np.testing.assert_allclose(dense(whole.X[80:]), values, rtol=1e-4, atol=1e-5)
    native = dense(whole.layers["native"][80:])
    np.testing.assert_allclose(native, model.to_native(values, target), rtol=1e-3, atol=1e-5)
    assert (native >= 0).all() and native.max() > 0.1


def test_features_that_the_model_leaves_out_are_normalised_too(raw, model, tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    more = raw.copy()
    atac = more.mod["atac"]
    other = atac[:, :2].copy()
    other.var_names = ["other_1", "other_2"]
    more = mudata.MuData(
        {"rna": more.mod["rna"], "atac": anndata.concat([atac, other], axis=1, merge="same")}
    )
    found = completed_in(tmp_path, more, model).mod["atac"]
    counts = more.mod["atac"].X.toarray()
    total = counts.sum(axis=0)
    expected = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))[:, -2:] * np.log1p(80 / total[-2:])
    np.testing.assert_allclose(dense(found.layers["normalised"])[:, -2:], expected, rtol=1e-5)


def test_single_values_that_were_not_measured_are_imputed_and_marked(tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    mdata = with_fractions()
    model = fit(mdata, max_epochs=2)
    found = completed_in(tmp_path, mdata, model)
    before, whole = mdata.mod["methylation"].X, found.mod["methylation_completed"]
    missing = np.isnan(before)
    assert missing[:40].any() and missing[40:].any()
    marked = whole.layers["is_imputed"]
    assert marked.dtype == bool and np.array_equal(marked[:60], missing) and marked[60:].all()
    np.testing.assert_allclose(whole.X[:60][~missing], before[~missing], rtol=1e-6)
    # a paired cell's from its other modality, that of a cell without a partner from its own
    from_rna = model.impute(mdata, "rna", "methylation")
    of = mdata.mod["rna"].obs_names.get_indexer(mdata.mod["methylation"].obs_names)
    own = model.impute(mdata, "methylation", "methylation")
    guess = np.where(of[:, None] >= 0, from_rna[of], own)
    np.testing.assert_allclose(whole.X[:60][missing], guess[missing], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(np.isnan(found.mod["methylation"].layers["normalised"]), missing)


def with_fractions():
    """80 cells with RNA, 60 with fractions, 40 with both; a tenth of the fractions was not measured."""
    simulated, _ = simulate_multiome(n_cells=100, n_types=3, n_genes=30, n_peaks=60, seed=3)
    rng, rna = np.random.default_rng(0), simulated.mod["rna"]
    fractions = 1 / (1 + np.exp(-rna.obsm["true_state"] @ rng.normal(size=(8, 20))))
    fractions[rng.random(fractions.shape) < 0.1] = np.nan
    methylation = anndata.AnnData(fractions.astype(np.float32)[40:], obs=rna.obs[40:].copy())
    methylation.var_names = [f"site_{i}" for i in range(20)]
    return mudata.MuData({"rna": rna[:80].copy(), "methylation": methylation})


def test_features_the_data_lack_are_imputed_and_marked(raw, model, tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    fewer = mudata.MuData({"rna": raw.mod["rna"], "atac": raw.mod["atac"][:, 5:].copy()})
    found = completed_in(tmp_path, fewer, model).mod["atac_completed"]
    lacked = ~found.var["feature"].isin(fewer.mod["atac"].var_names).to_numpy()
    assert 0 < lacked.sum() <= 5
    marked = dense(found.layers["is_imputed"])
    assert marked[:80, lacked].all() and not marked[:80, ~lacked].any() and marked[80:].all()
    both = found.obs_names[:80].isin(raw.mod["rna"].obs_names)
    values = model.impute(fewer, "rna", "atac")[
        raw.mod["rna"].obs_names.get_indexer(found.obs_names[:80][both])
    ]
    np.testing.assert_allclose(dense(found.X)[:80][both][:, lacked], values[:, lacked], rtol=1e-4, atol=1e-5)


def test_values_are_the_same_when_written_in_small_blocks(completed, raw, model, tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    monkeypatch.setattr(io, "BLOCK_VALUES", 4 * 7 * 30)  # 7 cells of RNA at a time, 3 of ATAC
    found = completed_in(tmp_path, raw, model)
    for name in ("atac_completed", "rna_completed"):
        a, b = found.mod[name], completed.mod[name]
        np.testing.assert_allclose(dense(a.X), dense(b.X), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(dense(a.layers["native"]), dense(b.layers["native"]), rtol=1e-3, atol=1e-5)


def test_the_strictest_score_of_a_feature_stands_beside_it(completed):
    scored = completed.mod["rna_completed"]
    assert np.isnan(scored.var["pearson"].iloc[0])
    assert (scored.var["pearson"].iloc[1:] == 0.6).all()
    assert scored.uns["pearson_of"] == "test cells of paired_50"
    assert "pearson" not in completed.mod["atac_completed"].var


def test_hidden_pairs_score_where_nothing_is_held_out(model):
    hidden = feature_scores("rna", model.feature_names("rna"), HIDDEN, 0.1)
    assert (complete._best_scores(hidden, "rna")["pearson"] == 0.1).all()
    assert complete._best_scores(hidden, "atac") is None
    assert complete._best_scores(None, "rna") is None


def skip_umap(monkeypatch):
    """UMAP takes most of the time and is tested above."""
    monkeypatch.setattr(
        placed,
        "umap_and_clusters",
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
    assert (found.obs["measured_in"] == "rna+atac").all()
    for name in ("rna_completed", "atac_completed"):
        assert found.mod[name].n_obs == 60 and (found.mod[name].obs["values"] == "measured").all()


def test_one_modality_may_be_complete(raw, model, tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    rna = raw.mod["rna"]
    some = mudata.MuData(
        {"rna": rna, "atac": raw.mod["atac"][raw.mod["atac"].obs_names.isin(rna.obs_names)].copy()}
    )
    found = completed_in(tmp_path, some, model)
    imputed = {name: (found.mod[name].obs["values"] == "imputed").sum() for name in list(found.mod)[2:]}
    assert imputed == {"rna_completed": 0, "atac_completed": 20}


def test_pairs_may_differ_from_names(raw, model, tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    renamed = raw.copy()
    partner = dict(zip(from_names(raw).col_names, [f"other_{i}" for i in range(80)], strict=True))
    atac = renamed.mod["atac"].copy()
    atac.obs_names = [partner[name] for name in atac.obs_names]
    renamed = mudata.MuData({"rna": renamed.mod["rna"], "atac": atac})
    pairs = Correspondence(from_names(raw).matrix, renamed.mod["rna"].obs_names, atac.obs_names)
    found = completed_in(tmp_path, renamed, model, pairs)
    assert found.mod["atac_completed"].obs_names[80:].tolist() == without(raw, "atac")
    assert found.mod["rna_completed"].obs_names[80:].tolist() == [partner[n] for n in without(raw, "rna")]


def test_pairs_are_told_by_names_not_by_their_order(raw, model, tmp_path, monkeypatch):
    skip_umap(monkeypatch)
    pairs = from_names(raw)
    turned = pairs.align(pairs.row_names[::-1], pairs.col_names[::-1])
    found = completed_in(tmp_path, raw, model, turned)
    for target in ("rna", "atac"):
        assert found.mod[f"{target}_completed"].obs_names[80:].tolist() == without(raw, target)


# --- groups to colour by


def test_cells_are_grouped_by_type_where_every_modality_has_one(completed):
    name, groups = placed.groups_of(completed)
    assert name == "cell type" and list(groups) == ["rna", "atac"]
    assert groups["atac"].tolist() == completed.mod["atac"].obs["cell_type"].tolist()


def test_cells_without_types_are_grouped_by_cluster(completed):
    bare = completed.copy()
    del bare.mod["atac"].obs[contract.CELL_TYPE]
    name, groups = placed.groups_of(bare)
    assert name == "Leiden cluster"
    wanted = completed.obs.loc[completed.mod["atac"].obs_names, "leiden"].astype(str)
    assert groups["atac"].tolist() == wanted.tolist() and len(groups["rna"]) == 80


# --- in the hands of scanpy and muon


def test_scanpy_and_muon_take_it_as_it_is(written):
    completed = mudata.read_h5mu(written)
    gene, peak = completed.mod["rna"].var_names[0], completed.mod["atac"].var_names[0]
    for color in (gene, peak, f"rna_completed:{gene}", "cell_type", "leiden", "measured_in"):
        (axes,) = mu.pl.umap(completed, color=color, show=False, return_fig=True).axes[:1]
        assert len(axes.collections[0].get_offsets()) == N_CELLS
    for adata in completed.mod.values():
        sc.pl.umap(adata, color=[adata.var_names[0], "cell_type"], show=False)
    sc.pl.umap(completed.mod["rna_completed"], color=gene, gene_symbols="feature", show=False)
    plt.close("all")
    for name, n_features in (("rna", N_GENES), ("atac", N_PEAKS)):
        for method in ("wilcoxon", "t-test"):
            sc.tl.rank_genes_groups(completed.mod[name], "cell_type", layer="normalised", method=method)
            found = sc.get.rank_genes_groups_df(completed.mod[name], None)
            assert found["pvals_adj"].min() < 0.05 and len(found) == 3 * n_features
