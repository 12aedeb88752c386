"""A method that fails: a record stands in the place of its outputs, and of all that needs them."""

from __future__ import annotations

import html
import logging
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jamie import io, unmade
from jamie.errors import InputError
from jamie.evaluation import roles
from jamie.jobs import attempts, checksums

log = logging.getLogger("jamie")


@contextmanager
def recorded(snakemake, judges: Iterable[str] = ()) -> Iterator[None]:
    """Around the work of a job: a failure of a method is recorded (`jamie.jobs.attempts`), and it ends well.

    Where an input is such a record, the work is not begun.

    Parameters
    ----------
    judges
        Names of inputs that the script itself holds against `jamie.unmade.read`.

    Raises
    ------
    Exception
        As the work raised it, where the rule is no method's or another attempt may succeed.
    """
    attempt = attempts.Attempt.of(snakemake)
    if record := _among_inputs(snakemake, judges) or (attempt and attempt.begin()):
        _record(snakemake, record)
        checksums.record(snakemake.output, rule=snakemake.rule, log=snakemake.log[0])
        sys.exit(0)
    try:
        yield
    except Exception as error:
        record = attempt and attempt.fail(error)
        if not record:
            raise
        if isinstance(error, InputError):
            log.error("\nError: %s\n", error)
        else:
            log.exception("The method failed")
        _record(snakemake, record)
    else:
        if attempt:
            attempt.end()


def _among_inputs(snakemake, judges: Iterable[str]) -> dict | None:
    """The first record of a failure among the inputs, but for those that the script judges."""
    judged = [snakemake.input.get(name, []) for name in judges]
    judged = {path for files in judged for path in ([files] if isinstance(files, str) else files)}
    records = (unmade.read(path) for path in getattr(snakemake, "input", ()) if path not in judged)
    return next(filter(None, records), None)


def _record(snakemake, record: dict) -> None:
    log.error("%s", unmade.in_words(record, record["method"]))
    for path in snakemake.output:
        place(path, record)


def words(record: dict) -> str:
    """That something was not made, and why, in plain text."""
    return f"Not made: {unmade.in_words(record, roles.label(record['method']))}."


def place(path: str | Path, record: dict) -> None:
    """Put a record where an output would be, in place of whatever is there.

    A figure, a page of HTML and the numbers of a caption say it in words; everything else, a folder (a path
    without suffix) too, holds the record (`jamie.unmade`).
    """
    path = Path(path)
    text = words(record)
    if path.is_dir():
        shutil.rmtree(path)
    if path.suffix == ".svg":
        _draw(path, text)
    elif path.suffix == ".html":
        io.write_text(path, f"<!DOCTYPE html>\n<meta charset='utf-8'>\n<p>{html.escape(text)}</p>\n")
    elif path.suffix == ".rst":
        from jamie.evaluation import phrases

        io.write_text(path, f"{phrases.as_it_is(text)}\n")
    elif path.suffix:
        io.write_text(path, unmade.text(record))
    else:
        with io.atomic(path) as folder:
            folder.mkdir()
            io.write_text(folder / unmade.IN_FOLDER, unmade.text(record))
            _draw(folder / "unmade.svg", text)


def _draw(path: Path, text: str) -> None:
    from jamie.plots import style

    style.save(style.notice(text), path)
