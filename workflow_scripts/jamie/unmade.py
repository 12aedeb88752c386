"""The record that stands where a failed method did not make a file: no reader takes it for one.

Snakemake runs nothing whose inputs are missing, and one method that fails shall not keep the others from
being scored. So something lies in the place of each of its files: what failed, why, and where the log is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from jamie.errors import InputError

MARK = '{\n  "unmade": true'  # how every record begins
IN_FOLDER = "unmade.json"
LOG = "; log: "  # between a reason and where to read on


def text(record: dict) -> str:
    """A record as JSON."""
    return json.dumps({"unmade": True} | record, indent=2) + "\n"


def read(path: str | Path) -> dict | None:
    """The record at the place of a file or folder; None where there is the file itself, or nothing.

    Returns
    -------
    ``status`` ("failed"), ``reason``, ``log``, ``rule``, ``dataset``, ``scenario``, ``method``, ``seed``.
    """
    path = Path(path)
    path = path / IN_FOLDER if path.is_dir() else path
    if not path.is_file():
        return None
    with path.open("rb") as file:
        if file.read(len(MARK)) != MARK.encode():
            return None
    return json.loads(path.read_text())


def refuse(path: str | Path) -> None:
    """Raise InputError if there is a record at the place of this file or folder."""
    if record := read(path):
        raise InputError(
            f"{path} was not made, because a method failed",
            expected="what the method makes",
            found=in_words(record, record["method"]),
            change="what the log says; the same command then tries the method again",
        )


def in_words(record: dict, label: str) -> str:
    """Which method failed, where and why, and its log."""
    return (
        f"{label} failed in {record['dataset']}, {record['scenario']}, seed {record['seed']}: {why(record)}"
    )


def why(record: dict) -> str:
    """The reason of a failure, and where to read on."""
    return f"{record['reason']}{LOG}{record['log']}"


def alike(reasons: Iterable[str]) -> list[str]:
    """Reasons, those that differ by the log or by numbers alone, as of seeds, as one: the first of these."""
    kinds: dict[str, dict[str, list[str]]] = {}
    for reason in dict.fromkeys(reasons):
        said, _, path = reason.partition(LOG)
        kind = kinds.setdefault(re.sub(r"-?\d[\d,.]*", "0", said), {})
        kind.setdefault(said, []).extend([path] if path else [])
    found = []
    for kind in kinds.values():
        first, paths = next(iter(kind)), [path for of in kind.values() for path in of]
        others = f" (and {len(kind) - 1} more with other numbers)" if len(kind) > 1 else ""
        more = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
        found.append(f"{first}{others}{LOG}{paths[0]}{more}" if paths else f"{first}{others}")
    return found


def without_logs(text: str) -> str:
    """Reasons as `alike` gives them, for where there is no room for paths."""
    return re.sub(rf"{re.escape(LOG)}[^\s;]+( and \d+ more)?", "", text)
