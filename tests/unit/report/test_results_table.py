"""The table of results: what it says, and that it gets into a document and stays there."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jamie.contract import METRIC_COLUMNS
from jamie.errors import InputError
from jamie.report import results_table
from jamie.report.results_table import BEGIN, END, HEAD, insert

ROOT = Path(__file__).parents[3]
PLAIN = {"held_out_by": None, "known_in": None}
SCENARIOS = {
    "paired_100": {"held_out": 0.2, "known_pairs": 1.0, "wrong_pairs": 0.0} | PLAIN,
    "transductive_50": {"held_out": 0.0, "known_pairs": 0.5, "wrong_pairs": 0.25} | PLAIN,
}
NUMBER = r"-?\d\.\d{3}"
CELL = rf"(\*\*)?{NUMBER}( ± {NUMBER})?(\*\*)?"


def rows(method, metric, modality, values, scenario="paired_100", cells="test", dataset="toy"):
    table = pd.DataFrame({"value": values, "seed": range(len(values))})
    names = {"dataset": dataset, "scenario": scenario, "method": method, "cells": cells, "metric": metric}
    status = {"status": "ok", "reason": "", "modality": modality or np.nan}
    return table.assign(**names, **status).reindex(columns=list(METRIC_COLUMNS))


@pytest.fixture
def metrics():
    return pd.concat(
        [
            rows("knn", "pearson", "rna", [0.3, 0.3]),
            rows("knn", "pearson", "adt", [0.4, 0.5]),
            rows("jamie", "foscttm", "", [0.1, 0.2]),
            rows("jamie", "foscttm", "", [0.0, 0.0], cells="paired"),
            rows("jamie", "lta", "", [0.9, 0.9]),
            rows("jamie", "lta", "rna", [0.1, 0.1]),
            rows("jamie", "pearson", "rna", [0.3004, 0.3004]),
            rows("jamie", "pearson", "adt", [0.2, 0.2]),
            rows("jamie", "pearson_within", "rna", [0.15, 0.15]),
            rows("jamie", "r2", "rna", [-9.0, 0.1]),
            rows("jamie", "r2_median", "rna", [0.08, 0.08]),
            rows("jamie", "win_rate_knn", "rna", [0.9, 0.92]),
            rows("jamie", "win_rate_knn", "adt", [0.1, 0.1]),
            rows("cca", "foscttm", "", [0.3, 0.3]),
            rows("floor_mean", "pearson", "rna", [0.0, 0.0]),
            rows("floor_shuffled", "pearson", "rna", [-0.1, -0.1]),
            rows("floor_shuffled", "foscttm", "", [0.5, 0.51]),
            rows("ceiling", "foscttm", "", [0.0, 0.0]),
            rows("ceiling", "pearson", "rna", [1.0, 1.0]),
            rows("jamie", "foscttm", "", [0.25], "transductive_50", "hidden"),
            rows("jamie", "foscttm", "", [0.05], "transductive_50", "all"),
            rows("jamie", "pearson", "rna", [0.25], "transductive_50", "hidden"),
        ],
        ignore_index=True,
    )


def lines_of(text: str) -> list[list[str]]:
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in lines]


def test_the_table_by_hand(metrics):
    text = results_table.results_table(metrics, SCENARIOS)
    hidden = "hidden pairs, cells seen in training, 50% of the pairs known, 25% of them wrong"
    assert lines_of(text) == [
        HEAD,
        ["---"] * 10,
        [
            "`toy` (RNA, ADT (protein)); held-out cells, all pairs known",
            "JAMIE",
            "**0.150 ± 0.071**",  # lower is better
            "0.900 ± 0.000",  # alone: nothing to be best of
            *("**0.300 ± 0.000**", "0.150 ± 0.000", "0.080 ± 0.000"),  # r, r within types, R2
            *("**0.200 ± 0.000**", "", ""),
        ],
        ["", "CCA", "**0.300 ± 0.000**", *[""] * 7],  # two seeds cannot tell these apart
        ["", "KNN", "", "", "**0.300 ± 0.000**", "", "", "**0.450 ± 0.071**", "", ""],
        ["", "floor, reference", "0.505, 0.000", "", "0.000, 1.000", *[""] * 5],
        [f"`toy` (RNA); {hidden}", "JAMIE", "0.250", "", "0.250", *[""] * 5],
    ]


def test_the_table_says_seeds_and_wins(metrics):
    text = results_table.results_table(metrics, SCENARIOS)
    assert text.startswith("Mean ± standard deviation over 1 to 2 seeds.")
    assert text.endswith(
        "\nFeatures of held-out cells with a higher r by JAMIE than by KNN (they vary together: a count, "
        "no test): `toy`, `paired_100`: 91% of RNA and 10% of ADT (protein).\n"
    )
    some = metrics[metrics["scenario"] == "paired_100"]
    assert results_table.results_table(some, SCENARIOS).startswith("Mean ± standard deviation over 2 seeds.")
    without = results_table.results_table(some[some["metric"] != "win_rate_knn"], SCENARIOS)
    assert "than by KNN" not in without


@pytest.fixture
def three():
    """Three seeds on other splits: JAMIE leads on FOSCTTM, is level on r of RNA and behind on r of ADT."""
    return pd.concat(
        [
            rows("jamie", "foscttm", "", [0.10, 0.20, 0.15]),
            rows("cca", "foscttm", "", [0.15, 0.24, 0.20]),
            rows("jamie", "pearson", "rna", [0.30, 0.30, 0.33]),
            rows("cca", "pearson", "rna", [0.28, 0.31, 0.30]),
            rows("knn", "pearson", "rna", [0.20, 0.21, 0.22]),
            rows("jamie", "pearson", "adt", [0.30, 0.32, 0.34]),
            rows("cca", "pearson", "adt", [0.35, 0.37, 0.40]),
            rows("ceiling", "pearson", "adt", [1.0, 1.0, 1.0]),
            rows("jamie", "lta", "", [0.9, 0.9, 0.9]),
        ],
        ignore_index=True,
    )


def test_bold_is_what_the_seeds_cannot_tell_from_the_best(three):
    """Spreads over seeds overlap on every score; the differences seed by seed do not."""
    text = results_table.results_table(three, SCENARIOS)
    _, _, jamie, cca, knn, _ = lines_of(text)
    assert [cell.startswith("**") for cell in jamie[2:] if cell] == [True, False, True, False]
    assert [cell.startswith("**") for cell in cca[2:] if cell] == [False, True, True]
    assert not any(cell.startswith("**") for cell in knn)
    assert "every method that the data cannot tell from it" in text


def test_a_sentence_counts_where_the_first_method_is_best_level_or_worse(three):
    text = " ".join(results_table.results_table(three, SCENARIOS).split())
    assert (
        "Of 3 scores JAMIE is better than every other method on 1, cannot be told from the best on 1 "
        "(level), and is worse than another on 1. `toy`, `paired_100`: best on FOSCTTM; worse on Pearson r "
        "(ADT (protein)); level on 1 more." in text
    )


def test_one_seed_has_no_bold_and_no_standing(three):
    text = results_table.results_table(three[three["seed"] == 0], SCENARIOS)
    assert (
        "Nothing is bold: one seed cannot tell" in text
        and "**" not in text
        and "better than every" not in text
    )


def test_every_line_has_as_many_cells(metrics):
    assert {len(line) for line in lines_of(results_table.results_table(metrics, SCENARIOS))} == {10}


# --- into a document


DOCUMENT = f"# Title\n\nBefore.\n\n{BEGIN}\nold\n{END}\n\nAfter.\n"


def test_the_table_replaces_what_is_between_the_markers_and_nothing_else():
    once = insert(DOCUMENT, "| new |\n")
    assert once == f"# Title\n\nBefore.\n\n{BEGIN}\n\n| new |\n\n{END}\n\nAfter.\n"
    assert insert(once, "| new |\n") == once
    assert insert(insert(once, "| other |"), "| new |\n") == once


@pytest.mark.parametrize(
    "document",
    ["none", BEGIN, f"{END}\n{BEGIN}", f"{BEGIN}\n{END}\n{BEGIN}\n{END}", f"{BEGIN}\n{BEGIN}\n{END}"],
)
def test_a_document_without_one_place_for_it_is_refused(document):
    with pytest.raises(InputError, match="no place for the table of results"):
        insert(document, "| new |")


def test_the_command_writes_the_file(metrics, tmp_path, monkeypatch):
    (tmp_path / "table.md").write_text(results_table.results_table(metrics, SCENARIOS))
    (tmp_path / "doc.md").write_text(DOCUMENT)
    monkeypatch.setattr("sys.argv", ["results_table", str(tmp_path / "table.md"), str(tmp_path / "doc.md")])
    results_table.main()
    first = (tmp_path / "doc.md").read_text()
    results_table.main()
    assert (tmp_path / "doc.md").read_text() == first
    assert (tmp_path / "table.md").read_text().strip() in first


# --- README.md


def test_the_readme_holds_a_table_of_the_form_the_rule_writes():
    readme = (ROOT / "README.md").read_text()
    block = readme.split(BEGIN)[1].split(END)[0]
    assert insert(readme, block) == readme  # written by `insert`, and doing so again changes nothing
    assert re.match(r"Mean ± standard deviation over \d+( to \d+)? seeds?\.", block.strip())
    head, dashes, *lines = lines_of(block)
    assert head == HEAD and dashes == ["---"] * 10 and len(lines) > 3
    for title, method, *values in lines:
        assert title == "" or re.match(r"`\w+` \(.+, .+\); .+, .*(pairs|pair|known)", title), title
        pattern = rf"({NUMBER}|-), ({NUMBER}|-)" if method == results_table.REFERENCES else CELL
        if values[0].startswith("excluded: "):
            values = values[1:]
        assert all(re.fullmatch(pattern, value) for value in values if value), (method, values)
    # each block begins with its title, JAMIE first, and has a best method in bold
    assert [line[1] for line in lines if line[0]] == ["JAMIE"] * sum(bool(line[0]) for line in lines)
    assert sum("**" in "".join(line) for line in lines) >= sum(bool(line[0]) for line in lines)


def test_a_method_that_was_excluded_says_why(metrics):
    excluded = rows("slow", "foscttm", "", [np.nan, np.nan], cells="all")
    excluded = excluded.assign(status="excluded", reason="takes at most 10 cells, there are 99")
    text = results_table.results_table(pd.concat([metrics, excluded]), SCENARIOS)
    (line,) = [line for line in lines_of(text) if line[1].strip() == "slow"]
    assert [cell.strip() for cell in line[2:]] == [
        "excluded: takes at most 10 cells, there are 99",
        *[""] * 7,
    ]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "all pairs known"),
        ({"known_in": 1}, "all pairs known, in one batch only"),
        ({"known_in": ["p1", "p2"]}, "all pairs known, in batch p1, p2 only"),
        ({"held_out_by": "batch"}, "all pairs known, whole batches held out"),
    ],
)
def test_what_a_scenario_of_batches_shows_and_holds_out_is_said(changed, words):
    assert results_table._pairs(SCENARIOS["paired_100"] | changed) == words
