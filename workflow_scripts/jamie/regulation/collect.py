"""All chunks of a dataset together: q-values, scores, sparse arrays, and how many of everything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import false_discovery_control

from jamie import io
from jamie.evaluation.phrases import number
from jamie.regulation import enrichment
from jamie.regulation.fine_mapping import fine_mapped, linked
from jamie.regulation.links import judge

# columns of text, whatever they look like
NAMES = ("gene", "peak", "target", "source", "chrom", "strand", "symbol", "gene_id")
NAMES += ("nearest_gene", "peak_label", "source_label", "label")


def put_together(paths) -> pd.DataFrame:
    """The tables of all chunks as one."""
    text = dict.fromkeys(NAMES, str)  # not dtype, which would take the gene "nan" for a missing one
    return pd.concat([io.read_table(path, converters=text) for path in paths], ignore_index=True)


def judged(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs with ``q_value`` and ``rank_score``, ``q_unweighted``, which knows no distance, and their sets.

    Those of the measured correlation are ``q_correlation``, ``rank_score_correlation`` and
    ``q_correlation_unweighted``; the columns of the sets are `fine_mapping.SET_COLUMNS`. A pair without a
    p-value has none of them either (NaN).
    """
    found = pairs.assign(q_value=np.nan, q_unweighted=np.nan, rank_score=np.nan)
    found = found.assign(q_correlation=np.nan, q_correlation_unweighted=np.nan, rank_score_correlation=np.nan)
    for p_value, q, score, unweighted in (
        ("p_value", "q_value", "rank_score", "q_unweighted"),
        ("p_correlation", "q_correlation", "rank_score_correlation", "q_correlation_unweighted"),
    ):
        own = found[p_value].notna().to_numpy()
        if own.any():
            p, distance = found.loc[own, p_value].to_numpy(), found.loc[own, "distance_bp"].to_numpy()
            chrom = found.loc[own, "chrom"].to_numpy(str)
            found.loc[own, q], found.loc[own, score] = judge(p, distance, chrom)
            found.loc[own, unweighted] = false_discovery_control(p)
    return fine_mapped(found)


def summary(pairs: pd.DataFrame, q: float) -> dict:
    """Numbers for captions: pairs, genes with a peak near by, pairs and sets that are linked."""
    single = pairs["q_value"] <= q
    called = pairs[linked(pairs, q)].sort_values("weight", ascending=False, kind="stable")
    sizes = called["set"].value_counts()
    return {
        "q": q,
        "n_pairs": len(pairs),
        "n_without_p": int(pairs["p_value"].isna().sum()),
        "n_genes": int(pairs["gene"].nunique()),
        "n_links": int(single.sum()),
        "n_sets": len(sizes),
        "n_sets_of_one": int((sizes == 1).sum()),
        "n_members": len(called),
        "n_linked_genes": int(called["gene"].nunique()),
        "n_positive": int((called.drop_duplicates("set")["effect"] > 0).sum()),
    }


def summary_of_moved(moved: pd.DataFrame, q: float) -> dict:
    """What the same procedure finds where no pair is a link (`pairs.moved_table`)."""
    return {
        "n_moved_pairs": len(moved),
        "n_moved_links": int((moved["q_value"] <= q).sum()),
        "n_moved_sets": int(moved.loc[linked(moved, q), "set"].nunique()),
    }


def write_arrays(path: str | Path, groups: pd.DataFrame) -> None:
    """Attributions as sparse arrays in one ``.h5ad``: a row per target, a column per source.

    Parameters
    ----------
    groups
        Columns target, source, attribution (share of the target's imputed variance), and a column per cell
        type or cluster (mean attribution over its cells, in units of the target).

    ``X`` CSR float32 holds the shares, ``layers`` those of each group; only listed pairs are stored.
    ``uns["groups"]`` names the group of each layer.
    """
    from anndata import AnnData
    from anndata.utils import make_index_unique

    target, targets = pd.factorize(groups["target"], sort=True)
    source, sources = pd.factorize(groups["source"], sort=True)

    def matrix(column: str) -> sparse.csr_matrix:
        values = groups[column].to_numpy(np.float32)
        return sparse.csr_matrix((values, (target, source)), shape=(len(targets), len(sources)))

    named = groups.columns[3:]
    # a layer is a path in the file, where "/" would open a folder
    layers = make_index_unique(named.str.replace("/", "|"))
    adata = AnnData(
        matrix("attribution"),
        layers={layer: matrix(name) for layer, name in zip(layers, named, strict=True)},
        uns={"groups": pd.DataFrame({"layer": layers, "group": named})},
    )
    adata.obs_names, adata.var_names = targets.astype(str), sources.astype(str)
    with io.atomic(path) as temporary:
        adata.write_h5ad(temporary, compression="lzf")


def in_short(found: dict, near: pd.DataFrame) -> str:
    """For the first page: links, and whether they lie near their genes (`enrichment.near_enrichment`)."""
    if found["reason"]:
        return f"Peaks were not linked to genes: {found['reason']}."
    top = near[(near["statistic"] == enrichment.IMPUTED) & (near["cut"] == enrichment.TOP)].iloc[0]
    words = in_words(found)
    if pd.isna(top["odds_ratio"]):
        return f"{words} Whether links lie near their genes cannot be said: {top['reason']}."
    sure = "" if top["ci_low"] > 1 else ", so the links are not to be trusted"
    odds = f"{top['odds_ratio']:.1f} times (95 % interval {top['ci_low']:.1f} to {top['ci_high']:.1f})"
    return (
        f"{words} Judged without their distance, the {top['n_significant']:,} strongest pairs lie within "
        f"10 kb of the gene's start with odds {odds} those of other pairs{sure}. An attribution says what "
        "the model uses; it is no proof of regulation."
    )


def without_distance(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same with q-values that know no distance, for asking whether links lie near their genes."""
    return pairs.assign(q_value=pairs["q_unweighted"], q_correlation=pairs["q_correlation_unweighted"])


def among(pairs: pd.DataFrame, known: pd.DataFrame) -> np.ndarray:
    """Whether each pair is one of ``known`` (columns gene and peak): bool (n_pairs,)."""
    keys = pd.MultiIndex.from_frame(pairs[["gene", "peak"]])
    return keys.isin(pd.MultiIndex.from_frame(known[["gene", "peak"]]))


def not_done(reason: str) -> pd.DataFrame:
    """What is written in place of a table that could not be made."""
    return pd.DataFrame({"not_done_because": [reason]})


def in_words(found: dict) -> str:
    """How many links there are, and what was left out (`summary` with `find_genes`' account)."""
    genes, q = f"{found['n_genes']:,} genes", f"(q ≤ {found['q']:g})"
    if found["n_sets"]:
        words = (
            f"{number(found['n_sets'], 'set')} of peaks that open together, {found['n_sets_of_one']:,} of "
            f"one peak, {'is' if found['n_sets'] == 1 else 'are'} linked to {found['n_linked_genes']:,} of "
            f"{genes} {q}; {found['n_positive']:,} of them raise expression."
        )
    else:
        words = f"No set of peaks that open together is linked to any of {genes} {q}."
    words += f" Judged one by one, {found['n_links']:,} of {found['n_pairs']:,} pairs are linked."
    if found["n_moved_pairs"]:
        words += (
            " With every gene moved half a genome away, where none of its peaks is, the same procedure finds "
            f"{number(found['n_moved_sets'], 'set')}, and {found['n_moved_links']:,} of "
            f"{found['n_moved_pairs']:,} pairs one by one."
        )
    if found["n_without_p"]:
        words += (
            f" {found['n_without_p']:,} pairs could not be judged: their peak is open in none of the "
            "explained cells, or too few peaks that are open as often lie on other chromosomes."
        )
    if found["missing"]:
        some = ", ".join(found["missing"][:3]) + ", ..." * (len(found["missing"]) > 3)
        words += f" {len(found['missing']):,} of {found['n_targets']:,} genes have no coordinates ({some})."
    return words
