"""Tables of cells and features in a form that AnnData and MuData files can hold."""

from __future__ import annotations

import pandas as pd
from pandas.api import types

from jamie.data.notices import note
from jamie.errors import InputError

RESERVED = ("_index", "", ".")  # the names of the rows, and what HDF5 takes for the table itself


def original(name: str) -> str:
    """Name under which something of the input stays whose own name is taken."""
    return f"original_{name}"


def writable(frame: pd.DataFrame, modality: str, what: str) -> pd.DataFrame:
    """A table (n rows, any columns) as anndata can write it; what had to change is said.

    Parameters
    ----------
    frame
        ``obs`` or ``var``.
    modality, what
        Of which modality it is, and whether ``obs`` or ``var``: for the notices.

    Returns
    -------
    A new table of the same rows: names of columns are text, each once, none reserved or with a slash; values
    are numbers, truth values, or categories that are text or numbers. A repeated column of equal values is
    left out.
    """
    table, changes = _named(frame)
    if changes:
        note(modality, f"columns of {what} whose names no .h5mu can hold were changed", changes)
    table = pd.DataFrame({name: _values(table[name]).array for name in table}, index=frame.index)
    return table.rename_axis(index=None)  # a column may have this name, with other values


def once(frame: pd.DataFrame, needed: dict[str, str | None], path) -> pd.DataFrame:
    """A table of labels with each needed column once.

    Parameters
    ----------
    frame
        As read from ``path``.
    needed
        Config key -> column.

    Raises
    ------
    InputError
        A needed column is there more than once, with other values.
    """
    for key, column in needed.items():
        at = [i for i, name in enumerate(frame.columns) if name == column]
        if any(not frame.iloc[:, i].equals(frame.iloc[:, at[0]]) for i in at[1:]):
            raise InputError(
                f"{path} holds the column {column} more than once",
                expected=f"one column {column}, with the {key} of each cell",
                found=f"{len(at)} columns {column}, which differ",
                change=f"the file, or `{key}:` of the dataset",
            )
        others = set(at[1:])
        frame = frame.iloc[:, [i for i in range(frame.shape[1]) if i not in others]]
    return frame


def _named(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The columns that stay, under names that can be written, and what was changed."""
    old = [str(name) for name in frame.columns]
    new, kept, changes = [], [], []
    for i, name in enumerate(old):
        if name in old[:i] and frame.iloc[:, i].equals(frame.iloc[:, old.index(name)]):
            changes.append(f"{name} (a repeated column) left out")
            continue
        free = original(name) if name in RESERVED else name.replace("/", "_")
        n = 1
        while free in new or (free != name and free in old):
            n += 1
            free = f"{name.replace('/', '_')}_{n}"
        if free != name:
            changes.append(f"{name} is now {free}")
        new.append(free)
        kept.append(i)
    return frame.iloc[:, kept].set_axis(new, axis=1), changes


def _values(column: pd.Series) -> pd.Series:
    if isinstance(column.dtype, pd.CategoricalDtype):
        words = column.cat.categories
        plain = words.dtype.kind in "iufb" or words.inferred_type in ("string", "empty")
        return column if plain else column.cat.rename_categories(words.astype(str))
    if isinstance(column.dtype, pd.Float32Dtype | pd.Float64Dtype | pd.SparseDtype):
        return column.astype("float64")
    if types.is_bool_dtype(column) or (types.is_numeric_dtype(column) and column.dtype.kind != "c"):
        return column
    text = column.astype(object)
    if types.infer_dtype(text, skipna=False) == "string":
        return text
    return text.astype(str).where(column.notna()).astype("category")
