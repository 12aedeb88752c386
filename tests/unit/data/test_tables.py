"""Text tables in every usual dialect give what a plain read of the plain table gives."""

import gzip

import numpy as np
import pandas as pd
import pytest

from jamie.data import notices, readers, tables
from jamie.errors import InputError
from shared.odd import CELLS, COUNTS, GENES, MEASURED, MEASURES, TYPES, entry, spec

PLAIN = pd.DataFrame(MEASURED * 1234.5, CELLS, MEASURES)
BIG = pd.DataFrame(COUNTS * 1234, CELLS, GENES)


def lines_of(frame, sep=",", corner="cell", write=str, end=""):
    lines = [sep.join([corner, *frame.columns]) + end]
    lines += [sep.join([cell, *map(write, row)]) + end for cell, *row in frame.itertuples()]
    return lines


def written(path, lines, encoding="utf-8", newline="\n"):
    path.write_bytes("".join(line + newline for line in lines).encode(encoding))
    return path


def comma(value):
    return str(value).replace(".", ",")


def thousands(value, mark=",", decimal="."):
    return f"{value:,}".replace(",", "#").replace(".", decimal).replace("#", mark)


def german(value):
    return thousands(value, ".", ",")


DIALECTS = {  # name and lines of a table that holds PLAIN
    "plain": ("x.csv", lines_of(PLAIN)),
    "semicolons": ("x.csv", lines_of(PLAIN, ";")),
    "tabs_in_csv": ("x.csv", lines_of(PLAIN, "\t")),
    "commas_in_tsv": ("x.tsv", lines_of(PLAIN)),
    "tab": ("x.tab", lines_of(PLAIN, "\t")),
    "commas_in_txt": ("x.txt", lines_of(PLAIN)),
    "spaces": ("x.txt", lines_of(PLAIN, "  ")),
    "trailing_comma": ("x.csv", lines_of(PLAIN, end=",")),
    "trailing_in_data": ("x.csv", [",".join(["cell", *MEASURES]), *lines_of(PLAIN, end=",")[1:]]),
    "as_r_writes_it": ("x.csv", [",".join(MEASURES), *lines_of(PLAIN)[1:]]),
    "comments": ("x.csv", ["# made by a tool, version 3", "#", *lines_of(PLAIN)]),
    "commented_header": ("x.tsv", ["# two", *lines_of(PLAIN, "\t", corner="#cell")]),
    "blank_lines": ("x.csv", ["", *lines_of(PLAIN), "", ""]),
    "empty_rows": ("x.csv", [*lines_of(PLAIN), ",,,", ",,,"]),
    "quotes": ("x.csv", [",".join(f'"{field}"' for field in line.split(",")) for line in lines_of(PLAIN)]),
    "decimal_commas": ("x.csv", lines_of(PLAIN, ";", write=comma)),
    "decimal_commas_and_tabs": ("x.tsv", lines_of(PLAIN, "\t", write=comma)),
    "german": ("x.csv", lines_of(PLAIN, ";", write=german)),
    "english": ("x.csv", lines_of(PLAIN, write=lambda value: f'"{thousands(value)}"')),
    "french": ("x.csv", lines_of(PLAIN, ";", write=lambda value: thousands(value, "\u202f", ","))),
    "swiss": ("x.tsv", lines_of(PLAIN, "\t", write=lambda value: thousands(value, "'"))),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("form", ["utf-8", "utf-8-sig", "utf-16", "crlf", "gzip"])
def test_a_table_in_any_dialect(tmp_path, dialect, form):
    name, lines = DIALECTS[dialect]
    encoding = form if form.startswith("utf") else "utf-8"
    path = written(tmp_path / name, lines, encoding, "\r\n" if form == "crlf" else "\n")
    if form == "gzip":
        path.write_bytes(gzip.compress(path.read_bytes()))  # whatever it is called
    got = tables.read_numbers(path, "files.rna", whole=False)
    assert list(got.index) == CELLS and list(got.columns) == MEASURES
    np.testing.assert_allclose(got.to_numpy(float), PLAIN.to_numpy(), rtol=0, atol=1e-9)


SAID = {
    "plain": [],
    "as_r_writes_it": [],
    "spaces": [],
    "semicolons": ["x.csv is separated by semicolons, not by commas, and was read so"],
    "comments": ["x.csv: 2 lines before the header were left out"],
    "empty_rows": ["x.csv: 2 empty rows were left out"],
    "english": ["x.csv has separators of thousands, and was read so"],
    "decimal_commas_and_tabs": ["x.tsv has decimal commas, and was read so"],
}


@pytest.mark.parametrize("dialect", SAID)
def test_what_is_unusual_is_said(tmp_path, dialect):
    name, lines = DIALECTS[dialect]
    with notices.collected() as rows:
        tables.read_numbers(written(tmp_path / name, lines), "files.rna", whole=False)
    assert [row[1] for row in rows] == SAID[dialect]


def only_thousands(sep, quote=""):
    big = BIG.loc[:, (BIG > 0).any()] + 1000
    return big, lines_of(big, sep, write=lambda value: f"{quote}{thousands(value)}{quote}")


def test_thousands_are_read_where_whole_numbers_are_meant_and_else_refused(tmp_path):
    big, lines = only_thousands("\t")
    path = written(tmp_path / "x.tsv", lines)
    assert tables.read_numbers(path, "files.rna", whole=True).equals(big)
    with pytest.raises(InputError, match="can be read in two ways") as error:
        tables.read_numbers(path, "files.rna", whole=False)
    assert "1,000" in error.value.found and "decimal points" in error.value.change
    _, lines = only_thousands(",", '"')  # where the comma separates fields it is no decimal one
    assert tables.read_numbers(written(tmp_path / "x.csv", lines), "files.rna", whole=False).equals(big)


def test_the_kind_tells_whether_whole_numbers_are_meant(tmp_path):
    big, lines = only_thousands("\t")
    path = written(tmp_path / "x.tsv", lines)
    files = {"rna": path, "ephys": written(tmp_path / "y.csv", lines_of(PLAIN))}
    assert np.array_equal(readers.read(entry("table"), files)["rna"].X.toarray(), big)
    with pytest.raises(InputError, match=r"x\.tsv holds numbers that can be read in two ways"):
        readers.read(entry("table", rna=spec("rna"), ephys=spec("continuous")), files | {"ephys": path})


def test_names_stay_as_written(tmp_path):
    cells = ["nan", "NA", "01", "1e5", "Zelle_ü", "#6"]
    genes = ["nan", "NA", "7", "été"]
    path = written(tmp_path / "x.csv", lines_of(pd.DataFrame(COUNTS, cells, genes)))
    other = written(tmp_path / "y.csv", lines_of(pd.DataFrame(MEASURED, cells, MEASURES)))
    labels = written(
        tmp_path / "labels.csv", ["cell,label", *(f"{cell},T{i}" for i, cell in enumerate(cells))]
    )
    files = {"rna": path, "ephys": other, "labels": labels}
    dataset = entry("table", "label")
    mdata = readers.read(dataset, files)
    assert list(mdata["rna"].obs_names) == cells and list(mdata["rna"].var_names) == genes
    assert list(mdata["rna"].obs["cell_type"]) == [f"T{i}" for i in range(6)]
    assert np.array_equal(mdata["rna"].X.toarray(), COUNTS)
    assert readers.pairs_of(dataset, mdata, {}).matrix.nnz == 6


def test_missing_values_stay_missing_and_a_column_of_them_too(tmp_path):
    holes = PLAIN.copy()
    holes.iloc[2, 1], holes["e2"] = np.nan, np.nan
    lines = lines_of(holes, write=lambda value: "" if np.isnan(value) else str(value))
    got = tables.read_numbers(written(tmp_path / "x.csv", lines), "files.ephys", whole=False)
    pd.testing.assert_frame_equal(got, holes, check_index_type=False, check_column_type=False)


def labelled(tmp_path, text):
    files = {"rna": written(tmp_path / "x.csv", lines_of(pd.DataFrame(COUNTS, CELLS, GENES)))}
    files["ephys"] = written(tmp_path / "y.csv", lines_of(PLAIN))
    return files | {"labels": written(tmp_path / "labels.csv", text)}


def test_columns_of_labels_that_cannot_be_written_get_other_names(tmp_path):
    head = "cell,_index,label,a/b,donor,donor,label"
    rows = [
        f"{cell},{i},{kind},1,d{i},D{i},{kind}"
        for i, (cell, kind) in enumerate(zip(CELLS, TYPES, strict=True))
    ]
    files = labelled(tmp_path, [head, *rows])
    with notices.collected() as noted:
        mdata = readers.read(entry("table", "label"), files)
    mdata.write(tmp_path / "x.h5mu")
    obs = mdata["rna"].obs
    assert set(obs) == {"cell_type", "original__index", "a_b", "donor", "donor_2"}
    assert list(obs["cell_type"]) == TYPES and list(obs["original__index"]) == list(range(6))
    assert list(obs["donor"]) == [f"d{i}" for i in range(6)] and obs["donor_2"].iloc[1] == "D1"
    said = "; ".join(row[3] for row in noted if row[0] == "rna")
    assert (
        "_index is now original__index" in said
        and "a/b is now a_b" in said
        and "donor is now donor_2" in said
    )


def test_a_label_column_that_is_there_twice_with_other_values_is_refused(tmp_path):
    rows = [f"{cell},{kind},{kind.upper()}" for cell, kind in zip(CELLS, TYPES, strict=True)]
    files = labelled(tmp_path, ["cell,label,label", *rows])
    with pytest.raises(InputError, match="column label more than once") as error:
        readers.read(entry("table", "label"), files)
    assert "cell_type" in error.value.change


def test_the_word_nan_in_a_table_of_labels_is_no_type(tmp_path):
    kinds = ["nan", "a", "NA", "b", "", "a"]
    files = labelled(tmp_path, ["cell,label", *(f"{c},{k}" for c, k in zip(CELLS, kinds, strict=True))])
    labels = readers.read(entry("table", "label"), files)["rna"].obs["cell_type"]
    assert list(labels.cat.categories) == ["a", "b"] and labels.isna().tolist() == [True, False] * 2 + [
        True,
        False,
    ]


def test_cells_named_twice_are_one_clear_error(tmp_path):
    twice = pd.DataFrame(COUNTS, ["cell0", *CELLS[:5]], GENES)
    files = labelled(tmp_path, ["cell,label", *(f"{cell},a" for cell in CELLS)])
    del files["labels"]
    written(files["rna"], lines_of(twice))
    with pytest.raises(InputError, match="rna holds a cell name more than once") as error:
        readers.read(entry("table"), files)
    assert "1: cell0" in error.value.found and "x.csv" in error.value.change


BROKEN = {  # lines -> what the message says: problem, found, change
    "cut": ([*lines_of(PLAIN)[:-1], "cell5,1"], "too few fields", "row 6 of 6", "may be truncated"),
    "short": ([*lines_of(PLAIN)[:3], "cell9,1", *lines_of(PLAIN)[3:]], "too few", "row 3 of 7", "the file"),
    "long": ([*lines_of(PLAIN), "cell9,1,2,3,4,5"], "cannot be read", "Expected 4 fields", "the file, or"),
    "words": (
        [*lines_of(PLAIN), "cell9,1,low,3"],
        "not numbers",
        "1 other columns, the first e1 ('low' in cell9)",
        "labels",
    ),
    "no_name": ([*lines_of(PLAIN), ",1,2,3"], "without a cell name", "1 of 7 rows", "the file"),
    "header": (["a,b,c,d,e,f,g", *lines_of(PLAIN)[1:]], "does not fit", "7 names, the first a, b, c", "file"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_messages_name_the_file_what_is_in_it_and_one_change(tmp_path, kind):
    lines, problem, found, change = BROKEN[kind]
    with pytest.raises(InputError, match=problem) as error:
        tables.read_numbers(written(tmp_path / "x.csv", lines), "files.ephys", whole=False)
    assert str(tmp_path / "x.csv") in error.value.problem
    assert found in error.value.found and change in error.value.change
    assert ("truncated" in str(error.value)) == (kind == "cut")


def test_a_table_that_is_not_utf8(tmp_path):
    path = written(tmp_path / "x.csv", ["cell,a", "Zelle_é,1"], "latin-1")
    with pytest.raises(InputError, match="cannot be read") as error:
        tables.read_frame(path)
    assert "UTF-8" in error.value.change and "0xe9" in error.value.found
