"""Opening what holds an AnnData or MuData: HDF5 or zarr, plain, gzipped or zipped, whatever its name.

h5py and zarr only open a file here. Its elements are read by anndata (`anndata.io.read_elem`), which takes a
group of either; `mudata.read_h5mu` and `anndata.read_h5ad` would read every layer of every modality.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from jamie.errors import InputError
from jamie.hdf5 import check_own, read_elem

GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
ZARR_ROOTS = (".zgroup", "zarr.json")  # zarr 2, zarr 3
MOST_OF_DISK = 0.5  # of what is free, that unpacking may take
ANNDATA, MUDATA, CELL_RANGER = "AnnData", "MuData", "Cell Ranger matrix"


@contextmanager
def opened(path: str | Path) -> Iterator:
    """The root group of a store, for reading.

    Parameters
    ----------
    path
        An HDF5 file, such a file gzipped, a zarr folder, or such a folder zipped.

    Yields
    ------
    h5py.Group or zarr.Group

    Raises
    ------
    OSError, EOFError, ValueError, zipfile.BadZipFile
        It is none of these, or broken.
    """
    import h5py
    import zarr

    path = Path(path)
    if path.is_dir():
        if not any((path / name).is_file() for name in ZARR_ROOTS):
            raise ValueError("a folder that is no zarr store: it lacks .zgroup and zarr.json")
        _check_links(path)
        yield zarr.open_group(str(path), mode="r")
        return
    start = first_bytes(path)
    if start.startswith(ZIP):
        root = _root_in_zip(path)
        store = zarr.storage.ZipStore(path, mode="r", read_only=True)
        try:
            yield zarr.open_group(store, path=root, mode="r")
        finally:
            store.close()
        return
    with h5py.File(unpacked(path) if start.startswith(GZIP) else path) as f:
        check_own(f, path)
        yield f


def first_bytes(path: Path, n: int = 8) -> bytes:
    with open(path, "rb") as handle:
        return handle.read(n)


def unpacked(path: Path) -> Path:
    """A gzipped file, unpacked once a process into a temporary folder that goes with it."""
    about = path.stat()
    return Path(_unpacked(path, about.st_mtime_ns, about.st_size).name) / "unpacked"


@lru_cache(maxsize=8)
def _unpacked(path: Path, mtime_ns: int, size: int) -> tempfile.TemporaryDirectory:
    folder = tempfile.TemporaryDirectory(prefix="jamie-")
    left = MOST_OF_DISK * shutil.disk_usage(folder.name).free
    with gzip.open(path) as packed, open(Path(folder.name) / "unpacked", "wb") as plain:
        while part := packed.read(1 << 20):
            left -= plain.write(part)
            if left < 0:
                folder.cleanup()
                raise InputError(
                    f"{path} is too large to be unpacked here, or broken",
                    expected=f"a file that fits into {MOST_OF_DISK:.0%} of the free disk of {folder.name}",
                    found=f"{size:,} bytes that unpack to more",
                    change="TMPDIR to a folder with more space, or the file itself",
                )
    return folder


def _check_links(folder: Path) -> None:
    """Refuse a zarr folder that takes its data from elsewhere, as `jamie.hdf5.check_own` does HDF5 files."""
    inside = folder.resolve()
    for item in folder.rglob("*"):
        if item.is_symlink() and not item.resolve().is_relative_to(inside):
            raise InputError(
                f"{folder} takes its data from elsewhere",
                expected="a folder that holds all its data",
                found=f"{item.relative_to(folder)}, a link to {item.readlink()}",
                change="the folder: copy it with its links followed (cp -rL)",
            )


def _root_in_zip(path: Path) -> str:
    """Folder of a zip in which the store lies: often the zipped folder itself."""
    with zipfile.ZipFile(path) as archive:
        found = [PurePosixPath(name) for name in archive.namelist() if name.endswith(ZARR_ROOTS)]
    if not found:
        raise ValueError("a zip file that holds no zarr store: no .zgroup and no zarr.json in it")
    root = min(found, key=lambda name: len(name.parts)).parent
    return "" if str(root) == "." else str(root)


def holds(group) -> str | None:
    """What a store is, by its parts; None: something else."""
    if "mod" in group:
        return MUDATA
    if "obs" in group and "var" in group:
        return ANNDATA
    parts = [group[name] for name in group]
    if any("barcodes" in part for part in parts if hasattr(part, "keys")):
        return CELL_RANGER
    return None


def is_old(group) -> bool:
    """Whether an AnnData is as anndata wrote it before 0.7, which it knows how to read as a whole only."""
    import h5py

    return isinstance(group["obs"], h5py.Dataset)


def modalities(group) -> list[str]:
    """Names of the modalities of a MuData, in its order."""
    stored = list(group["mod"])
    order = [_text(name) for name in np.atleast_1d(group["mod"].attrs.get("mod-order", ()))]
    return order if set(order) == set(stored) else sorted(stored)


def frame(group, name: str) -> pd.DataFrame:
    """``obs`` or ``var`` of an AnnData; names as text, whatever their type.

    Raises
    ------
    InputError
        A row has no name.
    ValueError
        It is no table.
    """
    table = read_elem(group, name)
    if not isinstance(table, pd.DataFrame):
        raise ValueError(f"{name} of {group.name} is a {type(table).__name__}, no table")
    missing = int(table.index.isna().sum())
    if missing:
        what = {"obs": "cell", "var": "feature"}[name]
        raise InputError(
            f"The file has {what}s without a name",
            expected=f"a name for each of {len(table)} {what}s",
            found=f"{missing} missing values in the index of {name} (type {table.index.dtype})",
            change=f"name them, or leave them out: adata[adata.{name}_names.notna()]",
        )
    table.index = pd.Index([_text(value) for value in table.index], dtype=object, name=table.index.name)
    return table


def _text(name) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
