"""Runs of the whole workflow, each in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


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
