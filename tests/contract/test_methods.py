"""Every method of the registry keeps the protocol of `jamie.methods.base`; some answers are known."""

import importlib
import inspect
import pickle
import subprocess
import sys
from itertools import permutations

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

import jamie.methods
from jamie import config, contract, io, registry
from jamie.data import preprocess, split
from jamie.data.correspondence import Correspondence, choose_known, from_names
from jamie.data.simulate import simulate_multiome
from jamie.errors import InputError
from jamie.io import together
from jamie.methods import base
from jamie.metrics.alignment import foscttm
from jamie.metrics.score import score_method

SPECS = registry.specs()
EMBEDDING = [name for name, spec in SPECS.items() if spec.embeds]
IMPUTING = [name for name, spec in SPECS.items() if spec.imputes]
BLIND = [name for name in IMPUTING if not SPECS[name].uses_truth]
QUICK = {
    "max_epochs": 3,
    "min_steps": 30,
    "n_steps": 50,
    "device": "cpu",
}  # enough to hold a method to its protocol
CELLS_AT_A_TIME = 70

pytestmark = pytest.mark.usefixtures("one_torch_thread")


class Data:
    """Raw and prepared cells, which of them may be seen, all pairs, and those shown."""

    def __init__(self, raw, known_fraction: float = 0.7):
        self.raw, self.pairs = raw, from_names(raw)
        self.is_train = split.split_cells(self.pairs, 0.2, seed=0)
        self.known = choose_known(self.pairs, self.is_train[0], self.is_train[1], known_fraction, seed=0)
        self.prepared = preprocess.prepare(raw, self.is_train)

    def fit(self, name: str, seed: int = 0, known=None):
        """The method, fitted as the workflow does it."""
        options = {key: value for key, value in QUICK.items() if key in SPECS[name].options}
        method = registry.build(name, seed, options)
        if SPECS[name].uses_truth:
            method.show_truth(self.pairs)
        return method.fit(*base.training_part(self.prepared, known or self.known))


@pytest.fixture(scope="module")
def data() -> Data:
    """200 cells in both modalities, 25 in each alone; 40 held out, 112 pairs shown."""
    raw, _ = simulate_multiome(n_cells=250, n_types=3, n_genes=60, n_peaks=120, paired_fraction=0.8, seed=1)
    return Data(raw)


@pytest.fixture(scope="module")
def fitted(data):
    """A function of a method's name; each is fitted once."""
    cache = {}

    def get(name: str):
        if name not in cache:
            cache[name] = data.fit(name)
        return cache[name]

    return get


def imputed(method, mdata) -> dict:
    return {
        (a, b): method.imputer(mdata, a, b)(slice(0, mdata.mod[a].n_obs))
        for a, b in permutations(mdata.mod, 2)
    }


def outputs(name: str, method, mdata) -> dict:
    """Latents by modality and imputed values by (source, target), whichever the method has."""
    found = method.embed(mdata) if SPECS[name].embeds else {}
    return found | (imputed(method, mdata) if SPECS[name].imputes else {})


def source_of(key) -> str:
    return key if isinstance(key, str) else key[0]


def scrambled(adata, rows: np.ndarray):
    """The same cells with the values of some of them made up."""
    adata = adata.copy()
    values = adata.X.toarray()
    values[rows] = np.random.default_rng(5).poisson(3, values[rows].shape)
    adata.X = sparse.csr_matrix(values)
    return adata


# --- what a method declares


@pytest.mark.parametrize("name", SPECS)
def test_a_spec_says_what_the_docs_and_figures_need(name):
    spec = SPECS[name]
    assert spec.label and spec.summary.endswith(".")
    assert spec.embeds or spec.imputes
    assert spec.control in ("", "floor", "ceiling")
    assert spec.citation or spec.control
    assert spec.cost
    assert not spec.uses_truth or spec.control == "ceiling"


@pytest.mark.parametrize("name", SPECS)
def test_declared_options_are_those_the_method_takes(name):
    method = registry.build(name, 3, dict(SPECS[name].options))
    assert hasattr(method, "embed") >= SPECS[name].embeds
    assert hasattr(method, "imputer") >= SPECS[name].imputes
    with pytest.raises((TypeError, InputError)):
        registry.build(name, 3, {"no_such_option": 1})


@pytest.mark.parametrize("name", [n for n, s in SPECS.items() if s.options and not s.trains])
def test_declared_defaults_are_those_of_the_method(name):
    signature = inspect.signature(importlib.import_module(f"jamie.methods.{name}").Method.__init__)
    defaults = {k: p.default for k, p in signature.parameters.items() if k not in ("self", "seed")}
    if "options" in defaults:  # handed on to the method it builds on
        assert SPECS[name].options == SPECS["cca"].options
    else:
        assert defaults == dict(SPECS[name].options)


def test_reading_the_specs_imports_nothing_heavy():
    code = "import sys; from jamie import registry; registry.specs(); print(*sys.modules)"
    package = str(next(iter(jamie.methods.__path__))).removesuffix("/jamie/methods")
    run = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": package}, capture_output=True, text=True, check=True
    )
    loaded = set(run.stdout.split())
    assert "jamie.methods.jamie" in loaded
    assert not loaded & {"torch", "scanpy", "sklearn", "matplotlib", "anndata", "mudata", "muon"}


# --- what it gives


@pytest.mark.parametrize("name", EMBEDDING)
def test_every_cell_gets_a_latent_of_one_width(name, data, fitted):
    latent = fitted(name).embed(data.prepared)
    assert list(latent) == ["rna", "atac"]
    assert len({values.shape[1] for values in latent.values()}) == 1
    for modality, values in latent.items():
        assert values.dtype == np.float32 and np.isfinite(values).all()
        assert len(values) == data.prepared.mod[modality].n_obs
        assert (values.std(axis=0) > 0).any()


@pytest.mark.parametrize("name", IMPUTING)
def test_every_cell_gets_the_other_modality_and_slices_are_parts_of_the_whole(name, data, fitted):
    for (source, target), whole in imputed(fitted(name), data.prepared).items():
        n = data.prepared.mod[source].n_obs
        assert whole.shape == (n, data.prepared.mod[target].n_vars)
        assert whole.dtype == np.float32 and np.isfinite(whole).all()
        rows = fitted(name).imputer(data.prepared, source, target)
        starts = range(0, n, CELLS_AT_A_TIME)
        parts = [rows(slice(start, min(start + CELLS_AT_A_TIME, n))) for start in starts]
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-4)
        assert all(part.dtype == np.float32 for part in parts)


@pytest.mark.parametrize("name", SPECS)
def test_outputs_follow_the_cells_into_another_order(name, data, fitted):
    rng = np.random.default_rng(0)
    order = {m: rng.permutation(a.n_obs) for m, a in data.prepared.mod.items()}
    shuffled = together({m: a[order[m]].copy() for m, a in data.prepared.mod.items()})
    before = outputs(name, fitted(name), data.prepared)
    for key, values in outputs(name, fitted(name), shuffled).items():
        np.testing.assert_allclose(values, before[key][order[source_of(key)]], atol=1e-3, err_msg=str(key))


@pytest.mark.parametrize("name", BLIND)
def test_imputing_reads_nothing_of_the_modality_that_is_imputed(name, data, fitted):
    before = imputed(fitted(name), data.prepared)
    for (source, target), values in before.items():
        everyone = np.arange(data.prepared.mod[target].n_obs)
        other = {source: data.prepared.mod[source], target: scrambled(data.prepared.mod[target], everyone)}
        again = fitted(name).imputer(together({m: other[m] for m in data.prepared.mod}), source, target)
        np.testing.assert_array_equal(again(slice(0, len(values))), values)


@pytest.mark.parametrize("name", SPECS)
def test_nothing_is_learned_from_held_out_cells(name, data, fitted):
    raw = {
        m: scrambled(a, np.flatnonzero(~data.is_train[i])) for i, (m, a) in enumerate(data.raw.mod.items())
    }
    other = Data(together(raw))
    assert all((other.is_train[i] == data.is_train[i]).all() for i in (0, 1))
    train = dict(zip(data.raw.mod, data.is_train.values(), strict=True))
    before = outputs(name, fitted(name), data.prepared)
    after = outputs(name, other.fit(name), other.prepared)
    changed = False
    for key, values in before.items():
        rows = train[source_of(key)]
        np.testing.assert_allclose(after[key][rows], values[rows], atol=1e-4, err_msg=str(key))
        changed |= not np.allclose(after[key][~rows], values[~rows], atol=1e-2)
    assert changed or name == "floor_mean"  # the scrambled cells themselves do change


@pytest.mark.parametrize("name", SPECS)
def test_the_same_seed_gives_the_same_outputs(name, data, fitted):
    before = outputs(name, fitted(name), data.prepared)
    for key, values in outputs(name, data.fit(name), data.prepared).items():
        np.testing.assert_array_equal(values, before[key], err_msg=str(key))


@pytest.mark.parametrize("name", SPECS)
def test_a_fitted_method_can_be_put_away_and_taken_up_again(name, data, fitted):
    again = pickle.loads(pickle.dumps(fitted(name)))
    before = outputs(name, fitted(name), data.prepared)
    for key, values in outputs(name, again, data.prepared).items():
        np.testing.assert_array_equal(values, before[key], err_msg=str(key))


@pytest.mark.parametrize("name", ["jamie", "floor_shuffled"])
def test_another_seed_gives_other_outputs(name, data, fitted):
    before, other = fitted(name).embed(data.prepared), data.fit(name, seed=1).embed(data.prepared)
    assert not np.allclose(before["rna"], other["rna"], atol=1e-2)


# --- how many pairs it needs


def some_pairs(data: Data, n: int) -> Correspondence:
    rows = data.known.best_pairs()[:n, 0]
    keep = np.isin(np.arange(len(data.known.row_names)), rows).astype(float)
    return Correspondence(sparse.diags(keep) @ data.known.matrix, data.known.row_names, data.known.col_names)


@pytest.mark.parametrize("name", SPECS)
def test_the_fewest_pairs_it_declares_are_enough(name, data):
    spec = SPECS[name]
    known = some_pairs(data, spec.min_pairs)
    assert base.reason_to_exclude(spec, known, n_types=spec.min_types) == ""
    for values in outputs(name, data.fit(name, known=known), data.prepared).values():
        assert np.isfinite(values).all()


@pytest.mark.parametrize("name", [n for n, s in SPECS.items() if s.min_pairs])
def test_with_fewer_pairs_it_is_excluded_with_the_numbers(name, data):
    n = SPECS[name].min_pairs
    reason = base.reason_to_exclude(SPECS[name], some_pairs(data, n - 1))
    assert reason == f"needs at least {n} known pairs, the scenario shows {n - 1}"


def test_pairs_of_a_trusted_estimate_join_the_known_ones():
    names = [f"c{i}" for i in range(4)]
    known = Correspondence(sparse.csr_matrix(([1.0], ([0], [0])), (4, 4)), names, names)
    f = np.array([[1, 0, 0, 0], [0, 0.6, 0.4, 0], [0, 0.7, 0.3, 0], [0, 0, 0, 0.2]])
    estimated = Correspondence(sparse.csr_matrix(f), names, names)
    both, why = base.with_estimated(known, estimated, {"trusted": True, "reason": "links agree"})
    assert both.best_pairs().tolist() == [[0, 0], [2, 1], [3, 3]] and why == ""
    same, why = base.with_estimated(known, estimated, {"trusted": False, "reason": "links do not"})
    assert same is known and why == "the estimated correspondence is not trusted: links do not"


@pytest.mark.parametrize("name", [n for n, s in SPECS.items() if s.max_cells(s.options)])
def test_with_more_cells_it_is_excluded_with_the_numbers(name, data):
    spec, n = SPECS[name], SPECS[name].max_cells(SPECS[name].options)
    assert base.reason_to_exclude(spec, data.known, n) == ""
    reason = base.reason_to_exclude(spec, data.known, n + 1)
    assert reason == f"takes at most {n:,} training cells of a modality, there are {n + 1:,}"


def test_landmarks_take_any_number_of_cells(data):
    options = {"matching": "landmarks"}
    assert base.reason_to_exclude(SPECS["unioncom"], data.known, 10**6, options) == ""


# --- files, and answers that are known beforehand


@pytest.fixture(scope="module")
def scored(data, fitted, tmp_path_factory):
    """A function of a method's name: its scores of held-out cells, by (metric, modality)."""
    cache = {}

    def get(name: str) -> pd.Series:
        if name not in cache:
            cache[name] = score(name)
        return cache[name]

    def score(name: str) -> pd.Series:
        folder = tmp_path_factory.mktemp(name)
        embedding = None
        if SPECS[name].embeds:
            base.write_embedding(
                folder / "embedding.h5mu", data.prepared, fitted(name).embed(data.prepared), name
            )
            embedding = io.read_h5mu(folder / "embedding.h5mu")
            contract.check_embedding(embedding, data.prepared, f"X_{name}")
        path = folder / "imputed.h5mu" if SPECS[name].imputes else None
        if path:
            pairs = permutations(data.prepared.mod, 2)
            rows = {(a, b): fitted(name).imputer(data.prepared, a, b) for a, b in pairs}
            base.write_imputed(path, data.prepared, rows)
        run = {"dataset": "simulated", "scenario": "paired_70", "method": name, "seed": 0}
        table, _ = score_method(data.prepared, data.pairs, data.known, embedding, path, **run)
        part = table[(table["cells"] == "test") & (table["status"] == "ok")]
        return part.set_index(["metric", "modality"])["value"]

    return get


@pytest.mark.parametrize("name", SPECS)
def test_what_a_method_writes_can_be_scored(name, scored):
    scores = scored(name)
    assert (("foscttm", "") in scores.index) == SPECS[name].embeds
    assert (("pearson", "atac") in scores.index) == SPECS[name].imputes


@pytest.mark.parametrize("name", IMPUTING)
def test_an_imputed_file_names_its_features_and_holds_the_values(name, data, fitted, tmp_path):
    rows = {("rna", "atac"): fitted(name).imputer(data.prepared, "rna", "atac")}
    base.write_imputed(tmp_path / "imputed.h5mu", data.prepared, rows)
    found = io.read_h5mu(tmp_path / "imputed.h5mu").mod["rna"]
    assert found.obs_names.tolist() == data.prepared.mod["rna"].obs_names.tolist()
    assert list(found.uns["imputed_atac"]) == data.prepared.mod["atac"].var_names.tolist()
    np.testing.assert_array_equal(found.obsm["imputed_atac"], rows["rna", "atac"](slice(0, found.n_obs)))


def test_the_ceiling_is_perfect(scored):
    scores = scored("ceiling")
    assert scores["foscttm", ""] == 0
    for modality in ("rna", "atac"):
        assert scores["pearson", modality] == pytest.approx(1, abs=1e-6)
        assert scores["r2", modality] == pytest.approx(1, abs=1e-6)
        assert scores["rmse", modality] == pytest.approx(0, abs=1e-6)


def test_the_floors_are_chance(scored):
    assert scored("floor_shuffled")["foscttm", ""] == pytest.approx(0.5, abs=0.1)
    for modality in ("rna", "atac"):
        assert scored("floor_mean")["r2", modality] == pytest.approx(0, abs=0.01)
        assert scored("floor_shuffled")["pearson", modality] == pytest.approx(0, abs=0.1)


def test_linear_methods_lie_between_the_floors_and_the_ceiling(scored):
    assert scored("cca")["foscttm", ""] < 0.3
    for name in ("cca", "ridge", "knn"):
        for modality in ("rna", "atac"):
            low, value = scored("floor_shuffled")["pearson", modality], scored(name)["pearson", modality]
            assert low + 0.05 < value < 0.9


# --- cases with a closed answer


def prepared_from(first: np.ndarray, second: np.ndarray, n_test: int) -> mudata.MuData:
    """Dense prepared data, row i of both the same cell; the last ``n_test`` cells are held out."""
    parts = {}
    for name, values in (("a", first), ("b", second)):
        adata = AnnData(values.astype(np.float32))
        adata.obs_names = [f"c{i}" for i in range(len(values))]
        adata.var_names = [f"{name}{j}" for j in range(values.shape[1])]
        train = values[: len(values) - n_test]
        adata.var["mean"], adata.var["sd"] = train.mean(axis=0), train.std(axis=0)
        adata.obs["role"] = np.where(np.arange(len(values)) < len(train), "train", "test")
        parts[name] = adata
    return together(parts)


def fit_on(prepared, name: str, **options):
    train = [(a.obs["role"] == "train").to_numpy() for a in prepared.mod.values()]
    known = choose_known(from_names(prepared), *train, 1.0, seed=0)
    return registry.build(name, 0, options).fit(*base.training_part(prepared, known))


def test_cca_aligns_rotations_of_the_same_cells():
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(200, 8))
    rotations = [np.linalg.qr(rng.normal(size=(8, 8)))[0] for _ in range(2)]
    prepared = prepared_from(cells @ rotations[0], 3 + cells @ rotations[1], n_test=50)
    latent = fit_on(prepared, "cca").embed(prepared)
    held_out = np.arange(150, 200)
    pairs = np.column_stack([np.arange(50), np.arange(50)])
    assert foscttm((latent["a"][held_out], latent["b"][held_out]), pairs) < 0.01
    values = fit_on(prepared, "cca").imputer(prepared, "a", "b")(slice(150, 200))
    np.testing.assert_allclose(values, prepared.mod["b"].X[150:], atol=0.05)


def test_ridge_is_exact_where_the_modalities_are_linear_in_each_other():
    rng = np.random.default_rng(0)
    cells = rng.normal(size=(200, 6))
    prepared = prepared_from(5 + cells, cells @ rng.normal(size=(6, 12)) - 2, n_test=50)
    method = fit_on(prepared, "ridge")
    for source, target in (("a", "b"), ("b", "a")):
        truth = prepared.mod[target].X[150:]
        values = method.imputer(prepared, source, target)(slice(150, 200))
        assert ((values - truth) ** 2).sum() < 1e-5 * ((truth - truth.mean(axis=0)) ** 2).sum()


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix])
def test_the_nearest_training_cell_of_a_training_cell_is_itself(form):
    rng = np.random.default_rng(0)
    prepared = prepared_from(rng.normal(size=(80, 10)), rng.poisson(1, (80, 15)), n_test=20)
    truth = prepared.mod["b"].X.copy()
    prepared.mod["b"].X = form(truth)
    method = fit_on(prepared, "knn", k=1)
    np.testing.assert_array_equal(method.imputer(prepared, "a", "b")(slice(0, 60)), truth[:60])


def test_knn_is_the_mean_over_the_k_nearest_pairs_or_over_all_where_there_are_fewer():
    line = np.arange(12.0)[:, None] ** 2  # one component: distances are those on the line
    values = np.random.default_rng(0).normal(size=(12, 4))
    prepared = prepared_from(line, values, n_test=2)
    found = fit_on(prepared, "knn", k=3).imputer(prepared, "a", "b")(slice(0, 12))
    np.testing.assert_allclose(found[11], values[7:10].mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(found[0], values[:3].mean(axis=0), rtol=1e-5)
    found = fit_on(prepared, "knn", k=50).imputer(prepared, "a", "b")(slice(0, 12))
    np.testing.assert_allclose(found, np.tile(values[:10].mean(axis=0), (12, 1)), rtol=1e-5)


def test_the_floor_is_the_mean_of_training_cells():
    rng = np.random.default_rng(0)
    prepared = prepared_from(rng.normal(size=(40, 3)), rng.normal(size=(40, 5)), n_test=10)
    found = fit_on(prepared, "floor_mean").imputer(prepared, "a", "b")(slice(35, 40))
    np.testing.assert_allclose(found, np.tile(prepared.mod["b"].X[:30].mean(axis=0), (5, 1)), rtol=1e-5)


def test_the_ceiling_gives_the_mean_to_a_cell_that_was_measured_once():
    rng = np.random.default_rng(0)
    prepared = prepared_from(rng.normal(size=(40, 3)), rng.normal(size=(40, 5)), n_test=10)
    truth = from_names(prepared)
    truth = Correspondence(
        truth.matrix.multiply(np.arange(40)[:, None] >= 4), truth.row_names, truth.col_names
    )
    method = registry.build("ceiling", 0, {})
    method.show_truth(truth)
    method.fit(*base.training_part(prepared, truth))
    found = method.imputer(prepared, "a", "b")(slice(0, 40))
    np.testing.assert_allclose(found[:4], np.tile(prepared.mod["b"].var["mean"], (4, 1)), rtol=1e-5)
    np.testing.assert_array_equal(found[4:], prepared.mod["b"].X[4:])


# --- a new method is one file

TOY = '''
"""Toy: the sum of all values of a cell, for both."""

import numpy as np

from jamie.registry import Spec

SPEC = Spec(label="toy", summary="Sums.", citation="none", imputes=False, options={"power": 2})


class Method:
    def __init__(self, *, seed: int = 0, power: int = 2):
        self.power = power

    def fit(self, train, known):
        return self

    def embed(self, mdata):
        sums = {m: np.asarray(a.X.sum(axis=1)).reshape(-1, 1) for m, a in mdata.mod.items()}
        return {m: (v**self.power).astype(np.float32) for m, v in sums.items()}
'''


@pytest.fixture
def toy(tmp_path, monkeypatch):
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setattr(jamie.methods, "__path__", [*jamie.methods.__path__, str(tmp_path)])
    importlib.invalidate_caches()
    yield registry.specs()["toy"]
    sys.modules.pop("jamie.methods.toy")
    del jamie.methods.toy


def test_a_method_is_one_file(toy, data, tmp_path):
    assert "toy" not in SPECS and toy.label == "toy"
    method = registry.build("toy", 0, {"power": 1}).fit(*base.training_part(data.prepared, data.known))
    base.write_embedding(tmp_path / "embedding.h5mu", data.prepared, method.embed(data.prepared), "toy")
    contract.check_embedding(io.read_h5mu(tmp_path / "embedding.h5mu"), data.prepared, "X_toy")
    checked = config.check(
        {"datasets": {}, "scenarios": {}, "run": {"methods": ["toy"]}, "methods": {"toy": {"options": {}}}}
    )
    assert checked["methods"]["toy"] == {
        "base": "toy",
        "label": None,
        "options": {},
        "tune": True,
        "pairs": "known",
    }
    with pytest.raises(InputError, match="no option 'powr'") as caught:
        config.check(
            {"datasets": {}, "scenarios": {}, "run": {}, "methods": {"toy": {"options": {"powr": 3}}}}
        )
    assert caught.value.change == "did you mean 'power'?"
