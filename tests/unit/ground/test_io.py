"""Files appear whole or not at all; jobs end with readable errors and say how they ran."""

import json
import logging
import os
import pickle
import time
from types import SimpleNamespace

import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from jamie import entry, io
from jamie.errors import InputError
from jamie.io import together


def small_mudata(n_cells: int = 23) -> mudata.MuData:
    rng = np.random.default_rng(0)
    parts = {}
    for name, p in (("rna", 4), ("adt", 3)):
        adata = AnnData(rng.random((n_cells, p), dtype=np.float32))
        adata.obs_names = [f"c{i}" for i in range(n_cells)]
        adata.var_names = [f"{name}_{j}" for j in range(p)]
        parts[name] = adata
    return together(parts)


def names_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- atomic


def test_a_file_appears_only_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "folder" / "table.tsv"
    with io.atomic(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        assert temporary.parent == target.parent and temporary.suffix == ".tsv"
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    assert names_in(target.parent) == ["table.tsv"]


def test_an_error_leaves_nothing_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), io.atomic(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert names_in(tmp_path) == []


def test_an_error_leaves_the_file_that_was_there(tmp_path):
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(ZeroDivisionError), io.atomic(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert (tmp_path / "a.json").read_text() == "old" and names_in(tmp_path) == ["a.json"]


def test_an_error_before_anything_was_written_is_that_error(tmp_path):
    with pytest.raises(ZeroDivisionError), io.atomic(tmp_path / "a.json"):
        raise ZeroDivisionError
    assert names_in(tmp_path) == []


def test_an_error_while_a_folder_is_written_leaves_nothing_behind(tmp_path):
    with pytest.raises(ZeroDivisionError), io.atomic(tmp_path / "model") as temporary:
        temporary.mkdir()
        (temporary / "weights").write_text("half")
        raise ZeroDivisionError
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("swap", [True, False], ids=["swapped in one step", "where that cannot be done"])
def test_a_folder_takes_the_place_of_one_that_was_there(tmp_path, monkeypatch, swap):
    target = tmp_path / "model"
    (target / "within").mkdir(parents=True)
    if not swap:
        monkeypatch.setattr(io, "RENAME_EXCHANGE", 1 << 20)  # a flag that no kernel knows: EINVAL
    with io.atomic(target) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
        assert (target / "within").is_dir()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert list(tmp_path.iterdir()) == [target]


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path):
    with pytest.raises(KeyboardInterrupt), io.atomic(tmp_path / "a.tsv") as temporary:
        name = temporary.name
        raise KeyboardInterrupt
    (tmp_path / name).touch()
    (tmp_path / ".model.12.part").mkdir()
    (tmp_path / ".model.12.part" / "weights").touch()
    kept = ["a.tsv", ".a.tsv.1234abcd.part", ".ab.12.part.tsv", ".b.12.part.tsv", ".a.12.part.json"]
    for other in kept:
        (tmp_path / other).touch()
    io.remove_leftovers(tmp_path / "a.tsv")
    io.remove_leftovers(tmp_path / "model")
    io.remove_leftovers(tmp_path / "nowhere" / "a.tsv")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_nothing_written_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), io.atomic(tmp_path / "a.json"):
        pass
    assert names_in(tmp_path) == []


@pytest.mark.parametrize(
    ("write", "content"),
    [
        (io.write_json, {"a": object()}),
        (io.write_text, 3),
        (io.write_table, "no table"),
        (io.write_h5mu, "no mudata"),
    ],
)
def test_a_writer_that_fails_leaves_nothing_behind(write, content, tmp_path):
    with pytest.raises((TypeError, AttributeError)):
        write(tmp_path / "file", content)
    assert names_in(tmp_path) == []


# --- small files


def test_json_takes_numpy_values_and_sorts_keys(tmp_path):
    content = {"b": np.float32(0.5), "a": np.arange(3), "c": {"n": np.int64(2), "yes": np.bool_(True)}}
    io.write_json(tmp_path / "a.json", content)
    assert io.read_json(tmp_path / "a.json") == {"a": [0, 1, 2], "b": 0.5, "c": {"n": 2, "yes": True}}
    assert list(json.loads((tmp_path / "a.json").read_text())) == ["a", "b", "c"]


def test_tables_keep_names_that_look_like_missing_values(tmp_path):
    table = pd.DataFrame({"feature": ["NA", "None", "CD4", "null"], "value": [1.5, np.nan, -2.0, 0.0]})
    io.write_table(tmp_path / "a.tsv", table)
    assert (tmp_path / "a.tsv").read_text().splitlines()[:2] == ["feature\tvalue", "NA\t1.5"]
    pd.testing.assert_frame_equal(io.read_table(tmp_path / "a.tsv"), table)
    assert io.read_table(tmp_path / "a.tsv", dtype=str)["value"].iloc[2] == "-2.0"


def test_text_is_written_as_it_is(tmp_path):
    io.write_text(tmp_path / "a.rst", "R² ± 0.1\n")
    assert (tmp_path / "a.rst").read_text(encoding="utf-8") == "R² ± 0.1\n"


# --- h5mu


def test_a_dataset_comes_back(tmp_path):
    mdata = small_mudata()
    io.write_h5mu(tmp_path / "a.h5mu", mdata)
    again = io.read_h5mu(tmp_path / "a.h5mu")
    assert list(again.mod) == ["rna", "adt"]
    for name, adata in mdata.mod.items():
        np.testing.assert_array_equal(again.mod[name].X, adata.X)
        assert again.mod[name].obs_names.tolist() == adata.obs_names.tolist()


def test_parts_can_be_left_out(tmp_path):
    mdata = small_mudata()
    for adata in mdata.mod.values():
        adata.layers["counts"], adata.obsm["X"], adata.uns["kind"] = adata.X + 1, adata.X[:, :1], "rna"
    mdata.obs["leiden"] = [str(i % 3) for i in range(mdata.n_obs)]
    io.write_h5mu(tmp_path / "a.h5mu", mdata)
    values = io.read_h5mu(tmp_path / "a.h5mu", leave_out=("layers", "obsm"))
    names = io.read_h5mu(tmp_path / "a.h5mu", leave_out=("X", "layers"))
    assert list(values.mod) == list(names.mod) == ["rna", "adt"]
    assert names.obs["leiden"].tolist() == mdata.obs["leiden"].tolist()
    for name, adata in mdata.mod.items():
        np.testing.assert_array_equal(values.mod[name].X, adata.X)
        assert not values.mod[name].layers and not values.mod[name].obsm and names.mod[name].X is None
        np.testing.assert_array_equal(names.mod[name].obsm["X"], adata.obsm["X"])
        for found in (values.mod[name], names.mod[name]):
            pd.testing.assert_frame_equal(found.obs, adata.obs)
            pd.testing.assert_frame_equal(found.var, adata.var)
            assert dict(found.uns) == {"kind": "rna"}
    (tmp_path / "a.h5mu").write_bytes((tmp_path / "a.h5mu").read_bytes()[:3000])
    with pytest.raises(InputError, match="cannot be read"):
        io.read_h5mu(tmp_path / "a.h5mu", leave_out=("layers",))


def test_single_layers_can_be_read_though_the_others_are_left_out(tmp_path):
    mdata = small_mudata()
    mdata.mod["adt"].layers["is_missing"] = mdata.mod["adt"].X > 0
    mdata.mod["adt"].layers["counts"] = mdata.mod["adt"].X
    io.write_h5mu(tmp_path / "a.h5mu", mdata)
    found = io.read_h5mu(tmp_path / "a.h5mu", leave_out=("layers",), layers=("is_missing",))
    assert list(found.mod["adt"].layers) == ["is_missing"] and not found.mod["rna"].layers
    np.testing.assert_array_equal(found.mod["adt"].layers["is_missing"], mdata.mod["adt"].X > 0)


def test_wide_arrays_are_written_in_smaller_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr(io, "BLOCK_VALUES", 2048 * 30)
    io.write_h5mu(tmp_path / "a.h5mu", small_mudata())
    seen = []

    def rows(part):
        seen.append(part.stop - part.start)
        return np.full((part.stop - part.start, 30), part.start)

    io.append_array(tmp_path / "a.h5mu", "mod/rna/obsm/Y", (5000, 30), rows)
    with h5py.File(tmp_path / "a.h5mu") as f:
        written = f["mod/rna/obsm/Y"][:, 0]
    assert seen == [2048, 2048, 904] and np.unique(written).tolist() == [0, 2048, 4096]


def test_a_file_that_is_missing_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="is missing") as caught:
        io.read_h5mu(tmp_path / "a.h5mu")
    assert "files:" in caught.value.change


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_an_input_error(share, tmp_path):
    io.write_h5mu(tmp_path / "a.h5mu", small_mudata())
    whole = (tmp_path / "a.h5mu").read_bytes()
    (tmp_path / "a.h5mu").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"cannot be read as \.h5mu") as caught:
        io.read_h5mu(tmp_path / "a.h5mu")
    assert f"{int(share * len(whole))} bytes" in caught.value.found


def test_a_text_file_is_an_input_error(tmp_path):
    (tmp_path / "a.h5mu").write_text("cell\tgene\n")
    with pytest.raises(InputError, match=r"cannot be read as \.h5mu"):
        io.read_h5mu(tmp_path / "a.h5mu")


@pytest.mark.filterwarnings("ignore:The HDF5 file was not created by muon")
@pytest.mark.parametrize("form", ["h5ad", "bare"])
def test_other_hdf5_files_are_input_errors(form, tmp_path):
    if form == "h5ad":
        small_mudata().mod["rna"].write_h5ad(tmp_path / "a.h5mu")
    else:
        with h5py.File(tmp_path / "a.h5mu", "w") as f:
            f["x"] = np.arange(3)
    with pytest.raises(InputError, match=r"cannot be read as \.h5mu"):
        io.read_h5mu(tmp_path / "a.h5mu")


# --- append_array


@pytest.mark.parametrize("chunk_rows", [1, 5, 23, 4096])
def test_an_array_written_in_chunks_is_the_array(chunk_rows, tmp_path):
    path = tmp_path / "a.h5mu"
    io.write_h5mu(path, small_mudata())
    values = np.random.default_rng(1).normal(size=(23, 300)).astype(np.float32)
    asked = []

    def rows(part: slice) -> np.ndarray:
        asked.append(part)
        return values[part].astype(np.float64)

    io.append_array(path, "mod/rna/obsm/imputed_adt", values.shape, rows, chunk_rows=chunk_rows)
    assert max(part.stop - part.start for part in asked) <= chunk_rows
    assert len(asked) == -(-23 // chunk_rows)
    found = mudata.read_h5mu(path).mod["rna"].obsm["imputed_adt"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, values)


def test_an_array_takes_the_place_of_one_that_was_there(tmp_path):
    path = tmp_path / "a.h5mu"
    mdata = small_mudata()
    io.write_h5mu(path, mdata)
    for value in (1, 2):
        io.append_array(path, "mod/adt/X", (23, 3), lambda part, v=value: np.full((23, 3), v)[part])
    found = io.read_h5mu(path)
    assert (found.mod["adt"].X == 2).all()
    np.testing.assert_array_equal(found.mod["rna"].X, mdata.mod["rna"].X)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_stops_the_writing(bad, tmp_path):
    path = tmp_path / "a.h5mu"
    io.write_h5mu(path, small_mudata())
    values = np.ones((23, 2))
    values[20, 1] = bad

    def write():
        with io.atomic(tmp_path / "b.h5mu") as temporary:
            temporary.write_bytes(path.read_bytes())
            io.append_array(temporary, "mod/rna/obsm/z", (23, 2), lambda part: values[part], chunk_rows=8)

    with pytest.raises(FloatingPointError, match="mod/rna/obsm/z: 1 values are not finite"):
        write()
    assert names_in(tmp_path) == ["a.h5mu"]


# --- errors


def test_an_input_error_tells_everything_and_survives_a_process_border():
    error = InputError("It is wrong", expected="right", found="wrong", change="`key`")
    assert str(error) == "It is wrong\n  expected: right\n  found:    wrong\n  change:   `key`"
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(again, InputError) and str(again) == str(error) and again.change == "`key`"


# --- jobs


def run_job(tmp_path, action) -> str:
    """The rule's log after a job."""
    try:
        with entry.job(
            SimpleNamespace(rule="any", input=[], output=[], log=[str(tmp_path / "rule.log")], resources={})
        ):
            action()
    finally:
        text = (tmp_path / "rule.log").read_text()
    return text


def test_a_job_logs_what_the_package_says(tmp_path, quiet_logging):
    text = run_job(tmp_path, lambda: logging.getLogger("jamie.data").info("12 cells"))
    assert f"\n12 cells\n{entry.USAGE}" in text


def test_an_input_error_ends_a_job_with_its_message_alone(tmp_path, quiet_logging, capsys):
    def fail():
        raise InputError("It is wrong", expected="a", found="b", change="c")

    with pytest.raises(SystemExit) as caught:
        run_job(tmp_path, fail)
    assert caught.value.code == 1
    for text in ((tmp_path / "rule.log").read_text(), capsys.readouterr().err):
        assert "Error: It is wrong\n  expected: a" in text and "Traceback" not in text


def test_any_other_error_ends_a_job_with_its_traceback(tmp_path, quiet_logging):
    with pytest.raises(ZeroDivisionError):
        run_job(tmp_path, lambda: 1 / 0)
    text = (tmp_path / "rule.log").read_text()
    assert "The job failed" in text and "ZeroDivisionError" in text


def test_run_info_says_how_a_job_ran():
    info = entry.RunInfo(seed=3, code="abc")
    info.content["fit_s"] = 1.5
    time.sleep(0.02)
    found = info.finish(status="ok", device="cuda")
    assert (found["seed"], found["code"], found["status"], found["fit_s"]) == (3, "abc", "ok", 1.5)
    assert found["device"] == "cuda"
    assert 0.02 <= found["wall_time_s"] < 60
    assert 10 < found["peak_rss_mb"] < 100_000
    assert found["packages"]["numpy"] == np.__version__
    assert found["packages"]["python"].startswith("3.")
    json.dumps(found)


def test_use_threads_keeps_torch_to_them():
    import torch

    before = torch.get_num_threads()
    try:
        entry.use_threads(2)
        assert torch.get_num_threads() == 2
        entry.use_threads(0)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


# --- digests of code


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of three modules."""
    for name in ("alone.py", "model/loss.py", "model/deep/net.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"# {name}\n")
    monkeypatch.setattr(entry, "PACKAGE", tmp_path)
    return tmp_path


@pytest.mark.parametrize("changed", ["alone.py", "model/loss.py", "model/deep/net.py"])
def test_the_digest_changes_with_each_of_its_modules_and_no_other(changed, package):
    digests = [entry.code_digest("alone.py"), entry.code_digest("model")]
    (package / changed).write_text("# changed\n")
    after = [entry.code_digest("alone.py"), entry.code_digest("model")]
    of_model = changed.startswith("model")
    assert [before != now for before, now in zip(digests, after, strict=True)] == [not of_model, of_model]


def test_the_digest_knows_names_and_ignores_what_is_no_code(package):
    before = entry.code_digest("model")
    assert len(before) == 16
    (package / "model" / "notes.txt").write_text("notes")
    assert entry.code_digest("model") == before
    os.rename(package / "model" / "loss.py", package / "model" / "other.py")
    assert entry.code_digest("model") != before


def test_a_digest_of_a_module_that_is_not_there_is_an_error(package):
    with pytest.raises(FileNotFoundError):
        entry.code_digest("no_such.py")
    with pytest.raises(FileNotFoundError):
        entry.code_digest("no_such_folder")


# --- append_csr


def test_a_sparse_matrix_written_in_blocks_is_the_matrix(tmp_path, monkeypatch):
    path = tmp_path / "a.h5mu"
    io.write_h5mu(path, small_mudata())
    monkeypatch.setattr(io, "BLOCK_VALUES", 160)
    values = sparse.random(23, 4, 0.3, format="csr", dtype=np.float32, random_state=0)
    asked = []

    def rows(part: slice):
        asked.append(part.stop - part.start)
        return values[part]

    for n_values, lengths, index in ((None, [10, 10, 3], "i4"), (46, [20, 3], "i4"), (2**31, [1] * 23, "i8")):
        asked.clear()  # each takes the place of the one before
        io.append_csr(path, "mod/rna/X", values.shape, rows, n_values=n_values)
        assert asked == lengths
        found = mudata.read_h5mu(path).mod["rna"].X
        assert found.dtype == np.float32 and (found != values).nnz == 0
        assert found.indices.dtype == found.indptr.dtype == index
        found.eliminate_zeros()  # which scipy refuses where the two differ


def test_a_sparse_value_that_is_not_finite_stops_the_writing(tmp_path):
    path = tmp_path / "a.h5mu"
    io.write_h5mu(path, small_mudata())
    bad = sparse.csr_matrix(np.full((23, 4), np.inf, np.float32))
    with pytest.raises(FloatingPointError, match="mod/rna/X: 92 values"):
        io.append_csr(path, "mod/rna/X", bad.shape, lambda part: bad[part])


def test_missing_values_are_written_where_they_are_allowed(tmp_path):
    path = tmp_path / "a.h5mu"
    io.write_h5mu(path, small_mudata())
    values = np.array([[1, np.nan, 0]] * 23)
    io.append_array(path, "mod/adt/X", (23, 3), lambda part: values[part], missing=True)
    np.testing.assert_array_equal(io.read_h5mu(path).mod["adt"].X, values)


def test_a_name_may_be_the_word_nan_where_text_is_asked_for(tmp_path):
    table = pd.DataFrame({"cell": ["nan", "a"], "value": [np.nan, 1.5]})
    io.write_table(tmp_path / "x.tsv", table)
    for dtype in (str, {"cell": str}):
        assert io.read_table(tmp_path / "x.tsv", dtype=dtype)["cell"].tolist() == ["nan", "a"]
    assert io.read_table(tmp_path / "x.tsv", dtype={"cell": str}).equals(table)
    (tmp_path / "y.tsv").write_text("value\nnan\n1.5\n")
    assert np.isnan(io.read_table(tmp_path / "y.tsv")["value"].iloc[0])
