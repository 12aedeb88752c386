"""Values that stand for not measured: those the config names become NaN, those that look so are refused."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

from jamie import contract as c
from jamie.data import notices
from jamie.data.counts import stored
from jamie.errors import InputError

MARKS = (-9, -99, -999, -9999, -99999, 999, 9999, 99999)
LEAST_MARKS = 2  # values; one alone is an outlier
MANY_ZEROS = 0.5


def dense(matrix, modality: str, kind: str, given: Sequence[float] | None) -> np.ndarray:
    """Values of kind continuous or methylation, float32 (n_cells, p), NaN where nothing was measured.

    Parameters
    ----------
    matrix
        (n_cells, p), dense or sparse.
    given
        Values that stand for not measured, of the config; [] where none does; None: not said. 0 in a sparse
        matrix is what it does not store.

    Raises
    ------
    InputError
        Not said, and some values look as if they stood for it: one such as -999 far from all others, one
        negative value of methylation, or what a sparse matrix of methylation does not store.
    """
    if given is None and kind == c.METHYLATION and sparse.issparse(matrix):
        _check_absent(matrix, modality)
    zeros_stored = sparse.issparse(matrix) and (matrix.data == 0).any()
    values = np.asarray(matrix.toarray() if sparse.issparse(matrix) else matrix, dtype=np.float32)
    if given is None:
        _check_marks(values, modality, kind)
        return values
    is_mark = np.isin(values, np.asarray(given, dtype=np.float32))
    if zeros_stored and 0 in given:
        at = matrix.tocoo()
        is_mark[at.row[at.data == 0], at.col[at.data == 0]] = False
    if is_mark.any():
        notices.note(modality, "values were read as not measured, as `missing:` says", n=is_mark.sum())
        values = np.where(is_mark, np.float32(np.nan), values)
    return values


def check_normalised(matrix, modality: str) -> None:
    """Refuse normalised values among which one such as -999 stands alone, far below all others.

    Raises
    ------
    InputError
        These kinds know no missing value, so the file must say what they are.
    """
    values = stored(matrix)
    for mark in [mark for mark in MARKS if mark < 0]:
        is_mark = values == mark
        if is_mark.sum() >= LEAST_MARKS and (is_mark.all() or values[~is_mark].min() > mark / 2):
            raise InputError(
                f"{modality} holds values that look as if they stood for not measured",
                expected="normalised values of every feature in every cell",
                found=f"{int(is_mark.sum())} times {mark:g}, and no other value below {mark / 2:g}",
                change="the file: leave these cells or features out, or put what stands for nothing found",
            )


def _check_absent(matrix, modality: str) -> None:
    n = matrix.shape[0] * matrix.shape[1]
    absent = n - matrix.nnz
    if not absent or np.isnan(matrix.data).any():  # where NaN is stored, what is not stored is zero
        return
    raise InputError(
        f"{modality} is a sparse matrix, which does not say whether what it leaves out was measured",
        expected="methylation with NaN where nothing was measured, or the key `missing`",
        found=f"{absent / n:.1%} of the values are not stored, and none is NaN",
        change=f"`modalities.{modality}.missing: [0]` if these were not measured, `missing: []` if they are "
        "measured and not methylated",
    )


def _check_marks(values: np.ndarray, modality: str, kind: str) -> None:
    if kind == c.METHYLATION:
        outside = values[(values < 0) | (values > 1)]
        marks = np.unique(outside) if len(outside) else []
        if len(marks) == 1 and (marks[0] < 0 or marks[0] in MARKS):
            raise _looks_missing(values == marks[0], marks[0], "0 and 1", modality)
        n_zero = int((values == 0).sum())
        if n_zero > MANY_ZEROS * values.size and not np.isnan(values).any():
            notices.note(
                modality,
                f"{n_zero / values.size:.0%} of the values are 0 and none is missing; if 0 stands for not "
                f"measured, set `modalities.{modality}.missing: [0]`",
            )
        return
    for mark in MARKS:
        is_mark = values == np.float32(mark)
        columns = is_mark.any(axis=0)
        if is_mark.sum() < LEAST_MARKS:
            continue
        others = np.ma.masked_invalid(np.ma.masked_where(is_mark[:, columns], values[:, columns]))
        low, high = others.min(axis=0).filled(np.nan), others.max(axis=0).filled(np.nan)
        beyond = np.maximum(low - mark, mark - high)
        # of a column without any other value nothing is known
        far = (beyond > 0) & ((beyond >= high - low) | ((mark < 0) & (low >= 0)))
        if (far | np.isnan(low)).all() and far.any():
            between = f"{np.nanmin(low):g} and {np.nanmax(high):g}"
            raise _looks_missing(is_mark, mark, between, modality)


def _looks_missing(is_mark: np.ndarray, mark: float, between: str, modality: str) -> InputError:
    n_features = int(is_mark.any(axis=0).sum())
    return InputError(
        f"{modality} holds values that look as if they stood for not measured",
        expected="NaN where nothing was measured",
        found=f"{int(is_mark.sum())} times {mark:g}, in {n_features} of {is_mark.shape[1]} features, whose "
        f"other values lie between {between}",
        change=f"`modalities.{modality}.missing: [{mark:g}]`, or `missing: []` if they are measured values",
    )
