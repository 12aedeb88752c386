"""Which paths of the config are addresses in a storage, such as ``s3://bucket/file``."""

from __future__ import annotations

import re

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def in_storage(path: object) -> bool:
    """Whether a path is an address in a storage: Snakemake brings the file, no program here opens it."""
    return isinstance(path, str) and ADDRESS.match(path) is not None


def roles_in_storage(files: dict[str, object]) -> list[str]:
    """Those roles (role -> path) whose path is an address, in the order in which they are handed to a job."""
    return sorted(role for role, path in files.items() if in_storage(path))
