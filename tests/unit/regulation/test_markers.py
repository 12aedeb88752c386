"""What separates cell types: against known answers, `shap`, and the naive way of each shortcut."""

import types

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from jamie import contract as c
from jamie.data.split import training_cells
from jamie.errors import InputError
from jamie.linear.blocks import dense
from jamie.metrics.alignment import label_transfer_accuracy
from jamie.metrics.feature_scores import cell_types
from jamie.model.estimator import JAMIE
from jamie.regulation import markers
from jamie.regulation.knock_out import knock_out

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def fitted(prepared, options, **changes):
    model = JAMIE(seed=0, progress=False, **options | changes).fit(prepared)
    train = training_cells(prepared)
    latents = model.embed(train)
    return types.SimpleNamespace(
        model=model,
        prepared=prepared,
        train=train,
        latents=latents,
        classifier={m: markers.fit_classifier(z, cell_types(train.mod[m])) for m, z in latents.items()},
    )


def explain(fit, modality, **options):
    prepared = options.pop("prepared", fit.prepared)
    return markers.type_attributions(fit.model, prepared, modality, fit.classifier[modality], **options)


@pytest.fixture(scope="module")
def multiome(prepared_multiome, small_options):
    return fitted(prepared_multiome, small_options, max_epochs=15)


@pytest.fixture(scope="module")
def planted(small_options):
    """Three types, each told from the others by one gene and by nothing else; RNA and dense values."""
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c", "rare"], [60, 60, 60, 3])
    genes = [f"gene{i}" for i in range(20)]
    rates = np.full((len(labels), len(genes)), 4.0)
    for i, name in enumerate("abc"):
        rates[labels == name, 3 * i] = 25.0
    obs = pd.DataFrame({c.CELL_TYPE: labels}, index=[f"cell{i:03d}" for i in range(len(labels))])
    rna = anndata.AnnData(sparse.csr_matrix(rng.poisson(rates).astype(np.float32)), obs=obs)
    dense = (labels[:, None] == list("abc")) @ rng.normal(size=(3, 9)) * 3 + rng.normal(size=(len(labels), 9))
    ephys = anndata.AnnData(dense.astype(np.float32), obs=obs.copy())
    rna.var_names, ephys.var_names = genes, [f"feature{i}" for i in range(9)]
    model = JAMIE(progress=False, **small_options)
    prepared = model._prepared(mudata.MuData({"rna": rna, "ephys": ephys}))
    return fitted(prepared, small_options, max_epochs=30)


@pytest.mark.parametrize("modality", ["rna", "atac"])
def test_type_scores_are_the_decision_function_of_the_embedding(multiome, modality):
    scores = markers.TypeScores(multiome.model, modality, multiome.classifier[modality])
    x = torch.as_tensor(multiome.train.mod[modality].X.toarray())
    with torch.no_grad():
        found = scores(x).numpy()
    expected = multiome.classifier[modality].decision_function(multiome.latents[modality])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_type_scores_of_two_types_differ_by_the_decision_function(multiome):
    types = cell_types(multiome.train.mod["rna"])
    labels = np.where(types == types[0], "x", "y")
    classifier = markers.fit_classifier(multiome.latents["rna"], labels)
    scores = markers.TypeScores(multiome.model, "rna", classifier)
    with torch.no_grad():
        found = scores(torch.as_tensor(multiome.train.mod["rna"].X.toarray())).numpy()
    expected = classifier.decision_function(multiome.latents["rna"])
    np.testing.assert_allclose(found[:, 1] - found[:, 0], expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-5)


def test_the_gene_that_alone_separates_a_type_comes_first(planted):
    found = explain(planted, "rna", n_rounds=10)
    table = markers.marker_table(found)
    first = table[table["rank"] == 1].set_index("cell_type")
    assert first["feature"].to_dict() == {"a": "gene0", "b": "gene3", "c": "gene6"}
    assert (first["attribution"] > 0).all() and (first["mean_difference"] > 1).all()
    second = table[table["rank"] == 2].set_index("cell_type")["attribution"]
    assert (first["attribution"] > 1.5 * second).all()


def test_small_types_are_left_out_and_said(planted, caplog):
    found = explain(planted, "rna", n_rounds=2)
    assert found.left_out == {"rare": 3}
    assert found.types.tolist() == ["a", "b", "c"] and "rare" not in found.cell_type
    markers.fit_classifier(planted.latents["rna"], cell_types(planted.train.mod["rna"]))
    assert "Left out, with fewer than 5 training cells: rare" in caplog.text


def test_too_few_types_is_an_input_error():
    with pytest.raises(InputError, match="no cell types to tell apart"):
        markers.fit_classifier(np.zeros((9, 2)), np.array(["a"] * 7 + ["b", ""]))


@pytest.mark.parametrize("modality", ["rna", "ephys"])
def test_attributions_add_up_to_the_difference_of_logits(planted, modality):
    found = explain(planted, modality, n_rounds=100, n_background=30)
    assert found.error.max() < 0.02 and found.cell_error < 0.05
    # the reported error is that of the sums over features, not of something beside them
    scores = markers.TypeScores(planted.model, modality, planted.classifier[modality])
    x = torch.as_tensor(dense(planted.train.mod[modality].X))
    with torch.no_grad():
        logits = pd.DataFrame(scores(x).numpy(), cell_types(planted.train.mod[modality]), list("abc"))
    means = logits.groupby(level=0).mean().loc[list("abc")]
    background = means.to_numpy().mean(axis=0)  # as many cells of each type, about
    expected = np.diag(means) - background
    np.testing.assert_allclose(found.attribution.sum(axis=1), expected, rtol=0.3)


def test_attributions_of_cells_average_to_those_of_their_type(planted):
    found = explain(planted, "rna", n_rounds=5, n_cells=50, n_background=20)
    for i, name in enumerate(found.types):
        mean = found.cell_attribution[found.cell_type == name, i].mean(axis=0)
        np.testing.assert_allclose(mean, found.attribution[i, found.top[i]], rtol=1e-3, atol=1e-5)
    rows = planted.train.mod["rna"].obs_names.get_indexer(found.cells)
    values = planted.train.mod["rna"].X.toarray()[rows][:, found.top]
    np.testing.assert_array_equal(found.cell_value, values)
    assert pd.Series(found.cell_type).value_counts().max() <= 17


@pytest.mark.parametrize("block", [7, 4_000_000])
def test_blocks_of_features_change_nothing(planted, monkeypatch, block):
    whole = explain(planted, "rna", n_rounds=2).attribution
    monkeypatch.setattr("jamie.linear.blocks.BLOCK_VALUES", block)
    np.testing.assert_allclose(explain(planted, "rna", n_rounds=2).attribution, whole, rtol=1e-4, atol=1e-6)


def test_order_of_cells_changes_nothing(planted):
    rng = np.random.default_rng(1)
    shuffled = mudata.MuData({m: a[rng.permutation(a.n_obs)].copy() for m, a in planted.prepared.mod.items()})
    first, second = (
        explain(planted, "rna", n_rounds=3),
        explain(planted, "rna", n_rounds=3, prepared=shuffled),
    )
    np.testing.assert_array_equal(first.cells, second.cells)
    np.testing.assert_allclose(first.attribution, second.attribution, rtol=1e-5, atol=1e-7)
    features = ["gene0", "gene3"]
    tables = [knock_out(planted.model, p, "rna", features) for p in (planted.prepared, shuffled)]
    pd.testing.assert_frame_equal(*tables)


def test_agrees_with_shap(planted):
    shap = pytest.importorskip("shap")
    found = explain(planted, "ephys", n_rounds=200, n_background=60)
    adata = planted.train.mod["ephys"]
    names = adata.obs_names
    scores = markers.TypeScores(planted.model, "ephys", planted.classifier["ephys"])
    labels = cell_types(adata)
    background = np.concatenate([np.flatnonzero(labels == name)[:20] for name in "abc"])
    x = torch.as_tensor(np.asarray(adata.X))
    explainer = shap.GradientExplainer(scores, x[background])
    values = explainer.shap_values(x[names.get_indexer(found.cells)], nsamples=300, rseed=0)  # (n, p, t)
    expected = np.array([values[found.cell_type == name, :, i].mean(axis=0) for i, name in enumerate("abc")])
    assert np.corrcoef(found.attribution.ravel(), expected.ravel())[0, 1] > 0.98
    own = [values[:, found.top[i], i] for i in range(3)]
    cells = np.corrcoef(found.cell_attribution.swapaxes(0, 1).ravel(), np.ravel(own))[0, 1]
    assert cells > 0.95


@pytest.mark.parametrize("modality", ["rna", "ephys"])
def test_knock_out_is_the_naive_one(planted, modality):
    features = list(planted.model.feature_names(modality)[[6, 0, 1]])
    found = knock_out(planted.model, planted.prepared, modality, features)
    labels = [cell_types(a) for a in planted.train.mod.values()]

    def accuracy(data):
        latents = planted.model.embed(data)
        return np.mean(label_transfer_accuracy([latents[m] for m in planted.model.modalities], labels))

    before = accuracy(planted.train)
    for name, row in zip(features, found.itertuples(), strict=True):
        data = mudata.MuData({m: a.copy() for m, a in planted.train.mod.items()})
        x = dense(data.mod[modality].X).copy()
        j = data.mod[modality].var_names.get_loc(name)
        x[:, j] = x[:, j].mean()
        data.mod[modality].X = x
        assert row.feature == name
        assert row.lta_without == pytest.approx(accuracy(data), abs=1e-12)
        assert row.change == pytest.approx(accuracy(data) - before, abs=1e-12)


def test_of_many_cells_the_same_ones_are_asked_about_every_feature(planted, monkeypatch):
    features = list(planted.model.feature_names("rna"))
    whole = knock_out(planted.model, planted.prepared, "rna", features)
    fewest = min(a.n_obs for a in planted.train.mod.values())
    monkeypatch.setattr("jamie.regulation.knock_out.MOST_CELLS", fewest - 1)
    most = knock_out(planted.model, planted.prepared, "rna", features)
    np.testing.assert_allclose(most["change"], whole["change"], atol=0.03)
    monkeypatch.setattr("jamie.regulation.knock_out.MOST_CELLS", 30)
    few = knock_out(planted.model, planted.prepared, "rna", features)
    n_asked = few["lta_without"] * 60
    np.testing.assert_allclose(n_asked, n_asked.round(), atol=1e-9)  # 30 cells each way
    assert (few["lta_without"] - few["change"]).nunique() == 1


def test_knocking_out_the_marker_costs_most(planted):
    features = list(planted.model.feature_names("rna"))
    change = knock_out(planted.model, planted.prepared, "rna", features).set_index("feature")["change"]
    assert set(change.nsmallest(3).index) == {"gene0", "gene3", "gene6"}


def test_unknown_feature_is_an_input_error(planted):
    with pytest.raises(InputError, match=r"(?s)no feature 'gene99'.*did you mean 'gene9'"):
        knock_out(planted.model, planted.prepared, "rna", ["gene0", "gene99"])


def test_tables_hold_what_they_say(planted):
    found = explain(planted, "rna", n_rounds=3, n_top=6)
    knocked_out = knock_out(planted.model, planted.prepared, "rna", ["gene0"])
    table = markers.marker_table(found, knocked_out)
    assert tuple(table.columns) == markers.MARKER_COLUMNS
    assert len(table) == 18 and table["rank"].tolist() == [1, 2, 3, 4, 5, 6] * 3
    is_known = table["feature"] == "gene0"
    assert table.loc[is_known, "knockout_lta"].eq(knocked_out["change"][0]).all()
    assert table.loc[~is_known, "knockout_lta"].isna().all()
    x, labels = planted.train.mod["rna"].X.toarray(), cell_types(planted.train.mod["rna"])
    row = table.iloc[0]
    column = x[:, list(found.features).index(row.feature)]
    is_type = labels == row.cell_type
    expected = (column[is_type].mean() - column[~is_type].mean()) / column.std()
    assert row.mean_difference == pytest.approx(expected, rel=1e-3)
    cells = markers.cell_table(found, 2)
    assert len(cells) == 3 * 2 * len(found.cells)
    own = cells[cells["is_own"] & (cells["rank"] == 1) & (cells["cell_type"] == "a")]["attribution"]
    assert own.mean() == pytest.approx(table["attribution"][0], rel=1e-3)
    assert own.std() == pytest.approx(table["sd_over_cells"][0], rel=1e-3)


def test_cells_not_in_training_change_nothing(planted):
    prepared = mudata.MuData({m: a.copy() for m, a in planted.prepared.mod.items()})
    for a in prepared.mod.values():
        a.obs[c.ROLE] = np.where(np.arange(a.n_obs) % 5 == 0, c.TEST, c.TRAIN)
    first = explain(planted, "rna", n_rounds=2, prepared=prepared)
    for a in prepared.mod.values():
        x = dense(a.X).copy()
        x[::5] = 7
        a.X = x
    np.testing.assert_array_equal(
        first.attribution, explain(planted, "rna", n_rounds=2, prepared=prepared).attribution
    )
