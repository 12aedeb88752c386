"""How large the files of a dataset are, as far as that is known without fetching or reading anything."""

from __future__ import annotations

import zipfile
from pathlib import Path

from jamie.data import sources
from jamie.data.stored import in_storage

PREPARED_PER_MB = 2.0  # of ingested.h5mu: prepared.h5mu holds two numbers for every value, counts and scaled


def size_mb(path: str | Path) -> float:
    """Size of a file, or of all files in a folder, MB.

    Raises
    ------
    FileNotFoundError
        There is neither.
    """
    path = Path(path)
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files) / 2**20


def sources_mb(dataset: dict, folder: Path, mirror: str | Path | None = None) -> float:
    """Size of all files of a dataset, MB: where they lie, in the mirror, or as they were fetched before.

    Parameters
    ----------
    dataset, folder, mirror
        As of `jamie.data.sources.fetch_all`.

    Raises
    ------
    FileNotFoundError
        A download, or a file in a storage, is not here yet.
    """
    given = {f"files.{role}": source for role, source in dataset["files"].items()}
    given |= {"correspondence": dataset["correspondence"]} if dataset["correspondence"] else {}
    return sum(_source_mb(source, key, folder, mirror) for key, source in given.items())


def _source_mb(source: dict, key: str, folder: Path, mirror: str | Path | None) -> float:
    name = sources.download_name(source, key)
    if in_storage(source.get("path")):
        raise FileNotFoundError(f"{source['path']} is not here yet")
    if name is None:
        return size_mb(sources.located(source, mirror, key))
    # two downloads of one name go to folders named by their roles
    places = [folder / name, folder / key.removeprefix("files.") / name]
    places += [Path(mirror) / name] if mirror else []
    found = next((place for place in places if place.is_file()), None)
    if found is None and source.get("pypi") and mirror:
        return _member_mb(source, Path(mirror))
    if found is None:
        raise FileNotFoundError(f"{name} is not here yet")
    return size_mb(found)


def _member_mb(source: dict, mirror: Path) -> float:
    """Size of a member of a wheel in the mirror, MB."""
    wheel = sources.mirrored_wheel(mirror, *source["pypi"].split("=="))
    if wheel is None:
        raise FileNotFoundError(f"the wheel of {source['pypi']} is not here yet")
    with zipfile.ZipFile(wheel) as archive:
        return archive.getinfo(source["member"]).file_size / 2**20
