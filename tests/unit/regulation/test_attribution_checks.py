"""Attributions add up and agree with SHAP's estimators, and wrong ones are seen not to."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from jamie import JAMIE
from jamie.regulation import agreed, agreement, attribution
from jamie.regulation.attribution import measure_influence

pytestmark = pytest.mark.usefixtures("one_torch_thread")

N_TARGETS = 3
COLUMNS = ["target", "completeness_error", "expected_gradients_r", "kernel_shap_r"]


@pytest.fixture(scope="module")
def fit(prepared_multiome, small_options):
    model = JAMIE(seed=0, progress=False, **small_options | {"max_epochs": 15}).fit(prepared_multiome)
    return model, prepared_multiome, measure_influence(model, prepared_multiome, "atac", "rna")


@pytest.fixture(scope="module")
def found(fit):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agreement, "N_TARGETS", N_TARGETS)
        return agreement.check(*fit)


def test_attributions_pass_the_check(found):
    assert found.columns.tolist() == COLUMNS and len(found) == found["target"].nunique() == N_TARGETS
    assert np.isfinite(found[COLUMNS[1:]]).all(axis=None)
    assert found["completeness_error"].between(0, 0.2, inclusive="neither").all()
    assert (found["expected_gradients_r"] > 0.7).all() and (found["kernel_shap_r"] > 0.7).all()
    assert (found[COLUMNS[2:]] < 1).all(axis=None)


def test_more_points_on_the_path_leave_a_smaller_error(fit, found, monkeypatch):
    monkeypatch.setattr(agreement, "N_TARGETS", N_TARGETS)
    monkeypatch.setattr(agreement, "N_SAMPLES", 50)
    monkeypatch.setattr(attribution, "POINTS", 8 * attribution.POINTS)
    model, prepared, _ = fit
    finer = agreement.check(model, prepared, measure_influence(model, prepared, "atac", "rna"))
    assert finer["target"].tolist() == found["target"].tolist()
    assert finer["completeness_error"].mean() < found["completeness_error"].mean() / 4


def test_rna_may_be_explained_as_well(fit, monkeypatch):
    monkeypatch.setattr(agreement, "N_TARGETS", 2)
    monkeypatch.setattr(attribution, "POINTS", 8 * attribution.POINTS)
    model, prepared, _ = fit
    found = agreement.check(model, prepared, measure_influence(model, prepared, "rna", "atac"))
    assert set(found["target"]) <= set(model.feature_names("atac")) and len(found) == 2
    assert (found["completeness_error"] < 0.1).all() and (found["kernel_shap_r"] > 0.7).all()


def test_the_same_seed_gives_the_same_check_and_another_seed_other_targets(fit, monkeypatch):
    monkeypatch.setattr(agreement, "N_TARGETS", 1)
    monkeypatch.setattr(agreement, "N_SAMPLES", 50)
    one, two, other = (agreement.check(*fit, seed=seed) for seed in (3, 3, 4))
    pd.testing.assert_frame_equal(one, two, check_exact=True)
    assert one["target"].tolist() != other["target"].tolist()


def test_wrong_attributions_fail_the_check(fit, monkeypatch):
    monkeypatch.setattr(agreement, "N_TARGETS", 2)
    monkeypatch.setattr(agreement, "N_SAMPLES", 50)
    model, prepared, influence = fit
    turned = agreement.check(model, prepared, replace(influence, jacobians=-influence.jacobians))
    assert (turned["completeness_error"] > 1.5).all()
    assert (turned[COLUMNS[2:]] < -0.5).all(axis=None)
    double = agreement.check(model, prepared, replace(influence, jacobians=2 * influence.jacobians))
    assert double["completeness_error"].between(0.9, 1.1).all()


class Linear(torch.nn.Module):
    """Three sources, two components, two targets: target 1 is 2 x0 - 3 x1 + 4 x2."""

    w_in = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 0.0]])
    w_out = torch.tensor([[9.0, 2.0], [9.0, -3.0]])

    def core(self, scores):
        return scores

    def forward(self, x):
        return x @ self.w_in @ self.w_out


MOVED = torch.tensor([[1.0, 1.0, 1.0], [0.5, -2.0, 0.0]])


def test_expected_gradients_of_a_linear_imputation_are_its_terms():
    base = torch.tensor([[0.0, 0.0, 1.0]])
    found = agreement._expected_gradients(Linear(), 1, MOVED, base, seed=0)
    np.testing.assert_allclose(found, [[2, -3, 0], [1, 6, -4]], atol=1e-4)


def test_kernel_shap_of_a_linear_imputation_are_its_terms_with_the_rest_as_one():
    found = agreement._kernel_shap(Linear(), 1, MOVED, np.array([1]))
    np.testing.assert_allclose(found, [[-3, 2 + 4], [6, 1]], atol=1e-4)
    found = agreement._kernel_shap(Linear(), 1, MOVED, np.array([2, 0]))
    np.testing.assert_allclose(found, [[4, 2, -3], [0, 1, 6]], atol=1e-4)


def test_the_worst_target_is_told():
    rows = [("A", 0.01, 0.99, 0.81), ("B", 0.123, 0.95, 0.97), ("C", 0.02, 0.876, 0.9)]
    words = agreed.in_words(pd.DataFrame(rows, columns=COLUMNS))
    assert words.startswith("Checked on 3 targets") and f"in {agreement.N_CELLS} cells" in words
    for part in ("an error of 12.3%", "expected gradients by 0.88", "(KernelSHAP) by 0.81."):
        assert part in words
