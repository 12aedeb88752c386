"""CPU and GPU agree, and mixed precision costs no quality: run with ``pytest -m gpu`` where there is CUDA."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jamie import JAMIE
from jamie.data.correspondence import from_names
from jamie.data.simulate import simulate_multiome
from jamie.metrics.alignment import foscttm
from jamie.metrics.imputation import pearson

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.fixture(scope="module")
def mdata():
    return simulate_multiome(n_cells=300, n_genes=100, n_peaks=200, seed=0)[0]


@pytest.fixture(scope="module")
def quality(mdata):
    """A function of options: FOSCTTM and mean Pearson r of imputed peaks and of genes, of a fit with them."""
    pairs = from_names(mdata).certain_pairs()
    known = {}

    def measure(**options) -> np.ndarray:
        key = tuple(sorted(options.items()))
        if key not in known:
            model = JAMIE(progress=False, **{"folds": 0} | options).fit(mdata)
            latent = model.embed(mdata)
            found = [foscttm([latent["rna"], latent["atac"]], pairs)]
            for source, target in (("rna", "atac"), ("atac", "rna")):
                rows = dict(zip(("rna", "atac"), pairs.T, strict=True))
                kept = mdata.mod[target][:, model.feature_names(target)]
                measured = np.log1p(kept.X[rows[target]].toarray())
                found.append(np.nanmean(pearson(measured, model.impute(mdata, source, target)[rows[source]])))
            known[key] = np.array(found)
        return known[key]

    return measure


def test_a_model_fitted_on_the_cpu_embeds_and_imputes_the_same_on_the_gpu(mdata, tmp_path):
    fitted = JAMIE(device="cpu", max_epochs=5, min_steps=20, progress=False, folds=0).fit(mdata)
    fitted.save(tmp_path / "model")
    loaded = JAMIE.load(tmp_path / "model", device="cuda")
    for name, latent in fitted.embed(mdata).items():
        np.testing.assert_allclose(loaded.embed(mdata)[name], latent, atol=1e-4)
    np.testing.assert_allclose(
        loaded.impute(mdata, "rna", "atac"), fitted.impute(mdata, "rna", "atac"), atol=1e-3
    )


def test_a_model_fitted_on_the_gpu_embeds_the_same_on_the_cpu(mdata, tmp_path):
    fitted = JAMIE(device="cuda", max_epochs=5, min_steps=20, progress=False, folds=0).fit(mdata)
    assert fitted.fit_info_["device"] == "cuda"
    fitted.save(tmp_path / "model")
    loaded = JAMIE.load(tmp_path / "model", device="cpu")
    for name, latent in fitted.embed(mdata).items():
        np.testing.assert_allclose(loaded.embed(mdata)[name], latent, atol=1e-4)


def test_a_fit_on_the_gpu_is_as_good_as_on_the_cpu(quality):
    np.testing.assert_allclose(quality(device="cuda"), quality(device="cpu"), atol=0.02)


def test_a_fit_in_mixed_precision_is_as_good_as_in_float32(quality):
    mixed = quality(device="cuda", precision="mixed")
    np.testing.assert_allclose(mixed, quality(device="cuda", precision="float32"), atol=0.02)
    assert mixed[0] < 0.1  # both could be at chance


def test_mixed_precision_leaves_weights_and_outputs_in_float32(mdata):
    model = JAMIE(device="cuda", precision="mixed", max_epochs=5, min_steps=20, progress=False, folds=0).fit(
        mdata
    )
    floats = [w.dtype for w in model.model.state_dict().values() if w.is_floating_point()]
    assert set(floats) == {torch.float32}
    latent = model.embed(mdata)["rna"]
    assert latent.dtype == np.float32 and np.isfinite(latent).all()


def test_steps_by_graphs_are_those_launch_by_launch(mdata, monkeypatch):
    fits = [JAMIE(device="cuda", max_epochs=5, min_steps=40, progress=False, folds=0).fit(mdata)]
    monkeypatch.setattr(
        "jamie.model.graphs.Graphs.__call__", lambda self, function, batch, weight: function(batch, weight)
    )
    fits.append(JAMIE(device="cuda", max_epochs=5, min_steps=40, progress=False, folds=0).fit(mdata))
    for name, latent in fits[0].embed(mdata).items():
        np.testing.assert_allclose(fits[1].embed(mdata)[name], latent, atol=0.02)
