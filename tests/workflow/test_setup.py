"""Packages, lock files, conda, container and Makefile say the same thing."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
RUNTIME, TEST = ROOT / "envs/requirements.lock", ROOT / "envs/requirements-test.lock"
LOCK_LINE = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+) \\$")
HASH_LINE = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")
CUDA_PARTS = ("nvidia", "cuda", "triton", "torch")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def read(name: str) -> str:
    return (ROOT / name).read_text()


def locked(lock: Path) -> dict[str, str]:
    """Version of each package of a lock; fails at a line that is neither a pinned package nor its hash."""
    versions, n_hashes = {}, {}
    for line in lock.read_text().splitlines():
        if package := LOCK_LINE.match(line):
            name = package["name"]
            versions[name], n_hashes[name] = package["version"], 0
        else:
            assert HASH_LINE.match(line), f"{lock.name}: {line}"
            n_hashes[name] += 1
    assert all(n_hashes.values()), [name for name, n in n_hashes.items() if n == 0]
    return versions


def direct(*extras: str) -> dict[str, Requirement]:
    lines = PROJECT["dependencies"] + [r for e in extras for r in PROJECT["optional-dependencies"][e]]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


def make(*arguments: str, folder: Path = ROOT) -> subprocess.CompletedProcess:
    """Run make as from a shell: settings of a make that runs these tests are not passed on."""
    env = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "CONFIG", "ARGS")}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def recipe(target: str) -> str:
    """The commands that make would run for a target if nothing were installed."""
    result = make("--dry-run", "--always-make", target)
    assert result.returncode == 0, result.stderr
    return result.stdout


TORCH = str(direct()["torch"])


def test_torch_is_one_exact_version_everywhere():
    assert re.fullmatch(r"torch==\d+\.\d+\.\d+", TORCH)
    for name in ("Makefile", "envs/environment.yaml", "envs/Containerfile"):
        assert set(re.findall(r"torch==[0-9][\w.+]*", read(name))) == {TORCH}, name


@pytest.mark.parametrize(("lock", "extras"), [(RUNTIME, ()), (TEST, ("test",))], ids=["runtime", "test"])
def test_lock_holds_every_direct_dependency_within_its_bounds(lock, extras):
    versions = locked(lock)
    for name, requirement in direct(*extras).items():
        if name != "torch":
            assert requirement.specifier.contains(versions[name]), (
                f"{requirement} is locked at {versions[name]}"
            )


def test_what_torch_itself_needs_is_locked():
    named = [x for x in read("envs/torch_dependencies.in").splitlines() if x and not x.startswith("#")]
    assert named
    assert set(named) <= set(locked(RUNTIME))


@pytest.mark.parametrize("lock", [RUNTIME, TEST], ids=["runtime", "test"])
def test_lock_fits_any_machine(lock):
    """No CUDA packages, and no place that packages come from: pip's own settings decide that."""
    assert [name for name in locked(lock) if any(part in name for part in CUDA_PARTS)] == []
    assert re.findall(r"://|@ |--(?:extra-)?index|--find-links|^[./-]", lock.read_text(), re.MULTILINE) == []


def test_test_lock_only_adds_to_the_runtime_lock():
    runtime, test = locked(RUNTIME), locked(TEST)
    assert {name: test.get(name) for name in runtime} == runtime
    assert {"pytest", "ruff", "snakefmt"} <= set(test) - set(runtime)


def test_conda_installs_exactly_the_lock():
    *packages, pip = yaml.safe_load(read("envs/environment.yaml"))["dependencies"]
    assert packages == ["python=3.11", "pip"]
    assert pip["pip"] == [TORCH, *(f"{name}=={version}" for name, version in locked(RUNTIME).items())]


def test_container_installs_exactly_the_lock():
    text = read("envs/Containerfile")
    assert re.findall(r"^FROM (.*)$", text, re.MULTILINE) == ["python:3.11-slim"]
    assert re.findall(r"pip install --no-cache-dir (.*?)(?: \\)?$", text, re.MULTILINE) == [
        TORCH,
        "--require-hashes --no-deps -r envs/requirements.lock",
    ]


def test_container_holds_all_that_a_run_reads():
    copied = re.findall(r"^COPY (.*) \S+$", read("envs/Containerfile"), re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert {"Snakefile", "config", "envs", "profiles", "report", "rules", "workflow_scripts"} <= names
    assert all((ROOT / name).exists() for name in names)


@pytest.mark.parametrize(
    ("target", "locks"),
    [("report", ["requirements.lock"]), ("test", ["requirements.lock", "requirements-test.lock"])],
)
def test_make_installs_torch_and_then_the_locks(target, locks):
    installs = re.findall(r"^\.venv/bin/pip install (.*)$", recipe(target), re.MULTILINE)
    assert installs == [TORCH, *(f"--require-hashes --no-deps -r envs/{lock}" for lock in locks)]


def test_make_report_is_one_call_that_can_fail():
    calls = [line.split() for line in recipe("report").splitlines() if ".venv/bin/snakemake" in line]
    assert calls == [[".venv/bin/snakemake", "--report", "results/report.html", "--report-after-run"]]


def test_pip_is_told_no_index():
    for name in ("Makefile", ".ci/run", "envs/Containerfile", "envs/environment.yaml"):
        assert not re.search(r"index-url|find-links|--index|trusted-host|\bsimple/", read(name)), name


def test_another_python_is_refused(tmp_path):
    other = tmp_path / "python3"
    other.write_text("#!/bin/sh\nexit 1\n")  # as `python -c` ends when the version check fails
    other.chmod(0o755)
    (tmp_path / "envs").mkdir()
    (tmp_path / "envs/requirements.lock").write_text("")
    (tmp_path / "Makefile").write_text(read("Makefile"))
    result = make("report", f"PYTHON={other}", folder=tmp_path)
    assert result.returncode != 0
    assert "Python 3.11 is needed" in result.stdout
    assert not (tmp_path / ".venv").exists()


def test_continuous_integration_runs_the_tests():
    assert os.access(ROOT / ".ci/run", os.X_OK)
    lines = read(".ci/run").splitlines()
    assert "set -euo pipefail" in lines
    assert lines[-1] == "make test"


def test_one_version_everywhere():
    import jamie

    assert PROJECT["version"] == jamie.__version__
    assert yaml.safe_load(read("CITATION.cff"))["version"] == jamie.__version__
    assert re.search(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)[1] == jamie.__version__
