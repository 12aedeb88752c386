"""Paired cells lend labels to the modality that lacks them; all others stay unknown, and are counted."""

import anndata
import numpy as np
import pandas as pd
import pytest

from jamie.data import checks, labels, notices
from jamie.data.correspondence import Correspondence, from_names
from jamie.errors import InputError
from jamie.io import together


def modality(kind, cells, types=None):
    obs = pd.DataFrame(index=cells)
    if types is not None:
        obs["cell_type"] = pd.Categorical(types)
    adata = anndata.AnnData(
        np.ones((len(cells), 2), np.float32), obs=obs, var=pd.DataFrame(index=[f"{kind}0", f"{kind}1"])
    )
    adata.uns.update(kind=kind, values="counts")
    return adata


def two(first, second):
    cells = [f"c{i}" for i in range(24)]
    return together(
        {"rna": modality("rna", cells, first), "atac": modality("atac", [*cells[20:], "x", "y"], second)}
    )


def lent(mdata, pairs=None):
    with notices.collected() as rows:
        labels.lend(mdata, from_names(mdata) if pairs is None else pairs)
    return [mdata.mod[m].obs.get("cell_type") for m in mdata.mod], rows


TYPES = ["a", "b"] * 12


def test_labels_of_one_side_are_lent_to_paired_cells():
    mdata = two(TYPES, None)
    (rna, atac), rows = lent(mdata)
    assert rna.tolist() == TYPES and atac.astype(object).where(atac.notna(), "?").tolist() == [
        *"abab",
        "?",
        "?",
    ]
    assert [row[:3] for row in rows] == [
        ("atac", "cell_type of paired cells was taken from rna", 4),
        ("atac", "cell_type is not known in some cells", 2),
    ]
    assert rows[0][3] == "c20, c21, c22, c23" and rows[1][3] == "x, y"


def test_a_gap_is_filled_and_nothing_is_overwritten():
    (rna, atac), rows = lent(two([*TYPES[:23], None], ["b", "b", "b", "z", "y", None]))
    assert rna.tolist() == [*TYPES[:23], "z"] and atac.tolist()[:5] == ["b", "b", "b", "z", "y"]
    assert [row[:3] for row in rows] == [
        ("rna", "cell_type of paired cells was taken from atac", 1),
        ("atac", "cell_type is not known in some cells", 1),
    ]


def test_the_pairs_decide_not_the_names():
    mdata = two(TYPES, None)
    matrix = np.zeros((24, 6))
    matrix[1, 0] = 1
    matrix[2, 5] = 0.5  # not certain: lends nothing
    names = [a.obs_names for a in mdata.mod.values()]
    (_, atac), _ = lent(mdata, Correspondence(matrix, *names))
    assert atac.iloc[0] == "b" and atac.iloc[1:].isna().all()


def test_without_labels_nothing_is_done():
    (rna, atac), rows = lent(two(None, None))
    assert rna is None and atac is None and rows == []
    complete, rows = lent(two(TYPES, list("ababab")))
    assert rows == [] and complete[1].tolist() == list("ababab")


def test_some_label_must_be_known():
    mdata = together({m: modality(m, [f"c{i}" for i in range(24)], [None] * 24) for m in ("rna", "atac")})
    with pytest.raises(InputError, match=r"(?s)No cell has a label.*`datasets.mine.cell_type`"):
        checks.check_dataset(mdata, "mine", labels=True)
    mdata["rna"].obs["cell_type"] = pd.Categorical(TYPES)
    checks.check_dataset(mdata, "mine", labels=True)
