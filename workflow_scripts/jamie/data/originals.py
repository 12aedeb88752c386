"""What the files of a dataset hold besides the values the workflow takes, carried into another file.

The workflow reads one layer of two modalities. Everything else (other layers, obsm, varm, obsp, varp,
uns, raw, other modalities) is copied from the source file straight into a file that is written, element
by element, so that memory does not grow with what is carried.
"""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from jamie import io
from jamie.data import checks, counts, formats, stores
from jamie.data.frames import original, writable

COPIED_AS_BYTES = ("array", "csr_matrix", "csc_matrix")
AXES = {"layers": "cf", "obsm": "c", "varm": "f", "obsp": "cc", "varp": "ff"}  # cells, features


@dataclass
class Originals:
    """Where the input is stored: (store, group) of each modality that is used and of the others.

    ``joint`` is the store whose ``obs``, ``obsm``, ... concern all modalities together (a MuData), or None;
    ``layers``: modality -> place of the values that are used, such as "X", "layers/counts", "raw/X".
    """

    modalities: dict[str, tuple[Path, str]] = field(default_factory=dict)
    others: dict[str, tuple[Path, str]] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)
    joint: Path | None = None


def find(dataset: dict, files: dict[str, Path], mdata=None) -> Originals:
    """The originals of a dataset: MuData and AnnData, in any form that is read.

    Files of other readers hold nothing that is not ingested.

    Parameters
    ----------
    dataset, files
        As of `jamie.data.readers.read`.
    mdata
        What was read: where its counts were, if not where the config says.
    """
    found = Originals()
    if dataset["reader"] not in ("h5mu", "h5ad"):
        return found
    used = {name: spec["source"] or name for name, spec in dataset["modalities"].items()}
    for name, source in used.items():
        path = Path(files["data" if dataset["reader"] == "h5mu" else name])
        stored = _modalities(path)
        found.modalities[name] = (path, "/" if stored is None else f"mod/{source}")
        if dataset["reader"] == "h5mu" and stored is not None:
            found.joint = path
            others = [other for other in stored if other not in used.values()]
            names = {other: original(other) if other in used else other for other in others}
            found.others = {new: (path, f"mod/{other}") for other, new in names.items()}
    for name, place in found.modalities.items():
        if mdata is not None and counts.PLACE in mdata.mod[name].uns:
            found.layers[name] = mdata.mod[name].uns[counts.PLACE]
            continue
        with opened(*place) as group:
            layer = dataset["modalities"][name]["layer"]
            found.layers[name] = formats.find_layer(name, layer, **formats.layers_of(group))
    return found


def _modalities(path: Path) -> list[str] | None:
    """Names of the modalities in a MuData; None for an AnnData."""
    with checks.readable(path, "an AnnData or MuData file"), stores.opened(path) as root:
        return stores.modalities(root) if stores.holds(root) == stores.MUDATA else None


@contextmanager
def opened(path: Path, location: str):
    """The group of an AnnData in a store; one of anndata before 0.7 is brought into today's form first."""
    import anndata

    with stores.opened(path) as root:
        group = root if location == "/" else root[location]
        if not stores.is_old(group):
            yield group
            return
        adata = anndata.read_h5ad(group.file.filename)
    with tempfile.TemporaryDirectory() as folder:
        today = Path(folder) / "today.h5ad"
        adata.obs, adata.var = (writable(table, "", "an old file") for table in (adata.obs, adata.var))
        adata.write_h5ad(today)
        with stores.opened(today) as root:
            yield root


def frames(path: Path, location: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``obs`` and ``var`` of an AnnData in a store, names as text, columns as they can be written."""
    with opened(path, location) as group:
        return tuple(writable(stores.frame(group, name), "", name) for name in ("obs", "var"))


def places_of(names: pd.Index, wanted: pd.Index) -> np.ndarray | None:
    """Positions in ``names`` of those wanted; None if they are all of them, in order."""
    return None if names.equals(wanted) else names.get_indexer(wanted)


def carry(source, target, cells, features, names: dict, *, of_cells: bool = False) -> None:
    """Copy what an AnnData group holds and another lacks into it.

    Parameters
    ----------
    source, target
        Groups of AnnData objects, that of ``target`` in HDF5: there ``X``, ``obs`` and ``var`` are already.
    cells, features
        Increasing positions in the source of the target's cells and features; None: all.
    names
        Old -> new feature names, for ``raw``.
    of_cells
        Leave out what concerns features: those of the target are others.
    """
    containers = {name: axes for name, axes in AXES.items() if not (of_cells and "f" in axes)}
    for container, axes in containers.items():
        for name in source.get(container, ()):
            places = [cells if axis == "c" else features for axis in axes]
            _take(
                source[container],
                name,
                target.require_group(container),
                _free(target[container], name),
                places,
            )
    for name in source.get("uns", ()):
        if not _same(source["uns"][name], target["uns"].get(name)):
            _copy(source["uns"], name, target["uns"], _free(target["uns"], name))
    if "raw" in source and not of_cells:
        _carry_raw(source["raw"], target.create_group("raw"), cells, names)


def take_x(source, target, cells, features) -> None:
    """Put the source's own ``X`` in the place of the target's."""
    del target["X"]
    _take(source, "X", target, "X", [cells, features])


def _carry_raw(source, target, cells, names: dict) -> None:
    from anndata.io import read_elem, write_elem

    target.attrs.update(dict(source.attrs) | {"encoding-type": "raw", "encoding-version": "0.1.0"})
    _take(source, "X", target, "X", [cells, None])
    write_elem(target, "var", writable(stores.frame(source, "var"), "", "raw.var").rename(index=names))
    write_elem(target, "varm", {name: read_elem(source["varm"][name]) for name in source.get("varm", ())})


def _free(group, name: str) -> str:
    """``name``, or that of an original where the group has it."""
    return original(name) if name in group else name


def _same(first, second) -> bool:
    """Whether two stored things are one and the same single value."""
    from anndata.io import read_elem

    single = all(getattr(x, "shape", None) == () for x in (first, second))
    return single and read_elem(first) == read_elem(second)


def _copy(source, name: str, target, new_name: str) -> None:
    """Copy an element into an HDF5 group: byte by byte from another, read and written from zarr."""
    import h5py
    from anndata.io import read_elem, write_elem

    if isinstance(source, h5py.Group):
        source.copy(source[name], target, new_name)
    else:
        write_elem(target, new_name, read_elem(source[name]))


def _take(source, name: str, target, new_name: str, places: list) -> None:
    """Copy an element, of ``places`` along its first axes (None: all of the axis)."""
    from anndata.io import read_elem, write_elem

    element = source[name]
    encoding = element.attrs.get("encoding-type")
    if encoding in COPIED_AS_BYTES and all(place is None for place in places):
        _copy(source, name, target, new_name)
    elif encoding == "csr_matrix":
        _take_rows(element, target, new_name, places)
    else:
        value = read_elem(element)
        for axis, place in enumerate(places):
            if place is not None:
                value = _along(value, axis, place)
        write_elem(target, new_name, value)


def _along(value, axis: int, place: np.ndarray):
    at = (slice(None),) * axis + (place,)
    return value.iloc[at] if isinstance(value, pd.DataFrame) else value[at]


def _take_rows(element, target, name: str, places: list) -> None:
    """Rows, and maybe columns, of a stored CSR matrix, block by block; rows in increasing order."""
    from anndata.io import sparse_dataset

    stored = sparse_dataset(element)
    n, n_columns = stored.shape
    rows = np.arange(n) if places[0] is None else places[0]
    columns = places[1] if len(places) > 1 and places[1] is not None else slice(None)

    def block(part: slice):
        wanted = rows[part]
        near = stored[wanted[0] : wanted[-1] + 1][wanted - wanted[0]]
        return near[:, columns].tocsr()

    width = n_columns if isinstance(columns, slice) else len(columns)
    io.append_csr(target, name, (len(rows), width), block, n_values=element["data"].shape[0])
