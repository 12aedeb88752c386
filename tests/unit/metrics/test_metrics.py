"""Every registered metric has answers known beforehand: perfect, uninformative or worst, and by hand."""

import numpy as np
import pandas as pd
import pytest

from jamie import contract
from jamie.metrics import comparison, imputation, structure
from jamie.metrics.alignment import closer_fractions, foscttm, label_transfer_accuracy
from jamie.metrics.attainable import pearson_over_attainable
from jamie.metrics.base import BETTER, FEATURE_INPUTS, METRICS, NotApplicable, load_metrics, metric
from jamie.metrics.imputation import pearson
from jamie.metrics.structure import batch_mixing, modality_mixing, silhouette
from jamie.metrics.summaries import r2_median

load_metrics()
RNG = np.random.default_rng(0)
CELLS = RNG.normal(size=(40, 3))
SAME = np.column_stack([np.arange(40)] * 2)
LINE = np.arange(4.0)[:, None]
PAIRS4 = np.column_stack([np.arange(4)] * 2)
TWO_BLOBS = np.repeat([[0.0], [100.0]], 20, axis=0) + RNG.normal(scale=0.01, size=(40, 1))
BLOB_NAMES = np.repeat(["a", "b"], 20)
LINED = (np.arange(12) + 0.001 * np.arange(12) ** 2)[:, None]  # no two equally far
APART = np.arange(12.0)[:, None] + 100 * (np.arange(12) > 5)[:, None]
IN_TURN, HALVES, ONE_TYPE = np.array(list("ab" * 6)), np.repeat(["a", "b"], 6), np.full(12, "t")
X = np.array([[1.0], [2.0], [3.0], [4.0]])
Y = np.array([[1.0], [3.0], [2.0], [4.0]])
TEN = np.arange(10.0)[:, None]
WITHIN = np.tile([[-1.0], [0.0], [1.0], [2.0], [-2.0]], (2, 1))
TYPES, OFFSET = np.repeat([0, 1], 5), np.repeat([[0.0], [50.0]], 5, axis=0)
SPREAD = np.tile([[1.0], [-1.0]], (15, 1))
SIZES, SIGN = np.repeat([0, 1], [10, 20]), np.repeat([[1.0], [-1.0]], [10, 20], axis=0)


def scores(*values):
    return pd.DataFrame({"feature": list("abcd")[: len(values)], "pearson": values})


def attained(r, attainable):
    return pd.DataFrame({"pearson": r, "pearson_attainable": attainable})


# metric -> list of (arguments, answer)
KNOWN_ANSWERS = {
    "foscttm": [
        (((CELLS, CELLS), SAME), 0.0),
        (((np.ones((40, 3)), np.ones((40, 3))), SAME), 0.5),  # collapsed to a point: chance, not perfect
        (((LINE, -LINE), PAIRS4), 0.5),  # cell i has i closer (0..i-1), of 3 others
        # cell i lies at i, its partner at 3 - i: outer cells have all 3 others closer; inner ones, with the
        # partner 1 away, have one at 0, one as far as the partner (half) and one farther
        (((LINE, LINE[::-1]), PAIRS4), (2 * 3 + 2 * 1.5) / (4 * 3)),
    ],
    "lta": [
        (((TWO_BLOBS, TWO_BLOBS), (BLOB_NAMES, BLOB_NAMES)), (1.0, 1.0)),
        (((TWO_BLOBS, TWO_BLOBS), (BLOB_NAMES, BLOB_NAMES[::-1])), (0.0, 0.0)),
        # three neighbours of one label outvote the one of the other
        (((LINE, LINE), (np.array(list("aaab")), np.array(list("aaab")))), (0.75, 0.75)),
        # the answer stands with the modality whose labels are predicted
        (((LINE, LINE), (np.array(list("aaab")), np.array(list("aaaa")))), (0.75, 1.0)),
    ],
    "silhouette": [
        (((np.zeros((3, 1)), np.ones((3, 1))), (np.array(list("aaa")), np.array(list("bbb")))), 1.0),
        (((np.zeros((4, 1)), np.zeros((4, 1))), (np.array(list("aabb")), np.array(list("abab")))), 0.0),
        # a at 0, 0, 1 and b at 0, 1, 1: with their majority 1 - 1/2 / (2/3), the odd one -(1 - 1/3)
        (
            (
                (np.array([[0], [0], [1.0]]), np.array([[0], [1], [1.0]])),
                (np.array(list("aaa")), np.array(list("bbb"))),
            ),
            (4 * (1 - (1 / 2) / (2 / 3)) + 2 * ((1 / 3) / 1 - 1)) / 6,
        ),
    ],
    "modality_mixing": [
        (((np.zeros((3, 1)), np.zeros((3, 1))),), 1.0),
        (((np.zeros((3, 1)), np.ones((3, 1))),), 0.0),
        (((np.array([[0], [0], [1.0]]), np.array([[0], [1], [1.0]])),), 1 - (4 * (1 / 4) + 2 * (2 / 3)) / 6),
    ],
    "batch_mixing": [
        # batches in turn along a line: of 3 neighbours 2 are of the other one, more than by chance
        (((LINED, LINED), (IN_TURN, IN_TURN), (ONE_TYPE, ONE_TYPE)), (1.0, 1.0)),
        (
            ((LINED + 100 * (HALVES == "b")[:, None], LINED), (HALVES, IN_TURN), (ONE_TYPE, ONE_TYPE)),
            (0.0, 1.0),
        ),
        # one after the other along it: of cells 5, 6 and 7 one, two and one neighbours are of the other batch
        (((LINED, LINED), (HALVES, HALVES), (ONE_TYPE, ONE_TYPE)), ((1 + 2 + 1) / 3 / (12 * 6 / 11),) * 2),
        # types of one batch, and cells without a type, tell nothing
        (
            (
                (np.concatenate([LINED, LINED, LINED]), LINED),
                (np.concatenate([IN_TURN, ONE_TYPE, HALVES]), IN_TURN),
                (np.repeat(["t", "u", ""], 12), ONE_TYPE),
            ),
            (1.0, 1.0),
        ),
    ],
    "pearson": [
        ((X, 2 * X + 1), [1.0]),
        ((X, -X), [-1.0]),
        ((X, np.full_like(X, 0.1)), [0.0]),  # no linear information
        ((np.full_like(X, 0.1), X), [np.nan]),  # undefined
        ((X, Y), [0.8]),
    ],
    "pearson_within": [
        # each type's own level may be off by any amount
        ((WITHIN, WITHIN + OFFSET, None, TYPES), [1.0]),
        ((WITHIN, -WITHIN, None, TYPES), [-1.0]),
        ((WITHIN, OFFSET, None, TYPES), [0.0]),  # nothing but the type: r over all cells is far from 0
        ((OFFSET, WITHIN, None, TYPES), [np.nan]),  # the truth is constant within types
        ((WITHIN, WITHIN + OFFSET), [pearson(WITHIN, WITHIN + OFFSET)[0]]),  # one group of all
        # the same spread, right in one type and reversed in a larger one: (10 * 1 - 20 * 1) / 30
        ((SPREAD, SPREAD * SIGN, None, SIZES), [-1 / 3]),
        # a type of 4 cells and cells without a type are left out
        ((SPREAD, SPREAD, None, np.repeat([0, 1, -1], [4, 20, 6])), [1.0]),
        ((SPREAD[:8], SPREAD[:8], None, np.repeat([0, 1], 4)), [np.nan]),
        # where values are missing, so are their cells: 3 values of the first type are too few
        ((SPREAD, SPREAD * SIGN, np.arange(30)[:, None] < 7, SIZES), [-1.0]),
    ],
    "pearson_attainable": [
        ((np.array([1.0]),), [1.0]),
        ((np.array([0.3, np.nan]),), [0.3, np.nan]),  # as it is: a property of the data
        ((np.array([]),), []),
    ],
    "pearson_over_attainable": [
        ((attained([0.3, 0.6] * 5, [0.3, 0.6] * 5),), (1.0, 10)),
        # the ratio of the means, over features that have both
        ((attained([0.1, 0.2] * 5 + [0.9, np.nan], [0.5, 0.7] * 5 + [np.nan, 0.5]),), (0.25, 10)),
        ((attained([-0.1] * 10, [0.2] * 10),), (-0.5, 10)),
    ],
    "auroc": [
        ((X > 2, X), [1.0]),
        ((X > 2, -X), [0.0]),
        ((X > 2, np.ones_like(X)), [0.5]),
        ((X > 2, Y), [0.75]),
        ((X > 0, Y), [np.nan]),
        ((X > 2, np.array([[1.0], [2], [2], [3]])), [0.875]),  # one tie among 4 comparisons
    ],
    "rmse": [
        ((X, X), [0.0]),
        ((X, X + 3, None, [2.0]), [1.5]),
        ((X, Y, None, [1.0]), [np.sqrt(0.5)]),
        ((X, Y, None, [0.0]), [np.nan]),
    ],
    "r2": [
        ((X, X, None, [2.0]), [1.0]),
        (
            (X, np.full_like(X, 2.0), None, [2.0]),
            [0.0],
        ),  # the training mean, whatever the mean of these cells
        ((X, Y, None, [2.5]), [0.6]),
        ((X, -X, None, [0.0]), [-3.0]),
        ((np.ones_like(X), X, None, [1.0]), [np.nan]),
    ],
    "r2_median": [
        ((pd.DataFrame({"r2": [1.0, 1.0, np.nan, -149.0]}),), (1.0, 3)),
        ((pd.DataFrame({"r2": [0.2, 0.4, 0.1, -9.0]}),), (0.15, 4)),
        ((pd.DataFrame({"r2": [0.3, np.nan]}),), (0.3, 1)),
    ],
    "js_distance": [
        ((TEN, TEN[::-1]), [0.0]),
        ((TEN, TEN + 100), [1.0]),
        # measured all 0, imputed half 0 and half 1: divergence = (log2(4/3) + log2(2/3)/2 + 1/2) / 2
        (
            (np.zeros((10, 1)), np.repeat([0.0, 1.0], 5)[:, None]),
            [np.sqrt((np.log2(4 / 3) + 0.5 * np.log2(2 / 3) + 0.5) / 2)],
        ),
        # same values in all, swapped between two types: seen within types only
        (
            (np.repeat([0.0, 1], 10)[:, None], np.repeat([1.0, 0], 10)[:, None], None, np.repeat([0, 1], 10)),
            [1.0],
        ),
        # 30 cells of a type right, 10 cells of another wrong: weights are cells
        (
            (np.zeros((40, 1)), np.repeat([0.0, 1], [30, 10])[:, None], None, np.repeat([0, 1], [30, 10])),
            [0.25],
        ),
        # a type of 9 cells and cells without a type are left out
        (
            (
                np.zeros((30, 1)),
                np.repeat([0.0, 1], [10, 20])[:, None],
                None,
                np.repeat([0, 1, -1], [10, 9, 11]),
            ),
            [0.0],
        ),
        ((TEN[:9], TEN[:9]), [np.nan]),
    ],
    "win_rate_knn": [
        ((scores(0.2, 0.3), scores(0.1, 0.2)), (1.0, 2)),
        ((scores(0.1, 0.2), scores(0.2, 0.3)), (0.0, 2)),
        ((scores(0.1, 0.2, 0.9, np.nan), scores(0.1, 0.3, 0.5, np.nan)), (0.5, 3)),
    ],
}


def test_every_metric_has_known_answers():
    assert set(KNOWN_ANSWERS) == set(METRICS)
    assert min(len(cases) for cases in KNOWN_ANSWERS.values()) >= 3


@pytest.mark.parametrize(
    "name,case", [(n, i) for n, cases in KNOWN_ANSWERS.items() for i in range(len(cases))]
)
def test_known_answer(name, case):
    arguments, answer = KNOWN_ANSWERS[name][case]
    np.testing.assert_allclose(METRICS[name].function(*arguments), answer, atol=1e-12)


@pytest.mark.parametrize("name", list(METRICS))
def test_first_known_answer_is_the_declared_perfect_one(name):
    arguments = KNOWN_ANSWERS[name][0][0]
    assert METRICS[name].better in BETTER and METRICS[name].description
    assert np.ravel(METRICS[name].function(*arguments))[0] == pytest.approx(METRICS[name].perfect)


def test_feature_metrics_are_the_columns_of_the_feature_table():
    names = {m.name for m in METRICS.values() if m.inputs == FEATURE_INPUTS}
    assert names == set(contract.FEATURE_SCORE_COLUMNS[8:])


def test_registry_refuses_a_second_metric_of_a_name_and_unknown_needs():
    options = {"better": "lower", "perfect": 0.0, "chance": None, "description": "x", "per": "both"}
    with pytest.raises(ValueError, match="two metrics are named"):
        metric("foscttm", needs=("latents",), **options)(lambda latents: 0.0)
    with pytest.raises(ValueError, match="needs"):
        metric("new", needs=("latent",), **options)(lambda latents: 0.0)
    assert "new" not in METRICS


def test_foscttm_is_exact_for_identical_and_collapsed_inputs_of_any_scale():
    far = (CELLS + 1e6).astype(np.float32)
    assert foscttm((far, far), SAME) == 0.0
    assert foscttm((np.full_like(far, 0.1), np.full_like(far, 0.1)), SAME) == 0.5


def test_foscttm_in_blocks_is_foscttm_at_once_and_a_plain_loop(monkeypatch):
    other = CELLS + RNG.normal(scale=0.5, size=CELLS.shape)
    pairs = np.column_stack([RNG.permutation(40)[:30], RNG.permutation(40)[:30]])
    whole = closer_fractions((CELLS, other), pairs)
    monkeypatch.setattr("jamie.metrics.alignment._BLOCK_ENTRIES", 70)  # blocks of 2 cells
    np.testing.assert_array_equal(closer_fractions((CELLS, other), pairs), whole)
    a, b = CELLS[pairs[:, 0]], other[pairs[:, 1]]
    distance = np.linalg.norm(a[:, None] - b[None], axis=-1)
    own = np.diag(distance)
    by_loop = [(distance < own[:, None]).sum(1) / 29, (distance < own[None]).sum(0) / 29]
    np.testing.assert_allclose(whole, by_loop)


def test_foscttm_directions_differ_where_they_should():
    first, second = np.array([[0.0], [1], [2]]), np.array([[0.0], [0.4], [5]])
    # partners are 0, 0.6 and 3 apart; closer, from the first: 0, 0, 2 of 2; from the second: 0, 1, 0
    np.testing.assert_allclose(closer_fractions((first, second), PAIRS4[:3]), [[0, 0, 1], [0, 0.5, 0]])


@pytest.mark.parametrize(
    "call,reason",
    [
        (lambda: foscttm((CELLS, CELLS), SAME[:2]), "fewer than 3 cells"),
        (
            lambda: pearson_over_attainable(attained([0.1] * 10, [0.2] * 9 + [np.nan])),
            "9 features, fewer than 10",
        ),
        (lambda: pearson_over_attainable(attained([0.1] * 10, [0.01] * 10)), "too little to be divided by"),
        (lambda: r2_median(pd.DataFrame({"r2": [np.nan]})), "no feature has an R2"),
        (
            lambda: label_transfer_accuracy((CELLS[:2], CELLS), (SAME[:2, 0], SAME[:, 0])),
            "fewer than 3 cells",
        ),
        (lambda: silhouette((LINE, LINE), (np.array(["a"] * 4),) * 2), "fewer than two labels"),
        (lambda: silhouette((LINE, LINE), (np.array(list("abcd")), np.array(list("efgh")))), "two cells"),
        (lambda: modality_mixing((LINE[:2], LINE)), "fewer than 3 cells"),
        (lambda: batch_mixing((LINED,) * 2, (ONE_TYPE,) * 2, (ONE_TYPE,) * 2), "5 cells in each of two"),
        (lambda: batch_mixing((LINED,) * 2, (HALVES,) * 2, (HALVES,) * 2), "5 cells in each of two"),
        (lambda: comparison.win_rate_knn(scores(np.nan), scores(0.5)), "no feature"),
    ],
)
def test_undefined_scores_say_why(call, reason):
    with pytest.raises(NotApplicable, match=reason):
        call()


def test_cells_without_a_label_are_left_out():
    names = BLOB_NAMES.copy()
    names[::2] = ""
    assert label_transfer_accuracy((TWO_BLOBS, TWO_BLOBS), (names, BLOB_NAMES)) == (1.0, 1.0)
    assert silhouette((TWO_BLOBS, TWO_BLOBS), (names, BLOB_NAMES)) == pytest.approx(1, abs=1e-3)


def test_silhouette_is_the_same_with_few_distances_at_once(monkeypatch):
    from sklearn import metrics as sklearn_metrics

    cells, names = RNG.normal(size=(600, 3)), RNG.choice(["a", "b", "c"], 600)
    whole = sklearn_metrics.silhouette_score(np.tile(cells, (2, 1)), np.tile(names, 2))
    monkeypatch.setattr("jamie.metrics.structure.WORKING_MB", 1)  # 1,200 x 1,200 distances take 11
    assert silhouette((cells, cells), (names, names)) == pytest.approx(whole, abs=1e-12)


def test_silhouette_of_many_cells_is_repeatable_and_near_the_whole(monkeypatch):
    latents = RNG.normal(size=(300, 2)), RNG.normal(size=(300, 2)) + 3
    whole = modality_mixing(latents)
    monkeypatch.setattr("jamie.metrics.structure.MAX_CELLS", 400)
    assert modality_mixing(latents) == modality_mixing(latents) == pytest.approx(whole, abs=0.05)
    assert modality_mixing(latents) != whole


@pytest.mark.parametrize("name", ["pearson", "rmse", "r2", "js_distance", "auroc"])
def test_missing_entries_are_not_truth(name):
    truth, imputed = RNG.normal(size=(60, 3)), RNG.normal(size=(60, 3))
    missing = RNG.random((60, 3)) < 0.3
    spoiled = np.where(missing, 99.0, truth), np.where(missing, 55.0, imputed)
    function = METRICS[name].function
    prepare = imputation.binarise if name == "auroc" else (lambda x, counts, gaps: x)
    value = function(prepare(spoiled[0], None, missing), spoiled[1], missing)
    for column in range(3):
        keep = ~missing[:, column]
        alone = [truth[keep, column][:, None], imputed[keep, column][:, None]]
        np.testing.assert_allclose(value[column], function(prepare(alone[0], None, None), alone[1])[0])


def test_binarise_uses_counts_where_there_are_and_the_median_where_not():
    values = np.array([[0.0], [0.0], [1], [2], [3]])
    assert imputation.binarise(values).ravel().tolist() == [False, False, False, True, True]
    assert imputation.binarise(values, counts=values).ravel().tolist() == [False, False, True, True, True]
    gaps = np.array([[False], [False], [False], [True], [True]])
    assert imputation.binarise(values, None, gaps).ravel().tolist() == [False, False, True, False, False]


def test_pearson_and_auroc_agree_with_scipy_and_sklearn():
    from scipy.stats import pearsonr
    from sklearn.metrics import roc_auc_score

    truth, guess = RNG.normal(size=(50, 4)), np.round(RNG.normal(size=(50, 4)), 1)
    expected = [pearsonr(truth[:, j], guess[:, j])[0] for j in range(4)]
    np.testing.assert_allclose(imputation.pearson(truth, guess), expected)
    expected = [roc_auc_score(truth[:, j] > 0, guess[:, j]) for j in range(4)]
    np.testing.assert_allclose(imputation.auroc(truth > 0, guess), expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_auroc_agrees_with_sklearn_whatever_is_tied_or_missing(dtype):
    """Features without a tie, with some, with nothing but ties; 0 and -0 are equal."""
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(5)
    guess = rng.normal(size=(60, 7)).astype(dtype)
    guess[:, 1], guess[:, 2] = np.round(guess[:, 1]), 0.25
    guess[:, 3] = np.maximum(guess[:, 3], 0) * rng.choice([-1, 1], 60)
    guess[:, 4] = np.where(rng.random(60) < 0.8, -0.0, guess[:, 4])
    guess[:2, 5] = guess[0, 5]
    positive = rng.random((60, 7)) < [0.02, 0.5, 0.3, 0.3, 0.1, 0.9, 0.5]
    positive[0], positive[1] = True, False
    missing = rng.random((60, 7)) < 0.2
    missing[:2] = False
    for gaps, seen in ((None, np.ones_like(missing)), (missing, ~missing)):
        expected = [roc_auc_score(positive[s, j], guess[s, j]) for j, s in enumerate(seen.T)]
        np.testing.assert_allclose(imputation.auroc(positive, guess, gaps), expected, rtol=1e-12)


def test_js_distance_agrees_with_scipy():
    from scipy.spatial.distance import jensenshannon

    truth, guess = RNG.normal(size=50), RNG.normal(size=50) * 0.3
    edges = np.histogram_bin_edges(np.concatenate([truth, guess]), bins=20)
    p, q = np.histogram(truth, edges)[0], np.histogram(guess, edges)[0]
    value = imputation.js_distance(truth[:, None], guess[:, None])[0]
    assert value == pytest.approx(jensenshannon(p, q, base=2))


def test_a_rounding_difference_in_a_constant_feature_is_no_distance_and_no_correlation():
    constant = np.full((20, 1), 0.3, dtype=np.float32)
    shifted = constant + np.float32(3e-8) * (np.arange(20)[:, None] % 2)
    assert imputation.js_distance(constant, shifted)[0] == 0
    assert imputation.pearson(TEN, shifted[:10])[0] == 0


def test_js_distance_of_many_features_to_themselves_is_zero():
    truth = RNG.normal(size=(250, 1286)).astype(np.float32)
    value = imputation.js_distance(truth, truth, None, RNG.integers(0, 9, size=250))
    np.testing.assert_array_equal(value, 0)


def test_mixing_of_many_cells_is_that_of_some_of_them_and_by_chance_near_1(monkeypatch):
    rng = np.random.default_rng(1)
    latent, batches = rng.normal(size=(2000, 5)), rng.choice(["a", "b"], 2000, p=[0.8, 0.2])
    types = np.full(2000, "t")
    whole = batch_mixing((latent, latent), (batches,) * 2, (types,) * 2)[0]
    assert whole == pytest.approx(1, abs=0.05)
    monkeypatch.setattr(structure, "MAX_CELLS", 1000)
    some = batch_mixing((latent, latent), (batches,) * 2, (types,) * 2)[0]
    assert some != whole and some == pytest.approx(whole, abs=0.1)
