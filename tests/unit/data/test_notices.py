"""A notice is a line of the log, and a row where rows are collected."""

from jamie.data import notices


def test_a_notice_is_a_line_and_a_row(caplog):
    with notices.collected() as rows:
        notices.note("rna", "cells were left out", [f"c{i}" for i in range(200)])
        notices.note("", "the pairs were read backwards")
        notices.note("adt", "values were rounded", n=12_345)
        notices.note("adt", "values were rounded", n=12_345)
    notices.note("rna", "said later", ["x"])
    table = notices.table(rows)
    assert tuple(table.columns) == notices.COLUMNS and table["n"].tolist() == [200, 0, 12_345]
    assert table["modality"].tolist() == ["rna", "", "adt"]
    assert table["examples"].iloc[0].split(", ") == [f"c{i}" for i in range(notices.EXAMPLES)]
    assert table["examples"].iloc[2] == ""
    assert caplog.messages[:3] == [
        "rna: cells were left out (200: c0, c1, c2, c3, c4, ...)",
        "the pairs were read backwards",
        "adt: values were rounded (12,345)",
    ]
    assert caplog.messages[-1] == "rna: said later (1: x)"


def test_nothing_noted_is_a_table_without_rows():
    with notices.collected() as rows:
        pass
    assert notices.table(rows).empty and tuple(notices.table(rows).columns) == notices.COLUMNS
