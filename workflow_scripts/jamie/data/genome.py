"""Genes and peaks on chromosomes: where they lie, how far apart they are, and which peak drives which gene.

Positions are in bp, 0-based half-open, as in BED.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import sparse

LINK_COLUMNS = ("gene", "peak", "distance_bp", "effect")

_SLOT_BP = 1_200  # at most one peak per slot, so peaks never overlap
_GENE_SPACING_BP = 100_000
_GENE_LENGTH_BP = (1_000, 80_000)
_PEAK_SPREAD_BP = 25_000  # Laplace scale of the distance between a peak near a gene and its TSS
_NEAR_SHARE = 0.7  # peaks placed near a gene
_MAX_DRIVERS = 5


def signed_distance_bp(start, end, tss, strand) -> np.ndarray:
    """Distance from a TSS to the centre of a peak, int64, bp; negative is upstream.

    Parameters
    ----------
    start, end
        Peaks, 0-based half-open; the centre is ``(start + end) // 2``.
    tss
        0-based position of the first transcribed base.
    strand
        "+" or "-", of the gene.
    """
    offset = (np.asarray(start, dtype=np.int64) + np.asarray(end, dtype=np.int64)) // 2 - np.asarray(tss)
    return np.where(np.asarray(strand) == "-", -offset, offset)


def tss_position(genes: pd.DataFrame) -> np.ndarray:
    """0-based first transcribed base: ``start`` on "+", ``end - 1`` on "-"; int64 (n_genes,), bp."""
    return np.where(genes["strand"] == "-", genes["end"] - 1, genes["start"]).astype(np.int64)


def pairs_in_window(genes: pd.DataFrame, peaks: pd.DataFrame, window_bp: int):
    """All peaks whose centre lies within ``window_bp`` of a gene's TSS.

    Returns
    -------
    gene, peak : int (n_pairs,)
        Row numbers, sorted by gene.
    distance_bp : int64 (n_pairs,)
    """
    tss = tss_position(genes)
    codes = pd.factorize(np.concatenate([genes["chrom"], peaks["chrom"]]))[0]
    centre = ((peaks["start"] + peaks["end"]) // 2).to_numpy(dtype=np.int64)
    # chromosomes laid end to end, too far apart for a window to span two
    stride = max(tss.max(), centre.max()) + 2 * int(window_bp) + 1
    tss_line, centre_line = tss + codes[: len(genes)] * stride, centre + codes[len(genes) :] * stride
    order = np.argsort(centre_line, kind="stable")
    low = np.searchsorted(centre_line, tss_line - window_bp, side="left", sorter=order)
    n = np.searchsorted(centre_line, tss_line + window_bp, side="right", sorter=order) - low
    gene = np.repeat(np.arange(len(genes)), n)
    peak = order[np.arange(n.sum()) + np.repeat(low - (np.cumsum(n) - n), n)]
    strand = genes["strand"].to_numpy()[gene]
    start, end = peaks["start"].to_numpy()[peak], peaks["end"].to_numpy()[peak]
    return gene, peak, signed_distance_bp(start, end, tss[gene], strand)


def place_features(n_genes: int, n_peaks: int, n_chromosomes: int, rng) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Genes and peaks with positions in bp, each sorted by chromosome and start."""
    share = np.linspace(1.3, 0.7, n_chromosomes) / np.linspace(1.3, 0.7, n_chromosomes).sum()
    slots = max(n_genes * _GENE_SPACING_BP // _SLOT_BP, 4 * n_peaks)
    slots = np.maximum(np.ceil(slots * share).astype(int), 2 * _GENE_LENGTH_BP[1] // _SLOT_BP)
    first = np.append(0, np.cumsum(slots))

    chrom = np.sort(rng.choice(n_chromosomes, n_genes, p=share))
    length = np.clip(rng.lognormal(np.log(15_000), 0.8, n_genes), *_GENE_LENGTH_BP).astype(int)
    start = (rng.random(n_genes) * (slots[chrom] * _SLOT_BP - length)).astype(int)
    genes = pd.DataFrame({"chrom": chrom, "start": start, "end": start + length})
    genes["strand"] = rng.choice(["+", "-"], n_genes)
    genes = genes.sort_values(["chrom", "start", "end"], ignore_index=True)

    anchor = rng.integers(0, n_genes, round(_NEAR_SHARE * n_peaks))
    near_chrom = genes["chrom"].to_numpy()[anchor]
    near = tss_position(genes)[anchor] + rng.laplace(0, _PEAK_SPREAD_BP, len(anchor)).astype(int)
    near = first[near_chrom] + np.clip(near // _SLOT_BP, 0, slots[near_chrom] - 1)
    taken = np.unique(near)  # where two fell into one slot, the second goes to a free one
    free = np.setdiff1d(np.arange(first[-1]), taken)
    taken = np.sort(np.append(taken, rng.choice(free, n_peaks - len(taken), replace=False)))
    width = rng.integers(500, 1001, n_peaks)
    chrom = np.searchsorted(first, taken, side="right") - 1
    start = (taken - first[chrom]) * _SLOT_BP + rng.integers(0, _SLOT_BP - width + 1)
    peaks = pd.DataFrame({"chrom": chrom, "start": start, "end": start + width})

    for table in (genes, peaks):
        table["chrom"] = "chr" + (table["chrom"] + 1).astype(str)
    digits = len(str(n_genes))
    genes.index = [f"gene_{i:0{digits}d}" for i in range(1, n_genes + 1)]
    peaks.index = peaks["chrom"] + ":" + peaks["start"].astype(str) + "-" + peaks["end"].astype(str)
    peaks.index.name = None
    return genes, peaks


def domains(peaks: pd.DataFrame, domain_bp: int) -> np.ndarray:
    """The stretch of ``domain_bp`` in which each peak's centre lies, as a number: int (n_peaks,)."""
    stretch = (peaks["start"] + peaks["end"]) // 2 // int(domain_bp)
    return peaks.groupby(["chrom", stretch], sort=False).ngroup().to_numpy()


def draw_regulation(genes: pd.DataFrame, peaks: pd.DataFrame, window_bp: int, rng):
    """Drivers of each gene: the links table, and the effects as CSR float32 (gene, peak)."""
    gene, peak, distance = pairs_in_window(genes, peaks, window_bp)
    order = np.lexsort([rng.random(len(gene)), gene])  # genes stay sorted, their peaks are in random order
    rank = np.arange(len(gene)) - np.searchsorted(gene, gene)
    kept = np.sort(order[rank < rng.integers(0, _MAX_DRIVERS + 1, len(genes))[gene]])
    gene, peak, distance = gene[kept], peak[kept], distance[kept]
    sign = np.where(rng.random(len(kept)) < 1 / 7, -1.0, 1.0)
    effect = sign * rng.uniform(0.5, 1.5, len(kept)) * np.exp(-2 * np.abs(distance) / window_bp)
    columns = (genes.index[gene], peaks.index[peak], distance, effect)
    links = pd.DataFrame(dict(zip(LINK_COLUMNS, columns, strict=True)))
    return links, sparse.csr_matrix((effect.astype(np.float32), (gene, peak)), shape=(len(genes), len(peaks)))
