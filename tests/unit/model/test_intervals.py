"""Intervals cover what they promise, in each group; the mask calls no noise better than a mean."""

import numpy as np
import pytest

from jamie.model import intervals as iv


def cover(distances, half_width) -> float:
    return float((distances <= half_width).mean())


def test_new_cells_of_each_group_are_covered_at_the_promised_rate():
    rng = np.random.default_rng(0)
    scale = np.array([1.0, 3.0])

    def draw(n):
        group = rng.integers(0, 2, n)
        return np.abs(rng.normal(size=(n, 200)) * scale[group][:, None]), group

    distances, group = draw(400)
    members = np.column_stack([np.ones(400, bool), group == 0, group == 1])
    half = iv.half_widths(distances, members, np.full(200, 99.0))
    new, of = draw(4000)
    assert cover(new, half[:, 0]) == pytest.approx(0.9, abs=0.01)
    for g in (0, 1):
        assert cover(new[of == g], half[:, g + 1]) == pytest.approx(0.9, abs=0.01)
    assert cover(new[of == 1], half[:, 0]) < 0.85  # one width for all would not cover the noisier group


def test_the_quantile_is_the_conformal_one():
    """Of 19 distances 1 to 19 the 90 % quantile is the 18th, as (19 + 1) 0.9 = 18."""
    distances = np.random.default_rng(1).permutation(np.arange(1.0, 20.0))[:, None]
    assert iv.half_widths(distances, np.ones((19, 1), bool), np.array([99.0]))[0, 0] == 18


def test_few_cells_give_wide_intervals_and_none_is_missing():
    distances = np.arange(1.0, 9.0)[:, None]  # 8 cells: no quantile reaches 90 %
    assert iv.half_widths(distances, np.ones((8, 1), bool), np.array([50.0]))[0, 0] == 50
    assert (
        iv.half_widths(np.empty((0, 3)), np.ones((0, 2), bool), np.full(3, 50.0)).tolist() == [[50, 50]] * 3
    )


def test_a_small_group_takes_the_wider_interval():
    rng = np.random.default_rng(2)
    distances = np.abs(rng.normal(size=(200, 50)))
    distances[:12] *= 5
    members = np.zeros((200, 3), bool)
    members[:, 0], members[:12, 1], members[20:32, 2] = True, True, True
    half = iv.half_widths(distances, members, np.full(50, 99.0))
    assert (half[:, 1] > half[:, 0]).all()
    assert (half[:, 2] >= half[:, 0]).all()


def test_values_that_were_not_measured_are_left_out():
    distances = np.arange(1.0, 21.0)[:, None].repeat(2, axis=1)
    distances[19, 1] = np.nan  # 20 values: the 19th; 19 values: the 18th
    half = iv.half_widths(distances, np.ones((20, 1), bool), np.full(2, 99.0))
    assert half.ravel().tolist() == [19, 18]


@pytest.mark.parametrize("native", [False, True])
def test_ends_hold_the_value_and_counts_do_not_go_below_zero(native):
    center = np.array([[0.0, 0.2, 7.0]])
    half = np.full((1, 3), 0.5)
    low, high = iv.ends(center, half, native=native, kind="rna", values="counts")
    assert (low <= center).all() and (center <= high).all() and low.min() == 0
    low, _ = iv.ends(center, half, native=native, kind="continuous", values="normalised")
    assert low.min() == -0.5
    low, high = iv.ends(center, half, native=native, kind="methylation", values="normalised")
    assert low.min() == 0 and high.max() == 1


def test_an_imputed_count_below_zero_has_its_ends_in_order():
    low, high = iv.ends(np.array([[-0.3]]), np.array([[0.1]]), native=False, kind="atac", values="counts")
    assert low == high == 0


def test_the_mask_calls_five_percent_of_noise_better_and_a_real_gain_better():
    rng = np.random.default_rng(3)
    members = np.ones((60, 1), bool)
    assert iv.better_than_mean(rng.normal(size=(60, 4000)), members).mean() == pytest.approx(0.05, abs=0.015)
    assert iv.better_than_mean(rng.normal(1, 1, size=(60, 400)), members).all()
    assert not iv.better_than_mean(np.ones((iv.MIN_GROUP - 1, 5)), np.ones((iv.MIN_GROUP - 1, 1), bool)).any()
