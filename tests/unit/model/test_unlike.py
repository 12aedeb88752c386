"""Cells unlike training are called so; cells like training are, one in 20."""

import numpy as np
import pytest

from jamie import JAMIE
from jamie.data import preprocess
from jamie.data.correspondence import from_names
from jamie.data.simulate import simulate_multiome
from jamie.data.split import split_cells
from jamie.linear.projection import Projection
from jamie.model.network import VAE
from jamie.model.options import Options
from jamie.model.unlike import Reference

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def cells(rng, n: int, shift: float = 0.0) -> np.ndarray:
    return rng.normal(size=(n, 12)) + shift * np.eye(12)[0]


@pytest.fixture(scope="module")
def reference():
    """Of cells without structure: five components, an encoder that has learned nothing."""
    rng = np.random.default_rng(0)
    fitted = cells(rng, 1000)
    projection = Projection.fit(fitted, np.ones(12), 5)
    encoder = VAE(5, Options(n_latent=3, hidden_layers=(8,))).eval()
    return Reference.of(
        projection, np.ones(12, bool), encoder, projection.transform(fitted), cells(rng, 1000), 0
    )


def test_one_in_twenty_ordinary_cells_lies_above_the_threshold_and_far_ones_do(reference):
    rng = np.random.default_rng(1)
    ordinary, far = (reference.score(cells(rng, 3000, shift)) > reference.threshold for shift in (0, 9))
    assert ordinary.mean() == pytest.approx(0.05, abs=0.02)
    assert far.all()


def test_what_is_stored_scores_alike(reference):
    again = Reference.from_arrays(reference.arrays(), Options(n_latent=3, hidden_layers=(8,)))
    new = cells(np.random.default_rng(2), 50)
    np.testing.assert_array_equal(again.score(new), reference.score(new))
    assert again.threshold == reference.threshold


@pytest.fixture(scope="module")
def without_a_type():
    """A model whose training lacks all cells of one type, and the cells with their types and roles."""
    mdata, _ = simulate_multiome(n_cells=700, n_types=4, n_genes=200, n_peaks=400, atac_depth=200, seed=4)
    roles = split_cells(from_names(mdata), 0.2, 0)
    types = {m: a.obs["cell_type"].astype(str).to_numpy() for m, a in mdata.mod.items()}
    left_out = min(set(types["rna"]), key=lambda t: -np.sum(types["rna"] == t))
    for i, modality in enumerate(mdata.mod):
        roles[i] &= types[modality] != left_out
    prepared = preprocess.prepare(mdata, roles)
    model = JAMIE(seed=0, progress=False, device="cpu", hidden_layers=(64,), max_epochs=12, folds=3)
    return model.fit(prepared, from_names(prepared)), prepared, types, left_out


@pytest.mark.parametrize("modality", ["rna", "atac"])
def test_a_type_left_out_of_training_lights_up_and_held_out_cells_do_not(without_a_type, modality):
    model, prepared, types, left_out = without_a_type
    score, threshold = model.unlikeness(prepared, modality)
    unlike = score > threshold
    is_test = (prepared.mod[modality].obs["role"] == "test").to_numpy()
    new = types[modality] == left_out
    assert unlike[is_test & ~new].mean() < 0.12  # 5 % but for chance: some hundred cells
    assert unlike[new].mean() > max(0.4, 3 * unlike[is_test & ~new].mean())
