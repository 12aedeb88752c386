"""The workflow as a module of another one, which lies elsewhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from jamie import io
from shared.workflow import ROOT, TINY

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SNAKEFILE = """
configfile: {config!r}
configfile: "mine.yaml"

module jamie:
    snakefile: {snakefile}
    config: config
    {more}

use rule * from jamie as jamie_*

rule after:
    input: {wanted!r}
    output: "lines.txt"
    default_target: True
    shell: "wc -l {{input[0]:q}} > {{output}}"
"""


def other_workflow(folder: Path, snakefile: str, wanted: list[str], more: str = "") -> None:
    (folder / "mine.yaml").write_text(yaml.safe_dump(TINY))
    text = SNAKEFILE.format(
        config=str(ROOT / "config/config.yaml"), snakefile=snakefile, wanted=wanted, more=more
    )
    (folder / "Snakefile").write_text(text)


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "snakemake", "--cores", "2", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | env, timeout=3600
    )


def test_from_a_local_folder_with_a_prefix_up_to_its_crate(tmp_path):
    snakefile = repr(str(ROOT / "workflow/Snakefile"))
    wanted = ["jamie/results/metrics.tsv", "jamie/results/ro-crate-metadata.json"]
    other_workflow(tmp_path, snakefile, wanted, more='prefix: "jamie"')
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    assert int((tmp_path / "lines.txt").read_text().split()[0]) > 50
    # all that it writes is below its prefix, but for the checksums, which are of the whole folder
    names = {path.name for path in tmp_path.iterdir()}
    assert names <= {".snakemake", "Snakefile", "mine.yaml", "lines.txt", "jamie", "checksums", "claims"}
    graph = io.read_json(tmp_path / "jamie/results/ro-crate-metadata.json")["@graph"]
    files = {entity["@id"] for entity in graph if "sha256" in entity}
    assert "simulated_multiome/paired_50/jamie/seed0/model/weights.safetensors" in files
    assert all((tmp_path / "jamie/results" / name).is_file() for name in files)
    texts = [
        (tmp_path / "jamie/results" / f"ro-crate-{n}").read_text() for n in ("metadata.json", "config.yaml")
    ]
    assert not any(str(tmp_path) in text or str(ROOT) in text for text in texts)
    verify = subprocess.run(
        [sys.executable, "-m", "jamie.report.verify"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "workflow_scripts")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert verify.returncode == 0, verify.stdout + verify.stderr


def test_from_a_hosted_repository(tmp_path):
    """`github(...)`, whose address git is told to find here; the package has to be installed then."""
    hosted = tmp_path / "hosted/owner/jamie-workflow"
    hosted.parent.mkdir(parents=True)
    kept = shutil.ignore_patterns("__pycache__", ".*")
    for part in ("config", "envs", "report", "rules", "workflow", "workflow_scripts"):
        shutil.copytree(ROOT / part, hosted / part, ignore=kept)
    git = ["git", "-C", str(hosted), "-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *command], check=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    snakefile = 'github("owner/jamie-workflow", path="workflow/Snakefile", branch="main")'
    other_workflow(elsewhere, snakefile, ["results/metrics.tsv"])
    done = run(
        elsewhere,
        "-n",
        GITHUB_TOKEN="",
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        PYTHONPATH=str(ROOT / "workflow_scripts"),
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0=f"url.file://{tmp_path}/hosted/.insteadOf",
        GIT_CONFIG_VALUE_0="https://github.com/",
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "rule jamie_train_jamie:" in done.stdout + done.stderr
