"""What a reader of the first page should distrust: sentences about the run and about weak scores."""

from __future__ import annotations

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie import unmade
from jamie.evaluation import calibration, paired
from jamie.evaluation.phrases import as_it_is, label, ok_values, score_name, strictest_cells
from jamie.metrics.base import load_metrics
from jamie.metrics.comparison import BETTER, WORSE, paired_difference
from jamie.metrics.score import NO_BATCHES
from jamie.report.facts import Facts

TYPES_ALIGNED = 0.8  # of the way from the floor of label transfer to its reference
RANKS_CELLS, RANKS_WELL = (
    0.1,
    0.3,
)  # Pearson's r from which imputed values rank cells weakly, and so as to use it
HARDLY_ALIGNED = 0.3  # FOSCTTM
BATCHES_APART = 0.5  # batch mixing
FEW_CELLS, FEW_PAIRS = 100, 200
EXPLAINS_LITTLE = 0.1  # R2
DECIDING_PAIRS = 20
DECIDING_ERROR = 1 / np.sqrt(12 * DECIDING_PAIRS)  # of the mean of as many shares, if they are spread evenly


def what_to_distrust(part: pd.DataFrame, fact: Facts, shown: list[str], held_out: float) -> list[str]:
    """The list under *What to distrust*.

    Parameters
    ----------
    part
        METRIC_COLUMNS of one dataset and scenario.
    fact
        Its numbers of cells and pairs.
    shown
        Name of the method the page is about, in a list; may be empty.
    held_out
        Share of the cells with both modalities that is held out.
    """
    cells = strictest_cells(part)
    rows = part[part["cells"] == cells]
    warnings = [as_it_is(told.sentence()) for told in fact.findings if told.severity == c.WARNING]
    warnings += _about_the_run(fact, cells, rows["seed"].nunique())
    for name in shown:
        warnings += _weak_scores(rows, name, paired.split_ratio(cells, held_out))
    if fact.values is not None:
        warnings += [as_it_is(words) for words in calibration.warnings(fact.values)]
    warnings += _what_is_missing(part, rows)
    warnings.append(
        "Imputed values are conditional means: they vary less than measured ones, and what one modality does "
        "not show cannot be imputed from it."
    )
    return ["**What to distrust.**\n", "\n".join(f"- {w}" for w in warnings) + "\n"]


def _about_the_run(fact: Facts, cells: str, n_seeds: int) -> list[str]:
    """Sentences about seeds, cells and pairs."""
    n_test = max(fact.n_test.values())
    of = {c.TEST: n_test, c.HIDDEN: fact.n_hidden + fact.n_wrong, c.ALL: fact.n_pairs}
    n_scored = of.get(cells, fact.n_known - fact.n_wrong)
    warnings = []
    if n_seeds == 1:
        warnings.append("There is one seed, so no score has a spread: differences may be chance.")
    if not n_test:
        warnings.append(
            "No cell was held out: these scores are of cells the methods were fitted on, and flatter them. "
            "Run a `paired_*` scenario to know how it does on new cells."
        )
    if 0 < n_scored < FEW_CELLS:
        warnings.append(
            f"Scores rest on {n_scored} cells per seed: a share of so few has a standard error of up to "
            f"{0.5 / np.sqrt(n_scored):.2f}."
        )
    if fact.n_pairs == 0:
        warnings.append("No cell is known to be in both modalities, so neither output can be checked.")
    if fact.n_known == 0 and fact.estimates:
        warnings.append(_without_pairs(fact.estimates))
    elif fact.n_pairs and fact.n_known < FEW_PAIRS:
        warnings.append(f"Only {fact.n_known} pairs were known in training.")
    return warnings


def _without_pairs(estimates: list[dict]) -> str:
    """What a match without any known pair is worth, by the evidence of the first seed."""
    why = as_it_is(estimates[0]["reason"])
    if all(e["used"] for e in estimates):
        return (
            f"No pair was known: {why}. That cells are matched better than at random is all this says; "
            f"{DECIDING_PAIRS} known pairs would tell how well, FOSCTTM to about ± {DECIDING_ERROR:.2f}."
        )
    return (
        f"**No pair was known, and nothing shows that the modalities were matched rightly** ({why}): do not "
        f"use the joint embedding or imputed values of this scenario. {DECIDING_PAIRS} known pairs would "
        "match them and tell how well; so may `linked_features:` of the dataset."
    )


def types_are_aligned(rows: pd.DataFrame, name: str) -> bool:
    """Whether label transfer comes near its reference, as measured from its floor; False without a floor.

    Where one type is most of the cells, chance alone transfers most labels: a share by itself says nothing.
    """
    means = {m: ok_values(rows, m).get(("lta", "")) for m in dict.fromkeys(rows["method"])}
    means = {m: values.mean() for m, values in means.items() if values is not None}
    floors = [value for m, value in means.items() if m.startswith("floor")]
    if name not in means or not floors:
        return False
    reach = means.get("ceiling", load_metrics()["lta"].perfect) - max(floors)
    return bool(reach > 0 and means[name] - max(floors) >= TYPES_ALIGNED * reach)


def _weak_scores(rows: pd.DataFrame, name: str, ratio: float) -> list[str]:
    """Sentences about scores of ``name`` that a reader should not pass over."""
    own = ok_values(rows, name)
    found = []
    if ("foscttm", "") in own and (mean := own["foscttm", ""].mean()) > HARDLY_ALIGNED:
        found.append(
            f"Partners of single cells are hardly found (FOSCTTM {mean:.2f}; chance is 0.5): the joint space "
            "tells types, not single cells."
            if types_are_aligned(rows, name)
            else f"The modalities are hardly aligned (FOSCTTM {mean:.2f}; chance is 0.5)."
        )
    apart = {m: v.mean() for (score, m), v in own.items() if score == "batch_mixing" and m}
    if apart := {m: mean for m, mean in apart.items() if mean < BATCHES_APART}:
        shares = " and ".join(f"{mean:.2f} for {label(m)}" for m, mean in apart.items())
        found.append(
            "**Batches lie apart in the joint space**: among the neighbours of a cell, those of its type "
            f"from other batches are {shares} of what is expected (1: they mix). What looks like a group of "
            "cells there may be a batch."
        )
    for modality in [modality for metric, modality in own if metric == "r2"]:
        found += _explained(own, modality)
    by_score = paired.by_seed(rows)
    for modality in [modality for metric, modality in own if metric == "pearson"]:
        found += _against_types(by_score["pearson", modality], name, modality, ratio)
    beaten = [
        _beaten(by_score[score], name, score, ratio)
        for score in own
        if score[0] in ("foscttm", "pearson", "pearson_within", "r2_median") or score == ("lta", "")
    ]
    if any(beaten):
        found.append(f"{label(name)} is worse than another method on: {'; '.join(filter(None, beaten))}.")
    return found


def _explained(own: dict, modality: str) -> list[str]:
    """What R2 of one imputed modality says; its median over features decides where there is one."""
    what, mean, r = label(modality), own["r2", modality].mean(), own.get(("pearson", modality))
    r = r.mean() if r is not None else 0.0
    if ("r2_median", modality) not in own:
        if mean > 0:
            words = _little(what, mean, "of a feature's variance on average")
            return [words] if mean < EXPLAINS_LITTLE else []
        return [
            f"On average over features {what} imputed is no nearer to the measured values than their mean "
            f"(R² {mean:z.2f}), which a few features far off can do: see `feature_scores.tsv` before using "
            "them."
        ]
    median = own["r2_median", modality].mean()
    if median <= 0:
        return [
            f"At least half of the features of {what} are imputed no nearer to the measured values than "
            f"their mean (median R² {median:z.2f}): {_use_of_ranks(r)}."
        ]
    found = [_little(what, median, "of the variance of a median feature")] if median < EXPLAINS_LITTLE else []
    if mean <= 0:
        found.append(
            f"The mean R² of {what} ({mean:z.2f}) is that of some features far off; of the median feature "
            f"it is {median:z.2f}. `feature_scores.tsv` names them."
        )
    return found


def _little(what: str, value: float, of: str) -> str:
    share = f"{value:.0%}" if value >= 0.01 else "less than 1%"
    return f"{what}: imputation explains {share} {of}."


def _use_of_ranks(r: float) -> str:
    if r >= RANKS_WELL:
        return f"the ranking of cells may be used (r = {r:.2f}), not the values"
    if r >= RANKS_CELLS:
        return f"they rank cells weakly (r = {r:.2f}), and their values should not be used"
    return f"use neither values nor their ranking (r = {r:z.2f})"


def _against_types(scores: pd.DataFrame, name: str, modality: str, ratio: float) -> list[str]:
    """That imputation is not better than the mean of the predicted cell type, where that was run."""
    if "floor_type" not in scores:
        return []
    gap = paired_difference(
        scores[name], scores["floor_type"], better=load_metrics()["pearson"].better, test_over_train=ratio
    )
    if gap.verdict == BETTER:
        return []
    worse = "is worse than" if gap.verdict == WORSE else "cannot be told from"
    return [
        f"{label(modality)} as imputed {worse} the mean of the predicted cell type by Pearson r "
        f"(difference {paired.interval_alone(gap)})."
    ]


def _beaten(scores: pd.DataFrame, name: str, score: tuple[str, str], ratio: float) -> str:
    """The best of the methods that ``name`` is told to be worse than; empty if there is none."""
    if score[0] not in load_metrics():
        return ""
    better = load_metrics()[score[0]].better
    gaps = paired.against(scores, name, better, ratio)
    means = {m: scores[m].mean() for m, gap in gaps.items() if gap.verdict == WORSE}
    if not means:
        return ""
    best = min(means, key=means.get) if better == "lower" else max(means, key=means.get)
    said = f"{label(best)} {means[best]:z.3f}, {label(name)} {scores[name].mean():z.3f}"
    return f"{as_it_is(score_name(*score))} ({said})"


def _what_is_missing(part: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """Methods that were excluded or failed, each with its reason, and scores that do not apply."""
    gone, partly = [], []
    for method, own in part.fillna({"reason": ""}).groupby("method", sort=False):
        without = own[own["status"].isin((c.EXCLUDED, c.FAILED))]
        if without.empty:
            continue
        reasons = unmade.alike(f"{row.status}: {row.reason}" for row in without.itertuples(index=False))
        why = as_it_is("; ".join(reasons))
        n_ok = own.loc[own["status"] == c.OK, "seed"].nunique()
        if n_ok:
            partly.append(f"{label(method)} in {n_ok} of {own['seed'].nunique()} ({why})")
        else:
            gone.append(f"{label(method)} ({why})")
    found = [f"Without scores, and so compared with nothing: {'; '.join(gone)}."] if gone else []
    found += [f"With scores of some seeds only: {'; '.join(partly)}."] if partly else []
    reasons = set(rows.loc[rows["status"] == c.NOT_APPLICABLE, "reason"].dropna())
    if reasons := sorted(reasons - {"method does not embed", "method does not impute", NO_BATCHES}):
        found.append("Some scores do not apply: " + as_it_is("; ".join(unmade.alike(reasons))) + ".")
    return found
