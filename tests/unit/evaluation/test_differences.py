"""Differences between groups: right wherever imputed values are wrong, narrower where they are good."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from jamie.evaluation import differences
from jamie.evaluation.differences import Cells, compare

N, N_LACKING, N_ALONE = 120, 300, 40  # cells of each group
P = 2000


def cells(groups=("a", "b"), n=N, n_lacking=N_LACKING, n_alone=N_ALONE) -> Cells:
    return Cells(*(np.repeat(groups, size) for size in (n, n_lacking, n_alone)))


def values(of: Cells, means: dict, rng, noise=1.0, p=P):
    """y and f of paired cells, f of lacking ones, y of those alone; y is f and an error of its own."""
    found = []
    for names in (of.paired, of.lacking, of.alone):
        shared = rng.normal(size=(len(names), p)) + np.array([means[g] for g in names])[:, None]
        found.append((shared, shared + noise * rng.normal(size=shared.shape)))
    (f, y), (f_lacking, _), (_, y_alone) = found
    return y, f, f_lacking, y_alone


def test_with_perfect_imputation_it_is_as_if_all_cells_were_measured():
    rng, of = np.random.default_rng(0), cells(n_alone=0)
    y, f, u, alone = values(of, {"a": 0, "b": 1}, rng, noise=0, p=50)
    found = compare(of, y, f, u, alone, zeros=False).set_index(["group", "feature"]).loc["a"]
    together = {g: np.concatenate([y[of.paired == g], u[of.lacking == g]]) for g in "ab"}
    wanted = stats.ttest_ind(together["a"], together["b"])
    of_all = together["a"].mean(axis=0) - together["b"].mean(axis=0)
    np.testing.assert_allclose(found["difference"], of_all, atol=0.03)
    assert np.abs(found["difference_measured"] - of_all).max() > 0.15
    width = found["ci_high"] - found["ci_low"]
    np.testing.assert_allclose(width, np.diff(wanted.confidence_interval(), axis=0)[0], rtol=0.15)
    narrower = width / (found["ci_high_measured"] - found["ci_low_measured"])
    assert narrower.median() == pytest.approx(np.sqrt(N / (N + N_LACKING)), abs=0.02)


def test_measured_values_alone_give_welchs_test():
    rng, of = np.random.default_rng(1), cells(n_alone=0)
    y, f, u, alone = values(of, {"a": 0, "b": 0.3}, rng, p=50)
    y[of.paired == "b"] *= 3
    found = compare(of, y, f, u, alone, zeros=False).set_index(["group", "feature"]).loc["b"]
    welch = stats.ttest_ind(y[of.paired == "b"], y[of.paired == "a"], equal_var=False)
    interval = welch.confidence_interval()
    np.testing.assert_allclose(found["p_value_measured"], welch.pvalue)
    np.testing.assert_allclose(found["ci_low_measured"], interval.low)
    np.testing.assert_allclose(found["ci_high_measured"], interval.high)


@pytest.mark.parametrize("wrong", ["none", "shifted", "of one group shifted", "unrelated"])
def test_intervals_hold_the_truth_however_wrong_imputed_values_are(wrong):
    rng, of = np.random.default_rng(2), cells()
    y, f, u, alone = values(of, {"a": 0, "b": 0.2}, rng)
    if wrong == "shifted":
        f, u = f + 5, u + 5
    if wrong == "of one group shifted":
        f[of.paired == "a"] += 1
        u[of.lacking == "a"] += 1
    if wrong == "unrelated":
        f, u = rng.normal(size=f.shape), rng.normal(size=u.shape)
    found = compare(of, y, f, u, alone, zeros=False)
    found = found[found["group"] == "b"]
    covered = (found["ci_low"] <= 0.2) & (found["ci_high"] >= 0.2)
    assert covered.mean() == pytest.approx(0.95, abs=0.015)
    narrower = (found["ci_high"] - found["ci_low"]) / (found["ci_high_measured"] - found["ci_low_measured"])
    n = N + N_ALONE  # variance without the half that f explains where there is f
    expected = np.sqrt(1 - 0.5 * N / n * N_LACKING / (N + N_LACKING)) if wrong != "unrelated" else 1.0
    assert narrower.median() == pytest.approx(expected, abs=0.02)


def sparse_counts(rng, n, mean):
    """Log of Poisson counts with a gamma rate that f knows half of, for each feature."""
    known = rng.gamma(2, 0.5, size=(n, len(mean)))
    counts = rng.poisson(mean * known * rng.gamma(2, 0.5, size=known.shape))
    return np.log1p(counts), np.log1p(mean * known)


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_a_type_split_at_random_differs_in_no_more_features_than_chance_has_it(share):
    rng, rates = np.random.default_rng(3), []
    mean = np.geomspace(0.02, 2, 400)
    for _ in range(6):
        y, f = sparse_counts(rng, 300, mean)
        u, alone = sparse_counts(rng, 200, mean)[1], sparse_counts(rng, 60, mean)[0]
        of = Cells(*(np.where(rng.random(n) < share, "a", "b") for n in (300, 200, 60)))
        found = compare(of, y, f, u, alone, zeros=True)
        found = found[(found["group"] == "a") & found["p_value"].notna()]
        rates.append((len(found), (found["p_value"] < 0.05).sum()))
    n, low = np.sum(rates, axis=0)
    assert n > 6 * 100 and 0.035 < low / n <= 0.06


def test_rare_features_have_no_p_and_say_why_but_markers_of_a_rare_type_do():
    rng = np.random.default_rng(4)
    of = Cells(np.repeat(["rare", "other"], [40, 800]), np.repeat(["rare", "other"], 50), np.array([], str))
    y = np.zeros((840, 3))
    y[:35, 0] = 1  # a marker
    y[rng.permutation(840)[:30], 1] = 1  # a feature as rare in all
    y[:, 2] = rng.random(840) < 0.6
    f, u, alone = y + rng.normal(size=y.shape), rng.normal(size=(100, 3)), np.empty((0, 3))
    found = compare(of, y, f, u, alone, zeros=True).set_index(["group", "feature"]).loc["rare"]
    assert found["reason"].tolist() == ["", "too few cells with a value", ""]
    assert found["p_value"].isna().tolist() == [False, True, False] and found["p_value"][0] < 1e-10
    assert found["difference"].notna().all()


def test_a_missing_value_is_one_that_the_cell_lacks():
    rng, of = np.random.default_rng(5), cells()
    y, f, u, alone = values(of, {"a": 0, "b": 1}, rng, p=3)
    y[:30, 1] = alone[:10, 1] = np.nan
    found = compare(of, y, f, u, alone, zeros=False)
    assert found["feature"].tolist() == [0, 1, 2] * 2
    without = Cells(of.paired[30:], np.append(of.lacking, of.paired[:30]), of.alone[10:])
    parts = y[30:, [1]], f[30:, [1]], np.concatenate([u, f[:30]])[:, [1]], alone[10:, [1]]
    wanted = compare(without, *parts, zeros=False)
    pd.testing.assert_frame_equal(
        found[found["feature"] == 1].drop(columns="feature").reset_index(drop=True),
        wanted.drop(columns="feature"),
    )


def test_the_others_count_by_their_share_of_all_cells_not_of_measured_ones():
    rng = np.random.default_rng(6)
    names = ("a", "b", "c")
    of = Cells(
        np.repeat(names, [50, 200, 50]), np.repeat(names, [100, 100, 550]), np.repeat(names, [0, 0, 0])
    )
    y = np.repeat([0.0, 1.0, 5.0], [50, 200, 50])[:, None] + rng.normal(size=(300, 4)) * 1e-3
    f, u, alone = rng.normal(size=y.shape), rng.normal(size=(750, 4)), np.empty((0, 4))
    found = compare(of, y, f, u, alone, zeros=False)
    # of b and c together there are 300 and 600 cells
    wanted = 0 - (1 * 300 + 5 * 600) / 900
    np.testing.assert_allclose(found.loc[found["group"] == "a", "difference"], wanted, atol=0.01)
    np.testing.assert_allclose(found.loc[found["group"] == "a", "difference_measured"], wanted, atol=0.01)


def test_groups_of_few_measured_cells_are_left_out():
    rng = np.random.default_rng(7)
    of = Cells(np.repeat(["a", "b", "few"], [50, 50, 19]), np.repeat(["few"], 100), np.array([], str))
    y, u, alone = rng.normal(size=(119, 2)), rng.normal(size=(100, 2)), np.empty((0, 2))
    assert set(compare(of, y, y, u, alone, zeros=False)["group"]) == {"a", "b"}
    only = Cells(of.paired[:69], of.lacking, of.alone)
    assert compare(only, y[:69], y[:69], u, alone, zeros=False)["group"].unique().tolist() == ["a"][:0]


def test_q_values_are_those_of_what_was_tested():
    p = np.array([0.01, np.nan, 0.02, 0.5])
    found = differences.with_q(pd.DataFrame({"p_value": p, "p_value_measured": p[::-1]}))
    np.testing.assert_allclose(found["q_value"], [0.03, np.nan, 0.03, 0.5])
    np.testing.assert_allclose(found["q_value_measured"], [0.5, 0.03, np.nan, 0.03])


def test_with_few_pairs_measured_values_stand_alone():
    rng, of = np.random.default_rng(8), cells(n=differences.MIN_PREDICTED - 1)
    found = compare(of, *values(of, {"a": 0, "b": 1}, rng, p=5), zeros=False)
    for name in ("difference", "ci_low", "p_value"):
        np.testing.assert_array_equal(found[name], found[f"{name}_measured"])
