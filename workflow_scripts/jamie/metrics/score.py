"""Scores of one method's output on each group of cells, and what compares the scores of many methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from jamie import contract
from jamie.metrics.alignment import MIN_CELLS, TOO_FEW
from jamie.metrics.base import (
    COMPARISON_INPUTS,
    FEATURE_INPUTS,
    LATENT_INPUTS,
    SUMMARY_INPUTS,
    Metric,
    NotApplicable,
    load_metrics,
)
from jamie.metrics.feature_scores import score_features
from jamie.metrics.groups import Group, make_groups
from jamie.metrics.measured import Measured
from jamie.metrics.structure import silhouette_by_type

REFERENCE = "knn"  # the method every other is compared with
NO_PAIRS, NO_LABELS, NO_BATCHES = "no pairs with known truth", "no labels", "no batches"
OF_COUNTS, NO_COUNTS = ("pearson_attainable", "pearson_over_attainable"), "no whole counts"
BY_CLUSTER = "no labels: within clusters of the measured values"
_RUN = ["dataset", "scenario", "seed", "protocol", "cells", "modality"]


def score_method(
    prepared,
    truth,
    shown,
    embedding,
    imputed_path: str | Path | None,
    *,
    dataset: str,
    scenario: str,
    method: str,
    seed: int,
    status: str = contract.OK,
    reason: str = "",
    measured: Measured | None = None,
    block_features: int | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Every registered metric of one method's output, for each group; not those that compare methods.

    Parameters
    ----------
    prepared, truth, shown
        As in :func:`make_groups`; ``mod[m].X`` is the scale on which imputation is judged.
    embedding
        MuData with the method's latents in ``obsm``; None if it does not embed.
    imputed_path
        imputed.h5mu; None if the method does not impute. Read in blocks of ``block_features`` (None: 64 MB).
    status, reason
        Not "ok": the method was excluded or failed; only the primary group is reported, without values.

    measured
        Of the same data, made once for all methods; None: made here.

    Returns
    -------
    Tables with the columns METRIC_COLUMNS and FEATURE_SCORE_COLUMNS.

    Raises
    ------
    InputError
        An output breaks its contract, as by a value that is not finite.
    """
    run = {"dataset": dataset, "scenario": scenario, "method": method, "seed": seed}
    latent = None if embedding is None or status != contract.OK else _latents(embedding, prepared, method)
    groups = make_groups(prepared, truth, shown, latent)
    if status == contract.OK:
        measured = measured or Measured.of(prepared, truth)
        rows, features = _score_groups(prepared, groups, imputed_path, block_features, measured)
    else:
        metrics = [m for m in load_metrics().values() if m.inputs != COMPARISON_INPUTS]
        rows = [r for m in metrics for r in _empty_rows(groups[0], m, status, reason)]
        features = pd.DataFrame()
    metrics = pd.DataFrame(rows).assign(**run)[list(contract.METRIC_COLUMNS)]
    contract.check_metrics(metrics, f"the scores of {method}")
    return metrics, features.assign(**run).reindex(columns=list(contract.FEATURE_SCORE_COLUMNS))


def score_types(prepared, truth, shown, embedding, *, method: str, cells: str) -> pd.DataFrame:
    """Silhouette of each cell type in a method's joint space, on the cells of the score ``silhouette``.

    Parameters
    ----------
    prepared, truth, shown, embedding
        As in :func:`score_method`.
    cells
        Which group of cells.

    Returns
    -------
    As :func:`~jamie.metrics.structure.silhouette_by_type`.

    Raises
    ------
    NotApplicable
        There are no labels, too few of them, or too few cells.
    """
    groups = make_groups(prepared, truth, shown, _latents(embedding, prepared, method))
    group = next(g for g in groups if g.cells == cells)
    return silhouette_by_type(**_latent_inputs(group, load_metrics()["silhouette"]))


def _latents(embedding, prepared, method: str) -> dict[str, np.ndarray]:
    """Latents (n_m, d) per modality, after a check against the contract."""
    key = contract.embedding_key(method)
    contract.check_embedding(embedding, prepared, key)
    return {m: np.asarray(embedding.mod[m].obsm[key]) for m in prepared.mod}


def _score_groups(
    prepared, groups: list[Group], path, block_features, measured: Measured
) -> tuple[list[dict], pd.DataFrame]:
    """Rows of metrics.tsv, and scores per feature, of a method that ran."""
    rows = [row for group in groups for row in _latent_rows(group)]
    tables = []
    first, second = groups[0].modalities
    for source, target in ((first, second), (second, first)):
        ends = [np.column_stack([g.paired_rows(source), g.paired_rows(target)]) for g in groups]
        data = prepared.mod[source], prepared.mod[target]
        about = {"groups": measured.groups[target], "attainable": measured.attainable[target]}
        found = score_features(*data, (source, target), ends, path, block_features, **about)
        for group, table in zip(groups, found, strict=True):
            rows += _imputation_rows(group, target, table, path, measured)
            tables.append(table.assign(protocol=group.protocol, cells=group.cells, modality=target))
    return rows, pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)


def _row(
    group: Group, metric: Metric, modality: str, value=np.nan, n_features=0, status=contract.OK, reason=""
):
    return {
        "protocol": group.protocol,
        "cells": group.cells,
        "metric": metric.name,
        "modality": modality,
        "value": value,
        "n_cells": group.size(metric, modality),
        "n_features": n_features,
        "status": status,
        "reason": reason,
    }


def _empty_rows(group: Group, metric: Metric, status: str, reason: str) -> list[dict]:
    modalities = [""] if metric.inputs == LATENT_INPUTS else []
    if metric.per == "modality":
        modalities = [*group.modalities, *modalities]
    return [_row(group, metric, m, status=status, reason=reason) for m in modalities]


def _latent_rows(group: Group) -> list[dict]:
    rows = []
    for metric in load_metrics().values():
        if metric.inputs != LATENT_INPUTS:
            continue
        try:
            value = metric.function(**_latent_inputs(group, metric))
        except NotApplicable as why:
            rows += _empty_rows(group, metric, contract.NOT_APPLICABLE, str(why))
            continue
        if metric.per == "modality":
            rows += [_row(group, metric, m, v) for m, v in zip(group.modalities, value, strict=True)]
        rows.append(_row(group, metric, "", float(np.mean(value))))
    return rows


def _latent_inputs(group: Group, metric: Metric) -> dict:
    if group.latent is None:
        raise NotApplicable("method does not embed")
    if "labels" in metric.needs and group.labels is None:
        raise NotApplicable(NO_LABELS)
    if "batches" in metric.needs and (group.batches is None or len(_of_all(group.batches)) < 2):
        raise NotApplicable(NO_BATCHES)
    if "pairs" in metric.needs and not len(group.pairs):
        raise NotApplicable(NO_PAIRS)
    sides = group.modalities
    available = {"latents": tuple(group.latent[m] for m in sides), "pairs": group.pairs}
    if group.labels is not None:
        available["labels"] = tuple(group.labels[m] for m in sides)
    if group.batches is not None:
        available["batches"] = tuple(group.batches[m] for m in sides)
        alike = tuple(np.full(len(group.batches[m]), "any") for m in sides)
        available["types"] = available.get("labels", alike)
    return {need: available[need] for need in metric.needs}


def _of_all(labels: dict[str, np.ndarray]) -> np.ndarray:
    """The labels there are in any modality."""
    return np.unique(np.concatenate(list(labels.values())))


def _imputation_rows(
    group: Group, target: str, table: pd.DataFrame, imputed_path, measured: Measured
) -> list[dict]:
    reason = ""
    if imputed_path is None:
        reason = "method does not impute"
    elif len(group.pairs) < MIN_CELLS:
        reason = TOO_FEW if len(group.pairs) else NO_PAIRS
    rows = []
    for metric in load_metrics().values():
        if metric.inputs not in (FEATURE_INPUTS, SUMMARY_INPUTS):
            continue
        try:
            if reason or (measured.attainable[target] is None and metric.name in OF_COUNTS):
                raise NotApplicable(reason or NO_COUNTS)
            value, n = _over_features(metric, table)
        except NotApplicable as why:
            rows.append(_row(group, metric, target, status=contract.NOT_APPLICABLE, reason=str(why)))
            continue
        note = BY_CLUSTER if measured.by_cluster[target] and "groups" in metric.needs else ""
        rows.append(_row(group, metric, target, value, n, reason=note))
    return rows


def _over_features(metric: Metric, table: pd.DataFrame) -> tuple[float, int]:
    """One value of a table of scores per feature, and the number of features behind it."""
    if metric.inputs == SUMMARY_INPUTS:
        return metric.function(table)
    values = table[metric.name].to_numpy(dtype=float)
    n = int(np.isfinite(values).sum())
    if not n:
        raise NotApplicable("undefined for every feature in these cells (too few, or the truth is constant)")
    return float(np.nanmean(values)), n


def add_win_rates(metrics: pd.DataFrame, feature_scores: pd.DataFrame) -> pd.DataFrame:
    """Add the rows of ``win_rate_knn``: every method against knn on the same cells, of the same run.

    Parameters
    ----------
    metrics, feature_scores
        Tables of all methods, as from :func:`score_method`.

    Returns
    -------
    ``metrics`` with one row more for each of its rows of ``pearson``.
    """
    metric = load_metrics()["win_rate_knn"]
    metrics = metrics[metrics["metric"] != metric.name]
    tables = {key: part for key, part in feature_scores.groupby([*_RUN, "method"])}
    rows = []
    for row in metrics[metrics["metric"] == "pearson"].to_dict("records"):
        row |= {"metric": metric.name, "value": np.nan, "n_features": 0}
        if row["status"] == contract.OK:
            run = tuple(row[column] for column in _RUN)
            try:
                if (*run, REFERENCE) not in tables:
                    raise NotApplicable(f"there are no scores of {REFERENCE.upper()} to compare with")
                inputs = tables[*run, row["method"]], tables[*run, REFERENCE]
                row["value"], row["n_features"] = metric.function(*inputs)
            except NotApplicable as why:
                row |= {"status": contract.NOT_APPLICABLE, "reason": str(why)}
        rows.append(row)
    if not rows:
        return metrics.reset_index(drop=True)
    added = pd.DataFrame(rows, columns=list(contract.METRIC_COLUMNS))
    return pd.concat([metrics, added], ignore_index=True)


def summarise(metrics: pd.DataFrame) -> pd.DataFrame:
    """Spread over seeds of every score with status ok.

    Parameters
    ----------
    metrics
        Table with the columns METRIC_COLUMNS.

    Returns
    -------
    One row per dataset, scenario, method, protocol, cells, metric and modality: mean, sd (n - 1; NaN for one
    seed), n_seeds, min, max.
    """
    keys = ["dataset", "scenario", "method", "protocol", "cells", "metric", "modality"]
    ok = metrics[metrics["status"] == contract.OK].fillna({"modality": ""})
    columns = {"mean": "mean", "sd": "std", "n_seeds": "count", "min": "min", "max": "max"}
    return ok.astype({"value": float}).groupby(keys, sort=False)["value"].agg(**columns).reset_index()
