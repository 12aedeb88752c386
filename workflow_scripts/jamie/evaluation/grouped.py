"""Differences between groups of a dataset's cells: which cells count as what, and all features in blocks.

A pair's measured values are held against imputed ones of a fit that has not seen it, one of the cross-fit;
what is imputed for cells without a partner is the mean of these fits. Pairs that none of them left out,
held-out ones among them, and cells without a partner count as measured. See
`jamie.evaluation.differences`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie.data.split import training_rows
from jamie.evaluation.differences import COLUMNS, MIN_CELLS, Cells, compare, with_q
from jamie.io import BLOCK_VALUES
from jamie.linear.blocks import dense

FOUND = 0.1  # q-value, at or below which groups are said to differ
OF_THESE = "groups are clusters of these same values"
STRONGEST = 5  # features named for each group


@dataclass
class Rows:
    """Cells of one target modality, as rows of the two prepared modalities.

    Attributes
    ----------
    left_out
        Pairs of the cross-fit: int (n, 2), row of the source and of the target.
    lacking
        Rows of the source without a partner.
    alone
        Rows of the target that are in no pair above.
    kept
        Which of the cross-fit's pairs are ``left_out``: bool (n_pairs,).
    imputed
        Places of ``lacking`` among the cells of the cross-fit without a known partner: int (n_lacking,).
    """

    left_out: np.ndarray
    lacking: np.ndarray
    alone: np.ndarray
    kept: np.ndarray
    imputed: np.ndarray

    @classmethod
    def of(cls, prepared, pairs, crossfit, source: str, target: str) -> Rows:
        """Sort the cells; a pair that was shown and is not true, as in a control, is none."""
        f = pairs.align(*(prepared.mod[m].obs_names for m in crossfit.modalities))
        certain = f.certain_pairs()
        order = [crossfit.modalities.index(m) for m in (source, target)]
        certain = certain[:, order]
        train = {m: training_rows(prepared.mod[m]) for m in (source, target)}
        fitted = np.column_stack([train[m][crossfit.pairs(m)] for m in (source, target)])
        partner = np.full(prepared.mod[source].n_obs, -1)
        partner[certain[:, 0]] = certain[:, 1]
        kept = partner[fitted[:, 0]] == fitted[:, 1]
        matrix = f.matrix if order == [0, 1] else f.matrix.T.tocsr()
        alone = train[source][crossfit.alone[source]]
        without = np.flatnonzero(np.diff(matrix.indptr) == 0)
        lacking, imputed, _ = np.intersect1d(alone, without, return_indices=True)
        rest = np.setdiff1d(np.arange(prepared.mod[target].n_obs), fitted[kept, 1])
        return cls(fitted[kept], lacking, rest, kept, imputed)


def table(model, prepared, pairs, crossfit, groups: dict[str, pd.Series], *, clusters: bool) -> pd.DataFrame:
    """All groups, modalities and features.

    Parameters
    ----------
    model
        A fitted `JAMIE`.
    prepared
        The data it was fitted to, with held-out cells and the layer of missing values.
    pairs
        `Correspondence`, every pair the dataset knows.
    crossfit
        `CrossFit` of the model.
    groups
        Modality -> group of each cell (NaN: none).
    clusters
        Whether groups were made from these values: then nothing is tested.

    Returns
    -------
    DataFrame of `COLUMNS`, by modality, group and p-value.
    """
    found = []
    for source, target in (model.modalities, model.modalities[::-1]):
        rows = Rows.of(prepared, pairs, crossfit, source, target)
        part = with_q(_modality(model, prepared, crossfit, rows, groups, source, target, clusters))
        found.append(part.assign(modality=target))
    whole = pd.concat(found, ignore_index=True).reindex(columns=list(COLUMNS))
    return whole.sort_values(["modality", "group", "p_value"], kind="stable", ignore_index=True)


def _modality(
    model, prepared, crossfit, rows: Rows, groups, source: str, target: str, clusters: bool
) -> pd.DataFrame:
    adata, kind = prepared.mod[target], model.states[target]["kind"]
    of_pairs = rows.left_out[:, 1]
    labels = {m: groups[m].to_numpy(object) for m in (source, target)}
    places = {"paired": labels[target][of_pairs], "lacking": labels[source][rows.lacking], "alone": None}
    places["alone"] = labels[target][rows.alone]
    has = {name: ~pd.isna(label) for name, label in places.items()}
    cells = Cells(*(places[name][has[name]].astype(str) for name in ("paired", "lacking", "alone")))
    names = model.feature_names(target)
    step = max(1, min(256, BLOCK_VALUES // max(1, adata.n_obs + len(rows.lacking))))
    tables = [pd.DataFrame(columns=["group", "feature", *COLUMNS[3:]])]
    for start in range(0, len(names), step):
        features = slice(start, min(start + step, len(names)))
        values = _values(adata, features)
        n_features = features.stop - features.start
        predicted, lacking = np.empty((0, n_features)), np.empty((0, n_features))
        if crossfit.folds:
            predicted = crossfit.imputed(target, features)[rows.kept]
            lacking = crossfit.imputed_alone(target, features)[rows.imputed]
        block = compare(
            cells,
            values[of_pairs][has["paired"]],
            predicted[has["paired"]],
            lacking[has["lacking"]],
            values[rows.alone][has["alone"]],
            zeros=kind in c.COUNT_KINDS,
        )
        tables.append(block.assign(feature=names[features][block["feature"].astype(int)]))
    tables = [part for part in tables if len(part)] or tables
    whole = pd.concat(tables, ignore_index=True)
    return _untested(whole) if clusters else whole


def _values(adata, features: slice) -> np.ndarray:
    """Measured values (n, n_features), NaN where there are none."""
    values = dense(adata.X[:, features]).astype(float)
    if c.MISSING in adata.layers:
        values[dense(adata.layers[c.MISSING][:, features]).astype(bool)] = np.nan
    return values


def _untested(whole: pd.DataFrame) -> pd.DataFrame:
    inference = [name for name in whole if name.startswith(("ci_", "p_value"))]
    return whole.assign(reason=OF_THESE, **dict.fromkeys(inference, np.nan))


def by_group(whole: pd.DataFrame) -> pd.DataFrame:
    """In short, one row per modality and group: cells, features tested, differing, strongest."""
    rows = []
    for (modality, group), part in whole.groupby(["modality", "group"], sort=False):
        tested = part[part["p_value"].notna()]
        differs = tested[tested["q_value"] <= FOUND]
        widths = [(tested[f"ci_high{s}"] - tested[f"ci_low{s}"]).median() for s in ("", "_measured")]
        rows.append(
            {
                "modality": modality,
                "group": group,
                "n_measured": part["n_measured"].max(),
                "n_imputed": part["n_imputed"].min(),
                "features": len(part),
                "tested": len(tested),
                "differ": len(differs),
                "differ_measured": int((tested["q_value_measured"] <= FOUND).sum()),
                "width": widths[0] / widths[1] if len(tested) else np.nan,
                "strongest": ", ".join(differs.loc[differs["difference"] > 0, "feature"].head(STRONGEST)),
            }
        )
    return pd.DataFrame(rows)


def in_words(short: pd.DataFrame, clusters: bool) -> str:
    """What a caption says of them."""
    if not len(short):
        return f"No two groups have {MIN_CELLS} measured cells each, so none are compared."
    tested, differ, alone = (int(short[name].sum()) for name in ("tested", "differ", "differ_measured"))
    groups = f"{short['group'].nunique()} {'clusters' if clusters else 'cell types'}"
    if clusters:
        return (
            f"Compared are {groups}. They were made from these same values, so that any test between them "
            "would find differences by construction: differences have neither interval nor p-value."
        )
    return (
        f"Compared are {groups}: {differ:,} of {tested:,} differences that were tested have q ≤ {FOUND:g}; "
        f"by measured values alone it is {alone:,}. Intervals have {short['width'].median():.3f} times the "
        "width of those of measured values alone (median over groups)."
    )
