"""Where no pair is a link p-values are uniform and none is found: permuted cells, genes moved elsewhere.

On simulated data whose neighbours open together and whose cells have types, so that most genes and peaks
are correlated. The same of real data is what tests/benchmarks/regulation.py does with `--null`.
"""

import numpy as np
import pandas as pd
import pytest

from jamie.data.genome import pairs_in_window
from jamie.data.simulate import simulate_multiome
from jamie.regulation import collect, fine_mapping, pairs
from shared import null

WINDOW_BP = 250_000


@pytest.fixture(scope="module")
def multiome():
    """2,000 cells, rare peaks among them, and most genes on one of six chromosomes."""
    mdata, true = simulate_multiome(
        n_cells=2_000, n_genes=100, n_peaks=2_400, n_chromosomes=6, atac_depth=300, seed=1
    )
    rna, atac = mdata["rna"], mdata["atac"][mdata["rna"].obs_names]
    genes = rna.var.assign(chrom=rna.var["chrom"].where(rna.var["chrom"] != "chr2", "chr1"))
    peaks = atac.var.assign(chrom=atac.var["chrom"].where(atac.var["chrom"] != "chr2", "chr1"))
    expression, depth = rna.X.toarray(), np.asarray(atac.X.sum(axis=1))
    expression = np.log1p(expression / expression.sum(axis=1, keepdims=True) * 800)
    accessibility = atac.X.multiply(200 / depth).tocsr().log1p()
    return expression, accessibility, rna.obsm["true_state"], genes, peaks, true


def check_holds_no_link(table, least=3_000):
    for row in null.seen_of(table):
        assert row["n_pairs"] > least and row["uniform"] > 0.001, row
        assert row["below"] <= 0.0015 and abs(row["tenth"] - 0.1) < 0.03, row
        assert row["n_links"] == row["n_sets"] == 0, row


@pytest.mark.parametrize("n_cells", null.N_CELLS)
@pytest.mark.parametrize("kind", [null.PERMUTED, null.MOVED])
def test_where_no_pair_is_a_link_p_is_uniform_and_none_is_found(multiome, kind, n_cells):
    *cells, genes, peaks, _ = multiome
    check_holds_no_link(null.without_links(kind, cells, genes, peaks, WINDOW_BP, n_cells))


@pytest.mark.real_data
@pytest.mark.parametrize("kind", [null.PERMUTED, null.MOVED])
def test_of_real_data_without_links_none_is_found(real, kind):
    files = real("mop_snareseq_mm10_dev.h5mu"), real("genes_mm10.bed.gz")
    *cells, genes, peaks = null.snareseq(*files)
    check_holds_no_link(null.without_links(kind, cells, genes, peaks, 2 * WINDOW_BP, 500))


def test_planted_links_are_found_by_the_same_procedure(multiome):
    expression, accessibility, state, genes, peaks, true = multiome
    of, near, _ = pairs_in_window(genes, peaks, 50_000)
    driven, first = np.unique(of, return_index=True)
    opened = accessibility[:, near[first]].toarray()
    planted = expression.copy()
    planted[:, driven] += 2 * opened
    found = collect.judged(
        pairs.link_table(null.pooled_of(planted, accessibility, state, genes, peaks), genes, peaks, WINDOW_BP)
    )
    assert found["neighbourhood"].nunique() < 0.9 * found["peak"].nunique()  # many sets have several members
    planted = pd.DataFrame({"gene": genes.index[driven], "peak": peaks.index[near[first]]})
    called = found[fine_mapping.linked(found, 0.1)]
    is_true = collect.among(called, pd.concat([planted, true]))
    held = pd.Series(is_true).groupby(called["set"].to_numpy()).any()
    assert len(held) > 20 and (~held).mean() <= 0.1
