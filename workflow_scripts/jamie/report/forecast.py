"""What a run will take by stage, as Snakemake plans it: jobs, memory, time and GPU hours; nothing is written.

    python -m jamie.report.forecast --configfile config/examples/pbmc_mosaic.yaml

asks Snakemake for a dry run with the profile of a cluster, which says what is submitted together. All words
are passed to it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import runpy
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]


class Job(NamedTuple):
    """What one job asks for, and is expected to take.

    Attributes
    ----------
    rule, dataset
        Of the job; no dataset where it is about all of them.
    mem_mb, runtime, gpus
        Memory in MB, minutes and GPUs that it asks for at its first attempt.
    work_s
        CPU time it is expected to take; with a GPU it is no longer.
    known
        Whether the size of what it reads is known, or can be expected.
    """

    rule: str
    dataset: str
    mem_mb: int
    runtime: int
    gpus: int
    work_s: int
    known: bool


class Submitted(NamedTuple):
    """What is submitted as one, named without its wildcards: how many jobs it holds, and what it asks for."""

    name: str
    n_jobs: int
    mem_mb: int
    runtime: int
    gpus: int


class Plan(logging.Handler):
    """What Snakemake says of a dry run to its logger: all jobs, and how they are submitted."""

    def __init__(self, local: set[str]):
        super().__init__()
        self.local = local
        self.jobs: list[Job] = []
        self.submitted: list[Submitted] = []

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", None)
        if event == "job_info" and hasattr(record.resources, "work_s"):  # `all` has none
            asked = record.resources
            known = isinstance(asked.read_mb, int)
            dataset = record.wildcards.get("dataset", "")
            of_job = asked.mem_mb, asked.runtime, asked.get("gpu", 0)
            self.jobs.append(Job(record.rule_name, dataset, *of_job, asked.work_s, known))
            if not record.indent and record.rule_name not in self.local:  # those of a group are indented
                self.submitted.append(Submitted(record.rule_name, 1, *of_job))
        elif event == "group_info":
            self.submitted.append(_together(record.group_id, list(record.jobs)))


def _together(name: str, jobs: list) -> Submitted:
    """What jobs that are submitted as one ask for, as Snakemake reckons when it submits them."""
    from snakemake.resources import GroupResources

    group = jobs[0].dag.get_job_group(jobs[0])
    # in a dry run `group.resources` are those of jobs that run at the same time, here
    asked = GroupResources.basic_layered(group.toposorted, group.global_resources, run_local=False)
    of_group = asked["mem_mb"], asked["runtime"], asked.get("gpu", 0)
    return Submitted(name.split("_")[0], len(jobs), *of_group)


@contextlib.contextmanager
def no_traces(folder: Path) -> Iterator[None]:
    """Leave no folder behind where there was none; Snakemake keeps a cache there even of a dry run."""
    there = folder.exists()
    yield
    if not there:
        (folder / "iocache/latest.pkl").unlink(missing_ok=True)
        for path, _, _ in os.walk(folder, topdown=False):
            if not os.listdir(path):  # else a run has begun meanwhile
                os.rmdir(path)


def plan(arguments: list[str], local: set[str]) -> Plan:
    """Ask Snakemake what it would do.

    Parameters
    ----------
    arguments
        Of its command line.
    local
        Rules that are not submitted.

    Raises
    ------
    SystemExit
        It cannot plan the run; what it says goes to stderr.
    """
    from snakemake.cli import args_to_api, parse_args

    found, said = Plan(local), io.StringIO()
    logging.getLogger("snakemake").addHandler(found)  # its own logger, below, is emptied of handlers first
    command = ["--snakefile", str(ROOT / "Snakefile"), "--workflow-profile", str(ROOT / "profiles/slurm")]
    command += ["--dry-run", "--nolock", *arguments]
    with contextlib.redirect_stdout(said), no_traces(Path(".snakemake")):
        parser, parsed = parse_args(command)
        planned = args_to_api(parsed, parser)
    if not planned:
        sys.exit(said.getvalue())
    return found


def in_words(found: Plan, stages: dict[str, dict]) -> str:
    """The jobs by stage, what is submitted to a cluster, and what is not known.

    Parameters
    ----------
    stages
        Stage -> rule -> anything.
    """
    if not found.jobs:
        return "Nothing is left to do."
    by_stage = {stage: [job for job in found.jobs if job.rule in rules] for stage, rules in stages.items()}
    rows = [_row(stage, jobs) for stage, jobs in by_stage.items() if jobs]
    heads = "stage", "jobs", "memory of one", "CPU time in all", "GPU hours at most"
    blocks = [_aligned([heads, *rows, _row("all", found.jobs)]), _submitted_in_words(found)]
    if unknown := sorted({job.dataset for job in found.jobs if not job.known}):
        blocks.append(
            f"Not known before the files are here: how large {', '.join(unknown)} is.\n"
            "Its jobs are counted with the least that they ask for and take."
        )
    return "\n\n".join(blocks)


def _row(stage: str, jobs: list[Job]) -> tuple[str, ...]:
    most_mb = max(job.mem_mb for job in jobs)
    work_s, gpu_s = sum(job.work_s for job in jobs), sum(job.work_s * job.gpus for job in jobs)
    return stage, f"{len(jobs):,}", _memory(most_mb), _time(work_s), f"{gpu_s / 3600:.2f}" if gpu_s else "-"


def _submitted_in_words(found: Plan) -> str:
    """On a cluster: how many are submitted, and the most that one of each name asks for."""
    n_local = len(found.jobs) - sum(one.n_jobs for one in found.submitted)
    words = (
        f"On a cluster, as the profile groups them: {len(found.submitted):,} jobs are submitted, "
        f"and {n_local:,} run where Snakemake is started."
    )
    by_name = defaultdict(list)
    for one in found.submitted:
        by_name[one.name].append(one)
    rows = [("submitted", "times", "jobs in one", "memory", "time limit", "GPUs")]
    for name, those in by_name.items():
        most = [max(one[i] for one in those) for i in range(1, 5)]
        asked = f"{most[0]:,}", _memory(most[1]), _time(60 * most[2]), str(most[3]) if most[3] else "-"
        rows.append((name, f"{len(those):,}", *asked))
    return f"{words}\n\n{_aligned(rows)}" if found.submitted else words


def _memory(mb: float) -> str:
    return f"{mb / 1000:.1f} GB"


def _time(seconds: float) -> str:
    """In s, min or h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _aligned(rows: list[tuple[str, ...]]) -> str:
    """Rows of text, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join([row[0].ljust(widths[0]), *(x.rjust(w) for x, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def main() -> None:
    needs = runpy.run_path(str(ROOT / "rules/needs.smk"))  # plain Python
    sys.stdout.write(f"{in_words(plan(sys.argv[1:], needs['LOCAL']), needs['STAGES'])}\n")


if __name__ == "__main__":
    main()
