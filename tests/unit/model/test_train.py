"""The training loop: reproducible, watched by cells it does not fit, stopped at its best, loud if broken."""

import numpy as np
import pytest
import torch
from scipy import sparse

from jamie.contract import HISTORY_COLUMNS
from jamie.model.batches import Batch
from jamie.model.feed import Feed
from jamie.model.losses import JointLoss, weights
from jamie.model.options import Options
from jamie.model.trainer import Trainer, annealing
from jamie.model.watch import validation_split
from shared.fits import N_1, N_2, N_PAIRS, equal, fit, problem

pytestmark = pytest.mark.usefixtures("one_torch_thread")


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
    n = tuple(len(r) for r in rows)
    whole = Batch(tuple(map(np.arange, n)), n, f[rows[0]][:, rows[1]].toarray(), None)
    (batch,) = Feed(options, torch.device("cpu"))([whole])
    with torch.no_grad():
        terms = JointLoss(options)(model.eval(), values, batch)
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


def test_early_stopping_on_one_batch_is_that_of_the_last(small_options, monkeypatch):
    """Neither validation cells nor the other batches have a say in when a fit ends."""
    whole, steps = Trainer.step, []

    def recorded(*arguments):
        steps.append(whole(*arguments))
        return steps[-1]

    monkeypatch.setattr(Trainer, "step", recorded)
    changes = {"max_epochs": 60, "patience": 3, "faults": ["one_batch_stop"]}
    options = Options.of(**(small_options | changes))
    info = fit(options).info
    last = steps[len(steps) // info["n_epochs"] - 1 :: len(steps) // info["n_epochs"]]
    totals = [terms.total(weights(options, 1.0)).item() for terms in last]
    assert len(totals) == info["n_epochs"]
    assert info["n_epochs"] == int(np.argmin(totals)) + options.patience + 1 < 60


@pytest.mark.parametrize("cell", ["fitted", "watched"])
@pytest.mark.parametrize("modality", [0, 1])
def test_values_that_are_not_finite_stop_the_fit(small_options, modality, cell):
    x, f = problem()
    options = Options.of(**small_options)
    rows = validation_split(f, options.validation_fraction, seed=0)[cell == "watched"]
    row = rows[modality][0]
    x[modality][row, 2] = np.nan
    with pytest.raises(FloatingPointError, match=f"modality {modality + 1} .* in 1 of .* row {row}$"):
        fit(options, x, f)


@pytest.mark.parametrize("cell", ["fitted", "watched"])
def test_a_loss_that_explodes_names_its_term(small_options, cell):
    x, f = problem()
    options = Options.of(**small_options)
    rows = validation_split(f, options.validation_fraction, seed=0)[cell == "watched"]
    x[1][rows[1], 0] = 1e25
    name = r"validation_\w+" if cell == "watched" else r"\w+"
    with pytest.raises(FloatingPointError, match=f"'{name}' is (inf|nan) in epoch"):
        fit(options, x, f)


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
