"""Which methods the seeds tell apart: best, level and worse on made-up scores."""

import numpy as np
import pandas as pd
import pytest

from jamie.evaluation import paired
from jamie.metrics.comparison import Difference, paired_difference

SHIFT = np.array([0.0, 0.1, -0.05])  # what a seed adds to every method


def scores(**of: list[float]) -> pd.DataFrame:
    return pd.DataFrame(of, index=range(3)).add(SHIFT, axis=0)


TABLE = scores(
    jamie=[0.50, 0.51, 0.49],
    cca=[0.50, 0.49, 0.50],  # as good on average, to chance
    knn=[0.30, 0.30, 0.29],  # clearly worse
    floor_mean=[0.9, 0.9, 0.9],
)


def test_the_best_and_what_cannot_be_told_from_it_are_level():
    assert paired.level_with_best(TABLE, "higher", 0.25) == ["jamie", "cca"]
    assert paired.level_with_best(TABLE, "lower", 0.25) == ["knn"]
    ahead = TABLE.assign(jamie=TABLE["jamie"] + 0.2)
    assert paired.level_with_best(ahead, "higher", 0.25) == ["jamie"]


def test_overlapping_spreads_are_no_tie_where_every_seed_says_the_same():
    """Both spread by 0.08 over seeds, and differ by 0.02 in each of them."""
    close = scores(jamie=[0.5, 0.5, 0.5], cca=[0.479, 0.48, 0.481])
    assert close["jamie"].mean() - close["cca"].mean() < close["cca"].std()
    assert paired.level_with_best(close, "higher", 0.25) == ["jamie"]


def test_with_one_seed_nothing_is_level_and_nothing_best():
    one = TABLE.iloc[:1]
    assert paired.level_with_best(one, "higher", 0.25) == []
    assert paired.standing(one, "jamie", "higher", 0.25) == paired.ONE_SEED


def test_a_method_of_one_seed_neither_leads_nor_is_level():
    lucky = TABLE.assign(knn=[0.99, np.nan, np.nan])
    assert paired.level_with_best(lucky, "higher", 0.25) == ["jamie", "cca"]
    assert paired.standing(lucky, "jamie", "higher", 0.25) == paired.LEVEL


@pytest.mark.parametrize(
    ("method", "better", "standing"),
    [
        ("jamie", "higher", paired.LEVEL),  # better than KNN, not told from CCA
        ("jamie", "lower", paired.BEHIND),
        ("knn", "higher", paired.BEHIND),
        ("knn", "lower", paired.BEST),
    ],
)
def test_standings(method, better, standing):
    assert paired.standing(TABLE, method, better, 0.25) == standing
    assert paired.standing(TABLE[[method, "floor_mean"]], method, better, 0.25) == paired.ALONE


def test_standings_are_those_of_each_score_a_method_has():
    rows = [
        {"metric": metric, "modality": modality, "method": m, "seed": s, "value": TABLE.loc[s, m]}
        for metric, modality in (("foscttm", np.nan), ("pearson", "rna"), ("r2", "rna"))
        for m in ("jamie", "knn")
        for s in range(3)
        if (m, metric) != ("jamie", "r2")
    ]
    table = pd.DataFrame(rows).assign(status="ok", cells="test")
    found = paired.standings(table, "jamie", held_out=0.2)
    assert found == {("foscttm", ""): paired.BEHIND, ("pearson", "rna"): paired.BEST}


def test_splits_share_cells_only_where_cells_are_held_out():
    assert paired.split_ratio("test", 0.2) == pytest.approx(0.25)
    assert paired.split_ratio("hidden", 0.0) == paired.split_ratio("paired", 0.2) == 0


@pytest.mark.parametrize(
    ("gap", "words"),
    [
        (Difference(0.05, 0.0124, 0.0876, 3, "better"), "+0.050 (0.012 to 0.088): better"),
        (Difference(-0.05, -0.2, 0.1, 3, "cannot tell"), "-0.050 (-0.200 to 0.100): cannot tell"),
        (Difference(0.3, -np.inf, np.inf, 1, "cannot tell"), "+0.300 (one seed): cannot tell"),
        (Difference(0.3, -np.inf, np.inf, 3, "cannot tell"), "+0.300 (equal in all seeds): cannot tell"),
        (Difference(np.nan, -np.inf, np.inf, 0, "cannot tell"), "no seed in common"),
    ],
)
def test_a_difference_in_words(gap, words):
    assert paired.interval_in_words(gap) == words


def test_what_so_many_seeds_can_tell():
    """The factor named is the one at which the verdict turns."""
    assert "One seed cannot tell" in paired.few_seeds(1, 0.2)
    words = paired.few_seeds(3, 0.2)
    assert "more than 3.3 times its standard deviation" in words
    gaps = pd.Series([-1.0, 0.0, 1.0])  # sd 1
    for mean, verdict in ((3.2, "cannot tell"), (3.4, "better")):
        found = paired_difference(gaps + mean, 0 * gaps, better="higher", test_over_train=0.25)
        assert found.verdict == verdict
