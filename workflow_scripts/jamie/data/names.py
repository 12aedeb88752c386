"""Names that come from data: no control characters, so that each stays one word of one line everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from jamie import contract as c
from jamie.errors import InputError

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # line ends of all kinds among them
END = re.compile("\x00")  # ends a text for HDF5, which so holds none of other columns
LABELS = {c.CELL_TYPE: "cell type", c.BATCH: "batch"}
OF_FEATURES = ("chrom", "symbol", "gene_id", "gene_ids", "gene_symbols", "gene_name")  # columns of var


def check_names(mdata, dataset: dict, files: dict[str, Path]) -> None:
    """Refuse names of cells, features, types, batches and genes that hold control characters.

    Parameters
    ----------
    mdata
        As `jamie.data.readers.harmonise` returns it.
    dataset, files
        Config entry, and where its files are (role -> path), for the message.

    Raises
    ------
    InputError
        With the file, where in it the names are, and an example.
    """
    for modality, adata in mdata.mod.items():
        path = files.get(modality) or files.get("data") or ", ".join(map(str, files.values()))
        check_text(adata.obs_names, "cell", path, "names of cells (obs)")
        check_text(adata.var_names, "feature", path, "names of features (var)")
        for column in set(OF_FEATURES) & set(adata.var):
            check_text(adata.var[column], "feature", path, f"var[{column!r}]")
        for column in set(LABELS) & set(adata.obs):
            place = f"obs[{dataset.get(column) or column!r}]"
            labels = f"{path} or {files['labels']}" if "labels" in files else path
            check_text(adata.obs[column].cat.categories, LABELS[column], labels, place)
        for key, table in (("obs", adata.obs), ("var", adata.var)):
            check_text(table.columns, "column", path, f"columns of {key}", END)
            for column in table:
                check_text(table[column], "value", path, f"{key}[{column!r}]", END)


def check_text(names, what: str, path: Path | str, key: str, pattern: re.Pattern = CONTROL) -> None:
    """Refuse names that hold a control character.

    Parameters
    ----------
    names
        Index or column of text; what is no text is passed over.
    what, path, key
        What they name, the file they are of, and where in it they are.
    pattern
        Of what no name may hold.
    """
    names = pd.Series(names)
    if names.dtype == "category":
        names = pd.Series(names.cat.categories)
    if pd.api.types.is_numeric_dtype(names):
        return
    values = pd.Series(pd.unique(names))
    bad = values[values.map(lambda value: isinstance(value, str) and pattern.search(value) is not None)]
    if len(bad):
        raise InputError(
            f"{path} names a {what} with control characters",
            expected="names without line ends, tabs or other control characters, which no table can hold",
            found=f"{len(bad)} in {key}, such as {ascii(bad.iloc[0])[:200]}",
            change=f"{key} in {path}",
        )
