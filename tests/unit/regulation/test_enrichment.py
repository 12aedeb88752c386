"""Are links real: counts, odds ratios, precision and calibration of cases worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta

from jamie.regulation import enrichment as e

NO_MEASURED = ["correlation", "rank_score_correlation", "p_correlation", "q_correlation", "signac_z"]


def links(n=8, **columns):
    """Pairs far from their genes that nothing speaks for, but for the columns given."""
    table = pd.DataFrame(
        {
            "distance_bp": np.full(n, 300_000),
            "in_gene_body": False,
            "attribution": 0.1,
            "p_value": 1.0,
            "q_value": 1.0,
            "rank_score": 0.1,
            "correlation": 0.0,
            "rank_score_correlation": 0.1,
            "p_correlation": 1.0,
            "q_correlation": 1.0,
            "signac_z": 0.0,
        }
    )
    return table.assign(**columns)


def of(table, statistic, **where):
    """The only row of a statistic."""
    for column, value in {"statistic": statistic, **where}.items():
        table = table[table[column] == value]
    (row,) = table.to_dict("records")
    return row


def test_pairs_fall_into_bins_by_either_side_and_the_gene_body_comes_first():
    distance = [0, -9_999, 10_000, -49_999, 50_000, -200_000, 500_000, -500_001, 400_000]
    place = e.distance_bin(links(9, distance_bp=distance, in_gene_body=[False] * 8 + [True]))
    assert list(place) == [1, 1, 2, 2, 3, 4, 4, 5, 0]


def test_profile_holds_counts_against_the_level():
    # 4 pairs in the nearest bin, 3 of them at p <= 0.1: expected 0.4, fold 7.5
    table = links(
        6,
        distance_bp=[1, -1, 5, 6, 300_000, 600_000],
        p_value=[0.1, 0.05, 0.01, 0.2, 0.01, 0.01],
        p_correlation=[np.nan, 0.05, 0.5, 0.5, 0.5, 0.5],
    )
    profile = e.distance_profile(table, level=0.1)
    assert list(profile["bin"]) == list(e.DISTANCE_BINS) * 2
    near = of(profile, "imputed", bin="< 10 kb")
    assert (near["n_links"], near["n_below"]) == (4, 3)
    assert (near["expected"], near["fold"]) == pytest.approx((0.4, 7.5))
    # Clopper and Pearson: quantiles of beta distributions
    exact = beta.ppf([0.025, 0.975], [3, 4], [2, 1]) / 0.1
    assert [near["ci_low"], near["ci_high"]] == pytest.approx(exact)
    assert of(profile, "imputed", bin="200-500 kb")["n_links"] == 1  # the pair beyond is in no bin
    assert of(profile, "measured", bin="< 10 kb")["n_links"] == 3  # without the one that has no p
    empty = of(profile, "imputed", bin="gene body")
    assert (empty["n_links"], empty["expected"]) == (0, 0) and np.isnan(empty["fold"])


def test_profile_of_the_null_is_one():
    n = 10_000
    table = links(n, p_value=(np.arange(n) % 1000 + 1) / 1000)
    row = of(e.distance_profile(table), "imputed", bin="200-500 kb")
    assert row["fold"] == pytest.approx(1) and row["ci_low"] < 1 < row["ci_high"]


def test_odds_ratio_by_hand():
    # chosen: 3 of 4 marked; rest: 1 of 6; with 0.5 added 3.5 x 5.5 / (1.5 x 1.5)
    chosen = np.array([True] * 4 + [False] * 6)
    marked = np.array([True] * 3 + [False] + [True] + [False] * 5)
    ratio, low, high = e.odds_ratio(chosen, marked)
    assert ratio == pytest.approx(3.5 * 5.5 / (1.5 * 1.5))
    width = 1.959964 * np.sqrt(1 / 3.5 + 1 / 1.5 + 1 / 1.5 + 1 / 5.5)
    assert [low, high] == pytest.approx([ratio * np.exp(-width), ratio * np.exp(width)], rel=1e-6)
    assert np.isfinite(e.odds_ratio(chosen, chosen)).all()  # empty cells


def test_near_enrichment_by_hand():
    # significant: 2 of 2 near; rest: 1 of 6 near; all tables with these margins: C(8, 2) = 28, C(3, 2) = 3
    table = links(
        distance_bp=[100, -9_999, 5, 10_000] + [90_000] * 4,
        q_value=[0.1, 0.05] + [0.2] * 6,
        p_value=[0.01, 0.02] + [0.5] * 6,
        p_correlation=[0.9] * 6 + [0.1, 0.2],
    )
    near = e.near_enrichment(table)
    row = of(near, "imputed", cut="q <= 0.1")
    assert (row["n_significant"], row["n_significant_near"], row["n_near"], row["n_links"]) == (2, 2, 3, 8)
    assert row["odds_ratio"] == pytest.approx(2.5 * 5.5 / (0.5 * 1.5))
    assert row["p_value"] == pytest.approx(3 / 28) and row["reason"] == ""
    none = of(near, "measured", cut="q <= 0.1")
    assert np.isnan(none["odds_ratio"]) and none["reason"] == "no pair at q <= 0.1 without distance"
    # the two of lowest p of measured values, as many as imputed links: none near
    top = of(near, "measured", cut=e.TOP)
    assert (top["n_significant"], top["n_significant_near"]) == (2, 0)
    assert top["odds_ratio"] == pytest.approx(0.5 * 3.5 / (2.5 * 3.5))
    assert of(near, "imputed", cut=e.TOP)["odds_ratio"] == row["odds_ratio"]


def test_near_enrichment_takes_one_percent_and_breaks_ties():
    n = 201
    near = np.arange(n) < 3
    table = links(
        n,
        distance_bp=np.where(near, 1, 300_000),
        p_value=0.002,
        rank_score=np.where(near, 0.9, 0.1),
        attribution=np.where(near, 0.0, 0.2),
        p_correlation=0.5,
        signac_z=np.where(near, -4.0, 1.0),
    )
    both = e.near_enrichment(table)
    assert list(both["n_significant"]) == [0, 3, 0, 3]  # 1 % of 201, rounded up
    assert list(both["n_significant_near"]) == [0, 3, 0, 3]
    fair = e.near_enrichment(table, tie_break="attribution")
    assert list(fair["n_significant_near"]) == [0, 0, 0, 3]


def test_near_enrichment_says_why_there_are_no_odds():
    far = e.near_enrichment(links(q_value=0.01, distance_bp=1))
    assert set(far[far["statistic"] == "imputed"]["reason"]) == {"every pair is chosen"}
    far = e.near_enrichment(links(q_value=[0.01] + [1] * 7))
    assert of(far, "imputed", cut="q <= 0.1")["reason"] == "no pair is nearer than 10,000 bp"


def test_pairs_without_p_rank_last():
    table = links(4, p_value=[np.nan, 0.9, 0.1, 0.1], rank_score=[1, 1, 0.2, np.nan])
    assert list(e._strongest_first(table, "imputed", "rank_score")) == [2, 3, 1, 0]


def test_measured_values_may_be_absent():
    table = links(p_value=np.arange(1, 9) / 9).assign(**dict.fromkeys(NO_MEASURED, np.nan))
    known = np.arange(8) < 3
    curve, summary = e.precision_recall(table, known)
    tables = [e.distance_profile(table), e.near_enrichment(table), e.known_enrichment(table, known)]
    tables += [e.calibration(table, known), curve, summary]
    assert not any(t["statistic"].str.startswith("measured").any() for t in tables)


def test_known_enrichment_counts_from_the_top():
    table = links(20, p_value=np.arange(1, 21) / 21)
    known = np.isin(np.arange(20), [0, 1, 2, 10])
    rows = e.known_enrichment(table, known, ranks=[4, 20, 99])
    first = rows[rows["statistic"] == "imputed"]
    assert list(first["n_top"]) == [4, 20, 20] and list(first["n_known"]) == [3, 4, 4]
    # 3 of 4 known; rest: 1 of 16
    assert first["odds_ratio"].iloc[0] == pytest.approx(3.5 * 15.5 / (1.5 * 1.5))
    assert np.isnan(first["odds_ratio"].iloc[1])  # no rest
    grid = e.known_enrichment(table, known)["n_top"]
    assert grid.min() == 10 and grid.max() == 20


def test_a_perfect_ranking_has_area_one_and_ties_the_base_rate():
    known = np.arange(8) < 2
    table = links(
        rank_score=np.where(known, 0.9, 0.1),
        correlation=np.where(known, -0.8, 0.1),
        p_value=[0.01, 0.02] + [0.02] * 6,
        attribution=[0.1, 0.3] + [0.2] * 6,
    )
    curve, summary = e.precision_recall(table, known)
    area = summary.set_index("statistic")["auprc"]
    assert (
        area["imputed, with distance"]
        == area["measured, without distance"]
        == area["imputed, without distance"]
        == 1
    )
    assert area["distance alone"] == area["measured, z against matched peaks"] == 0.25
    assert (summary["base_rate"] == 0.25).all()
    perfect = curve[curve["statistic"] == "imputed, with distance"]
    assert list(perfect["recall"]) == [1] and list(perfect["precision"]) == [1]


def test_the_area_under_the_steps_of_the_curve_is_the_average_precision():
    rng = np.random.default_rng(0)
    known = rng.random(300) < 0.1
    curve, summary = e.precision_recall(links(300, rank_score=rng.random(300) + 0.3 * known), known)
    own = curve[curve["statistic"] == "imputed, with distance"].iloc[::-1]
    area = (np.diff(own["recall"], prepend=0) * own["precision"]).sum()
    assert area == pytest.approx(of(summary, "imputed, with distance")["auprc"])


def test_a_pair_without_a_value_is_ranked_last():
    known = np.array([True, False, False, False])
    table = links(4, rank_score=[np.nan, 0.3, 0.2, 0.1])
    assert of(e.precision_recall(table, known)[1], "imputed, with distance")["auprc"] == pytest.approx(0.25)


def test_calibration_by_hand():
    known = np.array([True, True, False, True, False, False, False, False])
    table = links(q_value=[0.01, 0.05, 0.05, 0.1, 0.2, 0.3, 0.4, np.nan])
    rows = e.calibration(table, known)
    own = rows[rows["statistic"] == "imputed"]
    assert list(own["level"]) == [0.05, 0.1, 0.2] and list(own["n_significant"]) == [3, 4, 5]
    assert list(own["false_discovery_proportion"]) == pytest.approx([1 / 3, 1 / 4, 2 / 5])
    none = of(rows, "measured", level=0.1)
    assert none["n_significant"] == 0 and np.isnan(none["false_discovery_proportion"])


def test_what_is_known_must_fit():
    with pytest.raises(ValueError, match=r"one known value per pair \(8\), found shape \(3,\)"):
        e.calibration(links(), [True] * 3)
    with pytest.raises(ValueError, match="No pair is known as a link"):
        e.precision_recall(links(), [False] * 8)
    with pytest.raises(ValueError, match="Every pair is known as a link"):
        e.known_enrichment(links(), [True] * 8)


def test_a_set_is_false_if_no_member_of_its_credible_set_is_known():
    table = links(6).assign(
        set=["A:1", "A:1", "A:2", "A:2", "B:1", "B:2"],
        q_set=[0.04, 0.04, 0.08, 0.08, 0.15, 0.5],
        in_credible_set=[True, True, True, False, True, True],
    )
    found = e.set_calibration(table, [False, True, False, True, True, True]).set_index("level")
    assert found["n_significant"].tolist() == [1, 2, 3]
    assert found["false_discovery_proportion"].tolist() == [0, 0.5, pytest.approx(1 / 3)]
    assert found.loc[0.1, "ci_low"] == pytest.approx(0.0126, abs=1e-4)  # of 1 in 2, Clopper-Pearson
    assert (found["statistic"] == e.SETS).all() and list(e.calibration(table, [True] * 6)) == list(
        found.reset_index()[["statistic", "level", *found.columns[1:]]]
    )
    none = e.set_calibration(table.assign(q_set=1.0), [True] * 6)
    assert none["n_significant"].eq(0).all() and none["false_discovery_proportion"].isna().all()
