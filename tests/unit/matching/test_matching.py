"""The estimated correspondence: known answers, promises to known pairs and groups, and honest confidence."""

import json
import tracemalloc

import numpy as np
import pytest
from scipy import sparse

from jamie.errors import InputError
from jamie.matching import estimate
from jamie.matching.assignment import soft_match, top
from jamie.matching.confidence import from_recovery, recovery
from jamie.matching.geometry import bridge, measure, nearest
from jamie.metrics.alignment import foscttm


def branches(n, seed=0):
    """Cells (n, 6) on a tree of three unequal branches: no symmetry maps it onto itself."""
    rng = np.random.default_rng(seed)
    arm = rng.choice(3, size=n, p=(0.55, 0.3, 0.15))
    along = rng.random(n)
    x = np.zeros((n, 6))
    x[np.arange(n), arm] = along * np.array([8.0, 4.0, 2.0])[arm]
    return (x + 0.15 * rng.standard_normal((n, 6))).astype(np.float32)


def turned(x, order, seed=0):
    """The same cells in another order and turned in space: geodesics stay as they are."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((x.shape[1], x.shape[1])))
    return (x[order] @ turn).astype(np.float32)


@pytest.fixture(scope="module")
def copy():
    """Two views of 240 cells, and the true pairs (240, 2)."""
    x = branches(240)
    order = np.random.default_rng(1).permutation(240)
    return (x, turned(x, order)), np.column_stack([order, np.arange(240)])


def shown(truth, n, value=1.0):
    """F of the first n true pairs."""
    entries = np.full(n, value), (truth[:n, 0], truth[:n, 1])
    return sparse.csr_matrix(entries, (len(truth), len(truth)))


def mass_on(f, pairs):
    return np.asarray(f[pairs[:, 0], pairs[:, 1]]).ravel()


def test_copy_is_recovered_without_pairs(copy):
    x, truth = copy
    result = estimate(x, seed=0)
    assert foscttm(result.coordinates, truth) < 0.02
    assert mass_on(result.matrix, truth).mean() > 0.15  # chance 1/240
    assert result.info["parts"]["restarts"] > 0.9 and result.info["regime"] == "geometry"


def test_geometry_alone_is_never_trusted_but_labels_tell(copy):
    """Two geometries may agree on a wrong matching: what decides was not used to match."""
    x, truth = copy
    labels = np.repeat([f"type {i}" for i in range(6)], 40)[np.argsort(np.argsort(x[0][:, 0]))]
    other = np.empty_like(labels)
    other[truth[:, 1]] = labels[truth[:, 0]]
    exchanged = np.char.replace(other, "type", "kind")
    for i in range(6):
        exchanged[exchanged == f"kind {i}"] = f"type {(i + 3) % 6}"
    alone, right, wrong = (
        estimate(x, seed=0, labels=given) for given in (None, (labels, other), (labels, exchanged))
    )
    assert not alone.info["trusted"] and "geometry alone does not tell" in alone.info["reason"]
    assert right.info["trusted"] and right.info["labels"]["kappa"] > 0.4
    assert not wrong.info["trusted"] and wrong.confidence < 0.05
    assert (alone.matrix != right.matrix).nnz == 0  # labels judge, they do not match


def bars(n=240, seed=0):
    """Cells along a bar, which looks the same from both ends, seen from opposite ends; and where they are."""
    rng = np.random.default_rng(seed)
    along = (np.arange(n) + 0.5) / n
    views = [
        np.column_stack([sign * 8 * along, 0.3 * rng.standard_normal((n, 3))]).astype(np.float32)
        for sign in (1, -1)
    ]
    return tuple(views), along


def test_pairs_help_where_geometry_is_blind():
    x, _ = bars()
    truth = np.column_stack([np.arange(240)] * 2)
    blind, led = estimate(x, seed=0), estimate(x, shown(truth, 12), seed=0)
    assert blind.info["parts"]["restarts"] < 0.5 and not blind.info["trusted"]
    assert "ambiguous" in blind.info["reason"]
    assert led.info["trusted"] and foscttm(led.coordinates, truth[12:]) < 0.1


def test_known_pairs_are_never_contradicted(copy):
    x, truth = copy
    rng = np.random.default_rng(0)
    wrong = np.column_stack([np.arange(60), rng.permutation(240)[:60]])
    for pairs in (truth[:60], wrong):
        known = sparse.csr_matrix((np.ones(60), (pairs[:, 0], pairs[:, 1])), (240, 240))
        f = estimate(x, known, seed=0).matrix
        assert np.array_equal(f[pairs[:, 0]].toarray(), known[pairs[:, 0]].toarray())
        assert np.array_equal(f[:, pairs[:, 1]].toarray(), known[:, pairs[:, 1]].toarray())


@pytest.mark.parametrize("n_pairs", [0, 40])
def test_rows_are_short_and_sum_to_one(copy, n_pairs):
    x, truth = copy
    f = estimate(x, shown(truth, n_pairs), seed=0, k=4).matrix
    assert f.dtype == np.float32 and f.shape == (240, 240)
    assert np.diff(f.indptr).max() == 4 and f.data.min() > 0
    np.testing.assert_allclose(np.asarray(f.sum(axis=1)).ravel(), 1, atol=1e-5)


def test_modalities_of_different_size(copy):
    (first, second), truth = copy
    keep = truth[:, 1] < 100
    result = estimate((first, second[:100]), seed=0)
    assert result.matrix.shape == (240, 100)
    assert foscttm((result.coordinates[0], result.coordinates[1]), truth[keep]) < 0.1


@pytest.mark.parametrize("n_pairs", [0, 40])
def test_order_of_cells_changes_nothing(copy, n_pairs):
    x, truth = copy
    known = shown(truth, n_pairs)
    rng = np.random.default_rng(5)
    a, b = rng.permutation(240), rng.permutation(240)
    one = estimate(x, known, seed=0)
    other = estimate((x[0][a], x[1][b]), known[a][:, b], seed=0)
    assert one.confidence == other.confidence
    np.testing.assert_array_equal(one.matrix[a][:, b].toarray(), other.matrix.toarray())


def test_same_seed_same_result(copy):
    x, _ = copy
    one, other = estimate(x, seed=3), estimate(x, seed=3)
    assert (one.matrix != other.matrix).nnz == 0 and one.info == other.info


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_independent_noise_is_not_trusted(seed):
    rng = np.random.default_rng(seed)
    spectrum = np.geomspace(3, 0.3, 20)
    x = tuple((rng.standard_normal((300, 20)) * spectrum).astype(np.float32) for _ in range(2))
    result = estimate(x, seed=seed)
    assert result.confidence < 0.4 and not result.info["trusted"]
    assert "ambiguous" in result.info["reason"]


def test_wrong_pairs_are_not_trusted(copy):
    x, truth = copy
    mixed = truth.copy()
    mixed[:, 1] = np.random.default_rng(0).permutation(mixed[:, 1])
    result = estimate(x, shown(mixed, 60), seed=0)
    assert result.confidence < 0.3 and not result.info["trusted"]


def test_groups_are_respected(copy):
    x, truth = copy
    rng = np.random.default_rng(0)
    first = np.array(["a", "b", ""])[rng.choice(3, 240, p=(0.45, 0.45, 0.1))]
    second = first[truth[np.argsort(truth[:, 1]), 0]]
    f = estimate(x, shown(truth, 40), seed=0, groups=(first, second)).matrix.tocoo()
    a, b = first[f.row], second[f.col]
    assert ((a == b) | (a == "") | (b == "")).all()
    assert (a == "").any() and ((a == "a") & (b == "a")).any()


def test_groups_resolve_a_symmetric_shape():
    x, along = bars()
    half = np.where(along < 0.5, "left", "right")
    f = estimate(x, seed=0, groups=(half, half)).matrix
    sent = (f @ along) / np.asarray(f.sum(axis=1)).ravel()
    assert np.corrcoef(sent, along)[0, 1] > 0.9


def test_soft_pairs_are_priors(copy):
    x, truth = copy
    soft = shown(truth, 240, 0.4)
    wrong = sparse.csr_matrix(([0.3], ([0], [0])), (240, 240))
    f = estimate(x, soft, seed=0).matrix
    assert mass_on(f, truth).min() >= 0.4 - 1e-6
    assert np.diff(f.indptr).min() > 1  # none is taken for certain
    one = estimate(x, wrong, seed=0)
    assert one.matrix[0, 0] >= 0.3 - 1e-6 and one.matrix[0].sum() == pytest.approx(1, abs=1e-5)
    assert one.info["regime"] == "geometry"


def test_everything_known_is_left_as_it_is(copy):
    x, truth = copy
    known = shown(truth, 240)
    result = estimate(x, known, seed=0)
    assert result.confidence == 1 and (result.matrix != known.astype(np.float32)).nnz == 0
    assert "nothing is left to estimate" in result.info["reason"]


def test_account_is_json(copy):
    x, truth = copy
    for known in (None, shown(truth, 40)):
        info = json.loads(json.dumps(estimate(x, known, seed=0).info))
        assert {"confidence", "trusted", "reason", "parts", "components", "notes", "n_known"} <= set(info)


def test_unconnected_parts_are_counted_and_bridged():
    """Two far groups of unequal size and shape in both views."""
    x = branches(200)
    x[:60] += 50
    order = np.random.default_rng(1).permutation(200)
    result = estimate((x, turned(x, order)), seed=0, neighbours=[10])
    assert result.info["components"]["modality 1"]["k=10"] == [140, 60]
    assert "2 unconnected parts" in result.info["notes"][0]
    assert foscttm(result.coordinates, np.column_stack([order, np.arange(200)])) < 0.1


def test_bridge_takes_the_shortest_way():
    x = np.array([[0.0], [1.0], [5.0], [6.0]])
    graph = sparse.csr_matrix(np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], float))
    joined, sizes = bridge(graph, x)
    assert sizes == [2, 2] and joined[1, 2] == joined[2, 1] > 0
    assert joined.nnz == graph.nnz + 2


def test_few_cells_take_smaller_graphs():
    x = branches(24)
    result = estimate((x, x), seed=0)
    assert "24 cells are few" in result.info["notes"][0] and result.matrix.nnz > 0


def test_constant_features_are_harmless(copy):
    (first, second), truth = copy
    padded = np.hstack([first, np.full((240, 2), 7.0)])
    assert foscttm(estimate((padded, second), shown(truth, 60), seed=0).coordinates, truth[60:]) < 0.02


def test_no_dense_matrix():
    """15,000 x 15,000 values would be 900 MB."""
    n = 15_000
    x = branches(n)
    known = sparse.csr_matrix((np.ones(500), (np.arange(500), np.arange(500))), (n, n))
    tracemalloc.start()
    result = estimate((x, turned(x, np.arange(n))), known, seed=0)
    peak_mb = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    assert peak_mb < 350 and result.matrix.nnz <= 10 * n


BAD = {
    "shape": ({"known": sparse.csr_matrix((3, 3))}, "wrong shape"),
    "values": ({"known": sparse.csr_matrix(([2.0], ([0], [0])), (30, 30))}, "outside"),
    "no pairs": ({"unpaired": False}, "no known pair"),
    "method": ({"method": "magic"}, "magic"),
    "one group": ({"groups": (np.full(30, "a"), np.full(30, "a"))}, "single group"),
    "no common group": ({"groups": (np.array(["a", "b"] * 15), np.array(["c", "d"] * 15))}, "in common"),
    "group length": ({"groups": (np.full(3, "a"), np.full(30, "b"))}, "one per cell"),
    "large": ({"method": "unioncom", "max_cells": 20}, "few cells"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case):
    options, message = BAD[case]
    x = branches(30)
    with pytest.raises(InputError, match=message):
        estimate((x, x), **options)


@pytest.mark.parametrize(
    "second, message",
    [
        (np.ones((30, 4)), "are equal"),
        (np.full((30, 4), np.nan), "not finite"),
        (branches(5), "too small"),
    ],
)
def test_bad_values(second, message):
    with pytest.raises(InputError, match=message):
        estimate((branches(30), second))


# --- its parts


def test_nearest_is_exact():
    x, others = branches(50), branches(70, seed=1)
    distance, index = nearest(x, others, 3)
    full = np.linalg.norm(x[:, None] - others[None], axis=2)
    np.testing.assert_array_equal(index, full.argsort(axis=1)[:, :3])
    np.testing.assert_allclose(distance, np.sort(full, axis=1)[:, :3], rtol=1e-4, atol=1e-5)


def test_geodesics_follow_the_curve():
    """On a horseshoe the ends are close in space and far along it."""
    t = np.linspace(0, 1.8 * np.pi, 150)
    x = np.column_stack([np.cos(t), np.sin(t)]).astype(np.float32)
    geometry = measure(x, neighbours=(6,), n_landmarks=30, seed=0)
    place = np.array([t[geometry.cluster == i].mean() for i in range(len(geometry.mass))])
    ends = geometry.distances[place.argmin(), place.argmax()]
    middle = geometry.distances[place.argmin(), np.abs(place - np.pi).argmin()]
    assert ends > 1.2 * middle  # in space: 0.6 against 2


def test_top_keeps_the_largest_and_the_sum():
    f = sparse.csr_matrix(np.array([[0.5, 0.3, 0.2], [0.0, 0.4, 0.0]]))
    np.testing.assert_allclose(top(f, 2).toarray(), [[0.625, 0.375, 0], [0, 0.4, 0]])


def test_soft_match_spreads_evenly():
    """Many cells at one place cannot all claim the single cell beside them."""
    z = np.vstack([np.zeros((5, 1)), np.ones((5, 1))]), np.linspace(0, 1, 10)[:, None]
    f = soft_match(z, 6)
    assert np.asarray(f.sum(axis=0)).max() < 2.5


def test_recovery_and_confidence():
    z = np.linspace(0, 1, 50)[:, None]
    pairs = np.column_stack([np.arange(50)] * 2)
    assert from_recovery(recovery((z, z), pairs, 0)) == 1
    assert recovery((z, z[::-1]), pairs, 0).mean() > 0.4
    assert from_recovery(np.full(20, 0.5)) == 0
    assert from_recovery(np.array([0.0, 0.0, 0.4, 0.4])) < from_recovery(np.full(4, 0.2))


# --- UnionCom


def test_unioncom_recovers_a_copy():
    x = branches(80)
    order = np.random.default_rng(1).permutation(80)
    truth = np.column_stack([order, np.arange(80)])
    result = estimate((x, turned(x, order)), seed=0, method="unioncom", neighbours=[8])
    place = np.where(x[:, 0] > 1, x[:, 0], -x[:, 1])
    sent = result.matrix @ place[order] / np.maximum(np.asarray(result.matrix.sum(axis=1)).ravel(), 1e-9)
    assert np.corrcoef(sent, place)[0, 1] > 0.9
    assert mass_on(result.matrix, truth).mean() > 3 / 80 and result.info["collapsed"] is False
    assert result.info["mean_row_sum"] == pytest.approx(1, abs=0.05)


def test_unioncom_keeps_known_pairs_and_groups():
    x = branches(40)
    known = sparse.csr_matrix((np.ones(10), (np.arange(10), np.arange(10))), (40, 30))
    groups = np.array(["a", "b"] * 20), np.array(["a", "b"] * 15)
    f = estimate((x, x[:30]), known, seed=0, method="unioncom", neighbours=[5], groups=groups, k=3).matrix
    assert np.array_equal(f[:10].toarray(), known[:10].toarray()) and f[10:, :10].nnz == 0
    rest = f[10:].tocoo()
    assert rest.nnz and (groups[0][10:][rest.row] == groups[1][rest.col]).all()


def test_collapse_to_zero_is_reported(monkeypatch):
    from jamie.matching import unioncom

    x = branches(40)
    monkeypatch.setattr(unioncom, "_solve", lambda *a, **k: np.full((40, 40), 1e-6))
    result = estimate((x, x), seed=0, method="unioncom", neighbours=[5])
    assert result.confidence == 0 and result.info["collapsed"] and result.matrix.nnz == 0
    assert "collapsed to zero" in result.info["reason"] and not result.info["trusted"]
