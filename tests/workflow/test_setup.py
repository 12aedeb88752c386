"""Packages, lock files, conda, container and Makefile say the same thing."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
RUNTIME, TEST = ROOT / "envs/requirements.lock", ROOT / "envs/requirements-test.lock"
PYTHONS = ("3.11", "3.12", "3.13")
CONDA_PYTHON = "3.12"
LOCK_LINE = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?: ; (?P<marker>.+))? \\$")
HASH_LINE = re.compile(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$")
CUDA_PARTS = ("nvidia", "cuda", "triton", "torch")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]


def read(name: str) -> str:
    return (ROOT / name).read_text()


def locked(lock: Path, python: str) -> dict[str, str]:
    """Version of each package that pip takes from a lock with a Python on Linux.

    Fails at a line that is neither a pinned package nor its hash, and where a package has two versions.
    """
    machine = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "implementation_name": "cpython",
    }
    versions, n_hashes = {}, []
    for line in lock.read_text().splitlines():
        if package := LOCK_LINE.match(line):
            n_hashes.append(0)
            if package["marker"] is None or Marker(package["marker"]).evaluate(machine):
                assert package["name"] not in versions, f"{lock.name} on {python}: {line}"
                versions[package["name"]] = package["version"]
        else:
            assert HASH_LINE.match(line), f"{lock.name}: {line}"
            n_hashes[-1] += 1
    assert versions
    assert all(n_hashes)
    return versions


def direct(*extras: str) -> dict[str, Requirement]:
    lines = PROJECT["dependencies"] + [r for e in extras for r in PROJECT["optional-dependencies"][e]]
    return {canonicalize_name(r.name): r for r in map(Requirement, lines)}


SETTINGS = ("MAKEFLAGS", "CONFIG", "ARGS", "PYTHON")


def make(*arguments: str, folder: Path = ROOT, **variables: str) -> subprocess.CompletedProcess:
    """Run make as from a shell: settings of a make that runs these tests are not passed on."""
    env = {name: value for name, value in os.environ.items() if name not in SETTINGS} | variables
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


each_python = pytest.mark.parametrize("python", PYTHONS)
each_lock = pytest.mark.parametrize("lock", [RUNTIME, TEST], ids=["runtime", "test"])


@each_python
@pytest.mark.parametrize(
    ("lock", "extras"), [(RUNTIME, ()), (TEST, ("test", "storage"))], ids=["runtime", "test"]
)
def test_lock_holds_every_direct_dependency_within_its_bounds(lock, extras, python):
    versions = locked(lock, python)
    for name, requirement in direct(*extras).items():
        if name != "torch":
            assert requirement.specifier.contains(versions[name]), (
                f"{requirement} is locked at {versions[name]}"
            )


@each_python
def test_what_torch_itself_needs_is_locked(python):
    named = [x for x in read("envs/torch_dependencies.in").splitlines() if x and not x.startswith("#")]
    assert named
    assert set(named) <= set(locked(RUNTIME, python))


@each_python
@each_lock
def test_lock_fits_any_machine(lock, python):
    """No CUDA packages, and no place that packages come from: pip's own settings decide that."""
    assert [name for name in locked(lock, python) if any(part in name for part in CUDA_PARTS)] == []
    assert re.findall(r"://|@ |--(?:extra-)?index|--find-links|^[./-]", lock.read_text(), re.MULTILINE) == []


@each_python
def test_test_lock_only_adds_to_the_runtime_lock(python):
    runtime, test = locked(RUNTIME, python), locked(TEST, python)
    assert {name: test.get(name) for name in runtime} == runtime
    assert {"pytest", "ruff", "snakefmt"} <= set(test) - set(runtime)


def test_newer_pythons_get_the_current_scverse():
    """scanpy 1.12, anndata 0.13 and mudata 0.4 need Python 3.12."""
    for name, version in {"scanpy": "1.12", "anndata": "0.13", "mudata": "0.4"}.items():
        old, *new = (Version(locked(RUNTIME, python)[name]) for python in PYTHONS)
        assert old < Version(version) <= min(new), name


def test_conda_installs_exactly_the_lock():
    *packages, pip = yaml.safe_load(read("envs/environment.yaml"))["dependencies"]
    assert packages == [f"python={CONDA_PYTHON}", "pip"]
    versions = locked(RUNTIME, CONDA_PYTHON)
    assert pip["pip"] == [TORCH, *(f"{name}=={version}" for name, version in versions.items())]


def test_container_installs_exactly_the_lock():
    text = read("envs/Containerfile")
    assert re.findall(r"^FROM (.*)$", text, re.MULTILINE) == [f"python:{CONDA_PYTHON}-slim"]
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


FAKE_PYTHON = """#!/bin/sh
case $1 in
--version) echo Python {version} ;;
-c) exec {python} -ISc "import sys; sys.version_info = tuple(map(int, '{version}'.split('.'))); $2" ;;
-m) mkdir -p $3/bin; cp "$0" $3/bin/python; printf '#!/bin/sh\n' > $3/bin/pip; chmod +x $3/bin/pip ;;
esac
"""


@pytest.fixture
def bare(tmp_path):
    """A checkout without an environment, and ``call(pythons, *arguments)``: make with these Pythons.

    Each answers ``-c`` as its version would, and makes environments in which installing does nothing.
    """
    commands = tmp_path / "bin"
    commands.mkdir()
    for tool in ("make", "mkdir", "cp", "chmod", "touch"):
        (commands / tool).symlink_to(shutil.which(tool))
    (tmp_path / "envs").mkdir()
    for lock in (RUNTIME, TEST):
        (tmp_path / "envs" / lock.name).touch()
    (tmp_path / "Makefile").write_text(read("Makefile"))

    def call(pythons: dict[str, str], *arguments: str) -> subprocess.CompletedProcess:
        for name, version in pythons.items():
            (commands / name).write_text(FAKE_PYTHON.format(python=sys.executable, version=version))
            (commands / name).chmod(0o755)
        return make(".venv/.test", *arguments, folder=tmp_path, PATH=str(commands))

    return tmp_path, call


@pytest.mark.parametrize(
    ("pythons", "chosen"),
    [
        ({"python3": "3.11.2"}, "python3"),
        ({"python3": "3.12.3", "python3.13": "3.13.1"}, "python3"),
        ({"python3": "3.13.5"}, "python3"),
        ({"python3": "3.10.12", "python3.11": "3.11.9"}, "python3.11"),
        ({"python3": "3.14.0", "python3.12": "3.12.3", "python3.13": "3.13.5"}, "python3.13"),
        ({"python3.12": "3.12.3"}, "python3.12"),
    ],
)
def test_environment_gets_the_first_python_that_the_lock_serves(bare, pythons, chosen):
    folder, call = bare
    result = call(pythons)
    assert result.returncode == 0, result.stderr
    assert re.findall(r"^(\S+) -m venv .venv$", result.stdout, re.MULTILINE) == [chosen]
    assert (folder / ".venv/.test").exists()


@pytest.mark.parametrize(
    ("pythons", "arguments", "found"),
    [
        ({"python3": "3.10.12"}, [], "python3 is Python 3.10.12"),
        ({"python3": "3.14.0"}, [], "python3 is Python 3.14.0"),
        ({"python3": "2.7.18"}, [], "python3 is Python 2.7.18"),
        ({"python3": "3.12.3", "python3.9": "3.9.1"}, ["PYTHON=python3.9"], "python3.9 is Python 3.9.1"),
        ({}, [], "python3 is"),
    ],
)
def test_another_python_is_refused(bare, pythons, arguments, found):
    folder, call = bare
    result = call(pythons, *arguments)
    assert result.returncode != 0
    assert f"Python 3.11, 3.12 or 3.13 is needed, but {found}" in result.stdout
    assert "make PYTHON=/path/to/python3.12" in result.stdout
    assert not (folder / ".venv").exists()


def test_environment_of_another_python_is_refused(bare):
    folder, call = bare
    assert call({"python3": "3.12.3"}).returncode == 0
    (folder / ".venv/.runtime").unlink()
    (folder / "bin/python3").rename(folder / "bin/python3.12")
    (folder / ".venv/bin/python").write_text(FAKE_PYTHON.format(python=sys.executable, version="3.14.0"))
    result = call({})
    assert result.returncode != 0
    assert "but .venv/bin/python is Python 3.14.0: rm -r .venv" in result.stdout


def test_the_makefile_the_lock_and_this_file_name_the_same_pythons():
    served = re.search(r"^SERVED := (.*)$", read("Makefile"), re.MULTILINE)[1]
    (environment,) = PYPROJECT["tool"]["uv"]["environments"]
    for minor in range(9, 17):
        version = f"3.{minor}"
        code = f"import sys; sys.version_info = (3, {minor}, 0); {served}"
        fits = subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
        assert fits == (version in PYTHONS), version
        assert Marker(environment).evaluate({"python_version": version, "sys_platform": "linux"}) == fits
        assert SpecifierSet(PROJECT["requires-python"]).contains(version) == (minor >= 11)


def test_continuous_integration_runs_the_tests():
    assert os.access(ROOT / ".ci/run", os.X_OK)
    lines = read(".ci/run").splitlines()
    assert "set -euo pipefail" in lines
    assert lines[-3:] == ["make lint", "make test", "make test-slurm"]


def test_one_version_everywhere():
    import jamie

    assert PROJECT["version"] == jamie.__version__
    assert yaml.safe_load(read("CITATION.cff"))["version"] == jamie.__version__
    assert re.search(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)[1] == jamie.__version__


def test_an_installed_package_holds_its_tables_and_its_schema():
    package = ROOT / "workflow_scripts/jamie"
    patterns = PYPROJECT["tool"]["setuptools"]["package-data"]["jamie"]
    packed = {path for pattern in patterns for path in package.glob(pattern)}
    here = {path for path in package.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    assert packed == here and package / "data/antibodies.tsv" in here
