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
from jamie.data import checks, counts, formats

COPIED_AS_BYTES = ("array", "csr_matrix", "csc_matrix")
AXES = {"layers": "cf", "obsm": "c", "varm": "f", "obsp": "cc", "varp": "ff"}  # cells, features


def original(name: str) -> str:
    """Name under which something of the input stays whose own name is taken."""
    return f"original_{name}"


@dataclass
class Originals:
    """Where the input is stored: (file, HDF5 group) of each modality that is used and of the others.

    ``joint`` is the file whose ``obs``, ``obsm``, ... concern all modalities together (.h5mu), or None;
    ``layers``: modality -> place of the values that are used, such as "X", "layers/counts", "raw/X".
    """

    modalities: dict[str, tuple[Path, str]] = field(default_factory=dict)
    others: dict[str, tuple[Path, str]] = field(default_factory=dict)
    layers: dict[str, str] = field(default_factory=dict)
    joint: Path | None = None


def find(dataset: dict, files: dict[str, Path], mdata=None) -> Originals:
    """The originals of a dataset: .h5mu and .h5ad; files of other readers hold nothing that is not ingested.

    Parameters
    ----------
    dataset, files
        As of `jamie.data.readers.read`.
    mdata
        What was read: where its counts were, if not where the config says.
    """
    import h5py

    found = Originals()
    if dataset["reader"] == "h5mu":
        found.joint = Path(files["data"])
        with checks.readable(found.joint, "a complete MuData file (.h5mu)"), h5py.File(found.joint) as f:
            stored = list(f["mod"])
        used = {name: spec["source"] or name for name, spec in dataset["modalities"].items()}
        found.modalities = {name: (found.joint, f"mod/{source}") for name, source in used.items()}
        taken = set(used)
        for source in stored:
            if source not in used.values():
                name = original(source) if source in taken else source
                found.others[name] = (found.joint, f"mod/{source}")
    elif dataset["reader"] == "h5ad":
        found.modalities = {name: (Path(files[name]), "/") for name in dataset["modalities"]}
    for name, place in found.modalities.items():
        if mdata is not None and counts.PLACE in mdata.mod[name].uns:
            found.layers[name] = mdata.mod[name].uns[counts.PLACE]
            continue
        with opened(*place) as group:
            x = "X" in group and group["X"].attrs.get("encoding-type") != "null"
            layers, raw = list(group.get("layers", ())), "raw" in group
            layer = dataset["modalities"][name]["layer"]
            found.layers[name] = formats.find_layer(name, layer, x=x, layers=layers, raw=raw)
    return found


@contextmanager
def opened(path: Path, location: str):
    """The HDF5 group of an AnnData; a file of anndata before 0.7 is brought into today's form first."""
    import anndata
    import h5py

    with checks.readable(path, "an AnnData or MuData file"):
        f = h5py.File(path)
    with f:
        if not isinstance(f[location]["obs"], h5py.Dataset):
            yield f[location]
            return
    with tempfile.TemporaryDirectory() as folder:
        today = Path(folder) / "today.h5ad"
        anndata.read_h5ad(path).write_h5ad(today)
        with h5py.File(today) as f:
            yield f


def frames(path: Path, location: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """``obs`` and ``var`` of an AnnData in a file, names as text."""
    from anndata.io import read_elem

    with opened(path, location) as group:
        tables = read_elem(group["obs"]), read_elem(group["var"])
    for table in tables:
        table.index = table.index.astype(str)
    return tables


def places_of(names: pd.Index, wanted: pd.Index) -> np.ndarray | None:
    """Positions in ``names`` of those wanted; None if they are all of them, in order."""
    return None if names.equals(wanted) else names.get_indexer(wanted)


def carry(source, target, cells, features, names: dict, *, of_cells: bool = False) -> None:
    """Copy what an AnnData group holds and another lacks into it.

    Parameters
    ----------
    source, target
        HDF5 groups of AnnData objects. In ``target`` are ``X``, ``obs`` and ``var`` already.
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
            source.copy(source["uns"][name], target["uns"], _free(target["uns"], name))
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
    write_elem(target, "var", read_elem(source["var"]).rename(index=names))
    write_elem(target, "varm", {name: read_elem(value) for name, value in source.get("varm", {}).items()})


def _free(group, name: str) -> str:
    """``name``, or that of an original where the group has it."""
    return original(name) if name in group else name


def _same(first, second) -> bool:
    """Whether two stored things are one and the same single value."""
    import h5py

    single = all(isinstance(x, h5py.Dataset) and x.shape == () for x in (first, second))
    return single and first[()] == second[()]


def _take(source, name: str, target, new_name: str, places: list) -> None:
    """Copy an element, of ``places`` along its first axes (None: all of the axis)."""
    from anndata.io import read_elem, write_elem

    element = source[name]
    encoding = element.attrs.get("encoding-type")
    if encoding in COPIED_AS_BYTES and all(place is None for place in places):
        source.copy(element, target, new_name)
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
