"""A fit that is killed and started again ends in the weights of one that was not."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from jamie.model.checkpoint import Checkpoint
from jamie.model.options import Options
from jamie.model.trainer import train

PACKAGE = Path(__file__).parents[3] / "workflow_scripts"
OPTIONS = {"max_epochs": 150, "min_steps": 1, "batch_size": 16, "hidden_layers": (16, 8), "n_latent": 4}
KILLED = """
import sys
sys.path[:0] = [{package!r}, {tests!r}]
from test_checkpoint import fit
fit({path!r}, 150)
"""


def fit(path, max_epochs, seed=0, every_s=0.0):
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = tuple(rng.normal(size=(60, p)).astype(np.float32) for p in (6, 5))
    f = sparse.csr_matrix(sparse.eye(60, dtype=np.float32))
    options = Options.of(**(OPTIONS | {"max_epochs": max_epochs}))
    return train(x, f, options, seed=seed, progress=False, checkpoint=path, checkpoint_s=every_s)


def test_a_fit_killed_with_signal_9_resumes_to_the_same_weights(tmp_path, caplog):
    path = tmp_path / "checkpoint.pt"
    code = KILLED.format(package=str(PACKAGE), tests=str(Path(__file__).parent), path=str(path))
    process = subprocess.Popen([sys.executable, "-c", code])
    while not path.exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    caplog.set_level("INFO")
    resumed, whole = fit(path, 150), fit(None, 150)
    assert "resumed from" in caplog.text
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert whole.history.equals(resumed.history)


@pytest.mark.parametrize("change", [{"max_epochs": 5}, {"max_epochs": 4, "seed": 1}])
def test_a_checkpoint_of_other_settings_is_not_resumed(tmp_path, caplog, change):
    path = tmp_path / "checkpoint.pt"
    fit(path, 4)
    assert path.exists()
    caplog.set_level("INFO")
    fit(path, **change)
    assert "not resumed" in caplog.text


STOPPED = """
import sys, time
sys.path[:0] = [{package!r}, {tests!r}]
from jamie.model import checkpoint, trainer
from test_checkpoint import fit
of_epoch = trainer.Trainer.fit_epoch
def slow(self, weight):
    time.sleep({epoch_s})
    return of_epoch(self, weight)
checkpoint.LONG_EPOCH_S = {long_s}
trainer.Trainer.fit_epoch = slow
fit({path!r}, 40, every_s=3600)
"""


@pytest.mark.parametrize(("epoch_s", "long_s"), [(0.01, 2.0), (0.5, 0.2)], ids=["short", "long"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_fit_that_is_told_to_stop_saves_and_ends(tmp_path, caplog, number, epoch_s, long_s):
    path, about = tmp_path / "checkpoint.pt", tmp_path / "begun"
    code = STOPPED.format(
        package=str(PACKAGE), tests=str(Path(__file__).parent), path=str(path), epoch_s=epoch_s, long_s=long_s
    ).replace("    time.sleep", f"    open({str(about)!r}, 'a').write('.'); time.sleep")
    process = subprocess.Popen([sys.executable, "-c", code])
    while process.poll() is None and (not about.exists() or about.stat().st_size < 4):
        time.sleep(0.02)
    assert not path.exists()
    process.send_signal(number)
    assert process.wait(timeout=60) == 128 + number
    epochs_begun = about.stat().st_size
    caplog.set_level("INFO")
    resumed, whole = fit(path, 40, every_s=3600), fit(None, 40)
    (after,) = [int(r.args[1]) for r in caplog.records if r.msg.startswith("resumed from")]
    assert after >= epochs_begun - 2  # the last whole epoch, counted from 0
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name


@pytest.mark.parametrize("kind", ["flipped", "cut", "emptied", "zeroed"])
def test_a_spoilt_checkpoint_starts_anew_with_a_notice(tmp_path, caplog, kind):
    path = tmp_path / "checkpoint.pt"
    fit(path, 4)
    content = bytearray(path.read_bytes())
    half = len(content) // 2
    content[half] ^= 1
    spoilt = {"flipped": content, "cut": content[:half], "emptied": b"", "zeroed": bytes(len(content))}
    path.write_bytes(spoilt[kind])
    anew, whole = fit(path, 4), fit(None, 4)
    assert "not as it was written: not resumed, starting anew" in caplog.text
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, anew.model.state_dict()[name]), name


def test_signals_are_as_before_after_a_fit_and_without_a_checkpoint(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    fit(tmp_path / "checkpoint.pt", 2)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
    with Checkpoint(None, "", 0.0):
        assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before
