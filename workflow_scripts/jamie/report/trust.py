"""How far imputed values can be trusted, inside a completed dataset: intervals, a mask, unlike cells.

Of ``mod["{m}_completed"]``, where the model is calibrated:

``varm["half_width"]``, ``["half_width_native"]`` float32 (p, n_groups), ``["usable"]`` bool (p, n_groups)
    By feature and group, in the order of ``uns["interval_groups"]``; see `jamie.model.intervals`.
``obs["interval_group"]``
    The group of each cell.
``obs["unlikeness"]``, ``obs["unlike_training"]``
    How unlike the training cells a cell is, and whether it is more so than 19 of 20 of them; of an imputed
    cell in the modality that it was imputed from. See `jamie.model.unlike`.

All of it goes with the cells and features of a part: ``bounds(md["rna_completed"][cells, genes])``.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie.errors import InputError
from jamie.model.intervals import ends

HALF_WIDTH, HALF_WIDTH_NATIVE, USABLE = "half_width", "half_width_native", "usable"
GROUPS, GROUP = "interval_groups", "interval_group"
UNLIKENESS, UNLIKE = "unlikeness", "unlike_training"


def describe(adata, model, target: str, group: np.ndarray, unlikeness: np.ndarray, threshold) -> None:
    """Put all of it into a completed modality.

    Parameters
    ----------
    group
        str (n_cells,), as of `JAMIE.groups`.
    unlikeness, threshold
        float (n_cells,) each: score, and what it is held against.
    """
    intervals = model.calibration.intervals[target]
    adata.varm[HALF_WIDTH] = intervals.half_width
    adata.varm[HALF_WIDTH_NATIVE] = intervals.half_width_native
    adata.varm[USABLE] = intervals.usable
    adata.uns[GROUPS] = np.asarray(intervals.groups, dtype=str)
    adata.uns["interval_cells"] = intervals.n_cells
    adata.uns["values"] = model.states[target]["values"]
    adata.obs[GROUP] = pd.Categorical(group, categories=intervals.groups)
    adata.obs[UNLIKENESS] = unlikeness
    adata.obs[UNLIKE] = unlikeness > threshold


def bounds(adata, *, native: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of the 90 % intervals of a completed modality or a part of it.

    Parameters
    ----------
    adata
        ``md["rna_completed"]``, or some of its cells and features.
    native
        In native units (``layers["native"]``) instead of the model's scale (``X``).

    Returns
    -------
    float32 (n_cells, n_features), twice. Where a value was measured, both are that value.
    """
    if HALF_WIDTH not in adata.varm:
        raise InputError(
            "There are no intervals",
            expected="a completed modality, such as md['rna_completed'], of a calibrated model",
            found="varm: " + (", ".join(adata.varm) or "nothing"),
            change="the modality, or the option `folds` of the method and fit again",
        )
    half = adata.varm[HALF_WIDTH_NATIVE if native else HALF_WIDTH]
    place = np.maximum(pd.Index(adata.uns[GROUPS]).get_indexer(adata.obs[GROUP].astype(object)), 0)
    center = _dense(adata.layers["native"] if native else adata.X)
    kind, values = adata.uns[c.KIND], adata.uns["values"]
    low, high = ends(center, half[:, place].T, native=native, kind=kind, values=values)
    measured = (adata.obs["values"] == "measured").to_numpy()[:, None]
    if "is_imputed" in adata.layers:
        measured = measured & ~_dense(adata.layers["is_imputed"]).astype(bool)
    return np.where(measured, center, low), np.where(measured, center, high)


def _dense(matrix) -> np.ndarray:
    return matrix.toarray() if hasattr(matrix, "toarray") else np.asarray(matrix)
