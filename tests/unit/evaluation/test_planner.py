"""The pairing planner: which scenarios make a curve, where it bends, what is said and drawn."""

import numpy as np
import pandas as pd
import pytest

from jamie.contract import METRIC_COLUMNS
from jamie.evaluation import planner
from jamie.evaluation.comparisons import pairing_series
from jamie.evaluation.planner import ENOUGH, FLAT, RISING, UNKNOWN, UNTOLD, knee
from jamie.plots import pairing
from shared.figures import outside, overlaps, texts

SIZES = {"paired_0": 0, "paired_10": 97, "paired_25": 242, "paired_50": 483, "paired_100": 966}


def entry(known: float, wrong: float = 0.0, held_out: float = 0.2) -> dict:
    return {"held_out": held_out, "known_pairs": known, "wrong_pairs": wrong}


CATALOGUE = {
    "a_100": entry(1.0),
    "a_0": entry(0.0),
    "a_50": entry(0.5),
    "a_half": entry(0.5),
    "a_wrong_50": entry(1.0, 0.5),
    "a_wrong_10": entry(1.0, 0.1),
    "a_50_wrong_10": entry(0.5, 0.1),
    "b_100": entry(1.0, held_out=0.3),
    "b_50": entry(0.5, held_out=0.3),
    "t_0": entry(0.0, held_out=0.0),
    "t_25": entry(0.25, held_out=0.0),
    "t_50": entry(0.5, held_out=0.0),
    "t_100": entry(1.0, held_out=0.0),
}


# --- which scenarios


@pytest.mark.parametrize(
    ("names", "known", "wrong"),
    [
        (["a_100", "a_0", "a_50"], ["a_0", "a_50", "a_100"], []),
        (["a_100", "a_50"], [], []),
        (["a_100", "a_50", "b_50", "t_0"], [], []),  # three, but of three series
        (["a_100", "a_50", "a_half"], [], []),  # two of one share are one point
        (["a_100", "a_50", "a_wrong_10"], [], []),  # a wrong one is no point of the first curve
        (
            ["a_wrong_50", "a_100", "a_0", "a_50", "a_wrong_10", "a_50_wrong_10"],
            ["a_0", "a_50", "a_100"],
            ["a_100", "a_wrong_10", "a_wrong_50"],
        ),
        (["t_0", "t_50", "t_100"], ["t_0", "t_50", "t_100"], []),
        # held-out cells before those that were seen, though that series is longer
        (["t_0", "t_25", "t_50", "t_100", "a_0", "a_50", "a_100"], ["a_0", "a_50", "a_100"], []),
    ],
)
def test_a_series_is_scenarios_that_differ_in_their_pairs_only(names, known, wrong):
    assert pairing_series(names, CATALOGUE) == (known, wrong)


# --- the knee


def seeds(means, noise=0.0, n=3, seed=0):
    """float (n_points, n) around ``means``, with a shift per seed that all points share."""
    rng = np.random.default_rng(seed)
    means = np.asarray(means, dtype=float)[:, None]
    return means + rng.normal(scale=0.05, size=(1, n)) + rng.normal(scale=noise, size=(len(means), n))


SPLITS = 0.25  # a fifth of the cells held out: what splits share


@pytest.mark.parametrize(
    ("means", "better", "answer"),
    [
        ([0.0, 0.4, 0.79, 0.8, 0.8], "higher", (ENOUGH, 2)),  # 0.01 short of a range of 0.8: within 5 %
        ([0.0, 0.4, 0.75, 0.8, 0.8], "higher", (ENOUGH, 3)),  # 0.05 short: not
        ([0.5, 0.3, 0.11, 0.1, 0.1], "lower", (ENOUGH, 2)),
        ([0.0, 0.8, 0.5, 0.8, 0.8], "higher", (ENOUGH, 3)),  # good by luck, then not: it does not count yet
        ([0.0, 0.4, 0.9, 0.85, 0.8], "higher", (ENOUGH, 2)),  # better than all pairs is enough
        ([0.0, 0.2, 0.4, 0.6, 0.8], "higher", (RISING, -1)),
        ([0.5, 0.4, 0.3, 0.2, 0.1], "lower", (RISING, -1)),
        ([0.4, 0.4, 0.4, 0.4, 0.4], "higher", (FLAT, -1)),
        ([0.400, 0.401, 0.402, 0.403, 0.404], "higher", (FLAT, -1)),  # less in all than matters
        ([0.8, 0.7, 0.6, 0.5, 0.4], "higher", (FLAT, -1)),  # more pairs did not help
        ([0.0, 0.8], "higher", (UNKNOWN, -1)),
    ],
)
def test_knees_of_curves_without_noise(means, better, answer):
    found = knee(seeds(means), better, 0.0)
    assert (found.verdict, found.index) == answer


@pytest.mark.parametrize("means", [[0.0, 0.4, 0.8, 0.8, 0.8], [0.0, 0.2, 0.4, 0.6, 0.8], [0.4] * 5])
def test_one_seed_cannot_tell(means):
    found = knee(seeds(means, n=1), "higher", SPLITS)
    assert found.verdict == UNTOLD and found.most == np.inf


def test_what_matters_is_a_hundredth_or_a_twentieth_of_the_range():
    assert knee(seeds([0.0, 0.4, 0.8, 0.8]), "higher", 0.0).matters == pytest.approx(0.04)
    assert knee(seeds([0.0, 0.04, 0.06, 0.06]), "higher", 0.0).matters == pytest.approx(0.01)


def test_a_gain_that_the_seeds_cannot_exclude_is_not_enough():
    # gains of the second point by seed 0.03, 0, 0: mean 0.01, 4.3 standard errors of 0.01 beyond it
    curve = np.array([[0.0, 0.0, 0.0], [0.97, 1.0, 1.0], [1.0, 1.0, 1.0]])
    found = knee(curve, "higher", 0.0)
    assert found.verdict == UNTOLD and found.most == pytest.approx(0.01 + 4.3027 * 0.01, abs=1e-5)
    # splits that share cells make the interval wider, by the root of 1 + n n_test / n_train
    assert knee(curve, "higher", SPLITS).most - 0.01 == pytest.approx(4.3027 * 0.01 * 1.75**0.5, abs=1e-5)
    # half of that would not matter where the range is 1
    assert knee(curve * 0.2 + np.array([[-0.8], [0], [0]]), "higher", 0.0).verdict == ENOUGH


def test_differences_of_seeds_alone_move_no_knee():
    """The shift of a seed, as by its test cells, is common to all points and must not count as noise."""
    curve = np.array([0.0, 0.6, 0.8, 0.8])[:, None] + np.array([[-0.3, 0.0, 0.3]])
    assert knee(curve, "higher", 0.0).index == 2


def rising_curve(rng) -> np.ndarray:
    """Four to six points, slower and slower; the last step is one to three times the least that matters."""
    steps = np.sort(rng.uniform(0.02, 0.1, rng.integers(2, 5)))[::-1]
    last = rng.uniform(1, 3) * max(0.01, 0.055 * steps.sum())  # a twentieth of the range, itself included
    return np.cumsum([0.3, *steps, last])


def test_curves_that_still_rise_are_rarely_called_enough():
    """Three seeds, noise of 0.02: of 1,000 curves at most 5 %."""
    rng = np.random.default_rng(0)
    for ratio in (0.0, SPLITS):
        curves = [rising_curve(rng)[:, None] for _ in range(1000)]
        noisy = [m + rng.normal(scale=0.05, size=(1, 3)) + rng.normal(0, 0.02, (len(m), 3)) for m in curves]
        verdicts = [knee(curve, "higher", ratio).verdict for curve in noisy]
        assert (verdicts.count(ENOUGH) + verdicts.count(FLAT)) / len(verdicts) <= 0.05
        assert verdicts.count(RISING) > 0  # and where the last step is large, that is seen


def test_a_clear_plateau_is_found():
    """It cannot be passed by never saying "enough": nine in ten at the right place, noise of 0.002."""
    means = [0.1, 0.3, 0.5, 0.6, 0.6, 0.6]  # 0.025 matters
    found = [knee(seeds(means, noise=0.002, seed=seed), "higher", SPLITS) for seed in range(300)]
    assert np.mean([(k.verdict, k.index) == (ENOUGH, 3) for k in found]) >= 0.9
    # noise of 0.02 with three seeds does not allow it, with twenty it does
    for n, share in ((3, 0.2), (20, 0.0)):
        found = [knee(seeds(means, noise=0.02, n=n, seed=seed), "higher", 0.0) for seed in range(300)]
        assert (np.mean([k.verdict == ENOUGH for k in found]) <= share) == (n == 3)


def test_noise_alone_rarely_rises():
    curves = [seeds([0.5] * 6, noise=0.03, seed=seed) for seed in range(400)]
    verdicts = [knee(curve, "higher", SPLITS).verdict for curve in curves]
    assert verdicts.count(RISING) <= 14 and verdicts.count(UNTOLD) > 360
    few = [knee(seeds([0.5] * 6, noise=0.0005, seed=seed), "higher", SPLITS).verdict for seed in range(100)]
    assert few.count(FLAT) >= 95


def test_points_without_a_score_are_passed_over():
    curve = seeds([np.nan, 0.0, 0.7, 0.8, 0.8])  # as of a method that needs pairs
    assert (knee(curve, "higher", 0.0).verdict, knee(curve, "higher", 0.0).index) == (ENOUGH, 3)
    curve[3, 1] = np.nan
    assert knee(curve, "higher", 0.0).index == 3
    curve[3, 0] = np.nan
    assert knee(curve, "higher", 0.0).verdict == UNTOLD  # one seed is left to compare there
    assert knee(np.full((5, 3), np.nan), "higher", 0.0).verdict == UNKNOWN


# --- tables


def metric_rows(cells="test", dataset="toy"):
    """FOSCTTM bends at 242 pairs, r of RNA still rises, r of ATAC is flat; two controls."""
    shapes = {
        ("foscttm", ""): [0.5, 0.3, 0.11, 0.1, 0.1],
        ("lta", ""): [0.4, 0.6, 0.7, 0.8, 0.8],
        ("lta", "rna"): [0.1] * 5,
        ("pearson", "rna"): [0.0, 0.1, 0.2, 0.3, 0.4],
        ("pearson", "atac"): [0.2] * 5,
        ("r2", "rna"): [0.1, 0.2, 0.2, 0.2, 0.2],
    }
    rows = []
    for method in ("jamie", "knn", "floor_shuffled", "ceiling"):
        for (metric, modality), values in shapes.items():
            for seed in range(3):
                for scenario, value in zip(SIZES, seeds(values)[:, seed], strict=True):
                    ok = method != "knn" or scenario != "paired_0"
                    rows.append(
                        {
                            "dataset": dataset,
                            "scenario": scenario,
                            "method": method,
                            "seed": seed,
                            "protocol": "held_out",
                            "cells": cells,
                            "metric": metric,
                            "modality": modality or np.nan,
                            "value": value if ok else np.nan,
                            "status": "ok" if ok else "excluded",
                            "reason": "" if ok else "needs known pairs",
                        }
                    )
    return pd.DataFrame(rows).reindex(columns=list(METRIC_COLUMNS))


@pytest.fixture(scope="module")
def curves():
    return planner.curves(pd.concat([metric_rows(), metric_rows("paired")]), SIZES, held_out=True)


def test_curves_are_the_main_scores_of_the_right_cells(curves):
    assert set(zip(curves["metric"], curves["modality"], strict=True)) == {
        ("foscttm", ""),
        ("lta", ""),
        ("pearson", "rna"),
        ("pearson", "atac"),
    }
    assert len(curves) == 4 * 3 * (5 * 4 - 1)  # scores x seeds x (points, without one of KNN)
    assert sorted(curves["n_pairs"].unique()) == list(SIZES.values())
    shuffled = planner.curves(metric_rows().iloc[::-1], SIZES, held_out=True)
    assert list(dict.fromkeys(shuffled["metric"])) == ["foscttm", "lta", "pearson"]
    assert list(dict.fromkeys(shuffled["modality"])) == ["", "rna", "atac"]
    assert len(planner.curves(metric_rows(), SIZES, held_out=False)) == 0
    assert len(planner.curves(metric_rows("hidden"), SIZES, held_out=False)) == len(curves)


def test_the_table_of_knees(curves):
    table = planner.knees(curves, 0.0)
    assert set(table["method"]) == {"jamie", "knn"}  # controls have no knee
    own = table[table["method"] == "jamie"].set_index(["metric", "modality"])
    assert own["verdict"].to_dict() == {
        ("foscttm", ""): ENOUGH,
        ("lta", ""): ENOUGH,
        ("pearson", "rna"): RISING,
        ("pearson", "atac"): FLAT,
    }
    assert own["n_pairs"].dropna().to_dict() == {("foscttm", ""): 242, ("lta", ""): 483}
    assert own.loc[("foscttm", ""), "value"] - own.loc[("foscttm", ""), "value_most"] == pytest.approx(0.01)
    assert (own["n_pairs_most"] == 966).all() and (own["n_seeds"] == 3).all() and (own["n_points"] == 5).all()
    assert (table.loc[table["method"] == "knn", "n_points"] == 4).all()


def test_the_table_of_knees_survives_a_file(curves, tmp_path):
    from jamie import io

    table = planner.knees(curves, 0.0)
    io.write_table(tmp_path / "pairing.tsv", table)
    again = io.read_table(tmp_path / "pairing.tsv")
    assert planner.in_words(again, "jamie") == planner.in_words(table, "jamie")


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        (("foscttm",), "About 242 paired cells are enough here"),
        (("foscttm", "lta"), "About 483 paired cells are enough here"),
        (
            ("foscttm", "lta", "pearson"),
            "About 483 paired cells are enough for 2 of 4 scores; "
            "more than 966 paired cells would still help 1 of 4; "
            "more known pairs gain nothing that matters for 1 of 4",
        ),
        (
            ("pearson",),
            "More than 966 paired cells would still help 1 of 2; "
            "more known pairs gain nothing that matters for 1 of 2",
        ),
    ],
)
def test_the_answer_in_a_sentence(curves, kept, words):
    table = planner.knees(curves[curves["metric"].isin(kept)], 0.0)
    assert planner.answer(table, "jamie") == words
    assert planner.in_words(table, "jamie").startswith(f"{words} (JAMIE, 3 seeds). ")


def test_the_answer_where_pairs_do_not_matter_or_were_not_tried(curves):
    flat = planner.knees(curves[curves["modality"] == "atac"], 0.0)
    assert planner.answer(flat, "jamie") == "More known pairs gain nothing that matters"
    few = planner.knees(curves[curves["n_pairs"] < 200], 0.0)
    assert planner.answer(few, "jamie") == ""
    assert planner.in_words(few, "jamie") == "No score of JAMIE applies at three numbers of known pairs."
    assert planner.in_words(planner.knees(curves.iloc[:0], 0.0), "jamie").startswith("No score of JAMIE")


def test_what_the_seeds_cannot_tell_is_said_in_table_sentence_and_figure(curves):
    one = curves[curves["seed"] == 0]
    table = planner.knees(one, 0.25)
    assert set(table["verdict"]) == {UNTOLD} and table["n_pairs"].isna().all()
    assert np.isinf(table["most"]).all()
    assert planner.answer(table, "jamie") == "How many pairs are enough cannot be told with one seed"
    assert "FOSCTTM: cannot tell;" in planner.in_words(table, "jamie")
    marks = planner.marks(table, "jamie")
    assert set(marks["verdicts"].values()) == {"cannot tell"} and marks["enough"] == {}
    figure = pairing.pairing_curves(one, shown="jamie", message=planner.answer(table, "jamie"), **marks)
    assert "FOSCTTM\ncannot tell" in [ax.get_title(loc="left") for ax in figure.axes]
    noisy = curves.assign(value=curves["value"] + np.random.default_rng(0).normal(0, 0.1, len(curves)))
    words = planner.answer(planner.knees(noisy, 0.25), "jamie")
    assert words == "How many pairs are enough cannot be told with 3 seeds"
    assert planner.in_words(planner.knees(noisy, 0.25), "jamie").startswith(f"{words} (JAMIE). ")
    some = pd.concat([noisy[noisy["metric"] == "lta"], curves[curves["metric"] == "foscttm"]])
    words = planner.answer(planner.knees(some, 0.0), "jamie")
    assert words == "About 242 paired cells are enough for 1 of 2 scores; for 1 of 2 the seeds cannot tell"


def test_each_score_has_its_verdict_in_words(curves):
    text = planner.in_words(planner.knees(curves, 0.0), "jamie")
    assert "FOSCTTM: about 242 pairs are enough;" in text
    assert "Pearson r, RNA: still improving at 966 pairs;" in text
    assert "Pearson r, ATAC: no gain that matters." in text


# --- the figure


def draw(curves, wrong=True):
    table = planner.knees(curves, 0.0)
    shares = {0: 0.0, 97: 0.1, 242: 0.25, 483: 0.5}
    part = curves[curves["n_pairs"].isin(shares)]
    return pairing.pairing_curves(
        curves,
        part.assign(wrong=part["n_pairs"].map(shares)) if wrong else None,
        shown="jamie",
        message=planner.answer(table, "jamie"),
        about=planner.context(curves, "toy", held_out=True),
        **planner.marks(table, "jamie"),
    )


def test_the_figure_has_a_panel_per_score_and_a_row_for_wrong_pairs(curves):
    figure = draw(curves)
    assert len(figure.axes) == 8
    titles = [ax.get_title(loc="left") for ax in figure.axes[:4]]
    assert titles == [
        "FOSCTTM\nabout 242 pairs are enough",
        "label transfer accuracy\nabout 483 pairs are enough",
        "Pearson r\nimputed RNA\nstill improving at 966 pairs",
        "Pearson r\nimputed ATAC\nno gain that matters",
    ]
    found = texts(figure)
    assert "toy: held-out cells, 3 seeds" in found
    assert found.count("wrong among the pairs shown") == 4 and {"0%", "10%", "25%", "50%"} <= set(found)
    assert len(draw(curves, wrong=False).axes) == 4


def test_the_figure_draws_means_and_spreads_over_the_number_of_pairs(curves):
    ax = draw(curves).axes[0]
    own = curves[(curves["method"] == "jamie") & (curves["metric"] == "foscttm")].groupby("n_pairs")["value"]
    (line, _, (bars,)) = ax.containers[0]
    assert line.get_xdata().tolist() == [0, 97, 242, 483, 966]
    np.testing.assert_allclose(line.get_ydata().astype(float), own.mean())
    np.testing.assert_allclose([np.ptp(s[:, 1]) for s in bars.get_segments()], 2 * own.std())
    # none known is on the axis, and the numbers are spread as on a logarithmic one
    x = ax.transData.transform([[n, 0.3] for n in SIZES.values()])[:, 0]
    assert (np.diff(x) > 0.12 * (x[-1] - x[0])).all()
    enough = [line.get_xdata() for line in ax.lines if line.get_linestyle() == ":"]
    assert [list(x) for x in enough] == [[242, 242]]


@pytest.mark.parametrize("wrong", [True, False])
def test_the_figure_overlaps_nothing(curves, wrong):
    figure = draw(curves, wrong)
    assert overlaps(figure) == []
    assert outside(figure) == {}


def test_a_reference_far_away_does_not_squeeze_the_curves(curves):
    far = curves.assign(value=curves["value"].mask(curves["method"] == "ceiling", 7.0))
    figure = draw(far, wrong=False)
    assert all(ax.get_ylim()[1] < 1.2 for ax in figure.axes)
    assert texts(figure).count("▴ reference 7.00") == 4


def test_a_score_of_the_controls_alone_has_no_panel_and_one_without_wrong_pairs_says_so(curves):
    alone = curves[(curves["metric"] != "lta") | (curves["method"] == "ceiling")]
    assert "label transfer accuracy" not in "".join(texts(draw(alone, wrong=False)))
    wrong = curves[curves["metric"] != "lta"].assign(wrong=curves["n_pairs"] / 1000)
    figure = pairing.pairing_curves(curves, wrong, shown="jamie", message="x")
    assert texts(figure).count("n/a") == 1
    assert overlaps(figure) == []


def test_the_figure_needs_a_method(curves):
    with pytest.raises(ValueError, match="No method has a score"):
        draw(curves[curves["method"] == "ceiling"])
