"""Whether an annotation is of the genome that the peaks were called on."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd

from jamie.data.genome import pairs_in_window, tss_position
from jamie.errors import InputError

log = logging.getLogger(__name__)

CHANCE_SHIFT_BP = 200_000  # beyond any promoter, yet where genes and peaks are as dense as at the TSS
REACH_BP, BEYOND_BP = 500_000, 5_000_000
LEAST_Z = 2.0
MIN_EITHER = 10  # genes near a peak, and genes that are not, by chance: with fewer the shares say nothing


def check_build(genes: pd.DataFrame, peaks: pd.DataFrame, window_bp: int = 10_000, least: int = 100) -> dict:
    """Stop at an annotation of another genome or build: its TSSs are no nearer to peaks than moved TSSs are.

    Moved are all TSSs by `CHANCE_SHIFT_BP` to either side (a third of a short chromosome), around its ends.

    Parameters
    ----------
    genes, peaks
        With chromosomes of the same names.
    window_bp
        A TSS is near a peak if the peak's centre lies within this.
    least
        With fewer genes on the chromosomes of peaks, the shares are given but not judged.

    Returns
    -------
    dict
        ``n_genes`` on chromosomes with peaks; ``near_share`` and ``chance_share`` of them; ``z``, one-sided,
        of these two proportions; ``n_within_reach``, genes with a peak within `REACH_BP`; ``n_beyond``, peaks
        over `BEYOND_BP` beyond the last gene of their chromosome; ``judged``, whether a small z would stop.

    Raises
    ------
    InputError
        z < 2 where there is enough to judge, or no peak within `REACH_BP` of any TSS.
    """
    places = genes[genes["chrom"].isin(peaks["chrom"])].astype({"chrom": str})
    peaks = peaks.astype({"chrom": str})
    chrom, tss, n = places["chrom"].to_numpy(), tss_position(places), len(places)
    near, chance = _n_near(chrom, tss, peaks, window_bp), _n_near_by_chance(places, peaks, window_bp)
    pooled = (near + 2 * chance) / max(3 * n, 1)
    error = np.sqrt(pooled * (1 - pooled) * 1.5 * n)  # of near - chance, where chance is a mean of two
    last = peaks["chrom"].map(places.groupby("chrom")["end"].max())
    found = {
        "n_genes": n,
        "near_share": near / max(n, 1),
        "chance_share": chance / max(n, 1),
        "z": float((near - chance) / error) if error else 0.0,
        "n_within_reach": _n_near(chrom, tss, peaks, REACH_BP),
        "n_beyond": int((peaks["start"] > last + BEYOND_BP).sum()),
        "judged": n >= least and MIN_EITHER <= chance <= n - MIN_EITHER,
    }
    if found["n_within_reach"] == 0 or (found["judged"] and found["z"] < LEAST_Z):
        raise _other_build(found, len(peaks), window_bp)
    if found["z"] < LEAST_Z:
        log.warning(
            "Too few genes or peaks to tell whether `genes:` of the dataset is of the same genome build"
        )
    return found


def _n_near_by_chance(genes, peaks, window_bp):
    chrom, tss = genes["chrom"].to_numpy(), tss_position(genes)
    length = pd.concat([genes, peaks]).groupby("chrom")["end"].max().reindex(chrom).to_numpy(np.int64)
    shift = np.minimum(CHANCE_SHIFT_BP, length // 3)
    return float(np.mean([_n_near(chrom, (tss + by) % length, peaks, window_bp) for by in (shift, -shift)]))


def _n_near(chrom, position, peaks, window_bp):
    if not len(chrom):
        return 0
    points = pd.DataFrame({"chrom": chrom, "start": position, "end": position + 1, "strand": "+"})
    return len(np.unique(pairs_in_window(points, peaks, window_bp)[0]))


def _other_build(found, n_peaks, window_bp):
    numbers = (
        f"{found['near_share']:.1%} of {found['n_genes']:,} TSSs have a peak within {window_bp:,} bp, by "
        f"chance {found['chance_share']:.1%}; {found['n_within_reach']:,} have one within {REACH_BP:,} bp; "
        f"{found['n_beyond']:,} of {n_peaks:,} peaks lie over {BEYOND_BP:,} bp beyond the last gene"
    )
    return InputError(
        "Genes and peaks do not fit together: the annotation may be of another genome build",
        expected="TSSs that are nearer to peaks than by chance",
        found=numbers,
        change="`genes:` of the dataset, to an annotation of the build that the peaks were called on",
    )
