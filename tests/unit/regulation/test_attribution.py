"""Attributions are exact where the answer is known, sum to what they explain, agree with shap and captum."""

import numpy as np
import pytest
import torch
from scipy import sparse
from scipy.stats import spearmanr

from jamie import JAMIE, contract
from jamie.regulation import attribution
from jamie.regulation.attribution import Explained, Imputation, Influence, measure_influence

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module", params=[{}, {"direct": True, "residual": True}], ids=["decoder", "both"])
def model(request, prepared_multiome, small_options):
    options = small_options | {"max_epochs": 30} | request.param
    return JAMIE(seed=0, progress=False, **options).fit(prepared_multiome)


@pytest.fixture(scope="module", params=["atac", "rna"])
def explained(request, model, prepared_multiome):
    target = {"atac": "rna", "rna": "atac"}[request.param]
    influence = measure_influence(model, prepared_multiome, request.param, target)
    return Explained(model, prepared_multiome, influence)


def dense(adata) -> np.ndarray:
    return adata.X.toarray() if sparse.issparse(adata.X) else np.asarray(adata.X)


def of_explained(prepared, influence) -> torch.Tensor:
    return torch.as_tensor(dense(prepared.mod[influence.source][influence.cells]))


@pytest.mark.parametrize(("source", "target"), [("atac", "rna"), ("rna", "atac")])
def test_the_module_is_the_imputation(model, prepared_multiome, source, target):
    x = torch.as_tensor(dense(prepared_multiome.mod[source]))
    with torch.no_grad():
        found = Imputation(model, source, target)(x).numpy()
    np.testing.assert_allclose(found, model.impute(prepared_multiome, source, target), atol=2e-5)


def test_only_training_cells_are_explained(explained, prepared_multiome):
    obs = prepared_multiome.mod[explained.influence.source].obs
    train = obs.index[obs[contract.ROLE] == contract.TRAIN]
    assert explained.influence.cells.tolist() == train.tolist() and len(train) < len(obs)


@pytest.mark.parametrize(("points", "error"), [(attribution.POINTS, 0.1), (128, 0.015)])
def test_attributions_of_a_cell_sum_to_its_change_from_the_mean_cell(
    model, prepared_multiome, monkeypatch, points, error
):
    monkeypatch.setattr(attribution, "POINTS", points)
    influence = measure_influence(model, prepared_multiome, "atac", "rna")
    explained = Explained(model, prepared_multiome, influence)
    imputation, x = Imputation(model, "atac", "rna"), of_explained(prepared_multiome, influence)
    with torch.no_grad():
        change = (imputation(x) - imputation(x.mean(dim=0, keepdim=True))).numpy()
    every = np.arange(len(explained.sources))
    for target in (0, 7, 30):
        total = explained.attributions(target, every).sum(axis=1)
        off = np.abs(total - change[:, target]).mean() / np.abs(change[:, target]).mean()
        assert off < error and explained.completeness_error(target) == pytest.approx(off, rel=0.02)


def test_a_jacobian_is_the_mean_along_the_path(model, prepared_multiome):
    influence = measure_influence(model, prepared_multiome, "atac", "rna", n_cells=60)
    imputation = Imputation(model, "atac", "rna")
    end = of_explained(prepared_multiome, influence)[4] @ imputation.w_in + imputation.b_in
    steps = (np.arange(attribution.POINTS) + 0.5) / attribution.POINTS

    def core(scores):
        return imputation.core(scores[None])[0]

    wanted = [torch.autograd.functional.jacobian(core, end * float(step)).numpy() for step in steps]
    np.testing.assert_allclose(influence.jacobians[4], np.mean(wanted, axis=0), atol=1e-5)


@pytest.mark.parametrize("n_targets", [3, 40])  # fewer and more than the target has components
@pytest.mark.parametrize("at_once", [attribution._SLOPES, 20_000])  # one block of features and several
def test_shares_are_the_covariance_of_attributions_with_the_imputed_values(
    explained, n_targets, at_once, monkeypatch
):
    monkeypatch.setattr(attribution, "_SLOPES", at_once)
    targets = np.random.default_rng(0).permutation(len(explained.targets))[:n_targets]
    shares, values = explained.shares(targets), explained.values(targets)
    for row, target in enumerate(targets):
        phi = explained.attributions(target, np.arange(len(explained.sources)))
        wanted = phi.T @ values[:, row] / (values[:, row] @ values[:, row])
        np.testing.assert_allclose(shares[row], wanted, atol=1e-5)
    np.testing.assert_allclose(shares.sum(axis=1), 1, atol=0.05)


def test_order_of_cells_and_of_targets_changes_nothing(model, prepared_multiome, explained):
    influence = explained.influence
    order = np.random.default_rng(0).permutation(len(influence.cells))
    turned = Influence(
        influence.source,
        influence.target,
        influence.cells[order],
        influence.group[order],
        influence.jacobians[order],
        influence.typical,
    )
    again = Explained(model, prepared_multiome, turned)
    np.testing.assert_allclose(again.shares([3, 1]), explained.shares([1, 3])[::-1], atol=1e-5)


def test_captum_and_shap_give_the_same(explained, model, prepared_multiome):
    import shap
    from captum.attr import IntegratedGradients

    influence, target = explained.influence, 5
    imputation = Imputation(model, influence.source, influence.target)
    x = of_explained(prepared_multiome, influence)
    mean = x.mean(dim=0, keepdim=True)
    gradients = IntegratedGradients(lambda part: imputation(part)[:, target])
    exact = gradients.attribute(x[:20], mean, n_steps=64).detach().numpy()
    ours = explained.attributions(target, np.arange(len(explained.sources)))[:20]
    assert np.abs(ours - exact).mean() < 0.1 * np.abs(exact).mean()

    class One(torch.nn.Module):
        def forward(self, part):
            return imputation(part)[:, [target]]

    # against the mean cell alone, expected gradients are integrated gradients at random points
    expected = shap.GradientExplainer(One(), mean).shap_values(x[:20], nsamples=500, rseed=0)
    assert spearmanr(ours.ravel(), np.asarray(expected).reshape(ours.shape).ravel())[0] > 0.95


def test_kernel_shap_ranks_the_strongest_sources_alike(explained, model, prepared_multiome):
    import shap

    influence, target = explained.influence, 5
    imputation = Imputation(model, influence.source, influence.target)
    x = of_explained(prepared_multiome, influence).numpy()
    few = np.argsort(-np.abs(explained.shares([target])[0]))[:6]
    ours, exact = explained.attributions(target, few)[:10], []
    for cell in range(10):

        def value(part, cell=cell):
            full = np.repeat(x[[cell]], len(part), axis=0)
            full[:, few] = part
            with torch.no_grad():
                return imputation(torch.as_tensor(full))[:, target].numpy()

        kernel = shap.KernelExplainer(value, explained.x_base[None, few])
        exact.append(kernel.shap_values(x[[cell]][:, few], nsamples=64, silent=True)[0])
    # of the six features moved alone, near each cell; ours is of all features moved together
    assert spearmanr(np.ravel(exact), ours.ravel())[0] > 0.85


def test_saved_and_loaded_influence_is_the_same(explained, tmp_path):
    explained.influence.save(tmp_path / "influence.npz")
    again = Influence.load(tmp_path / "influence.npz")
    for name, value in vars(explained.influence).items():
        np.testing.assert_array_equal(getattr(again, name), value)


def test_the_same_seed_gives_the_same_influence(model, prepared_multiome):
    one, two = (measure_influence(model, prepared_multiome, "atac", "rna", n_cells=60, seed=3) for _ in "ab")
    assert one.cells.tolist() == two.cells.tolist() and 50 <= len(one.cells) < 90
    np.testing.assert_array_equal(one.jacobians, two.jacobians)
    np.testing.assert_array_equal(one.typical, two.typical)


def test_with_many_components_fewer_cells_are_explained(model, prepared_multiome, monkeypatch):
    monkeypatch.setattr(attribution, "LARGEST", 40 * 8 * 8)
    found = measure_influence(model, prepared_multiome, "atac", "rna")
    assert 30 <= len(found.cells) <= 45


def test_where_types_are_unknown_cells_are_grouped_by_the_embedding(model, prepared_multiome):
    unlabelled = prepared_multiome.copy()
    del unlabelled.mod["atac"].obs[contract.CELL_TYPE]
    found = attribution.groups_of(model, unlabelled, "atac")
    assert set(found) <= {f"cluster {i}" for i in range(1, 9)} and len(set(found)) > 1
