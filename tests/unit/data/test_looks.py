"""A message about a file that cannot be read says what it is, and the one change that helps."""

import gzip
import io as streams
import warnings
import zipfile

import anndata
import h5py
import pandas as pd
import pytest
import zarr

from jamie.data import looks, readers
from jamie.errors import InputError
from shared.odd import CELLS, COUNTS, GENES, entry, muon_like, rna


def workbook():
    sheet = streams.BytesIO()
    pd.DataFrame(COUNTS, CELLS, GENES).to_excel(sheet)
    return sheet.getvalue()


BYTES = {  # what was saved under the name -> what is found, what to change
    "web_page": (b"<!DOCTYPE html>\n<html>Sign in", "a web page", "download the file itself"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS", "git lfs pull"),
    "empty": (b"", "0 bytes", "get the file again"),
    "old_excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "Excel", "save the sheet as .csv"),
    "excel": (workbook(), "Excel", "save the sheet as .csv"),
    "rda": (gzip.compress(b"RDX3\nX\n"), "gzipped: an R data file", "h5mu from R"),
    "parquet": (b"PAR1" + bytes(50), "Parquet", ".csv or .h5ad"),
    "table": (b"cell,g0\ncell0,1\n", "text, which begins 'cell,g0' / 'cell0,1'", "reader: table"),
    "other": (bytes(range(256)), "no text", "another `reader:`"),
}


@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("reader", ["h5mu", "10x_h5"])
def test_other_files(tmp_path, kind, reader):
    content, found, change = BYTES[kind]
    path = tmp_path / "x.h5mu"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.h5mu cannot be read") as error:
        readers.read(entry(reader), {"data": path})
    assert found in error.value.found and change in error.value.change
    assert "truncated" not in str(error.value)


def cut(path, share=0.5):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    return path


@pytest.mark.parametrize("form", ["h5mu", "gz", "zip", "csv.gz"])
def test_only_a_file_that_ends_early_may_be_truncated(tmp_path, form):
    path = tmp_path / f"x.{form}"
    muon_like().write(tmp_path / "plain")
    plain = (tmp_path / "plain").read_bytes()
    if form == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("zarr.json", plain)
    elif form == "csv.gz":
        pd.DataFrame(COUNTS.repeat(50, axis=1)).to_csv(path)
    else:
        path.write_bytes(gzip.compress(plain) if form == "gz" else plain)
    cut(path)
    reader, roles = ("table", ("rna", "ephys")) if form == "csv.gz" else ("h5mu", ("data",))
    with pytest.raises(InputError, match="cannot be read") as error:
        readers.read(entry(reader), dict.fromkeys(roles, path))
    assert "may be truncated" in error.value.change and str(path.stat().st_size) in error.value.found


def test_stores_say_what_they_hold_and_which_reader_takes_them(tmp_path):
    rna().write(tmp_path / "rna.h5ad")
    muon_like().write(tmp_path / "both.h5mu")
    with h5py.File(tmp_path / "x.loom", "w") as f:
        f["row_attrs/Gene"], f["col_attrs/CellID"], f["matrix"] = [1], [1], [[1]]
    with h5py.File(tmp_path / "x.h5seurat", "w") as f:
        f["assays/RNA/counts/data"], f["cell.names"], f["reductions"] = [1], [1], [1]
    for name, found, change in (
        ("rna.h5ad", "AnnData with X, layers, obs", "`reader: h5ad`"),
        ("both.h5mu", "MuData with modalities rna, ephys", "`reader: h5mu`"),
        ("x.loom", "a loom file", "anndata.read_loom"),
        ("x.h5seurat", "an h5Seurat file", "SeuratDisk::Convert"),
    ):
        for reader in ("10x_h5", "10x_mtx"):
            with pytest.raises(InputError, match="cannot be read") as error:
                readers.read(entry(reader), {"data": tmp_path / name})
            assert found in error.value.found and change in error.value.change


@pytest.mark.parametrize("reader", ["h5mu", "10x_h5", "10x_mtx", "h5ad", "table"])
def test_a_folder_of_something_else(tmp_path, reader):
    (tmp_path / "run" / "counts").mkdir(parents=True)
    (tmp_path / "run" / "README.txt").write_text("x")
    roles = ("rna", "ephys") if reader in ("h5ad", "table") else ("data",)
    with pytest.raises(InputError, match="run") as error:
        readers.read(entry(reader), dict.fromkeys(roles, tmp_path / "run"))
    if reader != "table":
        assert "README.txt, counts" in error.value.found


def test_what_anndata_cannot_read_is_named(tmp_path):
    muon_like().write(tmp_path / "x.h5mu")
    with h5py.File(tmp_path / "x.h5mu", "r+") as f:
        f["mod/rna/X"].attrs["encoding-type"] = "of a later version"
    with pytest.raises(InputError, match=r"x\.h5mu cannot be read") as error:
        readers.read(entry("h5mu"), {"data": tmp_path / "x.h5mu"})
    assert "of a later version" in error.value.found and "key 'X'" in error.value.found
    assert "from /mod/rna" in error.value.found and "h5mu" not in error.value.change


@pytest.mark.parametrize("what", ["dict", "array"])
def test_a_table_that_is_none_is_named(tmp_path, what):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        muon_like().write_zarr(tmp_path / "x.zarr")
    root = zarr.open_group(str(tmp_path / "x.zarr"), mode="r+")
    if what == "dict":
        root["mod/rna/obs"].attrs["encoding-type"] = "dict"
        root["mod/rna/obs"].attrs["encoding-version"] = "0.1.0"
    else:
        del root["mod/rna/obs"]
        anndata.io.write_elem(root["mod/rna"], "obs", COUNTS)
    with pytest.raises(InputError, match=r"x\.zarr cannot be read") as error:
        readers.read(entry("h5mu"), {"data": tmp_path / "x.zarr"})
    assert f"obs of /mod/rna is a {'dict' if what == 'dict' else 'ndarray'}, no table" in error.value.found


def test_what_begins_like_text_is_shown_by_its_first_lines(tmp_path):
    (tmp_path / "x").write_bytes("cell;g0\r\nZelle_ü;1\r\n".encode("utf-16"))
    assert looks.first_lines(tmp_path / "x") == ["cell;g0", "Zelle_ü;1"]
    (tmp_path / "x").write_bytes(b"a" * 500)
    assert looks.first_lines(tmp_path / "x") == ["a" * looks.LINE_WIDTH]
