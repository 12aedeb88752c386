"""The Patch-seq data of mouse motor cortex, as published: an R data file, a CSV and a spreadsheet.

Source: Scala et al., Nature 598, 144-150 (2021); the files are those of the scMNC repository.
"""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from jamie.data import checks
from jamie.errors import InputError

RDA_TABLES = ("gdata", "edata")
OBS_COLUMNS = {"RNA type": "t_type", "Cre": "cre", "Sequencing batch": "sequencing_batch"}


def read_patchseq_rda(dataset: dict, files: dict[str, Path]) -> dict:
    """Read gene counts, electrophysiology and labels of the same cells.

    The CSV and ``edata`` inside the R data file hold the same numbers; only ``edata`` names the cells. It is
    what is used, once both are shown to agree row by row.

    Parameters
    ----------
    dataset
        Config entry; not used, every reader takes it.
    files
        ``expression``: .rda with ``gdata`` (genes, cells) read counts and ``edata`` (cells, features).
        ``ephys``: .csv, cells x features, in the order of ``edata``; units as in the feature names.
        ``labels``: .xlsx, one row a cell (``Cell``, ``RNA family``, ``RNA type``, ``Cre``).

    Returns
    -------
    ``{"rna": AnnData (n cells, p genes), "ephys": AnnData (n cells, p features)}``; ``obs["cell_type"]`` is
    the first word of ``RNA family``.

    Raises
    ------
    InputError
        A file cannot be read, lacks a table or column, or the three do not describe the same cells.
    """
    import anndata

    genes, ephys = _rda_tables(files["expression"])
    _check_ephys(files["ephys"], ephys)
    cells = pd.Index(np.asarray(genes.coords["dim_1"].values, dtype=str))
    if set(cells) != set(ephys.index):
        raise InputError(
            "Genes and electrophysiology are not of the same cells",
            expected=f"the {len(cells)} cells of gdata",
            found=f"{len(ephys)} cells in edata, {len(cells.intersection(ephys.index))} of them in gdata",
            change="`files.expression` of the dataset",
        )
    obs = _labels(files["labels"], cells)
    rna = anndata.AnnData(
        np.asarray(genes.values.T, dtype=np.float32),
        obs=obs,
        var=pd.DataFrame(index=np.asarray(genes.coords["dim_0"].values, dtype=str)),
    )
    values = ephys.loc[cells].to_numpy(dtype=np.float32, na_value=np.nan)
    return {
        "rna": rna,
        "ephys": anndata.AnnData(values, obs=obs.copy(), var=pd.DataFrame(index=ephys.columns)),
    }


def _rda_tables(path: Path):
    """``gdata`` as an xarray.DataArray (genes, cells) and ``edata`` as a DataFrame (cells, features)."""
    import rdata

    with checks.readable(path, "an R data file (.rda)"), warnings.catch_warnings():
        # dates in `meta`, which is not used, have R classes that rdata does not know
        warnings.simplefilter("ignore", UserWarning)
        tables = rdata.read_rda(path)
    missing = [name for name in RDA_TABLES if name not in tables]
    if missing:
        raise InputError(
            f"{path} lacks {', '.join(missing)}",
            expected=f"R objects {', '.join(RDA_TABLES)}",
            found=", ".join(tables) or "none",
            change="`files.expression` of the dataset",
        )
    genes, ephys = (tables[name] for name in RDA_TABLES)
    if not {"dim_0", "dim_1"} <= set(getattr(genes, "coords", ())) or not isinstance(ephys, pd.DataFrame):
        raise InputError(
            f"{path} holds tables of another form",
            expected="gdata: a matrix with gene and cell names; edata: a data frame with cell names",
            found=f"{type(genes).__name__}, {type(ephys).__name__}",
            change="`files.expression` of the dataset",
        )
    return genes, ephys


def _check_ephys(path: Path, named: pd.DataFrame) -> None:
    """The CSV holds the values of ``named`` (cells, features), in its order."""
    with checks.readable(path, "a CSV of electrophysiology features"):
        table = pd.read_csv(path)
        same = list(table.columns) == list(named.columns) and len(table) == len(named)
        if same:
            here, there = (frame.to_numpy(dtype=np.float64, na_value=np.nan) for frame in (table, named))
            same = np.allclose(here, there, rtol=1e-6, atol=1e-9, equal_nan=True)
    if not same:
        raise InputError(
            f"{path} and edata in the R data file differ",
            expected=f"the same {named.shape[0]} cells x {named.shape[1]} features, in one order",
            found=f"{table.shape[0]} x {table.shape[1]}, or other features or values",
            change="`files.ephys` and `files.expression` of the dataset: both of one release",
        )


def _labels(path: Path, cells: pd.Index) -> pd.DataFrame:
    """obs (n cells) from the spreadsheet: ``cell_type`` and the columns of ``OBS_COLUMNS``."""
    with checks.readable(path, "a spreadsheet (.xlsx)"):
        sheet = pd.read_excel(path)
    missing = [column for column in ("Cell", "RNA family", *OBS_COLUMNS) if column not in sheet]
    if missing:
        raise InputError(
            f"{path} lacks {', '.join(missing)}",
            expected=f"columns Cell, RNA family, {', '.join(OBS_COLUMNS)}",
            found=", ".join(map(str, sheet.columns)),
            change="`files.labels` of the dataset",
        )
    sheet = sheet.drop_duplicates("Cell").set_index("Cell")
    unknown = cells.difference(sheet.index)
    if len(unknown):
        raise InputError(
            f"{path} has no row for some cells",
            expected=f"each of {len(cells)} cells in the column Cell",
            found=f"none for {len(unknown)}, the first {', '.join(unknown[:5])}",
            change="`files.labels` of the dataset",
        )
    sheet = sheet.loc[cells]
    obs = sheet[list(OBS_COLUMNS)].rename(columns=OBS_COLUMNS)
    obs.insert(0, "cell_type", sheet["RNA family"].str.split().str[0])
    obs.index.name = None
    return obs.astype("category")
