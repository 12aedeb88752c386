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


def fit(path, max_epochs, seed=0):
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    x = tuple(rng.normal(size=(60, p)).astype(np.float32) for p in (6, 5))
    f = sparse.csr_matrix(sparse.eye(60, dtype=np.float32))
    options = Options.of(**(OPTIONS | {"max_epochs": max_epochs}))
    return train(x, f, options, seed=seed, progress=False, checkpoint=path, checkpoint_s=0.0)


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
    assert not path.exists()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert whole.history.equals(resumed.history)


@pytest.mark.parametrize("change", [{"max_epochs": 5}, {"max_epochs": 4, "seed": 1}])
def test_a_checkpoint_of_other_settings_is_not_resumed(tmp_path, caplog, change, monkeypatch):
    path = tmp_path / "checkpoint.pt"
    monkeypatch.setattr("jamie.model.checkpoint.Checkpoint.remove", lambda self: None)
    fit(path, 4)
    assert path.exists()
    caplog.set_level("INFO")
    fit(path, **change)
    assert "not resumed" in caplog.text
