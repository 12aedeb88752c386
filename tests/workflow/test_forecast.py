"""`make plan`: what a run takes, as Snakemake plans it, before anything is computed or written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from jamie.report import forecast
from jamie.report.forecast import Job, Plan, Submitted
from shared.workflow import ROOT

STAGES = {"data": {"fetch_dataset": 1, "ingest_dataset": 1}, "fits": {"train_jamie": 1}, "scores": {}}


def make_plan(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """What `make plan` runs, in ``folder``."""
    target = re.search(r"^plan:.*\n\t@PYTHONPATH=workflow_scripts \$\(BIN\)/python (-m \S+)", MAKEFILE, re.M)
    return subprocess.run(
        [sys.executable, *target[1].split(), *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow_scripts")},
        capture_output=True,
        text=True,
        check=False,
    )


MAKEFILE = (ROOT / "Makefile").read_text()


def table(text: str, head: str) -> dict[str, list[str]]:
    """Rows of one of the tables by their first column."""
    lines = text[text.index(f"\n{head} ") if f"\n{head} " in text else text.index(f"{head} ") :].strip()
    rows = lines.split("\n\n")[0].splitlines()[1:]
    return {row.split()[0]: re.split(r"  +", row.strip())[1:] for row in rows}


def test_the_default_run_by_stage_and_as_submitted_and_nothing_is_written(tmp_path):
    done = make_plan(tmp_path)
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
    stages, submitted = table(done.stdout, "stage"), table(done.stdout, "submitted")
    assert list(stages) == ["data", "correspondence", "fits", "scores", "figures", "attribution", "all"]
    n_jobs = {stage: int(row[0]) for stage, row in stages.items()}
    assert n_jobs["all"] == sum(n_jobs.values()) - n_jobs["all"]
    assert stages["fits"][-1] == stages["all"][-1] != "-" and stages["scores"][-1] == "-"
    n_submitted = sum(int(row[0]) for row in submitted.values())
    assert f"{n_submitted} jobs are submitted" in done.stdout and n_submitted <= 20
    assert submitted["train_jamie"][:2] == ["3", "1"] and submitted["train_jamie"][-1] == "1"
    # of the largest, not of all eight together
    assert submitted["baselines"][1] == "8" and float(submitted["baselines"][2].removesuffix(" GB")) < 1.5
    assert "Not known" not in done.stdout


def test_of_a_download_to_come_the_least_is_told_and_of_one_that_is_here_what_it_takes(tmp_path):
    config = ["--configfile", str(ROOT / "config/examples/pbmc_mosaic.yaml")]
    done = make_plan(tmp_path, *config)
    assert done.returncode == 0, done.stderr
    assert "Not known before the files are here: how large pbmc_mosaic is." in done.stdout
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    source = yaml.safe_load((ROOT / "config/config.yaml").read_text())["datasets"]["pbmc_mosaic"]["files"][
        "data"
    ]
    downloads = tmp_path / "resources/pbmc_mosaic"
    downloads.mkdir(parents=True)
    with (downloads / Path(source["member"]).name).open("wb") as file:
        file.truncate(2**30)  # sparse: takes no room
    large = make_plan(tmp_path, *config)
    assert "Not known" not in large.stdout
    most_gb = [float(table(text, "stage")["all"][1].split()[0]) for text in (done.stdout, large.stdout)]
    assert most_gb[0] < 3 and most_gb[1] > 4


def test_what_snakemake_refuses_is_said(tmp_path):
    done = make_plan(tmp_path, "--config", "run={datasets: [none_such]}")
    assert done.returncode != 0 and "none_such" in done.stderr and "stage" not in done.stdout


def planned(*jobs: Job, submitted: tuple[Submitted, ...] = ()) -> Plan:
    plan = Plan(local={"fetch_dataset"})
    plan.jobs, plan.submitted = list(jobs), list(submitted)
    return plan


def test_words():
    assert forecast.in_words(planned(), STAGES) == "Nothing is left to do."
    jobs = [
        Job("fetch_dataset", "mine", 500, 5, 0, 10, True),
        Job("ingest_dataset", "mine", 1500, 7, 0, 30, False),
        Job("train_jamie", "mine", 2500, 5, 1, 7200, True),
    ]
    submitted = Submitted("data", 1, 1500, 7, 0), Submitted("train_jamie", 1, 2500, 480, 1)
    text = forecast.in_words(planned(*jobs, submitted=submitted), STAGES)
    assert table(text, "stage") == {
        "data": ["2", "1.5 GB", "40 s", "-"],
        "fits": ["1", "2.5 GB", "2.0 h", "2.00"],
        "all": ["3", "2.5 GB", "2.0 h", "2.00"],
    }
    assert "2 jobs are submitted, and 1 run where Snakemake is started" in text
    assert table(text, "submitted") == {
        "data": ["1", "1", "1.5 GB", "7 min", "-"],
        "train_jamie": ["1", "1", "2.5 GB", "8.0 h", "1"],
    }
    assert "how large mine is" in text


def test_a_folder_of_snakemake_that_was_there_stays(tmp_path):
    folder = tmp_path / ".snakemake"
    (folder / "iocache").mkdir(parents=True)
    with forecast.no_traces(folder):
        (folder / "log").mkdir()
    assert (folder / "iocache").exists() and (folder / "log").exists()
    other = tmp_path / "other"
    with forecast.no_traces(other):
        (other / "iocache").mkdir(parents=True)
        (other / "iocache/latest.pkl").touch()
        (other / "log").mkdir()
        (other / "log/of_another_run").touch()
    assert [path.name for path in other.rglob("*")] == ["log", "of_another_run"]


def test_a_job_that_runs_where_snakemake_was_started_is_not_submitted():
    plan = Plan(local={"fetch_dataset"})

    class Asked(SimpleNamespace):
        def get(self, name, default):
            return getattr(self, name, default)

    asked = Asked(mem_mb=500, runtime=5, work_s=3, read_mb="<TBD>")
    for rule in ("fetch_dataset", "score_links"):
        record = SimpleNamespace(
            event="job_info", rule_name=rule, resources=asked, wildcards={"dataset": "d"}, indent=False
        )
        plan.emit(record)
    assert [job.rule for job in plan.jobs] == ["fetch_dataset", "score_links"]
    assert [one.name for one in plan.submitted] == ["score_links"] and not plan.jobs[0].known


@pytest.mark.parametrize("event", ["job_started", None])
def test_other_events_are_passed_over(event):
    plan = Plan(local=set())
    plan.emit(SimpleNamespace(event=event))
    assert plan.jobs == plan.submitted == []
