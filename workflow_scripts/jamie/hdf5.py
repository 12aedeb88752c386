"""What is asked of an HDF5 file before it is read: that it holds its own data, and how much.

A file may name others from which its data come. Nobody who opens one expects that, and it would copy any file
that the user may read into results: such files are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from scipy import sparse

from jamie.errors import InputError
from jamie.memory import check_fits

MOST_OBJECTS = 20_000  # groups and datasets of a file, by all ways that lead to them


def check_own(root, path: Path | str) -> None:
    """Refuse a file whose data lie elsewhere, or whose groups hold each other.

    Parameters
    ----------
    root
        h5py.File.
    path
        Its name, for messages.

    Raises
    ------
    InputError
        An external link, a link to nowhere, external storage, a virtual dataset of other files, or more than
        `MOST_OBJECTS` objects.
    """
    import h5py

    open_, n = [(root, {_address(root)})], 0
    while open_:
        group, holders = open_.pop()
        for name in group:
            n += 1
            if n > MOST_OBJECTS:
                raise _refused(path, f"more than {MOST_OBJECTS:,} groups and datasets")
            place = f"{group.name.rstrip('/')}/{name}"
            link = group.get(name, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise _refused(path, f"{place}, a link to {link.filename}")
            item = group.get(name)
            if item is None:
                raise _refused(path, f"{place}, a link to {getattr(link, 'path', 'a part')}, which it lacks")
            if isinstance(item, h5py.Group):
                if _address(item) in holders:
                    raise _refused(path, f"{place}, a group that holds itself")
                open_.append((item, holders | {_address(item)}))
            elif isinstance(item, h5py.Dataset):
                _check_storage(item, path, place)


def _address(group) -> int:
    import h5py

    return h5py.h5o.get_info(group.id).addr


def _check_storage(dataset, path, place: str) -> None:
    elsewhere = [name for name, *_ in dataset.external or ()]
    if dataset.is_virtual:
        elsewhere += [source.file_name for source in dataset.virtual_sources() if source.file_name != "."]
    if elsewhere:
        raise _refused(path, f"{place}, which is stored in {elsewhere[0]}")


def _refused(path, found: str) -> InputError:
    return InputError(
        f"{path} does not hold its own data",
        expected="an HDF5 file without links to other files, external storage or groups that hold each other",
        found=found,
        change="write the file anew from where it was made",
    )


def check_size(element, leave_out: tuple[str, ...] = ()) -> None:
    """Refuse an element of a store whose declared size is more than the free memory.

    Parameters
    ----------
    element
        Group or dataset of h5py or zarr.
    leave_out
        Names in a group that are not read.
    """
    store = element.file.filename if hasattr(element, "file") else element.store
    check_fits(_declared_bytes(element, leave_out), store, element.name)


def _declared_bytes(element, leave_out: tuple[str, ...] = ()) -> int:
    if hasattr(element, "shape") and hasattr(element, "dtype"):
        shape = element.shape or ()  # None: there is nothing in it
        return int(np.prod([int(n) for n in shape], dtype=object)) * max(element.dtype.itemsize, 1)
    return sum(_declared_bytes(element[name]) for name in element if name not in leave_out)


def read_elem(group, place: str):
    """An element of a store as anndata reads it, if there is memory for it and it is sound."""
    from anndata.io import read_elem

    check_size(group[place])
    element = read_elem(group[place])
    check_sparse(element)
    return element


def check_sparse(element) -> None:
    """Refuse a sparse matrix that is none: code that trusts its indices would read foreign memory.

    Parameters
    ----------
    element
        A matrix, or lists and mappings of such; what is not sparse is passed over.

    Raises
    ------
    ValueError
        Indices out of bounds, pointers that do not rise, arrays of other lengths or types.
    """
    if isinstance(element, Mapping | list):
        for part in element.values() if isinstance(element, Mapping) else element:
            check_sparse(part)
    elif sparse.issparse(element) and hasattr(element, "check_format"):
        for index in (element.indices, element.indptr):
            if index.dtype.kind not in "iu":
                raise ValueError(f"indices of type {index.dtype}, no whole numbers")
        element.check_format(full_check=True)
