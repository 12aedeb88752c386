"""What the input holds besides the values that are used is in the completed dataset too."""

import gzip

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jamie import JAMIE
from jamie.data import checks, originals, readers
from jamie.data.simulate import simulate_multiome
from jamie.report import complete, placed

N_CELLS, N_GENES, N_PEAKS = 60, 20, 40


def spec(kind, source=None, layer=None):
    return {"kind": kind, "values": "counts", "source": source, "layer": layer}


def entry(reader="h5mu", **more):
    modalities = {"rna": spec("rna"), "atac": spec("atac")}
    return {
        "reader": reader,
        "modalities": modalities,
        "cell_type": "celltype",
        "correspondence": None,
    } | more


def rich():
    """40 cells in both modalities, 10 in each alone, 12 in a third; something in every slot."""
    mdata, _ = simulate_multiome(N_CELLS, 3, N_GENES, N_PEAKS, paired_fraction=2 / 3, seed=4)
    rng = np.random.default_rng(0)
    for name, adata in mdata.mod.items():
        n, p = adata.shape
        adata.obs = adata.obs.rename(columns={"cell_type": "celltype"})
        adata.obs["cell_type"] = "coarse"
        adata.obs["leiden"] = pd.Categorical(rng.integers(0, 3, n).astype(str))
        adata.layers["spliced"] = adata.X.copy()
        adata.layers["dense"] = rng.normal(size=(n, p)).astype(np.float32)
        adata.obsm["X_umap"] = rng.normal(size=(n, 2))
        adata.obsm["table"] = pd.DataFrame({"a": np.arange(n)}, index=adata.obs_names)
        adata.varm["PCs"] = rng.normal(size=(p, 3))
        adata.obsp["distances"] = sparse.random(n, n, 0.1, format="csr", random_state=0)
        adata.varp["links"] = sparse.random(p, p, 0.1, format="csr", random_state=0)
        adata.uns |= {"made_by": {"tool": name, "version": 1}, "kind": "own words"}
    tags = anndata.AnnData(rng.poisson(3, (12, 4)).astype(float), layers={"raw": np.ones((12, 4))})
    tags.obs_names, tags.var_names = mdata.mod["rna"].obs_names[:12], ["tag_1", "tag_2", "tag_3", "tag_4"]
    whole = mudata.MuData(dict(mdata.mod) | {"tags": tags})
    whole.obs["donor"] = pd.Categorical(np.where(np.arange(N_CELLS) < 20, "one", "two"))
    whole.obsm["place"] = rng.normal(size=(N_CELLS, 2))
    whole.obsp["joint"] = sparse.random(N_CELLS, N_CELLS, 0.1, format="csr", random_state=1)
    whole.varm["loads"] = rng.normal(size=(N_GENES + N_PEAKS + 4, 2))
    whole.uns["study"] = "made"
    return whole


def completed(folder, dataset, files, monkeypatch, drop_empty=False):
    """The dataset read, completed by a model of one step, and written: as anyone reads it."""
    monkeypatch.setattr(
        placed,
        "umap_and_clusters",
        lambda values, clusters=True: (np.zeros((len(values), 2), np.float32), np.full(len(values), "0")),
    )
    mdata = readers.read(dataset, files)
    pairs = readers.pairs_of(dataset, mdata, files)
    if drop_empty:
        mdata = checks.drop_empty(mdata)
    model = JAMIE(seed=0, device="cpu", progress=False, max_epochs=1, min_steps=0, hidden_layers=(8,)).fit(
        mdata
    )
    path = folder / "completed.h5mu"
    pairs = pairs.align(*(a.obs_names for a in mdata.mod.values()))
    complete.write_completed(path, mdata, pairs, model, None, originals.find(dataset, files))
    return mudata.read_h5mu(path)


def same(a, b) -> bool:
    a, b = (x.toarray() if sparse.issparse(x) else np.asarray(x) for x in (a, b))
    return a.shape == b.shape and np.array_equal(a, b)


def check_kept(found, before):
    """Everything of one modality, for the cells and features that are left."""
    before = before[found.obs_names, found.var_names]
    for name in ("spliced", "dense"):
        assert same(found.layers[name], before.layers[name]), name
    assert same(found.obsm["original_X_umap"], before.obsm["X_umap"])
    assert (found.obsm["X_umap"] == 0).all() and found.obsm["table"].equals(before.obsm["table"])
    assert same(found.varm["PCs"], before.varm["PCs"])
    assert same(found.obsp["distances"], before.obsp["distances"])
    assert same(found.varp["links"], before.varp["links"])
    assert found.uns["made_by"] == before.uns["made_by"] and found.uns["original_kind"] == "own words"
    assert (
        found.obs["cell_type"].tolist() == found.obs["celltype"].tolist() == before.obs["celltype"].tolist()
    )
    assert (found.obs["original_cell_type"] == "coarse").all() and (found.obs["leiden"] == "0").all()
    assert found.obs["original_leiden"].tolist() == before.obs["leiden"].tolist()


def test_every_slot_of_an_h5mu_is_kept(tmp_path, monkeypatch):
    before = rich()
    before.write(tmp_path / "rich.h5mu")
    found = completed(tmp_path, entry(), {"data": tmp_path / "rich.h5mu"}, monkeypatch)
    assert list(found.mod) == ["rna", "atac", "tags", "rna_completed", "atac_completed"]
    for name in ("rna", "atac"):
        check_kept(found.mod[name], before.mod[name])
        assert same(found.mod[name].X, before.mod[name].X)
    assert same(found.mod["tags"].X, before.mod["tags"].X) and (found.mod["tags"].layers["raw"] == 1).all()
    at = found[before.obs_names]
    assert at.obs["donor"].tolist() == before.obs["donor"].tolist() and found.uns["study"] == "made"
    assert same(at.obsm["place"], before.obsm["place"])
    assert same(found.obsp["joint"], before[found.obs_names].obsp["joint"])
    rows = before.var_names.get_indexer(found.var_names)
    assert same(found.varm["loads"][rows >= 0], before.varm["loads"][rows[rows >= 0]])


def test_cells_and_features_that_are_dropped_do_not_come_back(tmp_path, monkeypatch):
    before = rich()
    rna = before.mod["rna"]
    counts = rna.X.toarray()
    counts[[3, 17]], counts[:, 5] = 0, 0
    rna.X = sparse.csr_matrix(counts)
    rna.raw = rna.copy()
    before.write(tmp_path / "rich.h5mu")
    found = completed(tmp_path, entry(), {"data": tmp_path / "rich.h5mu"}, monkeypatch, drop_empty=True)
    after = found.mod["rna"]
    assert after.shape == (48, N_GENES - 1) and not {3, 17} & set(rna.obs_names.get_indexer(after.obs_names))
    check_kept(after, rna)
    assert same(after.raw.X, rna[after.obs_names].raw.X) and after.raw.shape == (48, N_GENES)


def test_modalities_may_be_renamed_and_values_may_lie_in_a_layer(tmp_path, monkeypatch):
    before = rich()
    rna = before.mod["rna"]
    rna.layers["counts"] = rna.X.copy()
    rna.X = sparse.csr_matrix(rna.X.log1p())
    mods = {"gex": rna, "atac": before.mod["atac"], "rna": before.mod["tags"]}
    mudata.MuData(mods).write(tmp_path / "rich.h5mu")
    modalities = {"rna": spec("rna", source="gex", layer="counts"), "atac": spec("atac")}
    files = {"data": tmp_path / "rich.h5mu"}
    found = completed(tmp_path, entry(modalities=modalities), files, monkeypatch)
    assert list(found.mod)[:3] == ["rna", "atac", "original_rna"]
    check_kept(found.mod["rna"], rna)
    assert same(found.mod["rna"].X, rna.X) and same(found.mod["rna"].layers["counts"], rna.layers["counts"])
    assert found.uns["jamie"]["raw_values"] == {"rna": "layers/counts", "atac": "X"}
    assert same(found.mod["original_rna"].X, before.mod["tags"].X)


def test_counts_of_raw_bring_their_features_and_x_stays_beside_them(tmp_path, monkeypatch):
    before = rich()
    rna = before.mod["rna"]
    chosen = rna[:, :8].copy()
    chosen.raw = rna
    chosen.X = sparse.csr_matrix(chosen.X.log1p())
    mudata.MuData({"rna": chosen, "atac": before.mod["atac"]}).write(tmp_path / "rich.h5mu")
    modalities = {"rna": spec("rna", layer="raw"), "atac": spec("atac")}
    files = {"data": tmp_path / "rich.h5mu"}
    found = completed(tmp_path, entry(modalities=modalities), files, monkeypatch)
    assert same(found.mod["rna"].X, rna.X) and same(found.mod["rna_input"].X, chosen.X)
    assert same(found.mod["rna_input"].raw.X, rna.X) and same(
        found.mod["rna_input"].varm["PCs"], chosen.varm["PCs"]
    )
    assert same(found.mod["rna"].obsp["distances"], rna.obsp["distances"])
    assert found.var_names.is_unique
    assert found.mod["rna_input"].var["feature"].tolist() == chosen.var_names.tolist()


def test_names_that_modalities_share_are_told_apart_in_raw_too(tmp_path, monkeypatch):
    before = rich()
    atac = before.mod["atac"].copy()
    atac.var_names = [before.mod["rna"].var_names[0], *atac.var_names[1:]]
    atac.raw = atac.copy()
    mudata.MuData({"rna": before.mod["rna"], "atac": atac}).write(tmp_path / "rich.h5mu")
    found = completed(tmp_path, entry(), {"data": tmp_path / "rich.h5mu"}, monkeypatch).mod["atac"]
    assert found.var_names[0] == found.raw.var_names[0] == f"atac:{atac.var_names[0]}"
    assert found.var_names[1:].tolist() == found.raw.var_names[1:].tolist() == atac.var_names[1:].tolist()


@pytest.mark.parametrize("layer", [None, "raw"])
def test_every_slot_of_an_h5ad_is_kept(layer, tmp_path, monkeypatch):
    before, files = rich(), {}
    for name in ("rna", "atac"):
        adata = before.mod[name]
        adata.raw = adata.copy()
        files[name] = tmp_path / f"{name}.h5ad"
        adata.write_h5ad(files[name])
    modalities = {"rna": spec("rna", layer=layer), "atac": spec("atac")}
    found = completed(tmp_path, entry("h5ad", modalities=modalities), files, monkeypatch)
    assert list(found.mod) == ["rna", "atac", "rna_completed", "atac_completed"]
    for name in ("rna", "atac"):
        check_kept(found.mod[name], before.mod[name])
        assert same(found.mod[name].raw.X, before.mod[name].raw.X)


def test_files_of_other_readers_hold_no_more_than_is_read(tmp_path):
    assert originals.find(entry("table"), {}) == originals.Originals()


def test_a_file_of_an_old_anndata_is_brought_into_todays_form(tmp_path):
    old = tmp_path / "old.h5ad"
    with h5py.File(old, "w") as f:
        f["X"] = np.ones((2, 3), np.float32)
        f["obs"] = np.array([(b"a", 1.0), (b"b", 2.0)], dtype=[("index", "S1"), ("depth", "f8")])
        f["var"] = np.array([(b"x",), (b"y",), (b"z",)], dtype=[("index", "S1")])
        f["obsm"] = np.array([([1.0, 2.0],), ([3.0, 4.0],)], dtype=[("X_pca", "f8", (2,))])
    with originals.opened(old, "/") as group:
        assert group["obsm/X_pca"][()].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert originals.frames(old, "/")[0]["depth"].to_dict() == {"a": 1.0, "b": 2.0}


def stored_as(form, folder, data):
    """A MuData or AnnData written as a file or folder of a form."""
    path = folder / f"x.{form.removesuffix('.gz')}"
    (data.write_zarr if form == "zarr" else data.write)(path)
    if form.endswith(".gz"):
        packed = path.with_name("x.gz")
        packed.write_bytes(gzip.compress(path.read_bytes(), 1))
        return packed
    return path


@pytest.mark.parametrize("form", ["zarr", "h5mu.gz"])
def test_every_slot_of_any_form_is_kept(form, tmp_path, monkeypatch):
    before = rich()
    for name in ("rna", "atac"):
        before.mod[name].raw = before.mod[name].copy()
    path = stored_as(form, tmp_path, before)
    found = completed(tmp_path, entry(), {"data": path}, monkeypatch)
    assert list(found.mod) == ["rna", "atac", "tags", "rna_completed", "atac_completed"]
    for name in ("rna", "atac"):
        check_kept(found.mod[name], before.mod[name])
        assert same(found.mod[name].X, before.mod[name].X)
        assert same(found.mod[name].raw.X, before.mod[name].raw.X)
    assert same(found.mod["tags"].X, before.mod["tags"].X) and (found.mod["tags"].layers["raw"] == 1).all()
    at = found[before.obs_names]
    assert at.obs["donor"].tolist() == before.obs["donor"].tolist() and found.uns["study"] == "made"
    assert same(at.obsm["place"], before.obsm["place"])


def test_modalities_of_a_mudata_may_come_as_files_of_their_own(tmp_path, monkeypatch):
    before = rich()
    before.write(tmp_path / "rich.h5mu")
    files = dict.fromkeys(("rna", "atac"), tmp_path / "rich.h5mu")
    found = completed(tmp_path, entry("h5ad"), files, monkeypatch)
    assert list(found.mod) == ["rna", "atac", "rna_completed", "atac_completed"]
    for name in ("rna", "atac"):
        check_kept(found.mod[name], before.mod[name])


@pytest.mark.parametrize("layer", [None, "counts", "raw"])
def test_slots_of_an_anndata_of_both_modalities_are_kept_in_each(layer, tmp_path, monkeypatch):
    mods = rich().mod
    rna, atac = (
        mods[name][mods["rna"].obs_names.intersection(mods["atac"].obs_names)] for name in ("rna", "atac")
    )
    values = sparse.hstack([rna.X, atac.X]).tocsr()
    both = anndata.AnnData(
        values, obs=rna.obs.copy(), var=pd.DataFrame(index=[*rna.var_names, *atac.var_names])
    )
    both.var["feature_types"] = ["Gene Expression"] * N_GENES + ["Peaks"] * N_PEAKS
    both.obsm["X_pca"], both.varm["PCs"] = rna.obsm["X_umap"], np.vstack([rna.varm["PCs"], atac.varm["PCs"]])
    both.layers["counts"], both.raw, both.uns["study"] = values.copy(), both.copy(), "made"
    if layer:
        both.X = values.log1p()
    both.write(tmp_path / "both.h5ad")
    modalities = {"rna": spec("rna", layer=layer), "atac": spec("atac", layer=layer)}
    found = completed(tmp_path, entry(modalities=modalities), {"data": tmp_path / "both.h5ad"}, monkeypatch)
    assert list(found.mod) == ["rna", "atac", "rna_completed", "atac_completed"]
    for name in ("rna", "atac"):
        one, part = found.mod[name], both[:, found.mod[name].var_names]
        assert one.obs_names.equals(both.obs_names) and same(one.X, part.X)
        assert same(one.layers["counts"], part.layers["counts"]) and same(
            one.obsm["X_pca"], both.obsm["X_pca"]
        )
        assert same(one.varm["PCs"], part.varm["PCs"]) and one.uns["study"] == "made"
        assert same(one.raw.X, values) and list(one.raw.var_names) == list(both.var_names)


def test_columns_that_cannot_be_written_are_kept_under_other_names(tmp_path, monkeypatch):
    before, files = rich(), {}
    for name in ("rna", "atac"):
        adata = before.mod[name]
        adata.raw = adata.copy()
        files[name] = tmp_path / f"{name}.h5ad"
        adata.write_h5ad(files[name])
        with h5py.File(files[name], "r+") as f:  # as conversions of Seurat objects leave it
            f["raw/var"].attrs["column-order"] = ["_index"]
            f["obs"].attrs["column-order"] = [*f["obs"].attrs["column-order"], "_index"]
    found = completed(tmp_path, entry("h5ad"), files, monkeypatch)
    for name in ("rna", "atac"):
        check_kept(found.mod[name], before.mod[name])
        assert list(found.mod[name].obs["original__index"]) == list(found.mod[name].obs_names)
        names = found.mod[name].raw.var["original__index"]
        assert names.tolist() == before.mod[name].var_names.tolist()
