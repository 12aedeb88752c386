"""Labels of cells that one modality has and the other lacks: paired cells lend theirs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie.data import notices


def lend(mdata, pairs, columns=(c.CELL_TYPE, c.BATCH)) -> None:
    """Fill labels in from the paired cell of the other modality; those of the other cells stay missing.

    Parameters
    ----------
    mdata
        As of `jamie.data.readers.read`; its ``obs`` are changed.
    pairs
        `Correspondence` of its cells, in their order: pairs without doubt lend.
    columns
        Those that at least one modality has.
    """
    first, second = mdata.mod
    certain = pairs.certain_pairs()
    for column in columns:
        given = {m: mdata.mod[m].obs.get(column) for m in (first, second)}
        if all(values is None for values in given.values()):
            continue
        text = {m: _as_text(values, mdata.mod[m].n_obs) for m, values in given.items()}
        for (target, source), (own, other) in (
            ((first, second), certain.T),
            ((second, first), certain.T[::-1]),
        ):
            _fill(mdata.mod[target].obs, column, text[target], text[source], own, other, target, source)


def _as_text(values: pd.Series | None, n: int) -> np.ndarray:
    """Labels as str, None where there is none: object (n,)."""
    if values is None:
        return np.full(n, None, dtype=object)
    return values.astype(object).where(values.notna(), None).to_numpy(dtype=object, copy=True)


def _fill(obs, column, text, lent, own, other, target, source) -> None:
    had = np.array([value is not None for value in text], dtype=bool)
    filled = text.copy()
    empty = ~had[own]
    filled[own[empty]] = lent[other[empty]]
    now = np.array([value is not None for value in filled], dtype=bool)
    if (now & ~had).any():
        notices.note(target, f"{column} of paired cells was taken from {source}", obs.index[now & ~had])
    if not now.all() and column == c.CELL_TYPE:
        notices.note(target, f"{column} is not known in some cells", obs.index[~now])
    if column not in obs or (now & ~had).any():
        obs[column] = pd.Categorical(filled)
