"""The search: spoiled inputs of one kind, each read in a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

from fuzz.forked import Outcome
from fuzz.kinds import KINDS, outcome


def fuzz(
    name: str, n_inputs: int, seed: int, folder: Path, seen: Callable = lambda change, found: None
) -> list[Outcome]:
    """Outcomes of ``n_inputs`` spoiled inputs of a kind, the same for the same seed.

    Parameters
    ----------
    folder
        For the files; empty.
    seen
        Called with each change and its outcome; what it raises ends the search.

    Raises
    ------
    AssertionError
        The sound input is not read as its plain reader does.
    """
    kind, found = KINDS[name], []
    (folder / "sound" / "made").mkdir(parents=True)
    sound = kind.make(folder / "sound")
    (folder / "sound" / "outputs").mkdir()
    # here, not in the processes to come: what is imported once need not be again
    read = kind.read(sound, folder / "sound" / "outputs")
    if not kind.same(read, kind.plain(sound)):
        raise AssertionError(f"{name} is not read as it is")

    @hypothesis.seed(seed)
    @settings(
        max_examples=n_inputs,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(kind.changes)
    def one(change):
        place = folder / "one"
        shutil.rmtree(place, ignore_errors=True)
        (place / "outputs").mkdir(parents=True)
        (place / "made").mkdir()
        path = place / sound.name
        if sound.is_dir():
            shutil.copytree(sound, path)
            change(path)
        else:
            path.write_bytes(change(sound.read_bytes()))
        found.append(outcome(kind, path, place / "outputs"))
        if seen:
            seen(change, found[-1])

    one()
    return found
