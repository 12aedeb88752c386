"""The training loop: reproducible, watched by cells it does not fit, stopped at its best, loud if broken."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from scipy import sparse

from jamie.contract import HISTORY_COLUMNS
from jamie.errors import InputError
from jamie.model.losses import joint_loss, weights
from jamie.model.network import Dropout, JointVAE
from jamie.model.options import Options
from jamie.model.train import annealing, choose_device, train
from jamie.model.watch import validation_split

pytestmark = pytest.mark.usefixtures("one_torch_thread")

N_1, N_2, N_PAIRS = 110, 95, 80


def problem(noise=0.1):
    """Two linear views of a few shared factors; the first 80 cells of both are the same cells."""
    rng = np.random.default_rng(3)
    shared = rng.normal(size=(N_PAIRS, 3))
    factors = [np.vstack([shared, rng.normal(size=(n - N_PAIRS, 3))]) for n in (N_1, N_2)]
    views = [z @ rng.normal(size=(3, p)) / np.sqrt(3) for z, p in zip(factors, (10, 8), strict=True)]
    x = tuple((v + noise * rng.normal(size=v.shape)).astype(np.float32) for v in views)
    pairs = np.arange(N_PAIRS)
    return x, sparse.csr_matrix((np.ones(N_PAIRS, np.float32), (pairs, pairs)), shape=(N_1, N_2))


def fit(options, x=None, f=None, **arguments):
    easy = problem()
    return train(
        easy[0] if x is None else x, easy[1] if f is None else f, options, progress=False, **arguments
    )


def parameters(result):
    return {name: value.numpy() for name, value in result.model.state_dict().items()}


def equal(a, b):
    a, b = parameters(a), parameters(b)
    return all(np.array_equal(a[name], b[name]) for name in a)


def test_the_same_seed_gives_identical_weights(small_options):
    options = Options.of(**small_options)
    first = fit(options, seed=5)
    torch.rand(17)  # whatever was drawn before has no say
    second, other = fit(options, seed=5), fit(options, seed=6)
    assert equal(first, second) and first.history.equals(second.history)
    assert not equal(first, other)


def test_history_is_tidy(small_options):
    options = Options.of(**small_options)
    history = fit(options).history
    assert tuple(history.columns) == HISTORY_COLUMNS
    assert not history.duplicated(["epoch", "term"]).any()
    assert sorted(history["epoch"].unique()) == list(range(options.max_epochs))
    assert np.isfinite(history["value"]).all()
    terms = {"kl", "combination", "reconstruction", "cross_reconstruction", "contrastive"}
    assert terms | {f"validation_{name}" for name in terms} <= set(history["term"])
    kl = history[history["term"] == "kl"]
    expected = [options.kl_weight * annealing(epoch, options.kl_midpoint) for epoch in kl["epoch"]]
    np.testing.assert_allclose(kl["weight"], expected)
    assert set(history.loc[history["term"] == "combination", "weight"]) == {options.alpha}


@pytest.mark.parametrize("with_estimate", [False, True])
def test_paper_trains_the_terms_of_the_paper_only(with_estimate):
    options = Options.of("paper", max_epochs=2, device="cpu")
    rest = np.arange(N_PAIRS, N_2)  # cells without a known partner
    estimated = sparse.csr_matrix((np.ones(len(rest), np.float32), (rest, rest)), shape=(N_1, N_2))
    result = fit(options, f_estimated=estimated if with_estimate else None)
    terms = {"kl", "combination", "reconstruction"} | ({"alignment"} if with_estimate else set())
    assert set(result.history["term"]) == terms
    assert result.info["n_validation"] == [0, 0]


def test_paper_preset_is_that_of_the_reference():
    """Section by section of the article's methods; none may follow a change of the default preset."""
    paper = Options.of("paper")
    expected = {
        "n_components": 512,
        "n_latent": 32,
        "dropout": 0.0,
        "optimizer": "adam",
        "schedule": "constant",
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "gradient_clip": 1.0,
        "batch_size": 512,
        "max_epochs": 10_000,
        "min_epochs": 2_500,
        "patience": 500,
        "kl_weight": 0.032,
        "kl_midpoint": 1_250,
        "alpha": 32.0,
        "beta": 1.0,
        "gamma": 1.0,
        "cross_reconstruction": 0.0,
        "contrastive": 0.0,
    }
    assert {name: getattr(paper, name) for name in expected} == expected


def test_paper_network_is_that_of_the_reference():
    """Encoder p -> 2p -> p -> (mu, log variance), decoder 32 -> p -> 2p -> p, every linear layer counted."""
    p = 6
    model = JointVAE((p, 2 * p), Options.of("paper"))
    widths = [
        [tuple(m.weight.shape[::-1]) for m in vae.modules() if isinstance(m, torch.nn.Linear)]
        for vae in model.vaes
    ]
    assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} == {0.0}
    assert widths[0] == [(p, 2 * p), (2 * p, p), (p, 32), (p, 32), (32, p), (p, 2 * p), (2 * p, p)]
    assert widths[1][0] == (2 * p, 4 * p)


def test_annealing_is_a_sigmoid_half_way_at_its_midpoint():
    assert annealing(40, 40) == 0.5
    assert annealing(0, 40) < 0.001 and annealing(80, 40) > 0.999
    assert annealing(30, 40) + annealing(50, 40) == pytest.approx(1)
    assert np.all(np.diff([annealing(epoch, 40) for epoch in range(80)]) > 0)


def test_the_loss_goes_down(small_options):
    """Few factors explain almost everything, so most of it is soon explained, also in cells not fitted."""
    result = fit(Options.of(**(small_options | {"max_epochs": 40, "learning_rate": 1e-2})))
    values = result.history.pivot(index="epoch", columns="term", values="value")
    for name in ("reconstruction", "validation_reconstruction", "validation_cross_reconstruction"):
        assert values[name].iloc[-1] < 0.3 * values[name].iloc[0], name
    assert values["validation_contrastive"].iloc[-1] < values["validation_contrastive"].iloc[0] - 0.7


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.25])
def test_validation_cells_are_a_share_of_pairs_and_of_single_cells(fraction):
    f = problem()[1]
    fit_rows, watched = validation_split(f, fraction, seed=0)
    for k, n in enumerate(f.shape):
        np.testing.assert_array_equal(np.sort(np.concatenate([fit_rows[k], watched[k]])), np.arange(n))
        assert np.sum(watched[k] < N_PAIRS) == round(fraction * N_PAIRS)
        assert np.sum(watched[k] >= N_PAIRS) == round(fraction * (n - N_PAIRS))
    assert set(watched[0][watched[0] < N_PAIRS]) == set(watched[1][watched[1] < N_PAIRS])  # pairs stay whole


def test_cells_with_several_partners_are_never_watched():
    rows, cols = [0, 0, 1, 2, 3, 4], [0, 1, 1, 2, 3, 4]
    f = sparse.csr_matrix((np.full(6, 0.5, np.float32), (rows, cols)), shape=(5, 5))
    _, watched = validation_split(f, 1.0, seed=0)
    assert [sorted(w) for w in watched] == [[2, 3, 4], [2, 3, 4]]


def test_validation_cells_have_no_say_in_the_fit(small_options):
    (x_1, x_2), f = problem()
    options = Options.of(**small_options)
    _, watched = validation_split(f, options.validation_fraction, seed=0)
    changed = (x_1.copy(), x_2.copy())
    for values, rows in zip(changed, watched, strict=True):
        assert len(rows) > 10
        values[rows] = 50 - 100 * values[rows]
    before, after = fit(options, (x_1, x_2)), fit(options, changed)
    assert equal(before, after)
    assert before.info["n_validation"] == [len(rows) for rows in watched]
    changed[0][validation_split(f, options.validation_fraction, seed=0)[0][0][0]] += 1  # one that is fitted
    assert not equal(before, fit(options, changed))


def watched_loss(model, x, f, options):
    """The loss of the validation cells, KL with its full weight."""
    _, rows = validation_split(f, options.validation_fraction, seed=0)
    values = tuple(torch.as_tensor(v[r]) for v, r in zip(x, rows, strict=True))
    block = torch.as_tensor(f[rows[0]][:, rows[1]].toarray())
    with torch.no_grad():
        terms = joint_loss(model.eval(), values, tuple(len(r) for r in rows), block, None, options)
    return terms.total(weights(options, 1.0)).item()


def watched_by_epoch(history, options):
    full = weights(options, 1.0)
    validation = history[history["term"].str.startswith("validation_")]
    names = validation["term"].str.removeprefix("validation_")
    return (validation["value"] * names.map(full)).groupby(validation["epoch"]).sum()


@pytest.mark.parametrize("min_epochs", [0, 40])
def test_early_stopping_goes_back_to_the_best_epoch(small_options, min_epochs):
    """Noise is soon learnt by heart: the validation loss turns early, also before ``min_epochs``."""
    rng = np.random.default_rng(0)
    x = tuple(rng.normal(size=(n, 8)).astype(np.float32) for n in (60, 60))
    f = sparse.csr_matrix(sparse.eye(60, dtype=np.float32))
    changes = {
        "max_epochs": 120,
        "patience": 10,
        "min_epochs": min_epochs,
        "learning_rate": 2e-2,
        "dropout": 0.0,
    }
    options = Options.of(**(small_options | changes))
    result = fit(options, x, f)
    by_epoch = watched_by_epoch(result.history, options)
    best = int(by_epoch.argmin())
    assert best < 30
    assert result.info["n_epochs"] == max(best + options.patience, min_epochs) + 1
    assert watched_loss(result.model, x, f, options) == pytest.approx(by_epoch.min(), rel=1e-5)
    assert by_epoch.iloc[-1] > 1.02 * by_epoch.min()


def test_without_patience_every_epoch_is_run(small_options):
    options = Options.of(**(small_options | {"max_epochs": 7}))
    result = fit(options)
    assert result.info["n_epochs"] == 7 and result.history["epoch"].max() == 6
    by_epoch = watched_by_epoch(result.history, options)
    assert watched_loss(result.model, *problem(), options) == pytest.approx(by_epoch.iloc[-1], rel=1e-5)


@pytest.mark.parametrize("schedule", ["one_cycle", "constant"])
def test_small_data_get_the_least_number_of_steps(small_options, schedule):
    result = fit(Options.of(**(small_options | {"max_epochs": 2, "min_steps": 19, "schedule": schedule})))
    per_epoch = result.info["n_steps"] // result.info["n_epochs"]
    assert 19 <= result.info["n_steps"] < 19 + per_epoch
    assert sum(result.info["n_train"]) + sum(result.info["n_validation"]) == N_1 + N_2


def test_large_data_get_the_largest_number_of_steps(small_options):
    result = fit(Options.of(**(small_options | {"max_epochs": 50, "max_steps": 13})))
    per_epoch = result.info["n_steps"] // result.info["n_epochs"]
    assert per_epoch == 3 and result.info["n_steps"] == 12
    assert fit(Options.of(**(small_options | {"max_epochs": 50, "max_steps": 1}))).info["n_epochs"] == 2


def test_a_fit_ends_with_the_epoch_in_which_its_time_is_up(small_options, caplog):
    result = fit(Options.of(**(small_options | {"max_epochs": 50, "max_time_s": 0.0})))
    assert result.info["n_epochs"] == 1 and result.info["n_epochs_planned"] == 50
    assert "stopped after epoch 1 of 50: `max_time_s`" in caplog.text


def test_few_pairs_are_not_watched(small_options):
    """A tenth of 80 pairs is 8, of which the loss would say nothing."""
    options = small_options | {"validation_fraction": 0.1}
    assert fit(Options.of(**options)).info["n_validation"] == [0, 0]
    options["validation_fraction"] = 0.13
    assert fit(Options.of(**options)).info["n_validation"] == [10 + 4, 10 + 2]


@pytest.mark.parametrize("shortages", [1, 9])
def test_short_memory_means_smaller_batches(small_options, monkeypatch, caplog, shortages):
    import jamie.model.train as module

    whole, left = module.joint_step, [shortages]

    def short(*arguments):
        if left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("made up")
        return whole(*arguments)

    monkeypatch.setattr(module, "joint_step", short)
    if shortages == 9:
        with pytest.raises(torch.OutOfMemoryError):
            fit(Options.of(**small_options))
        return
    result = fit(Options.of(**small_options))
    assert "out of GPU memory: starting anew with batches of 16 cells" in caplog.text
    assert result.info["batch_size"] == 16
    assert equal(result, fit(Options.of(**(small_options | {"batch_size": 16}))))


def test_early_stopping_on_one_batch_is_that_of_the_last(small_options, monkeypatch):
    """Neither validation cells nor the other batches have a say in when a fit ends."""
    import jamie.model.train as module

    whole, steps = module.joint_step, []

    def recorded(*arguments):
        steps.append(whole(*arguments))
        return steps[-1]

    monkeypatch.setattr(module, "joint_step", recorded)
    changes = {"max_epochs": 60, "patience": 3, "faults": ["one_batch_stop"]}
    options = Options.of(**(small_options | changes))
    info = fit(options).info
    last = steps[len(steps) // info["n_epochs"] - 1 :: len(steps) // info["n_epochs"]]
    totals = [terms.total(weights(options, 1.0)).item() for terms in last]
    assert len(totals) == info["n_epochs"]
    assert info["n_epochs"] == int(np.argmin(totals)) + options.patience + 1 < 60


def test_mixed_precision_ends_near_float32(small_options):
    options = small_options | {"max_epochs": 30, "learning_rate": 1e-2}
    exact, mixed = (fit(Options.of(**options, precision=p)) for p in ("float32", "mixed"))
    assert not equal(exact, mixed)
    assert all(v.dtype == np.float32 for v in parameters(mixed).values() if v.dtype.kind == "f")
    last = [r.history.groupby("term")["value"].last() for r in (exact, mixed)]
    assert last[1]["validation_reconstruction"] == pytest.approx(
        last[0]["validation_reconstruction"], rel=0.15
    )


@pytest.mark.parametrize("cell", ["fitted", "watched"])
@pytest.mark.parametrize("modality", [0, 1])
def test_values_that_are_not_finite_stop_the_fit(small_options, modality, cell):
    x, f = problem()
    options = Options.of(**small_options)
    rows = validation_split(f, options.validation_fraction, seed=0)[cell == "watched"]
    x[modality][rows[modality][0], 2] = np.nan
    with pytest.raises(FloatingPointError, match=r"'(validation_)?kl' is nan in epoch 0"):
        fit(options, x, f)


def test_a_loss_that_explodes_names_its_term(small_options):
    x, f = problem()
    x[1][:, 0] = 1e25
    with pytest.raises(FloatingPointError, match=r"'\w+' is (inf|nan) in epoch"):
        fit(Options.of(**small_options), x, f)


@pytest.mark.parametrize("f", ["empty", "soft"])
def test_trains_without_pairs_and_with_soft_ones(small_options, f):
    rng = np.random.default_rng(0)
    soft = sparse.random(N_1, N_2, 0.01, random_state=rng, format="csr", dtype=np.float32)
    f = sparse.csr_matrix((N_1, N_2), dtype=np.float32) if f == "empty" else soft
    estimated = sparse.random(N_1, N_2, 0.3, random_state=rng, format="csr", dtype=np.float32)
    result = fit(Options.of(**small_options), f=f, f_estimated=estimated)
    terms = set(result.history["term"])
    assert {"kl", "combination", "reconstruction", "alignment"} <= terms
    assert ("cross_reconstruction" in terms) == (f.nnz > 0)
    combination = result.history.loc[result.history["term"] == "combination", "value"]
    assert (combination > 0).all() == (f.nnz > 0)  # without partners every cell keeps its latent


@pytest.mark.parametrize(("n_1", "n_2", "n_pairs"), [(400, 16, 16), (16, 400, 16), (6, 5, 3)])
def test_modalities_of_very_different_size_train(small_options, n_1, n_2, n_pairs):
    rng = np.random.default_rng(0)
    x = tuple(rng.normal(size=(n, 5)).astype(np.float32) for n in (n_1, n_2))
    pairs = np.arange(n_pairs)
    f = sparse.csr_matrix((np.ones(n_pairs, np.float32), (pairs, pairs)), shape=(n_1, n_2))
    options = Options.of(**(small_options | {"max_epochs": 20, "validation_fraction": 0.0}))
    result = fit(options, x, f)
    assert np.isfinite(result.history["value"]).all() and result.info["n_epochs"] == 20


def test_auto_is_a_device_there_is():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu").type == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_an_input_error(small_options):
    with pytest.raises(InputError, match="A GPU was asked for"):
        fit(Options.of(**(small_options | {"device": "cuda"})))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schedule", "constnat"),
        ("optimizer", "sdg"),
        ("device", "gpu"),
        ("precision", "half"),
        ("estimated", "sometimes"),
        ("faults", ["leek"]),
        ("estimated_in", ["algnment"]),
    ],
)
def test_an_option_with_an_unknown_value_is_an_input_error(small_options, name, value):
    with pytest.raises(InputError, match=str(value).strip("[']")):
        fit(Options.of(**(small_options | {name: value})))


def test_options_survive_their_dictionary():
    for preset in ("default", "paper"):
        options = Options.of(preset)
        assert Options.of(**options.to_dict()) == options
    assert dataclasses.is_dataclass(options) and isinstance(options.to_dict()["hidden_layers"], list)


@pytest.mark.parametrize(
    ("arguments", "problem_", "hint"),
    [
        ({"dropuot": 0.1}, "no option 'dropuot'", "did you mean 'dropout'"),
        ({"learning-rate": 0.1}, "no option 'learning-rate'", "did you mean 'learning_rate'"),
        ({"preset": "papre"}, "Unknown preset 'papre'", "default or paper"),
    ],
)
def test_unknown_names_are_refused_with_a_suggestion(arguments, problem_, hint):
    with pytest.raises(InputError, match=problem_) as error:
        Options.of(**arguments)
    assert hint in str(error.value)


@pytest.mark.parametrize("p", [0.2, 0.35, 0.5])
def test_dropout_drops_its_share_and_keeps_the_mean(p):
    torch.manual_seed(0)
    layer, x = Dropout(p), torch.ones(1500, 1001)
    dropped = layer(x) == 0
    assert dropped.float().mean().item() == pytest.approx(p, abs=0.003)
    assert layer(x).mean().item() == pytest.approx(1, abs=0.003)
    # no two of the eight bytes of a random number go together
    corners = torch.corrcoef(dropped.flatten()[: 1500 * 1000].view(-1, 8).float().T).fill_diagonal_(0)
    assert corners.abs().max().item() < 0.01
    assert torch.equal(layer.eval()(x), x) and torch.equal(Dropout(0.0)(x), x)


@pytest.mark.parametrize(("n_cells", "expected"), [(1_999, 30), (2_000, 50)])
def test_many_cells_get_more_components(n_cells, expected):
    assert Options.of().components(n_cells) == expected
    assert Options.of(n_components=7).components(n_cells) == 7


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_networks_end_near_the_others_and_keep_the_names_of_their_weights(small_options):
    # without dropout: compiled code draws its own random numbers
    options = small_options | {"dropout": 0.0, "input_dropout": 0.0, "max_epochs": 3}
    plain, compiled = (fit(Options.of(**options, compile=c)) for c in (False, True))
    assert parameters(plain).keys() == parameters(compiled).keys()
    np.testing.assert_allclose(compiled.history["value"], plain.history["value"], rtol=0.01)
