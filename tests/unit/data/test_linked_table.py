"""A dataset's own table of linked features, right and wrong."""

import gzip

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest

from jamie import contract as c
from jamie.data import checks, linked_table
from jamie.errors import InputError


def features(names, **columns):
    return anndata.AnnData(
        np.ones((1, len(names)), dtype=np.float32), var=pd.DataFrame(columns, index=list(names))
    )


RNA, PROTEIN = features(["g1", "g2", "g3"], symbol=["CD3E", "CD4", "CD8A"]), features(["p1", "p2"])


def read(path, text, first=RNA, second=PROTEIN):
    path.write_text(text)
    return linked_table.read(path, first, second, ("rna", "adt"))


def rows(found):
    return [tuple(row) for row in found.table.to_numpy()]


@pytest.mark.parametrize("head", ["", "gene\tprotein\tweight\n", "# links\ngene\tprotein\tweight\n"])
def test_with_weights_and_with_a_header_or_without(tmp_path, head):
    found = read(tmp_path / "links.tsv", f"{head}g1\tp1\t0.5\ng3\tp2\t-2\n")
    assert rows(found) == [("g1", "p1", 0.5), ("g3", "p2", -2.0)]
    assert found.how == "the table links.tsv" and found.notes == () and found.not_linked == ()


@pytest.mark.parametrize("head", ["", "gene,protein\n"])
def test_without_weights_each_counts_one(tmp_path, head):
    assert rows(read(tmp_path / "links.csv", f"{head}g1,p1\ng1,p2\n")) == [
        ("g1", "p1", 1.0),
        ("g1", "p2", 1.0),
    ]


def test_features_go_by_symbol_too(tmp_path):
    assert rows(read(tmp_path / "links.tsv", "CD4\tp1\ng1\tp2\n")) == [("g2", "p1", 1.0), ("g1", "p2", 1.0)]


def test_zipped(tmp_path):
    (tmp_path / "links.tsv.gz").write_bytes(gzip.compress(b"g1\tp1\n"))
    assert rows(linked_table.read(tmp_path / "links.tsv.gz", RNA, PROTEIN)) == [("g1", "p1", 1.0)]


@pytest.mark.parametrize("head", ["", "protein\tgene\tweight\n"])
def test_exchanged_columns_are_understood_and_said(tmp_path, head):
    found = read(tmp_path / "links.tsv", f"{head}p1\tg1\t2\np2\tCD4\t1\n")
    assert rows(found) == [("g1", "p1", 2.0), ("g2", "p2", 1.0)]
    assert found.notes == ("links.tsv names features of adt first: its columns were exchanged",)


def test_rows_of_features_that_hold_nothing_are_passed_over(tmp_path):
    x = np.array([[1, 0, 2], [3, 0, 1]], dtype=np.float32)
    full = {
        "rna": anndata.AnnData(x, var=pd.DataFrame(index=["g1", "g2", "g3"])),
        "adt": features(["p1", "p2"]),
    }
    for name, adata in full.items():
        adata.uns |= {c.KIND: c.RNA, "values": c.COUNTS}
        adata.obs_names = [f"{name}{i}" for i in range(adata.n_obs)]
    kept = checks.drop_empty(mudata.MuData(full))
    found = read(tmp_path / "links.tsv", "g1\tp1\ng2\tp1\n", *kept.mod.values())
    assert rows(found) == [("g1", "p1", 1.0)]
    assert found.notes[0].startswith("1 rows of links.tsv are passed over")


@pytest.mark.parametrize(
    "text, problem, found",
    [
        ("g1\tp1\nG9\tp1\ng9\tp2\n", "names features that rna does not have", "2: G9, g9"),
        ("g1\tp1\ng2\tp9\n", "names features that adt does not have", "1: p9"),
        (
            "gx\tpx\t1\ng1\tp1\t1\n",
            "names features that rna does not have",
            "1: gx",
        ),  # no header: it has a weight
        ("g1\ng2\n", "another number of columns", "1 columns"),
        ("g1\tp1\t1\tx\n", "another number of columns", "4 columns"),
        ("g1\tp1\thigh\n", "has weights that are none", "1: g1 / p1 / high"),
        ("g1\tp1\t0\ng2\tp1\tnan\ng3\tp1\tinf\n", "has weights that are none", "3: g1 / p1 / 0"),
        ("g1\tp1\t\n", "has weights that are none", "1: g1 / p1 / "),
        ("g1\tp1\t1\ng2\tp1\t1\ng1\tp1\t2\n", "names a pair more than once", "1: g1 / p1"),
        ("g1\tp1\nCD3E\tp1\n", "names a pair more than once", "1: g1 / p1"),
        ("gene\tprotein\n", "names no feature of the dataset", "one row"),
        ("", "cannot be read", ""),
        ("g1\tp1\ng2\tp1\t1\t3\n", "cannot be read", ""),
    ],
)
def test_wrong_tables(tmp_path, text, problem, found):
    with pytest.raises(InputError) as raised:
        read(tmp_path / "links.tsv", text)
    assert problem in str(raised.value) and found in str(raised.value)
    assert "links.tsv" in str(raised.value)


def test_unknown_names_are_told_with_examples_of_both_and_the_key(tmp_path):
    with pytest.raises(InputError) as raised:
        read(tmp_path / "links.tsv", "ENSG9\tp1\n")
    assert "g1, g2, g3" in raised.value.expected and "ENSG9" in raised.value.found
    assert "`linked_features:`" in raised.value.change
