"""Where no pair is a link p-values are uniform and none is found: permuted cells, genes moved elsewhere.

On simulated data whose neighbours open together and whose cells have types, so that most genes and peaks
are correlated. The same of real data is what tests/benchmarks/regulation.py does with `--null`.
"""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

from jamie.data.genome import pairs_in_window
from jamie.data.simulate import simulate_multiome
from jamie.regulation import collect, fine_mapping, links, pairs

WINDOW_BP = 250_000
N_CELLS = (40, 300, 500, 2_000)


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


def pooled_of(expression, accessibility, state, genes, peaks):
    """As of `pairs.pool`: correlations in place of attributions, peaks seen by the state for the model."""
    r = links.measured_correlation(expression, accessibility)
    share = np.abs(r)
    specific = share / np.maximum(np.sqrt((share**2).mean(axis=0)), 1e-9)
    first, second = fine_mapping.near_peaks(peaks)
    axes = np.linalg.qr(state - state.mean(axis=0))[0]
    seen = (accessibility.T @ axes) - np.outer(np.asarray(accessibility.mean(axis=0)), axes.sum(axis=0))
    seen /= np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-9)
    together = (seen[first] * seen[second]).sum(axis=1)
    return pairs.Pooled(
        *(genes.index.to_numpy(str), peaks.index.to_numpy(str)),
        *(share, np.zeros_like(share), specific, np.sign(r), r, r),
        np.asarray((accessibility > 0).mean(axis=0), dtype=np.float32).ravel(),
        None,
        fine_mapping.sets_of(len(peaks), first, second, together),
    )


def check_holds_no_link(table):
    judged = table[table["p_value"].notna()]
    assert len(judged) > 3_000
    found = collect.judged(table)
    for p_value, q in (("p_value", "q_value"), ("p_correlation", "q_correlation")):
        p = judged[p_value].to_numpy()
        # pairs of a gene or of neighbours are not independent, so that a test of uniformity takes few of them
        assert kstest(p[:: len(p) // 150], "uniform").pvalue > 0.001
        assert (p <= 0.001).mean() <= 0.0015 and abs((p <= 0.1).mean() - 0.1) < 0.03
        assert not (found[q] <= 0.1).any()
    assert not fine_mapping.linked(found, 0.1).any()


@pytest.mark.parametrize("n_cells", N_CELLS)
def test_of_permuted_cells_no_gene_is_linked(multiome, n_cells):
    expression, accessibility, state, genes, peaks, _ = multiome
    order = np.random.default_rng(n_cells).permutation(n_cells)
    cells = expression[:n_cells][order], accessibility[:n_cells], state[:n_cells]
    check_holds_no_link(pairs.link_table(pooled_of(*cells, genes, peaks), genes, peaks, WINDOW_BP))


@pytest.mark.parametrize("n_cells", N_CELLS)
def test_of_genes_moved_along_the_genome_none_is_linked(multiome, n_cells):
    expression, accessibility, state, genes, peaks, _ = multiome
    cells = expression[:n_cells], accessibility[:n_cells], state[:n_cells]
    check_holds_no_link(pairs.moved_table(pooled_of(*cells, genes, peaks), genes, peaks, WINDOW_BP))


def test_planted_links_are_found_by_the_same_procedure(multiome):
    expression, accessibility, state, genes, peaks, true = multiome
    of, near, _ = pairs_in_window(genes, peaks, 50_000)
    driven, first = np.unique(of, return_index=True)
    opened = accessibility[:, near[first]].toarray()
    planted = expression.copy()
    planted[:, driven] += 2 * opened
    found = collect.judged(
        pairs.link_table(pooled_of(planted, accessibility, state, genes, peaks), genes, peaks, WINDOW_BP)
    )
    assert found["neighbourhood"].nunique() < 0.9 * found["peak"].nunique()  # many sets have several members
    planted = pd.DataFrame({"gene": genes.index[driven], "peak": peaks.index[near[first]]})
    called = found[fine_mapping.linked(found, 0.1)]
    is_true = collect.among(called, pd.concat([planted, true]))
    held = pd.Series(is_true).groupby(called["set"].to_numpy()).any()
    assert len(held) > 20 and (~held).mean() <= 0.1
