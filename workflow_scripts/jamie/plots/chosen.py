"""Which features to show, and their measured and imputed values cell by cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

from jamie import contract as c
from jamie.errors import InputError

N_AUTOMATIC = 3


def choose_features(scores: pd.DataFrame, wanted: dict[str, list[str]]) -> dict[str, list[str]]:
    """Per imputed modality: the features asked for, or the best, the median and the worst imputed.

    Parameters
    ----------
    scores
        FEATURE_SCORE_COLUMNS of one method, seed and group of cells.
    wanted
        Feature names by modality (config ``show_features``).

    Raises
    ------
    InputError
        A feature asked for is not among those imputed; the nearest names are suggested.
    """
    import difflib

    chosen = {}
    for modality, rows in scores.groupby("modality", sort=False):
        names = wanted.get(modality) or []
        known = rows["feature"].astype(str).tolist()
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=3)
                raise InputError(
                    f"The feature {name!r} of {modality} cannot be shown",
                    expected=f"one of the {len(known)} features that were kept and scored",
                    found=name,
                    change=f"`show_features: {modality}`" + (f"; near are {', '.join(near)}" if near else ""),
                )
        scored = rows.dropna(subset=["pearson"]).sort_values("pearson", ascending=False)
        ranked = scored["feature"].astype(str).tolist()
        automatic = (
            [ranked[0], ranked[len(ranked) // 2], ranked[-1]] if len(ranked) >= N_AUTOMATIC else ranked
        )
        chosen[modality] = list(names) or automatic
    return chosen


def measured_beside_imputed(
    prepared, pairs, known, imputed_path, scores: pd.DataFrame, chosen: dict[str, list[str]]
) -> tuple[pd.DataFrame, str]:
    """Long table for `measured_and_imputed`: modality, feature, group, kind, value, r; and the group's name.

    Cells are those of the group of cells that ``scores`` is about, on the scale of prepared ``X``.
    """
    import h5py

    from jamie.metrics.groups import make_groups

    cells = scores["cells"].iloc[0]
    group = next(g for g in make_groups(prepared, pairs, known) if g.cells == cells)
    names = list(prepared.mod)
    r = scores.set_index(["modality", "feature"])["pearson"]
    parts, group_name = [], "all cells"
    for target, features in chosen.items():
        axis = names.index(target)
        source = names[1 - axis]
        rows = {m: group.rows[m][group.pairs[:, i]] for i, m in enumerate(names)}
        adata = prepared.mod[target][rows[target]]
        labels = np.full(adata.n_obs, "all cells", dtype=object)
        if c.CELL_TYPE in adata.obs:
            labels, group_name = adata.obs[c.CELL_TYPE].astype(str).to_numpy(), "cell type"
        columns = pd.Index(prepared.mod[target].var_names).get_indexer(features)
        with h5py.File(imputed_path) as f:
            data = f[f"mod/{source}/obsm/{c.imputed_key(target)}"]
            imputed = np.column_stack([data[:, int(j)][rows[source]] for j in columns])
        measured = adata.X[:, columns]
        measured = measured.toarray() if sparse.issparse(measured) else np.asarray(measured)
        for k, feature in enumerate(features):
            for kind, values in (("measured", measured[:, k]), ("imputed", imputed[:, k])):
                part = pd.DataFrame({"group": labels, "value": values})
                parts.append(
                    part.assign(
                        modality=target, feature=feature, kind=kind, r=r.get((target, feature), np.nan)
                    )
                )
    return pd.concat(parts, ignore_index=True), group_name
