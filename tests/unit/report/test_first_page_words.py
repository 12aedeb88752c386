"""What the first page says of made-up scores is true: each sentence where it is due, and only there."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from jamie.contract import ALL, HIDDEN, PAIRED, TEST
from jamie.report import first_page
from shared.pages import problems_of, table

FACTS = first_page.Facts({"rna": 1100, "adt": 1050}, {"rna": 210, "adt": 210}, n_pairs=1010, n_known=800)
R, R2, MEDIAN, WITHIN = ("pearson", "rna"), ("r2", "rna"), ("r2_median", "rna"), ("pearson_within", "rna")
FOSCTTM, LTA, MIXING = ("foscttm", ""), ("lta", ""), ("batch_mixing", "rna")


def around(mean: float, step: float = 0.002) -> tuple[float, float, float]:
    """Three seeds around a mean, never as far from it as two methods here are apart."""
    return mean - step, mean + 2 * step, mean - step


GOOD = {
    "jamie": {FOSCTTM: 0.05, LTA: 0.91, R: 0.51, R2: 0.31, MEDIAN: 0.29},
    "cca": {FOSCTTM: 0.11, LTA: 0.86, R: 0.41, R2: 0.21, MEDIAN: 0.2},
    "knn": {R: 0.4, R2: 0.2, MEDIAN: 0.19},
    "floor_shuffled": {FOSCTTM: 0.5, LTA: 0.3, R: 0.0},
    "floor_type": {R: 0.3},
    "ceiling": {FOSCTTM: 0.0, LTA: 0.95, R: 1.0},
}
STEPS = {"jamie": 0.002, "cca": 0.001, "knn": -0.001}  # so that no difference is the same in all seeds


def scores(method="jamie", cells=TEST, n_seeds=3, without=(), base=None, **changed) -> pd.DataFrame:
    """metrics.tsv of GOOD, in which ``changed`` scores of one method are others."""
    keys = {
        "foscttm": FOSCTTM,
        "lta": LTA,
        "r": R,
        "r2": R2,
        "median": MEDIAN,
        "within": WITHIN,
        "mixing": MIXING,
    }
    base = GOOD if base is None else base
    own = base | {method: base.get(method, {}) | {keys[name]: value for name, value in changed.items()}}
    spread = {
        m: {key: around(v, STEPS.get(m, 0.0015)) if np.isscalar(v) else v for key, v in of.items()}
        for m, of in own.items()
        if m not in without
    }
    return table(spread, cells, n_seeds)


def page(metrics=None, facts=FACTS, *, held_out=0.2, known=1.0, shown=("jamie",), **scenario) -> str:
    metrics = scores() if metrics is None else metrics
    text = first_page.first_page(
        metrics,
        {("toy_data", "paired_50"): facts},
        datasets={"toy_data": {"description": "Some cells."}},
        scenarios={"paired_50": {"held_out": held_out, "known_pairs": known} | scenario},
        seeds=sorted(metrics["seed"].unique()),
        shown=list(shown),
        infos=[],
    )
    assert problems_of(text) == ""
    return " ".join(text.split())


def failed(*methods: str, status: str = "failed", reason: str = "ran out of memory") -> pd.DataFrame:
    rows = table({m: {FOSCTTM: (np.nan,) * 3, R: (np.nan,) * 3} for m in methods}, n_seeds=3)
    return rows.assign(status=status, reason=reason)


def with_facts(**changed):
    return dataclasses.replace(FACTS, **changed)


LITTLE = with_facts(n_test={"rna": 8, "adt": 8})
NOTHING_OUT = with_facts(n_test={"rna": 0, "adt": 0}, n_known=505)
ALL_SHOWN = with_facts(n_test={"rna": 0, "adt": 0}, n_known=1010)
TOO_LARGE = failed("unioncom", status="excluded", reason="takes at most 10 cells")
NO_LABELS = failed("jamie", status="not_applicable", reason="no labels")
NO_SPACE = failed("knn", status="not_applicable", reason="method does not embed")
CCA_TWICE = pd.concat([scores().query("method != 'cca' or seed != 0"), failed("cca").query("seed == 0")])
SIXTY_HIDDEN = with_facts(n_test={"rna": 0}, n_known=950)
NINETY = with_facts(n_test={"rna": 0}, n_known=0, n_pairs=90)
NEVER = [{"used": False, "confidence": 0.2, "reason": "too little"}]

# the sentence, a page it is true of, and one it is not true of
SENTENCES = [
    # how good it is: alignment
    ("JAMIE aligned the modalities well:", {}, {"metrics": scores(foscttm=0.2)}),
    ("aligned the modalities moderately well:", {"metrics": scores(foscttm=0.2)}, {}),
    ("aligned the modalities poorly:", {"metrics": scores(foscttm=0.28)}, {"metrics": scores(foscttm=0.2)}),
    (
        "hardly aligned the modalities, if at all:",
        {"metrics": scores(foscttm=0.5)},
        {"metrics": scores(foscttm=0.28)},
    ),
    (
        "On cells it was fitted on, JAMIE",
        {"metrics": scores(cells=PAIRED), "facts": ALL_SHOWN, "held_out": 0.0},
        {},
    ),
    # label transfer near its reference, though partners are not found: of well told types, of badly told ones
    (
        "Cell types are aligned nevertheless: 93% of labels carry over",
        {"metrics": scores(foscttm=0.28, lta=0.93)},
        {"metrics": scores(foscttm=0.05, lta=0.93)},
    ),
    (
        "Cell types are aligned nevertheless: 50%",
        {"metrics": scores(foscttm=0.28, lta=0.5, base=GOOD | {"ceiling": {LTA: 0.52}})},
        {"metrics": scores(foscttm=0.28, lta=0.5)},
    ),
    (  # it may lie above the reference, which is no bound
        "Cell types are aligned nevertheless: 97%",
        {"metrics": scores(foscttm=0.28, lta=0.97)},
        # one type is most of the cells: chance alone transfers as many
        {"metrics": scores(foscttm=0.28, lta=0.97, base=GOOD | {"floor_shuffled": {LTA: 0.969}})},
    ),
    (
        "Cell types are aligned nevertheless",
        {"metrics": scores(foscttm=0.28, lta=0.93)},
        {"metrics": scores(foscttm=0.28, lta=0.93, without=["floor_shuffled"])},  # chance is not known
    ),
    # batches
    (
        "were held out, in whole batches, with 3 cells that have no partner; seeds take turns. Of the",
        {"held_out_by": "batch", "facts": with_facts(n_test_alone=3)},
        {"held_out_by": "batch"},
    ),
    ("All shown are in one batch; seeds take turns.", {"known_in": 1}, {"known_in": 2}),
    ("All shown are in 2 batches; seeds take turns.", {"known_in": 2}, {}),
    ("All shown are in batch p1, p2.", {"known_in": ["p1", "p2"]}, {}),
    (
        "those of its type from other batches are 0.20 for RNA of what is expected",
        {"metrics": scores(mixing=0.2)},
        {"metrics": scores(mixing=0.9)},
    ),
    # imputation
    (
        "correlate across cells with r = 0.51 for RNA.",
        {},
        {"metrics": scores(r=0.01)},
    ),
    ("hardly correlate across cells: r = 0.01 for RNA.", {"metrics": scores(r=0.01)}, {}),
    ("r = 0.51 for RNA (0.13 within cell types)", {"metrics": scores(within=0.13)}, {}),
    # against the others
    (
        "JAMIE is better than every other method that ran on FOSCTTM, label transfer accuracy, Pearson r "
        "(RNA)",
        {},
        {"metrics": scores("cca", foscttm=0.05)},
    ),
    ("cannot be told from the best other method on FOSCTTM", {"metrics": scores("cca", foscttm=0.05)}, {}),
    ("worse than another on FOSCTTM", {"metrics": scores("cca", foscttm=0.02)}, {}),
    (
        "JAMIE is worse than another method on: FOSCTTM (CCA 0.020, JAMIE 0.050).",
        {"metrics": scores("cca", foscttm=0.02)},
        {"metrics": scores("cca", foscttm=0.05)},  # level is not worse
    ),
    (
        "JAMIE is worse than another method on: Pearson r, RNA (CCA 0.600, JAMIE 0.510).",  # the best of both
        {"metrics": scores("cca", r=0.6, base=GOOD | {"knn": {R: 0.55}})},
        {"metrics": scores("ceiling", r=0.6)},  # a reference does not compete
    ),
    (
        "JAMIE is worse than another method on: Pearson r within types, RNA (CCA 0.300, JAMIE 0.130).",
        {"metrics": scores("cca", within=0.3, base=GOOD | {"jamie": GOOD["jamie"] | {WITHIN: 0.13}})},
        {"metrics": scores("cca", within=0.1, base=GOOD | {"jamie": GOOD["jamie"] | {WITHIN: 0.13}})},
    ),
    ("With 3 seeds a difference can be told only where", {}, {"metrics": scores(n_seeds=1)}),
    (
        "Differences are taken seed by seed.",
        {},
        {"metrics": scores(without=["cca", "knn"])},  # nothing to compare with
    ),
    (
        "Whether JAMIE is better or worse than another method cannot be told from one seed",
        {"metrics": scores(n_seeds=1)},
        {},
    ),
    (
        "Floors: shuffled pairs, the mean of the predicted cell type. The reference reads the truth",
        {},
        {"metrics": scores(without=["floor_type"])},
    ),
    ("Floors: shuffled pairs. The reference", {"metrics": scores(without=["floor_type"])}, {}),
    ("The reference reads the truth", {}, {"metrics": scores(without=["ceiling"])}),
    # what to distrust: the run
    ("There is one seed, so no score has a spread", {"metrics": scores(n_seeds=1)}, {}),
    (
        "Scores on held-out cells (never seen by any fitted step), one seed.",
        {"metrics": scores(n_seeds=1)},
        {},
    ),
    ("mean ± standard deviation over seeds", {}, {"metrics": scores(n_seeds=1)}),
    (
        "No cell was held out: these scores are of cells the methods were fitted on",
        {"metrics": scores(cells=HIDDEN), "facts": NOTHING_OUT, "held_out": 0.0},
        {},
    ),
    (
        "Scores rest on 8 cells per seed: a share of so few has a standard error of up to 0.18.",
        {"facts": LITTLE},
        {},
    ),
    (
        "Scores rest on 60 cells",
        {"metrics": scores(cells=HIDDEN), "facts": SIXTY_HIDDEN, "held_out": 0.0},
        {"metrics": scores(cells=HIDDEN), "facts": NOTHING_OUT, "held_out": 0.0},
    ),
    (  # scores of all cells rest on every pair, whether shown or not
        "Scores rest on 90 cells",
        {"metrics": scores(cells=ALL), "facts": NINETY},
        {"metrics": scores(cells=ALL), "facts": with_facts(n_test={"rna": 0}, n_known=90)},
    ),
    ("No cell is known to be in both modalities", {"facts": with_facts(n_pairs=0, n_known=0)}, {}),
    (
        "pairs were known in training.",
        {"facts": with_facts(n_known=199)},
        {"facts": with_facts(n_known=200)},
    ),
    (
        "That cells are matched better than at random is all this says",
        {"facts": with_facts(n_known=0, estimates=[NEVER[0] | {"used": True}])},
        {"facts": with_facts(n_known=0, estimates=NEVER)},
    ),
    (
        "nothing shows that the modalities were matched rightly",
        {"facts": with_facts(n_known=0, estimates=NEVER)},
        {"facts": with_facts(n_known=300, estimates=NEVER)},
    ),
    # weak scores
    (
        "The modalities are hardly aligned (FOSCTTM 0.42; chance is 0.5).",
        {"metrics": scores(foscttm=0.42, lta=0.4)},
        {"metrics": scores(foscttm=0.28, lta=0.4)},
    ),
    (
        "Partners of single cells are hardly found (FOSCTTM 0.35; chance is 0.5): the joint space tells "
        "types",
        {"metrics": scores(foscttm=0.35, lta=0.93)},
        {"metrics": scores(foscttm=0.35, lta=0.5)},
    ),
    (
        "imputed no nearer to the measured values than their mean (median R² -0.10): the ranking of cells "
        "may be used (r = 0.51), not the values.",
        {"metrics": scores(r2=-0.2, median=-0.1)},
        {"metrics": scores(r2=-0.2, median=0.1)},
    ),
    (
        "they rank cells weakly (r = 0.20), and their values should not be used",
        {"metrics": scores(r2=-0.2, median=-0.1, r=0.2)},
        {"metrics": scores(r=0.2)},
    ),
    (
        "use neither values nor their ranking (r = 0.01)",
        {"metrics": scores(r2=-0.2, median=-0.1, r=0.01)},
        {"metrics": scores(r2=-1.01, median=0.12)},  # one outlier: the median decides
    ),
    (
        "The mean R² of RNA (-1.01) is that of some features far off; of the median feature it is 0.12.",
        {"metrics": scores(r2=-1.01, median=0.12)},
        {"metrics": scores(r2=-1.01, median=-0.12)},
    ),
    (
        "RNA: imputation explains less than 1% of the variance of a median feature.",
        {"metrics": scores(median=0.004)},
        {"metrics": scores(median=0.04)},
    ),
    (
        "no nearer to the measured values than their mean (median R² 0.00)",  # never -0.00
        {"metrics": scores(r2=-0.2, median=-0.003)},
        {"metrics": scores(r2=-0.2, median=-0.02)},
    ),
    (
        "RNA: imputation explains 4% of the variance of a median feature.",
        {"metrics": scores(median=0.04)},
        {"metrics": scores(median=0.12)},
    ),
    (
        "RNA as imputed cannot be told from the mean of the predicted cell type by Pearson r (difference "
        "+0.000",
        {"metrics": scores("floor_type", r=0.51)},
        {},
    ),
    (
        "RNA as imputed is worse than the mean of the predicted cell type by Pearson r (difference -0.090",
        {"metrics": scores("floor_type", r=0.6)},
        {"metrics": scores(without=["floor_type"])},
    ),
    # what is missing
    (
        "Without scores, and so compared with nothing: BABEL (failed: ran out of memory); NLMA (failed: "
        "ran out",
        {"metrics": pd.concat([scores(), failed("babel", "nlma")])},
        {},
    ),
    (
        "UnionCom (no pairs) (excluded: takes at most 10 cells)",
        # told in another group of cells than the one that is scored
        {
            "metrics": pd.concat([scores(cells=HIDDEN), TOO_LARGE.assign(cells=ALL)]),
            "facts": NOTHING_OUT,
            "held_out": 0.0,
        },
        {},
    ),
    (
        "Without a score anywhere, for reasons given below: BABEL.",
        {"metrics": pd.concat([scores(), failed("babel")])},
        {},
    ),
    (
        "With scores of some seeds only: CCA in 2 of 3 (failed: ran out of memory).",
        {"metrics": CCA_TWICE},
        {},
    ),
    (
        "Some scores do not apply: no labels.",
        {"metrics": pd.concat([scores(), NO_LABELS])},
        {"metrics": pd.concat([scores(), NO_SPACE])},
    ),
    (
        "JAMIE has no score here: failed: ran out of memory.",
        {"metrics": pd.concat([scores(without=["jamie"]), failed("jamie")])},
        {},
    ),
    (
        "No score applies: no pairs with known truth.",
        {"metrics": failed("jamie", "cca", status="not_applicable", reason="no pairs with known truth")},
        {},
    ),
    ("Imputed values are conditional means", {}, None),
    # what a seed is
    ("Each seed draws a new split and a new start.", {}, {"known": 0.5}),
    ("Each seed draws a new split, a new choice of known pairs and a new start.", {"known": 0.5}, {}),
    (
        "Each seed draws a new start.",
        {"metrics": scores(cells=PAIRED), "facts": ALL_SHOWN, "held_out": 0.0},
        {},
    ),
]


@pytest.mark.parametrize(
    ("sentence", "true_of", "not_of"), SENTENCES, ids=[case[0][:60] for case in SENTENCES]
)
def test_a_sentence_stands_where_it_is_true_and_nowhere_else(sentence, true_of, not_of):
    assert sentence in page(**true_of)
    assert not_of is None or sentence not in page(**not_of)


@pytest.mark.parametrize("metrics", [scores(), pd.concat([scores(), NO_SPACE])])
def test_good_scores_call_for_no_warning(metrics):
    warnings = page(metrics).split("**What to distrust.** - ")[1]
    assert warnings.startswith("Imputed values are conditional means") and " - " not in warnings


def test_of_methods_that_did_not_run_none_is_beaten():
    """Half of the methods failed: the page says which and why, and compares with those that ran alone."""
    metrics = pd.concat([scores(without=["cca"]), failed("cca", "nlma", "babel", "lma")])
    text = page(metrics)
    assert "2 methods (JAMIE, KNN) and 3 controls" in text
    alone = page(scores(without=["floor_shuffled", "floor_type", "ceiling"]))
    assert "3 methods (JAMIE, CCA, KNN) were run on" in alone and "control" not in alone
    assert "better than every other method that ran on Pearson r (RNA)" in text
    standing = text.split("JAMIE is better")[1].split(". ")[0]
    assert "FOSCTTM" not in standing  # KNN does not embed: nothing ran that JAMIE could be better than
    assert all(f"{name} (failed: ran out of memory)" in text for name in ("CCA", "NLMA", "BABEL", "LMA"))


def test_failed_methods_are_named_at_the_top_with_the_number_of_their_fits():
    twice = failed("cca", reason="MemoryError; log: logs/cca.0.log").query("seed < 2")
    twice.loc[twice["seed"] == 1, "reason"] = "MemoryError; log: logs/cca.1.log"
    others = scores().query("method != 'cca' or seed == 2")
    text = page(pd.concat([others, twice, failed("babel", status="excluded", reason="no pairs")]))
    assert "**Failed: CCA in 2 of 3 fits.**" in text.split("**What was done.**")[0]
    assert "CCA in 1 of 3 (failed: MemoryError; log: logs/cca.0.log and 1 more)" in text
    assert "BABEL (excluded: no pairs)" in text and "its figures, completed data" not in text
    assert "**Failed" not in page(scores())


def test_where_the_shown_method_failed_what_it_lacks_is_said():
    text = page(pd.concat([scores(without=["jamie"]), failed("jamie")]))
    assert "**Failed: JAMIE in 3 of 3 fits.**" in text
    assert "JAMIE has no score here: failed: ran out of memory." in text
    assert (
        "What needs a fit of JAMIE that failed - its figures, completed data, differences and drivers" in text
    )


def test_where_no_other_method_ran_nothing_is_compared():
    text = page(pd.concat([scores(without=["cca", "knn"]), failed("cca", "knn")]))
    assert "better than" not in text and "worse than" not in text and "JAMIE is " not in text


def test_what_the_page_recommends_at_r_of_a_hundredth_is_nothing():
    text = page(scores(r=0.01, r2=-0.5, median=-0.3))
    assert "hardly correlate" in text and "use neither" in text
    assert "may be used" not in text and "correlate across cells with" not in text


def test_one_outlier_does_not_take_away_good_values():
    """Mean R2 of -1.01 by one feature at -149, median 0.2: no word against using the values as a whole."""
    text = page(scores(r2=-1.01, median=0.2))
    assert "use neither" not in text and "not the values" not in text and "no nearer" not in text
    assert "see `feature_scores.tsv`" not in text and "names them" in text


def test_without_a_median_the_mean_alone_condemns_nothing():
    metrics = scores(r2=-1.01)
    text = page(metrics[metrics["metric"] != "r2_median"])
    assert "which a few features far off can do" in text and "use neither" not in text


def test_the_largest_sentence_of_eight_cells_stays_within_what_they_can_show():
    """Differences of an eighth in every seed are no certainty: with 8 test cells nothing is called better."""
    lta = {"jamie": (0.875, 0.75, 0.625), "cca": (0.75, 0.625, 0.5)}
    metrics = table({m: {LTA: values} for m, values in lta.items()}, n_seeds=3)
    text = page(metrics, LITTLE)
    assert "+0.125 (equal in all seeds): cannot tell" in text
    assert "JAMIE cannot be told from the best other method on label transfer accuracy" in text
    assert "better than every" not in text
