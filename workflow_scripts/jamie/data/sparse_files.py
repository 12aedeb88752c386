"""Sparse matrices in files of their own, ``.npz`` and ``.mtx``: checked fully before they are used."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.io import mminfo, mmread

from jamie.hdf5 import check_sparse
from jamie.memory import check_fits

PRINTABLE = bytes(range(32, 127)) + b"\t\r\n"
LINE, BLOCK = 1 << 20, 1 << 24  # bytes read at a time
NUMBERS = "biuf"  # kinds of dtype
WHOLE = ("shape", "indices", "indptr", "row", "col", "offsets")  # arrays of scipy's .npz


def read_npz(path: Path) -> tuple[sparse.coo_matrix, dict[str, np.ndarray]]:
    """A matrix as scipy saves it, and the names saved with it (`row_names`, `col_names`), if there are any.

    Raises
    ------
    InputError, OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile
        It is no such file; its arrays fit neither each other nor their declared sizes, nor memory; its values
        are no numbers.
    """
    path = Path(path)
    _check_arrays(path)
    matrix = sparse.load_npz(path)
    check_sparse(matrix)
    matrix = _check_numbers(sparse.coo_matrix(matrix))
    with np.load(path, allow_pickle=False) as content:
        names = {key: content[key].astype(str) for key in ("row_names", "col_names") if key in content.files}
    if names and [len(n) for n in names.values()] != list(matrix.shape):
        have = " and ".join(f"{len(n)} {key}" for key, n in names.items())
        raise ValueError(f"{have} for a matrix of {matrix.shape[0]} x {matrix.shape[1]}")
    return matrix, names


def _check_arrays(path: Path) -> None:
    """Each array is as long as it says, and none holds Python objects."""
    header, total = np.lib.format, 0
    read = {(1, 0): header.read_array_header_1_0, (2, 0): header.read_array_header_2_0}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            with archive.open(info) as member:
                version = header.read_magic(member)
                if version not in read:
                    raise ValueError(f"{info.filename} is an array of format {version}")
                shape, _, dtype = read[version](member)
                n_bytes = int(np.prod(shape, dtype=object)) * dtype.itemsize
                if info.filename.removesuffix(".npy") in WHOLE and dtype.kind not in "iu":
                    raise ValueError(f"{info.filename} holds {dtype}, no whole numbers")
                if dtype.hasobject or n_bytes != info.file_size - member.tell():
                    raise ValueError(f"{info.filename} holds other than {shape} values of type {dtype}")
            total += n_bytes
    check_fits(3 * total, path, "a matrix")


def read_mtx(path: Path) -> sparse.coo_matrix:
    """A matrix in the Matrix Market format, also gzipped; what it raises is as of `read_npz`."""
    check_mtx(path)
    return _check_numbers(sparse.coo_matrix(mmread(path)))


def check_mtx(path: Path) -> None:
    """Refuse a Matrix Market file that is not of real numbers, or longer than it can be or memory is."""
    n_rows, n_cols, n_entries, form, kind, _ = mminfo(path)
    if kind not in ("real", "integer", "unsigned-integer", "pattern"):
        raise ValueError(f"values that are {kind}")
    if form == "coordinate" and Path(path).suffix != ".gz" and n_entries > Path(path).stat().st_size:
        raise ValueError(f"{n_entries:,} entries in {Path(path).stat().st_size:,} bytes")
    check_fits((n_entries if form == "coordinate" else n_rows * n_cols) * 16, path, "a matrix")
    with (gzip.open if Path(path).suffix == ".gz" else open)(path, "rb") as file:
        line = file.readline(LINE)
        while line.startswith(b"%"):
            line = file.readline(LINE)
        while line:
            # scipy's parser, of compiled code, ends the process at a NUL behind a number
            if odd := line.translate(None, PRINTABLE):
                raise ValueError(f"{odd[:1]!r} among its numbers")
            line = file.read(BLOCK)


def _check_numbers(matrix: sparse.coo_matrix) -> sparse.coo_matrix:
    """The matrix, if it is of real numbers."""
    if matrix.data.dtype.kind not in NUMBERS:
        raise ValueError(f"values of type {matrix.data.dtype}")
    return matrix
