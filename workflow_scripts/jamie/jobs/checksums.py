"""Checksums of what jobs write, so that nothing that was cut or spoilt afterwards is taken for whole.

Each output has a record of its own, ``checksums/OUTPUT.json``, as jobs end at the same time. It holds

- ``rule``, ``log``: what wrote it;
- ``files``: path -> ``size`` in bytes, ``mtime_ns`` in ns since 1970, ``sha256``; of a folder each file.

A file without a record, as one that nobody's job wrote, is read as it is.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from jamie.errors import InputError
from jamie.io import read_json, write_json

FOLDER = Path("checksums")
OF_SNAKEMAKE = ".snakemake_timestamp"  # which it puts into every folder that is an output


class Difference(NamedTuple):
    """A file that is not as the job that wrote it left it."""

    output: Path  # the output it is, or lies in
    path: Path
    expected: str
    found: str
    rule: str

    def error(self, together_with: Iterable[str | Path] = ()) -> InputError:
        """The same for whoever wanted to read it; see `check`."""
        remove = " ".join(shlex.quote(str(path)) for path in (self.output, *together_with))
        remove = f"rm {'-r ' if self.output.is_dir() else ''}{remove}"
        forget = f"rm {shlex.quote(str(record_path(self.output)))}"
        return InputError(
            f"{self.path} is not as rule {self.rule} wrote it",
            expected=self.expected,
            found=self.found,
            change=f"delete it and give the same command again, which makes it anew: {remove}; or, if it was "
            f"changed on purpose, delete what is known of it: {forget}",
        )


def record_path(output: str | Path) -> Path:
    """Where the record of an output lies, relative to the working folder as the output itself."""
    output = Path(output)
    if output.is_absolute():
        output = output.relative_to(Path.cwd() if output.is_relative_to(Path.cwd()) else output.anchor)
    return FOLDER / f"{output}.json"


def record(outputs: Iterable[str | Path], *, rule: str, log: str) -> None:
    """Write the record of each output, a file or a folder; one that is not there has none."""
    for output in map(Path, outputs):
        forget([output])
        if output.exists():
            files = {str(file): _account(file) for file in _files(output)}
            write_json(record_path(output), {"rule": rule, "log": log, "files": files})


def forget(outputs: Iterable[str | Path]) -> None:
    """Remove the records of outputs that are about to be written anew."""
    for output in outputs:
        record_path(output).unlink(missing_ok=True)


def verify(paths: Iterable[str | Path]) -> list[Difference]:
    """What differs from its record among these outputs and all files in them, in their order."""
    return [difference for path in paths for difference in _differences(Path(path))]


def check(paths: Iterable[str | Path], together_with: Iterable[str | Path] = ()) -> None:
    """The same for a job that is about to read them.

    Parameters
    ----------
    together_with
        Outputs to delete with one that is spoilt, where that is none for Snakemake, so that it is made anew.

    Raises
    ------
    InputError
        A file is not as it was written; it names the first, and how to make it anew.
    """
    for difference in verify(paths):
        raise difference.error(together_with)


def recorded(folder: str | Path = ".") -> Iterator[tuple[Path, dict]]:
    """Each output that the runs in a folder have a record of, relative to the folder, and the record.

    Raises
    ------
    InputError
        A record cannot be read.
    """
    root = Path(folder) / FOLDER
    for path in sorted(root.rglob("[!.]*.json")):
        yield path.relative_to(root).with_suffix(""), _read(path)


def _files(output: Path) -> list[Path]:
    if not output.is_dir():
        return [output]
    return sorted(file for file in output.rglob("*") if file.is_file() and file.name != OF_SNAKEMAKE)


def sha256(path: str | Path) -> str:
    """Of a file, in hexadecimals."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()  # quicker than blake2b where CPUs know it


def _account(path: Path) -> dict:
    about = path.stat()
    return {"size": about.st_size, "mtime_ns": about.st_mtime_ns, "sha256": sha256(path)}


def _differences(output: Path) -> Iterator[Difference]:
    path = record_path(output)
    if not path.exists():
        return
    try:
        about = _read(path)
    except InputError as error:
        yield Difference(output, path, error.expected, error.found, "(unknown)")
        return
    for name, then in about["files"].items():
        file, expected = Path(name), f"{_in_words(then)} ({about['log']})"
        if not file.is_file():
            yield Difference(output, file, expected, "no such file", about["rule"])
        elif any((now := _account(file))[key] != then[key] for key in ("size", "sha256")):
            when = datetime.fromtimestamp(now["mtime_ns"] / 1e9)
            found = f"{_in_words(now)}, of {when:%Y-%m-%d %H:%M:%S}"
            yield Difference(output, file, expected, found, about["rule"])


def _in_words(account: dict) -> str:
    return f"{account['size']:,} bytes, sha256 {account['sha256']}"


def _read(path: Path) -> dict:
    """A record, as far as it is one."""
    try:
        about = read_json(path)
        for then in about["files"].values():
            _in_words(then)
        return {key: about[key] for key in ("rule", "log", "files")}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(
            f"{path} is no record of a checksum",
            expected="JSON as written here, with rule, log and files",
            found=f"{type(error).__name__}: {error}",
            change="delete it, and what it is about",
        ) from error
