"""Whether values are counts, which counts with fractions can be used, and where counts are if not in X."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jamie import contract as c
from jamie.data import notices, stores
from jamie.errors import InputError
from jamie.hdf5 import read_elem

PLACE = "taken_from"  # mod[m].uns: where the counts were, if they were not where the config says
ABOVE_LOGS = 20  # log2(1 + 1e6) is 19.9: no logarithm of values of a cell goes beyond
NEAR_WHOLE = (
    0.2  # mean distance to the nearest whole number; of values that have nothing to do with them 0.25
)
SMALL = 0.5, 2.5  # values whose distance is looked at: between these
MOSTLY_WHOLE = 0.5
SAME = 1e-3  # relative: equal but for rounding in float32
TELLING = 100  # beyond this a float32 that went through a logarithm does not tell whole numbers from others
SAMPLE = 500  # cells looked at where looking at all takes long
INVERSES = {
    "log1p": np.expm1,
    "log2(1 + x)": lambda x: 2**x - 1,
    "log10(1 + x)": lambda x: 10**x - 1,
    "square roots": np.square,
}


def stored(matrix) -> np.ndarray:
    """1-d view of the values: the stored ones if sparse."""
    return matrix.data if sparse.issparse(matrix) else np.asarray(matrix).ravel()


def are_counts(matrix) -> bool:
    """Whether all values are whole numbers >= 0, not all of them 0; not so of None."""
    if matrix is None:
        return False
    values = stored(matrix)
    return bool(values.any() and np.isfinite(values).all() and values.min() >= 0 and _is_whole(values).all())


def why_not_fractions(matrix) -> str:
    """Why values are not counts of which something was subtracted or shared out; empty if they look so.

    Counts without their ambient RNA (SoupX, DecontX), or of reads that were shared out between genes, are not
    whole, but near: some are whole, or they are spread about whole numbers as no logarithm or ratio is.
    """
    values = stored(matrix)
    values = values[values != 0]
    if not len(values) or not np.isfinite(values).all():
        return "they are not finite, or all zero"
    if values.min() < 0:
        return "some are negative"
    rows = np.unique(np.linspace(0, matrix.shape[0] - 1, min(SAMPLE, matrix.shape[0])).astype(int))
    some = sparse.csr_matrix(matrix[rows], dtype=np.float64)
    for word, inverse in INVERSES.items():
        with np.errstate(over="ignore"):
            if _all_whole(inverse(some.data)):
                return f"they are {word} of whole numbers"
    if _equal_sums(some):
        return "they have the same sum in every cell"
    if some.data.max() < ABOVE_LOGS and _equal_sums(some, np.expm1):
        return "they are log1p of values with the same sum in every cell"
    if _multiples(some):
        return "those of a cell are multiples of one number: counts that were scaled cell by cell"
    if np.mean(_is_whole(values)) >= MOSTLY_WHOLE:
        return ""
    if values.max() <= ABOVE_LOGS:
        return "they look like logarithms, ratios or TF-IDF: none is large"
    small = values[(values > SMALL[0]) & (values < SMALL[1])]
    if not len(small) or np.abs(small - np.rint(small)).mean() >= NEAR_WHOLE:
        return "they are not near whole numbers"
    return ""


def rounded(matrix, modality: str):
    """Counts with fractions as whole numbers, with a notice; anything else as it is.

    Returns
    -------
    As given (n_cells, p), or CSR float32 of whole numbers: what follows thins and models counts as such.
    """
    if are_counts(matrix) or why_not_fractions(matrix):
        return matrix
    whole = sparse.csr_matrix(matrix, dtype=np.float32, copy=True)
    before = whole.data.sum(dtype=float)
    whole.data = np.rint(whole.data)
    whole.eliminate_zeros()
    changed = whole.data.sum(dtype=float) / before - 1
    n = int((~_is_whole(stored(matrix))).sum())
    about = (
        f"counts with fractions, as without ambient RNA, were rounded (their sum changes by {changed:+.1%})"
    )
    notices.note(modality, about, n=n)
    return whole


def read_beside(group) -> dict:
    """Layers and raw of an AnnData in a store (a group), for `anndata.AnnData`: where counts may be."""
    parts = {"layers": {name: read_elem(group["layers"], name) for name in group.get("layers", ())}}
    if "raw" in group:
        parts["raw"] = {"X": read_elem(group, "raw/X"), "var": stores.frame(group["raw"], "var")}
    return parts


def beside(adata) -> list[str]:
    """Where an AnnData holds counts besides X: "layers/NAME", "raw/X"."""
    layers = [layer for layer in adata.layers if layer]  # anndata 0.13 lists X as layer None
    places = [f"layers/{layer}" for layer in layers if are_counts(adata.layers[layer])]
    return places + ["raw/X"] * (adata.raw is not None and are_counts(adata.raw.X))


def find(adata, modality: str) -> str:
    """Where the counts of an AnnData are, whose X may hold none: "X", "layers/NAME" or "raw/X".

    The only other place that holds counts is taken, or a layer that is called counts, with a notice; "X"
    where there is none at all, so that the check of the dataset says what is wrong with it.

    Raises
    ------
    InputError
        X holds no counts and more than one other place does.
    """
    if are_counts(adata.X):
        return "X"
    reason = "there is none" if adata.X is None else why_not_fractions(adata.X)
    if not reason:
        return "X"
    places = beside(adata)
    if "layers/counts" in places:
        places = ["layers/counts"]
    if not places:
        return "X"
    names = ["raw" if place == "raw/X" else place.removeprefix("layers/") for place in places]
    if len(places) > 1:
        raise InputError(
            f"X of {modality} holds no counts, and several other places do",
            expected="raw counts in X, or the name of the layer that holds them",
            found=f"whole numbers >= 0 in {', '.join(names)}; of X, {reason}",
            change=f"`modalities.{modality}.layer` of the dataset: {' or '.join(names)}",
        )
    notices.note(modality, f"X holds no counts ({reason}): those in {names[0]} were taken")
    return places[0]


def _is_whole(values: np.ndarray) -> np.ndarray:
    return values == np.floor(values)


def _all_whole(values: np.ndarray) -> bool:
    values = values[values < TELLING]
    return bool(len(values)) and bool(_nearly_whole(values).all())


def _nearly_whole(values: np.ndarray) -> np.ndarray:
    return np.abs(values - np.rint(values)) <= SAME * np.maximum(1, np.abs(values))


def _equal_sums(rows: sparse.csr_matrix, inverse=None) -> bool:
    if inverse is not None:
        rows = sparse.csr_matrix((inverse(rows.data), rows.indices, rows.indptr), shape=rows.shape)
    sums = np.asarray(rows.sum(axis=1)).ravel()
    sums = sums[sums > 0]
    return len(sums) > 1 and bool(np.ptp(sums) <= SAME * sums.mean())


def _multiples(rows: sparse.csr_matrix) -> bool:
    """Whether, in nine of ten cells, all values are whole multiples of the least."""
    rows = rows[np.diff(rows.indptr) > 2]
    if not rows.shape[0]:
        return False
    least = np.minimum.reduceat(rows.data, rows.indptr[:-1])
    ratio = rows.data / np.repeat(least, np.diff(rows.indptr))
    whole = np.logical_and.reduceat(_nearly_whole(ratio), rows.indptr[:-1])
    return bool(np.mean(whole & ~_is_whole(least)) > 0.9)


def is_counts_kind(kind: str, values: str) -> bool:
    return kind in c.COUNT_KINDS and values == c.COUNTS
