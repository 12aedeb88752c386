"""Scoring: the right cells in each group, the right numbers in each row, a reason where there is none."""

import h5py
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from jamie import contract
from jamie.data.correspondence import Correspondence, from_names, misplace_partners
from jamie.errors import InputError
from jamie.io import together
from jamie.metrics import score
from jamie.metrics.base import COMPARISON_INPUTS, LATENT_INPUTS, METRICS, load_metrics
from jamie.metrics.imputation import js_distance, pearson

load_metrics()
NAMES = ("rna", "atac")
N, P = {"rna": 80, "atac": 75}, {"rna": 7, "atac": 5}
N_PAIRED = 70  # cells c0..c69 are in both modalities, in another order
TEST, SHOWN, HIDDEN = range(24), range(24, 46), range(46, 70)
RUN = {"dataset": "toy", "scenario": "half", "seed": 1}


def make_prepared(test_cells=24, labels=True, rng_seed=0):
    rng = np.random.default_rng(rng_seed)
    mods = {}
    for m in NAMES:
        cells = np.array([f"c{i}" if i < N_PAIRED else f"{m}{i}" for i in range(N[m])])
        cells = rng.permutation(cells)
        number = np.array([int(c[1:]) if c[1:].isdigit() else 99 for c in cells])
        adata = AnnData(rng.normal(size=(N[m], P[m])).astype(np.float32))
        adata.obs_names, adata.var_names = cells, [f"{m}_f{j}" for j in range(P[m])]
        adata.obs["role"] = np.where(number < test_cells, "test", "train")
        if labels:
            adata.obs["cell_type"] = pd.Categorical(np.where(number % 2, "odd", "even"))
            adata.obs["batch"] = np.where(number // 2 % 2, "second", "first")
        adata.var["mean"], adata.var["sd"] = adata.X.mean(0), adata.X.std(0)
        mods[m] = adata
    return together(mods)


def shown_pairs(prepared, first=SHOWN.start, last=SHOWN.stop):
    """Pairs c{first}..c{last - 1}."""
    truth = from_names(prepared)
    keep = np.isin(truth.row_names, [f"c{i}" for i in range(first, last)])
    return Correspondence(sparse.diags(keep.astype(float)) @ truth.matrix, truth.row_names, truth.col_names)


def make_embedding(prepared, method="m", d=3):
    rng = np.random.default_rng(3)
    out = {m: AnnData(obs=prepared.mod[m].obs[[]].copy()) for m in NAMES}
    for adata in out.values():
        adata.obsm[f"X_{method}"] = rng.normal(size=(adata.n_obs, d)).astype(np.float32)
    return together(out)


def write_imputed(path, prepared, seed=5, change=None):
    rng = np.random.default_rng(seed)
    values = {}
    with h5py.File(path, "w") as f:
        for source, target in (NAMES, NAMES[::-1]):
            group = f.create_group(f"mod/{source}")
            group.create_group("obs").attrs["_index"] = "_index"
            group["obs"]["_index"] = prepared.mod[source].obs_names.to_numpy(dtype=object)
            group[f"uns/imputed_{target}"] = prepared.mod[target].var_names.to_numpy(dtype=object)
            x = rng.normal(size=(prepared.mod[source].n_obs, P[target])).astype(np.float32)
            if change is not None:
                change(x, source)
            group.create_dataset(f"obsm/imputed_{target}", data=x, chunks=(16, 2))
            values[source] = x
    return values


def run_score(prepared, imputed, truth=None, shown=None, embedding="make", method="m", **options):
    truth = from_names(prepared) if truth is None else truth
    shown = shown_pairs(prepared) if shown is None else shown
    embedding = make_embedding(prepared, method) if isinstance(embedding, str) else embedding
    return score.score_method(prepared, truth, shown, embedding, imputed, method=method, **RUN, **options)


@pytest.fixture
def prepared():
    return make_prepared()


@pytest.fixture
def imputed(prepared, tmp_path):
    write_imputed(tmp_path / "imputed.h5mu", prepared)
    return tmp_path / "imputed.h5mu"


def cells_in(group, prepared):
    return {m: set(prepared.mod[m].obs_names[group.rows[m]]) for m in NAMES}


def names(*numbers):
    return {f"c{i}" for i in numbers}


def test_groups_hold_exactly_the_right_cells(prepared):
    groups = score.make_groups(prepared, from_names(prepared), shown_pairs(prepared))
    assert [(g.cells, g.protocol) for g in groups] == [
        ("test", "held_out"),
        ("hidden", "transductive"),
        ("paired", "transductive"),
    ]
    for group, numbers in zip(groups, (TEST, HIDDEN, SHOWN), strict=True):
        assert cells_in(group, prepared) == {m: names(*numbers) for m in NAMES}
        first, second = (prepared.mod[m].obs_names[group.paired_rows(m)] for m in NAMES)
        assert list(first) == list(second) and set(first) == names(*numbers)


def test_a_pair_shown_wrong_is_no_true_pair_shown_and_counts_as_hidden(prepared):
    truth = from_names(prepared)
    right = shown_pairs(prepared)
    groups = score.make_groups(prepared, truth, misplace_partners(right, 10 / len(SHOWN), seed=0))
    assert [group.cells for group in groups] == ["test", "hidden", "paired"]
    assert [len(group.pairs) for group in groups] == [len(TEST), len(HIDDEN) + 10, len(SHOWN) - 10]
    for group in groups[1:]:  # judged by their true partners
        first, second = (prepared.mod[m].obs_names[group.paired_rows(m)] for m in group.modalities)
        assert list(first) == list(second)
    groups = score.make_groups(prepared, truth, misplace_partners(right, 1.0, seed=0))
    assert [group.cells for group in groups] == ["test", "hidden"]


def test_without_test_cells_all_cells_are_a_group_and_need_no_partner():
    prepared = make_prepared(test_cells=0)
    groups = score.make_groups(prepared, from_names(prepared), shown_pairs(prepared, 0, 70))
    assert [(g.cells, g.protocol) for g in groups] == [("all", "transductive"), ("paired", "transductive")]
    assert [len(groups[0].rows[m]) for m in NAMES] == [80, 75] and len(groups[0].pairs) == 70


def test_an_unpaired_test_cell_is_in_the_test_group_without_a_pair(prepared):
    prepared.mod["atac"].obs.loc["c0", "role"] = "train"
    groups = score.make_groups(prepared, from_names(prepared), shown_pairs(prepared))
    assert cells_in(groups[0], prepared) == {"rna": names(*TEST), "atac": names(*TEST[1:])}
    assert len(groups[0].pairs) == 23
    assert cells_in(groups[1], prepared)["atac"] == names(*HIDDEN)


def test_a_shown_pair_of_test_cells_is_a_leak(prepared):
    with pytest.raises(InputError, match="Pairs of test cells were shown"):
        score.make_groups(prepared, from_names(prepared), shown_pairs(prepared, 23, 46))


def test_every_metric_is_in_every_group_and_keeps_the_contract(prepared, imputed):
    metrics, features = run_score(prepared, imputed)
    assert tuple(features.columns) == contract.FEATURE_SCORE_COLUMNS
    counted = metrics["metric"].isin(COUNTED)  # there are no counts here
    assert set(metrics.loc[~counted, "status"]) == {"ok"}
    assert set(metrics.loc[counted, "reason"]) == {score.NO_COUNTS}
    expected = {name for name, m in METRICS.items() if m.inputs != COMPARISON_INPUTS}
    for _, part in metrics.groupby("cells"):
        assert set(part["metric"]) == expected
        assert not part.duplicated(["metric", "modality"]).any()
        assert set(part.loc[part["metric"] == "lta", "modality"]) == {"rna", "atac", ""}
        assert set(part.loc[part["metric"] == "pearson", "modality"]) == {"rna", "atac"}
    assert len(features) == 3 * (7 + 5)


def row_of(metrics, cells, metric, modality=""):
    chosen = metrics.query("cells == @cells and metric == @metric and modality == @modality")
    assert len(chosen) == 1
    return chosen.iloc[0]


def test_imputed_values_are_compared_with_the_truth_of_the_same_cell(prepared, tmp_path):
    values = write_imputed(tmp_path / "i.h5mu", prepared)
    metrics, features = run_score(prepared, tmp_path / "i.h5mu")
    cells = [f"c{i}" for i in HIDDEN]
    rows = {m: prepared.mod[m].obs_names.get_indexer(cells) for m in NAMES}
    expected = pearson(prepared.mod["atac"].X[rows["atac"]], values["rna"][rows["rna"]])
    found = features.query("cells == 'hidden' and modality == 'atac'")
    np.testing.assert_allclose(found["pearson"].astype(float), expected)
    types = np.array(HIDDEN) % 2
    expected_js = js_distance(
        prepared.mod["atac"].X[rows["atac"]], values["rna"][rows["rna"]], cell_types=types
    )
    np.testing.assert_allclose(found["js_distance"].astype(float), expected_js)
    assert list(found["feature"]) == list(prepared.mod["atac"].var_names)
    row = row_of(metrics, "hidden", "pearson", "atac")
    assert row["value"] == pytest.approx(expected.mean()) and (row["n_cells"], row["n_features"]) == (24, 5)


def test_the_truth_as_output_is_perfect_in_every_metric_of_imputation(prepared, tmp_path):
    def truth(x, source):
        target = NAMES[1 - NAMES.index(source)]
        partner = prepared.mod[target].obs_names.get_indexer(prepared.mod[source].obs_names)
        x[partner >= 0] = prepared.mod[target].X[partner[partner >= 0]]

    write_imputed(tmp_path / "i.h5mu", prepared, change=truth)
    embedding = make_embedding(prepared)
    latent = {m: pd.DataFrame(embedding.mod[m].obsm["X_m"], embedding.mod[m].obs_names) for m in NAMES}
    latent["atac"].update(latent["rna"])
    embedding.mod["atac"].obsm["X_m"] = latent["atac"].to_numpy()
    metrics, _ = run_score(prepared, tmp_path / "i.h5mu", embedding=embedding)
    perfect = {n: METRICS[n].perfect for n in ("foscttm", "pearson", "auroc", "rmse", "r2", "js_distance")}
    chosen = metrics[metrics["metric"].isin(perfect)]
    np.testing.assert_allclose(chosen["value"], chosen["metric"].map(perfect), atol=1e-6)


def test_order_of_cells_does_not_matter(prepared, imputed, tmp_path):
    metrics, features = run_score(prepared, imputed)
    rng = np.random.default_rng(8)
    order = {m: rng.permutation(N[m]) for m in NAMES}
    embedding = make_embedding(prepared)
    moved = together({m: prepared.mod[m][order[m]].copy() for m in NAMES})
    moved_z = together({m: embedding.mod[m][order[m]].copy() for m in NAMES})
    with h5py.File(imputed) as f:
        old = {a: f[f"mod/{a}/obsm/imputed_{b}"][:] for a, b in (NAMES, NAMES[::-1])}

    def reorder(x, source):
        x[:] = old[source][order[source]]

    write_imputed(tmp_path / "moved.h5mu", moved, change=reorder)
    # truth and pairs shown keep the old order: they carry names
    options = {"truth": from_names(prepared), "shown": shown_pairs(prepared), "embedding": moved_z}
    metrics_2, features_2 = run_score(moved, tmp_path / "moved.h5mu", **options)
    pd.testing.assert_frame_equal(metrics, metrics_2)
    pd.testing.assert_frame_equal(features, features_2)


@pytest.mark.parametrize("block", [1, 2, 3, 100])
def test_block_size_does_not_matter(prepared, imputed, block):
    whole, pieces = run_score(prepared, imputed), run_score(prepared, imputed, block_features=block)
    for a, b in zip(whole, pieces, strict=True):
        pd.testing.assert_frame_equal(a, b)


def test_sparse_truth_gives_the_scores_of_dense_truth(prepared, imputed):
    for adata in prepared.mod.values():
        adata.X = np.maximum(adata.X, 0)
        adata.layers["counts"] = sparse.csr_matrix(np.ceil(adata.X))
        adata.obs["size"], adata.uns["preprocessing"] = 10.0, {"kind": "rna", "size": 10.0}
    dense = run_score(prepared, imputed)
    for adata in prepared.mod.values():
        adata.X = sparse.csr_matrix(adata.X)
    for a, b in zip(dense, run_score(prepared, imputed), strict=True):
        pd.testing.assert_frame_equal(a, b)


def test_counts_decide_what_is_positive(prepared, imputed):
    auroc = [row_of(run_score(prepared, imputed)[0], "test", "auroc", m)["value"] for m in NAMES]
    rna = prepared.mod["rna"]
    rna.layers["counts"] = sparse.csr_matrix((rna.X > 1).astype(np.float32))
    rna.obs["size"], rna.uns["preprocessing"] = 10.0, {"kind": "rna", "size": 10.0}
    again = [row_of(run_score(prepared, imputed)[0], "test", "auroc", m)["value"] for m in NAMES]
    assert again[0] != auroc[0] and again[1] == auroc[1]


def test_missing_entries_of_the_truth_are_ignored(prepared, imputed):
    missing = np.random.default_rng(1).random((75, 5)) < 0.2
    prepared.mod["atac"].layers["is_missing"] = sparse.csr_matrix(missing)
    _, features = run_score(prepared, imputed)
    prepared.mod["atac"].X = np.where(missing, np.float32(1000), prepared.mod["atac"].X)
    _, spoiled = run_score(prepared, imputed)
    pd.testing.assert_frame_equal(features, spoiled)
    del prepared.mod["atac"].layers["is_missing"]
    with pytest.raises(AssertionError):
        pd.testing.assert_frame_equal(features, run_score(prepared, imputed)[1])


def test_a_feature_constant_in_the_group_does_not_enter_the_mean(prepared, imputed):
    test = (prepared.mod["rna"].obs["role"] == "test").to_numpy()
    prepared.mod["rna"].X[test, 0] = 2.5
    metrics, features = run_score(prepared, imputed)
    row = row_of(metrics, "test", "pearson", "rna")
    values = features.query("cells == 'test' and modality == 'rna'")["pearson"].astype(float)
    assert row["n_features"] == 6 and np.isnan(values.iloc[0]) and row["value"] == values.iloc[1:].mean()


def reasons(metrics, cells):
    part = metrics[(metrics["cells"] == cells) & (metrics["status"] == "not_applicable")]
    return {(m, r) for m, r in zip(part["metric"], part["reason"], strict=True)}


COUNTED = ("pearson_attainable", "pearson_over_attainable")
IMPUTATION = ("pearson", "pearson_within", *COUNTED, "auroc", "rmse", "r2", "r2_median", "js_distance")


def test_without_labels():
    prepared = make_prepared(labels=False)
    metrics, _ = run_score(prepared, None)
    assert reasons(metrics, "test") == {
        ("lta", "no labels"),
        ("silhouette", "no labels"),
        ("batch_mixing", "no batches"),
    } | {(m, "method does not impute") for m in IMPUTATION}
    assert row_of(metrics, "test", "foscttm")["status"] == "ok"


@pytest.mark.parametrize("test_cells,cells", [(0, "all"), (24, "test")])
def test_without_pairs(test_cells, cells, tmp_path):
    prepared = make_prepared(test_cells)
    write_imputed(tmp_path / "i.h5mu", prepared)
    none = Correspondence(
        sparse.csr_matrix((80, 75)), prepared.mod["rna"].obs_names, prepared.mod["atac"].obs_names
    )
    metrics, features = run_score(prepared, tmp_path / "i.h5mu", truth=none, shown=none)
    assert set(metrics["cells"]) == {cells} and not len(features)
    assert reasons(metrics, cells) == {(m, "no pairs with known truth") for m in ("foscttm", *IMPUTATION)}
    assert row_of(metrics, cells, "lta", "rna")["status"] == "ok"


def test_with_two_hidden_pairs(prepared, imputed):
    metrics, _ = run_score(prepared, imputed, shown=shown_pairs(prepared, 24, 68))
    hidden = metrics[metrics["cells"] == "hidden"]
    assert set(hidden["status"]) == {"not_applicable"}
    others = hidden.loc[hidden["metric"] != "batch_mixing", "reason"]
    assert all(reason.startswith("fewer than 3 cells") for reason in others)


def test_a_method_that_does_not_embed(prepared, imputed):
    metrics, _ = run_score(prepared, imputed, embedding=None)
    expected = {(m, "method does not embed") for m, of in METRICS.items() if of.inputs == LATENT_INPUTS}
    assert reasons(metrics, "test") == expected | {(m, score.NO_COUNTS) for m in COUNTED}


@pytest.mark.parametrize("status", ["excluded", "failed"])
def test_a_method_without_output_has_rows_with_its_reason(prepared, status):
    metrics, features = run_score(prepared, None, embedding=None, status=status, reason="too many cells")
    assert set(metrics["cells"]) == {"test"} and set(metrics["status"]) == {status}
    assert set(metrics["reason"]) == {"too many cells"} and metrics["value"].isna().all()
    assert set(metrics["metric"]) == {n for n, m in METRICS.items() if m.inputs != COMPARISON_INPUTS}
    assert tuple(features.columns) == contract.FEATURE_SCORE_COLUMNS and not len(features)


@pytest.mark.parametrize("source", NAMES)
@pytest.mark.parametrize("cell,feature", [(0, 0), (-1, -1)])
def test_a_nan_anywhere_in_imputed_values_fails(prepared, tmp_path, source, cell, feature):
    def spoil(x, which):
        if which == source:
            x[cell, feature] = np.nan

    write_imputed(tmp_path / "i.h5mu", prepared, change=spoil)
    with pytest.raises(InputError, match="finite values"):
        run_score(prepared, tmp_path / "i.h5mu")


def test_a_nan_in_a_latent_fails(prepared):
    embedding = make_embedding(prepared)
    embedding.mod["atac"].obsm["X_m"][7, 1] = np.inf
    with pytest.raises(InputError, match="finite float32 latent"):
        run_score(prepared, None, embedding=embedding)


@pytest.mark.parametrize("axis,expected", [("obs_names", "the cells of"), ("var_names", "the features of")])
def test_imputed_values_of_other_cells_or_features_fail(prepared, imputed, axis, expected):
    moved = prepared.copy()
    setattr(moved.mod["rna"], axis, list(getattr(moved.mod["rna"], axis))[::-1])
    moved.mod["rna"].obs["role"] = (
        moved.mod["rna"].obs["role"].to_numpy()[:: 1 if axis == "var_names" else -1]
    )
    embedding = make_embedding(moved)
    with pytest.raises(InputError, match=expected):
        run_score(
            moved, imputed, truth=from_names(prepared), shown=shown_pairs(prepared), embedding=embedding
        )


def test_missing_training_statistics_fail(prepared, imputed):
    del prepared.mod["atac"].var["sd"]
    with pytest.raises(InputError, match="training statistics"):
        run_score(prepared, imputed)


def two_methods(prepared, tmp_path):
    found = []
    for seed, method in enumerate(["knn", "other"]):
        path = tmp_path / f"{method}.h5mu"
        write_imputed(path, prepared, seed=seed)
        found.append(run_score(prepared, path, method=method))
    found.append(run_score(prepared, None, method="silent", status="failed", reason="it broke"))
    return tuple(pd.concat(tables, ignore_index=True) for tables in zip(*found, strict=True))


def test_win_rates(prepared, tmp_path):
    metrics, features = two_methods(prepared, tmp_path)
    result = score.add_win_rates(metrics, features)
    contract.check_metrics(result)
    rates = result[result["metric"] == "win_rate_knn"].set_index(["method", "cells", "modality"]).sort_index()
    wide = features.query("cells == 'hidden' and modality == 'rna'").pivot(
        index="feature", columns="method", values="pearson"
    )
    row = rates.loc[("other", "hidden", "rna")]
    assert row["value"] == (wide["other"] > wide["knn"]).mean() and row["n_features"] == 7
    assert (rates.loc["knn", "value"] == 0.5).all() and len(rates) == 3 * 2 * 2 + 2
    assert set(rates.loc["silent", "status"]) == {"failed"}
    assert len(score.add_win_rates(result, features)) == len(result)


def test_win_rates_without_knn_of_the_same_seed(prepared, tmp_path):
    metrics, features = two_methods(prepared, tmp_path)
    for table in (metrics, features):
        table.loc[table["method"] == "knn", "seed"] = 2
    result = score.add_win_rates(metrics, features).query("metric == 'win_rate_knn' and method == 'other'")
    assert set(result["status"]) == {"not_applicable"}
    assert set(result["reason"]) == {"there are no scores of KNN to compare with"}


def test_summary_over_seeds_survives_a_round_trip_through_a_file(prepared, imputed, tmp_path):
    from jamie import io

    one, _ = run_score(prepared, imputed)
    others = [one.assign(seed=s, value=one["value"] + shift) for s, shift in ((2, 1.0), (3, 5.0))]
    others[1].loc[others[1]["metric"] == "foscttm", ["status", "reason", "value"]] = [
        "failed",
        "broke",
        np.nan,
    ]
    table = pd.concat([one, *others], ignore_index=True)
    io.write_table(tmp_path / "metrics.tsv", table)
    summary = score.summarise(io.read_table(tmp_path / "metrics.tsv"))
    pd.testing.assert_frame_equal(summary, score.summarise(table))
    value = row_of(one, "test", "foscttm")["value"]
    row = summary.query("cells == 'test' and metric == 'foscttm'").iloc[0]
    assert (row["n_seeds"], row["min"]) == (2, pytest.approx(value)) and row["sd"] == pytest.approx(0.5**0.5)
    row = summary.query("cells == 'test' and metric == 'lta' and modality == ''").iloc[0]
    assert row["n_seeds"] == 3 and row["max"] - row["mean"] == pytest.approx(3)
    assert len(summary) == (one["status"] == "ok").sum()
