"""Two methods compared over the seeds both have: the interval by hand, and what so few seeds cannot tell."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_rel

from jamie.metrics.comparison import BETTER, UNTOLD, WORSE, paired_difference, reach_of


def compared(a, b, better="higher", ratio=0.0):
    return paired_difference(pd.Series(a), pd.Series(b), better=better, test_over_train=ratio)


def test_the_interval_is_that_of_a_paired_t_test_where_no_split_is_shared():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 7))
    found, known = compared(a, b), ttest_rel(a, b).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((known.low, known.high))
    assert found.mean == pytest.approx(np.mean(a - b)) and found.n_seeds == 7


def test_splits_that_share_cells_widen_it_by_hand():
    # differences 0.1, 0.2, 0.3: mean 0.2, sd 0.1; t(2) = 4.3027; sqrt(1/3 + 1/4) = 0.76376
    found = compared([0.1, 0.2, 0.3], [0.0, 0.0, 0.0], ratio=0.25)
    assert found.high - found.mean == pytest.approx(4.30265 * 0.1 * 0.763763, rel=1e-5)
    assert found.verdict == UNTOLD  # 0.2 is less than 0.3286
    assert compared([0.1, 0.2, 0.3], [0.0, 0.0, 0.0]).verdict == UNTOLD  # nor more than 0.2484
    assert compared([0.15, 0.2, 0.25], [0.0, 0.0, 0.0], ratio=0.25).verdict == BETTER  # 0.2 and 0.1643
    assert reach_of(3, 0.25) == pytest.approx(3.28622, rel=1e-5)


@pytest.mark.parametrize(("better", "verdict"), [("higher", BETTER), ("lower", WORSE)])
def test_the_direction_of_the_score_decides_who_is_better(better, verdict):
    assert compared([0.5, 0.6, 0.7], [0.1, 0.21, 0.29], better).verdict == verdict


def test_what_varies_from_seed_to_seed_in_both_does_not_count():
    base = np.array([0.2, 0.5, 0.9])
    assert compared(base + np.array([0.05, 0.06, 0.05]), base, ratio=0.25).verdict == BETTER


@pytest.mark.parametrize("ratio", [0.0, 0.25])
def test_one_seed_tells_nothing_and_two_next_to_nothing(ratio):
    one = compared([0.9], [0.1], ratio=ratio)
    assert (one.verdict, one.low, one.high, one.n_seeds) == (UNTOLD, -np.inf, np.inf, 1)
    assert one.mean == pytest.approx(0.8)
    assert compared([0.5, 0.6], [0.3, 0.3], ratio=ratio).verdict == UNTOLD  # t(1) = 12.7
    none = compared([np.nan, 0.5], [0.5, np.nan], ratio=ratio)
    assert none.n_seeds == 0 and np.isnan(none.mean) and none.verdict == UNTOLD


def test_only_seeds_that_both_have_are_compared():
    a, b = pd.Series({0: 0.5, 1: 0.61, 2: 9.0}), pd.Series({0: 0.4, 1: 0.5, 3: -9.0})
    found = paired_difference(a, b, better="higher", test_over_train=0.0)
    assert found.n_seeds == 2 and found.mean == pytest.approx(0.105)


def test_equal_differences_of_other_splits_tell_nothing_and_those_of_the_same_cells_do():
    """Of 8 test cells a score moves by eighths: three equal differences are chance, not certainty."""
    a, b = [0.5, 0.625, 0.75], [0.375, 0.5, 0.625]
    assert compared(a, b, ratio=0.25).verdict == UNTOLD
    assert compared(a, b, ratio=0.0).verdict == BETTER
    assert compared(a, a, ratio=0.0).verdict == UNTOLD
    assert compared(np.array(a) + 1e-13, a, ratio=0.0).verdict == UNTOLD  # rounding is no difference


def test_of_equal_methods_on_overlapping_splits_few_are_called_different():
    """Splits of 100 cells, 20 held out: a cell's difference is its own, so that splits share differences."""
    rng, calls = np.random.default_rng(0), {0.0: 0, 0.25: 0}
    for _ in range(2000):
        cells = rng.normal(size=100)  # what differs between two methods, cell by cell; 0 over all cells
        gaps = [cells[rng.permutation(100)[:20]].mean() for _ in range(3)]
        for ratio in calls:
            calls[ratio] += compared(gaps, [0.0] * 3, ratio=ratio).verdict != UNTOLD
    assert calls[0.25] / 2000 <= 0.06 < 0.07 < calls[0.0] / 2000
