"""Matrices of Cell Ranger 2, 3, 7, ATAC and ARC, and of those who write its format otherwise."""

import gzip
import warnings

import h5py
import muon
import numpy as np
import pytest
from scipy import io as scipy_io
from scipy import sparse

from jamie.data import cell_ranger, notices, readers
from jamie.errors import InputError
from shared.odd import CELLS, COUNTS, entry, spec

BARCODES = [f"AAACCTG{i}-1" for i in range(len(CELLS))]
SYMBOLS, PEAKS = ["g0", "g1", "g1", "g3"], ["chr1:100-200", "chr2:5-10", "chrX:7-9"]
GENE_ROWS = [(f"ENSG{i}", name, "Gene Expression") for i, name in enumerate(SYMBOLS)]
PEAK_ROWS = [(name, name, "Peaks") for name in PEAKS]
BOTH = np.hstack([COUNTS, COUNTS[:, :3]])
MULTIOME = {"genes": spec("rna"), "open": spec("atac")}


def h5_of(path, values, rows, *, barcodes=BARCODES, more=()):
    """`*_feature_bc_matrix.h5` of Cell Ranger 3 and later; ``more``: other fields of features."""
    matrix = sparse.csr_matrix(values.astype(np.int32))
    with h5py.File(path, "w") as f:
        group = f.create_group("matrix")
        group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
        group["shape"], group["barcodes"] = np.array(matrix.shape[::-1]), np.array(barcodes, dtype="S")
        ids, names, types = zip(*rows, strict=True)
        fields = {"id": ids, "name": names, "feature_type": types, "genome": ["GRCh38"] * len(rows)}
        for key, field in (fields | dict(more)).items():
            group[f"features/{key}"] = np.array(field, dtype="S")
        group["features/_all_tag_keys"] = np.array(["genome"], dtype="S")
    return path


def old_h5(path, *genomes):
    """Cell Ranger 2: one group a genome, of genes alone."""
    matrix = sparse.csr_matrix(COUNTS.astype(np.int32))
    with h5py.File(path, "w") as f:
        for genome in genomes:
            group = f.create_group(genome)
            group["data"], group["indices"], group["indptr"] = matrix.data, matrix.indices, matrix.indptr
            group["shape"], group["barcodes"] = np.array(matrix.shape[::-1]), np.array(BARCODES, dtype="S")
            group["genes"] = np.array([row[0] for row in GENE_ROWS], dtype="S")
            group["gene_names"] = np.array(SYMBOLS, dtype="S")
    return path


def folder_of(
    folder, values, rows, *, features="features.tsv", barcodes=BARCODES, prefix="", gz=True, by_cells=False
):
    """A folder of three files; ``by_cells``: the matrix is cells x features."""
    folder.mkdir(parents=True, exist_ok=True)
    opener, end = (gzip.open, ".gz") if gz else (open, "")
    for name, lines in ((features, ["\t".join(row) for row in rows]), ("barcodes.tsv", barcodes)):
        with opener(folder / f"{prefix}{name}{end}", "wt") as f:
            f.writelines(f"{line}\n" for line in lines)
    with opener(folder / f"{prefix}matrix.mtx{end}", "wb") as f:
        scipy_io.mmwrite(f, sparse.coo_matrix(values if by_cells else values.T))
    return folder


def check_genes(adata, names=("g0", "g1", "g1-1", "g3")):
    assert list(adata.obs_names) == BARCODES and list(adata.var_names) == list(names)
    assert np.array_equal(adata.X.toarray(), COUNTS) and adata.X.dtype == np.float32
    assert list(adata.var["gene_ids"]) == [row[0] for row in GENE_ROWS]


def check_peaks(adata):
    assert list(adata.var_names) == PEAKS and np.array_equal(adata.X.toarray(), COUNTS[:, :3])
    assert list(adata.var["start"]) == [100, 5, 7]


@pytest.mark.parametrize("version", ["3", "7", "arc", "gz"])
def test_h5_of_cell_ranger(tmp_path, version):
    more = {
        "7": {"read": [""] * 7, "pattern": [""] * 7, "sequence": [""] * 7, "target_sets": ["x"] * 7},
        "arc": {"interval": ["chr1:1-2", "NA", "NA", "chr2:3-4", *PEAKS]},
    }.get(version, {})
    path = h5_of(tmp_path / "x.h5", BOTH, GENE_ROWS + PEAK_ROWS, more=more)
    plain = muon_of(path)
    if version == "gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    mdata = readers.read(entry("10x_h5", **MULTIOME), {"data": path})
    check_genes(mdata["genes"])
    check_peaks(mdata["open"])
    assert abs(mdata["genes"].X - plain["rna"].X).max() == abs(mdata["open"].X - plain["atac"].X).max() == 0
    if version == "arc":
        assert list(mdata["genes"].var["interval"]) == ["chr1:1-2", "NA", "NA", "chr2:3-4"]


def muon_of(path):
    """As muon reads it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (muon.read_10x_mtx if path.is_dir() else muon.read_10x_h5)(path, extended=False)


def test_h5_with_names_that_are_not_ascii(tmp_path):
    barcodes = ["Zelle_ü", "細胞", *BARCODES[2:]]
    rows = [*GENE_ROWS, ("a0", "TCRγδ", "Antibody Capture"), ("a1", "CD3ε", "Antibody Capture")]
    rows.append(("a2", "nan", "Antibody Capture"))
    encoded = [tuple(field.encode() for field in row) for row in rows]
    path = h5_of(tmp_path / "x.h5", BOTH, encoded, barcodes=[name.encode() for name in barcodes])
    with pytest.raises(UnicodeDecodeError):
        muon_of(path)
    mdata = readers.read(entry("10x_h5", rna=spec("rna"), adt=spec("protein")), {"data": path})
    assert list(mdata["rna"].obs_names) == barcodes and list(mdata["adt"].var_names) == [
        "TCRγδ",
        "CD3ε",
        "nan",
    ]
    assert np.array_equal(mdata["rna"].X.toarray(), COUNTS)
    assert np.array_equal(mdata["adt"].X.toarray(), COUNTS[:, :3])
    plain = h5_of(tmp_path / "plain.h5", BOTH, GENE_ROWS + PEAK_ROWS)
    with h5py.File(plain, "r+") as f:  # Cell Ranger Flex
        f["matrix/features/filtered_probes"] = np.arange(7) > 2
    ours, theirs = cell_ranger._read_utf8(plain)["rna"], muon_of(plain)["rna"]
    assert abs(ours.X - theirs.X).max() == 0 and set(ours.var) == set(theirs.var)
    assert ours.var.astype(str).equals(theirs.var[list(ours.var)].astype(str))


@pytest.mark.parametrize("broken", ["indices", "indptr"])
def test_a_matrix_whose_indices_lie_outside_it_is_refused_before_it_is_used(tmp_path, broken):
    path = h5_of(tmp_path / "x.h5", BOTH, GENE_ROWS + PEAK_ROWS)
    with h5py.File(path, "r+") as f:
        f["matrix"][broken][3] = 10**6
    with pytest.raises(InputError, match="cannot be read") as error:
        readers.read(entry("10x_h5", **MULTIOME), {"data": path})
    assert "ValueError" in error.value.found and "truncated" not in error.value.change


@pytest.mark.parametrize("form", ["h5", "mtx"])
def test_cell_ranger_2_has_genes_alone_and_one_file_each_goes_too(tmp_path, form):
    if form == "h5":
        genes = old_h5(tmp_path / "genes.h5", "GRCh38")
        peaks = h5_of(tmp_path / "peaks.h5", COUNTS[:, :3], PEAK_ROWS)
    else:
        genes = folder_of(
            tmp_path / "genes", COUNTS, [r[:2] for r in GENE_ROWS], features="genes.tsv", gz=False
        )
        places = [name.replace(":", "\t").replace("-", "\t") for name in PEAKS]  # Cell Ranger ATAC
        rows = [tuple(place.split("\t")) for place in places]
        peaks = folder_of(tmp_path / "peaks", COUNTS[:, :3], rows, features="peaks.bed", gz=False)
    mdata = readers.read(entry(f"10x_{form}", **MULTIOME), {"genes": genes, "open": peaks})
    check_genes(mdata["genes"])
    check_peaks(mdata["open"])
    assert abs(mdata["genes"].X - muon_of(genes)["data"].X).max() == 0


def test_h5_of_two_genomes_says_so(tmp_path):
    path = old_h5(tmp_path / "x.h5", "GRCh38", "mm10")
    with pytest.raises(InputError, match="cannot be read") as error:
        readers.read(entry("10x_h5", **MULTIOME), {"data": path})
    assert "GRCh38" in error.value.found and "mm10" in error.value.found


@pytest.mark.parametrize("gz", [True, False])
@pytest.mark.parametrize("columns", [3, 6])
def test_a_folder_of_cell_ranger(tmp_path, gz, columns):
    places = [("chr1", "1", "2"), ("", "", ""), ("", "", ""), ("chr2", "3", "4")]
    places += [tuple(name.replace("-", ":").split(":")) for name in PEAKS]
    rows = [(*row, *place)[:columns] for row, place in zip(GENE_ROWS + PEAK_ROWS, places, strict=True)]
    folder = folder_of(tmp_path / "x", BOTH, rows, gz=gz)
    mdata = readers.read(entry("10x_mtx", **MULTIOME), {"data": folder})
    check_genes(mdata["genes"])
    check_peaks(mdata["open"])
    if columns == 6:
        assert list(mdata["genes"].var["interval"]) == ["chr1:1-2", "NA", "NA", "chr2:3-4"]
    if gz:
        assert abs(mdata["genes"].X - muon_of(folder)["rna"].X).max() == 0


def test_a_matrix_of_cells_and_features_is_turned_and_it_is_said(tmp_path):
    folder = folder_of(tmp_path / "x", BOTH, GENE_ROWS + PEAK_ROWS, by_cells=True)
    with notices.collected() as noted:
        mdata = readers.read(entry("10x_mtx", **MULTIOME), {"data": folder})
    check_genes(mdata["genes"])
    check_peaks(mdata["open"])
    assert any("cells x features" in row[1] for row in noted)


def test_a_matrix_of_another_shape_says_all_three_sizes(tmp_path):
    folder = folder_of(tmp_path / "x", BOTH[:, 1:], GENE_ROWS + PEAK_ROWS)
    with pytest.raises(InputError, match="cannot be read") as error:
        readers.read(entry("10x_mtx", **MULTIOME), {"data": folder})
    assert "6 x 6, with 7 features and 6 barcodes" in error.value.found
    assert "truncated" not in error.value.change


def test_other_files_in_the_folder_do_not_matter(tmp_path):
    folder = folder_of(tmp_path / "x", BOTH, GENE_ROWS + PEAK_ROWS, prefix="GSM1_")
    for name in (".DS_Store", "._GSM1_matrix.mtx.gz", "README.txt", "web_summary.html", "GSM1_metrics.csv"):
        (folder / name).write_text("anything")
    (folder / "analysis").mkdir()
    (folder / "GSM1_barcodes.tsv").write_bytes(
        gzip.decompress((folder / "GSM1_barcodes.tsv.gz").read_bytes())
    )
    with notices.collected() as noted:
        mdata = readers.read(entry("10x_mtx", **MULTIOME), {"data": folder})
    check_genes(mdata["genes"])
    assert ["GSM1_barcodes.tsv and GSM1_barcodes.tsv.gz the second" in row[1] for row in noted] == [True]


@pytest.mark.parametrize("inside", ["filtered_feature_bc_matrix", "outs/filtered_gene_bc_matrices/GRCh38"])
def test_the_folder_around_the_matrix_will_do(tmp_path, inside):
    folder_of(tmp_path / "run" / inside, BOTH, GENE_ROWS + PEAK_ROWS)
    folder_of(tmp_path / "run" / inside.replace("filtered", "raw"), BOTH * 2, GENE_ROWS + PEAK_ROWS)
    mdata = readers.read(entry("10x_mtx", **MULTIOME), {"data": tmp_path / "run"})
    check_genes(mdata["genes"])


def test_a_folder_of_two_samples_names_both(tmp_path):
    for prefix in ("GSM1_", "GSM2_"):
        folder_of(tmp_path / "x", BOTH, GENE_ROWS + PEAK_ROWS, prefix=prefix)
    with pytest.raises(InputError, match="is not that of one matrix") as error:
        readers.read(entry("10x_mtx", **MULTIOME), {"data": tmp_path / "x"})
    assert "GSM1_matrix.mtx.gz, GSM2_matrix.mtx.gz" in error.value.found


def test_names_that_look_like_numbers_or_nothing(tmp_path):
    barcodes = ["01", "nan", "NA", "1e5", "ü", "#x"]
    rows = [("nan", "nan", "Gene Expression"), ("2", "01", "Gene Expression"), ("3", '5"', "Gene Expression")]
    rows += [("4", "NA", "Gene Expression"), ("5", "nan", "Antibody Capture"), *PEAK_ROWS[1:]]
    folder = folder_of(tmp_path / "x", BOTH, rows, barcodes=barcodes)
    dataset = entry("10x_mtx", rna=spec("rna"), adt=spec("protein"))
    mdata = readers.read(dataset, {"data": folder})
    assert list(mdata["rna"].obs_names) == barcodes and list(mdata["rna"].var_names) == [
        "nan",
        "01",
        '5"',
        "NA",
    ]
    assert list(mdata["adt"].var_names) == ["nan"] and np.array_equal(mdata["rna"].X.toarray(), COUNTS)
    path = h5_of(tmp_path / "x.h5", BOTH, rows, barcodes=[*barcodes[:4], "v", "#x"])
    again = readers.read(entry("10x_h5", rna=spec("rna"), adt=spec("protein")), {"data": path})
    assert list(again["rna"].obs_names) == [*barcodes[:4], "v", "#x"]
    assert list(again["rna"].var_names) == ["nan", "01", '5"', "NA"]


@pytest.mark.parametrize("form", ["h5", "mtx"])
def test_cells_named_twice_are_one_clear_error(tmp_path, form):
    twice = [BARCODES[0], *BARCODES[:5]]
    make = h5_of if form == "h5" else folder_of
    path = make(tmp_path / "x", BOTH, GENE_ROWS + PEAK_ROWS, barcodes=twice)
    with pytest.raises(InputError, match="holds a cell name more than once") as error:
        readers.read(entry(f"10x_{form}", **MULTIOME), {"data": path})
    assert f"1: {BARCODES[0]}" in error.value.found and str(path) in error.value.change


def test_three_feature_types_of_which_two_are_used(tmp_path):
    rows = [*GENE_ROWS[:2], ("a0", "g0", "Antibody Capture"), ("a1", "x", "Antibody Capture"), *PEAK_ROWS]
    path = h5_of(tmp_path / "x.h5", BOTH, rows)
    mdata = readers.read(entry("10x_h5", rna=spec("rna"), adt=spec("protein")), {"data": path})
    assert list(mdata["rna"].var_names) == ["g0", "g1"] and list(mdata["adt"].var_names) == ["g0", "x"]
    assert np.array_equal(mdata["adt"].X.toarray(), COUNTS[:, 2:])
