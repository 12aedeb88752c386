"""What values can be used as they are, and yet may not be what they are called: said, never changed."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jamie import contract as c
from jamie.data import counts, notices, places

ENOUGH = 1000  # values above 0 that are all 1, so that it is no chance
FAR = 1000  # times the interquartile range from the median: an error of unit, not a heavy tail
MOST = 0.999
RARE = 0.01  # of the cells, or one cell, at most: more are a tail
SWAMPED = 100  # times the counts of a median cell, in one feature of a cell
LEAST_SWAMPED = 1000  # counts
SHARED = 0.5  # of the names of peaks that are names of genes


def look(mdata) -> None:
    """Note what looks unlike the kind of each modality.

    Parameters
    ----------
    mdata
        As of `jamie.data.readers.read`, checked by `jamie.data.checks.check_dataset`.
    """
    for modality, adata in mdata.mod.items():
        kind, values = adata.uns[c.KIND], adata.uns["values"]
        if counts.is_counts_kind(kind, values):
            _binarised(adata, modality, kind)
            _swamped(adata, modality)
        elif kind in c.COUNT_KINDS:
            _normalised(adata, modality)
        elif kind == c.CONTINUOUS:
            _far_off(adata, modality)
        _genomes(adata, modality)
        if kind == c.ATAC and not set(c.PEAK_COLUMNS) <= set(adata.var):
            _gene_activity(mdata, modality)


def _binarised(adata, modality: str, kind: str) -> None:
    values = counts.stored(adata.X)
    values = values[values != 0]
    if len(values) >= ENOUGH and (values == 1).all():
        notices.note(
            modality,
            "all values are 0 or 1: they were binarised, and imputed counts are "
            + ("chances that a peak is open" if kind == c.ATAC else "chances of any count at all"),
        )


def _normalised(adata, modality: str) -> None:
    """Normalised values that are counts, or some that lie far beyond almost all others."""
    if counts.are_counts(adata.X):
        notices.note(
            modality,
            "values are called normalised, but are whole numbers: `values: counts` would normalise them",
        )
        return
    x = sparse.csr_matrix(adata.X)
    size = np.abs(x.data[x.data != 0])
    if len(size) < ENOUGH:
        return
    far = np.flatnonzero(np.abs(x.data) > FAR * np.quantile(size, MOST))
    rows = np.searchsorted(x.indptr, far, side="right") - 1
    _note_places(
        adata, modality, rows, x.indices[far], f"values are {FAR:,} times as large as almost all others"
    )


def _swamped(adata, modality: str) -> None:
    """Counts that are many times those of a whole median cell."""
    x = sparse.csr_matrix(adata.X)
    least = max(LEAST_SWAMPED, SWAMPED * np.median(np.asarray(x.sum(axis=1)).ravel()))
    at = np.flatnonzero(x.data > least)
    rows = np.searchsorted(x.indptr, at, side="right") - 1
    _note_places(
        adata,
        modality,
        rows,
        x.indices[at],
        f"counts of one feature exceed {SWAMPED} median cells as a whole",
    )


def _far_off(adata, modality: str) -> None:
    """Values of few cells that lie far beyond where the others do."""
    values = np.asarray(adata.X)
    if np.isnan(values).all(axis=0).any():  # refused, or dropped before
        return
    low, middle, high = np.nanpercentile(values, (25, 50, 75), axis=0)
    far = np.abs(values - middle) > FAR * np.where(high > low, high - low, np.inf)
    far &= far.sum(axis=0) <= max(1, RARE * len(values))
    _note_places(
        adata,
        modality,
        *np.nonzero(far),
        f"values lie {FAR:,} times further from the median than half of the others",
    )


def _genomes(adata, modality: str) -> None:
    """Features of more than one genome, as where cells of two species were mixed."""
    genomes = places.without_genome(adata.var_names)[1]
    if len(genomes) > 1:
        notices.note(modality, "features are of several genomes, so cells may be of several species", genomes)


def _note_places(adata, modality: str, rows, columns, what: str) -> None:
    if len(rows):
        names = [f"{adata.var_names[j]} of {adata.obs_names[i]}" for i, j in zip(rows, columns, strict=True)]
        notices.note(modality, what, names)


def _gene_activity(mdata, modality: str) -> None:
    """Features of ATAC that are named as the genes of RNA."""
    names = set(mdata.mod[modality].var_names)
    for other in mdata.mod.values():
        if other.uns[c.KIND] != c.RNA:
            continue
        genes = set(other.var_names) | set(places.other_names(other.var, places.SYMBOL).dropna())
        shared = sorted(names & genes)
        if len(shared) >= SHARED * len(names):
            notices.note(
                modality,
                "features are named as genes: gene activities, not peaks, so no peak is linked to a gene",
                shared,
            )
