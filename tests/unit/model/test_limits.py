"""What bounds a fit, and how it uses the machine: steps, time, memory, precision, device."""

import shutil

import numpy as np
import pytest
import torch

from jamie.device import choose_device
from jamie.errors import InputError
from jamie.model.network import Dropout
from jamie.model.options import Options
from jamie.model.trainer import Trainer
from shared.fits import N_1, N_2, equal, fit, parameters

pytestmark = pytest.mark.usefixtures("one_torch_thread")


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
    whole, left = Trainer.step, [shortages]

    def short(*arguments):
        if left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("made up")
        return whole(*arguments)

    monkeypatch.setattr(Trainer, "step", short)
    if shortages == 9:
        with pytest.raises(torch.OutOfMemoryError):
            fit(Options.of(**small_options))
        return
    result = fit(Options.of(**small_options))
    assert "out of GPU memory: starting anew with batches of 16 cells" in caplog.text
    assert result.info["batch_size"] == 16
    assert equal(result, fit(Options.of(**(small_options | {"batch_size": 16}))))


def test_mixed_precision_ends_near_float32(small_options):
    options = small_options | {"max_epochs": 30, "learning_rate": 1e-2}
    exact, mixed = (fit(Options.of(**options, precision=p)) for p in ("float32", "mixed"))
    assert not equal(exact, mixed)
    assert all(v.dtype == np.float32 for v in parameters(mixed).values() if v.dtype.kind == "f")
    last = [r.history.groupby("term")["value"].last() for r in (exact, mixed)]
    assert last[1]["validation_reconstruction"] == pytest.approx(
        last[0]["validation_reconstruction"], rel=0.15
    )


def test_auto_is_a_device_there_is():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu").type == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_an_input_error(small_options):
    with pytest.raises(InputError, match="A GPU was asked for"):
        fit(Options.of(**(small_options | {"device": "cuda"})))


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


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled_networks_end_near_the_others_and_keep_the_names_of_their_weights(small_options):
    # without dropout: compiled code draws its own random numbers
    options = small_options | {"dropout": 0.0, "input_dropout": 0.0, "max_epochs": 3}
    plain, compiled = (fit(Options.of(**options, compile=c)) for c in (False, True))
    assert parameters(plain).keys() == parameters(compiled).keys()
    np.testing.assert_allclose(compiled.history["value"], plain.history["value"], rtol=0.01)
