"""Every format gives the same cells, features and values; what does not fit is named."""

import gzip
import importlib
from pathlib import Path

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import io as scipy_io
from scipy import sparse

from jamie.data import checks, originals, readers, readers_r
from jamie.data.correspondence import Correspondence
from jamie.errors import InputError
from jamie.io import together
from shared.odd import CELLS, COUNTS, GENES, MEASURED, TYPES, N, entry, spec

PEAKS = ["chr1:100-200", "chr2:5-10", "chrX:7-9"]


def adata(values, features, cells=CELLS, **obs):
    return anndata.AnnData(
        values.copy(), obs=pd.DataFrame(obs, index=list(cells)), var=pd.DataFrame(index=list(features))
    )


def rna_and_ephys():
    rna = adata(sparse.csr_matrix(COUNTS.astype(float)), GENES, celltype=TYPES, donor=[1, 1, 1, 2, 2, 2])
    ephys = adata(MEASURED[:4], ["e0", "e1", "e2"], CELLS[:4], celltype=TYPES[:4], donor=[1, 1, 1, 2])
    return {"rna": rna, "ephys": ephys}


@pytest.fixture
def h5mu(tmp_path):
    path = tmp_path / "x.h5mu"
    together(rna_and_ephys() | {"extra": adata(np.ones((N, 1)), ["x"])}).write(path)
    return path


def test_h5mu(h5mu, tmp_path):
    dataset = entry("h5mu", cell_type="celltype", batch="donor")
    mdata = readers.read(dataset, {"data": h5mu})
    assert list(mdata.mod) == ["rna", "ephys"]
    rna, ephys = mdata["rna"], mdata["ephys"]
    assert isinstance(rna.X, sparse.csr_matrix) and rna.X.dtype == np.float32
    assert np.array_equal(rna.X.toarray(), COUNTS)
    assert isinstance(ephys.X, np.ndarray) and np.allclose(ephys.X, MEASURED[:4], atol=1e-6)
    assert list(rna.obs["cell_type"]) == TYPES and list(rna.obs.columns) == ["cell_type", "batch"]
    assert list(rna.obs["batch"].cat.categories) == ["1", "2"]
    assert dict(rna.uns) == {"kind": "rna", "values": "counts"}
    assert readers.pairs_of(dataset, mdata, {}).certain_pairs().tolist() == [[i, i] for i in range(4)]
    mdata.write(tmp_path / "again.h5mu")
    again = mudata.read_h5mu(tmp_path / "again.h5mu")
    assert again["ephys"].uns["kind"] == "continuous"


def test_order_and_source_come_from_the_config(h5mu):
    modalities = {"voltage": spec("continuous", source="ephys"), "genes": spec("rna", source="rna")}
    mdata = readers.read(entry("h5mu", **modalities), {"data": h5mu})
    assert list(mdata.mod) == ["voltage", "genes"] and mdata["genes"].shape == (N, 4)


def test_modality_not_in_the_file(h5mu):
    with pytest.raises(InputError, match="rna, ephys, extra"):
        readers.read(entry("h5mu", rna=spec("rna"), adt=spec("protein")), {"data": h5mu})


def test_column_not_in_the_file(h5mu):
    with pytest.raises(InputError, match="celltype, donor") as error:
        readers.read(entry("h5mu", cell_type="label"), {"data": h5mu})
    assert "cell_type" in error.value.change


def test_label_of_the_joint_obs(tmp_path):
    contents = rna_and_ephys()
    for one in contents.values():
        one.obs = one.obs[[]]
    mdata = together(contents)
    mdata.obs["label"] = pd.Series(TYPES, index=CELLS).reindex(mdata.obs_names)
    mdata.write(tmp_path / "x.h5mu")
    got = readers.read(entry("h5mu", cell_type="label"), {"data": tmp_path / "x.h5mu"})
    assert list(got["ephys"].obs["cell_type"]) == TYPES[:4]


@pytest.mark.parametrize("layer", ["counts", "raw"])
def test_h5ad_and_layers(tmp_path, layer):
    contents = rna_and_ephys()
    rna = contents["rna"]
    if layer == "raw":
        rna.raw = rna.copy()
    else:
        rna.layers["counts"] = rna.X.copy()
    rna.X = rna.X * 0.5
    files = {name: tmp_path / f"{name}.h5ad" for name in contents}
    for name, one in contents.items():
        one.write(files[name])
    dataset = entry("h5ad", rna=spec("rna", layer=layer), ephys=spec("continuous"))
    mdata = readers.read(dataset, files)
    assert np.array_equal(mdata["rna"].X.toarray(), COUNTS) and list(mdata["rna"].var_names) == GENES
    assert not set(mdata["rna"].layers) - {None}
    dataset["modalities"]["rna"]["layer"] = "spliced"
    with pytest.raises(InputError, match="null \\(X\\), " + layer):
        readers.read(dataset, files)


def unreadable(path, *places):
    """Make parts of an HDF5 file something no library knows how to read."""
    with h5py.File(path, "r+") as f:
        for place in places:
            f[place].attrs["encoding-type"] = "nobody knows"


def test_modalities_and_layers_that_are_not_used_are_not_read(tmp_path):
    contents = rna_and_ephys()
    rna, path = contents["rna"], tmp_path / "x.h5mu"
    rna.layers["counts"], rna.layers["spliced"], rna.raw = rna.X.copy(), rna.X * 2, rna.copy()
    rna.obsm["X_pca"] = MEASURED
    mudata.MuData(contents | {"extra": adata(np.ones((N, 1)), ["x"])}).write(path)
    unused = ["X", "layers/spliced", "raw/X", "obsm/X_pca", "uns"]
    unreadable(path, "mod/extra/X", "mod/extra/obs", "obs", "var", *(f"mod/rna/{place}" for place in unused))
    with pytest.raises(Exception, match="nobody knows"):
        mudata.read_h5mu(path)
    dataset = entry("h5mu", rna=spec("rna", layer="counts"), ephys=spec("continuous"))
    mdata = readers.read(dataset, {"data": path})
    assert np.array_equal(mdata["rna"].X.toarray(), COUNTS)
    dataset["modalities"]["rna"]["layer"] = "unspliced"
    with pytest.raises(InputError, match="no values in layer unspliced") as error:
        readers.read(dataset, {"data": path})
    assert error.value.found == "null (X), counts, spliced, raw"


def test_layers_of_h5ad_that_are_not_used_are_not_read(tmp_path):
    contents = rna_and_ephys()
    contents["rna"].layers["spliced"] = contents["rna"].X * 2
    files = {name: tmp_path / f"{name}.h5ad" for name in contents}
    for name, one in contents.items():
        one.write(files[name])
    unreadable(files["rna"], "layers/spliced")
    with pytest.raises(Exception, match="nobody knows"):
        anndata.read_h5ad(files["rna"])
    assert np.array_equal(readers.read(entry("h5ad"), files)["rna"].X.toarray(), COUNTS)


def test_h5ad_of_an_old_anndata(tmp_path):
    files = {"rna": tmp_path / "old.h5ad", "ephys": tmp_path / "ephys.h5ad"}
    rna_and_ephys()["ephys"].write(files["ephys"])
    with h5py.File(files["rna"], "w") as f:  # tables as records, before anndata 0.7
        f["X"] = COUNTS.astype(np.float32)
        f["obs"] = np.array([(cell.encode(),) for cell in CELLS], dtype=[("index", "S9")])
        f["var"] = np.array([(gene.encode(),) for gene in GENES], dtype=[("index", "S9")])
    rna = readers.read(entry("h5ad"), files)["rna"]
    assert list(rna.obs_names) == CELLS and list(rna.var_names) == GENES
    assert np.array_equal(rna.X.toarray(), COUNTS)


def test_a_cell_named_twice_matters_only_where_it_is_used(tmp_path):
    extra = adata(np.ones((2, 1)), ["x"], ["twin", "twin"])
    mudata.MuData(rna_and_ephys() | {"extra": extra}).write(tmp_path / "x.h5mu")
    assert list(readers.read(entry("h5mu"), {"data": tmp_path / "x.h5mu"}).mod) == ["rna", "ephys"]
    dataset = entry("h5mu", rna=spec("rna"), ephys=spec("continuous", source="extra"))
    with pytest.raises(InputError, match="extra holds a cell name more than once"):
        readers.read(dataset, {"data": tmp_path / "x.h5mu"})


def test_labels_keep_nan_and_names_of_the_contract_are_not_confused():
    rna, ephys = rna_and_ephys().values()
    for one in (rna, ephys):
        one.obs["cell_type"] = "of the file"
        one.obs["mixed"] = pd.Series([1, "x", None, 2.5, True, "y"], index=CELLS).reindex(one.obs_names)
    rna.obs["celltype"] = rna.obs["celltype"].where(rna.obs_names != "cell2")
    mdata = readers.harmonise({"rna": rna, "ephys": ephys}, entry("h5mu", cell_type="celltype"))
    obs = mdata["rna"].obs
    assert set(obs.columns) == {"cell_type", "original_cell_type", "donor", "mixed"}
    assert obs["cell_type"].isna().tolist() == [False, False, True, False, False, False]
    assert obs["mixed"].tolist()[:2] == ["1", "x"] and obs["mixed"].isna().sum() == 1
    unlabelled = readers.harmonise({"rna": rna, "ephys": ephys}, entry("h5mu"))
    assert "cell_type" not in unlabelled["rna"].obs


def test_dense_counts_become_sparse_and_normalised_stay():
    contents = {"rna": adata(COUNTS.astype(float), GENES), "log": adata(COUNTS * 0.5, GENES)}
    mdata = readers.harmonise(contents, entry("h5mu", rna=spec("rna"), log=spec("rna", "normalised")))
    assert sparse.issparse(mdata["rna"].X) and isinstance(mdata["log"].X, np.ndarray)
    assert mdata["rna"].X.nnz == np.count_nonzero(COUNTS)


def test_explicit_zeros_are_removed_without_touching_the_input():
    matrix = sparse.csr_matrix(COUNTS.astype(np.float32))
    matrix.data[0] = 0
    contents = rna_and_ephys() | {"rna": adata(matrix, GENES)}
    mdata = readers.harmonise(contents, entry("h5mu"))
    assert mdata["rna"].X.nnz == matrix.nnz - 1 and contents["rna"].X.nnz == matrix.nnz


def test_missing_measurements_stay_nan():
    contents = rna_and_ephys()
    contents["ephys"].X[1, 2] = np.nan
    ephys = readers.harmonise(contents, entry("h5mu"))["ephys"]
    assert np.argwhere(np.isnan(ephys.X)).tolist() == [[1, 2]]


def test_sparse_counts_called_continuous_are_never_made_dense():
    counts = sparse.random(50, 50, 0.1, format="csr", random_state=0)
    counts.data = np.ceil(counts.data * 5)
    cells = [f"c{i}" for i in range(50)]
    contents = rna_and_ephys() | {"ephys": adata(counts, [f"f{i}" for i in range(50)], cells)}
    with pytest.raises(InputError, match="looks like counts"):
        readers.harmonise(contents, entry("h5mu"))


@pytest.mark.parametrize(
    ("names", "interval"),
    [
        (["chr1:100-200", "chr1-300-400", "chr1_GL45_random:7-9"], None),
        (["p0", "p1", "p2"], ["chr1:100-200", "chr1:300-400", "chr1_GL45_random:7-9"]),
        (["chr1_100_200", "chr1-300-400", "chr1_GL45_random_7_9"], None),
    ],
)
def test_peak_coordinates(names, interval):
    atac = adata(sparse.csr_matrix(np.ones((N, 3))), names)
    if interval:
        atac.var["interval"] = interval
    contents = rna_and_ephys() | {"atac": atac}
    mdata = readers.harmonise(contents, entry("h5mu", rna=spec("rna"), atac=spec("atac")))
    var = mdata["atac"].var
    assert var["chrom"].tolist() == ["chr1", "chr1", "chr1_GL45_random"]
    assert var["start"].tolist() == [100, 300, 7] and var["end"].tolist() == [200, 400, 9]
    assert var["start"].dtype == np.int64


def atac_of(names, **columns):
    one = adata(np.ones((N, len(names))), names)
    one.var = one.var.assign(**columns)
    dataset = entry("h5mu", rna=spec("rna"), atac=spec("atac"))
    return readers.harmonise(rna_and_ephys() | {"atac": one}, dataset)["atac"].var


def test_a_peak_without_coordinates_is_marked_and_said(caplog):
    var = atac_of(["chr1:1-2", "peak7"])
    assert var["chrom"].tolist() == ["chr1", ""] and var["start"].tolist() == [1, 0]
    assert "peaks without coordinates that can be read" in caplog.text and "(1: peak7)" in caplog.text


def test_where_no_peak_has_coordinates_there_are_none(caplog):
    assert list(atac_of(["peak6", "peak7"]).columns) == []
    assert "no peak has coordinates" in caplog.text and "(2: peak6, peak7)" in caplog.text


def test_coordinates_as_text_become_numbers_and_other_columns_stay():
    var = atac_of(["p0", "p1"], seqnames="chr1", start=["1e+05", "7"], end=["100,500", "9"], score=[1.5, 2])
    assert var["start"].tolist() == [100_000, 7] and var["chrom"].tolist() == ["chr1", "chr1"]
    assert var["score"].tolist() == [1.5, 2] and var["seqnames"].tolist() == ["chr1", "chr1"]


@pytest.mark.parametrize("reader", ["h5mu", "h5ad"])
@pytest.mark.parametrize("x", [True, False])
def test_counts_outside_of_x_are_found_and_their_place_is_kept(tmp_path, reader, x, caplog):
    contents = rna_and_ephys()
    rna = contents["rna"]
    rna.layers["umi"], rna.layers["scaled"] = rna.X.copy(), rna.X.toarray() - 2.5
    rna.X = rna.X.log1p() if x else None
    if reader == "h5mu":
        files = {"data": tmp_path / "x.h5mu"}
        together(contents).write(files["data"])
    else:
        files = {name: tmp_path / f"{name}.h5ad" for name in contents}
        for name, one in contents.items():
            one.write(files[name])
    mdata = readers.read(entry(reader), files)
    assert np.array_equal(mdata["rna"].X.toarray(), COUNTS)
    assert "X holds no counts" in caplog.text and "those in umi were taken" in caplog.text
    assert originals.find(entry(reader), files, mdata).layers["rna"] == "layers/umi"
    normalised = (
        readers.read(entry(reader, rna=spec("rna", "normalised"), ephys=spec("continuous")), files)
        if x
        else None
    )
    assert not x or np.allclose(normalised["rna"].X.toarray(), np.log1p(COUNTS))


def test_counts_in_raw_bring_their_own_genes(tmp_path):
    contents = rna_and_ephys()
    rna = contents["rna"]
    whole = rna.copy()
    rna = rna[:, :2].copy()
    rna.raw, rna.X = whole, rna.X.log1p()
    together(contents | {"rna": rna}).write(tmp_path / "x.h5mu")
    mdata = readers.read(entry("h5mu"), {"data": tmp_path / "x.h5mu"})
    assert np.array_equal(mdata["rna"].X.toarray(), COUNTS) and list(mdata["rna"].var_names) == GENES


def test_labels_of_one_side_are_enough():
    contents = rna_and_ephys()
    contents["ephys"].obs = contents["ephys"].obs.drop(columns="celltype")
    mdata = readers.harmonise(contents, entry("h5mu", cell_type="celltype"))
    assert list(mdata["rna"].obs["cell_type"]) == TYPES and "cell_type" not in mdata["ephys"].obs


@pytest.mark.parametrize("missing", [None, np.nan, "", "  ", "nan", "NA"])
def test_what_says_that_there_is_no_label_is_none(missing):
    contents = rna_and_ephys()
    contents["rna"].obs["celltype"] = [missing, *TYPES[1:]]
    labels = readers.harmonise(contents, entry("h5mu", cell_type="celltype"))["rna"].obs["cell_type"]
    assert labels.isna().tolist() == [True] + [False] * 5 and list(labels.cat.categories) == ["a", "b"]


def test_missing_values_are_those_that_the_config_names():
    contents = rna_and_ephys()
    contents["ephys"].X[0, 0] = -999
    dataset = entry("h5mu", rna=spec("rna"), ephys=spec("continuous") | {"missing": [-999]})
    assert np.isnan(readers.harmonise(contents, dataset)["ephys"].X).sum() == 1
    dataset["modalities"]["rna"]["missing"] = [0]
    with pytest.raises(InputError, match=r"(?s)`modalities.rna.missing`"):
        readers.harmonise(contents, dataset)


def write_10x_h5(path):
    """Cell Ranger 3 layout: features x cells in CSC form, i.e. cells x features in CSR form."""
    matrix = sparse.csr_matrix(np.hstack([COUNTS, COUNTS[:, :3]]).astype(np.int32))
    with h5py.File(path, "w") as f:
        group = f.create_group("matrix")
        group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
        group["shape"] = np.array(matrix.shape[::-1])
        group["barcodes"] = np.array(CELLS, dtype="S")
        for key, values in {
            "id": [f"id{i}" for i in range(7)],
            "name": ["g0", "g1", "g1", "g3", *PEAKS],
            "feature_type": ["Gene Expression"] * 4 + ["Peaks"] * 3,
            "genome": ["hg38"] * 7,
        }.items():
            group[f"features/{key}"] = np.array(values, dtype="S")


def write_10x_mtx(folder, *, prefix="", compressed=True):
    folder.mkdir()
    opener, suffix = (gzip.open, ".gz") if compressed else (open, "")
    kinds = ["Gene Expression"] * 4 + ["Peaks"] * 3
    names = ["g0", "g1", "g1", "g3", *PEAKS]
    with opener(folder / f"{prefix}features.tsv{suffix}", "wt") as f:
        f.writelines(
            f"id{i}\t{name}\t{kind}\n" for i, (name, kind) in enumerate(zip(names, kinds, strict=True))
        )
    with opener(folder / f"{prefix}barcodes.tsv{suffix}", "wt") as f:
        f.writelines(f"{cell}\n" for cell in CELLS)
    with opener(folder / f"{prefix}matrix.mtx{suffix}", "wb") as f:
        scipy_io.mmwrite(f, sparse.coo_matrix(np.hstack([COUNTS, COUNTS[:, :3]]).T))


@pytest.mark.parametrize("form", ["h5", "mtx", "mtx_plain"])
def test_10x(tmp_path, form):
    path = tmp_path / "data"
    if form == "h5":
        write_10x_h5(path)
    else:
        write_10x_mtx(path, prefix="" if form == "mtx" else "GSM1_", compressed=form == "mtx")
    dataset = entry(f"10x_{form[:3].removesuffix('_')}", genes=spec("rna"), open=spec("atac"))
    mdata = readers.read(dataset, {"data": path})
    assert list(mdata["genes"].var_names) == ["g0", "g1", "g1-1", "g3"]
    assert list(mdata["genes"].obs_names) == CELLS
    assert np.array_equal(mdata["genes"].X.toarray(), COUNTS)
    assert np.array_equal(mdata["open"].X.toarray(), COUNTS[:, :3])
    assert mdata["open"].var["start"].tolist() == [100, 5, 7]
    dataset["modalities"] = {"genes": spec("rna"), "tags": spec("protein")}
    with pytest.raises(InputError, match="Gene Expression, Peaks"):
        readers.read(dataset, {"data": path})


@pytest.mark.parametrize(
    ("form", "module", "reads"), [("h5", "muon", "read_10x_h5"), ("mtx", "anndata.io", "read_mtx")]
)
def test_10x_is_read_once_for_both_modalities(tmp_path, monkeypatch, form, module, reads):
    path = tmp_path / "data"
    {"h5": write_10x_h5, "mtx": write_10x_mtx}[form](path)
    module, calls = importlib.import_module(module), []
    read = getattr(module, reads)
    monkeypatch.setattr(module, reads, lambda *args, **options: calls.append(args) or read(*args, **options))
    mdata = readers.read(entry(f"10x_{form}", genes=spec("rna"), open=spec("atac")), {"data": path})
    assert len(calls) == 1 and list(mdata.mod) == ["genes", "open"]
    assert mdata["genes"].X.dtype == np.float32


def test_10x_antibody_may_be_named_as_its_gene(tmp_path):
    write_10x_mtx(tmp_path / "data", compressed=False)
    features = "1\tCD4\tGene Expression\n" * 4 + "2\tCD4\tAntibody Capture\n" * 3
    (tmp_path / "data" / "features.tsv").write_text(features)
    dataset = entry("10x_mtx", rna=spec("rna"), tags=spec("protein"))
    mdata = readers.read(dataset, {"data": tmp_path / "data"})
    assert list(mdata["tags"].var_names) == ["CD4", "CD4-1", "CD4-2"]


def test_10x_folder_that_lacks_a_file(tmp_path):
    write_10x_mtx(tmp_path / "data")
    (tmp_path / "data" / "features.tsv.gz").unlink()
    with pytest.raises(InputError, match=r"barcodes\.tsv\.gz, matrix\.mtx\.gz"):
        readers.read(entry("10x_mtx", genes=spec("rna"), open=spec("atac")), {"data": tmp_path / "data"})


@pytest.mark.parametrize(
    ("name", "sep", "corner"),
    [("x.csv", ",", "cell"), ("x.tsv.gz", "\t", ""), ("x.txt", " ", None), ("x.txt.gz", "\t", "cell")],
)
def test_table(tmp_path, name, sep, corner):
    cells = ["01", "02", "03", "04", "05", "06"]
    opener = gzip.open if name.endswith(".gz") else open
    for modality, header, values in (("rna", GENES, COUNTS), ("ephys", ["e0", "e0", "e2"], MEASURED)):
        (tmp_path / modality).mkdir()
        with opener(tmp_path / modality / name, "wt") as f:
            f.write(sep.join(([] if corner is None else [corner]) + header) + "\n")
            f.writelines(sep.join([cell, *map(str, v)]) + "\n" for cell, v in zip(cells, values, strict=True))
    labels = tmp_path / "labels.tsv"
    pd.DataFrame({"cell": cells[::-1], "label": TYPES, "n": range(N)}).to_csv(labels, sep="\t", index=False)
    files = {"rna": tmp_path / "rna" / name, "ephys": tmp_path / "ephys" / name, "labels": labels}
    mdata = readers.read(entry("table", cell_type="label"), files)
    assert list(mdata["rna"].obs_names) == cells and list(mdata["rna"].var_names) == GENES
    assert np.array_equal(mdata["rna"].X.toarray(), COUNTS)
    assert np.allclose(mdata["ephys"].X, MEASURED, atol=1e-6)
    assert list(mdata["ephys"].var_names) == ["e0", "e0", "e2"]
    assert list(mdata["ephys"].obs["cell_type"]) == TYPES[::-1]
    assert list(mdata["rna"].obs["n"]) == list(range(N))[::-1]


@pytest.fixture
def tables(tmp_path):
    files = {name: tmp_path / f"{name}.csv" for name in ("rna", "ephys", "labels")}
    pd.DataFrame(COUNTS, CELLS, GENES).to_csv(files["rna"])
    pd.DataFrame(MEASURED, CELLS, ["e0", "e1", "e2"]).to_csv(files["ephys"])
    pd.DataFrame({"label": TYPES}, CELLS).to_csv(files["labels"])
    return files


def test_labels_that_lack_or_repeat_cells(tables):
    labels = pd.read_csv(tables["labels"], index_col=0)
    labels.iloc[2:].to_csv(tables["labels"])
    with pytest.raises(InputError, match="lacks 2 cells") as error:
        readers.read(entry("table", cell_type="label"), tables)
    assert "cell0, cell1" in error.value.found
    pd.concat([labels, labels.iloc[:1]]).to_csv(tables["labels"])
    with pytest.raises(InputError, match="repeats 1 cells"):
        readers.read(entry("table", cell_type="label"), tables)


def test_words_in_a_table_of_numbers(tables):
    pd.DataFrame(COUNTS, CELLS, GENES).assign(label=TYPES).to_csv(tables["rna"])
    with pytest.raises(InputError, match="1 other columns, the first label"):
        readers.read(entry("table"), tables)


def test_files_that_do_not_fit_the_reader(tables):
    with pytest.raises(InputError, match="ephys, rna"):
        readers.read(entry("table"), {"rna": tables["rna"]})
    with pytest.raises(InputError, match="label"):
        readers.read(entry("table"), tables | {"label": tables["labels"]})
    with pytest.raises(InputError, match="10x_mtx"):
        readers.read(entry("excel"), tables)
    with pytest.raises(InputError, match=r"\.csv, \.tsv, \.txt"):
        readers.read(entry("table"), {"rna": Path("x.xls"), "ephys": tables["ephys"]})


@pytest.mark.parametrize("reader", ["h5mu", "h5ad", "10x_h5", "10x_mtx", "table", "patchseq_rda"])
def test_broken_files_are_input_errors(tmp_path, reader):
    path = tmp_path / "x.csv"
    path.write_bytes(b"\x89HDF\r\n\x1a\n\x00broken\x00")
    roles = readers.READERS[reader][1] or ("rna", "ephys")
    with pytest.raises(InputError, match=r"x\.csv"):
        readers.read(entry(reader), dict.fromkeys(roles, path))


@pytest.mark.parametrize("name", ["f.npz", "plain.npz", "f.mtx", "f.mtx.gz", "f.tsv", "f.csv", "bare.txt"])
def test_correspondence_formats(tmp_path, name):
    rows, cols = ["a", "b", "c"], ["x", "y"]
    matrix = sparse.csr_matrix([[0, 1], [0, 0], [0.25, 0]])
    path = tmp_path / name
    if name == "f.npz":  # other order, and cells without a partner left out
        Correspondence(matrix[[2, 0]][:, [1, 0]], ["c", "a"], ["y", "x"]).save(path)
    elif name == "plain.npz":
        sparse.save_npz(path, matrix)
    elif ".mtx" in name:
        with (gzip.open if name.endswith("gz") else open)(path, "wb") as f:
            scipy_io.mmwrite(f, matrix)
    else:
        sep = {"f.tsv": "\t", "f.csv": ",", "bare.txt": " "}[name]
        header = [] if name == "bare.txt" else ["first", "second", "confidence"]
        lines = [header, ["a", "y", "1"], ["c", "x", "0.25"]]
        path.write_text("".join(sep.join(line) + "\n" for line in lines if line))
    got = readers.read_correspondence(path, rows, cols)
    assert np.array_equal(got.matrix.toarray(), matrix.toarray())
    assert got.row_names.tolist() == rows and got.col_names.tolist() == cols


def test_confidence_is_one_by_default(tmp_path):
    (tmp_path / "f.tsv").write_text("rna\tephys\ncell0\tcell3\n")
    contents = readers.harmonise(rna_and_ephys(), entry("h5mu"))
    dataset = entry("h5mu", correspondence={"path": "f.tsv"})
    pairs = readers.pairs_of(dataset, contents, {"correspondence": tmp_path / "f.tsv"})
    assert pairs.certain_pairs().tolist() == [[0, 3]] and pairs.matrix.shape == (N, 4)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("first\tsecond\na\tx\nd\ty\ne\tx\n", "2: d, e"),
        ("a\tx\nb\tz\n", "second modality"),
        ("a\tx\t1\nb\ty\t1.5\n", "b / y = 1.5"),
        ("a\tx\t1\nb\ty\tnan\n", "b / y = nan"),
        ("a\tx\t1\na\tx\t0.5\n", "more than once"),
        ("a\tx\tmuch\n", "cannot be read"),
        ("a\n", "1 columns"),
    ],
)
def test_unfit_correspondence(tmp_path, text, part):
    (tmp_path / "f.tsv").write_text(text)
    with pytest.raises(InputError, match=part) as error:
        readers.read_correspondence(tmp_path / "f.tsv", ["a", "b", "c"], ["x", "y"])
    assert "f.tsv" in error.value.problem


def test_correspondence_of_another_shape(tmp_path):
    sparse.save_npz(tmp_path / "f.npz", sparse.csr_matrix((2, 2)))
    with pytest.raises(InputError, match="3 x 2") as error:
        readers.read_correspondence(tmp_path / "f.npz", ["a", "b", "c"], ["x", "y"])
    assert "2 x 2" in error.value.found


@pytest.fixture
def patchseq(tmp_path, monkeypatch):
    """Files of the Patch-seq form; the R file is stood in for by what `rdata` returns for it."""
    import rdata
    import xarray

    genes = xarray.DataArray(COUNTS.T, coords={"dim_0": GENES, "dim_1": CELLS}, dims=("dim_0", "dim_1"))
    ephys = pd.DataFrame(MEASURED, index=CELLS, columns=["e0", "e1", "e2"])
    monkeypatch.setattr(rdata, "read_rda", lambda path: {"gdata": genes, "edata": ephys.iloc[::-1]})
    files = {"expression": tmp_path / "x.rda", "ephys": tmp_path / "e.csv", "labels": tmp_path / "l.xlsx"}
    ephys.iloc[::-1].to_csv(files["ephys"], index=False)
    sheet = pd.DataFrame(
        {"Cell": [*CELLS, "unused"], "RNA family": ["L5 ET"] * 3 + ["Sst"] * 3 + ["low quality"]}
    ).assign(**{"RNA type": "t", "Cre": "PV+", "Sequencing batch": 1})
    sheet.to_excel(files["labels"], index=False)
    return files


def test_patchseq(patchseq):
    mdata = readers.read(entry("patchseq_rda", cell_type="cell_type"), patchseq)
    assert np.array_equal(mdata["rna"].X.toarray(), COUNTS) and list(mdata["ephys"].obs_names) == CELLS
    assert np.allclose(mdata["ephys"].X, MEASURED, atol=1e-6)
    assert list(mdata["rna"].obs["cell_type"]) == ["L5"] * 3 + ["Sst"] * 3


def test_patchseq_files_that_disagree(patchseq):
    labels = pd.read_excel(patchseq["labels"])
    labels.iloc[1:].to_excel(patchseq["labels"], index=False)
    with pytest.raises(InputError, match="none for 1, the first cell0"):
        readers_r.read_patchseq_rda({}, patchseq)
    labels.drop(columns="RNA family").to_excel(patchseq["labels"], index=False)
    with pytest.raises(InputError, match="lacks RNA family"):
        readers_r.read_patchseq_rda({}, patchseq)
    pd.DataFrame(MEASURED, columns=["e0", "e1", "e2"]).to_csv(patchseq["ephys"], index=False)
    with pytest.raises(InputError, match="differ"):
        readers_r.read_patchseq_rda({}, patchseq)


RNA, NORMALISED = spec("rna"), "normalised"
REAL = {  # file -> modalities, cell type, batch; cells and features of both, pairs, features without counts
    "midas_pbmc_rna_adt_mosaic.h5mu": (
        {"rna": RNA, "adt": spec("protein")},
        ("celltype", "batch"),
        ((1200, 500), (1200, 224), 800, (0, 0)),
    ),
    "mop_snareseq_mm10_dev.h5mu": (
        {"rna": RNA, "atac": spec("atac")},
        ("cell_type", "batch"),
        ((3001, 1677), (3001, 25734), 3001, (4, 3623)),
    ),
    "muscadet_multiome_hg38.h5mu": (
        {"rna": RNA, "atac": spec("atac")},
        (None, None),
        ((162, 300), (166, 1200), 148, (32, 437)),
    ),
    "scgem.h5mu": (
        {"rna": spec("rna", NORMALISED), "meth": spec("methylation", NORMALISED)},
        ("cell_type", None),
        ((177, 34), (177, 27), 177, (0, 0)),
    ),
}


@pytest.mark.real_data
@pytest.mark.parametrize("name", REAL)
def test_real_h5mu(real, name):
    modalities, (cell_type, batch), (first, second, n_pairs, n_empty) = REAL[name]
    dataset = entry("h5mu", cell_type, batch, **modalities)
    mdata = readers.read(dataset, {"data": real(name)})
    shapes = [one.shape for one in mdata.mod.values()]
    assert shapes == [first, second] and readers.pairs_of(dataset, mdata, {}).matrix.nnz == n_pairs
    if any(n_empty):
        with pytest.raises(InputError, match="without any count"):
            checks.check_dataset(mdata, name, labels=cell_type is not None)
        mdata = checks.drop_empty(mdata)
        kept = [one.shape for one in mdata.mod.values()]
        assert kept == [(n, p - e) for (n, p), e in zip(shapes, n_empty, strict=True)]
    checks.check_dataset(mdata, name, labels=cell_type is not None)


@pytest.mark.real_data
def test_real_patchseq_is_the_converted_file(real):
    original, converted = real("patchseq_m1_original"), real("patchseq_m1_room_temp.h5mu")
    names = {"expression": "motor_data_filtered.rda", "ephys": "efeature_filtered.csv"}
    files = {role: original / name for role, name in (names | {"labels": "motor_meta_data.xlsx"}).items()}
    mdata = readers.read(entry("patchseq_rda", cell_type="cell_type"), files)
    wanted = mudata.read_h5mu(converted)
    for one, other in zip(mdata.mod.values(), wanted.mod.values(), strict=True):
        assert one.obs_names.equals(other.obs_names) and list(one.var_names) == list(other.var_names)
        assert abs(one.X - other.X).max() == 0
        for column in ("cell_type", "t_type", "cre"):
            assert one.obs[column].astype(str).equals(other.obs[column].astype(str))
    assert mdata["rna"].shape == (1208, 1286) and mdata["rna"].obs["cell_type"].nunique() == 9
    checks.check_dataset(mdata, "patchseq_m1", labels=True)
