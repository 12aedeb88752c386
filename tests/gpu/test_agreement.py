"""CPU and GPU agree: run with ``pytest -m gpu`` on a machine with CUDA."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jamie import JAMIE
from jamie.data.simulate import simulate_multiome

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]


@pytest.fixture(scope="module")
def mdata():
    return simulate_multiome(n_cells=300, n_genes=100, n_peaks=200, seed=0)[0]


def test_a_model_fitted_on_the_cpu_embeds_and_imputes_the_same_on_the_gpu(mdata, tmp_path):
    fitted = JAMIE(device="cpu", max_epochs=5, min_steps=20, progress=False).fit(mdata)
    fitted.save(tmp_path / "model")
    loaded = JAMIE.load(tmp_path / "model", device="cuda")
    for name, latent in fitted.embed(mdata).items():
        np.testing.assert_allclose(loaded.embed(mdata)[name], latent, atol=1e-4)
    np.testing.assert_allclose(
        loaded.impute(mdata, "rna", "atac"), fitted.impute(mdata, "rna", "atac"), atol=1e-3
    )


def test_a_fit_on_the_gpu_is_as_good_as_on_the_cpu(mdata):
    def closer(device):
        latent = JAMIE(device=device, progress=False).fit(mdata).embed(mdata)
        order = mdata.mod["atac"].obs_names.get_indexer(mdata.mod["rna"].obs_names)
        distance = np.linalg.norm(latent["rna"][:, None] - latent["atac"][order][None], axis=2)
        return (distance < np.diag(distance)[:, None]).mean()

    assert closer("cuda") == pytest.approx(closer("cpu"), abs=0.02)
