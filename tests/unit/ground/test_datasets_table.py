"""A table of datasets: rows are entries like those of the config, a mistake is found by row and column."""

import copy
import os

import pytest

from jamie import config, datasets_table
from jamie.errors import InputError

LAB = {
    "run": {"datasets": ["datasets_table"], "scenarios": ["half"], "methods": ["knn"]},
    "datasets": {
        "lab": {
            "reader": "10x_h5",
            "modalities": {"rna": {"kind": "rna", "source": "Gene Expression"}, "atac": {"kind": "atac"}},
            "genes": {"path": "genes.bed"},
        },
        "toy": {
            "reader": "simulate",
            "options": {"n_cells": 100},
            "modalities": {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}},
        },
    },
    "scenarios": {"half": {"held_out": 0.2, "known_pairs": 0.5}},
}


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """Function of the rows of a table (lists of cells, the first of columns): the checked config."""
    monkeypatch.chdir(tmp_path)

    def check(*rows, name="samples.tsv", sep="\t", **run):
        (tmp_path / name).write_text("".join(f"{sep.join(row)}\n" for row in rows))
        given = copy.deepcopy(LAB) | {"datasets_table": name}
        return config.check(given | {"run": LAB["run"] | run})

    return check


@pytest.fixture
def refusal(checked):
    def refuse(*rows, **more):
        with pytest.raises(InputError) as caught:
            checked(*rows, **more)
        return caught.value

    return refuse


def test_a_row_is_what_the_same_entry_of_the_config_would_be(checked, tmp_path):
    header = ["name", "reader", "files.rna", "files.rna.sha256", "files.atac", "files.labels.url"]
    header += ["modalities.rna.kind", "modalities.rna.n_top_features", "modalities.atac.kind", "cell_type"]
    header += ["drop_empty", "show_genes", "modalities.atac.missing", "batch"]
    row = ["d1", "h5ad", "a.h5ad", "0" * 64, "b.h5ad", "https://x.org/l.tsv", "rna", "3000", "atac", "type"]
    row += ["FALSE", "Sst, Pvalb", "-999", "null"]
    entry = {
        "reader": "h5ad",
        "files": {
            "rna": {"path": "a.h5ad", "sha256": "0" * 64},
            "atac": {"path": "b.h5ad"},
            "labels": {"url": "https://x.org/l.tsv"},
        },
        "modalities": {
            "rna": {"kind": "rna", "n_top_features": 3000},
            "atac": {"kind": "atac", "missing": [-999]},
        },
        "cell_type": "type",
        "drop_empty": False,
        "show_genes": ["Sst", "Pvalb"],
        "batch": None,
    }
    by_hand = copy.deepcopy(LAB) | {"datasets": LAB["datasets"] | {"d1": entry}}
    by_hand["run"] = LAB["run"] | {"datasets": ["d1"]}
    assert checked(header, row) == config.check(by_hand)


def test_rows_are_like_an_entry_but_for_what_they_say(checked):
    found = checked(
        ["name", "like", "files.data", "genes", "modalities.atac.source"],
        ["d2", "lab", "d2.h5", "", "Peaks"],
        [],
        ["d1", "lab", "d1.h5", "other.bed", ""],
    )
    first, second = (found["datasets"][name] for name in ("d2", "d1"))
    assert found["run"]["datasets"] == ["d2", "d1"]  # in the order of the table
    assert (first["genes"]["path"], second["genes"]["path"]) == ("genes.bed", "other.bed")
    assert [m["source"] for m in first["modalities"].values()] == ["Gene Expression", "Peaks"]
    assert [m["source"] for m in second["modalities"].values()] == ["Gene Expression", None]
    assert second["files"]["data"]["path"] == "d1.h5" and found["datasets"]["lab"]["files"] == {}


def test_the_table_beside_named_datasets_runs_each_once(checked):
    rows = ["name", "like"], ["a", "toy"], ["b", "toy"]
    assert checked(*rows, datasets=["toy", "b", "datasets_table"])["run"]["datasets"] == ["toy", "b", "a"]
    assert checked(*rows, datasets=["a"])["run"]["datasets"] == ["a"]


@pytest.mark.parametrize("sep", [",", ";"])
def test_a_csv_is_read_with_commas_or_semicolons(checked, sep):
    rows = ["name", "like", "description"], ["a", "toy", f'"One{sep} two"']
    entry = checked(*rows, name="s.CSV", sep=sep)["datasets"]["a"]
    assert entry["description"] == f"One{sep} two"


def test_columns_and_rows_that_were_emptied_do_not_count(checked):
    found = checked(["name", "like", "", ""], ["a", "toy", "", "", ""], ["", "", ""], ["b", "toy"])
    assert found["run"]["datasets"] == ["a", "b"]


def test_options_of_the_simulator_are_numbers(checked):
    found = checked(["name", "like", "options.seed", "options.paired_fraction"], ["a", "toy", "3", "0.5"])
    assert found["datasets"]["a"]["options"] == {"n_cells": 100, "seed": 3, "paired_fraction": 0.5}


def test_a_table_that_is_not_in_the_working_directory_is_that_of_the_workflow(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = "config/examples/many_datasets.tsv"
    assert [row.cells["name"] for row in datasets_table.read(table)[1]] == ["donor_1", "donor_2", "donor_3"]
    os.makedirs("config/examples")
    (tmp_path / table).write_text("name\nmine\n")
    assert [row.cells["name"] for row in datasets_table.read(table)[1]] == ["mine"]


def test_where_a_dataset_comes_from_is_found_again(checked):
    checked(["name", "like"], ["a", "toy"], ["b", "toy"])
    assert "row 3 of samples.tsv" in datasets_table.place({"datasets_table": "samples.tsv"}, "b")
    assert datasets_table.place({"datasets_table": "samples.tsv"}, "lab") == ""
    assert datasets_table.place({}, "b") == ""


HEAD = ["name", "like", "reader", "modalities.rna.kind", "modalities.adt.kind"]
WRONG = {
    "a typing error": ([["name", "reder"], ["a", "x"]], "'reder' of samples.tsv", "'reader'"),
    "a key of no modality": ([["name", "modalities.rna.knd"], ["a", ""]], "modalities.rna.knd", "'kind'"),
    "a group of keys": ([["name", "modalities.rna"], ["a", "rna"]], "'modalities.rna'", "kind, source"),
    "a name that cannot be": ([["name", "files.a b"], ["a", "x"]], "'files.a b'", "letters, digits and _"),
    "a column twice": ([["name", "like", "like"], ["a", "toy", "toy"]], "does not name", "'like' twice"),
    "a key twice": ([["name", "genes", "genes.path"], ["a", "x", "x"]], "same key", "genes and genes.path"),
    "no name": ([["like"], ["toy"]], "does not name its columns", "`name`"),
    "an empty name": ([["name", "like"], ["", "toy"]], "row 2", "column name of row 2 of samples.tsv"),
    "a bad name": ([["name", "like"], ["a", "toy"], ["a-b", "toy"]], "row 3", "'a-b'"),
    "the name of the table": ([["name", "like"], ["datasets_table", "toy"]], "row 2", "'datasets_table'"),
    "a name twice": ([["name", "like"], ["a", "toy"], ["a", "toy"]], "row 3", "as in row 2 of samples.tsv"),
    "a name of the config": ([["name", "like"], ["toy", "toy"]], "row 2", "as in `datasets` of the config"),
    "like none": ([["name", "like"], ["a", "toi"]], "row 2", "did you mean 'toy'?"),
    "another value": ([HEAD, ["a", "", "h5m", "rna", "protein"]], "column reader of row 2", "'h5m'"),
    "no number": (
        [["name", "like", "modalities.rna.n_top_features"], ["a", "toy", "many"]],
        "column modalities.rna.n_top_features of row 2",
        "'many'",
    ),
    "no reader": ([HEAD, ["a", "", "", "rna", "protein"]], "row 2", "fill column reader of row 2"),
    "one modality": ([HEAD, ["a", "", "h5mu", "rna", ""]], "row 2", "modalities - The two modalities"),
    "three modalities": (
        [["name", "like", "modalities.adt.kind"], ["a", "lab", "protein"]],
        "row 2",
        "modalities - The two modalities",
    ),
    "a kind is missing": (
        [["name", "reader", "modalities.rna.kind", "modalities.adt.source"], ["a", "h5mu", "rna", "x"]],
        "row 2",
        "fill column modalities.adt.kind of row 2 of samples.tsv",
    ),
    "no option": (
        [["name", "like", "options.n_cell"], ["a", "toy", "5"]],
        "'n_cell'",
        "did you mean 'n_cells'?",
    ),
    "another option": (
        [["name", "like", "options.n_cells"], ["a", "toy", "few"]],
        "'n_cells'",
        "column options of row 2 of samples.tsv",
    ),
    "code": ([["name", "like", "description"], ["a", "toy", "</script>"]], "row 2 of samples.tsv", "script"),
    "more cells": ([["name", "like"], ["a", "toy", "more"]], "more cells in row 2", "'more'"),
    "no row": ([["name", "like"], ["", ""]], "names no dataset", "no row"),
    "nothing": ([], "does not name its columns", "nothing"),
    "an open quote": ([["name", "like"], ["a", '"toy']], "cannot be read", "unexpected end of data"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_found_by_row_and_column(refusal, case):
    rows, problem, said = WRONG[case]
    error = refusal(*rows)
    assert problem in error.problem and said in str(error), error


def test_a_file_that_is_no_table_is_refused(refusal, tmp_path):
    assert "ends in .xlsx" in refusal(["name"], name="samples.xlsx").found
    (tmp_path / "folder.tsv").mkdir()
    for table, found in (("none.tsv", "No such file"), ("folder.tsv", "Is a directory")):
        with pytest.raises(InputError) as caught:
            config.check(LAB | {"datasets_table": table})
        assert found in caught.value.found and table in str(caught.value)
    (tmp_path / "wide.tsv").write_text("name\nä\n", encoding="utf-16")
    with pytest.raises(InputError, match="cannot be read"):
        config.check(LAB | {"datasets_table": "wide.tsv"})


def test_naming_a_table_that_is_not_given_is_refused():
    with pytest.raises(InputError, match="there is none"):
        config.check(LAB)
