"""What can be used and yet may not be what it is called is said; ordinary data pass without a word."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jamie.data import notices, suspects
from jamie.data.simulate import simulate_multiome
from jamie.io import together

RNG = np.random.default_rng(0)
N, P = 60, 40
COUNTS = RNG.poisson(2, (N, P))


def modality(matrix, kind, names=None, values="counts", **var):
    adata = anndata.AnnData(
        matrix.astype(np.float32),
        obs=pd.DataFrame(index=[f"c{i}" for i in range(N)]),
        var=pd.DataFrame(var, index=names or [f"{kind}{j}" for j in range(matrix.shape[1])]),
    )
    adata.uns.update(kind=kind, values=values)
    return adata


def said(**modalities):
    with notices.collected() as rows:
        suspects.look(together(modalities))
    return [row[:3] for row in rows]


RNA = modality(sparse.csr_matrix(COUNTS), "rna", symbol=[f"G{j}" for j in range(P)])
PEAKS = {"chrom": "chr1", "start": range(P), "end": range(10, P + 10)}


def test_ordinary_data_pass():
    ephys = RNG.standard_t(2, (N, P))  # heavy tails
    assert said(rna=RNA, ephys=modality(ephys, "continuous")) == []
    mdata, _ = simulate_multiome(n_cells=60, n_genes=40, n_peaks=80, n_types=3, seed=0)
    for adata in mdata.mod.values():
        adata.uns["values"] = "counts"
    assert said(**mdata.mod) == []


@pytest.mark.parametrize(
    ("kind", "words"), [("atac", "chances that a peak is open"), ("rna", "any count at all")]
)
def test_binarised_counts(kind, words):
    binary = modality(sparse.csr_matrix(COUNTS > 0), kind, **PEAKS)
    ((name, what, _),) = said(other=modality(COUNTS, "protein"), one=binary)
    assert name == "one" and "binarised" in what and words in what
    few = modality(sparse.csr_matrix(np.eye(N, P)), kind, **PEAKS)  # of few values that may be chance
    assert said(other=modality(COUNTS, "protein"), one=few) == []


def test_a_count_beyond_whole_cells():
    counts = COUNTS.copy()
    counts[7, 3] = 10_000_000
    ((name, what, n),) = said(rna=modality(sparse.csr_matrix(counts), "rna"), adt=modality(COUNTS, "protein"))
    assert (name, n) == ("rna", 1) and "exceed 100 median cells" in what


def test_a_value_in_another_unit():
    ephys = RNG.normal(-0.06, 0.01, (N, P))
    ephys[5, 2] = -60
    with notices.collected() as rows:
        suspects.look(together({"rna": RNA, "ephys": modality(ephys, "continuous")}))
    assert [row[0] for row in rows] == ["ephys"] and rows[0][3] == "continuous2 of c5"


@pytest.mark.parametrize("names", [[f"rna{j}" for j in range(P)], [f"G{j}" for j in range(P)]])
def test_gene_activities(names):
    ((name, what, n),) = said(rna=RNA, atac=modality(COUNTS, "atac", names))
    assert (name, n) == ("atac", P) and "gene activities" in what
    assert said(rna=RNA, atac=modality(COUNTS, "atac")) == []


def test_a_normalised_value_on_another_scale():
    logs = np.log1p(COUNTS / 7)
    assert said(rna=modality(logs, "rna", values="normalised"), adt=modality(COUNTS, "protein")) == []
    logs[7, 3] = 10_000
    ((name, what, n),) = said(rna=modality(logs, "rna", values="normalised"), adt=modality(COUNTS, "protein"))
    assert (name, n) == ("rna", 1) and "1,000 times as large" in what


def test_genes_of_two_species():
    names = [f"GRCh38_G{j}" for j in range(20)] + [f"mm10___g{j}" for j in range(20)]
    ((name, what, n),) = said(rna=modality(COUNTS, "rna", names), adt=modality(COUNTS, "protein"))
    assert (name, n) == ("rna", 2) and "several genomes" in what
    one_genome = [f"GRCh38_G{j}" for j in range(P)]
    assert said(rna=modality(COUNTS, "rna", one_genome), adt=modality(COUNTS, "protein")) == []


def test_counts_called_normalised():
    ((_, what, _),) = said(rna=modality(COUNTS, "rna", values="normalised"), adt=modality(COUNTS, "protein"))
    assert "`values: counts`" in what
