"""Values that hold no link, by the procedure of the workflow: permuted cells, and genes moved elsewhere.

Correlations stand in for the attributions of a model, so that nothing has to be fitted.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse
from scipy.stats import kstest

from jamie.linear.blocks import dense
from jamie.regulation import collect, fine_mapping, links, pairs

N_CELLS = (40, 300, 500, 2_000)
PERMUTED, MOVED = "permuted pairs", "genes moved"
N_AXES = 30  # by which peaks of real data are seen to open together
_TESTED = 150  # p-values: pairs of one gene or of neighbours depend on each other, so few are taken


def pooled_of(expression, accessibility, seen, genes, peaks) -> pairs.Pooled:
    """As of `pairs.pool`.

    Parameters
    ----------
    expression, accessibility
        Of the same cells: (n, genes) dense and (n, peaks) sparse.
    seen
        Axes (n, k) by which peaks are seen to open together.
    """
    r = links.measured_correlation(expression, accessibility)
    share = np.abs(r)
    specific = share / np.maximum(np.sqrt((share**2).mean(axis=0)), 1e-9)
    first, second = fine_mapping.near_peaks(peaks)
    axes = np.linalg.qr(seen - seen.mean(axis=0))[0]
    loads = (accessibility.T @ axes) - np.outer(np.asarray(accessibility.mean(axis=0)), axes.sum(axis=0))
    loads /= np.maximum(np.linalg.norm(loads, axis=1, keepdims=True), 1e-9)
    together = (loads[first] * loads[second]).sum(axis=1)
    return pairs.Pooled(
        *(genes.index.to_numpy(str), peaks.index.to_numpy(str)),
        *(share, np.zeros_like(share), specific, np.sign(r), r, r),
        np.asarray((accessibility > 0).mean(axis=0), dtype=np.float32).ravel(),
        None,
        fine_mapping.sets_of(len(peaks), first, second, together),
    )


def without_links(kind: str, cells: tuple, genes, peaks, window_bp: int, n_cells: int):
    """Pairs with p-values and sets where none is a link.

    Parameters
    ----------
    kind
        `PERMUTED` or `MOVED`.
    cells
        expression, accessibility and axes, of which the first ``n_cells`` cells are taken.
    """
    expression, accessibility, seen = (values[:n_cells] for values in cells)
    if kind == MOVED:
        return pairs.moved_table(
            pooled_of(expression, accessibility, seen, genes, peaks), genes, peaks, window_bp
        )
    order = np.random.default_rng(n_cells).permutation(len(expression))
    return pairs.link_table(
        pooled_of(expression[order], accessibility, seen, genes, peaks), genes, peaks, window_bp
    )


def snareseq(data: Path, genes_file: Path) -> tuple:
    """SNARE-seq as the workflow prepares it: expression, accessibility, its components, genes and peaks.

    Cells are in random order, genes those whose place is known.
    """
    import yaml
    from sklearn.decomposition import TruncatedSVD

    from jamie import config
    from jamie.data import checks, preprocess, readers
    from jamie.regulation.coordinates import find_genes

    shipped = yaml.safe_load((Path(__file__).parents[2] / "config/config.yaml").read_text())
    mdata = readers.read(config.check(shipped)["datasets"]["snareseq_mop"], {"data": data})
    mdata = checks.drop_empty(mdata)
    genes, _ = find_genes(mdata, "atac", "rna", 500_000, genes_file)
    prepared = preprocess.prepare(mdata, [np.ones(a.n_obs, dtype=bool) for a in mdata.mod.values()])
    rna, atac = prepared["rna"], prepared["atac"]
    genes = genes[genes.index.isin(rna.var_names)]
    both = np.random.default_rng(0).permutation(rna.obs_names.intersection(atac.obs_names))
    expression = dense(rna[both, genes.index].X)
    accessibility = sparse.csr_matrix(atac[both].X)
    seen = TruncatedSVD(N_AXES, random_state=0).fit_transform(accessibility)
    return expression, accessibility, seen, genes, atac.var


def seen_of(table) -> list[dict]:
    """What stands in a table without links, a row for either statistic.

    Returns
    -------
    ``n_pairs`` with a p-value; ``uniform``, p of a Kolmogorov-Smirnov test; ``below``, the share of
    p <= 0.001; ``tenth``, of p <= 0.1; ``n_links`` and ``n_sets`` at q <= 0.1.
    """
    found = collect.judged(table)
    sets = found.loc[fine_mapping.linked(found, 0.1), "set"].nunique()
    rows = []
    for name, q, n_sets in (("p_value", "q_value", sets), ("p_correlation", "q_correlation", 0)):
        p = table[name].dropna().to_numpy()
        rows.append(
            {
                "p": name,
                "n_pairs": len(p),
                "uniform": kstest(p[:: max(1, len(p) // _TESTED)], "uniform").pvalue,
                "below": (p <= 0.001).mean(),
                "tenth": (p <= 0.1).mean(),
                "n_links": int((found[q] <= 0.1).sum()),
                "n_sets": n_sets,
            }
        )
    return rows
