"""Neighbours that open together are one hypothesis: sets of peaks, which are linked, and by which member.

Where a peak drives a gene, the peaks that open with it look as if they did. So peaks are put into sets before
any gene is looked at, and the question for each gene and set is whether any of its members drives the gene.

* Sets: peaks whose centres lie within `REACH_BP` and whose accessibility, as the model sees it (projected on
  its principal components), correlates with r >= `TOGETHER` for every two of them: complete linkage. That r
  is the least purity of a credible set in SuSiE (Wang et al., J. R. Stat. Soc. B 82, 1273-1300, 2020). Of a
  gene, only the members within its window count.
* p of a set: Simes' of its members' (Biometrika 73, 751-754, 1986), valid where they depend on each other
  positively, as those of peaks that open together do. q as for pairs, over sets, by the nearest member. Sets
  are chosen by the peaks alone, so that q holds for sets (Benjamini and Heller, J. Am. Stat. Assoc. 102,
  1272-1281, 2007).
* Weight of a member: how likely it is to be the driver if the set has exactly one. For one effect what the
  neighbours show adds nothing to a member's own Bayes factor (Maller et al., Nat. Genet. 44, 1294-1301,
  2012), so it is proportional to prior odds by distance times the Bayes factor of p, both as in its rank
  score. The credible set are the fewest members that hold `LEVEL` of the weight. Where two members drive the
  gene, the weights only say which is seen more clearly.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import squareform

from jamie.data.places import is_placed
from jamie.regulation.links import judge

REACH_BP = 50_000  # between two members of a set; domains of co-accessible peaks are some tens of kb long
TOGETHER = 0.5  # Pearson's r of two members
LEVEL = 0.95  # of the weight that a credible set holds
SET_COLUMNS = ("set", "q_set", "weight", "in_credible_set")


def near_peaks(peaks: pd.DataFrame, reach_bp: int = REACH_BP) -> tuple[np.ndarray, np.ndarray]:
    """Every two peaks of one chromosome whose centres lie within ``reach_bp``; none without a place.

    Parameters
    ----------
    peaks
        chrom, start, end (bp, 0-based half-open).

    Returns
    -------
    first, second : int (n_near,)
        Row numbers.
    """
    centre = ((peaks["start"] + peaks["end"]) // 2).to_numpy(np.int64)
    chrom, placed = pd.factorize(peaks["chrom"])[0], is_placed(peaks)
    chrom[~placed] = chrom.max(initial=0) + 1 + np.arange((~placed).sum())  # each apart from all others
    # chromosomes laid end to end, too far apart for two of their peaks to be near
    line = centre + chrom * (centre.max(initial=0) + reach_bp + 1)
    order = np.argsort(line, kind="stable")
    line = line[order]
    n = np.searchsorted(line, line + reach_bp, side="right") - np.arange(len(line)) - 1
    first = np.repeat(np.arange(len(line)), n)
    second = first + 1 + np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)
    return order[first], order[second]


def sets_of(n_peaks: int, first: np.ndarray, second: np.ndarray, r: np.ndarray) -> np.ndarray:
    """The set of each peak, as a number from 0: int (n_peaks,).

    Parameters
    ----------
    first, second, r
        Peaks that are near each other and their correlation, (n_near,); all others are taken to be apart.
    """
    together = r >= TOGETHER
    first, second, r = first[together], second[together], np.minimum(r[together], 1)  # but for rounding
    near = sparse.csr_matrix((r, (first, second)), shape=(n_peaks, n_peaks))
    near = (near + near.T).tocsr()
    n, chained = connected_components(near, directed=False)
    by_chain = np.argsort(chained, kind="stable")
    ends = np.searchsorted(chained[by_chain], np.arange(n + 1))
    for chain in np.flatnonzero(np.diff(ends) > 2):  # two that are linked are together in any case
        members = by_chain[ends[chain] : ends[chain + 1]]
        apart = 1 - near[members][:, members].toarray()
        np.fill_diagonal(apart, 0)
        tree = linkage(squareform(apart, checks=False), "complete")
        of = fcluster(tree, 1 - TOGETHER + 1e-9, "distance")
        chained[members[of > 1]] = n + of[of > 1]
        n += of.max() + 1
    return pd.factorize(chained)[0]


def fine_mapped(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs with `SET_COLUMNS`.

    Parameters
    ----------
    pairs
        gene, neighbourhood (the peak's set), chrom, distance_bp, p_value and rank_score.

    Returns
    -------
    ``set``, the gene's name and a number, 1 for its surest set; ``q_set``; ``weight`` within the set, which
    sum to 1; whether a pair is ``in_credible_set``. "", NaN, NaN and False where a pair has no p-value.
    """
    blank = {"set": "", "q_set": np.nan, "weight": np.nan, "in_credible_set": False}
    found = pairs.assign(**blank)
    own = pairs[pairs["p_value"].notna()]
    if own.empty:
        return found
    own = own.assign(key=own.groupby(["gene", "neighbourhood"], sort=False).ngroup())
    odds = own["rank_score"] / np.maximum(1 - own["rank_score"], 1e-12)
    own["weight"] = odds / odds.groupby(own["key"]).transform("sum")
    own["apart_bp"] = own["distance_bp"].abs()
    own = own.sort_values(["key", "p_value"], kind="stable")
    rank, size = own.groupby("key").cumcount() + 1, own.groupby("key")["key"].transform("size")
    own["p_set"] = np.minimum(own["p_value"] * size / rank, 1)
    sets = own.groupby("key").agg(
        gene=("gene", "first"), chrom=("chrom", "first"), p=("p_set", "min"), apart_bp=("apart_bp", "min")
    )
    sets["q"], sets["rank_score"] = judge(
        sets["p"].to_numpy(), sets["apart_bp"].to_numpy(), sets["chrom"].to_numpy(str)
    )
    surest = sets.sort_values(["q", "rank_score"], ascending=[True, False], kind="stable")
    number = surest.groupby("gene", sort=False).cumcount() + 1
    names = surest["gene"].astype(str) + ":" + number.astype(str)
    by_weight = own.sort_values(["key", "weight"], ascending=[True, False], kind="stable")
    before = by_weight.groupby("key")["weight"].cumsum() - by_weight["weight"]
    found.loc[own.index, "set"] = own["key"].map(names)
    found.loc[own.index, "q_set"] = own["key"].map(sets["q"])
    found.loc[own.index, "weight"] = own["weight"]
    found.loc[by_weight.index, "in_credible_set"] = (before < LEVEL).to_numpy()
    return found


def linked(pairs: pd.DataFrame, q: float) -> np.ndarray:
    """Whether each pair is in the credible set of a set that is linked: bool (n_pairs,)."""
    return (pairs["in_credible_set"].astype(bool) & (pairs["q_set"] <= q)).to_numpy()
