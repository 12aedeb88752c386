"""Which loci are drawn, and what is drawn of each."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd

from jamie import contract as c
from jamie.linear.blocks import dense

BEST = 10  # genes drawn beside those that are asked for


def chosen_genes(links: pd.DataFrame, asked=()) -> list[str]:
    """Genes asked for, then those with the surest links: by their best score, then its attribution."""
    best = links.sort_values(["rank_score", "attribution"], ascending=False)["gene"].drop_duplicates()
    return list(dict.fromkeys([*asked, *best.head(BEST)]))


def by_name(asked, genes: pd.DataFrame) -> list[str]:
    """Names in the data of genes that are asked for by name or by symbol; others as they are."""
    names = dict(zip(genes["symbol"], genes.index, strict=True)) | dict(
        zip(genes.index, genes.index, strict=True)
    )
    return [names.get(gene, gene) for gene in asked]


def shown_names(genes: pd.DataFrame) -> pd.Series:
    """What figures call each gene: its symbol, or its name in the data if another has that symbol."""
    shared = genes["symbol"].duplicated(keep=False) | genes["symbol"].isin(genes.index)
    return genes["symbol"].mask(shared, genes.index.to_series())


def neighbours(genes: pd.DataFrame, links: pd.DataFrame) -> pd.DataFrame:
    """Genes that overlap the stretch of one gene's peaks and its body; links of that gene alone."""
    gene = genes.loc[links["gene"].iloc[0]]
    start, end = min(links["start"].min(), gene["start"]), max(links["end"].max(), gene["end"])
    return genes[(genes["chrom"] == gene["chrom"]) & (genes["end"] > start) & (genes["start"] < end)]


def cell_types(adata) -> np.ndarray:
    """Cell type of each cell, "all cells" where none is known; str (n,)."""
    if c.CELL_TYPE not in adata.obs or adata.obs[c.CELL_TYPE].isna().all():
        return np.full(adata.n_obs, "all cells")
    return (
        adata.obs[c.CELL_TYPE]
        .astype(object)
        .where(adata.obs[c.CELL_TYPE].notna(), "unlabelled")
        .to_numpy(str)
    )


def accessibility(peaks, names) -> pd.DataFrame:
    """Share of the cells of each type in which a peak is open: rows ``names``, a column per type.

    ``peaks`` is the prepared AnnData of the peaks; a peak is open where its value is not 0.
    """
    types, of_type = np.unique(cell_types(peaks), return_inverse=True)
    is_open = peaks.X[:, peaks.var_names.get_indexer(names)] != 0
    member = np.equal.outer(np.arange(len(types)), of_type) / np.bincount(of_type)[:, None]
    return pd.DataFrame(np.asarray(member @ is_open.astype(np.float32)).T, index=names, columns=types)


def expression(prepared, imputed, source: str, target: str, gene: str) -> pd.DataFrame:
    """Measured and imputed expression of a gene, a row per cell: cell_type, source, value (scale of ``X``).

    Imputed values are those of the cells of the other modality; "measured" holds the cells of its own.
    ``imputed`` is the path of imputed.h5mu, of which one column is read.
    """
    measured, key = prepared.mod[target], c.imputed_key(target)
    with h5py.File(imputed, "r") as f:
        names = pd.Index(f[f"mod/{source}/uns/{key}"].asstr()[:])
        column = f[f"mod/{source}/obsm/{key}"][:, names.get_loc(gene)]
    value = dense(measured.X[:, [measured.var_names.get_loc(gene)]])
    columns = ["cell_type", "source", "value"]
    parts = (
        (cell_types(measured), "measured", value.ravel()),
        (cell_types(prepared.mod[source]), "imputed", column),
    )
    return pd.concat(
        [pd.DataFrame(dict(zip(columns, part, strict=True))) for part in parts], ignore_index=True
    )
