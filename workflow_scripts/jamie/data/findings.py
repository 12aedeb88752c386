"""What is found in a dataset that its owner should know: refused, a warning, or worth a word."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import pandas as pd

from jamie import contract as c
from jamie.errors import InputError

log = logging.getLogger(__name__)

SOME = 3  # examples in a sentence


@dataclass(frozen=True)
class Finding:
    """One thing found, in the words of an `InputError`.

    Attributes
    ----------
    severity
        `contract.REFUSED`: nothing is fitted; `contract.WARNING`: it may spoil results; `contract.NOTICE`:
        what was noticed or changed while reading. The last two stand on the first page of the report.
    problem, expected, found, change
        As of `InputError`; of a notice all but ``problem`` are empty.
    """

    severity: str
    problem: str
    found: str
    expected: str = ""
    change: str = ""

    def error(self) -> InputError:
        return InputError(self.problem, expected=self.expected, found=self.found, change=self.change)

    def sentence(self) -> str:
        """In one line: what is wrong, what was found, what helps."""
        change = f". What helps: {self.change}" if self.change else ""
        found = f": {self.found}" if self.found else ""
        return " ".join(f"{self.problem}{found}{change}.".split())


def to_table(findings: Iterable[Finding]) -> pd.DataFrame:
    """The content of ``findings.tsv``: FINDING_COLUMNS, one row each."""
    return pd.DataFrame([asdict(finding) for finding in findings], columns=list(c.FINDING_COLUMNS))


def from_table(table: pd.DataFrame) -> list[Finding]:
    """The findings of such a table, as it is read from a file."""
    return [Finding(**row) for row in table.fillna("").astype(str).to_dict("records")]


def of_notices(table: pd.DataFrame) -> list[Finding]:
    """What was noted while a dataset was read (`jamie.data.notices.table`), as findings."""
    told = []
    for row in table.fillna("").itertuples(index=False):
        about = f"{row.modality}: {row.what}" if row.modality else row.what
        some = ", ".join(row.examples.split(", ")[:SOME]) + (", ..." if row.n > SOME else "")
        number = f"{row.n:,}" + (f": {some}" if row.examples else "")
        told.append(Finding(c.NOTICE, f"{about} ({number})" if row.n else about, ""))
    return told


def of_error(error: InputError) -> Finding:
    """What stops a job, as a finding beside others."""
    return Finding(c.REFUSED, error.problem, error.found, error.expected, error.change)


def refused(findings: Iterable[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.severity == c.REFUSED]


def speak(findings: list[Finding]) -> None:
    """Log warnings (notices were logged when they were noted), and `stop` at what is refused."""
    warnings = [finding for finding in findings if finding.severity == c.WARNING]
    for finding in warnings + refused(findings)[1:]:
        log.warning("%s: %s", finding.severity.capitalize(), finding.sentence())
    stop(findings)


def stop(findings: list[Finding]) -> None:
    """Raise the first InputError of what is refused, if anything is."""
    for finding in refused(findings):
        raise finding.error()
