"""The table of results as markdown, and how it gets into a document between two markers.

``python -m jamie.report.results_table results/table.md README.md`` puts the first into the second.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie import io
from jamie.errors import InputError
from jamie.evaluation import roles
from jamie.evaluation.phrases import number, strictest_cells
from jamie.metrics.base import load_metrics

BEGIN = "<!-- results table: written by `make readme`, do not edit -->"
END = "<!-- end of the results table -->"
HEAD = ["data", "method", "FOSCTTM ↓", "label transfer ↑", "r, first modality ↑", "r, second modality ↑"]
BOUNDS = "floor, ceiling"
CELLS = {
    c.TEST: "held-out cells",
    c.HIDDEN: "hidden pairs, cells seen in training",
    c.PAIRED: "pairs shown, cells seen in training",
    c.ALL: "all cells seen in training",
}


def results_table(metrics: pd.DataFrame, scenarios: dict[str, dict]) -> str:
    """Mean and standard deviation over seeds of the main scores, as a markdown table with a line above it.

    A block of rows per dataset and scenario, on the strictest group of cells with scores: the methods (the
    best of a score in bold, and those that equal it to three digits), then floor and ceiling in one row.
    Below the table, the share of features on which the first method beats KNN.

    Parameters
    ----------
    metrics
        METRIC_COLUMNS of a whole run.
    scenarios
        Config entries of the scenarios.
    """
    rows = metrics.fillna({"modality": ""})
    lines = []
    for (dataset, scenario), part in rows.groupby(["dataset", "scenario"], sort=False):
        missing = _reasons(part)
        lines += _block(dataset, scenarios[scenario], part[part["cells"] == strictest_cells(part)], missing)
    n_seeds = metrics.groupby(["dataset", "scenario"])["seed"].nunique()
    seeds = number(n_seeds.max(), "seed")
    seeds = seeds if n_seeds.nunique() == 1 else f"{n_seeds.min()} to {seeds}"
    intro = (
        f"Mean ± standard deviation over {seeds}. Bold: the best method of a score. Floor (shuffled "
        "pairs or the mean of a feature) and ceiling (the measured values themselves) are references, no "
        "bounds: a joint space can tell cell types apart better than measured values do. Their means are "
        "given. r is Pearson's, mean over features."
    )
    table = [HEAD, ["---"] * len(HEAD), *lines]
    text = f"{intro}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in table)
    return text + _wins(rows)


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
    return f"\nFeatures of held-out cells that {method} imputes better than KNN: {'; '.join(parts)}.\n"


def _reasons(part: pd.DataFrame) -> dict[str, str]:
    """Why a method has no scores at all, by method: excluded or failed, and the reason."""
    without = part.groupby("method")["status"].transform(lambda status: (status != c.OK).all())
    rows = part[without & part["status"].isin((c.EXCLUDED, c.FAILED))]
    return {row.method: f"{row.status}: {row.reason}" for row in rows.itertuples(index=False)}


def _block(dataset: str, scenario: dict, part: pd.DataFrame, missing: dict[str, str]) -> list[list[str]]:
    modalities = [m for m in dict.fromkeys(part["modality"]) if m]
    scores = [("foscttm", ""), ("lta", ""), *(("pearson", m) for m in modalities)]
    ok = part[part["status"] == c.OK].astype({"value": float})
    by_score = ok.groupby(["metric", "modality", "method"])["value"].agg(["mean", "std"])
    scored = set(by_score.index.droplevel("method"))
    columns = [
        _column(by_score.loc[score], load_metrics()[score[0]].better) if score in scored else {}
        for score in scores
    ]
    names = ", ".join(roles.label(m) for m in modalities)
    title = f"`{dataset}` ({names}); {CELLS[part['cells'].iloc[0]]}, {_pairs(scenario)}"
    columns[0] |= missing
    methods = roles.order_methods([*part["method"], *missing])
    methods = [m for m in methods if not roles.is_control(m)]
    rows = [["", roles.label(m), *(column.get(m, "") for column in columns)] for m in methods]
    if any(BOUNDS in column for column in columns):
        rows.append(["", BOUNDS, *(column.get(BOUNDS, "") for column in columns)])
    rows[0][0] = title
    return [row + [""] * (len(HEAD) - len(row)) for row in rows]


def _column(found: pd.DataFrame, better: str) -> dict[str, str]:
    """What stands in a score's column, by method. ``found``: mean and std by method."""
    best_of = pd.Series.min if better == "lower" else pd.Series.max
    controls = np.array([roles.is_control(m) for m in found.index])
    means = found["mean"] + 0.0  # never "-0.000"
    best = f"{best_of(means[~controls]):.3f}" if (~controls).sum() > 1 else ""
    cells = {}
    for method in found.index[~controls]:
        sd, mean = found.loc[method, "std"], f"{means[method]:.3f}"
        text = mean + (f" ± {sd:.3f}" if np.isfinite(sd) else "")
        cells[method] = f"**{text}**" if mean == best else text
    floors = means[found.index.str.startswith("floor")]
    bounds = [f"{best_of(floors):.3f}"] if len(floors) else ["-"]
    bounds.append(f"{means['ceiling']:.3f}" if "ceiling" in means else "-")
    return cells | ({BOUNDS: ", ".join(bounds)} if controls.any() else {})


def _pairs(scenario: dict) -> str:
    known, wrong = scenario["known_pairs"], scenario["wrong_pairs"]
    words = {0: "no pair known", 1: "all pairs known"}.get(known, f"{known:.0%} of the pairs known")
    return words + (f", {wrong:.0%} of them wrong" if wrong else "")


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
