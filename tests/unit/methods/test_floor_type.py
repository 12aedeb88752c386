"""The floor that knows cell types: known means, labels that pairs lend, and when it cannot run."""

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

from jamie import registry
from jamie.data.correspondence import from_names
from jamie.io import together
from jamie.methods import base

TYPES = np.array(["a", "b", "c"])
CENTRES = 20 * np.eye(3)  # so far apart that every cell's type is certain
SPEC = registry.specs()["floor_type"]


@pytest.fixture
def data():
    """60 cells of three types in both modalities, the last 12 held out; row i of both is the same cell."""
    rng = np.random.default_rng(0)
    codes = rng.permutation(np.arange(60) % 3)
    parts = {}
    for name, n_features in (("x", 3), ("y", 5)):
        values = (
            CENTRES[codes] @ rng.normal(size=(3, n_features)) + rng.normal(size=(60, n_features)) / 10
        ).astype(np.float32)
        adata = AnnData(values)
        adata.obs_names = [f"c{i:02d}" for i in range(60)]
        adata.var_names = [f"{name}{j}" for j in range(n_features)]
        adata.obs["cell_type"], adata.obs["role"] = (
            TYPES[codes],
            np.where(np.arange(60) < 48, "train", "test"),
        )
        adata.var["mean"], adata.var["sd"] = values[:48].mean(axis=0), values[:48].std(axis=0)
        parts[name] = adata
    return together(parts)


def fit(data, known=None):
    return registry.build("floor_type", 0, {}).fit(*base.training_part(data, known or from_names(data)))


def no_pairs(data):
    known = from_names(data)
    known.matrix = known.matrix * 0
    known.matrix.eliminate_zeros()
    return known


def type_means(data, name: str) -> np.ndarray:
    """Of each cell, held-out ones too: the mean of its type's training cells."""
    adata = data.mod[name]
    train = (adata.obs["role"] == "train").to_numpy()
    label = adata.obs["cell_type"].to_numpy()
    return np.array([adata.X[train & (label == own)].mean(axis=0) for own in label])


def missed(values, expected) -> float:
    """Share of the variance between types that imputed values lack: a probability is never quite 1."""
    return ((values - expected) ** 2).sum() / ((expected - expected.mean(axis=0)) ** 2).sum()


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_a_cell_of_a_certain_type_gets_the_mean_of_its_training_cells(data, form):
    expected = type_means(data, "y")
    data.mod["y"].X = form(data.mod["y"].X)
    assert missed(fit(data).imputer(data, "x", "y")(slice(0, 60)), expected) < 0.01
    assert missed(np.tile(data.mod["y"].var["mean"], (60, 1)), expected) == pytest.approx(1, abs=0.05)


def test_labels_of_one_modality_serve_both_through_known_pairs(data):
    expected = type_means(data, "y")
    del data.mod["y"].obs["cell_type"]
    known = from_names(data)
    assert base.shared_types(data, known) == ["a", "b", "c"]
    assert missed(fit(data, known).imputer(data, "x", "y")(slice(0, 60)), expected) < 0.01


def test_own_labels_go_before_lent_ones_and_unlabelled_cells_take_no_part(data):
    labels = data.mod["y"].obs["cell_type"].to_numpy().astype(object)
    labels[0] = "b" if labels[0] == "a" else "a"
    labels[1] = None
    data.mod["y"].obs["cell_type"] = labels
    found = base.labels_of(data, from_names(data))
    assert found["y"][0] == labels[0] and found["x"][0] != labels[0]
    assert found["y"][1] == found["x"][1] != ""
    assert base.labels_of(data, no_pairs(data))["y"][1] == ""


def test_it_is_left_out_with_the_reason_where_types_are_unknown_or_one(data):
    n = "needs at least 2 cell types labelled in both modalities, there are"
    known = from_names(data)
    for n_types, reason in ((2, ""), (1, f"{n} 1"), (0, f"{n} 0")):
        assert base.reason_to_exclude(SPEC, known, n_types=n_types) == reason
    test = (data.mod["x"].obs["role"] == "test").to_numpy()
    for name in data.mod:  # a type of held-out cells alone is none
        data.mod[name].obs["cell_type"] = np.where(test, "only held out", "a")
    assert base.shared_types(data, known) == ["a"]
    del data.mod["y"].obs["cell_type"]
    assert base.shared_types(data, no_pairs(data)) == []


def test_no_other_method_asks_for_labels():
    assert [name for name, spec in registry.specs().items() if spec.min_types] == ["floor_type"]
