"""Any table of cells or features becomes one that can be written, and what changes is said."""

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest

from jamie.data import frames, notices
from jamie.errors import InputError

CELLS = ["c0", "c1", "c2"]
# values, and what they are when the file is read again
COLUMNS = {
    "dates": (
        pd.to_datetime(["2020-01-01", None, "2021-05-06"]),
        ["2020-01-01 00:00:00", None, "2021-05-06 00:00:00"],
    ),
    "durations": (
        pd.to_timedelta([1, 2, 3], unit="D"),
        ["1 days 00:00:00", "2 days 00:00:00", "3 days 00:00:00"],
    ),
    "intervals": (pd.cut([1, 2, 4], [0, 2, 4]), ["(0, 2]", "(0, 2]", "(2, 4]"]),
    "periods": (pd.period_range("2020", periods=3, freq="D"), ["2020-01-01", "2020-01-02", "2020-01-03"]),
    "complex": (np.array([1j, 2, 3]), ["1j", "(2+0j)", "(3+0j)"]),
    "lists": ([[1], [2, 3], [1]], ["[1]", "[2, 3]", "[1]"]),
    "mixed": ([1, "a", None], ["1", "a", None]),
    "bytes": ([b"a", b"b", b"a"], ["a", "b", "a"]),
    "none": ([None] * 3, [None] * 3),
    "text": (["a", "b", "nan"], ["a", "b", "nan"]),
    "nullable_text": (pd.array(["a", None, "b"], dtype="string"), ["a", None, "b"]),
    "nullable_whole": (pd.array([1, None, 3], dtype="Int64"), [1, None, 3]),
    "nullable_numbers": (pd.array([1.5, None, 3], dtype="Float64"), [1.5, None, 3]),
    "nullable_truth": (pd.array([True, None, False], dtype="boolean"), [True, None, False]),
    "sparse": (pd.arrays.SparseArray([0, 0, 1]), [0, 0, 1]),
    "half": (np.array([1, 2, 3], np.float16), [1, 2, 3]),
    "truth": ([True, False, True], [True, False, True]),
    "mixed_categories": (pd.Categorical([1, "a", 1]), ["1", "a", "1"]),
    "dates_as_categories": (pd.Categorical(pd.to_datetime(["2020-01-01"] * 3)), ["2020-01-01"] * 3),
    "numbers_as_categories": (pd.Categorical([3, 1, 3]), [3, 1, 3]),
}


def again(frame, folder):
    """The table as it is read from the .h5mu that holds it as ``obs``."""
    mudata.MuData({"a": anndata.AnnData(np.ones((3, 1)), obs=frame)}).write(folder / "x.h5mu")
    return mudata.read_h5mu(folder / "x.h5mu")["a"].obs


@pytest.mark.parametrize("kind", COLUMNS)
def test_values_of_every_type_can_be_written(tmp_path, kind):
    values, wanted = COLUMNS[kind]
    got = again(frames.writable(pd.DataFrame({"x": values}, index=CELLS), "rna", "obs"), tmp_path)["x"]
    assert got.astype(object).where(got.notna(), None).tolist() == wanted


def test_names_that_cannot_be_written_are_changed_and_it_is_said(tmp_path):
    frame = pd.DataFrame([[1, 2, 3, 4, 4, 5, 6, 7]] * 3, index=CELLS)
    frame.columns = ["_index", "a/b", 7, "x", "x", "x", "a_b", "."]
    frame.index.name = "x"
    with notices.collected() as noted:
        got = again(frames.writable(frame, "rna", "obs"), tmp_path)
    names = {
        "original__index": 1,
        "a/b": None,
        "a_b_2": 2,
        "7": 3,
        "x": 4,
        "x_2": 5,
        "a_b": 6,
        "original_.": 7,
    }
    assert got.iloc[0].to_dict() == {name: value for name, value in names.items() if value}
    assert noted[0][0] == "rna" and noted[0][2] == 5
    assert "x (a repeated column) left out" in noted[0][3] and "x is now x_2" in noted[0][3]


def test_a_table_that_can_be_written_stays_as_it_is():
    frame = pd.DataFrame({"n": [1, 2, 3], "kind": pd.Categorical(["a", "b", "a"])}, index=CELLS)
    with notices.collected() as noted:
        pd.testing.assert_frame_equal(frames.writable(frame, "rna", "obs"), frame)
    assert noted == []


def test_a_needed_column_is_there_once():
    frame = pd.DataFrame([["a", "a", 1], ["b", "b", 2]], columns=["label", "label", "n"])
    assert list(frames.once(frame, {"cell_type": "label", "batch": None}, "x.csv")) == ["label", "n"]
    frame.iloc[0, 1] = "other"
    with pytest.raises(InputError, match=r"x\.csv holds the column label more than once"):
        frames.once(frame, {"cell_type": "label"}, "x.csv")
