"""What was found or changed while reading a dataset, so that its first page can say it.

Anything in this room calls `note`. It is a line of the log wherever it is called, and a row of a table within
`collected`: the job that ingests a dataset writes that table beside the dataset.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import pandas as pd

log = logging.getLogger(__name__)

COLUMNS = ("modality", "what", "n", "examples")
EXAMPLES, IN_LOG = 100, 5  # names in the table, and in a line of the log


def note(modality: str, what: str, names: Collection = (), n: int | None = None) -> None:
    """Say what was found or changed.

    Parameters
    ----------
    modality
        The one it is about; "" for the dataset.
    what
        A sentence without its full stop, such as "empty cells were left out".
    names
        Of the cells or features it is about.
    n
        How many they are; None: as many as there are names.
    """
    names = [str(name) for name in names]
    row = (modality, what, len(names) if n is None else int(n), ", ".join(names[:EXAMPLES]))
    some = f": {', '.join(names[:IN_LOG])}{', ...' if row[2] > IN_LOG else ''}" if names else ""
    about = f" ({row[2]:,}{some})"
    log.warning(
        "%s%s%s", f"{modality}: " if modality else "", what, about if row[2] else "", extra={"row": row}
    )


@contextmanager
def collected() -> Iterator[list[tuple]]:
    """The rows of what is noted inside the block, in order: (modality, what, n, examples)."""
    rows: list[tuple] = []

    class Collector(logging.Handler):
        def emit(self, record):
            rows.append(record.row)

    collector = Collector()
    log.addHandler(collector)
    try:
        yield rows
    finally:
        log.removeHandler(collector)


def table(rows: list[tuple]) -> pd.DataFrame:
    """Columns `COLUMNS`, a row for each notice; the same said twice is one."""
    return pd.DataFrame(rows, columns=list(COLUMNS)).drop_duplicates(ignore_index=True)
