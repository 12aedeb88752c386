"""Which method is best: scores scaled from floor to reference, and their order, per dataset and scenario.

A scaled score is (value - floor) / (reference - floor): 0 is what can be had without information, 1 what the
reference has, which reads the truth. It is no bound: label transfer, and so a scaled score, can lie above it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie import unmade
from jamie.evaluation import paired, roles
from jamie.evaluation.phrases import strictest_cells
from jamie.metrics.base import load_metrics

FLOOR, REFERENCE = "floor_shuffled", "ceiling"
SCORES = ("foscttm", "lta", "r_1", "r_2")
FAMILIES = {"alignment": ("foscttm", "lta"), "imputation": ("r_1", "r_2")}
ALL = "all"  # in the columns dataset and scenario: the mean over everything that was run
DIGITS = 3  # methods equal to so many share a rank
MB_PER_GB = 1024
COST_COLUMNS = ("dataset", "scenario", "method", "time_s", "memory_gb", "gpu_gb")
COLUMNS = (
    "dataset",
    "scenario",
    "protocol",
    "cells",
    "modality_1",
    "modality_2",
    "n_seeds",
    "rank",
    "method",
    "label",
    "n_ran",
    *(f"{score}{what}" for score in SCORES for what in ("", "_sd", "_scaled")),
    "alignment",
    "imputation",
    "overall",
    "level_on",
    *COST_COLUMNS[3:],
    "status",
    "reason",
)


@dataclass(frozen=True)
class Scale:
    """Floor and reference of one score."""

    floor: float
    reference: float

    def of(self, value: float) -> float:
        """NaN where floor and reference are the same."""
        reach = self.reference - self.floor
        return (value - self.floor) / reach if abs(reach) > 1e-9 else np.nan


def scale_of(score: str, means: pd.Series) -> Scale:
    """What a score is scaled by, from its means by method.

    The floor is `floor_shuffled`, or without it chance: 0.5 for FOSCTTM, 0 for the others. The reference is
    that of the run, or without it the perfect value.
    """
    metric = load_metrics()[_metric(score)]
    chance = metric.chance if metric.chance is not None else 0.0
    return Scale(float(means.get(FLOOR, chance)), float(means.get(REFERENCE, metric.perfect)))


def _metric(score: str) -> str:
    return "pearson" if score.startswith("r_") else score


def costs(infos: pd.DataFrame) -> pd.DataFrame:
    """Median over seeds of time and memory of fits that ran.

    Parameters
    ----------
    infos
        ``dataset``, ``scenario``, ``method``, and of run_info.json ``status``, ``fit_s`` (or else
        ``wall_time_s``), ``peak_rss_mb``, ``peak_gpu_mb``: a row per run.

    Returns
    -------
    COST_COLUMNS; ``gpu_gb`` is NaN where no GPU was used.
    """
    ran = infos[infos["status"] == c.OK]
    ran = ran.reindex(columns=[*COST_COLUMNS[:3], "fit_s", "wall_time_s", "peak_rss_mb", "peak_gpu_mb"])
    ran = ran.assign(
        time_s=ran["fit_s"].astype(float).fillna(ran["wall_time_s"].astype(float)),
        memory_gb=ran["peak_rss_mb"].astype(float) / MB_PER_GB,
        gpu_gb=ran["peak_gpu_mb"].astype(float).replace(0.0, np.nan) / MB_PER_GB,
    )
    keys = list(COST_COLUMNS[:3])
    return ran.groupby(keys, sort=False)[list(COST_COLUMNS[3:])].median().reset_index()


def rank_methods(metrics: pd.DataFrame, infos: pd.DataFrame, held_out: dict[str, float]) -> pd.DataFrame:
    """Every method of every dataset and scenario, best first, then the controls.

    Parameters
    ----------
    metrics
        METRIC_COLUMNS of a whole run.
    infos
        As in :func:`costs`.
    held_out
        Share of the cells with both modalities that is held out, by scenario.

    Returns
    -------
    COLUMNS. Scores are means over seeds, on the strictest group of cells with scores. ``alignment`` and
    ``imputation`` are means of the scaled scores; one that a method lacks and others have counts as 0, and
    without any the mean is NaN. ``overall`` is the mean of both, NaN counting as 0. ``level_on`` names
    the columns (foscttm, lta, r_1, r_2, alignment, imputation, overall) on which the method is the best or
    the seeds cannot tell it from the best; empty with one seed. A method without any score has no rank, but a
    status and a reason. Where there are several datasets or scenarios, the first
    rows, with ``dataset`` "all", are those of :func:`over_everything`.
    """
    rows = metrics.fillna({"modality": "", "reason": ""})
    groups = [
        _group(part, held_out[scenario])
        for (_, scenario), part in rows.groupby(["dataset", "scenario"], sort=False)
    ]
    table = pd.concat(groups, ignore_index=True)
    table = table.merge(costs(infos), on=list(COST_COLUMNS[:3]), how="left")
    if len(groups) > 1 and not all(roles.is_control(m) for m in table["method"]):
        table = pd.concat([over_everything(table), table], ignore_index=True)
    return table.reindex(columns=list(COLUMNS))


def _group(rows: pd.DataFrame, held_out: float) -> pd.DataFrame:
    """COLUMNS (costs apart) of one dataset and scenario."""
    cells = strictest_cells(rows)
    part = rows[rows["cells"] == cells]
    modalities = [m for m in dict.fromkeys(rows["modality"]) if m]
    names = dict(zip(("modality_1", "modality_2"), modalities, strict=False))
    wanted = {("foscttm", ""): "foscttm", ("lta", ""): "lta"}
    wanted |= {("pearson", m): f"r_{i}" for i, m in enumerate(modalities[:2], start=1)}
    ok = part[part["status"] == c.OK].astype({"value": float})
    ok = ok.assign(score=[wanted.get(key) for key in zip(ok["metric"], ok["modality"], strict=True)])
    ok = ok.dropna(subset=["score"])
    found = ok.groupby(["method", "score"])["value"].agg(["mean", "std"])
    by_seed = ok.pivot(index=["seed", "method"], columns="score", values="value")
    methods = roles.order_methods(rows["method"])
    table = pd.DataFrame({"method": methods, "label": [roles.label(m) for m in methods]})
    for score in SCORES:
        own = found.xs(score, level="score") if score in found.index.get_level_values("score") else None
        table[score] = table["method"].map(own["mean"]) if own is not None else np.nan
        table[f"{score}_sd"] = table["method"].map(own["std"]) if own is not None else np.nan
        scale = scale_of(score, own["mean"] if own is not None else pd.Series(dtype=float)).of
        table[f"{score}_scaled"] = table[score].map(scale)
        by_seed[f"{score}_scaled"] = by_seed[score].map(scale) if score in by_seed else np.nan
    _add_means(table)
    by_seed = by_seed.reset_index()
    _add_means(by_seed)
    level = _level(by_seed, paired.split_ratio(cells, held_out))
    table["level_on"] = [", ".join(name for name, those in level.items() if m in those) for m in methods]
    table["n_ran"] = table["method"].map(ok.groupby("method")["seed"].nunique()).fillna(0).astype(int)
    table["status"], table["reason"] = zip(*(_status(rows, table, m) for m in methods), strict=True)
    run = {"dataset": rows["dataset"].iloc[0], "scenario": rows["scenario"].iloc[0], "cells": cells}
    run |= {"protocol": part["protocol"].iloc[0], "n_seeds": rows["seed"].nunique(), **names}
    return _in_order(table.assign(**run))


def _level(by_seed: pd.DataFrame, ratio: float) -> dict[str, list[str]]:
    """By score and mean of scores: the best method and those that the seeds cannot tell from it."""
    found = {}
    for name in (*SCORES, *FAMILIES, "overall"):
        if name in by_seed and by_seed[name].notna().any():
            scores = by_seed.pivot(index="seed", columns="method", values=name)
            better = load_metrics()[_metric(name)].better if name in SCORES else "higher"
            found[name] = paired.level_with_best(scores, better, ratio)
    return found


def _add_means(table: pd.DataFrame) -> None:
    """Add ``alignment``, ``imputation`` and ``overall`` to a table with ``method`` and the scaled scores."""
    families = []
    for family, scores in FAMILIES.items():
        scaled = table[[f"{score}_scaled" for score in scores]]
        applies = scaled.loc[~table["method"].map(roles.is_control).astype(bool)].notna().any()
        own = scaled.loc[:, applies]
        table[family] = own.fillna(0.0).mean(axis="columns").where(own.notna().any(axis="columns"))
        families += [family] if applies.any() else []
    overall = table[families].fillna(0.0).mean(axis="columns")
    table["overall"] = overall.where(table[families].notna().any(axis="columns")) if families else np.nan


def _status(rows: pd.DataFrame, table: pd.DataFrame, method: str) -> tuple[str, str]:
    """Ok with any main score; else the status and the reason, of whatever group of cells has one."""
    if table.loc[table["method"] == method, list(SCORES)].notna().any(axis=None):
        return c.OK, ""
    own = rows[(rows["method"] == method) & (rows["status"] != c.OK)]
    for status in (c.FAILED, c.EXCLUDED, c.NOT_APPLICABLE):
        reasons = [r for r in own.loc[own["status"] == status, "reason"] if r]
        if reasons:
            return status, "; ".join(unmade.alike(reasons))
    return c.NOT_APPLICABLE, "no score of these cells"


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Best first, then methods without a score, then floors and the reference; adds ``rank``."""
    control = table["method"].map(roles.is_control).astype(bool)
    rounded = table["overall"].round(DIGITS)
    table = table.assign(rank=rounded.where(~control).rank(ascending=False, method="min"))
    table = table.assign(control=control, reference=table["method"] == REFERENCE)
    table = table.sort_values(["control", "rank", "reference"], kind="stable", na_position="last")
    return table.drop(columns=["control", "reference"])


def over_everything(table: pd.DataFrame) -> pd.DataFrame:
    """Mean of the scaled scores over all datasets and scenarios, and the mean rank.

    Parameters
    ----------
    table
        COLUMNS of every dataset and scenario.

    Returns
    -------
    A row per method (no controls), the best first by ``overall``; ``n_ran`` is the number of datasets and
    scenarios with a score. Where a method has none it counts as 0, and with the last rank there.
    """
    rows = table[~table["method"].map(roles.is_control).astype(bool)]
    n_methods = rows.groupby(["dataset", "scenario"])["method"].transform("size")
    rows = rows.assign(rank=rows["rank"].fillna(n_methods))
    names = (*FAMILIES, "overall")
    by_run = rows.groupby(["dataset", "scenario"])
    for name in names:  # 0 for what a method lacks, but nothing where no method has it
        rows[f"{name}_or_0"] = rows[name].fillna(0.0).where(by_run[name].transform("count") > 0)
    found = []
    for method, own in rows.groupby("method", sort=False):
        means = {name: own[f"{name}_or_0"].mean() if own[name].notna().any() else np.nan for name in names}
        ran = int((own["status"] == c.OK).sum())
        reason = "; ".join(dict.fromkeys(own.loc[own["status"] != c.OK, "reason"])) if not ran else ""
        status = c.OK if ran else own["status"].iloc[0]
        rank = own["rank"].mean() if ran else np.nan
        found.append(
            {"method": method, "label": own["label"].iloc[0], "rank": rank, "n_ran": ran, **means}
            | {"status": status, "reason": reason}
        )
    order = {method: i for i, method in enumerate(roles.order_methods(rows["method"]))}
    everything = pd.DataFrame(found)
    everything = everything.sort_values("method", key=lambda column: column.map(order))
    everything = everything.sort_values("overall", ascending=False, kind="stable", na_position="last")
    return everything.assign(dataset=ALL, scenario=ALL)
