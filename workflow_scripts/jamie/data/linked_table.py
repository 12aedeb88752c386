"""A dataset's own table of linked features, `linked_features:`, in place of what would be found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie.data import checks, places, tables
from jamie.data.linked import COLUMNS, Linked
from jamie.errors import InputError

EXPECTED = "a table (.tsv, .csv) of feature of the first modality, feature of the second, and maybe a weight"


def read(path: Path, first, second, modalities: tuple[str, str] = ("first", "second")) -> Linked:
    """Links of a table ``.tsv``, ``.csv``, ``.txt`` (or .gz): feature, feature, weight (optional, default 1).

    A first row that names no feature is taken as the header. Where the other order of the columns names more
    features, that is used, and said. Features go by name, else by symbol; rows of features that were left out
    of the dataset because they hold nothing are passed over, and said.

    Parameters
    ----------
    path
        The table.
    first, second
        AnnData, of which ``var``, ``var_names`` and ``uns["left_out"]`` are read.
    modalities
        What the config calls them, for messages.

    Raises
    ------
    InputError
        Another number of columns, features that neither modality has, a weight that is no number or 0, a pair
        named twice, a file that cannot be read.
    """
    path, sides = Path(path), (first, second)
    with checks.readable(path, EXPECTED):
        form = tables.dialect(path)  # its header may be the first pair
        skip = {"skiprows": form.skip - 1, "encoding": form.encoding, "compression": form.compression}
        table = pd.read_csv(path, sep=form.sep, header=None, dtype=str, keep_default_na=False, **skip)
    if table.shape[1] not in (2, 3):
        raise _bad(path, "has another number of columns", EXPECTED, [f"{table.shape[1]} columns"])
    known = [_names(adata) for adata in sides]
    fits, swapped = (
        sum(int(table[i].isin(names).sum()) for i, names in zip(order, known, strict=True))
        for order in ((0, 1), (1, 0))
    )
    notes = []
    if swapped > fits:
        table = table[[1, 0, *table.columns[2:]]].set_axis(table.columns, axis=1)
        notes.append(f"{path.name} names features of {modalities[1]} first: its columns were exchanged")
    if not any(table.iloc[0, i] in names for i, names in enumerate(known)) and not _is_number(table.iloc[0]):
        table = table.iloc[1:]
    if table.empty:
        raise _bad(path, "names no feature of the dataset", EXPECTED, ["one row, and no more"])
    weight = _weights(path, table)
    features, kept = _features(path, table, known, modalities)
    links = pd.DataFrame(dict(zip(COLUMNS, (*features, weight), strict=True)))
    repeated = links[["first", "second"]].duplicated()
    if (repeated & kept).any():
        examples = list(links.loc[repeated & kept, ["first", "second"]].agg(" / ".join, axis=1))
        raise _bad(path, "names a pair more than once", "each pair once", examples)
    if not kept.all():
        n = int((~kept).sum())
        notes.append(
            f"{n:,} rows of {path.name} are passed over: their features hold nothing and were left out"
        )
    return Linked(links[kept].reset_index(drop=True), f"the table {path.name}", {}, tuple(notes))


def _names(adata) -> pd.Series:
    """What the features of a modality are called -> feature; "" for those that were left out of it."""
    symbols = places.other_names(adata.var, places.SYMBOL).dropna().astype(str)
    symbols = symbols[~symbols.duplicated(keep=False)]
    left_out = np.asarray(adata.uns.get(c.LEFT_OUT, ()), dtype=str)
    found = [
        pd.Series(adata.var_names.astype(str), index=adata.var_names.astype(str)),
        pd.Series("", index=left_out, dtype=object),
        pd.Series(symbols.index.astype(str), index=symbols.to_numpy()),
    ]
    found = pd.concat(found)
    return found[~found.index.duplicated()]


def _is_number(row: pd.Series) -> bool:
    """Whether a row ends in a weight, so that it is no header."""
    return len(row) == 3 and bool(pd.notna(pd.to_numeric(row.iloc[2], errors="coerce")))


def _weights(path: Path, table: pd.DataFrame) -> np.ndarray:
    if table.shape[1] == 2:
        return np.ones(len(table))
    weight = pd.to_numeric(table[2], errors="coerce").to_numpy(float)
    bad = ~np.isfinite(weight) | (weight == 0)
    if bad.any():
        rows = table[bad].agg(" / ".join, axis=1)
        expected = "numbers, below 0 where one is high when the other is low, and not 0"
        raise _bad(path, "has weights that are none", expected, list(rows))
    return weight


def _features(path: Path, table: pd.DataFrame, known, modalities) -> tuple[list[np.ndarray], np.ndarray]:
    """Features of both columns, and which rows are of features that the dataset still has."""
    features, kept = [], np.ones(len(table), dtype=bool)
    for side, names in enumerate(known):
        found = names.reindex(table[side])
        unknown = table[side][found.isna().to_numpy()].unique()
        if len(unknown):
            has = ", ".join([name for name, feature in names.items() if feature][:3])
            problem = f"names features that {modalities[side]} does not have"
            raise _bad(path, problem, f"names or symbols such as {has}", list(unknown))
        features.append(found.to_numpy(str))
        kept &= (found != "").to_numpy()
    return features, kept


def _bad(path: Path, problem: str, expected: str, found: list[str]) -> InputError:
    return InputError(
        f"{path} {problem}",
        expected=expected,
        found=f"{len(found):,}: {', '.join(found[:3])}",
        change="the file under `linked_features:` of the dataset",
    )
