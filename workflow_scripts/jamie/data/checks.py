"""Checks of a dataset right after reading: one clear message before anything heavy starts."""

from __future__ import annotations

import logging
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy import sparse

from jamie import contract as c
from jamie.errors import InputError
from jamie.io import together
from jamie.linear.blocks import count_nonzero

log = logging.getLogger(__name__)

VALUES, NORMALISED = "values", "normalised"  # mod[m].uns: key; its value, unless it is contract.COUNTS
MIN_CELLS = 20
NAN_ALLOWED = (c.CONTINUOUS, c.METHYLATION)
MOSTLY_ZERO = 0.5
UNREADABLE = (
    OSError,
    EOFError,
    KeyError,
    TypeError,
    ValueError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


def check_dataset(mdata, dataset_name: str, *, labels: bool) -> None:
    """Hold both modalities to what the workflow needs; sparse matrices stay sparse.

    Parameters
    ----------
    mdata
        As `jamie.data.readers.read` returns it (after `drop_empty` where the dataset asks for that): per
        modality ``X`` (n_m cells, p_m features) of raw values, CSR or dense; ``uns`` with kind and values.
    dataset_name
        Name of the config entry, for messages.
    labels
        Whether every cell must have a cell type.

    Raises
    ------
    InputError
        Too few cells or no feature; duplicate names; values that do not fit ``kind`` and ``values`` (NaN is
        allowed for continuous and methylation only); an empty cell or feature; a missing label or batch.
    """
    for modality, adata in mdata.mod.items():
        key = f"datasets.{dataset_name}.modalities.{modality}"
        _check_size(adata, modality, dataset_name)
        _check_names(adata, modality, dataset_name)
        _check_finite(adata, modality, key)
        _check_kind(adata, modality, key)
        if _is_counts(adata):
            _check_empty(adata, modality, dataset_name)
        for column, wanted in ((c.CELL_TYPE, labels), (c.BATCH, c.BATCH in adata.obs)):
            if wanted:
                _check_complete(adata, modality, column, dataset_name)


def check_not_counts(matrix, modality: str, key: str) -> None:
    """Refuse a matrix of ``kind: continuous`` that holds counts; called before it is made dense.

    Counts are taken to be integers >= 0, most of them zero, with values above 1 among them.

    Raises
    ------
    InputError
        The matrix looks like counts.
    """
    values = _stored(matrix)
    values = values[~np.isnan(values)]
    zeros = 1 - np.count_nonzero(values) / max(1, matrix.shape[0] * matrix.shape[1])
    if zeros <= MOSTLY_ZERO or not len(values):
        return
    if values.min() >= 0 and values.max() > 1 and not _fractional(values).any():
        raise InputError(
            f"The kind of {modality} does not fit its values",
            expected="measured values for kind continuous",
            found=f"integers from 0 to {values.max():g}, {zeros:.0%} of them zero: looks like counts",
            change=f"`{key}.kind` (rna, atac or protein for counts)",
        )


def drop_empty(mdata):
    """Drop cells and features without any count, in modalities of counts; others are kept as they are.

    Returns
    -------
    MuData
        New, with modalities (n_m', p_m'); dropping a feature never empties a cell, so one pass is enough.
    """

    kept = {}
    for modality, adata in mdata.mod.items():
        if _is_counts(adata):
            cells, features = _has_values(adata.X)
            if not (cells.all() and features.all()):
                n_cells, n_features = int((~cells).sum()), int((~features).sum())
                log.info("%s: dropped %d empty cells, %d empty features", modality, n_cells, n_features)
                adata = adata[cells, features].copy()
        kept[modality] = adata
    with warnings.catch_warnings():  # a gene may name a feature of both modalities
        warnings.simplefilter("ignore", UserWarning)
        return together(kept)


def _is_counts(adata) -> bool:
    return adata.uns[c.KIND] in c.COUNT_KINDS and adata.uns[VALUES] == c.COUNTS


def _stored(matrix) -> np.ndarray:
    """1-d view of the values: the stored ones if sparse."""
    return matrix.data if sparse.issparse(matrix) else np.asarray(matrix).ravel()


def _fractional(values: np.ndarray) -> np.ndarray:
    return values != np.floor(values)


def _has_values(matrix) -> tuple[np.ndarray, np.ndarray]:
    """bool (n_cells,), bool (n_features,): which hold at least one value that is not zero."""
    cells, features = count_nonzero(matrix)
    return cells > 0, features > 0


def _some(names) -> str:
    """How many, and the first few by name."""
    names = [str(name) for name in names]
    return f"{len(names)}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"


def _where(adata, bad: np.ndarray) -> str:
    """Count of bad values and the first few as cell / feature. ``bad``: bool, like ``_stored(adata.X)``."""
    flat = np.flatnonzero(bad)
    if sparse.issparse(adata.X):
        rows = np.searchsorted(adata.X.indptr, flat[:3], side="right") - 1
        cols = adata.X.indices[flat[:3]]
    else:
        rows, cols = np.divmod(flat[:3], adata.n_vars)
    values = _stored(adata.X)[flat[:3]]
    places = [
        f"{value:g} (cell {adata.obs_names[i]}, feature {adata.var_names[j]})"
        for i, j, value in zip(rows, cols, values, strict=True)
    ]
    return f"{len(flat)} such values: {', '.join(places)}"


def _check_size(adata, modality: str, dataset_name: str) -> None:
    if adata.n_obs < MIN_CELLS or adata.n_vars == 0:
        raise InputError(
            f"{modality} is too small" if adata.n_obs and adata.n_vars else f"{modality} is empty",
            expected=f"at least {MIN_CELLS} cells and 1 feature",
            found=f"{adata.n_obs} cells x {adata.n_vars} features",
            change=f"`datasets.{dataset_name}.files`, or the file itself (are cells in its rows?)",
        )


def _check_names(adata, modality: str, dataset_name: str) -> None:
    for what, names in (("cell", adata.obs_names), ("feature", adata.var_names)):
        place = f"the {what} names in the file under `datasets.{dataset_name}.files`"
        check_unique(names, modality, what, place)


def check_unique(names, modality: str, what: str, change: str) -> None:
    """Refuse repeated names of cells or features of one modality.

    Raises
    ------
    InputError
        With the names and ``change``: where to mend them.
    """
    repeated = names[names.duplicated()].unique()
    if len(repeated):
        raise InputError(
            f"{modality} holds a {what} name more than once",
            expected=f"each {what} name once (equal cell names in two modalities mean the same cell)",
            found=f"repeated (duplicate) {what} names, {_some(repeated)}",
            change=change,
        )


def _check_finite(adata, modality: str, key: str) -> None:
    kind, values = adata.uns[c.KIND], _stored(adata.X)
    allowed = kind in NAN_ALLOWED
    bad = np.isinf(values) if allowed else ~np.isfinite(values)
    if bad.any():
        raise InputError(
            f"{modality} holds values that are not finite",
            expected=f"finite numbers{' or NaN' if allowed else ''} for kind {kind}",
            found=_where(adata, bad),
            change=f"the file, or `{key}.kind` (NaN is allowed for {', '.join(NAN_ALLOWED)})",
        )
    if not allowed or not np.isnan(values).any():
        return
    missing = np.isnan(adata.X.toarray() if sparse.issparse(adata.X) else adata.X)
    for what, names, axis in (("cell", adata.obs_names, 1), ("feature", adata.var_names, 0)):
        empty = names[missing.all(axis=axis)]
        if len(empty):
            raise InputError(
                f"{modality} holds a {what} without any measured value",
                expected=f"at least one value that is not NaN in each {what}",
                found=f"only NaN in {what}s, {_some(empty)}",
                change=f"leave these {what}s out of the file",
            )


def _check_kind(adata, modality: str, key: str) -> None:
    """The range of the values is that of their kind."""
    kind, values = adata.uns[c.KIND], _stored(adata.X)
    if _is_counts(adata):
        for bad, found in ((values < 0, "negative"), (_fractional(values), "not whole")):
            if bad.any():
                raise InputError(
                    f"{modality} holds values that are no counts",
                    expected=f"whole numbers >= 0 for kind {kind} with `values: counts`",
                    found=f"{found}, {_where(adata, bad)}",
                    change=f"`{key}.layer` to where the raw counts are, or `{key}.values: normalised`, "
                    f"or `{key}.kind`",
                )
    elif kind == c.METHYLATION:
        bad = (values < 0) | (values > 1)
        if bad.any():
            raise InputError(
                f"{modality} holds methylation outside [0, 1]",
                expected="fractions from 0 to 1 (or NaN) for kind methylation; percent / 100",
                found=_where(adata, bad),
                change=f"the file, or `{key}.kind` (continuous takes any number)",
            )
    elif kind == c.CONTINUOUS:
        check_not_counts(adata.X, modality, key)


def _check_empty(adata, modality: str, dataset_name: str) -> None:
    cells, features = _has_values(adata.X)
    if not (cells.all() and features.all()):
        found = [
            f"empty {what}s, {_some(names[~present])}"
            for what, names, present in (
                ("cell", adata.obs_names, cells),
                ("feature", adata.var_names, features),
            )
            if not present.all()
        ]
        raise InputError(
            f"{modality} holds cells or features without any count",
            expected="at least one count in each cell and each feature",
            found="; ".join(found),
            change=f"filter the file, or set `datasets.{dataset_name}.drop_empty: true`",
        )


def _check_complete(adata, modality: str, column: str, dataset_name: str) -> None:
    """Every cell has a cell type (or batch)."""
    if column not in adata.obs:
        raise InputError(
            f"{modality} has no {column}",
            expected=f"obs[{column!r}] for every cell",
            found=f"columns {', '.join(map(str, adata.obs.columns)) or 'none'}",
            change=f"`datasets.{dataset_name}.{column}`: a column of the file, or null",
        )
    values = adata.obs[column]
    missing = values.isna() | (values.astype(str).str.strip() == "")
    if missing.any():
        raise InputError(
            f"{modality} has cells without {column}",
            expected=f"a {column} for each of {adata.n_obs} cells",
            found=f"missing in cells, {_some(adata.obs_names[missing.to_numpy(dtype=bool)])}",
            change=f"fill or leave out these cells, or set `datasets.{dataset_name}.{column}: null`",
        )


@contextmanager
def readable(path: Path, form: str) -> Iterator[None]:
    """Turn what a library raises on a broken or foreign file into an InputError.

    Parameters
    ----------
    path
        The file or folder read inside the block.
    form
        What it should be, in words.
    """
    try:
        yield
    except InputError:
        raise
    except UNREADABLE as error:
        size = f"{path.stat().st_size} bytes; " if path.is_file() else ""
        raise InputError(
            f"{path} cannot be read",
            expected=form,
            found=f"{size}{type(error).__name__}: {str(error)[:300]}",
            change="get the file again (it may be truncated), or choose another `reader:` for the dataset",
        ) from error
