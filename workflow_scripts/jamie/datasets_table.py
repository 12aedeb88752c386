"""``datasets_table:`` of the configuration: a spreadsheet whose rows are datasets, as if under ``datasets:``.

Columns are ``name``, ``like`` (an entry under ``datasets:`` whose keys hold where the row says nothing) and
the keys of a dataset with a dot between levels: ``reader``, ``modalities.rna.kind``, ``options.seed``; of a
file the ``path`` may be left out, as in ``files.data``. An empty cell gives no key.
"""

from __future__ import annotations

import copy
import csv
import io
from dataclasses import dataclass
from pathlib import Path

from jamie.errors import InputError, suggest
from jamie.schema import ROOT, resolve, validator

NAME, LIKE = "name", "like"
SEPARATORS = {".tsv": "\t", ".csv": ","}
EVERY_ROW = "datasets_table"  # under `run: datasets`


@dataclass(frozen=True)
class Row:
    """A row of the table: where it is, in words, and what its cells hold, without the empty ones."""

    where: str
    cells: dict[str, str]

    def column(self, *keys: str) -> str:
        return f"column {'.'.join(keys)} of {self.where}"


def with_rows(config: dict, schema: dict) -> tuple[dict, dict[str, Row]]:
    """The config with each row of its table under ``datasets`` and no table, and the rows by name.

    Raises
    ------
    InputError
        The table cannot be read; a column is no key of a dataset; a cell has a value that its key cannot
        have; a row is no whole dataset, or has the name of another.
    """
    if config["datasets_table"] is None:
        return config, {}
    table, rows, entries = config["datasets_table"], {}, dict(config["datasets"])
    header, lines = read(table)
    columns = _columns(header, table, schema)
    for row in lines:
        name = _name(row, schema, rows, config["datasets"])
        entries[name], rows[name] = _entry(row, columns, config["datasets"]), row
        _check_whole(entries[name], row, schema)
    if not rows:
        raise InputError(
            f"The table {table} names no dataset",
            expected="one dataset a row, below the names of the columns",
            found="no row that is not empty",
            change="`datasets_table` in the config file, or the table",
        )
    return config | {"datasets": entries, "datasets_table": None}, rows


def place(config: dict, dataset: str) -> str:
    """Where in the table a dataset is, in words for the end of a message; empty where it is not in it."""
    table = config.get("datasets_table")
    found = [row.where for row in read(table)[1] if row.cells.get(NAME) == dataset] if table else []
    return f"\n  dataset:  {dataset}, {found[0]}" if found else ""


def read(table: str) -> tuple[list[str], list[Row]]:
    """The columns of a table, and its rows that are not empty.

    A relative path is one from the working directory, or from the workflow's own folder where there is none.
    """
    path = next((p for p in (Path(table), ROOT / table) if p.exists()), Path(table))
    if path.suffix.lower() not in SEPARATORS:
        raise _unreadable(table, f"a name that ends in {path.suffix or 'nothing'}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        file = io.StringIO(text, newline="")
        lines = list(csv.reader(file, delimiter=_separator(path, text), strict=True))
    except OSError as error:
        raise _unreadable(table, f"{error.strerror} (from {Path.cwd()})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(table, str(error)) from None
    header = [column.strip() for column in lines[0]] if lines else []
    while header and not header[-1]:  # as a spreadsheet saves columns that were emptied
        header.pop()
    _check_header(header, table)
    rows = []
    for number, line in enumerate(lines[1:], start=2):  # as spreadsheets count
        where, cells = f"row {number} of {table}", [cell.strip() for cell in line]
        if any(cells[len(header) :]):
            raise InputError(
                f"There are more cells in {where} than columns",
                expected=f"{len(header)} cells",
                found=f"{len(cells)}, the last {cells[-1]!r:.100}",
                change="the row; a cell that holds the separator stands in double quotes",
            )
        if any(cells):
            filled = zip(header, cells, strict=False)
            rows.append(Row(where, {column: cell for column, cell in filled if cell}))
    return header, rows


def _separator(path: Path, text: str) -> str:
    """Commas in .csv, or semicolons, as spreadsheets write them where the comma is the decimal mark."""
    header = text.split("\n", 1)[0]
    sep = SEPARATORS[path.suffix.lower()]
    return ";" if sep == "," and header.count(";") > header.count(",") else sep


def _unreadable(table: str, found: str) -> InputError:
    return InputError(
        "The table of datasets cannot be read",
        expected=f"a .tsv or .csv in UTF-8 with a row of column names: {table}",
        found=found,
        change="`datasets_table` in the config file: relative to the working directory, or absolute",
    )


def _check_header(header: list[str], table: str) -> None:
    twice = sorted({column for column in header if header.count(column) > 1})
    if NAME not in header or twice or "" in header:
        raise InputError(
            f"The first row of {table} does not name its columns",
            expected=f"different names in all its cells, one of them `{NAME}`",
            found=f"{twice[0]!r} twice" if twice else ", ".join(map(repr, header)) or "nothing",
            change=f"row 1 of {table}",
        )


def _name(row: Row, schema: dict, rows: dict[str, Row], catalogue: dict) -> str:
    """The name in a row, which no other dataset has."""
    name, words = row.cells.get(NAME), schema["properties"]["datasets"]["propertyNames"]
    if name is None or not validator(words).is_valid(name):
        expected, found = "letters, digits and _, 60 at most", "nothing" if name is None else repr(name)
    elif name in rows or name in catalogue:
        expected = "another name than that of any other dataset"
        found = f"{name}, as in {rows[name].where if name in rows else '`datasets` of the config'}"
    else:
        return name
    raise InputError(
        f"The dataset in {row.where} has no name of its own",
        expected=expected,
        found=found,
        change=row.column(NAME),
    )


def _columns(header: list[str], table: str, schema: dict) -> dict[str, tuple[tuple[str, ...], dict]]:
    """The keys each column stands for, a dataset's own first, and the schema of its values ({}: any)."""
    columns, whose = {}, {}
    for column in header:
        if column in (NAME, LIKE):
            continue
        columns[column] = _keys(column, table, schema)
        other = whose.setdefault(columns[column][0], column)
        if other != column:
            raise InputError(
                f"Two columns of {table} stand for the same key",
                expected="one column a key",
                found=f"{other} and {column}",
                change=f"row 1 of {table}",
            )
    return columns


def _keys(column: str, table: str, schema: dict) -> tuple[tuple[str, ...], dict]:
    keys, part = tuple(column.split(".")), _inner({"$ref": "#/$defs/dataset"}, schema)
    for i, key in enumerate(keys):
        known = list(part.get("properties", ()))
        rest = part.get("additionalProperties", part.get("type") == "object")
        if key in known:
            part = _inner(part["properties"][key], schema)
        elif rest and key and validator(part.get("propertyNames", {})).is_valid(key):
            part = _inner(rest, schema) if isinstance(rest, dict) else {}
        else:
            raise _no_key(column, table, key, known if i else [NAME, LIKE, *known])
    if "path" in part.get("properties", {}):
        keys, part = (*keys, "path"), part["properties"]["path"]
    if part.get("type") == "object":
        raise _no_key(column, table, "", list(part.get("properties", ())))
    return keys, part


def _no_key(column: str, table: str, key: str, known: list[str]) -> InputError:
    return InputError(
        f"The column {column!r} of {table} is no key of a dataset",
        expected=", ".join(known) or "one more dot and a name of letters, digits and _, such as a modality's",
        found=key or "a group of several keys",
        change=suggest(key, known, "config/README.md lists every key") + f" (row 1 of {table})",
    )


def _entry(row: Row, columns: dict, catalogue: dict) -> dict:
    """The entry that a row stands for: its own keys over those of the entry it is like."""
    like = row.cells.get(LIKE)
    if like is not None and like not in catalogue:
        raise InputError(
            f"The dataset in {row.where} is like one that there is not",
            expected="an entry under `datasets` of the config: " + ", ".join(catalogue),
            found=like,
            change=suggest(like, catalogue, row.column(LIKE)),
        )
    entry = copy.deepcopy(catalogue[like]) if like else {}
    for column, text in row.cells.items():
        if column in columns:
            keys, part = columns[column]
            inner = entry
            for key in keys[:-1]:
                inner[key] = inner.get(key) or {}  # null where the entry it is like has none
                inner = inner[key]
            inner[keys[-1]] = _value(text, part, row.column(column))
    return entry


def _inner(part: dict, schema: dict) -> dict:
    """A part of the schema without its reference, and of alternatives the one that is not null."""
    part = resolve(part, schema)
    some = [resolve(one, schema) for one in part.get("oneOf", ()) if one.get("type") != "null"]
    return some[0] if some else part


def _value(text: str, part: dict, where: str):
    """What a cell holds, as its key takes it; lists have commas between their items."""
    import yaml

    kinds = [part["type"]] if isinstance(part.get("type"), str) else part.get("type", ())
    try:
        if text == "null" and "null" in kinds:
            value = None
        elif "array" in kinds and text.startswith("["):
            value = yaml.safe_load(text)
        elif "array" in kinds:
            value = [_value(item.strip(), part["items"], where) for item in text.split(",")]
        elif "string" in kinds or "enum" in part:
            value = text
        else:
            value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    if not validator(part).is_valid(value):
        raise InputError(
            f"The value in {where} is not valid",
            expected=part.get("description", str(part.get("enum", part.get("type")))).strip(),
            found=f"{text!r:.200}",
            change=where,
        )
    return value


def _check_whole(entry: dict, row: Row, schema: dict) -> None:
    """Together the cells are a dataset."""
    whole = {"$ref": "#/$defs/dataset", "$defs": schema["$defs"]}
    errors = sorted(validator(whole).iter_errors(entry), key=lambda e: [str(part) for part in e.path])
    if not errors:
        return
    error = errors[0]
    keys = [str(key) for key in error.absolute_path]
    if error.validator == "required":
        keys.append(next(key for key in error.validator_value if key not in error.instance))
    raise InputError(
        f"The dataset in {row.where} is not complete",
        expected=f"{'.'.join(keys)} - {_inner_at(keys, schema)}",
        found=", ".join(row.cells) if error.validator == "required" else error.message,
        change=f"fill {row.column(*keys)}, or give it to the entry that it is `{LIKE}`",
    )


def _inner_at(keys: list[str], schema: dict) -> str:
    """The description of a key of a dataset's entry."""
    part = _inner({"$ref": "#/$defs/dataset"}, schema)
    for key in keys:
        part = _inner(part.get("properties", {}).get(key, part.get("additionalProperties", {})), schema)
    return part.get("description", "").strip()
