"""Runs of the whole workflow, each in a folder of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
PARTS = (".ci", "config", "envs", "profiles", "report", "rules", "tests", "workflow", "workflow_scripts")
FILES = ("Makefile", "Snakefile", "pyproject.toml", "README.md")
# a config under which a whole run takes few jobs, each of them short
TINY = {
    "run": {
        "methods": ["jamie", "floor_mean"],
        "scenarios": ["paired_50"],
        "seeds": [0],
        "figures": "comparison",
        "explain": False,
    },
    "datasets": {
        "simulated_multiome": {
            "options": {"n_cells": 240, "n_genes": 80, "n_peaks": 200, "paired_fraction": 0.75}
        }
    },
    "methods": {"jamie": {"options": {"max_epochs": 4, "min_steps": 20}}},
}


def snakemake(folder: Path, *arguments: str, overlay: dict | None = None) -> subprocess.CompletedProcess:
    """Run the workflow in ``folder`` on 2 cores with ``overlay`` merged over the shipped config."""
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2", *arguments]
    if overlay is not None:
        path = folder / "overlay.yaml"
        path.write_text(yaml.safe_dump(overlay))
        command += ["--configfile", str(path)]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=3600, env=os.environ | {"COLUMNS": "200"}
    )


def checked_out(folder: Path) -> Path:
    """The folder, with a copy of the repository in it; its .venv is this Python's environment."""
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy2(ROOT / file, folder)
    (folder / ".venv").mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        if (Path(sys.prefix) / part).exists():
            (folder / ".venv" / part).symlink_to(Path(sys.prefix) / part)
    (folder / ".venv/.runtime").touch()
    (folder / ".venv/.test").touch()
    return folder


def fenced(text: str, language: str) -> list[str]:
    """What the fenced blocks of that language in a markdown text hold."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)


def local_files(config: Path) -> set[Path]:
    """All files that datasets of this config, and of the shipped one under it, give by their ``path``."""
    found, nodes = set(), [yaml.safe_load(file.read_text()) for file in (ROOT / "config/config.yaml", config)]
    while nodes:
        node = nodes.pop()
        if isinstance(node, dict):
            nodes += node.values()
            found |= {Path(node["path"])} if isinstance(node.get("path"), str) else set()
        elif isinstance(node, list):
            nodes += node
    return found
