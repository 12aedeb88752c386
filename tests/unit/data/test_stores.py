"""AnnData and MuData in every form that anndata and mudata read give what these read."""

import gzip
import shutil
import warnings
import zipfile
from pathlib import Path

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import shared
from jamie.data import originals, readers, stores
from jamie.data.kinds import with_kind
from jamie.errors import InputError
from shared.odd import CELLS, COUNTS, GENES, MEASURED, TYPES, N, entry, ephys, muon_like, rna, spec


def gzipped(path):
    packed = path.with_name(f"{path.name}.gz")
    with open(path, "rb") as plain, gzip.open(packed, "wb") as file:
        shutil.copyfileobj(plain, file)
    path.unlink()
    return packed


def zipped(folder, *, inside=""):
    packed = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(packed, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{inside}{file.relative_to(folder)}")
    return packed


def store(folder, adata, form):
    """``adata`` (AnnData or MuData) written in a form, which is also what it is called."""
    hdf5, zarr = folder / f"x.{form.removesuffix('.gz')}", folder / "x.zarr"
    if "zarr" not in form:
        adata.write(hdf5)
        return gzipped(hdf5) if form.endswith(".gz") else hdf5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adata.write_zarr(zarr)
    return {"zarr": zarr}.get(form) or zipped(zarr, inside="" if form == "zarr.zip" else "x.zarr/")


SHARED = Path(shared.__file__).parent
FORMS = ["h5mu", "h5ad", "bin", "h5mu.gz", "zarr", "zarr.zip", "zarr.inner.zip"]


def check_read(mdata):
    assert np.array_equal(mdata["rna"].X.toarray(), COUNTS) and list(mdata["rna"].var_names) == GENES
    assert np.allclose(mdata["ephys"].X, MEASURED, atol=1e-6)
    for one in mdata.mod.values():
        assert list(one.obs_names) == CELLS and list(one.obs["cell_type"]) == TYPES


@pytest.mark.parametrize("form", FORMS)
def test_a_mudata_in_any_form_and_under_any_name(tmp_path, form):
    path = store(tmp_path, muon_like(), form)
    check_read(readers.read(entry("h5mu", "celltype"), {"data": path}))
    check_read(readers.read(entry("h5ad", "celltype"), {"rna": path, "ephys": path}))


@pytest.mark.parametrize("form", FORMS)
def test_an_anndata_in_any_form_and_under_any_name(tmp_path, form):
    files = {}
    for name, adata in {"rna": rna(), "ephys": ephys()}.items():
        (tmp_path / name).mkdir()
        files[name] = store(tmp_path / name, adata, form)
    check_read(readers.read(entry("h5ad", "celltype"), files))


@pytest.mark.parametrize("form", ["h5ad", "zarr", "h5ad.gz"])
@pytest.mark.parametrize("layer", ["counts", "raw"])
def test_layers_and_raw_of_any_form(tmp_path, form, layer):
    adata = rna()
    if layer == "raw":
        adata.raw = adata.copy()
    else:
        adata.layers["counts"] = adata.X.copy()
    adata.X = adata.X * 0.5
    (tmp_path / "other").mkdir()
    files = {"rna": store(tmp_path, adata, form), "ephys": store(tmp_path / "other", ephys(), form)}
    dataset = entry("h5ad", "celltype", rna=spec("rna", layer=layer), ephys=spec("continuous"))
    check_read(readers.read(dataset, files))
    place = {"rna": "raw/X" if layer == "raw" else "layers/counts", "ephys": "X"}
    assert originals.find(dataset, files).layers == place


def combined():
    """One AnnData of both modalities, as scanpy reads a Cell Ranger matrix."""
    values = sparse.csr_matrix(np.hstack([COUNTS, COUNTS[:, :3]]).astype(np.float32))
    adata = anndata.AnnData(values, obs=pd.DataFrame({"celltype": TYPES}, index=CELLS))
    adata.var_names = [*GENES, "t0", "t1", "t2"]
    adata.var["feature_types"] = pd.Categorical(["GEX"] * 4 + ["Antibody Capture"] * 3)
    return adata


@pytest.mark.parametrize("layer", [None, "counts", "raw"])
def test_an_anndata_of_both_modalities_is_split_by_feature_type(tmp_path, layer):
    adata = combined()
    if layer:
        adata.raw, adata.layers["counts"] = adata.copy(), adata.X.copy()
        adata.X = adata.X * 0.5
    adata.write(tmp_path / "x.h5ad")
    modalities = {"rna": spec("rna", source="GEX", layer=layer), "adt": spec("protein", layer=layer)}
    for reader, files in (("h5mu", ("data",)), ("h5ad", ("rna", "adt"))):
        if reader == "h5ad":
            modalities["adt"]["source"] = "Antibody Capture"
        dataset = entry(reader, **modalities)
        mdata = readers.read(dataset, dict.fromkeys(files, tmp_path / "x.h5ad"))
        assert np.array_equal(mdata["rna"].X.toarray(), COUNTS) and list(mdata["rna"].var_names) == GENES
        assert np.array_equal(mdata["adt"].X.toarray(), COUNTS[:, :3])
    modalities["rna"]["source"] = "Gene Expression"
    with pytest.raises(InputError, match="no feature type Gene Expression") as error:
        readers.read(dataset, dict.fromkeys(files, tmp_path / "x.h5ad"))
    assert error.value.found == "GEX, Antibody Capture"


def test_an_anndata_of_one_modality_is_not_what_h5mu_reads(tmp_path):
    rna().write(tmp_path / "x.h5mu")
    with pytest.raises(InputError, match="is not what `reader: h5mu` reads") as error:
        readers.read(entry("h5mu"), {"data": tmp_path / "x.h5mu"})
    assert "AnnData with" in error.value.found and "reader: h5ad" in error.value.change


INDICES = {
    "nullable": pd.Index(pd.array(CELLS, dtype="string")),
    "categorical": pd.CategoricalIndex(CELLS),
    "integers": pd.Index(range(100, 100 + N)),
    "not_ascii": pd.Index([f"Zelle_ü{i}_細胞" for i in range(N)]),
    "nan": pd.Index(["nan", "NA", "None", "null", "<NA>", "01"]),
}


def with_index(path, name, values):
    """Give a stored AnnData the index, as anndata writes it in a version that keeps its type."""
    with h5py.File(path, "r+") as f, anndata.settings.override(allow_write_nullable_strings=True):
        group = f[name]["obs"]
        del group["_index"]
        anndata.io.write_elem(group, "_index", values.array if kept_type(values) else values.to_numpy())


def kept_type(values):
    return isinstance(values.dtype, pd.CategoricalDtype | pd.StringDtype)


@pytest.mark.parametrize("kind", INDICES)
@pytest.mark.parametrize("reader", ["h5mu", "h5ad"])
def test_names_of_every_type_are_text(tmp_path, kind, reader):
    path, names = tmp_path / "x.h5mu", [str(name) for name in INDICES[kind]]
    muon_like().write(path)
    for modality in ("rna", "ephys"):
        with_index(path, f"mod/{modality}", INDICES[kind])
    files = {"data": path} if reader == "h5mu" else {"rna": path, "ephys": path}
    dataset = entry(reader, "celltype")
    mdata = readers.read(dataset, files)
    for one in mdata.mod.values():
        assert list(one.obs_names) == names and list(one.obs["cell_type"]) == TYPES
    assert readers.pairs_of(dataset, mdata, {}).certain_pairs().tolist() == [[i, i] for i in range(N)]
    mdata.write(tmp_path / "again.h5mu")
    assert list(mudata.read_h5mu(tmp_path / "again.h5mu")["rna"].obs_names) == names
    assert list(originals.frames(path, "mod/rna")[0].index) == names


def test_nullable_text_everywhere_as_pandas_3_writes_it(tmp_path):
    path, mdata = tmp_path / "x.h5mu", muon_like()
    for adata in mdata.mod.values():
        del adata.obs["celltype"]
    mdata.obs["label"] = pd.Series(TYPES, index=CELLS)
    mdata.write(path)
    places = {"mod/rna/obs": CELLS, "mod/ephys/obs": CELLS, "obs": CELLS, "mod/rna/var": GENES}
    with h5py.File(path, "r+") as f, anndata.settings.override(allow_write_nullable_strings=True):
        for place, names in places.items():
            del f[place]["_index"]
            anndata.io.write_elem(f[place], "_index", pd.array(names, dtype="string"))
        del f["obs/label"]
        anndata.io.write_elem(f["obs"], "label", pd.array(TYPES, dtype="string"))
    assert mudata.read_h5mu(path)["rna"].obs.index.dtype == "string"
    got = readers.read(entry("h5mu", "label"), {"data": path})
    check_read(got)
    got.write(tmp_path / "again.h5mu")
    check_read(mudata.read_h5mu(tmp_path / "again.h5mu"))


def test_a_cell_without_a_name_is_refused(tmp_path):
    muon_like().write(tmp_path / "x.h5mu")
    with_index(tmp_path / "x.h5mu", "mod/rna", pd.Index(pd.array([*CELLS[:5], None], dtype="string")))
    with pytest.raises(InputError, match="cells without a name") as error:
        readers.read(entry("h5mu"), {"data": tmp_path / "x.h5mu"})
    assert "1 missing" in error.value.found and str(tmp_path / "x.h5mu") in error.value.problem


def test_raw_of_a_seurat_conversion(tmp_path):
    """SeuratDisk leaves a column `_index` in raw.var, which anndata does not write."""
    adata = rna()
    adata.raw = adata.copy()
    adata.X = adata.X.log1p()
    adata.write(tmp_path / "rna.h5ad")
    with h5py.File(tmp_path / "rna.h5ad", "r+") as f:
        f["raw/var"].attrs["column-order"] = ["_index"]
    assert "_index" in anndata.read_h5ad(tmp_path / "rna.h5ad").raw.var
    ephys().write(tmp_path / "ephys.h5ad")
    files = {"rna": tmp_path / "rna.h5ad", "ephys": tmp_path / "ephys.h5ad"}
    dataset = entry("h5ad", "celltype", rna=spec("rna", layer="raw"), ephys=spec("continuous"))
    mdata = readers.read(dataset, files)
    check_read(mdata)
    mdata.write(tmp_path / "again.h5mu")
    again = mudata.read_h5mu(tmp_path / "again.h5mu")
    assert list(again["rna"].var["original__index"]) == GENES


def old_categories(path, *, legacy):
    """obs["celltype"] as anndata 0.7 kept it (codes, and categories beside them), or before."""
    with h5py.File(path, "r+") as f:
        obs = f["obs"]
        del obs["celltype"]
        codes = obs.create_dataset("celltype", data=np.array([0, 1] * 3, dtype=np.int8))
        held = obs.create_group("__categories")
        anndata.io.write_elem(held, "celltype", np.array(["a", "b"], dtype=object))
        codes.attrs["categories"] = held["celltype"].ref
        obs.attrs["encoding-version"] = "0.1.0"
        if legacy:
            f["X"].attrs.clear()
            f["X"].attrs["h5sparse_format"], f["X"].attrs["h5sparse_shape"] = "csr", COUNTS.shape


@pytest.mark.parametrize("legacy", [False, True])
def test_files_of_older_anndata(tmp_path, legacy):
    rna().write(tmp_path / "rna.h5ad")
    ephys().write(tmp_path / "ephys.h5ad")
    old_categories(tmp_path / "rna.h5ad", legacy=legacy)
    plain = anndata.read_h5ad(tmp_path / "rna.h5ad")
    assert list(plain.obs["celltype"]) == TYPES and np.array_equal(plain.X.toarray(), COUNTS)
    files = {name: tmp_path / f"{name}.h5ad" for name in ("rna", "ephys")}
    check_read(readers.read(entry("h5ad", "celltype"), files))


@pytest.mark.parametrize("layer", ["counts", "raw", None])
@pytest.mark.parametrize("version", ["0.6.22", "0.7.8", "0.8.0"])
def test_files_that_older_anndata_wrote(tmp_path, version, layer):
    """`X` is half the counts, which are in a layer and in raw."""
    path = SHARED / f"anndata_{version}.h5ad.gz"
    ephys().write(tmp_path / "ephys.h5ad")
    files = {"rna": path, "ephys": tmp_path / "ephys.h5ad"}
    dataset = entry("h5ad", "celltype", rna=spec("rna", layer=layer), ephys=spec("continuous"))
    mdata = readers.read(dataset, files)
    check_read(mdata)
    assert list(mdata["rna"].obs["n"]) == list(range(N)) and list(mdata["rna"].obs["txt"]) == list("uvwxyz")
    with originals.opened(path, "/") as group:
        assert {"X", "obs", "var", "layers", "raw", "obsm", "uns"} <= set(group)


def test_a_file_that_was_written_backed(tmp_path):
    ephys().write(tmp_path / "ephys.h5ad")
    rna().write(tmp_path / "rna.h5ad")
    backed = anndata.read_h5ad(tmp_path / "rna.h5ad", backed="r+")
    backed.obs["n"] = range(N)
    backed.write()
    backed.file.close()
    files = {name: tmp_path / f"{name}.h5ad" for name in ("rna", "ephys")}
    mdata = readers.read(entry("h5ad", "celltype"), files)
    check_read(mdata)
    assert list(mdata["rna"].obs["n"]) == list(range(N))


def test_a_backed_object_is_read_as_one_in_memory(tmp_path):
    rna().write(tmp_path / "rna.h5ad")
    backed = anndata.read_h5ad(tmp_path / "rna.h5ad", backed="r")
    mdata = readers.harmonise({"rna": backed, "ephys": ephys()}, entry("h5ad", "celltype"))
    check_read(mdata)
    backed.uns["kind"] = "rna"
    assert np.array_equal(with_kind(backed, "rna").X.toarray(), COUNTS)  # as the model takes it


@pytest.mark.parametrize("kind", ["csc", "dense", "integers", "bool"])
def test_values_in_any_storage(tmp_path, kind):
    values = {
        "csc": sparse.csc_matrix(COUNTS),
        "dense": COUNTS.astype(float),
        "integers": COUNTS.astype(np.uint16),
        "bool": COUNTS > 2,
    }[kind]
    adata = anndata.AnnData(values, obs=rna().obs, var=rna().var)
    adata.write(tmp_path / "rna.h5ad")
    ephys().write(tmp_path / "ephys.h5ad")
    files = {name: tmp_path / f"{name}.h5ad" for name in ("rna", "ephys")}
    got = readers.read(entry("h5ad"), files)["rna"].X
    assert np.array_equal(got.toarray(), COUNTS > 2 if kind == "bool" else COUNTS)


@pytest.mark.parametrize("reader", ["h5mu", "h5ad"])
def test_cells_named_twice_are_one_clear_error(tmp_path, reader):
    twice = ["cell0", "cell0", *CELLS[2:]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if reader == "h5mu":
            muon_like().write(tmp_path / "x.h5mu")
            with_index(tmp_path / "x.h5mu", "mod/rna", pd.Index(twice))
            files = {"data": tmp_path / "x.h5mu"}
        else:
            rna(twice).write(tmp_path / "rna.h5ad")
            ephys(CELLS[::-1]).write(tmp_path / "ephys.h5ad")
            files = {name: tmp_path / f"{name}.h5ad" for name in ("rna", "ephys")}
        with pytest.raises(InputError, match="rna holds a cell name more than once") as error:
            readers.read(entry(reader), files)
    assert (
        "1: cell0" in error.value.found and str(files.get("rna", tmp_path / "x.h5mu")) in error.value.change
    )


def test_a_gzipped_file_is_unpacked_once(tmp_path):
    rna().write(tmp_path / "x.h5ad")
    packed = gzipped(tmp_path / "x.h5ad")
    assert stores.unpacked(packed) == stores.unpacked(packed)
    with stores.opened(packed) as group:
        assert stores.holds(group) == stores.ANNDATA
