"""Peak-gene links: which peaks near a gene drive its imputed expression more than peaks elsewhere would.

Every pair of a gene and a peak within a window of its TSS gets

* an empirical p-value: how many peaks on other chromosomes, matched on accessibility, are worth as much to
  this gene. It depends on this gene and all peaks alone, so it is the same whichever genes are asked for. A
  pair has none where its peak is never open, or where too few matched peaks are elsewhere.
* a q-value: Benjamini-Hochberg over all pairs, with weights by distance to the TSS (Genovese, Roeder and
  Wasserman, Biometrika 93, 509-524, 2006) that are learned on the other chromosomes (as in Ignatiadis and
  Huber, J. R. Stat. Soc. B 83, 720-751, 2021), so that a pair's own p-value has no say in its weight.
* a rank score, by which pairs are ranked: the share of links among pairs of such p and distance, by a mixture
  of uniform (no link) and Beta(a, 1) p-values (link; Pounds and Morris, Bioinformatics 19, 1236-1242, 2003)
  whose share of links falls with distance. It is no probability of a link: neighbours that open together with
  a linked peak have small p-values as well. What is called linked are sets of them (`fine_mapping`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import false_discovery_control
from sklearn.isotonic import isotonic_regression

from jamie.data.genome import pairs_in_window, tss_position
from jamie.data.places import is_placed
from jamie.linear.blocks import moments
from jamie.regulation.annotation import in_gene_body

MATCHED = 300  # peaks of a class of accessibility: with fewer, its spread is too rough for small p-values
MIN_MATCHED = 100  # of these on other chromosomes than a gene's: with fewer its pairs have no p-value
MIN_ELSEWHERE = 200  # peaks on other chromosomes: with fewer there is no null
NOT_MATCHED = -1  # class of peaks that are never open
DISTANCE_CLASSES = 20
PERMUTATIONS = 200
_APART = 1e6  # more than any scaled value, so that classes lie apart on one axis
_ROUNDING = 1e-5  # relative: of two sums of the same float32 numbers
_FLAT = 1e-4, 0.95  # bounds on the share of links in a class of distance


@dataclass
class Window:
    """All peaks within a window of each gene's TSS.

    Attributes
    ----------
    genes, peaks
        Tables indexed by name with chrom, start, end (bp, 0-based half-open), genes also strand.
    gene, peak : int (n_pairs,)
        Rows of ``genes`` and ``peaks``, sorted by gene.
    distance_bp : int64 (n_pairs,)
        From the TSS to the peak's centre, negative upstream.
    """

    genes: pd.DataFrame
    peaks: pd.DataFrame
    gene: np.ndarray
    peak: np.ndarray
    distance_bp: np.ndarray

    @classmethod
    def of(cls, genes: pd.DataFrame, peaks: pd.DataFrame, window_bp: int) -> Window:
        return cls(genes, peaks, *pairs_in_window(genes, peaks, window_bp))

    def table(self) -> pd.DataFrame:
        """One row per pair: names, positions and distance."""
        genes, peaks = self.genes.iloc[self.gene], self.peaks.iloc[self.peak]
        return pd.DataFrame(
            {
                "gene": genes.index,
                "peak": peaks.index,
                "chrom": peaks["chrom"].to_numpy(),
                "start": peaks["start"].to_numpy(),
                "end": peaks["end"].to_numpy(),
                "tss_bp": tss_position(self.genes)[self.gene],
                "strand": genes["strand"].to_numpy(),
                "distance_bp": self.distance_bp,
                "in_gene_body": in_gene_body(self.genes, self.peaks, self.gene, self.peak),
            }
        )


@dataclass
class Null:
    """Peaks elsewhere in the genome, in classes of like accessibility.

    Attributes
    ----------
    chrom
        Chromosome of each peak, (p,).
    peak_class : int (p,)
        Class of accessibility, 0 the least: some `MATCHED` peaks each, and `MIN_MATCHED` elsewhere for every
        chromosome with which that is possible. `NOT_MATCHED` for peaks that are never open or have no place.
    """

    chrom: np.ndarray
    peak_class: np.ndarray

    @classmethod
    def of(cls, peaks: pd.DataFrame, open_share: np.ndarray, seed: int = 0) -> Null:
        """Peaks (p,), and the share of cells in which each is open.

        Peaks that are open in as many cells stand in random order: in that of a file, which is that of the
        genome, a class would lie on one chromosome, and have nothing elsewhere.
        """
        chrom = peaks["chrom"].to_numpy(str)
        open_peaks = np.flatnonzero(
            (open_share > 0) & is_placed(peaks)
        )  # others may be near, for all one knows
        by_name = open_peaks[np.argsort(peaks.index.to_numpy(str)[open_peaks], kind="stable")]
        shuffled = np.random.default_rng(seed).permutation(by_name)
        ranked = shuffled[np.argsort(open_share[shuffled], kind="stable")]
        n_classes = max(1, len(ranked) // MATCHED)
        peak_class = np.full(len(chrom), NOT_MATCHED)
        peak_class[ranked] = _merged(np.arange(len(ranked)) * n_classes // max(1, len(ranked)), chrom[ranked])
        return cls(chrom, peak_class)

    def elsewhere(self, chrom: str) -> np.ndarray:
        """Whether each peak can be compared with those of a chromosome: bool (p,)."""
        return (self.chrom != chrom) & (self.peak_class != NOT_MATCHED)

    def mean_and_rms(self, values, elsewhere, *, centred: bool) -> tuple[np.ndarray, np.ndarray]:
        """Mean (0 if not ``centred``) and rms about it of the values elsewhere, by peak's class.

        NaN where there are too few of the class.
        """
        of_class = self.peak_class[elsewhere]
        n = np.bincount(of_class, minlength=max(1, self.peak_class.max() + 1)).astype(float)
        n[n < MIN_MATCHED] = np.nan
        mean = np.bincount(of_class, values[elsewhere], len(n)) / n * centred
        square = np.bincount(of_class, (values[elsewhere] - mean[of_class]) ** 2, len(n)) / n
        rms = np.sqrt(np.maximum(square, 1e-30))
        matched = self.peak_class != NOT_MATCHED
        return tuple(np.where(matched, by_class[self.peak_class], np.nan) for by_class in (mean, rms))

    def p_values(self, values: np.ndarray, chrom: str, peaks: np.ndarray) -> np.ndarray:
        """How often a matched peak elsewhere has a value as large: float (peaks,); NaN without a null.

        Parameters
        ----------
        values
            Of one gene, for every peak (p,); large means linked.
        chrom
            Of the gene.
        peaks
            Positions of the peaks to judge.
        """
        elsewhere = self.elsewhere(chrom)
        scaled = values / self.mean_and_rms(values, elsewhere, centred=False)[1]
        elsewhere &= np.isfinite(scaled)
        null, of_class = scaled[elsewhere].astype(float), self.peak_class[elsewhere]
        own, own_class = scaled[peaks].astype(float), self.peak_class[peaks]
        n = np.bincount(of_class, minlength=max(1, self.peak_class.max() + 1))[own_class]
        # Each peak elsewhere is part of the rms by which its class is scaled; so must the judged one be, or a
        # few large values make its p too small. It joins its class: against that class values are compared
        # as they are, against the others scaled by the rms it is part of.
        joined = own * np.sqrt((n + 1) / (n + own**2))
        as_large = len(null) - np.searchsorted(np.sort(null), joined)
        by_class = np.sort(of_class * _APART + null)
        at_own, at_joined = (
            np.searchsorted(by_class, own_class * _APART + np.clip(least, -_APART / 4, _APART / 4))
            for least in (own, joined)
        )
        as_large += at_joined - at_own
        return np.where(np.isfinite(own), (1 + as_large) / (1 + len(null)), np.nan)

    def z_scores(self, values: np.ndarray, chrom: str, peaks: np.ndarray) -> np.ndarray:
        """Distance from the mean of matched peaks elsewhere, in their sd, as in Signac's LinkPeaks."""
        mean, sd = self.mean_and_rms(values, self.elsewhere(chrom), centred=True)
        return ((values - mean) / sd)[peaks]


def _merged(classes: np.ndarray, chrom: np.ndarray) -> np.ndarray:
    """Classes merged with the next, until each has `MIN_MATCHED` peaks elsewhere for every chromosome.

    A chromosome to which all merged classes together leave fewer is passed over.

    Parameters
    ----------
    classes, chrom
        Of peaks in the order of their accessibility, (p,).
    """
    if not len(classes):
        return classes
    names, place = np.unique(chrom, return_inverse=True)
    on = np.zeros((classes.max() + 1, len(names)), dtype=int)
    np.add.at(on, (classes, place), 1)
    elsewhere = on.sum(axis=1, keepdims=True) - on  # (classes, chromosomes)
    counts = elsewhere.sum(axis=0) >= MIN_MATCHED
    merged, current, sum_of = np.zeros(len(on), dtype=int), 0, np.zeros(len(names), dtype=int)
    for i, n in enumerate(elsewhere):
        merged[i], sum_of = current, sum_of + n
        if (sum_of[counts] >= MIN_MATCHED).all():
            current, sum_of = current + 1, np.zeros_like(sum_of)
    if sum_of.any() and current:  # what is left over is too little: the last class takes it
        merged[merged == current] = current - 1
    return merged[classes]


def why_no_null(peaks: pd.DataFrame) -> str:
    """Why links cannot be told from chance with these peaks; empty if they can."""
    n = peaks["chrom"].value_counts()
    elsewhere = int(n.sum() - n.max())
    if elsewhere >= MIN_ELSEWHERE:
        return ""
    return f"{elsewhere} peaks are not on {n.index[0]}; a null needs {MIN_ELSEWHERE} on other chromosomes"


def by_gene(window: Window):
    """Each gene of a window that has peaks: its row, and the positions of its pairs."""
    starts = np.searchsorted(window.gene, np.arange(len(window.genes) + 1))
    for gene in np.flatnonzero(np.diff(starts)):
        yield gene, slice(starts[gene], starts[gene + 1])


def measured_correlation(expression, accessibility) -> np.ndarray:
    """Pearson's r of genes and peaks over the same cells.

    Parameters
    ----------
    expression
        (n_cells, n_genes), dense.
    accessibility
        (n_cells, n_peaks), sparse or dense.

    Returns
    -------
    float32 (n_genes, n_peaks); 0 where either is constant.
    """
    standard = _standard(np.asarray(expression, dtype=np.float32))
    x = sparse.csc_matrix(accessibility, dtype=np.float32)
    mean = np.asarray(x.mean(axis=0)).ravel()
    sd = np.sqrt(np.maximum(np.asarray(x.multiply(x).mean(axis=0)).ravel() - mean**2, 0))
    moment = moments(x, standard).T / len(standard)
    return np.divide(moment, sd, out=np.zeros_like(moment), where=sd > 1e-8)


def _standard(values: np.ndarray) -> np.ndarray:
    centred = values - values.mean(axis=0)
    sd = centred.std(axis=0)
    return np.divide(centred, sd, out=np.zeros_like(centred), where=sd > 1e-8)


def permuted_p(expression, accessibility, window: Window, rng) -> np.ndarray:
    """How often |r| is as large when the cells of one modality are permuted: float (n_pairs,).

    Parameters
    ----------
    expression, accessibility
        Of the window's genes (dense) and peaks, over the same cells.
    """
    standard = _standard(np.asarray(expression, dtype=np.float32))
    x = sparse.csc_matrix(accessibility, dtype=np.float32)
    n = len(standard)
    orders = [np.arange(n), *(rng.permutation(n) for _ in range(PERMUTATIONS))]
    orders = np.array(orders, dtype=np.int32)
    p = np.ones(len(window.gene))
    for gene, pairs in by_gene(window):
        # sums of products: the gene has mean 0, and the sd of both are the same in every order
        moment = np.abs(standard[:, gene][orders] @ x[:, window.peak[pairs]].toarray())
        as_large = moment[1:] >= moment[0] * (1 - _ROUNDING)
        p[pairs] = (1 + as_large.sum(axis=0)) / (1 + PERMUTATIONS)
    return p


def judge(p: np.ndarray, distance_bp: np.ndarray, chrom: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """q-value and rank score of every pair from its p-value and distance: float (n_pairs,) each.

    What near and far pairs are worth is learned on all chromosomes but the pair's own. With pairs on one
    chromosome alone the q-values know no distance.
    """
    classes = _distance_classes(distance_bp)
    weight, score = np.ones(len(p)), np.empty(len(p))
    for name in np.unique(chrom):
        own = chrom == name
        other = own if own.all() else ~own
        shape, share = _mixture(p[other], classes[other], classes.max() + 1)
        # of thresholds that make the local false discovery rate equal: share / (1 - share) t^(shape - 1)
        by_class = (share / (1 - share)) ** (1 / (1 - shape))
        if not own.all():
            weight[own] = by_class[classes[own]] / by_class[classes[other]].mean()
        linked = share[classes[own]] * shape * p[own] ** (shape - 1)
        score[own] = linked / (linked + 1 - share[classes[own]])
    weight /= weight.mean()
    return false_discovery_control(np.minimum(p / np.maximum(weight, 1e-12), 1)), score


def _distance_classes(distance_bp: np.ndarray) -> np.ndarray:
    """Up to `DISTANCE_CLASSES` classes of |distance| with like numbers of pairs, 0 the nearest."""
    n_classes = int(np.clip(len(distance_bp) // 50, 1, DISTANCE_CLASSES))
    edges = np.quantile(np.abs(distance_bp), np.linspace(0, 1, n_classes + 1)[1:-1])
    return np.searchsorted(edges, np.abs(distance_bp))


def _mixture(p: np.ndarray, classes: np.ndarray, n_classes: int) -> tuple[float, np.ndarray]:
    """Shape of the links' p-values, and share of links by class of distance, by expectation-maximisation."""
    n = np.bincount(classes, minlength=n_classes)
    shape, share = 0.5, np.full(n_classes, 0.1)
    log_p = np.log(p)
    for _ in range(200):
        linked = share[classes] * shape * p ** (shape - 1)
        linked /= linked + 1 - share[classes]
        found = np.bincount(classes, linked, n_classes) / np.maximum(n, 1)
        found = isotonic_regression(found, sample_weight=np.maximum(n, 1e-9), increasing=False)
        previous, share = share, np.clip(found, *_FLAT)
        shape = float(np.clip(-linked.sum() / (linked * log_p).sum(), 0.05, 0.95))
        if np.abs(share - previous).max() < 1e-5:
            break
    return shape, share


def write_bedpe(path, links: pd.DataFrame) -> None:
    """Links as BEDPE: the peak, the TSS, ``gene|peak``, score 0-1000, then attribution, q-value and set."""
    from jamie.io import atomic

    tss = links["tss_bp"].astype(int)
    table = pd.DataFrame(
        {
            "chrom1": links["chrom"],
            "start1": links["start"],
            "end1": links["end"],
            "chrom2": links["chrom"],
            "start2": tss,
            "end2": tss + 1,
            "name": links["gene"] + "|" + links["peak"],
            "score": (1000 * links["rank_score"]).round().astype(int),
            "strand1": ".",
            "strand2": links["strand"],
            "attribution": links["attribution"],
            "q_value": links["q_value"],
            "set": links["set"],
            "q_set": links["q_set"],
            "weight": links["weight"],
        }
    )
    with atomic(path) as temporary:
        temporary.write_text("#" + table.to_csv(sep="\t", index=False, float_format="%.4g"))
