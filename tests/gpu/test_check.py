"""The check of a GPU, without one: a dry run on the CPU, and that no failure of a part costs the table."""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parent
PACKAGE = FOLDER.parents[1] / "workflow_scripts"
# what the check must do without: all of the project's environment but the few packages its docstring names
ABSENT = (
    "anndata",
    "mudata",
    "muon",
    "scanpy",
    "h5py",
    "matplotlib",
    "numba",
    "pynndescent",
    "safetensors",
    "umap",
)
RUN = """
import runpy, sys
sys.modules.update(dict.fromkeys({absent!r}))
sys.argv = {argv!r}
runpy.run_path({argv!r}[0], run_name="__main__")
"""


def run_check(*argv, absent=ABSENT):
    code = RUN.format(absent=absent, argv=[str(FOLDER / "check.py"), *map(str, argv)])
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE), str(FOLDER)]), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)


def table(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.mark.slow
def test_a_dry_run_on_the_cpu_fills_every_part_with_few_packages(tmp_path):
    out = tmp_path / "docs/gpu.md"
    result = run_check("--device", "cpu", "--quick", "--minutes", 60, "--out", out)
    assert result.returncode == 0, result.stdout + result.stderr
    assert out.read_text() == result.stdout.removesuffix("\n") and result.stdout.startswith(
        "# A dry run on cpu\n"
    )
    rows = table(result.stdout)
    verdicts = {}
    for part, *_, verdict in rows:
        verdicts.setdefault(part, set()).add(verdict)
    assert {part for part, found in verdicts.items() if found == {"not run"}} == {
        "compiled",
        "graphs",
        "estimator",
        "allotment",
    }
    assert verdicts["agreement"] == {"ok"} and verdicts["speed"] == {"measured"}
    assert {"machine", "waiting", "precision", "matching", "other methods"} < set(verdicts)
    said = {row[0]: row[2] for row in rows}
    assert said["estimator"] == "anndata and mudata and safetensors not installed"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_the_table_says_so_and_the_check_fails(tmp_path):
    result = run_check("--quick", "--parts", "machine", "waiting", "--out", tmp_path / "gpu.md", absent=())
    assert result.returncode == 1
    rows = table((tmp_path / "gpu.md").read_text())
    assert [row[0] for row in rows] == ["machine", "waiting"] and {row[-1] for row in rows} == {"FAILED"}
    assert rows[0][2] == "RuntimeError: torch sees no CUDA device"


@pytest.fixture
def check(monkeypatch):
    """The module, with parts of its own."""
    monkeypatch.syspath_prepend(FOLDER)
    import check
    import measures

    def works(device, size):
        yield "what", 1_234_567.0
        yield "good", "1", "1", True

    def bad_value(device, size):
        yield "bad", 2.0, "<= 1", False

    def breaks(device, size):
        yield "before", 1
        raise ValueError("first | line\nsecond")

    def hangs(device, size):
        yield "before", 1
        time.sleep(600)

    def dies(device, size):
        yield "before", 1
        os._exit(3)

    def absent(device, size):
        raise measures.NotHere("no such package")
        yield

    parts = (works, bad_value, breaks, hangs, dies, absent)
    limits_s = {hangs: 1.0}
    monkeypatch.setattr(check, "PARTS", {f.__name__: measures.Part(f, limits_s.get(f, 60.0)) for f in parts})
    monkeypatch.setattr(check, "LEAST_S", 0.0)
    return check


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ("works", [("what", "1,234,567", "measured"), ("good", "1", "ok")]),
        ("bad_value", [("bad", "2", "FAILED")]),
        ("breaks", [("before", "1", "measured"), ("", "ValueError: first | line", "FAILED")]),
        ("dies", [("before", "1", "measured"), ("", "the process ended with 3", "FAILED")]),
        ("absent", [("", "no such package", "not run")]),
    ],
)
def test_whatever_a_part_does_is_a_row(check, part, wanted):
    arguments = argparse.Namespace(device="cpu", quick=True, minutes=1.0)
    rows = check.run(part, arguments, time.monotonic() + 60)
    assert [(row.what, row.result, row.verdict) for row in rows] == wanted
    assert len(table(check.as_markdown(rows).replace("\\|", "/"))) == len(rows)


def test_a_part_that_hangs_is_stopped(check):
    rows = check.run(
        "hangs", argparse.Namespace(device="cpu", quick=True, minutes=1.0), time.monotonic() + 60
    )
    assert (rows[-1].result, rows[-1].verdict) == ("stopped after 1 s", "FAILED")


def test_a_part_for_which_no_time_is_left_fails(check, monkeypatch):
    monkeypatch.setattr(check, "LEAST_S", 5.0)
    (row,) = check.run("works", argparse.Namespace(minutes=6.0), time.monotonic() + 1)
    assert (row.result, row.verdict) == ("no time left", "FAILED")
