"""A method that fails is a row: the scores of the others stay the same, and the next run tries it again."""

from __future__ import annotations

import subprocess
from io import BytesIO
from pathlib import Path

import pandas as pd
import pytest

from jamie import InputError, io, unmade
from shared.workflow import TINY, checked_out, snakemake

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# a method is one file; this one fails as its option says, until a file `mended` lies in the working folder
BREAKS = """
import os, signal
from pathlib import Path

from jamie.methods import floor_mean
from jamie.registry import Spec

SPEC = Spec(label="breaks", summary="Fails.", embeds=False, options={"how": "raise"})


class Method(floor_mean.Method):
    def __init__(self, *, seed: int = 0, how: str = "raise"):
        self.how = how

    def fit(self, train, known):
        with open(f"tries.{self.how}", "a") as tries:
            tries.write("x")
        if not Path("mended").exists():
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise ArithmeticError("nothing to divide by")
        return super().fit(train, known)
"""
BROKEN = {"breaks": {"base": "breaks"}, "dies": {"base": "breaks", "options": {"how": "kill"}}}
WELL = ["cca", "knn", "floor_mean"]
REPORT = ["--report", "results/report.html", "--report-after-run", "--retries", "1"]
STOP_AT_ONCE = ["--workflow-profile", "none"]  # in place of profiles/default, which keeps going


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """The workflow with one method more."""
    root = checked_out(tmp_path_factory.mktemp("tree"))
    (root / "workflow_scripts/jamie/methods/breaks.py").write_text(BREAKS)
    return root


def run(tree: Path, folder: Path, *arguments: str, **run) -> subprocess.CompletedProcess:
    folder.mkdir(exist_ok=True)
    wanted = {"scenarios": ["paired_50"], "seeds": [0], "explain": False, "figures": "comparison"} | run
    methods = {name: BROKEN[name] for name in wanted["methods"] if name in BROKEN}
    overlay = {"run": wanted, "datasets": TINY["datasets"], "methods": methods}
    return snakemake(folder, "-s", str(tree / "Snakefile"), *arguments, overlay=overlay)


def fitted(done: subprocess.CompletedProcess) -> set[str]:
    """Methods whose fits a run began."""
    return {line.split("method=")[1].split(",")[0] for line in done.stderr.splitlines() if "method=" in line}


@pytest.fixture(scope="module")
def runs(tree, tmp_path_factory) -> dict:
    """The same command three times: stopping at the first error, keeping going, and once all is mended."""
    folder, seen = tmp_path_factory.mktemp("failing"), {}
    for name, arguments in {"stopping": STOP_AT_ONCE, "going": [], "mended": []}.items():
        if name == "mended":
            (folder / "mended").touch()
        (folder / "results/report.html").unlink(missing_ok=True)
        done = run(tree, folder, *REPORT, *arguments, methods=[*WELL, *BROKEN])
        assert "Finished jobid: 0" in done.stderr, done.stderr[-3000:]  # rule all
        metrics = {
            file.parts[-3]: file.read_bytes() for file in folder.glob("results/*/*/*/seed0/metrics.tsv")
        }
        tries = {file.suffix: len(file.read_text()) for file in folder.glob("tries.*")}
        seen[name] = {"done": done, "metrics": metrics, "tries": tries}
        seen[name]["report"] = (folder / "results/report.html").exists()
        seen[name]["page"] = (folder / "results/summary.rst").read_text()
        seen[name]["ranking"] = pd.read_csv(folder / "results/ranking.tsv", sep="\t").set_index("method")
        seen[name]["table"] = (folder / "results/table.md").read_text()
    return seen | {"folder": folder}


@pytest.mark.parametrize("name", ["stopping", "going"])
def test_a_run_with_a_failed_method_ends_with_its_report_and_says_so(runs, name):
    done = runs[name]["done"]
    assert done.returncode == 1 and runs[name]["report"]
    end = done.stderr[-3000:]
    assert (
        "breaks failed in simulated_multiome, paired_50, seed 0: ArithmeticError: nothing to divide by" in end
    )
    assert "dies failed in simulated_multiome, paired_50, seed 0: killed (out of memory" in end
    assert "at attempt 2 of 2" in end
    assert "logs/fit_baseline/simulated_multiome.paired_50.dies.0.log" in end


@pytest.mark.parametrize("name", ["stopping", "going"])
def test_failed_is_a_status_with_a_reason_on_all_pages(runs, name):
    for method, why in (
        ("breaks", "ArithmeticError: nothing to divide by"),
        ("dies", "killed (out of memory"),
    ):
        rows = pd.read_csv(BytesIO(runs[name]["metrics"][method]), sep="\t")
        assert set(rows["status"]) == {"failed"} and rows["value"].isna().all()
        assert (
            rows["reason"].str.startswith(why).all() and rows["reason"].str.endswith(f"{method}.0.log").all()
        )
        row = runs[name]["ranking"].loc[method]
        assert row["status"] == "failed" and row["reason"].startswith(why) and pd.isna(row["overall"])
        assert f"{method} (failed: {why}" in runs[name]["page"] and f"failed: {why}" in runs[name]["table"]
    assert "**Failed: breaks in 1 of 1 fit, dies in 1 of 1 fit.**" in runs[name]["page"]


def test_scores_of_the_others_are_those_of_a_run_without_the_failed_ones(runs, tree, tmp_path):
    done = run(tree, tmp_path / "well", methods=WELL)
    assert done.returncode == 0, done.stderr[-3000:]
    for method in WELL:
        (own,) = (tmp_path / "well").glob(f"results/*/*/{method}/seed0/metrics.tsv")
        for name in ("stopping", "going", "mended"):
            assert runs[name]["metrics"][method] == own.read_bytes()


def test_what_is_killed_is_tried_as_often_as_asked_and_what_raises_once(runs):
    assert runs["stopping"]["tries"] == {".raise": 1, ".kill": 2}


def test_the_same_command_tries_the_failed_ones_again_and_no_other(runs):
    assert runs["going"]["tries"] == {".raise": 2, ".kill": 4}
    assert runs["mended"]["tries"] == {".raise": 3, ".kill": 5}
    for name in ("going", "mended"):
        assert fitted(runs[name]["done"]) == set(BROKEN)


def test_once_mended_the_run_is_clean_and_the_next_has_nothing_to_do(runs, tree):
    assert runs["mended"]["done"].returncode == 0, runs["mended"]["done"].stderr[-3000:]
    assert "failed" not in runs["mended"]["page"]
    again = run(tree, runs["folder"], "-n", methods=[*WELL, *BROKEN])
    assert "Nothing to be done" in again.stderr + again.stdout


def test_without_the_shown_method_the_report_is_made_and_says_what_is_missing(tree, tmp_path):
    """JAMIE diverges; what needs its model says so in its place."""
    script = tree / "workflow_scripts/train_jamie.py"
    before, fit, after = script.read_text().partition("return model.fit(")
    assert fit
    script.write_text(f"{before}raise ArithmeticError('diverged')\n        {fit}{after}")
    run = {"methods": ["jamie", "knn"], "scenarios": ["paired_50"], "seeds": [0], "explain": True}
    overlay = {"run": run, "datasets": TINY["datasets"], "explain": {"chunks": 1}}
    done = snakemake(tmp_path, "-s", str(tree / "Snakefile"), *REPORT, overlay=overlay)
    results = tmp_path / "results/simulated_multiome"
    assert done.returncode == 1 and (tmp_path / "results/report.html").exists(), done.stderr[-3000:]
    assert "jamie failed in simulated_multiome, paired_50, seed 0" in done.stderr
    page = (tmp_path / "results/summary.rst").read_text()
    assert "**Failed: JAMIE in 1 of 1 fit.**" in page and "Not made: JAMIE failed" in page
    with pytest.raises(InputError, match="jamie failed in simulated_multiome"):
        io.read_h5mu(results / "paired_50/jamie/seed0/completed.h5mu")
    assert unmade.read(results / "drivers.tsv")["method"] == "jamie"
    figures = [file.stem for file in (results / "paired_50/figures").glob("*.svg")]
    assert {"embedding", "scores", "values", "history"} <= set(figures)
    metrics = pd.read_csv(tmp_path / "results/metrics.tsv", sep="\t")
    assert set(metrics.loc[metrics["method"] == "jamie", "status"]) == {"failed"}
    assert "ok" in set(metrics.loc[metrics["method"] == "knn", "status"])
