"""GPUs of one machine: each job has one of its own, which is free again however the job ends."""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from jamie import device, entry
from jamie.errors import InputError
from jamie.jobs import gpus

PACKAGE = Path(gpus.__file__).parents[2]
FIRST, SECOND = "GPU-aaaa0000-0000-0000-0000-000000000000", "GPU-bbbb1111-1111-1111-1111-111111111111"
TWO = f"""\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: {FIRST})
GPU 1: NVIDIA A100-SXM4-40GB (UUID: {SECOND})
"""
MIG = "MIG-cccc2222-2222-2222-2222-222222222222", "MIG-dddd3333-3333-3333-3333-333333333333"
PARTS = f"""\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: {FIRST})
  MIG 1g.10gb     Device  0: (UUID: {MIG[0]})
  MIG 2g.20gb     Device  1: (UUID: {MIG[1]})
GPU 1: NVIDIA A100-SXM4-40GB (UUID: {SECOND})
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Function of what nvidia-smi lists here (None: there is no nvidia-smi) and of how it ends."""
    for name in (gpus.VISIBLE, *gpus.SCHEDULED):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(gpus.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def has(listed, status=0):
        smi = tmp_path / "nvidia-smi"
        smi.unlink(missing_ok=True)
        if listed is not None:
            (tmp_path / "listed").write_text(listed)
            smi.write_text(f'#!/bin/sh\n[ "$*" = -L ] || exit 2\ncat {tmp_path}/listed\nexit {status}\n')
            smi.chmod(0o755)

    return has


def shown() -> str | None:
    return os.environ.get(gpus.VISIBLE)


def test_gpus_are_told_by_what_nvidia_smi_lists(machine):
    machine(TWO)
    assert gpus.present() == {FIRST: "NVIDIA H100 80GB HBM3", SECOND: "NVIDIA A100-SXM4-40GB"}
    machine(PARTS)
    assert gpus.present() == {MIG[0]: "MIG 1g.10gb", MIG[1]: "MIG 2g.20gb", SECOND: "NVIDIA A100-SXM4-40GB"}


@pytest.mark.parametrize("listed", [None, "", "No devices found.\n"])
def test_a_machine_without_gpus_has_none(machine, listed):
    machine(listed)
    assert gpus.present() == {}


def test_a_driver_that_does_not_answer_is_no_gpu(machine):
    machine(TWO, status=9)
    assert gpus.present() == {}


@pytest.mark.parametrize(
    ("chosen", "left"),
    [
        ("0,1", [FIRST, SECOND]),
        ("1", [SECOND]),
        ("1,0", [SECOND, FIRST]),
        ("GPU-bbbb", [SECOND]),
        (f"{FIRST}, {SECOND}", [FIRST, SECOND]),
        ("0,7,1", [FIRST]),  # CUDA stops at one that there is not
        ("-1", []),
        ("", []),
    ],
)
def test_only_those_that_the_environment_leaves_are_allotted(machine, monkeypatch, chosen, left):
    machine(TWO)
    monkeypatch.setenv(gpus.VISIBLE, chosen)
    assert list(gpus.visible()) == left


def test_each_of_two_jobs_has_a_gpu_of_its_own(machine):
    machine(TWO)
    with gpus.allotted(1):
        assert shown() == FIRST
        assert in_another("print(os.environ['CUDA_VISIBLE_DEVICES'])") == SECOND
    assert shown() is None
    with gpus.allotted(1):
        assert shown() == FIRST


def test_a_third_job_waits_until_one_is_free(machine, holding):
    machine(TWO)
    first, second, third = (holding() for _ in range(3))
    assert [told(first), told(second)] == [f"GPU {FIRST}", f"GPU {SECOND}"]
    assert told(third) == "Waiting for a GPU: other jobs have all 2 of them"
    first.kill()  # what it held is free, however it ended
    assert told(third) == f"GPU {FIRST}"


def test_a_job_that_asked_for_none_sees_none(machine, monkeypatch):
    machine(TWO)
    monkeypatch.setenv(gpus.VISIBLE, "1")
    with gpus.allotted(0):
        assert shown() == ""
    assert shown() == "1"


def test_without_a_gpu_jobs_that_would_take_one_run_side_by_side(machine):
    machine(None)
    with gpus.allotted(1), gpus.allotted(1):
        assert shown() is None
    assert not list(Path(gpus.tempfile.gettempdir()).glob("jamie-gpus-*"))


@pytest.mark.parametrize("asked", [0, 1])
def test_what_a_scheduler_allotted_stays(machine, monkeypatch, asked):
    machine(TWO)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.setenv(gpus.VISIBLE, "1")
    with gpus.allotted(asked), gpus.allotted(asked):
        assert shown() == "1"


def test_within_an_allocation_of_several_each_job_takes_one(machine, monkeypatch):
    machine(TWO)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    with gpus.allotted(1):
        assert shown() == FIRST
        assert in_another("print(os.environ['CUDA_VISIBLE_DEVICES'])") == SECOND


def test_locks_in_a_folder_of_someone_else_are_refused(machine, tmp_path):
    machine(TWO)
    (tmp_path / f"jamie-gpus-{os.getuid()}").symlink_to(tmp_path)
    with pytest.raises(InputError, match="not yours"), gpus.allotted(1):
        pass


def test_locks_can_be_read_by_nobody_else(machine):
    machine(TWO)
    with gpus.allotted(1):
        (folder,) = Path(gpus.tempfile.gettempdir()).glob("jamie-gpus-*")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


# --- where the memory of a GPU does not do


class Fit:
    """Needs more memory than any GPU has."""

    def __init__(self, error=None):
        self.error, self.devices = error or torch.OutOfMemoryError("CUDA out of memory."), []

    def __call__(self, options):
        self.devices.append(options.get("device", "auto"))
        if self.devices[-1] != "cpu":
            raise self.error
        return options


@pytest.mark.parametrize("options", [{}, {"device": "auto"}])
def test_what_a_gpu_cannot_hold_is_computed_on_the_cpu(options, caplog):
    fit = Fit()
    assert gpus.or_on_cpu(fit, {"k": 3} | options) == {"k": 3, "device": "cpu"}
    assert fit.devices == ["auto", "cpu"] and "too little memory" in caplog.text


def test_who_asks_for_cuda_gets_the_error_and_no_other_error_leads_to_the_cpu():
    for fit, options in (
        (Fit(), {"device": "cuda"}),
        (Fit(RuntimeError("no")), {}),
        (Fit(MemoryError()), {}),
    ):
        with pytest.raises(type(fit.error)):
            gpus.or_on_cpu(fit, options)
        assert len(fit.devices) == 1


# --- other processes

HOLD = """
import logging, sys
from jamie.jobs import gpus
gpus.log.addHandler(logging.StreamHandler(sys.stdout))
gpus.log.setLevel(logging.INFO)
gpus.ASK_S = 0.05
with gpus.allotted(1):
    sys.stdin.read()
"""


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != gpus.VISIBLE}
    return kept | {"PYTHONPATH": str(PACKAGE)}


@pytest.fixture
def holding():
    """Function that starts a process which holds a GPU until it is killed."""
    started = []

    def hold():
        command = [sys.executable, "-c", HOLD]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        started.append(subprocess.Popen(command, **pipes, env=environment()))
        # the next one starts when this one has its GPU, or waits
        started[-1].said = started[-1].stdout.readline().strip()
        return started[-1]

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def told(process) -> str:
    """What a process said: which GPU it has, or that it waits."""
    said, process.said = process.said or process.stdout.readline().strip(), ""
    return re.sub(r"GPU: .* \((.*)\)", r"GPU \1", said)


def in_another(code: str) -> str:
    """What another job with a GPU prints."""
    program = f"import os\nfrom jamie.jobs import gpus\nwith gpus.allotted(1):\n    {code}"
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment())
    return done.stdout.strip()


def test_the_ground_does_not_load_torch():
    code = "import sys, json\nfrom jamie.jobs import gpus\nprint(json.dumps('torch' in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert json.loads(done.stdout) is False, done.stderr


# --- what a run says of it


@pytest.fixture
def cuda(monkeypatch):
    """A torch that sees one GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100 80GB HBM3")
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 * 2**20)
    monkeypatch.setattr(device, "_chosen", [])


def test_run_info_names_the_device_that_was_chosen_last(cuda):
    info = entry.RunInfo(seed=0, code="")
    assert (info.finish()["device"], info.finish()["gpu"]) == ("cpu", None)  # nothing asked for a device
    device.choose_device("auto")
    said = info.finish()
    assert (said["device"], said["gpu"], said["peak_gpu_mb"]) == ("cuda", "NVIDIA H100 80GB HBM3", 3.0)
    device.choose_device("cpu")
    assert (info.finish()["device"], info.finish()["gpu"]) == ("cpu", None)


@pytest.mark.parametrize(("resources", "wanted"), [({"gpu": 1}, FIRST), ({"gpu": 0}, ""), ({}, "")])
def test_a_job_sees_the_gpu_that_its_rule_asks_for(machine, tmp_path, quiet_logging, resources, wanted):
    machine(TWO)
    job = SimpleNamespace(
        rule="any", input=[], output=[], log=[str(tmp_path / "job.log")], resources=resources
    )
    with entry.job(job):
        assert shown() == wanted
    assert ("NVIDIA H100" in (tmp_path / "job.log").read_text()) == bool(wanted)
