"""The first page of the report: the right numbers, and a warning exactly when due."""

import dataclasses
from html import unescape

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jamie.contract import ALL, HIDDEN, NOTICE, PAIRED, TEST, WARNING
from jamie.data import findings
from jamie.data.correspondence import Correspondence
from jamie.evaluation import phrases
from jamie.report import first_page
from shared.pages import GOOD, html_of, problems_of, table

FACTS = first_page.Facts({"rna": 1100, "atac": 1050}, {"rna": 210, "atac": 210}, n_pairs=1010, n_known=400)
GENERAL = "Imputed values are conditional means"
NOTHING_HELD_OUT = first_page.Facts(FACTS.n_cells, {"rna": 0, "atac": 0}, n_pairs=1010, n_known=1010)
HALF_HIDDEN = first_page.Facts(FACTS.n_cells, {"rna": 0, "atac": 0}, n_pairs=1010, n_known=505)


def changed(method: str, metric: str, modality: str, values: tuple) -> dict:
    """The good scores with one of them another."""
    return GOOD | {method: GOOD[method] | {(metric, modality): values}}


def page(metrics, facts=FACTS, *, seeds=(0, 1), shown=("jamie",), infos=(), description="Some cells."):
    return first_page.first_page(
        metrics,
        {("toy_data", "paired_50"): facts},
        datasets={"toy_data": {"description": description}},
        scenarios={"paired_50": {"held_out": 0.2, "known_pairs": 0.5}},
        seeds=list(seeds),
        shown=list(shown),
        infos=list(infos),
    )


def bullets(text: str) -> list[str]:
    """The list under *What to distrust*."""
    part = text.split("**What to distrust.**")[1].split("How it ran")[0]
    return [line[2:] for line in part.splitlines() if line.startswith("- ")]


def cells_of(text: str) -> list[list[str]]:
    """Rows of the first list-table."""
    rows: list[list[str]] = []
    for line in text.split(".. list-table::")[1].splitlines():
        if line.startswith("   * - "):
            rows.append([])
        if line.startswith(("   * - ", "     - ")):
            rows[-1].append(line[7:])
    return rows


# --- the numbers of the first page


def test_the_table_quotes_means_and_spreads_and_who_is_best():
    rows = cells_of(page(table(GOOD)))
    equal = "(equal in all seeds): cannot tell"
    assert rows == [
        [
            *("score", "better", "JAMIE", "best other method", "difference (95 % interval)"),
            *("best floor", "reference"),
        ],
        [
            *("FOSCTTM", "lower", "0.120 ± 0.028", "0.220 ± 0.028 (CCA)", f"-0.100 {equal}"),
            *("0.510 ± 0.014 (floor: shuffled pairs)", "0.000 ± 0.000"),
        ],
        [
            *("Pearson r, RNA", "higher", "0.510 ± 0.014", "0.420 ± 0.014 (KNN)", f"+0.090 {equal}"),
            *("n/a", "1.000 ± 0.000"),
        ],
        [
            *("R² (median), RNA", "higher", "0.260 ± 0.014", "0.160 ± 0.014 (KNN)", f"+0.100 {equal}"),
            # the floor of a score is the best of the floors
            *("0.000 ± 0.000 (floor: feature mean)", "1.000 ± 0.000"),
        ],
        ["Pearson r within types, RNA", "higher", "0.210 ± 0.014", "n/a", "n/a", "n/a", "n/a"],
    ]


@pytest.mark.parametrize(
    ("foscttm", "said"), [(0.00031, "0.031%"), (0.018, "1.8%"), (0.125, "12%"), (0.0, "0%")]
)
def test_the_main_number_has_two_digits_however_small(foscttm, said):
    text = page(table(changed("jamie", "foscttm", "", (foscttm, foscttm))))
    assert f"on average {said} of the other modality's cells lie closer" in text


def test_one_seed_has_no_spread():
    rows = cells_of(page(table(GOOD, n_seeds=1), seeds=[0]))
    gap = "-0.100 (one seed): cannot tell"
    assert rows[1][2:] == ["0.100", "0.200 (CCA)", gap, "0.500 (floor: shuffled pairs)", "0.000"]


def test_the_page_counts_methods_cells_and_pairs():
    text = page(table(GOOD))
    controls = "3 controls (floor: feature mean, floor: shuffled pairs, reference: truth)"
    assert f"3 methods (JAMIE, KNN, CCA) and {controls} were run on" in text
    assert "1 dataset in 1 scenario with 2 seeds" in text
    assert "It has 1,100 cells with RNA and 1,050 cells with ATAC; 1,010 cells have both." in text
    assert "210 of these were held out." in text
    assert "400 were shown to the methods and 400 hidden" in text


def test_the_page_says_what_fits_cost():
    fit = {"n_epochs": 90, "fit_s": 20.0, "device": "cpu", "peak_rss_mb": 500.0}
    other = {"device": "cpu", "peak_rss_mb": 1234.4}
    text = page(table(GOOD), infos=[fit, fit | {"fit_s": 30.0}, other])
    assert "2 fits of JAMIE took 25 s each (median) on cpu; the largest of all fits used 1,234 MB." in text
    assert "of JAMIE took" not in page(table(GOOD), infos=[other])


def test_the_page_says_whether_settings_were_tuned():
    assert "No setting was tuned: each method ran with its defaults" in page(table(GOOD))
    text = page(table(GOOD), infos=[{"peak_rss_mb": 1.0, "tuned": {"budget": 8, "reason": ""}}])
    assert "8 trials for each method (`results/settings.tsv`)" in text and "No setting" not in text
    assert not problems_of(text)


def test_without_jamie_the_first_method_is_the_one_reported():
    scores = {m: v for m, v in GOOD.items() if m != "jamie"}
    rows = cells_of(page(table(scores), shown=[]))
    assert rows[0][2] == "KNN"
    assert rows[1] == [
        "Pearson r, RNA",
        "higher",
        "0.420 ± 0.014",
        "0.310 ± 0.014 (CCA)",
        "+0.110 (equal in all seeds): cannot tell",
        "n/a",
        "1.000 ± 0.000",
    ]


def test_the_strictest_cells_that_have_scores_are_reported():
    test, hidden = table(GOOD, TEST), table(changed("jamie", "foscttm", "", (0.3, 0.3)), HIDDEN)
    assert phrases.strictest_cells(pd.concat([hidden, test])) == TEST
    assert cells_of(page(pd.concat([hidden, test])))[1][2] == "0.120 ± 0.028"
    not_scored = test.assign(status="not_applicable", value=np.nan, reason="why")
    assert phrases.strictest_cells(pd.concat([not_scored, hidden])) == HIDDEN
    assert phrases.strictest_cells(pd.concat([table(GOOD, PAIRED), table(GOOD, ALL)])) == ALL


def test_a_run_without_any_score_says_why():
    metrics = table(GOOD, ALL).assign(
        status="not_applicable", value=np.nan, reason="no pairs with known truth"
    )
    text = page(metrics, first_page.Facts({"rna": 50, "atac": 40}, {"rna": 0, "atac": 0}, 0, 0))
    assert "No score applies: no pairs with known truth." in text
    assert "No cell was held out." in text
    assert not problems_of(text)


# --- what to distrust


def test_good_scores_raise_no_warning_but_the_general_one():
    found = bullets(page(table(GOOD)))
    assert len(found) == 1 and found[0].startswith(GENERAL)


@pytest.mark.parametrize(
    ("metrics", "options", "warning"),
    [
        (table(GOOD, n_seeds=1), {"seeds": [0]}, "There is one seed"),
        (table(GOOD, ALL), {"facts": NOTHING_HELD_OUT}, "No cell was held out"),
        (table(GOOD, HIDDEN), {"facts": HALF_HIDDEN}, "No cell was held out"),
        (
            table(GOOD, HIDDEN),
            {"facts": first_page.Facts(FACTS.n_cells, FACTS.n_test, 610, 370)},
            "Scores rest on 30 cells per seed",
        ),
        (
            table(GOOD),
            {"facts": first_page.Facts(FACTS.n_cells, {"rna": 60, "atac": 60}, 1010, 400)},
            "Scores rest on 60 cells per seed",
        ),
        (
            table(GOOD),
            {"facts": first_page.Facts(FACTS.n_cells, FACTS.n_test, 1010, 199)},
            "Only 199 pairs were known in training",
        ),
        (
            table(GOOD),
            {"facts": first_page.Facts(FACTS.n_cells, FACTS.n_test, 0, 0)},
            "No cell is known to be in both modalities",
        ),
        (
            table(changed("jamie", "r2_median", "rna", (-0.1, 0.1))),
            {},
            "At least half of the features of RNA are imputed no nearer",
        ),
        (
            table(changed("jamie", "r2_median", "rna", (0.0, -0.06))),
            {},
            "At least half of the features of RNA are imputed no nearer",
        ),
        (table(changed("jamie", "r2_median", "rna", (0.08, 0.1))), {}, "RNA: imputation explains 9%"),
    ],
)
def test_a_warning_comes_when_it_is_due_and_alone(metrics, options, warning):
    found = bullets(page(metrics, **options))
    assert len(found) == 2
    assert found[0].startswith(warning) and found[1].startswith(GENERAL)


USED = {"used": True, "confidence": 0.9, "reason": "it brings 40 left-out pairs closer"}
UNUSED = {"used": False, "confidence": 0.2, "reason": "its confidence is too little"}


@pytest.mark.parametrize(
    ("estimates", "words"),
    [
        (
            [USED, USED],
            "Confidence 0.90; used in 2 of 2 seeds. First seed: it brings 40 left-out pairs closer.",
        ),
        ([UNUSED], "Confidence 0.20; used in 0 of 1 seed. First seed: its confidence is too little."),
        ([USED | {"used": False, "confidence": 1.0}], None),  # every pair is known
        ([UNUSED | {"confidence": None}], None),  # not asked for
    ],
)
def test_the_first_page_says_what_became_of_the_estimate(estimates, words):
    text = page(table(GOOD), dataclasses.replace(FACTS, estimates=estimates))
    assert ("Estimated correspondence" in text) == (words is not None)
    assert words is None or words in " ".join(text.split())
    assert not problems_of(text)


@pytest.mark.parametrize(
    ("estimates", "warning"),
    [
        ([USED, USED], f"No pair was known: {USED['reason']}. That cells are matched better than at random"),
        ([USED, UNUSED], "**No pair was known, and nothing shows that the modalities were matched rightly**"),
    ],
)
def test_without_pairs_the_page_says_what_shows_that_the_match_is_right(estimates, warning):
    facts = dataclasses.replace(FACTS, n_known=0, estimates=estimates)
    assert bullets(page(table(GOOD), facts))[0].startswith(warning)


def test_methods_that_reproduce_the_leak_are_told_by_their_options():
    infos = {
        "results/toy/paired_50/as_written/seed0/run_info.json": {"options": {"faults": ["leak"]}},
        "results/toy/paired_50/jamie/seed0/run_info.json": {"options": {"faults": []}},
        "results/toy/paired_50/knn/seed0/run_info.json": {"options": {"k": 5}},
    }
    assert first_page.leaking(infos) == ["as_written"]


@pytest.mark.parametrize("held_out", [0.2, 0.0])
def test_what_saw_held_out_cells_is_not_said_to_have_seen_training_cells_only(held_out):
    text = first_page.first_page(
        table(GOOD),
        {("toy_data", "paired_50"): FACTS},
        datasets={"toy_data": {"description": "d"}},
        scenarios={"paired_50": {"held_out": held_out, "known_pairs": 1.0}},
        seeds=[0],
        shown=["jamie"],
        infos=[],
        leaking=["jamie"],
    )
    assert ("but for those of JAMIE, which saw held-out cells" in text) == (held_out > 0)
    assert ("components and models were fitted on training cells only." in text) == (held_out == 0)
    assert "seen by its principal components, by no other fitted step" in text
    assert "never seen by any fitted step" not in text and not problems_of(text)


def test_modalities_that_are_hardly_aligned_are_a_warning():
    scores = changed("jamie", "foscttm", "", (0.4, 0.44)) | {"cca": {("foscttm", ""): (0.45, 0.45)}}
    found = bullets(page(table(scores)))
    assert found[0] == "The modalities are hardly aligned (FOSCTTM 0.42; chance is 0.5)." and len(found) == 2


def test_scores_that_do_not_apply_are_listed_with_their_reasons():
    missing = table({"unioncom": {("foscttm", ""): (np.nan,)}})
    missing = missing.assign(status="not_applicable", reason="no labels")
    expected = table({"knn": {("foscttm", ""): (np.nan,)}})
    expected = expected.assign(status="not_applicable", reason="method does not embed")
    found = bullets(page(pd.concat([table(GOOD), missing, expected])))
    assert found[0] == "Some scores do not apply: no labels." and len(found) == 2


# --- facts


def test_facts_are_counted_from_the_files():
    names = [f"c{i}" for i in range(6)]
    pairs = Correspondence(sparse.eye(6, 5).tocsr(), names, names[:5])
    known = Correspondence(sparse.diags([1, 1, 0, 0, 0, 0]) @ pairs.matrix, names, names[:5])
    roles = ["train"] * 4 + ["test"] * 2 + ["train"] * 4 + ["test"]
    split = pd.DataFrame({"modality": ["rna"] * 6 + ["adt"] * 5, "cell": [*names, *names[:5]], "role": roles})
    facts = first_page.Facts.of(split, known, pairs)
    # the sixth cell of RNA has no partner: it is held out, and no score is of it
    expected = {"n_test": {"rna": 1, "adt": 1}, "n_test_alone": 1, "n_pairs": 5, "n_known": 2}
    assert facts == first_page.Facts({"rna": 6, "adt": 5}, **expected)
    assert list(facts.n_cells) == ["rna", "adt"]


def test_without_any_pair_shown_none_is_wrong():
    names = list("abc")
    pairs, none = (Correspondence(m, names, names) for m in (sparse.eye(3), sparse.csr_matrix((3, 3))))
    split = pd.DataFrame({"modality": np.repeat(["rna", "adt"], 3), "cell": names * 2, "role": "train"})
    facts = first_page.Facts.of(split, none, pairs)
    assert (facts.n_known, facts.n_wrong, facts.n_hidden) == (0, 0, 3)


def test_wrong_pairs_are_counted_and_said_on_the_first_page():
    names = [f"c{i}" for i in range(8)]
    pairs = Correspondence(sparse.eye(8).tocsr(), names, names)
    shown = np.diag([1.0, 1, 1, 1, 1, 0, 0, 0])[[1, 0, 2, 3, 4, 5, 6, 7]]  # two of five exchanged
    split = pd.DataFrame({"modality": np.repeat(["rna", "adt"], 8), "cell": names * 2})
    split["role"] = (["train"] * 7 + ["test"]) * 2
    facts = first_page.Facts.of(split, Correspondence(shown, names, names), pairs)
    assert (facts.n_known, facts.n_wrong, facts.n_hidden) == (5, 2, 2)
    text = page(table(GOOD), facts)
    assert "5 were shown to the methods and 2 hidden. **2 of the 5 shown were wrong on purpose**" in text
    assert not problems_of(text)
    assert "wrong" not in page(table(GOOD))
    # scores of hidden pairs rest on the hidden and on the misled cells
    assert "Scores rest on 4 cells per seed" in page(table(GOOD, HIDDEN), facts)


def test_the_first_page_says_how_many_pairs_are_enough():
    said = first_page.first_page(
        table(GOOD),
        {("toy_data", "paired_50"): FACTS},
        datasets={"toy_data": {"description": ""}},
        scenarios={"paired_50": {"held_out": 0.2, "known_pairs": 0.5}},
        seeds=[0, 1],
        shown=["jamie"],
        infos=[],
        enough={"toy_data": "About 242 paired cells are enough here (JAMIE, 2 seeds)."},
    )
    assert "How many pairs are enough\n---" in said
    assert said.index("About 242 paired cells are enough here") < said.index("What was done")
    assert not problems_of(said)
    assert "How many pairs" not in page(table(GOOD))


# --- reStructuredText


@pytest.mark.parametrize(
    "metrics",
    [
        table(GOOD),
        table(GOOD, ALL, n_seeds=1),
        table(changed("jamie", "r2", "rna", (-0.5, -0.7))),
        table({"jamie": GOOD["jamie"]}),
    ],
)
def test_the_page_is_valid_restructured_text(metrics):
    seeds = sorted(metrics["seed"].unique())
    fit = {"n_epochs": 9, "fit_s": 2.0, "device": "cpu", "peak_rss_mb": 5.0}
    text = page(metrics, seeds=seeds, infos=[fit])
    html, problems = html_of(text)
    assert problems == ""
    assert "<h1" in html and html.count("<tr") == 1 + len(cells_of(text)[1:])
    assert html.count("<li>") == len(bullets(text))


@pytest.mark.parametrize(
    "description",
    [
        "CD4* cells of `two donors`.",
        "Cells_ of |donor| A_ and B__.",
        r"A back\slash and **one more.",
        "2*3 = 6 & <b>.",
    ],
)
def test_what_a_user_writes_is_shown_as_it_is(description):
    html, problems = html_of(page(table(GOOD), description=description))
    assert problems == ""
    assert description in unescape(" ".join(html.split()))


def test_names_may_end_in_an_underscore():
    metrics = table(GOOD).assign(dataset="mine_")
    text = first_page.first_page(
        metrics,
        {("mine_", "paired_50"): FACTS},
        datasets={"mine_": {"description": ""}},
        scenarios={"paired_50": {"held_out": 0.2, "known_pairs": 0.5}},
        seeds=[0, 1],
        shown=["jamie"],
        infos=[],
    )
    assert problems_of(text) == ""


def test_what_was_found_of_the_dataset_comes_first_and_as_it_is():
    told = [
        findings.Finding(
            WARNING, "Paired cells differ", "3 of 8 pairs: `x_` is *A*\n\n.. raw:: html", "", "y"
        ),
        findings.Finding(NOTICE, "rna: empty cells were left out (2: a_, b)", ""),
    ]
    text = page(table(GOOD), dataclasses.replace(FACTS, findings=told))
    assert bullets(text)[0] == (
        r"Paired cells differ: 3 of 8 pairs: \`x\_\` is \*A\* .. raw\:: html. What helps: y."
    )
    noticed = r"**Noticed in the data.** rna: empty cells were left out (2: a\_, b)."
    assert noticed in text and text.index(noticed) < text.index("**What to distrust.**")
    assert "Noticed" not in page(table(GOOD)) and not problems_of(text)
