"""Every method that embeds, on problems whose answer is known beforehand."""

import mudata
import numpy as np
import pytest
from anndata import AnnData

from jamie import registry
from jamie.data.correspondence import choose_known, from_names
from jamie.io import together
from jamie.methods import base
from jamie.metrics.alignment import foscttm
from shared.curves import N_CELLS, N_FEATURES, N_TEST, cells

SPECS = registry.specs()
METHODS = [n for n, s in SPECS.items() if s.embeds and not s.control]
WITH_PAIRS = [n for n in METHODS if SPECS[n].uses_pairs]
WITHOUT_PAIRS = [n for n in METHODS if not SPECS[n].uses_pairs]
FEWER_STEPS = {"mmd_ma": {"n_steps": 300}, "unioncom": {"n_steps": 200}}  # enough for small data
# where a fit has only to be the same twice
FEWEST_STEPS = {
    "mmd_ma": {"n_steps": 40, "starts": 3},
    "unioncom": {"n_steps": 40},
    "jamie": {"max_epochs": 5, "min_steps": 0},
}

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def prepared_of(first: np.ndarray, second: np.ndarray, order=None) -> mudata.MuData:
    """Prepared data whose cells are in another order in the second modality; the last cells are held out."""
    rng = np.random.default_rng(7)
    parts = {}
    for name, values in (("a", first), ("b", second)):
        adata = AnnData(values.astype(np.float32))
        adata.obs_names = [f"c{i:04d}" for i in range(len(values))]
        adata.var_names = [f"{name}{j}" for j in range(values.shape[1])]
        is_train = np.arange(len(values)) < len(values) - N_TEST
        adata.var["mean"], adata.var["sd"] = values[is_train].mean(axis=0), values[is_train].std(axis=0)
        adata.obs["role"] = np.where(is_train, "train", "test")
        statistics = {key: adata.var[key].to_numpy() for key in ("mean", "sd")}
        features = adata.var_names.to_numpy(dtype=str)
        adata.uns["preprocessing"] = {"kind": "continuous", "features": features, **statistics}
        rows = rng.permutation(len(values)) if order is None and name == "b" else order
        parts[name] = adata if rows is None else adata[rows].copy()
    return together(parts)


def fit(name: str, prepared, known_pairs: float = 1.0, steps: dict = FEWER_STEPS):
    """The method, fitted to training cells and that share of their pairs."""
    train = [(a.obs["role"] == "train").to_numpy() for a in prepared.mod.values()]
    known = choose_known(from_names(prepared), *train, known_pairs, seed=0)
    options = {"device": "cpu"} if "device" in SPECS[name].options else {}
    return registry.build(name, 0, options | steps.get(name, {})).fit(*base.training_part(prepared, known))


def foscttm_of(latent: dict, prepared, role: str) -> float:
    pairs = from_names(prepared).certain_pairs()
    chosen = (prepared.mod["a"].obs["role"] == role).to_numpy()[pairs[:, 0]]
    a, b = (latent[m][rows] for m, rows in zip(("a", "b"), pairs[chosen].T, strict=True))
    return foscttm((a, b), np.column_stack([np.arange(len(a))] * 2))


def rotated() -> mudata.MuData:
    """The same cells twice, the second time rotated and in another order."""
    values = cells()
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(N_FEATURES, N_FEATURES)))[0]
    return prepared_of(values, values @ rotation)


@pytest.fixture(scope="module")
def aligned():
    """A function of a method's name: the rotated cells, and their latents with all pairs known."""
    cache = {}

    def get(name: str):
        if name not in cache:
            prepared = rotated()
            cache[name] = prepared, fit(name, prepared).embed(prepared)
        return cache[name]

    return get


@pytest.mark.parametrize("name", WITH_PAIRS)
def test_a_rotation_of_the_same_cells_is_undone(name, aligned):
    prepared, latent = aligned(name)
    assert foscttm_of(latent, prepared, "train") < 0.01
    assert foscttm_of(latent, prepared, "test") < 0.05


@pytest.mark.parametrize("name", WITHOUT_PAIRS)
def test_a_rotation_is_undone_without_any_pair(name, aligned):
    prepared, latent = aligned(name)
    for role in ("train", "test"):
        assert foscttm_of(latent, prepared, role) < 0.05


@pytest.mark.parametrize("name", WITHOUT_PAIRS)
def test_what_is_said_to_use_no_pairs_uses_none(name, aligned):
    prepared, latent = aligned(name)
    for m, values in fit(name, prepared, known_pairs=0.0).embed(prepared).items():
        np.testing.assert_array_equal(values, latent[m])


@pytest.mark.parametrize("name", METHODS)
def test_independent_noise_is_not_aligned(name):
    first, second = np.random.default_rng(0).normal(size=(2, N_CELLS, N_FEATURES))
    prepared = prepared_of(first, second)
    latent = fit(name, prepared).embed(prepared)
    assert foscttm_of(latent, prepared, "test") == pytest.approx(0.5, abs=0.12)


@pytest.mark.parametrize("name", METHODS)
def test_the_order_of_the_cells_does_not_matter(name):
    values = cells()
    other = np.tanh(values @ np.random.default_rng(2).normal(size=(N_FEATURES, 9)))
    latents = []
    for order in (np.arange(N_CELLS), np.random.default_rng(3).permutation(N_CELLS)):
        prepared = prepared_of(values, other, order)
        latent = fit(name, prepared, steps=FEWEST_STEPS).embed(prepared)
        latents.append({m: latent[m][np.argsort(prepared.mod[m].obs_names)] for m in latent})
    for m in latents[0]:
        np.testing.assert_allclose(latents[1][m], latents[0][m], atol=1e-4)
