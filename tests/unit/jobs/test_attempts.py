"""Attempts at a method: what is recorded, and what is tried again."""

from __future__ import annotations

import pytest

from jamie import InputError, contract
from jamie.jobs import attempts
from jamie.jobs.attempts import Attempt

ABOUT = {"dataset": "d", "scenario": "s", "method": "knn", "seed": 3, "rule": "fit_baseline", "log": "a.log"}
REFUSED = InputError("too few", expected="20 cells", found="3", change="the data")


class OutOfMemoryError(RuntimeError):
    """As torch calls it."""


@pytest.fixture
def attempt(tmp_path, monkeypatch):
    """A function that makes the n-th attempt of three."""
    monkeypatch.setenv(attempts.ALLOWED, "3")
    path, asked = tmp_path / "fit.attempts.json", {"mem_mb": 700, "runtime": 10}
    return lambda n=1: Attempt(path, n, ABOUT | {name: n * value for name, value in asked.items()})


def failures(attempt):
    return attempts.state(attempt().path)["failures"]


def test_nothing_is_left_of_a_method_that_never_failed(attempt):
    assert attempt().begin() is None and attempt().path.exists()
    attempt().end()
    assert not attempt().path.exists() and failures(attempt) == 0


@pytest.mark.parametrize(
    "error, reason",
    [
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (AssertionError(), "AssertionError"),
        (REFUSED, "too few expected: 20 cells found: 3 change: the data"),
    ],
)
def test_an_error_that_would_come_again_is_recorded_at_once(attempt, error, reason):
    attempt().begin()
    record = attempt().fail(error)
    assert record["status"] == contract.FAILED and record["reason"] == reason
    assert record["log"] == "a.log" and record["seed"] == 3
    assert record["embeds"] is record["imputes"] is False
    assert failures(attempt) == 1 and attempts.state(attempt().path)["failed"] == record


@pytest.mark.parametrize(
    "error", [MemoryError("no 8 GB"), OutOfMemoryError("of CUDA"), RuntimeError("CUDA error: unspecified")]
)
def test_what_more_memory_or_another_gpu_may_mend_is_recorded_at_the_last_attempt(attempt, error):
    for n in (1, 2):
        attempt(n).begin()
        assert attempt(n).fail(error) is None and failures(attempt) == 0
    attempt(3).begin()
    assert str(error) in attempt(3).fail(error)["reason"] and failures(attempt) == 1


def test_a_full_disk_is_no_failure_of_the_method_and_no_kill(attempt):
    for n in (1, 2, 3):
        attempt(n).begin()
        assert attempt(n).fail(OSError(28, "No space left on device")) is None
    assert attempt(4).begin() is None and failures(attempt) == 0


def test_the_attempt_after_the_last_records_that_this_was_killed(attempt):
    for n in (1, 2, 3):
        assert attempt(n).begin() is None
    record = attempt(4).begin()
    assert "at attempt 3 of 3, with 2100 MB and 30 min" in record["reason"]
    assert failures(attempt) == 1 and attempts.state(attempt().path)["started"] is None


def test_what_an_earlier_run_of_snakemake_left_does_not_count(attempt, monkeypatch):
    attempt(3).begin()
    assert attempts.unended(attempt().path) == 3
    monkeypatch.setenv(attempts.RUN, "the next")
    assert attempts.unended(attempt().path) == 0 and attempt(4).begin() is None


def test_without_a_limit_no_attempt_is_the_last(attempt, monkeypatch):
    monkeypatch.setenv(attempts.ALLOWED, "")
    attempt(9).begin()
    assert attempt(10).begin() is None and attempt(10).fail(MemoryError("x")) is None


def test_a_job_submitted_with_one_that_was_killed_is_run(attempt):
    attempt(2).begin()  # the third attempt of the group ended before this job began
    assert attempt(4).begin() is None and failures(attempt) == 0


def test_failures_stay_counted_after_a_success_so_that_it_is_not_repeated(attempt):
    for _ in range(2):
        attempt().begin()
        attempt().fail(ValueError("x"))
    attempt().begin()
    assert attempts.state(attempt().path)["failed"] is None and failures(attempt) == 2
    attempt().end()
    assert failures(attempt) == 2 and attempts.state(attempt().path)["started"] is None


def test_a_long_reason_is_shortened(attempt):
    reason = attempt().fail(ValueError("word " * 500))["reason"]
    assert len(reason) == attempts.LONGEST_REASON and reason.endswith(" …")
