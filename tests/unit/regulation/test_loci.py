"""Which genes' loci are drawn, which genes lie beside them, and what is measured and imputed there."""

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jamie import contract as c
from jamie.regulation import loci

GENES = pd.DataFrame.from_dict(
    {
        "A": ("chr1", 500, 900, "+"),
        "inside": ("chr1", 600, 650, "-"),
        "last_base": ("chr1", 50, 101, "+"),
        "touches_start": ("chr1", 50, 100, "+"),
        "touches_end": ("chr1", 1_200, 1_300, "-"),
        "first_base": ("chr1", 1_199, 1_300, "-"),
        "elsewhere": ("chr2", 600, 650, "-"),
    },
    orient="index",
    columns=["chrom", "start", "end", "strand"],
)


def test_a_gene_is_asked_for_by_name_or_symbol():
    genes = pd.DataFrame({"symbol": ["SOX2", "b"]}, index=["ENSG1", "ENSG2"])
    assert loci.by_name(["SOX2", "ENSG2", "absent"], genes) == ["ENSG1", "ENSG2", "absent"]
    assert loci.by_name(["b"], genes.rename(index={"ENSG1": "b"})) == ["b"]


def links_of(**scores):
    """gene -> (score, attribution) of each of its peaks."""
    rows = [(gene, *values) for gene, peaks in scores.items() for values in peaks]
    return pd.DataFrame(rows, columns=["gene", "rank_score", "attribution"])


def cells(types, x, names, modality="rna"):
    index = [f"{modality}{i}" for i in range(len(x))]
    obs = pd.DataFrame({} if types is None else {c.CELL_TYPE: types}, index=index)
    adata = anndata.AnnData(sparse.csr_matrix(np.array(x, dtype=np.float32)), obs=obs)
    adata.var_names = names
    return adata


class Mods:
    def __init__(self, **mod):
        self.mod = mod


def test_a_gene_is_shown_by_its_symbol_unless_another_has_that_name():
    ids = ["ENSG1", "ENSG2", "ENSG3", "ENSG4", "Vip", "Lamp5"]
    genes = pd.DataFrame({"symbol": ["Sst", "twice", "twice", "Vip", "Pvalb", "Lamp5"]}, index=ids)
    assert loci.shown_names(genes).tolist() == ["Sst", "ENSG2", "ENSG3", "ENSG4", "Pvalb", "Lamp5"]
    assert loci.shown_names(genes)["ENSG1"] == "Sst"


def test_the_surest_genes_are_chosen_by_their_best_link():
    links = links_of(a=[(0.2, 9), (0.9, 1)], b=[(0.8, 1), (0.8, 5)], c=[(0.8, 3)], d=[(0.95, 0)])
    assert loci.chosen_genes(links) == ["d", "a", "b", "c"]


def test_genes_asked_for_come_first_and_none_twice():
    links = links_of(**{f"g{i:02d}": [(1 - i / 100, 1)] * 2 for i in range(30)})
    best = [f"g{i:02d}" for i in range(loci.BEST)]
    assert loci.chosen_genes(links) == best
    asked = ["g25", "g03", "unlinked", "g25"]
    assert loci.chosen_genes(links, asked) == ["g25", "g03", "unlinked", *(g for g in best if g != "g03")]
    assert loci.chosen_genes(links[:0], asked) == ["g25", "g03", "unlinked"]
    assert loci.chosen_genes(links[:0]) == []


def test_genes_without_a_score_come_last():
    assert loci.chosen_genes(links_of(a=[(np.nan, 9)], b=[(0.1, 0)])) == ["b", "a"]


def test_neighbours_overlap_the_stretch_of_peaks_and_body():
    links = pd.DataFrame({"gene": "A", "start": [700, 100], "end": [1_200, 300]})
    assert loci.neighbours(GENES, links).index.tolist() == ["A", "inside", "last_base", "first_base"]


def test_the_stretch_holds_the_whole_gene_though_its_peaks_do_not():
    peak = pd.DataFrame({"gene": "A", "start": [880], "end": [890]})
    assert loci.neighbours(GENES, peak).index.tolist() == ["A", "inside"]


@pytest.mark.parametrize("types", [None, [np.nan] * 3, pd.Categorical([None] * 3, categories=["x"])])
def test_where_no_type_is_known_all_cells_are_one(types):
    found = loci.cell_types(cells(types, np.ones((3, 1)), ["p"]))
    assert found.tolist() == ["all cells"] * 3


@pytest.mark.parametrize("kind", [object, "category"])
def test_cells_without_a_type_are_unlabelled(kind):
    types = pd.Series(["b", None, "a"]).astype(kind).array
    found = loci.cell_types(cells(types, np.ones((3, 1)), ["p"]))
    assert found.tolist() == ["b", "unlabelled", "a"] and found.dtype.kind == "U"


def test_accessibility_is_the_share_of_open_cells_by_type():
    x = [[1, 0, 0], [0.5, 0, 2], [0, 0, 1], [-1, 3, 0], [0, 0, 0]]
    peaks = cells(["T", "B", "T", "T", "B"], x, ["p", "q", "r"])
    found = loci.accessibility(peaks, np.array(["r", "p"]))
    assert found.index.tolist() == ["r", "p"] and found.columns.tolist() == ["B", "T"]
    np.testing.assert_allclose(found, [[1 / 2, 1 / 3], [1 / 2, 2 / 3]], rtol=1e-6)
    dense = peaks.copy()
    dense.X = peaks.X.toarray()
    pd.testing.assert_frame_equal(loci.accessibility(dense, ["r", "p"]), found)


def test_accessibility_of_cells_without_types_has_one_column():
    found = loci.accessibility(cells(None, [[1], [0], [0], [2]], ["p"]), ["p"])
    assert found.columns.tolist() == ["all cells"] and found.loc["p", "all cells"] == 0.5


def test_expression_has_measured_cells_of_one_modality_and_imputed_ones_of_the_other(tmp_path):
    rna = cells(["T", "B"], [[7, 0.5], [8, 0]], ["other", "gene"])
    atac = cells(["B", "T", None], np.ones((3, 1)), ["p"], "atac")
    imputed = atac.copy()
    imputed.obsm[c.imputed_key("rna")] = np.array([[1, -9], [2, -9], [3, -9]], dtype=np.float32)
    imputed.uns[c.imputed_key("rna")] = np.array(["gene", "other"])  # of another order than the measured
    path = tmp_path / "imputed.h5mu"
    mudata.MuData({"atac": imputed}).write(path)
    found = loci.expression(Mods(rna=rna, atac=atac), path, "atac", "rna", "gene")
    assert found.columns.tolist() == ["cell_type", "source", "value"]
    assert found.values.tolist() == [
        ["T", "measured", 0.5],
        ["B", "measured", 0],
        ["B", "imputed", 1],
        ["T", "imputed", 2],
        ["unlabelled", "imputed", 3],
    ]
    assert found.index.tolist() == list(range(5))
