"""Whether the files of a finished run are as its jobs read and wrote them: ``python -m jamie.report.verify``.

Run in the folder of a run. Every output with a record under ``checksums/``, and every input that an
``inputs.json`` among them names, is hashed again. The exit status is 1 where one differs or is missing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from jamie import io
from jamie.data.inputs import contents
from jamie.data.stored import in_storage
from jamie.errors import InputError
from jamie.jobs import checksums

INPUTS = ("inputs.json", "annotation_inputs.json", "linked_inputs.json")
LATER = (
    "report.html",
    "ro-crate-metadata.json",
    "ro-crate-config.yaml",
    "ro-crate-workflow",
)  # by no job of the run
OWN = (".snakemake_timestamp", "checkpoint.pt")  # what Snakemake and a fit keep beside results


class Found(NamedTuple):
    """What a look at a run found: one line of words each, and how many files were hashed."""

    differs: list[str]
    missing: list[str]
    added: list[str]
    elsewhere: list[str]
    n_files: int


def look() -> Found:
    """Hash what a run in the working folder read and wrote.

    Raises
    ------
    InputError
        No run in this folder has left records.
    """
    found = Found([], [], [], [], 0)
    known = dict(checksums.recorded())
    if not known:
        raise InputError(
            "There is no run to verify",
            expected=f"{checksums.FOLDER}/, in which each job of a run leaves checksums",
            found="no record there",
            change="the folder, or run the workflow first",
        )
    for difference in checksums.verify(known):
        words = f"{difference.path}: recorded {difference.expected}, found {difference.found}"
        (found.differs if difference.path.is_file() else found.missing).append(words)
    n_files = sum(len(record["files"]) for record in known.values())
    read = _inputs(known)
    for path, then, now in inputs_of(read):
        n_files += 1
        if now is None:
            found.missing.append(f"{path}: input, recorded {_in_words(then)}")
        elif then is None:
            found.added.append(f"{path}: in a folder that was read")
        elif now != then:
            found.differs.append(f"{path}: input, recorded {_in_words(then)}, found {_in_words(now)}")
    addresses = (about["source"].get("path") for about in read)
    found.elsewhere.extend(sorted(filter(in_storage, addresses)))
    found.added.extend(added(known))
    return found._replace(n_files=n_files)


def inputs_of(read: list[dict]) -> Iterator[tuple[Path, dict | None, dict | None]]:
    """Every file that was read from outside: its path, and its account as recorded and as it is now."""
    for about in read:
        if not in_storage(about["source"].get("path")):
            path, then = Path(about["path"]), about["files"]
            now = contents(path)
            for name in sorted(then.keys() | now.keys()):
                yield path / name if name else path, then.get(name), now.get(name)


def added(known: dict[Path, dict]) -> list[str]:
    """Files under ``results/``, wherever that is, that no job wrote."""
    recorded = {name for record in known.values() for name in record["files"]}
    tops = {Path(*path.parts[: path.parts.index("results") + 1]) for path in known if "results" in path.parts}
    there = (path for top in tops for path in top.rglob("*") if path.is_file() and path.name not in OWN)
    later = {top / name for top in tops for name in LATER}
    return sorted(
        str(path) for path in there if not later & {path, *path.parents} and str(path) not in recorded
    )


def _inputs(known: dict[Path, dict]) -> list[dict]:
    """What `jamie.data.inputs.account` says of every input, of all lists of inputs that are left."""
    lists = (path for path in known if path.name in INPUTS and path.parts[-3:-2] == ("resources",))
    return [about for path in lists if path.exists() for about in io.read_json(path).values()]


def _in_words(account: dict) -> str:
    return f"{account['size']:,} bytes, sha256 {account['sha256']}"


def main() -> int:
    """Print what was found; 1 where something differs or is missing, 2 where there is nothing to verify."""
    try:
        found = look()
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    titles = {
        "differs": "Differs from what was recorded",
        "missing": "Missing",
        "added": "Added: written by no job of the run",
        "elsewhere": "Not looked at: in a storage",
    }
    for name, title in titles.items():
        if lines := getattr(found, name):
            print(f"{title} ({len(lines)}):", *lines, sep="\n  ")
    wrong = len(found.differs) + len(found.missing)
    print(f"{found.n_files:,} files, of which {wrong} are not as recorded")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
