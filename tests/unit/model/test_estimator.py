"""The estimator: what goes in, what comes out, what is kept, and what it refuses."""

import logging

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from jamie import contract as c
from jamie import io
from jamie.data import preprocess
from jamie.data.correspondence import choose_known, from_names
from jamie.data.simulate import simulate_multiome
from jamie.data.split import split_cells
from jamie.errors import InputError
from jamie.linear.projection import Projection
from jamie.matching.prepared import EstimatedCorrespondence, estimate_prepared
from jamie.metrics.alignment import foscttm
from jamie.model import trainer
from jamie.model.estimator import JAMIE, training_cells

pytestmark = pytest.mark.usefixtures("one_torch_thread")
MODALITIES = ("rna", "atac")


def estimator(options, seed=0):
    return JAMIE(seed=seed, progress=False, **{"folds": 0} | options)


def copy(mdata):
    return mudata.MuData({name: adata.copy() for name, adata in mdata.mod.items()})


def fitted_arrays(model):
    """Everything that was learnt: weights of the network and the projections."""
    arrays = {name: value.cpu().numpy() for name, value in model.model.state_dict().items()}
    for m in model.modalities:
        arrays |= {f"{m} {name}": value for name, value in model.projections[m].arrays().items()}
    return arrays


def assert_same_fit(a, b):
    a, b = fitted_arrays(a), fitted_arrays(b)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def outputs(model, mdata):
    """Embeddings and imputations, all in one dictionary."""
    first, second = model.modalities
    result = {("embed", m): z for m, z in model.embed(mdata).items()}
    for source, target in ((first, second), (second, first)):
        result["impute", target] = model.impute(mdata, source, target)
    return result


def assert_same_outputs(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=str(name))


@pytest.fixture(scope="module")
def patch_seq():
    """Sparse counts beside dense values with gaps, as in Patch-seq, 60 cells measured in both."""
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(60, 2))
    rates = np.exp(factors @ rng.normal(size=(2, 30)) * 0.7)
    ephys = factors @ rng.normal(size=(2, 9)) * 20 + 100 + rng.normal(size=(60, 9))
    ephys[rng.random(ephys.shape) < 0.05] = np.nan
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(60)])
    rna = anndata.AnnData(sparse.csr_matrix(rng.poisson(rates).astype(np.float32)), obs=obs)
    dense = anndata.AnnData(ephys.astype(np.float32), obs=obs.copy())
    rna.var_names, dense.var_names = [f"gene{i}" for i in range(30)], [f"feature{i}" for i in range(9)]
    return mudata.MuData({"rna": rna, "ephys": dense})


@pytest.fixture(scope="module")
def model(one_torch_thread, prepared_multiome, small_options):
    return estimator(small_options).fit(prepared_multiome)


# what goes in


def test_raw_data_are_prepared_on_all_their_cells(raw_multiome, small_options):
    everything = {0: np.ones(raw_multiome["rna"].n_obs, bool), 1: np.ones(raw_multiome["atac"].n_obs, bool)}
    prepared = preprocess.prepare(raw_multiome, everything)
    from_raw, from_prepared = (estimator(small_options).fit(data) for data in (raw_multiome, prepared))
    assert_same_fit(from_raw, from_prepared)
    assert_same_outputs(outputs(from_raw, raw_multiome), outputs(from_prepared, prepared))


def test_the_kind_is_told_from_the_name_or_asked_for(raw_multiome, patch_seq, small_options):
    assert estimator(small_options).fit(patch_seq).states["ephys"]["kind"] == c.CONTINUOUS
    unnamed = mudata.MuData({"rna": patch_seq["rna"].copy(), "mystery": patch_seq["ephys"].copy()})
    with pytest.raises(InputError, match="kind of modality 'mystery' is not known"):
        estimator(small_options).fit(unnamed)
    unnamed["mystery"].uns[c.KIND] = c.CONTINUOUS
    assert estimator(small_options).fit(unnamed).modalities == ("rna", "mystery")


@pytest.mark.parametrize("n", [1, 3])
def test_other_than_two_modalities_are_refused(raw_multiome, small_options, n):
    names = ["rna", "atac", "prot"][:n]
    data = mudata.MuData({m: raw_multiome[m if m in MODALITIES else "rna"].copy() for m in names})
    with pytest.raises(InputError, match="exactly two modalities"):
        estimator(small_options).fit(data)


def test_logarithms_given_for_counts_are_refused(raw_multiome, small_options):
    data = copy(raw_multiome)
    data["rna"].layers["umi"] = data["rna"].X.copy()
    data["rna"].X = data["rna"].X.astype(np.float32).log1p()
    with pytest.raises(InputError, match="no counts") as error:
        estimator(small_options).fit(data)
    assert "log1p of whole numbers" in error.value.found
    assert "mdata.mod['rna'].X to raw counts (there are some in layers/umi)" in error.value.change
    assert "mdata.mod['rna'].uns['values'] = 'normalised'" in error.value.change
    data["rna"].uns["values"] = "normalised"
    estimator(small_options).fit(data)


def test_logarithms_are_refused_by_a_fitted_model_too(raw_multiome, small_options):
    model = estimator(small_options).fit(raw_multiome)
    data = copy(raw_multiome)
    data["rna"].X = data["rna"].X.astype(np.float32).log1p()
    with pytest.raises(InputError, match="no counts"):
        model.embed(data)


def test_counts_with_fractions_are_rounded(raw_multiome, small_options, caplog):
    data = copy(raw_multiome)
    data["rna"].X = data["rna"].X.astype(np.float32)
    data["rna"].X.data[::5] -= 0.25
    assert_same_fit(estimator(small_options).fit(data), estimator(small_options).fit(raw_multiome))
    assert "rna: counts with fractions" in caplog.text and (data["rna"].X.data % 1).any()


def test_a_fit_without_any_pair_is_refused(raw_multiome, small_options):
    data = copy(raw_multiome)
    data["atac"].obs_names = "x" + data["atac"].obs_names
    with pytest.raises(InputError, match="same name in both") as error:
        estimator(small_options).fit(data)
    assert data["rna"].obs_names[0] in error.value.found and data["atac"].obs_names[0] in error.value.found
    assert "`correspondence=`" in error.value.change
    estimator(small_options).fit(data, np.eye(*(a.n_obs for a in data.mod.values())))


def test_correspondence_may_be_names_a_matrix_or_an_object(raw_multiome, small_options):
    named = from_names(raw_multiome)
    ways = [None, named, named.matrix, named.matrix.tocoo()]
    models = [estimator(small_options).fit(raw_multiome, way) for way in ways]
    for other in models[1:]:
        assert_same_fit(models[0], other)
    none = estimator(small_options).fit(raw_multiome, sparse.csr_matrix(named.matrix.shape))
    assert "cross_reconstruction" not in set(none.history_["term"])


def test_a_matrix_is_in_the_order_of_all_cells_given(prepared_multiome, small_options):
    """Also where some of them are held out: the matrix is that of the data passed beside it."""
    named = from_names(prepared_multiome)
    with_object, with_matrix = (
        estimator(small_options).fit(prepared_multiome, f) for f in (named, named.matrix)
    )
    assert_same_fit(with_object, with_matrix)


def test_a_matrix_of_the_wrong_shape_is_refused(raw_multiome, small_options):
    with pytest.raises(InputError, match="wrong shape"):
        estimator(small_options).fit(raw_multiome, from_names(raw_multiome).matrix[:-1])


def test_pairs_that_are_not_shown_are_not_used(
    raw_multiome, multiome_roles, prepared_multiome, small_options
):
    known = choose_known(from_names(raw_multiome), multiome_roles[0], multiome_roles[1], 0.5, seed=0)
    some, all_ = (estimator(small_options).fit(prepared_multiome, f) for f in (known, None))
    assert not np.array_equal(*(m.model.state_dict()["vaes.0.mu.weight"].numpy() for m in (some, all_)))


def test_an_estimated_correspondence_brings_the_alignment_term(raw_multiome, small_options):
    truth = from_names(raw_multiome)
    few = choose_known(truth, *(np.ones(n, bool) for n in truth.matrix.shape), 0.1, seed=0)
    estimated = EstimatedCorrespondence(truth)
    aligned = estimator(small_options).fit(raw_multiome, few, estimated)
    assert "alignment" in set(aligned.history_["term"])
    assert aligned.fit_info_["estimated"]["used"] and aligned.fit_info_["estimated"]["confidence"] == 1.0
    never = estimator(small_options | {"estimated": "never"}).fit(
        raw_multiome, few, estimated=EstimatedCorrespondence(truth)
    )
    assert "alignment" not in set(never.history_["term"]) and not never.fit_info_["estimated"]["used"]
    assert_same_fit(never, estimator(small_options).fit(raw_multiome, few))


def test_the_estimate_can_be_made_in_the_fit(prepared_multiome, small_options):
    truth = from_names(prepared_multiome)
    few = choose_known(truth, *(np.ones(n, bool) for n in truth.matrix.shape), 0.5, seed=0)
    few = few.align(*(a.obs_names for a in training_cells(prepared_multiome).mod.values()))
    options = small_options | {"estimated": "always"}
    inside = estimator(options).fit(prepared_multiome, few, estimated=True)
    known = few.align(*(a.obs_names for a in prepared_multiome.mod.values()))
    estimated = estimate_prepared(prepared_multiome, known, seed=0)
    outside = estimator(options).fit(prepared_multiome, few, estimated)
    assert_same_fit(inside, outside)
    assert inside.fit_info_["estimated"] == outside.fit_info_["estimated"]
    assert inside.fit_info_["estimated"]["used"]


def test_few_pairs_allow_few_components_unless_more_than_pairs_is_trusted(prepared_multiome, small_options):
    """One for six known pairs; where links or geometry, not pairs alone, make F~, cells decide."""
    options = {k: v for k, v in small_options.items() if k != "n_components"} | {
        "max_epochs": 1,
        "min_steps": 1,
    }
    truth = from_names(prepared_multiome)
    n_pairs = len(
        truth.align(*(a.obs_names for a in training_cells(prepared_multiome).mod.values())).best_pairs()
    )
    by_pairs, by_links = {"regime": "pairs", "worth": 0.0}, {"regime": "links"}
    cases = {(True, "always", "links"): (True, by_links), (True, "always", "pairs"): (True, by_pairs)}
    cases |= {(trusted, "never", "links"): (trusted, by_links) for trusted in (False, True)}
    cases[False, "always", "links"] = (False, by_links)
    found = {
        case: len(
            estimator(options | {"estimated": case[1]})
            .fit(prepared_multiome, truth, EstimatedCorrespondence(truth, trusted=trusted, info=info))
            .projections["rna"]
            .components
        )
        for case, (trusted, info) in cases.items()
    }
    assert found.pop((True, "always", "links")) == 30
    assert set(found.values()) == {n_pairs // 6} and 10 < n_pairs // 6 < 30


@pytest.mark.parametrize(
    ("info", "beyond"),
    [
        ({"regime": "links"}, True),
        ({"regime": "geometry"}, True),
        ({"regime": "pairs", "worth": 20.0, "n_linked": 100}, True),
        (
            {"regime": "pairs", "worth": 0.0, "n_linked": 100},
            False,
        ),  # left-out pairs found links worth nothing
        ({"regime": "pairs", "worth": 20.0, "n_linked": 0}, False),  # worth of landmarks that pairs placed
    ],
)
def test_what_an_estimate_rests_on(prepared_multiome, info, beyond):
    assert EstimatedCorrespondence(from_names(prepared_multiome), info=info).beyond_pairs is beyond


def test_the_leak_of_the_reference_lets_held_out_cells_into_the_components(
    prepared_multiome, model, small_options
):
    leaky = estimator(small_options | {"faults": ["leak"]}).fit(prepared_multiome)
    whole = Projection.fit(
        prepared_multiome["rna"].X, model.states["rna"]["sd"], small_options["n_components"]
    )
    np.testing.assert_array_equal(leaky.projections["rna"].components, whole.components)
    assert not np.allclose(leaky.projections["rna"].center, model.projections["rna"].center)


def test_the_same_seed_gives_the_same_fit(prepared_multiome, model, small_options):
    assert_same_fit(model, estimator(small_options).fit(prepared_multiome))
    other = estimator(small_options, seed=1).fit(prepared_multiome)
    assert not np.array_equal(*(m.embed(prepared_multiome)["rna"] for m in (model, other)))


def test_held_out_cells_have_no_say(raw_multiome, multiome_roles, prepared_multiome, model, small_options):
    """Wild counts in the test cells: scaling, features, PCA and network stay identical."""
    wild = copy(raw_multiome)
    rng = np.random.default_rng(0)
    for k, m in enumerate(MODALITIES):
        counts = wild[m].X.toarray()
        assert (~multiome_roles[k]).sum() > 10
        counts[~multiome_roles[k]] = rng.integers(0, 1000, counts[~multiome_roles[k]].shape)
        wild[m].X = sparse.csr_matrix(counts)
    prepared = preprocess.prepare(wild, multiome_roles)
    assert not np.array_equal(prepared["rna"].X.toarray(), prepared_multiome["rna"].X.toarray())
    assert_same_fit(model, estimator(small_options).fit(prepared))


def test_held_out_cells_are_not_counted(prepared_multiome, multiome_roles, model):
    assert [a.n_obs for a in training_cells(prepared_multiome).mod.values()] == [
        r.sum() for r in multiome_roles.values()
    ]
    seen = [a + b for a, b in zip(model.fit_info_["n_train"], model.fit_info_["n_validation"], strict=True)]
    assert seen == [r.sum() for r in multiome_roles.values()]


# what comes out


def test_embedding_has_a_row_per_cell(prepared_multiome, model):
    latent = model.embed(prepared_multiome)
    assert list(latent) == list(MODALITIES)
    for m in MODALITIES:
        assert latent[m].shape == (prepared_multiome[m].n_obs, 4) and latent[m].dtype == np.float32
        assert np.isfinite(latent[m]).all()


def test_embedding_is_the_mean_of_the_own_encoder(prepared_multiome, model):
    latent = model.embed(prepared_multiome)
    for k, m in enumerate(MODALITIES):
        x = torch.as_tensor(model.projections[m].transform(prepared_multiome[m].X))
        with torch.no_grad():
            np.testing.assert_allclose(
                latent[m], model.model.vaes[k].eval().encode(x)[0].numpy(), rtol=1e-5, atol=1e-6
            )


def test_a_cell_is_embedded_alike_alone_and_among_others(prepared_multiome, model):
    """Neither the other cells, nor the other modality, nor their order has any influence."""
    latent = model.embed(prepared_multiome)["rna"]
    order = np.random.default_rng(0).permutation(prepared_multiome["rna"].n_obs)[:30]
    alone = model.embed(mudata.MuData({"rna": prepared_multiome["rna"][order].copy()}))
    assert list(alone) == ["rna"]
    np.testing.assert_allclose(alone["rna"], latent[order], rtol=1e-4, atol=1e-5)


def test_unseen_cells_of_one_modality_are_embedded_and_imputed(raw_multiome, prepared_multiome, model):
    """Raw cells with names never seen go through the model's own statistics."""
    new = raw_multiome["rna"][:7].copy()
    new.obs_names = [f"new{i}" for i in range(7)]
    alone = mudata.MuData({"rna": new})
    np.testing.assert_allclose(
        model.embed(alone)["rna"], model.embed(prepared_multiome)["rna"][:7], rtol=1e-4, atol=1e-5
    )
    imputed = model.impute(alone, "rna", "atac")
    np.testing.assert_allclose(
        imputed, model.impute(prepared_multiome, "rna", "atac")[:7], rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize(("source", "target"), [("rna", "atac"), ("atac", "rna"), ("rna", "rna")])
def test_imputed_is_decoded_from_the_single_latent(prepared_multiome, model, source, target):
    imputed = model.impute(prepared_multiome, source, target)
    names = model.feature_names(target)
    assert imputed.shape == (prepared_multiome[source].n_obs, len(names)) and imputed.dtype == np.float32
    assert names.tolist() == prepared_multiome[target].var_names.tolist()
    latent = torch.as_tensor(model.embed(prepared_multiome)[source])
    with torch.no_grad():
        scores = model.model.vaes[MODALITIES.index(target)].eval().decode(latent).numpy()
    np.testing.assert_allclose(imputed, model.projections[target].inverse(scores), rtol=1e-4, atol=1e-5)


def test_imputed_in_parts_is_imputed_at_once(prepared_multiome, model):
    whole = model.impute(prepared_multiome, "rna", "atac")
    part = model.imputer(prepared_multiome, "rna", "atac")
    np.testing.assert_allclose(
        np.vstack([part(slice(0, 40)), part(slice(40, None))]), whole, rtol=1e-4, atol=1e-5
    )


def test_a_model_without_folds_says_that_it_is_not_calibrated(prepared_multiome, model):
    with pytest.raises(InputError, match="not calibrated"):
        model.to_native(model.impute(prepared_multiome, "rna", "atac"), "atac")


# names and features that differ


@pytest.fixture
def prepared_or_raw(request, raw_multiome, prepared_multiome):
    return {"raw": raw_multiome, "prepared": prepared_multiome}[request.param]


@pytest.mark.parametrize("prepared_or_raw", ["raw", "prepared"], indirect=True)
def test_features_are_found_by_name(prepared_or_raw, model):
    order = np.random.default_rng(0).permutation(prepared_or_raw["rna"].n_vars)
    shuffled = mudata.MuData(
        {"rna": prepared_or_raw["rna"][:, order].copy(), "atac": prepared_or_raw["atac"].copy()}
    )
    np.testing.assert_allclose(
        model.embed(shuffled)["rna"], model.embed(prepared_or_raw)["rna"], rtol=1e-3, atol=1e-4
    )


def test_missing_features_take_the_training_mean(raw_multiome, model, caplog):
    """As if they had no counts, and then the mean of the training cells on the model's scale."""
    state = model.states["rna"]
    gone = state["features"][[3, 17, 40]]
    keep = ~raw_multiome["rna"].var_names.isin(gone)
    with caplog.at_level(logging.WARNING, logger="jamie"):
        have = model.embed(mudata.MuData({"rna": raw_multiome["rna"][:, keep].copy()}))["rna"]
    assert f"3 of {len(state['features'])} model features are not in the data" in caplog.text
    without = raw_multiome["rna"].copy()
    without.X = sparse.csr_matrix(without.X @ sparse.diags(keep.astype(np.float32)))
    filled = preprocess.apply(without, state)
    x = filled.X.toarray()
    x[:, [3, 17, 40]] = state["mean"][[3, 17, 40]]
    filled.X = x
    np.testing.assert_allclose(have, model.embed(mudata.MuData({"rna": filled}))["rna"], rtol=1e-3, atol=1e-4)


def test_prepared_data_that_lack_features_take_the_training_mean(prepared_multiome, model):
    few = prepared_multiome["rna"][:, 5:].copy()
    filled = prepared_multiome["rna"].copy()
    x = filled.X.toarray()
    x[:, :5] = model.states["rna"]["mean"][:5]
    filled.X = x
    have, want = (model.embed(mudata.MuData({"rna": a}))["rna"] for a in (few, filled))
    np.testing.assert_allclose(have, want, rtol=1e-3, atol=1e-4)


def test_no_shared_feature_is_an_input_error(raw_multiome, model):
    other = raw_multiome["rna"].copy()
    other.var_names = [f"ENSG{i:011d}" for i in range(other.n_vars)]
    with pytest.raises(InputError, match="share no feature names"):
        model.embed(mudata.MuData({"rna": other}))


@pytest.mark.parametrize("kind", ["counts", "dense"])
def test_data_prepared_with_other_statistics_are_refused(raw_multiome, patch_seq, small_options, kind):
    """Preprocessing them again would be wrong, and silently so."""
    data, modality = (raw_multiome, "rna") if kind == "counts" else (patch_seq, "ephys")
    n = {i: a.n_obs for i, a in enumerate(data.mod.values())}
    halves = [{i: np.arange(k) % 2 == part for i, k in n.items()} for part in (0, 1)]
    mine, others = (preprocess.prepare(copy(with_kinds(data)), half) for half in halves)
    fitted = estimator(small_options).fit(mine)
    with pytest.raises(InputError, match="prepared with other statistics"):
        fitted.embed(mudata.MuData({modality: others[modality]}))


def with_kinds(mdata):
    for name, adata in mdata.mod.items():
        adata.uns.setdefault(c.KIND, c.CONTINUOUS if name == "ephys" else name)
    return mdata


def test_unknown_modalities_are_refused(raw_multiome, prepared_multiome, model):
    for source, target, name in (("rna", "protein", "protein"), ("protein", "rna", "protein")):
        with pytest.raises(InputError, match=f"does not know a modality '{name}'"):
            model.impute(prepared_multiome, source, target)
    with pytest.raises(InputError, match="have no modality 'rna'"):
        model.impute(mudata.MuData({"atac": raw_multiome["atac"].copy()}), "rna", "atac")
    with pytest.raises(InputError, match="does not know a modality 'prot'"):
        model.feature_names("prot")


def test_data_without_any_known_modality_are_refused(raw_multiome, model):
    with pytest.raises(InputError, match="modality"):
        model.embed(mudata.MuData({"gex": raw_multiome["rna"].copy()}))


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [({"n_latnet": 3}, "did you mean 'n_latent'"), ({"preset": "default2"}, "default or paper")],
)
def test_unknown_options_are_refused_with_a_suggestion(arguments, hint):
    with pytest.raises(InputError, match=hint):
        JAMIE(**arguments)


def test_a_checkpoint_stays_until_all_that_follows_the_fit_is_done(
    prepared_multiome, small_options, tmp_path, monkeypatch
):
    path = tmp_path / "checkpoint.pt"
    monkeypatch.setitem(trainer.train.__kwdefaults__, "checkpoint_s", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(JAMIE, "_calibrate", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            estimator(small_options).fit(prepared_multiome, checkpoint=path)
    assert path.exists()
    again = estimator(small_options).fit(prepared_multiome, checkpoint=path)
    assert not path.exists()
    assert_same_fit(again, estimator(small_options).fit(prepared_multiome))


# saved and loaded


@pytest.mark.parametrize("data", ["multiome", "patch_seq"])
def test_a_loaded_model_gives_the_same_to_the_last_bit(request, data, small_options, tmp_path):
    mdata = request.getfixturevalue("raw_multiome" if data == "multiome" else "patch_seq")
    saved = estimator(small_options).fit(mdata)
    saved.save(tmp_path / "model")
    loaded = JAMIE.load(tmp_path / "model")
    assert_same_fit(saved, loaded)
    assert_same_outputs(outputs(saved, mdata), outputs(loaded, mdata))
    assert loaded.options == saved.options and loaded.seed == saved.seed
    loaded.save(tmp_path / "again")
    assert_same_outputs(outputs(saved, mdata), outputs(JAMIE.load(tmp_path / "again"), mdata))


def test_saving_over_a_model_replaces_it(prepared_multiome, model, small_options, tmp_path):
    estimator(small_options, seed=9).fit(prepared_multiome).save(tmp_path / "model")
    (tmp_path / "model" / "stray.txt").write_text("of the old model")
    model.save(tmp_path / "model")
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["config.json", "model", "weights.safetensors"]
    assert_same_fit(model, JAMIE.load(tmp_path / "model"))


@pytest.mark.parametrize("existing", [False, True])
def test_a_save_that_fails_leaves_nothing_half(prepared_multiome, model, tmp_path, monkeypatch, existing):
    if existing:
        model.save(tmp_path / "model")

    def full(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(io, "write_json", full)
        with pytest.raises(OSError, match="disk full"):
            model.save(tmp_path / "model")
    assert [p.name for p in tmp_path.iterdir()] == (["model"] if existing else [])
    model.save(tmp_path / "model")
    assert_same_outputs(
        outputs(model, prepared_multiome), outputs(JAMIE.load(tmp_path / "model"), prepared_multiome)
    )


def test_a_folder_without_a_model_is_an_input_error(model, tmp_path):
    with pytest.raises(InputError, match="holds no saved model"):
        JAMIE.load(tmp_path)
    model.save(tmp_path / "model")
    config = io.read_json(tmp_path / "model" / "config.json")
    io.write_json(tmp_path / "model" / "config.json", config | {"format": 999})
    with pytest.raises(InputError, match="saved by another version"):
        JAMIE.load(tmp_path / "model")


# does it work


@pytest.fixture(scope="module")
def easy(one_torch_thread):
    """The default preset, cut short, on a simulation in which both modalities see the same states clearly."""
    raw, _ = simulate_multiome(
        n_cells=300,
        n_types=4,
        n_genes=200,
        n_peaks=300,
        rna_depth=2000,
        atac_depth=1000,
        modality_specific=0.1,
        seed=0,
    )
    roles = split_cells(from_names(raw), held_out=0.2, seed=0)
    prepared = preprocess.prepare(raw, roles)
    model = JAMIE(seed=0, progress=False, device="cpu", max_epochs=50, min_steps=200)
    return prepared, roles, model.fit(prepared)


def held_out_pairs(prepared, roles):
    i, j = from_names(prepared).matrix.nonzero()
    test = ~roles[0][i] & ~roles[1][j]
    return np.column_stack([i[test], j[test]])


def test_held_out_cells_find_their_partners(easy):
    prepared, roles, fitted = easy
    pairs = held_out_pairs(prepared, roles)
    latent = fitted.embed(prepared)
    assert len(pairs) == 60
    assert foscttm((latent["rna"], latent["atac"]), pairs) < 0.12


@pytest.mark.parametrize(("source", "target"), [("rna", "atac"), ("atac", "rna")])
def test_held_out_cells_are_imputed_on_the_scale_of_prepared_data(easy, source, target):
    """Better than the training mean of each feature, in its own units: R2 above 0, summed over features."""
    prepared, roles, fitted = easy
    i, j = held_out_pairs(prepared, roles).T[:: 1 if source == "rna" else -1]
    truth = prepared[target].X.toarray()[j]
    state = fitted.states[target]
    imputed = fitted.impute(prepared, source, target)[i]
    residual, spread = ((truth - imputed) / state["sd"]) ** 2, ((truth - state["mean"]) / state["sd"]) ** 2
    assert 1 - residual.sum() / spread.sum() > 0.05
