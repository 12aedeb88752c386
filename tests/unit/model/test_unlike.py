"""Cells unlike training are called so; cells like training are, one in 20."""

import numpy as np
import pytest

from jamie import JAMIE
from jamie.data import preprocess
from jamie.data.correspondence import from_names
from jamie.data.simulate import simulate_multiome
from jamie.data.split import split_cells
from jamie.model.unlike import Reference

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def cells(rng, n: int, shift: float = 0.0):
    return (rng.normal(size=(n, 5)) + shift).astype(np.float32), rng.normal(size=(n, 2)).astype(np.float32)


def test_one_in_twenty_ordinary_cells_lies_above_the_threshold_and_far_ones_do():
    rng = np.random.default_rng(0)
    reference = Reference.of(*cells(rng, 1000), seed=0)

    def distances(n, shift=0.0):
        return reference.distances(*cells(rng, n, shift), rng.gamma(20, 0.05, n))

    reference.learn(distances(1000))
    assert (reference.score(distances(3000)) > reference.threshold).mean() == pytest.approx(0.05, abs=0.02)
    assert (reference.score(distances(200, shift=4)) > reference.threshold).all()


@pytest.fixture(scope="module")
def without_a_type():
    """A model whose training lacks all cells of one type, and the cells with their types and roles."""
    mdata, _ = simulate_multiome(n_cells=700, n_types=4, n_genes=200, n_peaks=400, atac_depth=200, seed=3)
    roles = split_cells(from_names(mdata), 0.2, 0)
    types = {m: a.obs["cell_type"].astype(str).to_numpy() for m, a in mdata.mod.items()}
    left_out = min(set(types["rna"]), key=lambda t: -np.sum(types["rna"] == t))
    for i, modality in enumerate(mdata.mod):
        roles[i] &= types[modality] != left_out
    prepared = preprocess.prepare(mdata, roles)
    model = JAMIE(seed=0, progress=False, device="cpu", hidden_layers=(64,), max_epochs=12, folds=3)
    return model.fit(prepared, from_names(prepared)), prepared, types, left_out


@pytest.mark.parametrize(("modality", "least"), [("rna", 0.4), ("atac", 0.1)])  # 200 counts tell less
def test_a_type_left_out_of_training_lights_up_and_held_out_cells_do_not(without_a_type, modality, least):
    model, prepared, types, left_out = without_a_type
    unlike = model.unlikeness(prepared, modality) > model.calibration.reference[modality].threshold
    is_test = (prepared.mod[modality].obs["role"] == "test").to_numpy()
    new = types[modality] == left_out
    assert unlike[is_test & ~new].mean() < 0.12  # 5 % but for chance: some hundred cells
    assert unlike[new].mean() > 3 * unlike[is_test & ~new].mean()
    assert unlike[new].mean() > least
