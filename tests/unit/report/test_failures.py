"""What jobs leave where a method failed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from jamie import unmade
from jamie.jobs import attempts
from jamie.report import failures

RECORD = {"status": "failed", "reason": "a < b", "log": "logs/a.log", "rule": "fit_baseline"}
RECORD |= {"dataset": "d", "scenario": "s", "method": "cca", "seed": 0}


class Named(dict):
    """What Snakemake gives to a script: a list of values, of which some have names."""

    __getattr__ = dict.__getitem__

    def __iter__(self):
        return iter(self.values())


def job_of(folder, method=True, **inputs):
    """A job with three outputs; of a method, or of another rule."""
    outputs = [folder / "out" / name for name in ("embedding.h5mu", "model", "scores.svg")]
    wildcards = {"dataset": "d", "scenario": "s", "method": "cca", "seed": "0"}
    return SimpleNamespace(
        input=Named({name: str(path) for name, path in inputs.items()}),
        output=[str(path) for path in outputs],
        params={"attempts": str(folder / "fit.attempts.json")} if method else {},
        resources=Named(attempt=1, mem_mb=500, runtime=10),
        wildcards=Named(wildcards),
        rule="fit_baseline",
        log=[str(folder / "job.log")],
    )


def test_a_failing_method_leaves_its_record_in_place_of_each_output(tmp_path):
    job = job_of(tmp_path)
    with failures.recorded(job):
        raise ZeroDivisionError("by zero")
    embedding, model, figure = job.output
    for path in (embedding, model):
        assert unmade.read(path)["reason"] == "ZeroDivisionError: by zero"
        assert unmade.read(path)["log"] == job.log[0]
    assert "<svg" in Path(figure).read_text() and unmade.read(figure) is None
    assert attempts.state(tmp_path / "fit.attempts.json")["failures"] == 1


def test_half_written_outputs_are_replaced(tmp_path):
    job = job_of(tmp_path)
    with failures.recorded(job):
        (tmp_path / "out" / "model").mkdir(parents=True)
        (tmp_path / "out" / "model" / "config.json").write_text("{}")
        raise ValueError("after the model")
    assert sorted(p.name for p in (tmp_path / "out" / "model").iterdir()) == [unmade.IN_FOLDER, "unmade.svg"]


def test_an_error_of_a_rule_that_is_no_method_s_stays_one(tmp_path):
    job = job_of(tmp_path, method=False)
    with pytest.raises(ZeroDivisionError), failures.recorded(job):
        raise ZeroDivisionError("by zero")
    assert not (tmp_path / "out").exists()


def test_what_needs_a_failed_method_says_so_and_is_not_begun(tmp_path):
    (tmp_path / "model.h5mu").write_text(unmade.text(RECORD))
    job = job_of(tmp_path, method=False, prepared=tmp_path / "prepared.h5mu", model=tmp_path / "model.h5mu")
    with pytest.raises(SystemExit) as ended, failures.recorded(job):
        raise AssertionError("begun")
    assert ended.value.code == 0
    assert unmade.read(job.output[0]) == {"unmade": True} | RECORD


def test_a_script_may_judge_records_itself(tmp_path):
    (tmp_path / "run_info.json").write_text(unmade.text(RECORD))
    with failures.recorded(
        job_of(tmp_path, method=False, run_info=tmp_path / "run_info.json"), judges=["run_info"]
    ):
        pass
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", [".svg", ".html", ".rst"])
def test_pages_say_it_in_words_whatever_the_reason_holds(tmp_path, suffix):
    path = tmp_path / f"page{suffix}"
    failures.place(path, RECORD)
    words = {".svg": "<svg", ".html": "a &lt; b", ".rst": "Not made: CCA failed in d, s, seed 0: a < b"}
    assert words[suffix] in path.read_text()
