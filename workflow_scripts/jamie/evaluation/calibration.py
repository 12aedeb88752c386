"""Whether the values handed out are what they are called: on cells whose truth the model has not seen.

Of cells whose other modality was measured, held out (else: whose pair was hidden), imputed values are held
against measured ones: means in native units, coverage of the intervals, and the share of cells called unlike
training, which for cells like the training cells is 5 %.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pandas as pd
from scipy import sparse

from jamie import contract as c
from jamie.data import preprocess
from jamie.evaluation.roles import label
from jamie.linear.blocks import dense, row_blocks
from jamie.metrics.groups import make_groups
from jamie.model.intervals import EVERYONE, MIN_GROUP

MIN_COUNTS = 50  # of a feature in the cells that are scored, for its mean to be compared
CLOSE = 0.8, 1.25  # native over measured mean
MIN_CELLS = 30  # of a group, for it to have a row
NO_CELLS = "no cell whose other modality is known was left out of the fit"
COLUMNS = (
    "modality",
    "group",
    "cells",
    "n_cells",
    "coverage",
    "coverage_native",
    "total_ratio",
    "median_ratio",
    "share_close",
    "median_ratio_of_mean",
    "share_close_of_mean",
    "n_features",
    "usable",
    "unlike",
    "n_pairs",
    "status",
    "reason",
)
FEATURE_COLUMNS = ("modality", "feature", "measured", "native", "n_counts", "coverage", "coverage_native")
LEAST_COVERAGE, MOST_UNLIKE, BY_CHANCE = 0.85, 0.15, 0.06  # beyond them the report warns
_ROUNDING = 1e-5  # of a value: ends of intervals are float32


def check_values(model, prepared, truth, shown) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tables of groups of cells (COLUMNS) and of features (FEATURE_COLUMNS).

    Parameters
    ----------
    model
        A fitted `JAMIE`.
    prepared, truth, shown
        As in `jamie.metrics.groups.make_groups`.

    Returns
    -------
    In the first, one row per imputed modality for all cells, then one for each group of `MIN_CELLS` or more.
    Coverage is the mean over features and cells of whether the 90 % interval holds the measured value. The
    total ratio is the sum of native values over that of measured ones; the median ratio and the share
    between 0.8 and 1.25 are of features' means, where a feature has `MIN_COUNTS`; the same ``_of_mean`` of
    its mean over training cells, which chance alone parts from what is measured in other cells, and from 1,
    as features are chosen by it. Ratios are of counts only.
    ``usable`` is missing where too few pairs were left out to tell. A modality that cannot be checked has one
    row with the reason.
    """
    groups = [g for g in make_groups(prepared, truth, shown) if g.cells in (c.TEST, c.HIDDEN)]
    rows, features = [], []
    for source, target in permutations(prepared.mod, 2):
        reason = "the model is not calibrated" if model.calibration is None else ""
        if not reason and (not groups or not len(groups[0].pairs)):
            reason = NO_CELLS
        if reason:
            row = {"modality": target, "group": EVERYONE, "status": c.NOT_APPLICABLE, "reason": reason}
            rows.append(row)
            continue
        ends = groups[0].paired_rows(source), groups[0].paired_rows(target)
        check = _Check(model, prepared, source, target, *ends)
        rows += [row | {"cells": groups[0].cells} for row in check.rows()]
        features.append(check.features())
    tables = pd.DataFrame(rows), pd.concat(features) if features else pd.DataFrame()
    return tables[0].reindex(columns=list(COLUMNS)), tables[1].reindex(columns=list(FEATURE_COLUMNS))


class _Check:
    """Sums over cells, by group and feature, of one imputed modality."""

    def __init__(self, model, prepared, source: str, target: str, source_rows, target_rows):
        self.model, self.target, self.state = model, target, model.states[target]
        self.is_count = self.state["values"] == c.COUNTS
        adata, given = prepared.mod[target], prepared.mod[source]
        inputs = model.model_input(prepared, source)[source_rows]
        self.imputed = model.imputed(inputs, source)
        self.group = model.calibration.grouping(given.obs.iloc[source_rows], model.encode(inputs, source))
        names, n_cells = np.unique(self.group.astype(str), return_counts=True)
        self.names = names[(n_cells >= MIN_CELLS) & (names != EVERYONE)].tolist()
        score, threshold = model.unlikeness(prepared, source)
        self.unlike = np.where(np.isnan(threshold), np.nan, score[source_rows] > threshold)
        n_groups, p = 1 + len(self.names), adata.n_vars
        self.n, self.covered, self.covered_native, self.measured, self.native = np.zeros((5, n_groups, p))
        self.training_mean = self._training_mean(adata)
        self.places = np.array([self.names.index(g) + 1 if g in self.names else 0 for g in self.group])
        for part in row_blocks(len(target_rows), p):
            self._add(adata, target_rows[part], part)

    def _training_mean(self, adata) -> np.ndarray | None:
        """Mean count of each feature in training cells, (p,): what no model is needed for."""
        if not self.is_count:
            return None
        in_training = (adata.obs[c.ROLE] == c.TRAIN).to_numpy()
        return np.asarray(adata.layers[c.COUNTS][in_training].mean(axis=0), dtype=float).ravel()

    def _add(self, adata, rows: np.ndarray, part: slice) -> None:
        x = dense(adata.X[rows]).astype(float)
        y, missing = x, np.zeros(x.shape, bool)
        if c.MISSING in adata.layers:
            missing = dense(adata.layers[c.MISSING][rows]) > 0
        if self.is_count:
            y = dense(adata.layers[c.COUNTS][rows]).astype(float)
        else:
            y = preprocess.invert(x, self.state)
        v = self.model.projections[self.target].inverse(self.imputed[part])
        group = self.group[part]
        native = self.model.to_native(v, self.target)
        for total, values in (
            (self.n, ~missing),
            (self.covered, self._inside(x, v, group, native=False) & ~missing),
            (self.covered_native, self._inside(y, v, group, native=True) & ~missing),
            (self.measured, np.where(missing, 0, y)),
            (self.native, np.where(missing, 0, native)),
        ):
            chosen = sparse.csr_matrix((np.ones(len(y)), (self.places[part], np.arange(len(y)))))
            chosen.resize(len(total), len(y))
            of_groups = chosen @ values.astype(float)
            total[0] += of_groups.sum(axis=0)
            total[1:] += of_groups[1:]

    def _inside(self, measured, v, group, *, native: bool) -> np.ndarray:
        low, high = self.model.interval(v, self.target, group, native=native)
        room = _ROUNDING * (1 + np.abs(measured))
        return (measured >= low - room) & (measured <= high + room)

    def rows(self) -> list[dict]:
        intervals = self.model.calibration.intervals[self.target]
        found = []
        for i, name in enumerate([EVERYONE, *self.names]):
            inside = self.places == i if i else np.ones(len(self.places), bool)
            row = {
                "modality": self.target,
                "group": name,
                "n_cells": int(inside.sum()),
                "coverage": self.covered[i].sum() / self.n[i].sum(),
                "coverage_native": self.covered_native[i].sum() / self.n[i].sum(),
                "usable": self._usable(intervals, intervals.groups.index(name)),
                "unlike": self.unlike[inside].mean(),
                "n_pairs": int(intervals.n_cells[intervals.groups.index(name)]),
                "status": c.OK,
                "reason": "",
            }
            found.append(row | (self._ratios(i) if self.is_count else {}))
        return found

    @staticmethod
    def _usable(intervals, group: int) -> float:
        """Share of features imputed better than by their mean; NaN if too few cells were left out to tell."""
        return intervals.usable[:, group].mean() if intervals.n_cells[group] >= MIN_GROUP else np.nan

    def _ratios(self, i: int) -> dict:
        enough = self.measured[i] >= MIN_COUNTS
        found = {
            "total_ratio": self.native[i].sum() / self.measured[i].sum(),
            "n_features": int(enough.sum()),
        }
        if enough.any():
            for sums, name in ((self.native[i], ""), (self.training_mean * self.n[i], "_of_mean")):
                ratio = sums[enough] / self.measured[i][enough]
                found[f"median_ratio{name}"] = np.median(ratio)
                found[f"share_close{name}"] = ((ratio > CLOSE[0]) & (ratio < CLOSE[1])).mean()
        return found

    def features(self) -> pd.DataFrame:
        n = np.maximum(self.n[0], 1)
        return pd.DataFrame(
            {
                "modality": self.target,
                "feature": self.model.feature_names(self.target),
                "measured": self.measured[0] / n,
                "native": self.native[0] / n,
                "n_counts": self.measured[0] if self.is_count else np.nan,
                "coverage": self.covered[0] / n,
                "coverage_native": self.covered_native[0] / n,
            }
        )


HEAD = [
    "imputed",
    "inside 90% intervals",
    "by group of cells",
    "in native units",
    "counts, imputed / measured",
    "features better than their mean",
    "than their group's mean",
    "cells unlike training",
]


def as_rows(groups: pd.DataFrame) -> list[list[str]]:
    """The same as cells of a table with `HEAD`, one row per imputed modality that was checked."""
    found = []
    for modality, rows in groups[groups["status"] == c.OK].groupby("modality", sort=False):
        of_groups = rows[rows["group"] != EVERYONE]
        means = rows[rows["group"] == EVERYONE].mean(numeric_only=True)
        counts = f"{means['total_ratio']:.2f}" if np.isfinite(means["total_ratio"]) else "no counts"
        shares = [means[name] for name in ("coverage", "coverage_native", "usable", "unlike")]
        inside, native, usable, unlike = ("n/a" if np.isnan(s) else f"{s:.0%}" for s in shares)
        own = f"{of_groups['usable'].mean():.0%}" if of_groups["usable"].notna().any() else "n/a"
        by_group = _range(of_groups.groupby("group")["coverage"].mean()) or "n/a"
        found.append([label(modality), inside, by_group, native, counts, usable, own, unlike])
    return found


def _range(shares: pd.Series) -> str:
    """Lowest and highest share, or the one there is; empty if there is none."""
    if not len(shares):
        return ""
    ends = dict.fromkeys(f"{share:.0%}" for share in (shares.min(), shares.max()))
    return " to ".join(ends)


def in_words(groups: pd.DataFrame) -> str:
    """What the rows of one or more seeds say, as sentences.

    Parameters
    ----------
    groups
        COLUMNS, of all seeds.
    """
    said = [_of_modality(rows) for _, rows in groups.groupby("modality", sort=False)]
    return " ".join(said)


def _of_modality(rows: pd.DataFrame) -> str:
    name = label(rows["modality"].iloc[0])
    if (rows["status"] != c.OK).all():
        return f"{name}: not checked, {rows['reason'].iloc[0]}."
    rows = rows[rows["status"] == c.OK].fillna({"group": EVERYONE})
    all_cells, by_group = rows[rows["group"] == EVERYONE], rows[rows["group"] != EVERYONE]
    means = all_cells.mean(numeric_only=True)
    cells = label(all_cells["cells"].iloc[0])
    words = f"{name}, {cells}: the 90% intervals hold {means['coverage']:.0%} of measured values"
    if len(by_group):
        shares = _range(by_group.groupby("group")["coverage"].mean())
        words += f" ({shares} by group of {MIN_CELLS} cells or more)"
    words += f", and in native units {means['coverage_native']:.0%}"
    if np.isfinite(means["total_ratio"]):
        words += f". Imputed counts sum to {means['total_ratio']:.2f} of the measured ones"
    if np.isfinite(means["median_ratio"]):
        words += (
            f"; of {means['n_features']:,.0f} features with {MIN_COUNTS} counts or more the median ratio of "
            f"means is {means['median_ratio']:.2f}, and {means['share_close']:.0%} lie within "
            f"{CLOSE[0]} to {CLOSE[1]} (training means, without any model: "
            f"{means['median_ratio_of_mean']:.2f} and {means['share_close_of_mean']:.0%})"
        )
    if np.isnan(means["usable"]):
        words += (
            f". Which features are imputed better than by their mean cannot be told from "
            f"{means['n_pairs']:.0f} left-out pairs"
        )
    else:
        words += (
            f". {means['usable']:.0%} of features are imputed better than by their mean over all cells, "
            "beyond chance"
        )
    if by_group["usable"].notna().any():
        words += f", and {by_group['usable'].mean():.0%} better than by the mean of a cell's own group"
    if np.isnan(means["unlike"]):
        return f"{words}."
    return f"{words}. {means['unlike']:.0%} of these cells are called unlike training (expected: 5%)."


def warnings(groups: pd.DataFrame) -> list[str]:
    """Sentences about what a reader should not pass over; none where all is as promised."""
    found = []
    for modality, rows in groups[groups["status"] == c.OK].groupby("modality", sort=False):
        means = rows[rows["group"] == EVERYONE].mean(numeric_only=True)
        for column, what in (("coverage", ""), ("coverage_native", " in native units")):
            if means[column] < LEAST_COVERAGE:
                found.append(
                    f"The 90% intervals of {label(modality)}{what} hold only {means[column]:.0%} of values."
                )
        if means["n_pairs"] < MIN_GROUP:
            found.append(
                f"Intervals of {label(modality)} rest on {means['n_pairs']:.0f} left-out pairs and are wide; "
                "which of its features are imputed better than by their mean cannot be told from so few."
            )
        if means["unlike"] > MOST_UNLIKE:
            found.append(
                f"{means['unlike']:.0%} of the cells that {label(modality)} was imputed for are unlike the "
                "training cells (5% would be expected): distrust their values."
            )
        if means["usable"] <= BY_CHANCE:
            found.append(
                f"Only {means['usable']:.0%} of the features of {label(modality)} are imputed better than by "
                "their mean, and 5% would be chance: use none of its values."
            )
    return found
