"""What was spoilt between two jobs is noticed by the next that reads it, whatever it is and whoever reads."""

from __future__ import annotations

import json
import logging
import os
import re
import runpy
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from jamie.jobs import checksums
from shared.workflow import ROOT, snakemake

pytestmark = pytest.mark.e2e
SCRIPTS = ROOT / "workflow_scripts"
KINDS = {
    "zeroed": lambda content: content[: len(content) // 2] + bytes(len(content) - len(content) // 2),
    "cut": lambda content: content[: len(content) // 2],
    "flipped": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "emptied": lambda content: b"",
}


def jobs(folder: Path) -> list[dict]:
    """What Snakemake noted of every job of a finished run: its rule, script and inputs."""
    found = {}
    for path in (folder / ".snakemake/metadata").iterdir():
        about = json.loads(path.read_text())
        if about["rule"]:
            found.setdefault((about["rule"], *about["log"]), about)
    return list(found.values())


@pytest.fixture
def a_copy(small_run, tmp_path, monkeypatch):
    """A copy of the small run, which is the working folder."""
    folder = tmp_path / "run"
    passing = shutil.ignore_patterns("locks", "log", "report.html")  # others may look at the run meanwhile
    shutil.copytree(small_run, folder, symlinks=True, ignore=passing)
    monkeypatch.chdir(folder)
    for name in ("JAMIE_RUN", "JAMIE_SNAKEMAKE"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def logging_as_it_was():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def spoil(path: Path, kind: str) -> bool:
    """Spoil a file, whose time stays; returns whether that changed anything."""
    content, about = path.read_bytes(), path.stat()
    spoilt = KINDS[kind](content) if content else b""
    path.write_bytes(spoilt)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))
    return spoilt != content


def run_script(about: dict) -> str:
    """Run the script of a job, which is told its inputs and nothing else; returns its log."""
    script = SCRIPTS / Path(about["code"].strip().strip('"')).name
    job = SimpleNamespace(
        rule=about["rule"],
        input=about["input"],
        output=[],
        log=["spoilt.log"],
        params=SimpleNamespace(),
        resources={},
    )
    with pytest.raises(SystemExit):
        runpy.run_path(str(script), init_globals={"snakemake": job})
    return Path("spoilt.log").read_text()


def test_every_spoilt_intermediate_is_noticed_by_every_rule_that_reads_it(a_copy, logging_as_it_was):
    recorded = dict(checksums.recorded())
    readers = {}
    for job in jobs(a_copy):
        for path in map(Path, job["input"]):
            readers.setdefault(path, {}).setdefault(job["rule"], job)
    assert set(readers) <= set(recorded)  # nothing between two jobs is without a checksum
    n = 0
    for path, by_rule in readers.items():
        for file in map(Path, recorded[path]["files"]):
            whole, times = file.read_bytes(), file.stat()
            for kind in KINDS:
                if not spoil(file, kind):
                    continue
                for job in by_rule.values():
                    told = run_script(job)
                    assert f"Error: {file} is not as rule {recorded[path]['rule']} wrote it" in told, kind
                    assert re.search(rf"rm (-r )?{re.escape(str(path))};", told)
                n += 1
                file.write_bytes(whole)
                os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    print(f"{n} ways in which {len(readers)} intermediates were spoilt, each noticed")
    assert n > 100


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoilt", "made_again"),
    [("{D}/paired_50/data/seed0/prepared.h5mu", "{D}/paired_50/jamie/seed0/embedding.h5mu"),
     ("{D}/paired_50/jamie/seed0/model/weights.safetensors", "{D}/paired_50/jamie/seed0/imputed.h5mu")],
)  # fmt: skip
def test_the_command_that_the_message_names_is_the_remedy(a_copy, spoilt, made_again):
    D = "results/simulated_multiome"
    spoilt, made_again = Path(spoilt.format(D=D)), Path(made_again.format(D=D))
    arguments = [str(made_again), "--configfile", "overlay.yaml"]
    whole = spoilt.read_bytes()
    assert spoil(spoilt, "zeroed")
    made_again.unlink()
    failed = snakemake(a_copy, *arguments)
    assert failed.returncode == 1 and f"{spoilt} is not as rule" in failed.stderr
    assert not made_again.exists()
    remedy = re.search(r"makes it anew: rm (-r )?(\S+);", failed.stderr)[2]
    path = a_copy / remedy
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    done = snakemake(a_copy, *arguments)
    assert done.returncode == 0, done.stderr
    assert made_again.exists() and spoilt.stat().st_size == len(whole)
    assert checksums.verify(path for path, _ in checksums.recorded()) == []
