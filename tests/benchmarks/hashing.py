"""What checksums cost in a finished run: CPU time to hash what its jobs wrote, and what they read.

    python tests/benchmarks/hashing.py FOLDER

FOLDER is that of the run. Which job read what is in Snakemake's own metadata; a file counts once for each.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow_scripts"))


def main() -> None:
    from jamie.jobs import checksums

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    written = {name for _, record in checksums.recorded(folder) for name in record["files"]}
    read = [name for names in inputs_of_jobs(folder) for name in names if name in written]
    print("", "files", "MB", "CPU s", "CPU s per GB", sep="\t")
    for what, names in (("written", sorted(written)), ("read", read)):
        files = [folder / name for name in names if (folder / name).is_file()]
        size_mb = sum(file.stat().st_size for file in files) / 2**20
        start = time.process_time()
        for file in files:
            checksums.sha256(file)
        cpu_s = time.process_time() - start
        per_gb = f"{cpu_s / size_mb * 1024:.2f}" if size_mb else "nothing"
        print(what, len(files), f"{size_mb:.0f}", f"{cpu_s:.2f}", per_gb, sep="\t")


def inputs_of_jobs(folder: Path) -> list[list[str]]:
    """Every file that is an input of each job of a finished run, those in folders too."""
    jobs = {}
    for path in (folder / ".snakemake/metadata").rglob("*"):
        if path.is_file():
            about = json.loads(path.read_text())
            jobs[tuple(about["log"] or [path.name])] = about["input"] or []  # once for all outputs of a job
    return [[file for name in names for file in files_of(folder, name)] for names in jobs.values()]


def files_of(folder: Path, name: str) -> list[str]:
    path = folder / name
    inside = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [str(file.relative_to(folder)) for file in inside if file.is_file()]


if __name__ == "__main__":
    main()
