"""Reading and writing: every file appears whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import glob
import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np

from jamie import unmade
from jamie.errors import InputError
from jamie.hdf5 import check_own, check_size, check_sparse, read_elem

PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,78}[A-Za-z0-9+-]|[A-Za-z0-9]")
RESERVED_NAME = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")  # devices, on Windows
DIGESTED_NAME = re.compile(r"(^|-)[0-9a-f]{12}$")  # as made here of other names
AT_FDCWD, RENAME_EXCHANGE = -100, 2  # of Linux's renameat2
BLOCK_VALUES = 16_000_000  # cells x columns written at a time: 64 MB


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path (file or folder) beside ``path``; rename it on success, remove it on failure.

    What was there before stays until then, a folder too.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        if path.is_dir() and temporary.is_dir():
            _exchange(temporary, path)
        else:
            os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        temporary.unlink(missing_ok=True)


def _exchange(one: Path, other: Path) -> None:
    """Swap two names in one step, so that at no time one of them is missing."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(one), os.fsencode(other)
    if libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0:
        return
    if ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(one), None, str(other))
    aside = one.with_name(f"{one.name}.before")  # NFS cannot swap: two steps
    os.replace(other, aside)
    os.replace(one, other)
    os.replace(aside, one)


def remove_leftovers(path: str | Path) -> None:
    """Remove what `atomic` left of ``path`` in processes that were killed; no other may be writing it."""
    path = Path(path)
    start, end = re.escape(f".{path.stem}."), re.escape(f".part{path.suffix}")
    for item in path.parent.glob(f".{glob.escape(path.stem)}.*") if path.parent.is_dir() else ():
        if re.fullmatch(rf"{start}\d+{end}(\.before)?", item.name):
            shutil.rmtree(item) if item.is_dir() else item.unlink(missing_ok=True)


def file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name, without a suffix, for each of some names that come from data; the one place for that.

    It is the name itself where that is short, of letters, digits and ``._+-``, and no other differs from it
    by its case alone; else what is left of the name and a digest of it. Never a path, nor hidden, and no two
    are equal, also where a file system ignores case.
    """
    names = list(dict.fromkeys(names))
    folded = Counter(name.casefold() for name in names)
    found = {}
    for name in names:
        plain = PLAIN_NAME.fullmatch(name) and folded[name.casefold()] == 1
        if plain and not RESERVED_NAME.fullmatch(name) and not DIGESTED_NAME.search(name):
            found[name] = name
        else:
            digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
            rest = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")[:40]
            found[name] = f"{rest}-{digest}" if rest else digest
    return found


def write_json(path: str | Path, content: dict) -> None:
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, sort_keys=True, default=_plain) + "\n")


def _plain(value):
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def write_text(path: str | Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text)


def read_json(path: str | Path) -> dict:
    return json.loads(Path(path).read_text())


def write_table(path: str | Path, table) -> None:
    """Write a DataFrame as TSV without its index."""
    with atomic(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False)


def read_table(path: str | Path, dtype=None, converters=None):
    """Read what `write_table` wrote.

    Parameters
    ----------
    dtype
        `str` for all columns, or {column: str}: there "nan" is a name such as that of a cell, not a number.
    converters
        As of `pandas.read_csv`.
    """
    import pandas as pd

    unmade.refuse(path)
    if dtype is str:
        return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""], dtype=str)
    text = (converters or {}) | {column: str for column, kind in (dtype or {}).items() if kind is str}
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=["", "nan"], converters=text)


def read_tables(paths: Iterable[str | Path]):
    """Tables of the same columns that `write_table` wrote, one below the other."""
    import pandas as pd

    return pd.concat([read_table(path) for path in paths], ignore_index=True)


def around(adata):
    """A new AnnData around the same arrays: nothing is copied but names and labels; a backed one is read."""
    import anndata

    if adata.isbacked:
        return adata.to_memory()
    parts = {
        name: {key: value for key, value in getattr(adata, name).items() if key}  # 0.13 lists X as layer None
        for name in ("obsm", "varm", "layers", "obsp", "varp")
    }
    if adata.raw is not None:
        parts["raw"] = {"X": adata.raw.X, "var": adata.raw.var, "varm": dict(adata.raw.varm)}
    return anndata.AnnData(adata.X, adata.obs.copy(), adata.var.copy(), dict(adata.uns), **parts)


def together(modalities: dict):
    """A MuData of these AnnData, whose own ``obs`` and ``var`` hold no copies of their columns."""
    import mudata

    _leave_columns_to_modalities()
    return mudata.MuData(modalities)


def _leave_columns_to_modalities() -> None:
    """Make mudata 0.3 behave as 0.4, which keeps columns apart and has no such option."""
    import mudata

    if hasattr(mudata, "set_options"):
        mudata.set_options(pull_on_update=False)


def write_h5mu(path: str | Path, mdata) -> None:
    with atomic(path) as temporary:
        mdata.write(str(temporary), compression="lzf")


def read_h5mu(path: str | Path, leave_out: tuple[str, ...] = (), layers: tuple[str, ...] = ()):
    """Read a MuData; a file that is missing, truncated or of another format is an InputError.

    Parameters
    ----------
    leave_out
        Parts of its modalities that are not read: "X", "layers", "obsm". `X` and the layers take almost all
        of the time and memory. Of what concerns all modalities together, ``obs`` alone is read then.
    layers
        Those read, where there are such, although "layers" is left out.
    """
    import h5py
    import mudata

    _leave_columns_to_modalities()
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"{path} is missing",
            expected="an .h5mu file",
            found="no such file",
            change="the dataset's `files:` in the config, or run the rule that makes it",
        )
    unmade.refuse(path)
    try:
        with h5py.File(path) as file:
            check_own(file, path)
            file["mod"]  # mudata 0.4 would read any HDF5 file, as one without modalities
            if not leave_out:
                check_size(file)
        mdata = _read_parts(path, leave_out, layers) if leave_out else mudata.read_h5mu(str(path))
        for adata in mdata.mod.values():
            check_sparse([adata.X, dict(adata.layers), dict(adata.obsm)])
        return mdata
    except InputError:
        raise
    except Exception as error:  # h5py and anndata raise anything on broken files
        raise InputError(
            f"{path} cannot be read as .h5mu",
            expected="a complete MuData file (mudata.write_h5mu)",
            found=f"{path.stat().st_size} bytes; {type(error).__name__}: {error}",
            change="get the file again (it may be truncated)"
            if "truncated" in str(error)
            else "delete it, so that the rule that writes it runs again, or write it with mudata.write_h5mu",
        ) from error


def _read_parts(path: Path, leave_out: tuple[str, ...], layers: tuple[str, ...]):
    """The modalities of an .h5mu without some of their parts."""
    import h5py
    from anndata import AnnData

    modalities = {}
    with h5py.File(path, "r") as f:
        for name in f["mod"].attrs.get("mod-order", list(f["mod"])):
            group = f["mod"][name]
            parts = [key for key in ("X", "obs", "var", "uns", "obsm", "layers") if key not in leave_out]
            modalities[name] = AnnData(**{key: read_elem(group, key) for key in parts if key in group})
            for layer in layers if "layers" in leave_out else ():
                if layer in group.get("layers", ()):
                    modalities[name].layers[layer] = read_elem(group, f"layers/{layer}")
        mdata = together(modalities)
        mdata.obs = read_elem(f, "obs").reindex(mdata.obs_names)
    return mdata


def append_array(
    path: str | Path,
    location: str,
    shape: tuple[int, int],
    rows: Callable[[slice], np.ndarray],
    *,
    chunk_rows: int | None = None,
    dtype: str = "float32",
    missing: bool = False,
) -> None:
    """Write a dense array into an existing ``.h5mu``, chunk by chunk of cells.

    Parameters
    ----------
    location
        Such as ``mod/rna/obsm/imputed_atac`` or ``mod/ephys_completed/X``.
    shape
        (n_cells, n_columns).
    rows
        Called with a slice of cells; returns float32 (n_slice, n_columns). Only one chunk is in memory.
    chunk_rows
        Cells of a chunk; None: up to 4,096, of 64 MB at most.
    dtype
        Of the values stored.
    missing
        Whether values may be NaN.

    Raises
    ------
    FloatingPointError
        A value is not finite.
    """
    import h5py

    n, n_columns = shape
    with h5py.File(path, "r+") as f:
        if location in f:
            del f[location]
        data = f.create_dataset(
            location,
            shape=shape,
            dtype=dtype,
            chunks=(max(1, min(n, 1024)), max(1, min(n_columns, 256))),
            compression="lzf",
        )
        data.attrs["encoding-type"] = "array"
        data.attrs["encoding-version"] = "0.2.0"
        if chunk_rows is None:  # whole chunks of the file
            chunk_rows = max(data.chunks[0], min(4096, BLOCK_VALUES // n_columns // 1024 * 1024))
        for start in range(0, n, chunk_rows):
            part = slice(start, min(start + chunk_rows, n))
            data[part] = _checked(np.asarray(rows(part), dtype=dtype), location, missing)


def _checked(values: np.ndarray, where: str, missing: bool) -> np.ndarray:
    """The values, if they are finite (or, where that is allowed, NaN)."""
    bad = np.isinf(values) if missing else ~np.isfinite(values)
    if bad.any():
        raise FloatingPointError(f"{where}: {int(bad.sum())} values are not finite")
    return values


def append_csr(
    path,
    location: str,
    shape: tuple[int, int],
    rows: Callable[[slice], object],
    *,
    n_values: int | None = None,
) -> None:
    """The same for a CSR matrix.

    Parameters
    ----------
    path
        Of the file; or an HDF5 group open for writing, in which ``location`` is.
    rows
        Called with a slice of cells; returns CSR (n_slice, n_columns). Only one block is in memory.
    n_values
        How many values there are in all, at most; None: all.

    Raises
    ------
    FloatingPointError
        A value is not finite.
    """
    import h5py
    from anndata.io import sparse_dataset, write_elem

    n = shape[0]
    n_values = shape[0] * shape[1] if n_values is None else n_values
    at_once = max(1, BLOCK_VALUES // 4 * n // max(1, n_values))  # what makes a block holds it several times
    index = np.int32 if max(n_values, *shape) < 2**31 else np.int64  # scipy wants one type for both
    with h5py.File(path, "r+") if isinstance(path, str | Path) else nullcontext(path) as f:
        for start in range(0, n, at_once):
            values = rows(slice(start, min(start + at_once, n)))
            _checked(values.data, location, False)
            values.indices, values.indptr = values.indices.astype(index), values.indptr.astype(index)
            if start == 0:
                write_elem(f, location, values, dataset_kwargs={"compression": "lzf"})
            else:
                sparse_dataset(f[location]).append(values)
