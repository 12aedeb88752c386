"""Files that would crash the interpreter, fill the memory or bring in other files end in one clear error."""

import gzip
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jamie import io, memory
from jamie.data import readers, stores
from jamie.data.correspondence import Correspondence
from jamie.errors import InputError
from jamie.hdf5 import check_own, check_sparse
from jamie.io import together

N = 6
CELLS = [f"c{i}" for i in range(N)]
SPEC = {"source": None, "layer": None, "values": "counts"}
ENTRY = {
    "files": {},
    "modalities": {"rna": {"kind": "rna", **SPEC}, "adt": {"kind": "protein", **SPEC}},
    "cell_type": None,
    "batch": None,
    "correspondence": None,
}


def adata(n_vars=4):
    counts = sparse.csr_matrix(np.arange(N * n_vars).reshape(N, n_vars) % 3.0)
    var = pd.DataFrame(index=[f"g{j}" for j in range(n_vars)])
    return anndata.AnnData(counts, obs=pd.DataFrame(index=CELLS), var=var)


@pytest.fixture
def h5mu(tmp_path):
    path = tmp_path / "x.h5mu"
    together({"rna": adata(), "adt": adata(3)}).write(path)
    return path


def read(path):
    return readers.read(ENTRY | {"reader": "h5mu"}, {"data": path})


def change(path, place, values):
    """Put another dataset where one was, with its attributes."""
    with h5py.File(path, "r+") as f:
        attributes = dict(f[place].attrs)
        del f[place]
        f[place] = values
        f[place].attrs.update(attributes)


# --- correspondences


def pairs(folder, **changed):
    """A correspondence file of the identity, some of its arrays changed; None: left out."""
    arrays = {
        "format": np.array(b"csr"),
        "shape": np.array([N, N]),
        "data": np.ones(N, np.float32),
        "indices": np.arange(N),
        "indptr": np.arange(N + 1),
        "row_names": np.array(CELLS),
        "col_names": np.array(CELLS),
    }
    path = folder / "pairs.npz"
    np.savez(path, **{key: value for key, value in (arrays | changed).items() if value is not None})
    return path


BROKEN = {
    "indptr falls": {"indptr": np.array([0, 5, 1, 6, 2, 6, 6])},
    "indptr beyond its end": {"indptr": np.array([0, 1, 2, 3, 4, 5, 10**9])},
    "indptr below 0": {"indptr": np.array([0, -(10**6), 2, 3, 4, 5, 6])},
    "indptr too short": {"indptr": np.arange(3)},
    "indices too high": {"indices": np.arange(N) + 10**8},
    "indices below 0": {"indices": np.arange(N) - 10**8},
    "indices are fractions": {"indices": np.arange(N) + 0.5},
    "indptr of fractions": {"indptr": np.arange(N + 1) + 0.25},
    "fewer indices": {"indices": np.arange(2)},
    "no indices": {"indices": None},
    "names of others": {"row_names": np.array(CELLS[:2])},
    "one side without names": {"col_names": None},
    "names of numbers beside too few": {"row_names": np.arange(N - 1)},
    "infinite": {"data": np.array([np.inf] + [1] * (N - 1))},
    "not a number": {"data": np.array([np.nan] + [1] * (N - 1))},
    "words": {"data": np.array(["x"] * N)},
    "complex": {"data": np.ones(N, complex)},
    "objects": {"data": np.array([{}] * N, dtype=object)},
    "another shape": {"shape": np.array([N, 10**9])},
    "a shape of three": {"shape": np.array([N, N, N])},
    "a shape of words": {"shape": np.array(["a", "b"])},
    "another format": {"format": np.array(b"abc")},
    "no format": {"format": None},
}


def read_pairs(path):
    return readers.read_correspondence(path, CELLS, CELLS)


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("load", [Correspondence.load, read_pairs])
def test_a_broken_correspondence_is_a_clear_error(tmp_path, broken, load):
    path = pairs(tmp_path, **BROKEN[broken])
    with pytest.raises(InputError):
        load(path)


def test_a_sound_correspondence_is_read(tmp_path):
    assert (Correspondence.load(pairs(tmp_path)).matrix != sparse.identity(N)).nnz == 0
    for form in ("csr", "csc", "coo", "bsr", "dia"):
        sparse.save_npz(tmp_path / "plain.npz", sparse.identity(N, format=form))
        found = readers.read_correspondence(tmp_path / "plain.npz", CELLS, CELLS)
        assert (found.matrix != sparse.identity(N)).nnz == 0


def test_an_array_that_is_not_as_long_as_it_says_is_refused_before_it_is_made(tmp_path):
    path = pairs(tmp_path)
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"
    header += b" " * (117 - len(header)) + b"\n"
    with zipfile.ZipFile(path) as old:
        members = {name: old.read(name) for name in old.namelist()}
    members["data.npy"] = b"\x93NUMPY\x01\x00\x76\x00" + header + b"\0" * 24
    with zipfile.ZipFile(path, "w") as new:
        for name, content in members.items():
            new.writestr(name, content)
    with pytest.raises(InputError, match=r"data.npy holds other than \(1000000000000,\) values"):
        Correspondence.load(path)


def test_a_matrix_market_file_is_as_long_as_it_says(tmp_path):
    (tmp_path / "pairs.mtx").write_text(
        f"%%MatrixMarket matrix coordinate real general\n{N} {N} 900000000000\n1 1 1\n"
    )
    with pytest.raises(InputError, match="900,000,000,000 entries in"):
        readers.read_correspondence(tmp_path / "pairs.mtx", CELLS, CELLS)


@pytest.mark.parametrize("odd", [b"1\x00\n", b"1\xff", b"1\x00"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_bytes_that_end_the_parser_of_scipy_are_refused(tmp_path, odd, pack):
    head = f"%%MatrixMarket matrix coordinate real general\n% größe\n{N} {N} 2\n2 2 1\n1 1 ".encode()
    path = tmp_path / ("pairs.mtx.gz" if pack is gzip.compress else "pairs.mtx")
    path.write_bytes(pack(head + b"1\n"))
    assert read_pairs(path).matrix.nnz == 2
    path.write_bytes(pack(head + odd))
    with pytest.raises(InputError, match="among its numbers"):
        read_pairs(path)


def test_broken_pointers_do_not_end_the_interpreter(tmp_path):
    """As of a file that did: in a process of its own, so that a crash would be one failed test."""
    for name, changed in BROKEN.items():
        (tmp_path / name.replace(" ", "_")).mkdir()
        pairs(tmp_path / name.replace(" ", "_"), **changed)
    code = """
        import sys
        from pathlib import Path
        from jamie.data import readers, stores
        from jamie.errors import InputError
        for path in sorted(Path(sys.argv[1]).glob("*/pairs.npz")):
            try:
                readers.read_correspondence(path, sys.argv[2:], sys.argv[2:])
            except InputError:
                print("refused")
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), *CELLS]
    scripts = Path(readers.__file__).parents[2]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=scripts, check=False)
    assert ran.returncode == 0 and ran.stdout.count("refused") == len(BROKEN)


# --- HDF5


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("indptr", np.array([0, 5, 1, 6, 2, 6, 16])),
        ("indptr", np.array([0, -9, 1, 6, 2, 6, 16])),
        ("indices", np.full(16, 10**8)),
        ("indices", np.full(16, -1)),
        ("data", np.array(["x"] * 16, dtype="S1")),
    ],
)
def test_a_sparse_matrix_that_is_broken_is_refused(h5mu, part, values):
    with h5py.File(h5mu) as f:
        n = len(f[f"mod/rna/X/{part}"])
    change(h5mu, f"mod/rna/X/{part}", values[:n] if part != "indptr" else np.minimum(values, n))
    for reading in (read, io.read_h5mu):
        if part != "data" or reading is read:
            with pytest.raises(InputError):
                reading(h5mu)


def test_check_sparse_looks_into_layers():
    broken = adata().X
    broken.indices[0] = 99
    with pytest.raises(ValueError, match="indices must be"):
        check_sparse([None, {"counts": broken}])
    check_sparse([np.ones((2, 2)), {"counts": adata().X}, sparse.csr_array(np.eye(2)), sparse.identity(2)])


def outside_link(f, folder):
    f["mod/rna/uns/note"] = h5py.ExternalLink(str(folder / "other.h5"), "/secret")


def outside_layer(f, folder):
    del f["mod/rna/X"]
    f["mod/rna/X"] = h5py.ExternalLink("other.h5", "/secret")


def outside_storage(f, folder):
    del f["mod/rna/X"]
    f.create_dataset("mod/rna/X", shape=(N, 4), dtype="u1", external=[(str(folder / "SECRET"), 0, N * 4)])


def virtual(f, folder):
    layout = h5py.VirtualLayout((N, 4), "f4")
    layout[:] = h5py.VirtualSource(str(folder / "other.h5"), "secret", (N, 4))
    del f["mod/rna/X"]
    f.create_virtual_dataset("mod/rna/X", layout)


def nowhere(f, folder):
    f["mod/rna/uns/note"] = h5py.SoftLink("/not/there")


def in_itself(f, folder):
    f["mod/rna/uns/again"] = f["mod/rna"]


def in_itself_softly(f, folder):
    f["mod/rna/uns/again"] = h5py.SoftLink("/mod")


@pytest.mark.parametrize(
    "spoil", [outside_link, outside_layer, outside_storage, virtual, nowhere, in_itself, in_itself_softly]
)
def test_data_that_lie_elsewhere_are_refused(h5mu, tmp_path, spoil):
    (tmp_path / "SECRET").write_bytes(b"secret" * 100)
    with h5py.File(tmp_path / "other.h5", "w") as f:
        f["secret"] = np.ones((N, 4), np.float32)
    with h5py.File(h5mu, "r+") as f:
        spoil(f, tmp_path)
    for reading in (read, io.read_h5mu, lambda p: io.read_h5mu(p, leave_out=("X",))):
        with pytest.raises(InputError, match="does not hold its own data"):
            reading(h5mu)


def test_links_within_a_file_are_read(h5mu):
    with h5py.File(h5mu, "r+") as f:
        f.move("mod/rna/X", "kept")
        f["mod/rna/X"] = h5py.SoftLink("/kept")
        check_own(f, h5mu)
    assert (read(h5mu).mod["rna"].X != adata().X).nnz == 0


@pytest.mark.parametrize("place", ["mod/rna/X/data", "mod/rna/obs/_index", "mod/rna/var/_index"])
def test_sizes_are_held_against_the_memory_before_anything_is_read(h5mu, place):
    with h5py.File(h5mu, "r+") as f:
        attributes, kind = dict(f[place].attrs), f[place].dtype
        del f[place]
        f.create_dataset(place, shape=(10**13,), dtype=kind, chunks=(1024,))  # nothing is stored
        f[place].attrs.update(attributes)
    for reading in (read, io.read_h5mu):
        with pytest.raises(InputError, match="too large for this machine, or broken"):
            reading(h5mu)


def test_what_is_not_read_may_be_of_any_size(h5mu):
    with h5py.File(h5mu, "r+") as f:
        f.create_dataset("mod/rna/layers/huge", shape=(10**7, 10**7), dtype="f4", chunks=(64, 64))
    assert read(h5mu).shape == mudata.MuData({"rna": adata(), "adt": adata(3)}).shape


def test_free_memory_is_that_of_the_machine_or_of_a_limit(monkeypatch, tmp_path):
    import psutil

    assert 0 < memory.available_bytes() <= psutil.virtual_memory().total
    (tmp_path / "job" / "step").mkdir(parents=True)
    (tmp_path / "own").write_text("1:name=x:/\n0::/job/step\n")
    (tmp_path / "job" / "memory.max").write_text("12345\n")
    (tmp_path / "job" / "step" / "memory.max").write_text("max\n")
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    monkeypatch.setattr(memory, "OWN", tmp_path / "own")
    assert memory.available_bytes() == 12345
    memory.check_fits(12345, "x", "a matrix")
    with pytest.raises(InputError, match="too large"):
        memory.check_fits(12346, "x", "a matrix")


# --- what a store unpacks to, and where a folder's data lie


def test_a_file_that_unpacks_to_more_than_the_disk_holds_is_refused_and_leaves_nothing(
    tmp_path, h5mu, monkeypatch
):
    packed, temporary = tmp_path / "x.h5mu.gz", tmp_path / "temporary"
    packed.write_bytes(gzip.compress(h5mu.read_bytes()))
    temporary.mkdir()
    monkeypatch.setattr(stores.tempfile, "tempdir", str(temporary))
    monkeypatch.setattr(stores, "MOST_OF_DISK", 0.0)
    with pytest.raises(InputError, match="too large to be unpacked"):
        read(packed)
    assert not list(temporary.iterdir())
    monkeypatch.setattr(stores, "MOST_OF_DISK", 0.5)
    assert read(packed).mod["rna"].n_vars == 4


def test_a_zarr_folder_that_takes_its_data_from_elsewhere_is_refused(tmp_path, h5mu):
    folder, other = tmp_path / "x.zarr", tmp_path / "other"
    mudata.read_h5mu(h5mu).write_zarr(folder)
    (folder / "inside").symlink_to(folder / "mod")
    assert read(folder).mod["adt"].n_vars == 3
    other.write_bytes(b"1")
    (folder / "mod/rna/outside").symlink_to(other)
    with pytest.raises(InputError, match="takes its data from elsewhere") as caught:
        read(folder)
    assert "mod/rna/outside" in caught.value.found
