"""What `make check` prints of a dataset: what it is, what is wrong with it, and what a run takes."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from jamie import contract as c
from jamie.data.correspondence import Correspondence, from_names
from jamie.data.findings import Finding
from jamie.data.linked import Linked, find
from jamie.io import together
from jamie.report import doctor

ENTRY = {"description": "Some cells.", "genes": None, "modalities": {"rna": {"n_top_features": None}}}
ENTRY["modalities"]["atac"] = ENTRY["modalities"]["rna"]


def needing(mb=100.0, mb_per_mb=0.0, s=10.0, s_per_mb=0.0, reads=(), times=1.0) -> dict:
    return {"mb": mb, "mb_per_mb": mb_per_mb, "s": s, "s_per_mb": s_per_mb, "reads": reads, "times": times}


def modality(values, kind=c.CONTINUOUS, called="normalised") -> AnnData:
    return AnnData(np.asarray(values, dtype=np.float32), uns={"kind": kind, "values": called})


@pytest.fixture
def multiome(raw_multiome):
    parts = {name: adata.copy() for name, adata in raw_multiome.mod.items()}
    for adata in parts.values():
        adata.uns["values"] = c.COUNTS
    return together(parts)


@pytest.mark.parametrize(
    ("adata", "words"),
    [
        (modality([[0, 3], [5, 0]], c.RNA, c.COUNTS), "counts: whole numbers from 0 to 5, 50.0% zero, 4 in"),
        (modality([[0, 1.5], [5, 0]], c.RNA), "normalised: fractions from 0 to 5, 50.0% zero"),
        (modality([[-3, np.nan], [1234567, 0.5]]), "fractions from -3 to 1.23457e+06, 0.0% zero, 25.0% not"),
        (modality([[1, 0], [0, 1]], c.METHYLATION), "whole numbers from 0 to 1, 50.0% zero"),
    ],
)
def test_values_are_told_as_they_are(adata, words):
    assert doctor.values_in_words(adata).startswith(words)


def test_a_large_matrix_is_looked_at_in_blocks(monkeypatch):
    monkeypatch.setattr(doctor, "BLOCK_VALUES", 3)
    assert doctor.values_in_words(modality([[1, 2, 3], [4, np.nan, 6.5]])) == (
        "fractions from 0 to 6.5, 0.0% zero, 16.7% not measured"
    )


def test_the_page_of_good_data(multiome):
    text = doctor.text("mine", ENTRY, multiome, from_names(multiome), [], {"knn": doctor.Cost(2, 30, 400)})
    n = {name: adata.n_obs for name, adata in multiome.mod.items()}
    assert text.startswith("mine: Some cells.\n\nmodality  kind  cells  features  values\n")
    assert f"Cells in both: 84; {n['rna'] - 84} in rna alone; {n['atac'] - 84} in atac alone" in text
    assert "Paired cells: more alike than strangers; depth r = " in text
    assert "cell_type: 3 in rna, 3 in atac; 3 of one name" in text and "batch: none" in text
    assert "With coordinates: 150 of 150 peaks, 60 of 60 genes" in text
    assert "Nothing to find fault with." in text
    assert "2 jobs, about 30 s of CPU time; the largest, knn, takes about 0.4 GB" in text
    assert text.endswith("\n  knn: 2 x 15 s, 0.4 GB\n")


def test_linked_features_are_told_with_those_that_are_not(multiome):
    page = ("mine", ENTRY, multiome, from_names(multiome), [], {})
    linked = find(*multiome.mod.values())
    n_genes, n_peaks = linked.table["first"].nunique(), linked.table["second"].nunique()
    told = doctor.text(*page, linked)
    assert (
        f"\n\nLinked, to match cells without a known pair: {n_genes} of 60 features of rna, {n_peaks} of "
        f"150 features of atac; {len(linked.table)} links: genes and the peaks in or within 50 kb of them\n"
    ) in told
    assert "Linked" not in doctor.text(*page)


@pytest.mark.parametrize(
    ("kind", "n", "some"), [(c.PROTEIN, 30, 30), (c.PROTEIN, 31, 5), (c.CONTINUOUS, 6, 5), (c.ATAC, 5, 5)]
)
def test_of_what_is_not_linked_some_is_named_and_few_proteins_all(kind, n, some):
    names = [f"x{i}" for i in range(n)]
    rna, other = modality(np.ones((2, 1)), c.RNA), modality(np.ones((2, n)), kind)
    table = pd.DataFrame([("0", "x0", 1.0)], columns=["first", "second", "weight"])
    linked = Linked(table, "features of the same name", {"no feature of the same name": tuple(names)})
    text = doctor.linked_in_words(linked, together({"rna": rna, "other": other}))
    more = f" and {n - some} more" if n > some else ""
    assert text.splitlines() == [
        f"Linked, to match cells without a known pair: 1 of 1 features of rna, 1 of {n} features of other; "
        "1 link: features of the same name",
        f"  not linked, no feature of the same name ({n}): {', '.join(names[:some])}{more}",
    ]


def test_findings_stand_by_weight(multiome):
    found = [Finding(s, f"a {s}", "this", "", "that") for s in (c.NOTICE, c.WARNING, c.REFUSED)]
    lines = doctor.text("mine", ENTRY, multiome, from_names(multiome), found, {}).splitlines()
    at = lines.index("refused: a refused: this. What helps: that.")
    assert [line.split(":")[0] for line in lines[at : at + 3]] == [c.REFUSED, c.WARNING, c.NOTICE]
    assert lines[at + 3] == "Nothing will be fitted: 1 of this is refused."
    assert lines[-1] == "The configuration asks for no run of this dataset."


def test_cells_without_a_label_and_labels_of_one_side_are_counted(multiome):
    rna, atac = multiome.mod.values()
    rna.obs["cell_type"] = rna.obs["cell_type"].astype(object).where(np.arange(rna.n_obs) >= 5)
    atac.obs["batch"] = "one"
    text = doctor.text("mine", ENTRY, multiome, from_names(multiome), [], {})
    assert "cell_type: 3 in rna (5 cells without), 3 in atac" in text
    assert "batch: 1 in atac; 1 of one name" in text


def test_without_pairs_nothing_is_said_of_them(multiome):
    rna, atac = multiome.mod.values()
    none = Correspondence(np.zeros((rna.n_obs, atac.n_obs)), rna.obs_names, atac.obs_names)
    text = doctor.text("mine", ENTRY, multiome, none, [], {})
    assert f"Cells in both: 0; {rna.n_obs} in rna alone" in text and "Paired cells" not in text


def plan(**jobs) -> dict:
    """Jobs by rule, and for "preprocess" the rules that read it, once each for every job of it."""
    names = [rule for rule, n in jobs.items() for _ in range(n)]
    nodes = [{"id": k, "value": {"rule": rule}} for k, rule in enumerate(names)]
    made = [k for k, rule in enumerate(names) if rule == "preprocess"]
    edges = [{"u": k, "v": j} for j, rule in enumerate(names) if rule == "plot" for k in made]
    return {"nodes": nodes, "edges": edges}


def test_costs_grow_with_size_jobs_and_times():
    needs = {
        "preprocess": needing(s=2, s_per_mb=0.5, mb_per_mb=2, reads=("data",)),
        "fit": needing(s=10, s_per_mb=1, mb_per_mb=1, reads=("prepared",), times=3),
        "plot": needing(s=1, s_per_mb=1, reads=("prepared",)),
        "other": needing(s=4, s_per_mb=7, reads=("what is not known",)),
    }
    costs = doctor.costs_of(
        plan(all=1, preprocess=2, fit=4, plot=1, other=1), needs, {"data": 10, "prepared": 20}
    )
    assert costs["preprocess"] == doctor.Cost(2, 2 * (2 + 5), 120)
    assert costs["fit"] == doctor.Cost(4, 4 * 3 * 30, 120)
    assert costs["plot"] == doctor.Cost(1, 1 + 2 * 20, 100)  # of both seeds
    assert costs["other"] == doctor.Cost(1, 4, 100)
    assert "all" not in costs


def test_minutes_where_seconds_are_many():
    words = doctor.costs_in_words({"fit": doctor.Cost(3, 3 * 3600, 12_345)})
    assert "3 jobs, about 180 min of CPU time" in words and "  fit: 3 x 60 min, 12.3 GB" in words


@pytest.mark.parametrize(("kind", "kept"), [(c.ATAC, 4 + 2), (c.RNA, 3 + 2), (c.PROTEIN, 6 + 2)])
def test_prepared_data_are_as_large_as_what_is_kept(kind, kept):
    """Of peaks those open in most cells, of genes any, of proteins and what is not chosen all."""
    first = modality([[1, 1, 1, 0], [1, 1, 0, 1]], kind, c.COUNTS)  # 6 values, the two best features hold 4
    second = modality([[1, 1], [0, 0]], c.PROTEIN, c.COUNTS)  # 2 values
    entry = {"modalities": {"a": {"n_top_features": 2}, "b": {"n_top_features": None}}}
    size = doctor.prepared_mb(together({"a": first, "b": second}), entry, 100)
    assert size == pytest.approx(200 * kept / 8)
