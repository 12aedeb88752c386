"""Text tables: cells in the rows, names in the first column and the first line, in whatever dialect."""

from __future__ import annotations

import csv
import gzip
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from jamie.data import checks, stores
from jamie.data.notices import note
from jamie.errors import InputError

SPACES = r"\s+"
# the separators of a table by its ending, the usual one first; others are tried after these
SEPARATORS = {".csv": (",",), ".tsv": ("\t",), ".txt": ("\t", ",", ";", SPACES), ".tab": ("\t",)}
ALL_SEPARATORS = (",", ";", "\t")
WORDS = {",": "commas", ";": "semicolons", "\t": "tabs", SPACES: "white space"}
FORM = "a text table with a header, first column = cell names"
SAMPLE = 30  # lines from which the dialect is told
# ways to write numbers: mark of thousands, decimal mark
MARKS = ((",", "."), (".", ","), (" ", "."), (" ", ","), ("\u00a0", ","), ("\u202f", ","), ("'", "."))
NUMBER = r"(?=[^eE]*\d)[+-]?(\d{{1,3}}({0}\d{{3}})+|\d+)?({1}\d*)?([eE][+-]?\d+)?"


@dataclass(frozen=True)
class Dialect:
    """How a table is written: separator, header, lines before the data, encoding, compression."""

    sep: str
    header: list[str]
    skip: int
    encoding: str
    compression: str | None
    trailing: bool  # every line of data ends in a separator

    def read(self, path: Path, **options) -> pd.DataFrame:
        """The data (n rows, columns by position); names in the first column as written, even "nan"."""
        return pd.read_csv(
            path,
            sep=self.sep,
            header=None,
            skiprows=self.skip,
            converters={0: str},
            encoding=self.encoding,
            compression=self.compression,
            low_memory=False,
            **options,
        )


def read_table(dataset: dict, files: dict[str, Path]) -> dict:
    """A text table of numbers under each modality's name: cells x features, in any usual dialect.

    Decimal commas and separators of thousands are recognised where one way to read them fits all.
    """
    import anndata

    contents = {}
    for name, spec in dataset["modalities"].items():
        whole = spec["kind"] != "continuous" and spec["values"] == "counts"
        frame = read_numbers(files[name], f"files.{name}", whole=whole)
        obs, var = pd.DataFrame(index=frame.index), pd.DataFrame(index=frame.columns)
        contents[name] = anndata.AnnData(frame.to_numpy(dtype=np.float32), obs=obs, var=var)
    return contents


def dialect(path: Path) -> Dialect:
    """How a text table is written, from its ending and its first lines.

    Raises
    ------
    InputError
        The ending is not that of a text table.
    """
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in SEPARATORS:
        raise InputError(
            f"{path} is not a known kind of text table",
            expected=f"a name ending in {', '.join(SEPARATORS)}, or one of these and .gz",
            found=path.name,
            change="rename the file, or choose another `reader:` for the dataset",
        )
    start = stores.first_bytes(path)
    gzipped = start.startswith(stores.GZIP)
    with gzip.open(path) if gzipped else open(path, "rb") as raw:
        encoding = "utf-16" if raw.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    with gzip.open(path, "rt", encoding=encoding) if gzipped else open(path, encoding=encoding) as text:
        lines = [line.rstrip("\r\n") for line in itertools.islice(text, 10 * SAMPLE)]
    commented = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    rest = [line for line in lines[commented:] if line.strip()][:SAMPLE]
    usual = SEPARATORS[suffix]
    sep = _sep(rest, (*usual, *(other for other in ALL_SEPARATORS if other not in usual))) or usual[-1]
    at = commented
    if commented and rest and _is_header(lines[commented - 1], rest[0], sep):
        at, rest = commented - 1, [lines[commented - 1].lstrip("#").strip(), *rest]
    elif rest:
        at = next(i for i in range(commented, len(lines)) if lines[i].strip())
    _say_if_unusual(path, sep, usual, at)
    header = _fields(rest[0], sep) if rest else []
    widths = {len(_fields(line, sep)) for line in rest[1:]}
    trailing = len(rest) > 1 and sep != SPACES and all(line.endswith(sep) for line in rest[1:])
    trailing = trailing and ((header[-1:] == [""]) or widths == {len(header) + 1})
    return Dialect(sep, header, at + 1, encoding, "gzip" if gzipped else None, trailing)


def _say_if_unusual(path: Path, sep: str, usual: tuple[str, ...], comments: int) -> None:
    if sep not in usual:
        note("", f"{path.name} is separated by {WORDS[sep]}, not by {WORDS[usual[0]]}, and was read so")
    if comments:
        note("", f"{path.name}: {comments} lines before the header were left out")


def _sep(lines: list[str], candidates: tuple[str, ...]) -> str | None:
    """The first separator that splits all lines alike, the header too, or into one field more or less."""
    fits = {}
    for sep in candidates:
        header, *widths = [len(_fields(line, sep)) for line in lines] or [0]
        if len(set(widths)) <= 1 and max([header, *widths]) > 1:
            fits[sep] = header - (widths[0] if widths else header)
    exact = [sep for sep, more in fits.items() if more == 0]
    return next(iter(exact or [sep for sep, more in fits.items() if more in (-1, 1)]), None)


def _fields(line: str, sep: str) -> list[str]:
    return line.split() if sep == SPACES else next(csv.reader([line], delimiter=sep), [])


def _is_header(comment: str, line: str, sep: str) -> bool:
    """Whether the last line that begins with # names the columns, as in ``#cell<tab>g1<tab>g2``."""
    names = _fields(comment.lstrip("#").strip(), sep)
    return len(names) > 1 and len(names) == len(_fields(line, sep)) and bool(re.match(r"#\S", comment))


def read_frame(path: Path) -> pd.DataFrame:
    """A text table with a header; first column = cell names (n cells, p columns).

    Names stay as written ("01" is no number, "nan" is a name, repeated columns are not renamed). The header
    may lack a field for the first column, as R writes it, and lines may end in a separator. The separator is
    that of the ending if it splits the lines alike, else a comma, semicolon or tab that does.

    Raises
    ------
    InputError
        It cannot be read, its lines have different numbers of fields, or a row has no name.
    """
    return _read(path)[0]


def _read(path: Path) -> tuple[pd.DataFrame, Dialect]:
    with checks.readable(path, FORM, "table"):
        form = dialect(path)
        frame = form.read(path)
    return _named(path, form, frame), form


def _named(path: Path, form: Dialect, frame: pd.DataFrame) -> pd.DataFrame:
    """The data with the names of its rows and columns."""
    columns = form.header
    if form.trailing and frame.iloc[:, -1].isna().all():
        frame = frame.iloc[:, :-1]
        columns = columns[:-1] if columns[-1] == "" else columns
    elif frame.shape[1] > 1 and frame.iloc[:, -1].isna().any():
        _check_widths(path, form, frame.shape[1])
    if len(columns) == frame.shape[1]:
        columns = columns[1:]
    if len(columns) != frame.shape[1] - 1:
        raise InputError(
            f"{path} has a header that does not fit",
            expected=f"{frame.shape[1]} names, one per column",
            found=f"{len(columns)} names, the first {', '.join(columns[:3])}",
            change="the file",
        )
    blank = frame.loc[frame[0] == ""]
    empty = blank.index[blank.iloc[:, 1:].isna().all(axis=1)]
    if len(empty):  # as spreadsheets leave them at the end
        note("", f"{path.name}: {len(empty)} empty rows were left out")
        frame = frame.drop(index=empty)
    unnamed = np.flatnonzero(frame[0] == "")
    if len(unnamed):
        raise InputError(
            f"{path} has rows without a cell name",
            expected="the name of a cell in the first column of each row",
            found=f"none in {len(unnamed)} of {len(frame)} rows, the first row {unnamed[0] + 1} of the data",
            change="the file",
        )
    index = pd.Index(frame[0].to_numpy(), dtype=object)
    return frame.iloc[:, 1:].set_axis(pd.Index(columns, dtype=object), axis=1).set_axis(index)


def _check_widths(path: Path, form: Dialect, width: int) -> None:
    """Refuse lines with fewer fields: pandas fills them up with missing values."""
    with (
        gzip.open(path, "rt", encoding=form.encoding)
        if form.compression
        else open(path, encoding=form.encoding, newline="") as text
    ):
        lines = itertools.islice(text, form.skip, None)
        rows = map(str.split, lines) if form.sep == SPACES else csv.reader(lines, delimiter=form.sep)
        last, short = 0, []
        for last, fields in enumerate((row for row in rows if row), start=1):
            if len(fields) < width:
                short.append((last, len(fields)))
    if short:
        at, n = short[0]
        ends_early = len(short) == 1 and at == last
        raise InputError(
            f"{path} has lines with too few fields",
            expected=f"{width} fields in every line",
            found=f"{len(short)} lines with fewer, the first of {n} fields: row {at} of {last}",
            change="get the file again (it may be truncated)" if ends_early else "the file",
        )


def read_numbers(path: Path, key: str, *, whole: bool) -> pd.DataFrame:
    """A table of numbers (n cells, p features), NaN where a value is missing.

    Parameters
    ----------
    path
        As of `read_frame`.
    key
        Config key of the file, for messages.
    whole
        Whether whole numbers are meant, so that 1,234 is no fraction.

    Raises
    ------
    InputError
        As `read_frame`; a column that holds no numbers; numbers that can be read in two ways.
    """
    frame, form = _read(path)
    odd = [i for i, kind in enumerate(frame.dtypes) if kind.kind not in "iuf"]
    if not odd:
        return frame
    # numbers such as 1.234 beside 5,5 may have passed as numbers, too: all are read again, as text
    text = form.read(path, dtype=dict.fromkeys(range(1, len(form.header) + 2), str))
    words = pd.unique(text.iloc[:, 1 : frame.shape[1] + 1].stack())
    words = pd.Series(words, dtype=object)
    fits = [marks for marks in MARKS if words.str.fullmatch(NUMBER.format(*map(re.escape, marks))).all()]
    if not fits or frame.dtypes.iloc[odd].eq(bool).any():
        raise _no_numbers(path, key, frame, odd)
    if len({decimal for _, decimal in fits}) > 1 and not (whole or form.sep == ","):
        example = next(word for word in words if "," in word)
        raise InputError(
            f"{path} holds numbers that can be read in two ways",
            expected="a decimal point, or a decimal comma that cannot be one of thousands",
            found=f"{example}, and no number that tells which of both the comma is",
            change=f"`{key}` of the dataset: write the table with decimal points",
        )
    used = [marks for marks in fits if words.str.contains(marks[0], regex=False).any()]
    thousands, decimal = (used or fits)[0]
    said = ["separators of thousands"] * bool(used) + ["decimal commas"] * (decimal == ",")
    note("", f"{path.name} has {' and '.join(said)}, and was read so")
    for i in text.columns[1:]:
        plain = text[i].str.replace(thousands, "", regex=False).str.replace(decimal, ".", regex=False)
        text[i] = pd.to_numeric(plain)
    return _named(path, form, text)


def _no_numbers(path: Path, key: str, frame: pd.DataFrame, odd: list[int]) -> InputError:
    found = []
    for i in odd[:3]:
        column = frame.iloc[:, i]
        values = pd.to_numeric(column.astype(object).where(column.notna()), errors="coerce")
        bad = column[column.notna() & values.isna()] if column.dtype != bool else column
        found.append(
            f"{frame.columns[i]} ({bad.iloc[0]!r} in {bad.index[0]})" if len(bad) else frame.columns[i]
        )
    return InputError(
        f"{path} has columns that are not numbers",
        expected="numbers (empty or NA: missing) in every column but the first, the cell names",
        found=f"{len(odd)} other columns, the first {', '.join(found)}",
        change=f"`{key}` of the dataset; labels belong in a table under `files.labels`",
    )
