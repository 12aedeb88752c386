"""The table of results as markdown, and how it gets into a document between two markers.

``python -m jamie.report.results_table results/table.md README.md`` puts the first into the second.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie import io, unmade
from jamie.data import batches
from jamie.errors import InputError
from jamie.evaluation import paired, roles
from jamie.evaluation.phrases import number, score_names, strictest_cells
from jamie.metrics.base import load_metrics

BEGIN = "<!-- results table: written by `make readme`, do not edit -->"
END = "<!-- end of the results table -->"
IMPUTED = {"pearson": "r", "pearson_within": "r within types", "r2_median": "R² (median)"}
HEAD = ["data", "method", "FOSCTTM ↓", "label transfer ↑"]
HEAD += [f"{score}, {modality} ↑" for modality in ("first modality", "second") for score in IMPUTED.values()]
REFERENCES = "floor, reference"
CELLS = {
    c.TEST: "held-out cells",
    c.HIDDEN: "hidden pairs, cells seen in training",
    c.PAIRED: "pairs shown, cells seen in training",
    c.ALL: "all cells seen in training",
}


def results_table(metrics: pd.DataFrame, scenarios: dict[str, dict]) -> str:
    """Mean and standard deviation over seeds of the main scores, as a markdown table with a line above it.

    A block of rows per dataset and scenario, on the strictest group of cells with scores: the methods (in
    bold the best mean of a score and those that the seeds cannot tell from it), then floor and reference in
    one row. Below the table, how the first method stands on each score, and the share of features on which it
    beats KNN.

    Parameters
    ----------
    metrics
        METRIC_COLUMNS of a whole run.
    scenarios
        Config entries of the scenarios.
    """
    rows = metrics.fillna({"modality": ""})
    lines, stands = [], []
    for (dataset, scenario), part in rows.groupby(["dataset", "scenario"], sort=False):
        missing = _reasons(part)
        strictest = part[part["cells"] == strictest_cells(part)]
        lines += _block(dataset, scenarios[scenario], strictest, missing)
        stands.append((dataset, scenario, strictest))
    n_seeds = metrics.groupby(["dataset", "scenario"])["seed"].nunique()
    seeds = number(n_seeds.max(), "seed")
    seeds = seeds if n_seeds.nunique() == 1 else f"{n_seeds.min()} to {seeds}"
    bold = (
        "Bold: the best mean of a score and every method that the data cannot tell from it (95 % interval "
        "of the difference, seed by seed, corrected for splits that share cells), among them any whose "
        "scores scatter too widely"
        if n_seeds.max() >= paired.MIN_SEEDS
        else "Nothing is bold: one seed cannot tell which of two methods is better"
    )
    intro = (
        f"Mean ± standard deviation over {seeds}. {bold}. Floor: the best of shuffled pairs, the mean of a "
        "feature, and the mean of the cell type that is predicted; reference: reads the truth, no bound, as "
        "a joint space can tell cell types apart better than measured values do; their means. r is "
        "Pearson's, mean over features; within types, of values less the mean of the cell's type (cluster, "
        "where there are no labels)."
    )
    table = [HEAD, ["---"] * len(HEAD), *lines]
    text = f"{intro}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in table)
    return text + _standings(rows, stands, scenarios) + _wins(rows)


def _standings(rows: pd.DataFrame, parts: list[tuple], scenarios: dict[str, dict]) -> str:
    """On how many main scores the first method is best, level with others, or worse, and on which."""
    method = roles.order_methods(rows["method"])[0]
    counts, said = dict.fromkeys((paired.BEST, paired.LEVEL, paired.BEHIND), 0), []
    for dataset, scenario, part in parts:
        found = paired.standings(part, method, scenarios[scenario]["held_out"])
        by_standing = {
            kind: [score for score in _scores(part) if found.get(score) == kind] for kind in counts
        }
        for kind, scores in by_standing.items():
            counts[kind] += len(scores)
        told = [kind for kind in (paired.BEST, paired.BEHIND) if by_standing[kind]]
        words = [f"{kind} on {score_names(by_standing[kind])}" for kind in told]
        n_level = len(by_standing[paired.LEVEL])
        words += [f"level on {n_level} more" if told else f"level on all {n_level}"] if n_level else []
        said += [f"`{dataset}`, `{scenario}`: {'; '.join(words)}"] if words else []
    if not said:
        return ""
    return (
        f"\nOf {number(sum(counts.values()), 'score')} {roles.label(method)} is better than every other "
        f"method on {counts[paired.BEST]}, cannot be told from the best on {counts[paired.LEVEL]} (level), "
        f"and is worse than another on {counts[paired.BEHIND]}. {'. '.join(said)}.\n"
    )


def _scores(part: pd.DataFrame) -> list[tuple[str, str]]:
    """The main scores as (metric, modality), in the order of the columns."""
    modalities = [m for m in dict.fromkeys(part["modality"]) if m]
    return [("foscttm", ""), ("lta", ""), *((score, m) for m in modalities for score in IMPUTED)]


def _wins(rows: pd.DataFrame) -> str:
    """Share of features that the first method imputes better than KNN on held-out cells, if there are any."""
    ok = rows[(rows["metric"] == "win_rate_knn") & (rows["status"] == c.OK) & (rows["cells"] == c.TEST)]
    own = ok[ok["method"] == roles.order_methods(rows["method"])[0]]
    parts = []
    for (dataset, scenario), part in own.groupby(["dataset", "scenario"], sort=False):
        means = part.astype({"value": float}).groupby("modality")["value"].mean()
        order = [m for m in dict.fromkeys(rows.loc[rows["dataset"] == dataset, "modality"]) if m in means]
        shares = " and ".join(f"{means[m]:.0%} of {roles.label(m)}" for m in order)
        parts.append(f"`{dataset}`, `{scenario}`: {shares}")
    if not parts:
        return ""
    method = roles.label(own["method"].iloc[0])
    return (
        f"\nFeatures of held-out cells with a higher r by {method} than by KNN (they vary together: a "
        f"count, no test): {'; '.join(parts)}.\n"
    )


def _reasons(part: pd.DataFrame) -> dict[str, str]:
    """Why a method has no scores at all, by method: excluded or failed, and the reason."""
    without = part.groupby("method")["status"].transform(lambda status: (status != c.OK).all())
    rows = part[without & part["status"].isin((c.EXCLUDED, c.FAILED))]
    words = rows["status"] + ": " + rows["reason"]
    return {m: "; ".join(unmade.alike(own)) for m, own in words.groupby(rows["method"], sort=False)}


def _block(dataset: str, scenario: dict, part: pd.DataFrame, missing: dict[str, str]) -> list[list[str]]:
    modalities = [m for m in dict.fromkeys(part["modality"]) if m]
    by_score = paired.by_seed(part)
    ratio = paired.split_ratio(part["cells"].iloc[0], scenario["held_out"])
    columns = [
        _column(by_score[score], load_metrics()[score[0]].better, ratio) if score in by_score else {}
        for score in _scores(part)
    ]
    names = ", ".join(roles.label(m) for m in modalities)
    title = f"`{dataset}` ({names}); {CELLS[part['cells'].iloc[0]]}, {_pairs(scenario)}"
    columns[0] |= missing
    methods = roles.order_methods([*part["method"], *missing])
    methods = [m for m in methods if not roles.is_control(m)]
    rows = [["", roles.label(m), *(column.get(m, "") for column in columns)] for m in methods]
    if any(REFERENCES in column for column in columns):
        rows.append(["", REFERENCES, *(column.get(REFERENCES, "") for column in columns)])
    rows[0][0] = title
    return [row + [""] * (len(HEAD) - len(row)) for row in rows]


def _column(scores: pd.DataFrame, better: str, ratio: float) -> dict[str, str]:
    """What stands in a score's column, by method. ``scores``: a row per seed, a column per method."""
    means, sds = scores.mean(), scores.std()
    level, cells = paired.level_with_best(scores, better, ratio), {}
    for method in [m for m in scores if not roles.is_control(m)]:
        text = f"{means[method]:z.3f}" + (f" ± {sds[method]:.3f}" if np.isfinite(sds[method]) else "")
        cells[method] = f"**{text}**" if method in level else text
    floors = means[means.index.str.startswith("floor")]
    references = [f"{floors.min() if better == 'lower' else floors.max():z.3f}"] if len(floors) else ["-"]
    references.append(f"{means['ceiling']:z.3f}" if "ceiling" in means else "-")
    controls = any(roles.is_control(m) for m in scores)
    return cells | ({REFERENCES: ", ".join(references)} if controls else {})


def _pairs(scenario: dict) -> str:
    known, wrong = scenario["known_pairs"], scenario["wrong_pairs"]
    words = {0: "no pair known", 1: "all pairs known"}.get(known, f"{known:.0%} of the pairs known")
    words += f", {wrong:.0%} of them wrong" if wrong else ""
    words += f", {batches.in_words(scenario['known_in'])} only" if scenario["known_in"] else ""
    return words + (", whole batches held out" if scenario["held_out_by"] else "")


def insert(document: str, table: str) -> str:
    """``document`` with ``table`` between the two markers, in place of what was there.

    Raises
    ------
    InputError
        The document does not hold each marker once, in order.
    """
    if document.count(BEGIN) != 1 or document.count(END) != 1 or document.index(BEGIN) > document.index(END):
        raise InputError(
            "The document has no place for the table of results",
            expected=f"one line {BEGIN!r} and, after it, one line {END!r}",
            found=f"{document.count(BEGIN)} and {document.count(END)} of them",
            change="put both lines where the table belongs",
        )
    before, rest = document.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table.strip()}\n\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Put a table (first argument) into a document (second argument)."""
    table, document = map(Path, sys.argv[1:])
    io.write_text(document, insert(document.read_text(), table.read_text()))


if __name__ == "__main__":
    main()
