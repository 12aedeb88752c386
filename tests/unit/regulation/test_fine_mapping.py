"""Peaks that open together are one set; a set is linked, and its members share the weight."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from jamie.data.genome import place_features
from jamie.regulation import fine_mapping
from jamie.regulation.collect import judged
from jamie.regulation.fine_mapping import LEVEL, fine_mapped, linked, near_peaks, sets_of


def test_near_peaks_are_those_of_a_search_through_all():
    _, peaks = place_features(20, 300, 3, np.random.default_rng(0))
    peaks = peaks.sample(frac=1, random_state=0)  # in no order
    first, second = near_peaks(peaks, 30_000)
    centre = ((peaks["start"] + peaks["end"]) // 2).to_numpy()
    chrom = peaks["chrom"].to_numpy(str)
    near = np.equal.outer(chrom, chrom) & (np.abs(np.subtract.outer(centre, centre)) <= 30_000)
    expected = {frozenset(pair) for pair in np.argwhere(np.triu(near, 1)).tolist()}
    assert {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)} == expected
    assert len(first) == len(expected) > 100
    assert [len(side) for side in near_peaks(peaks.iloc[:0])] == [0, 0]


def test_peaks_without_a_place_are_near_none():
    peaks = pd.DataFrame(
        {"chrom": ["", "a", "", "a", ""], "start": [0, 5, 0, 9, 0], "end": [0, 7, 0, 11, 0]},
        index=list("pqrst"),
    )
    assert [side.tolist() for side in near_peaks(peaks)] == [[1], [3]]


def test_every_two_members_of_a_set_open_together():
    # 0-1-2 is a chain, whose ends are apart; 3-4-5 are alike; 6 is near 5 and unlike; 7 is alone
    pairs = {(0, 1): 0.9, (1, 2): 0.6, (3, 4): 0.8, (3, 5): 0.7, (4, 5): 0.6, (5, 6): 0.49}
    first, second = np.array(list(pairs)).T
    found = sets_of(8, first, second, np.array(list(pairs.values())))
    assert found[0] == found[1] != found[2]
    assert found[3] == found[4] == found[5] != found[6]
    assert len(set(found)) == 5 and found.max() == 4


def test_sets_of_many_peaks_are_pure_and_as_few_as_pairs_allow():
    rng = np.random.default_rng(0)
    loads = rng.normal(size=(200, 3)) + 1.5 * np.repeat(rng.normal(size=(40, 3)), 5, axis=0)
    r = np.corrcoef(loads)
    first, second = np.array([(i, j) for i in range(200) for j in range(i + 1, min(i + 8, 200))]).T
    found = sets_of(200, first, second, r[first, second])
    same = np.equal.outer(found, found) & ~np.eye(200, dtype=bool)
    near = np.zeros((200, 200), dtype=bool)
    near[first, second] = near[second, first] = True
    assert same.sum() > 100 and (near & (r >= 0.5))[same].all()
    assert 40 < len(set(found)) < 160


def pairs_of(p, neighbourhood, distance=1_000, gene="A", chrom="chr1", score=None):
    p = np.asarray(p, dtype=float)
    table = {"gene": gene, "neighbourhood": neighbourhood, "chrom": chrom, "distance_bp": distance}
    score = np.where(np.isnan(p), np.nan, 1 / (1 + 20 * np.nan_to_num(p))) if score is None else score
    return pd.DataFrame({"p_value": p, "rank_score": score} | table)


def test_a_set_has_the_p_of_simes_and_one_q():
    table = pairs_of([0.03, 0.02, 0.9, 0.5, np.nan], [5, 5, 5, 6, 5])
    found = fine_mapped(table)
    # 3 members: min(3 x 0.02 / 1, 3 x 0.03 / 2, 0.9) = 0.045, and 0.5; of two sets, one chromosome
    np.testing.assert_allclose(found["q_set"], [0.09, 0.09, 0.09, 0.5, np.nan])
    assert found["set"].tolist() == ["A:1", "A:1", "A:1", "A:2", ""]
    assert found["in_credible_set"].tolist()[4] is False and np.isnan(found["weight"][4])


def test_weights_are_shares_of_odds_and_the_credible_set_is_the_fewest_members():
    odds = np.array([60.0, 36.0, 3.0, 1.0, 7.0])
    table = pairs_of([0.001, 0.002, 0.1, 0.5, 0.01], [0, 0, 0, 0, 1], score=odds / (1 + odds))
    found = fine_mapped(table)
    np.testing.assert_allclose(found["weight"], [0.60, 0.36, 0.03, 0.01, 1])
    assert found["in_credible_set"].tolist() == [True, True, False, False, True]
    assert linked(found, 1.0).tolist() == found["in_credible_set"].tolist()
    assert not linked(found, 0.0).any()


def test_the_same_set_of_peaks_is_another_set_for_another_gene():
    table = pd.concat([pairs_of([0.001, 0.2], [3, 3]), pairs_of([0.5, 0.5], [3, 3], gene="B")])
    found = fine_mapped(table.reset_index(drop=True))
    assert found["set"].tolist() == ["A:1", "A:1", "B:1", "B:1"]
    assert found["q_set"][0] < found["q_set"][2]


def test_without_a_p_or_a_pair_there_is_no_set():
    empty = fine_mapped(pairs_of([], []))
    assert empty.empty and set(fine_mapping.SET_COLUMNS) <= set(empty.columns)
    none = fine_mapped(pairs_of([np.nan, np.nan], [0, 1]))
    assert (none["set"] == "").all() and not linked(none, 1.0).any()


@pytest.fixture(scope="module")
def planted():
    """Sets of four peaks that open together, z of every gene with their correlation; one driver in some."""
    rng = np.random.default_rng(0)
    n, r = 6_000, 0.7
    z = np.sqrt(r) * rng.normal(size=(n, 1)) + np.sqrt(1 - r) * rng.normal(size=(n, 4))
    driver = np.where(rng.random(n) < 0.05, rng.integers(0, 4, n), -1)
    driven = driver >= 0
    effect = np.where(np.arange(4) == driver[driven, None], 1.0, r)
    z[driven] += 5 * effect
    table = pairs_of(np.maximum(norm.sf(z).ravel(), 1e-4), np.repeat(np.arange(n), 4))
    table["gene"] = np.repeat([f"g{i}" for i in range(n)], 4)
    table["chrom"] = np.repeat(rng.choice(["chr1", "chr2", "chr3"], n), 4)
    table["distance_bp"] = rng.integers(1, 500_000, 4 * n)
    true = (np.arange(4) == driver[:, None]).ravel()
    return table, true


def test_sets_keep_the_promise_of_q_where_pairs_do_not(planted):
    table, true = planted
    found = judged(table.assign(p_correlation=np.nan))
    pairs = found["q_value"] <= 0.1
    assert (~true[pairs]).mean() > 0.5  # neighbours of a driver, each called
    called = linked(found, 0.1)
    held = pd.Series(true).groupby(found["set"]).any()[found.loc[called, "set"].unique()]
    assert len(held) > 150 and (~held).mean() <= 0.12
    in_credible = pd.Series(true[called]).groupby(found.loc[called, "set"].to_numpy()).any()
    assert in_credible[held[held].index].mean() >= LEVEL - 0.05
    assert (found["weight"][called & true]).mean() > 0.4  # by chance 0.25


def test_where_no_set_has_a_driver_one_is_linked_no_more_often_than_q_says(planted):
    table, rng = planted[0].iloc[:4_000], np.random.default_rng(1)
    any_linked = []
    for _ in range(8):
        z = np.sqrt(0.7) * rng.normal(size=(1_000, 1)) + np.sqrt(0.3) * rng.normal(size=(1_000, 4))
        found = fine_mapped(table.assign(p_value=norm.sf(z).ravel()))
        assert found["q_set"].notna().all()
        any_linked.append(linked(found, 0.1).any())
    assert sum(any_linked) <= 3  # one of 8 is expected at most
