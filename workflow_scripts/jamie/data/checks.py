"""Checks of a dataset right after reading: one clear message before anything heavy starts."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy import sparse

from jamie import contract as c
from jamie.data import counts, looks, notices
from jamie.data.counts import stored
from jamie.errors import InputError
from jamie.hdf5 import check_sparse
from jamie.io import together
from jamie.linear.blocks import count_nonzero

VALUES, NORMALISED = "values", "normalised"  # mod[m].uns: key; its value, unless it is contract.COUNTS
MIN_CELLS = 20
NAN_ALLOWED = (c.CONTINUOUS, c.METHYLATION)
MOSTLY_ZERO = 0.5
A_TENTH, HIGHEST_M = 0.1, 25  # log2((1 - 3e-8) / 3e-8): beyond what any depth of sequencing shows
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
        Whether cells have types: some of them at least, after `jamie.data.labels.lend`.

    Raises
    ------
    InputError
        Too few cells or no feature; duplicate names; values that do not fit ``kind`` and ``values`` (NaN is
        allowed for continuous and methylation only); an empty cell or feature; no label, a missing batch.
    """
    for modality, adata in mdata.mod.items():
        key = f"datasets.{dataset_name}.modalities.{modality}"
        _check_size(adata, modality, dataset_name)
        _check_names(adata, modality, dataset_name)
        check_values(adata, modality, key)
        _check_empty(adata, modality, dataset_name)
        if c.BATCH in adata.obs:
            _check_complete(adata, modality, c.BATCH, dataset_name)
    if labels:
        _check_labels(mdata, dataset_name)


def check_values(adata, modality: str, key: str) -> None:
    """Values are finite, and in the range of their kind; ``key``: of the modality, for messages.

    Raises
    ------
    InputError
        With the kind of values that they may be instead.
    """
    _check_finite(adata, modality, key)
    _check_kind(adata, modality, key)


def check_matrix(matrix, modality: str) -> None:
    """Refuse a matrix that holds other than numbers, or sparse one whose indices are not sound.

    Raises
    ------
    InputError
    """
    problem = ""
    if getattr(matrix, "ndim", 0) != 2 or matrix.dtype.kind not in "biuf":
        problem = f"{type(matrix).__name__} of {getattr(matrix, 'dtype', 'no type')}"
    try:
        check_sparse(matrix)
    except ValueError as error:
        problem = f"a sparse matrix that is broken: {error}"
    if problem:
        raise InputError(
            f"The values of {modality} cannot be used",
            expected="a matrix of numbers, cells x features",
            found=problem,
            change=f"`modalities.{modality}.layer` of the dataset, or the file",
        )


def check_not_counts(matrix, modality: str, key: str) -> None:
    """Refuse a matrix of ``kind: continuous`` that holds counts; called before it is made dense.

    Counts are taken to be integers >= 0, most of them zero, with values above 1 among them.

    Raises
    ------
    InputError
        The matrix looks like counts.
    """
    values = stored(matrix)
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
    """Leave out cells and features that hold nothing, with a notice: no count, or no measured value.

    Returns
    -------
    MuData
        New, with modalities (n_m', p_m'); the same where nothing is empty.
    """
    kept = {}
    for modality, adata in mdata.mod.items():
        cells, features = _has_values(adata)
        for what, names in (("cells", adata.obs_names[~cells]), ("features", adata.var_names[~features])):
            if len(names):
                notices.note(modality, f"{_empty_of(adata)} {what} were left out", names)
        kept[modality] = adata if cells.all() and features.all() else adata[cells, features].copy()
        if not features.all():
            kept[modality].uns[c.LEFT_OUT] = adata.var_names[~features].to_numpy(str)
    if all(kept[modality] is adata for modality, adata in mdata.mod.items()):
        return mdata
    with warnings.catch_warnings():  # a gene may name a feature of both modalities
        warnings.simplefilter("ignore", UserWarning)
        return together(kept)


def _is_counts(adata) -> bool:
    return counts.is_counts_kind(adata.uns[c.KIND], adata.uns[VALUES])


def _empty_of(adata) -> str:
    return "unmeasured (all NaN)" if adata.uns[c.KIND] in NAN_ALLOWED else "empty (all zero)"


def _fractional(values: np.ndarray) -> np.ndarray:
    return values != np.floor(values)


def _has_values(adata) -> tuple[np.ndarray, np.ndarray]:
    """bool (n_cells,), bool (n_features,): which hold anything, be it a value that is not zero or not NaN.

    Leaving out one never empties another, as what is left out holds nothing.
    """
    if adata.uns[c.KIND] in NAN_ALLOWED:
        there = ~np.isnan(np.asarray(adata.X))
        return there.any(axis=1), there.any(axis=0)
    cells, features = count_nonzero(adata.X)
    return cells > 0, features > 0


def _some(names) -> str:
    """How many, and the first few by name."""
    names = [str(name) for name in names]
    return f"{len(names)}: {', '.join(names[:5])}{', ...' if len(names) > 5 else ''}"


def _where(adata, bad: np.ndarray) -> str:
    """Count of bad values and the first few as cell / feature. ``bad``: bool, like ``stored(adata.X)``."""
    flat = np.flatnonzero(bad)
    if sparse.issparse(adata.X):
        rows = np.searchsorted(adata.X.indptr, flat[:3], side="right") - 1
        cols = adata.X.indices[flat[:3]]
    else:
        rows, cols = np.divmod(flat[:3], adata.n_vars)
    values = stored(adata.X)[flat[:3]]
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
    kind, values = adata.uns[c.KIND], stored(adata.X)
    allowed = kind in NAN_ALLOWED
    bad = np.isinf(values) if allowed else ~np.isfinite(values)
    if bad.any():
        raise InputError(
            f"{modality} holds values that are not finite",
            expected=f"finite numbers{' or NaN' if allowed else ''} for kind {kind}",
            found=_where(adata, bad),
            change=f"the file, or `{key}.kind` (NaN is allowed for {', '.join(NAN_ALLOWED)})",
        )


def _check_kind(adata, modality: str, key: str) -> None:
    """The range of the values is that of their kind."""
    kind, values = adata.uns[c.KIND], stored(adata.X)
    if _is_counts(adata):
        for bad, found in ((values < 0, "negative"), (_fractional(values), "not whole")):
            if bad.any():
                if found == "not whole":
                    found = f"not whole ({counts.why_not_fractions(adata.X)})"
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
            found, change = _other_methylation(values[~np.isnan(values)])
            raise InputError(
                f"{modality} holds methylation outside [0, 1]",
                expected="fractions from 0 to 1 (or NaN) for kind methylation",
                found=f"{found}{_where(adata, bad)}",
                change=f"{change}, or `{key}.kind: continuous`, which takes any number",
            )
    elif kind == c.CONTINUOUS:
        check_not_counts(adata.X, modality, key)


def _other_methylation(values: np.ndarray) -> tuple[str, str]:
    """What methylation outside [0, 1] may be, and how to make fractions of it."""
    if np.mean(values < 0) > A_TENTH and np.mean(np.abs(values) <= HIGHEST_M) == 1:
        return (
            "what looks like M-values, log2(m / (1 - m)), ",
            "make fractions of them, 2^M / (1 + 2^M), in the file",
        )
    if values.min() >= 0 and values.max() <= 100 and np.mean(values > 1) > A_TENTH:
        return "what looks like percent, ", "divide them by 100 in the file"
    return "", "the file"


def _check_empty(adata, modality: str, dataset_name: str) -> None:
    cells, features = _has_values(adata)
    if not _is_counts(adata) and adata.uns[c.KIND] not in NAN_ALLOWED:
        return  # of normalised values zero may be one among others
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
            f"{modality} holds cells or features without any {'count' if _is_counts(adata) else 'value'}",
            expected="at least one in each cell and each feature",
            found="; ".join(found),
            change=f"filter the file, or leave out `datasets.{dataset_name}.drop_empty: false`",
        )


def _check_labels(mdata, dataset_name: str) -> None:
    """Some cell of some modality has a type."""
    if all(adata.obs[c.CELL_TYPE].isna().all() for adata in mdata.mod.values() if c.CELL_TYPE in adata.obs):
        raise InputError(
            "No cell has a label",
            expected="a cell type for some cells at least",
            found=f"only missing values in obs[{c.CELL_TYPE!r}]",
            change=f"`datasets.{dataset_name}.{c.CELL_TYPE}`: a column that holds labels, or null",
        )


def _check_complete(adata, modality: str, column: str, dataset_name: str) -> None:
    """Every cell has a batch."""
    missing = adata.obs[column].isna()
    if missing.any():
        raise InputError(
            f"{modality} has cells without {column}",
            expected=f"a {column} for each of {adata.n_obs} cells",
            found=f"missing in cells, {_some(adata.obs_names[missing.to_numpy(dtype=bool)])}",
            change=f"fill or leave out these cells, or set `datasets.{dataset_name}.{column}: null`",
        )


@contextmanager
def readable(path: Path, form: str, reader: str | None = None) -> Iterator[None]:
    """Turn what a library raises on a broken or foreign file into an InputError.

    Parameters
    ----------
    path
        The file or folder read inside the block.
    form
        What it should be, in words.
    reader
        The one that reads it: no change to try.
    """
    try:
        yield
    except InputError as error:
        if str(path) in str(error):
            raise
        rest = {"expected": error.expected, "found": error.found, "change": error.change}
        raise InputError(f"{path}: {error.problem}", **rest) from error
    except Exception as error:
        if not isinstance(error, UNREADABLE) and not looks.raised_elsewhere(error):
            raise
        found, advice = looks.look(path)
        said = " ".join([str(error).strip(), *getattr(error, "__notes__", ())])
        if advice and reader and f"`reader: {reader}`" in advice:
            advice = None
        raise InputError(
            f"{path} cannot be read",
            expected=form,
            found=f"{found}; {type(error).__name__}: {said[:400]}",
            change=looks.what_to_change(path, error, advice),
        ) from error
