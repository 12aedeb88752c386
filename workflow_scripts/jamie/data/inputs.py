"""What a job read that no other job had written: the files of a dataset, with their size and checksum."""

from __future__ import annotations

from pathlib import Path

from jamie.jobs.checksums import sha256


def account(sources: dict[str, dict], files: dict[str, Path]) -> dict[str, dict]:
    """What was read, for ``inputs.json``.

    Parameters
    ----------
    sources
        Role to its source in the config.
    files
        Role to the file or folder that was read.

    Returns
    -------
    Role to ``source`` (what the config says of it), ``path``, and ``files``: their names below the path (""
    where it is a file itself) to ``size`` in bytes and ``sha256``.
    """
    return {
        role: {
            "source": {key: value for key, value in sources[role].items() if value is not None},
            "path": str(path),
            "files": contents(path),
        }
        for role, path in files.items()
    }


def contents(path: Path) -> dict[str, dict]:
    """Name below ``path``, or "" where that is a file, to ``size`` in bytes and ``sha256``, of every file."""
    if not path.is_dir():
        return {"": _account(path)} if path.is_file() else {}
    files = sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file.relative_to(path)): _account(file) for file in files}


def _account(file: Path) -> dict:
    return {"size": file.stat().st_size, "sha256": sha256(file)}
