"""Whether pairs are of one cell: known answers, samples apart, and p-values that are what they say."""

import numpy as np
import pytest
from anndata import AnnData

from jamie import contract as c
from jamie.data.related import Pairs, in_words

N = 120
ALL = np.column_stack([np.arange(N), np.arange(N)])


def counts(hidden: np.ndarray, seed: int, depth=20.0) -> AnnData:
    """Poisson counts of 30 features that follow ``hidden`` (n, k), with depths (n,) or one for all."""
    rng = np.random.default_rng(seed)
    rate = np.exp(hidden @ rng.normal(size=(hidden.shape[1], 30)))
    rate *= (depth / rate.mean(axis=1))[:, None]
    return AnnData(rng.poisson(rate).astype(np.float32), uns={"kind": c.RNA, "values": c.COUNTS})


def measured(values: np.ndarray) -> AnnData:
    return AnnData(values.astype(np.float32), uns={"kind": c.CONTINUOUS, "values": "normalised"})


def hidden(seed: int, k: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N, k))


def test_the_same_cells_are_wholly_alike():
    cells = counts(hidden(0), 1)
    relation = Pairs(cells, cells, ALL).relation()
    assert relation.content == pytest.approx(1) and relation.depth == pytest.approx(1)
    assert relation.p_content == relation.p_depth == 1 / 500 and relation.found and relation.n_pairs == N


def test_depth_alone_is_enough_and_so_is_content():
    depth = np.random.default_rng(0).lognormal(3, 1, N)
    by_depth = Pairs(counts(hidden(1), 2, depth), counts(hidden(3), 4, depth), ALL).relation()
    assert by_depth.depth > 0.8 and by_depth.p_depth == 1 / 500 and by_depth.found
    state = hidden(5)
    by_content = Pairs(counts(state, 6), counts(state, 7), ALL).relation()
    assert by_content.p_content == 1 / 500 and by_content.found and abs(by_content.depth) < 0.4


def test_strangers_are_not_alike():
    state = hidden(0)
    order = np.column_stack([np.arange(N), np.random.default_rng(1).permutation(N)])
    assert not Pairs(counts(state, 2), counts(state, 3), order).relation().found


def test_without_counts_there_is_no_depth():
    state = hidden(0)
    other = measured(state @ np.random.default_rng(1).normal(size=(2, 8)))
    other.X[0, 0] = np.nan
    relation = Pairs(counts(state, 2), other, ALL).relation()
    assert np.isnan(relation.depth) and relation.found and "depth" not in in_words(relation)


def test_a_difference_between_samples_makes_no_strangers_alike():
    samples = np.repeat(["a", "b"], N // 2)
    shift = 3.0 * (samples == "a")[:, None]
    one, other = measured(hidden(0, 5) + shift), measured(hidden(1, 5) + shift)
    assert Pairs(one, other, ALL).relation().found
    assert not Pairs(one, other, ALL, samples).relation().found


def test_a_sample_of_strangers_is_told_and_one_that_is_too_small_is_not():
    samples = np.repeat(["a", "b"], N // 2)
    state = hidden(0)
    right = Pairs(counts(state, 1), counts(state, 2), ALL, samples)
    assert right.samples_unrelated() == []
    order = ALL.copy()
    order[N // 2 :, 1] = np.random.default_rng(0).permutation(order[N // 2 :, 1])
    assert Pairs(counts(state, 1), counts(state, 2), order, samples).samples_unrelated() == ["b"]
    small = np.where(np.arange(N) >= N - 40, "b", "a")
    assert Pairs(counts(state, 1), counts(state, 2), order, small).samples_unrelated() == []


def test_p_values_of_strangers_are_as_frequent_as_they_say():
    found = []
    for seed in range(100):
        one, other = measured(hidden(seed, 4)), measured(hidden(1000 + seed, 3))
        found.append(Pairs(one, other, ALL, np.arange(N) % 3, seed=seed).relation().p_content)
    for level, fewest, most in ((0.1, 3, 19), (0.5, 36, 64)):  # within three standard deviations
        assert fewest <= (np.array(found) <= level).sum() <= most


def test_many_pairs_are_drawn_from():
    state = np.random.default_rng(0).normal(size=(2_500, 2))
    one = measured(state)
    assert Pairs(one, one, np.column_stack([np.arange(2_500)] * 2)).relation().n_pairs == 2_000
