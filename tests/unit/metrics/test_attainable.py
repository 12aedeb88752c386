"""The r that can be reached, against simulations whose rates, and so whose best prediction, are known."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse
from scipy.stats import poisson

from jamie.data import preprocess
from jamie.data.correspondence import from_names
from jamie.io import together
from jamie.methods import base
from jamie.metrics import attainable as module
from jamie.metrics import score
from jamie.metrics.attainable import attainable, pearson_over_attainable
from jamie.metrics.base import NotApplicable
from jamie.metrics.measured import Measured


def simulated(kind: str, n: int, p: int, depth: float, spread: float, seed: int = 0):
    """Prepared cells of known rates, and r of the expected prepared value with the measured one, (p_kept,).

    Rates are log-normal, ``spread`` the sd of their logarithm within a feature.
    """
    rng = np.random.default_rng(seed)
    rate = rng.lognormal(0, 1.2, p) * np.exp(spread * rng.normal(size=(n, p)))
    rate *= (depth * rng.lognormal(0, 0.3, n) / rate.sum(axis=1))[:, None]
    raw = AnnData(
        sparse.csr_matrix(rng.poisson(rate).astype(np.float32)), uns={"kind": kind, "values": "counts"}
    )
    raw.obs_names, raw.var_names = [f"c{i}" for i in range(n)], [f"f{j}" for j in range(p)]
    state = preprocess.fit(raw, np.ones(n, bool), p)
    prepared = preprocess.apply(raw, state)
    rate = rate[:, raw.var_names.get_indexer(prepared.var_names)]
    factor = preprocess.row_factor(prepared.obs["size"].to_numpy(), state)[:, None]
    most = int(rate.max() + 6 * np.sqrt(rate.max()) + 8)
    expected = sum(poisson.pmf(k, rate) * np.log1p(k * factor) for k in range(1, most))
    measured = np.log1p(prepared.layers["counts"].toarray() * factor)
    x, y = (v - v.mean(axis=0) for v in (expected, measured))
    return prepared, (x * y).sum(axis=0) / np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))


@pytest.mark.parametrize(
    ("kind", "n", "p", "depth", "spread"),
    [("rna", 1_500, 60, 360, 0.5), ("rna", 2_000, 100, 50, 0.7), ("atac", 1_500, 60, 360, 0.5)],
)
def test_it_is_the_r_of_the_best_prediction(kind, n, p, depth, spread):
    prepared, truth = simulated(kind, n, p, depth, spread)
    found = attainable(prepared, np.arange(n))
    known = np.isfinite(found)
    assert known.mean() > 0.2 and 0.3 < truth[known].mean() < 0.9
    assert found[known].mean() == pytest.approx(truth[known].mean(), rel=0.05)


def test_features_far_apart_are_told_apart():
    prepared, truth = simulated("rna", 2_000, 60, 600, 0.6)
    found = attainable(prepared, np.arange(2_000))
    known = np.isfinite(found)
    assert np.corrcoef(found[known], truth[known])[0, 1] > 0.9


def test_where_nothing_but_depth_differs_nothing_can_be_reached():
    prepared, _ = simulated("rna", 1_000, 200, 400, 0.0)
    assert np.isfinite(attainable(prepared, np.arange(1_000))).mean() < 0.02


def test_a_few_cells_with_two_counts_are_an_accident():
    """Peaks open in 3 % of the cells, in two with many counts: by r of the halves alone it would be known."""
    rng = np.random.default_rng(0)
    prepared, _ = simulated("atac", 1_000, 50, 300, 0.0)
    counts = (rng.random((1_000, 50)) < 0.03).astype(np.float32)
    counts[rng.integers(0, 1_000, 100), np.arange(100) % 50] = 6
    prepared.layers["counts"] = sparse.csr_matrix(counts[:, : prepared.n_vars])
    assert not np.isfinite(attainable(prepared, np.arange(1_000))).any()


def test_only_the_cells_asked_for_count_and_their_order_does_not():
    prepared, _ = simulated("rna", 800, 40, 300, 0.6)
    spoiled = prepared.copy()
    counts = spoiled.layers["counts"].toarray()
    counts[600:] = 7
    spoiled.layers["counts"] = sparse.csr_matrix(counts)
    first = attainable(prepared, np.arange(600))
    assert np.isfinite(first).any()
    np.testing.assert_array_equal(attainable(spoiled, np.arange(600)), first)
    assert not np.array_equal(attainable(spoiled, np.arange(800)), first, equal_nan=True)


def test_blocks_of_columns_change_nothing(monkeypatch):
    prepared, _ = simulated("rna", 300, 40, 300, 0.6)
    whole = attainable(prepared, np.arange(300))
    monkeypatch.setattr(module, "BLOCK_VALUES", 500)
    np.testing.assert_allclose(attainable(prepared, np.arange(300)), whole)


def test_without_whole_counts_it_is_not_known():
    prepared, _ = simulated("rna", 100, 20, 300, 0.6)
    prepared.layers["counts"] = prepared.layers["counts"] * 0.7
    assert attainable(prepared, np.arange(100)) is None
    del prepared.layers["counts"]
    assert attainable(prepared, np.arange(100)) is None


def test_the_share_of_it_that_a_method_reaches_is_a_score_where_there_are_counts(tmp_path):
    """A method that reads the measured values has r 1, and so more than can be reached without."""
    rna, _ = simulated("rna", 400, 40, 600, 0.6)
    values = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    other = AnnData(values, obs=rna.obs[[]].copy())
    other.var["mean"], other.var["sd"] = values.mean(axis=0), values.std(axis=0)
    for adata in (rna, other):
        adata.obs["role"] = "train"
    prepared = together({"rna": rna, "other": other})
    truth = from_names(prepared)
    rows = {
        ("rna", "other"): lambda chosen: values[chosen],
        ("other", "rna"): lambda chosen: rna.X[chosen].toarray(),
    }
    base.write_imputed(tmp_path / "imputed.h5mu", prepared, rows)
    run = {"dataset": "toy", "scenario": "all", "method": "m", "seed": 0}
    table, features = score.score_method(prepared, truth, truth, None, tmp_path / "imputed.h5mu", **run)
    table = table[table["cells"] == "all"].set_index(["metric", "modality"])
    reach = Measured.of(prepared, truth).attainable["rna"]
    own = features[(features["cells"] == "all") & (features["modality"] == "rna")]
    np.testing.assert_array_equal(own["pearson_attainable"], reach)
    assert table.loc[("pearson_attainable", "rna"), "value"] == pytest.approx(np.nanmean(reach))
    assert table.loc[("pearson_attainable", "rna"), "n_features"] == np.isfinite(reach).sum() > 10
    ratio = table.loc[("pearson_over_attainable", "rna"), "value"]
    assert ratio == pytest.approx(1 / np.nanmean(reach)) and ratio > 1.1
    for metric in score.OF_COUNTS:
        assert table.loc[(metric, "other"), "reason"] == score.NO_COUNTS


def table(n: int, attainable: float):
    return pd.DataFrame({"pearson": np.full(n, 0.2), "pearson_attainable": np.full(n, attainable)})


def test_where_next_to_nothing_can_be_reached_there_is_no_share_of_it():
    share, n = pearson_over_attainable(table(30, 0.4))
    assert share == pytest.approx(0.5) and n == 30
    for features, said in (
        (table(30, 0.0), "too little"),
        (table(30, 0.02), "too little"),
        (table(9, 0.4), "known of 9 features"),
        (table(0, 0.4), "known of 0 features"),
    ):
        with pytest.raises(NotApplicable, match=said):
            pearson_over_attainable(features)
