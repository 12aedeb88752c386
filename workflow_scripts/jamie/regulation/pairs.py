"""Attributions of several fits put together, as tables: what drives a target, and the links near a gene."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from jamie.data.correspondence import Correspondence
from jamie.data.genome import signed_distance_bp, tss_position
from jamie.data.places import is_placed
from jamie.linear.blocks import dense
from jamie.regulation.attribution import Explained, Influence
from jamie.regulation.fine_mapping import sets_of
from jamie.regulation.links import Null, Window, by_gene, measured_correlation, permuted_p

DRIVERS = 20  # source features listed for each target
CIS, TRANS = "cis", "trans"
TOGETHER = 32  # targets whose gradients in each cell are held at a time
MIN_PAIRS = 20  # known pairs: with fewer a measured correlation says nothing
LINK_COLUMNS = (
    "gene",
    "peak",
    "chrom",
    "start",
    "end",
    "tss_bp",
    "strand",
    "distance_bp",
    "in_gene_body",
    "neighbourhood",
    "attribution",
    "attribution_sd",
    "effect",
    "correlation_imputed",
    "correlation",
    "rank",
    "p_value",
    "p_correlation",
    "signac_z",
    "p_permuted",
)
MOVED_COLUMNS = ("gene", "peak", "chrom", "distance_bp", "neighbourhood", "p_value", "p_correlation")


@dataclass
class Fit:
    """One seed: the model, what it was fitted to, its influence and the pairs it knew."""

    model: object
    prepared: object
    influence: Influence
    known: Correspondence


@dataclass
class Pooled:
    """Means over fits for some targets and all sources that every fit knows.

    Attributes
    ----------
    targets, sources : str
    share, share_sd : float32 (targets, sources)
        Of the target's imputed variance; standard deviation over fits (0 for one fit).
    specific : float32 (targets, sources)
        Share over what the source is worth to any target.
    effect : float32 (targets, sources)
        Change of the target in sd per sd of the source.
    imputed_r : float32 (targets, sources)
        Pearson's r of imputed target and measured source.
    measured_r : float32 (targets, sources) or None
        Pearson's r over the known pairs; None if there are too few.
    open_share : float32 (sources,)
        Share of the cells in which a source is not zero.
    pairs_of_first
        Target values and source values over the known pairs of the first fit, for permutations.
    neighbourhood : int (sources,) or None
        The set of peaks that open together to which a source belongs; None: not asked for.
    """

    targets: np.ndarray
    sources: np.ndarray
    share: np.ndarray
    share_sd: np.ndarray
    specific: np.ndarray
    effect: np.ndarray
    imputed_r: np.ndarray
    measured_r: np.ndarray | None
    open_share: np.ndarray
    pairs_of_first: tuple | None
    neighbourhood: np.ndarray | None = None


def known_to_all(models: Iterable, modality: str) -> np.ndarray:
    """Features of a modality that every model knows, in the order of the first."""
    names = [pd.Index(model.feature_names(modality)) for model in models]
    common = names[0]
    for other in names[1:]:
        common = common[common.isin(other)]
    return common.to_numpy(str)


def pool(
    fits: Iterable[Callable[[], Fit]], targets: np.ndarray, sources: np.ndarray, near: tuple | None = None
) -> Pooled:
    """Put fits together, one in memory at a time.

    Parameters
    ----------
    fits
        Called one after the other; each returns a `Fit`.
    targets, sources
        Names that every fit knows.
    near
        Positions of sources that are near each other (`fine_mapping.near_peaks`), to put them into sets.
    """
    parts: dict[str, list] = {}
    first = None
    for load in fits:
        fit = load()
        explained = Explained(fit.model, fit.prepared, fit.influence)
        rows = pd.Index(explained.targets).get_indexer(targets)
        cols = pd.Index(explained.sources).get_indexer(sources)
        shares = explained.shares(rows)
        found = {
            "share": shares[:, cols],
            "specific": explained.specific(shares)[:, cols],
            "effect": explained.effects(rows)[:, cols],
            "imputed_r": explained.correlations(rows)[:, cols],
            "open_share": explained.open_share[cols],
        }
        values = _over_pairs(fit, targets, sources)
        if values is not None:
            found["measured_r"] = measured_correlation(*values)
            first = first or values
        if near is not None:
            found["together"] = explained.open_together(*(cols[one] for one in near))
        for name, value in found.items():
            parts.setdefault(name, []).append(value)
    means = {name: np.mean(values, axis=0) for name, values in parts.items()}
    means.setdefault("measured_r", None)
    if near is not None:
        means["neighbourhood"] = sets_of(len(sources), *near, means.pop("together"))
    return Pooled(targets, sources, share_sd=np.std(parts["share"], axis=0), pairs_of_first=first, **means)


def _over_pairs(fit: Fit, targets: np.ndarray, sources: np.ndarray) -> tuple | None:
    """Values of targets (dense) and sources over the cells of the known pairs; None where these are few."""
    source, target = fit.influence.source, fit.influence.target
    pairs = fit.known.best_pairs()
    if len(pairs) < MIN_PAIRS:
        return None
    names = dict(zip(fit.model.modalities, (fit.known.row_names, fit.known.col_names), strict=True))
    column = {name: pairs[:, i] for i, name in enumerate(fit.model.modalities)}
    found = []
    for modality, features in ((target, targets), (source, sources)):
        adata = fit.prepared.mod[modality]
        cells = adata.obs_names.get_indexer(names[modality][column[modality]])
        found.append(adata.X[cells][:, adata.var_names.get_indexer(features)])
    expression = dense(found[0])
    return expression, found[1]


def drivers(pooled: Pooled) -> pd.DataFrame:
    """The `DRIVERS` source features that carry most of each target's imputed variance, best first."""
    n = min(DRIVERS, len(pooled.sources))
    best = np.argsort(-pooled.share, axis=1, kind="stable")[:, :n]
    rows = np.repeat(np.arange(len(best)), n)
    at = rows, best.ravel()
    return pd.DataFrame(
        {
            "target": pooled.targets[rows],
            "source": pooled.sources[best.ravel()],
            "rank": np.tile(np.arange(1, n + 1), len(best)),
            **_values(pooled, at),
        }
    )


def with_places(found: pd.DataFrame, genes: pd.DataFrame, peaks: pd.DataFrame, window_bp: int):
    """Drivers with ``place`` and ``distance_bp``: where a source peak lies, seen from the target gene.

    "cis" within ``window_bp`` of its TSS, else "trans"; bp from the TSS to the peak's centre, negative
    upstream, NaN on another chromosome.

    Parameters
    ----------
    found
        From `drivers`.
    genes, peaks
        Tables indexed by name with chrom, start, end, genes also strand. ``place`` is empty where the
        target or the source is not among them, or the source has no place.
    """
    gene, peak = genes.index.get_indexer(found["target"]), peaks.index.get_indexer(found["source"])
    known = np.flatnonzero((gene >= 0) & (peak >= 0) & np.append(is_placed(peaks), False)[peak])
    place, distance_bp = np.full(len(found), "", dtype=object), np.full(len(found), np.nan)
    if len(known):
        own, sources = genes.iloc[gene[known]], peaks.iloc[peak[known]]
        start, end = (sources[name].to_numpy(np.int64) for name in ("start", "end"))
        apart = signed_distance_bp(start, end, tss_position(own), own["strand"].to_numpy())
        same = own["chrom"].to_numpy(str) == sources["chrom"].to_numpy(str)
        distance_bp[known] = np.where(same, apart, np.nan)
        place[known] = np.where(same & (np.abs(apart) <= window_bp), CIS, TRANS)
    return found.assign(place=place, distance_bp=distance_bp)


def _values(pooled: Pooled, at: tuple[np.ndarray, np.ndarray]) -> dict[str, np.ndarray]:
    measured = pooled.measured_r
    return {
        "attribution": pooled.share[at],
        "attribution_sd": pooled.share_sd[at],
        "effect": pooled.effect[at],
        "correlation_imputed": pooled.imputed_r[at],
        "correlation": np.full(len(at[0]), np.nan) if measured is None else measured[at],
    }


def link_table(pooled: Pooled, genes: pd.DataFrame, peaks: pd.DataFrame, window_bp: int) -> pd.DataFrame:
    """Every pair of a gene and a peak near it with its p-values; see `jamie.regulation.links`.

    Parameters
    ----------
    pooled
        Targets are the rows of ``genes``, sources the rows of ``peaks``.
    genes, peaks
        Tables indexed by name with chrom, start, end, genes also strand.

    Returns
    -------
    Positions, ``neighbourhood`` (the peak's set), ``attribution`` (share), ``attribution_sd``, ``effect``,
    ``rank`` in the window, ``correlation_imputed``, ``correlation`` (measured), ``p_value`` (of the
    attribution), ``p_correlation`` (against the same peaks), ``p_permuted`` (of the correlation, cells
    permuted), ``signac_z``. Those of the measured correlation are NaN where too few pairs are known.
    """
    window = Window.of(genes, peaks, window_bp)
    at = window.gene, window.peak
    table = window.table().assign(**_values(pooled, at))
    table["rank"] = table.groupby("gene", sort=False)["attribution"].rank(ascending=False, method="first")
    table["rank"] = table["rank"].astype(int)
    table = table.assign(**_judged(pooled, window), p_permuted=np.nan)
    if pooled.pairs_of_first is not None and len(table):
        table["p_permuted"] = permuted_p(*pooled.pairs_of_first, window, np.random.default_rng(0))
    return table


def moved_table(pooled: Pooled, genes: pd.DataFrame, peaks: pd.DataFrame, window_bp: int) -> pd.DataFrame:
    """The same where no pair is a link: every gene is taken to lie where a gene half the genome away does.

    Parameters
    ----------
    pooled
        Targets are some rows of ``genes``.
    genes
        All genes that have a place.

    Returns
    -------
    ``MOVED_COLUMNS``. A gene whose new place is within two windows of its own has no pair.
    """
    along = genes.sort_values(["chrom", "start"], kind="stable")
    places = ["chrom", "start", "end", "strand"]
    moved = along[places].iloc[np.roll(np.arange(len(along)), len(along) // 2)].set_index(along.index)
    same = moved["chrom"].eq(along["chrom"]) & (
        np.abs(tss_position(moved) - tss_position(along)) <= 2 * window_bp
    )
    moved = moved[~same & moved.index.isin(pooled.targets)]
    if moved.empty:
        return no_links(MOVED_COLUMNS)
    window = Window.of(moved, peaks, window_bp)
    judged = _judged(some_targets(pooled, moved.index), window)
    return window.table().assign(**judged)[list(MOVED_COLUMNS)]


def _judged(pooled: Pooled, window: Window) -> dict[str, np.ndarray]:
    """Set, and p-values by attribution and by correlation, of all pairs of a window of the targets.

    Without sets every peak is one of its own.
    """
    null = Null.of(window.peaks, pooled.open_share)
    p, p_correlation, z = np.full((3, len(window.gene)), np.nan)
    chrom = window.genes["chrom"].to_numpy(str)
    for gene, pairs in by_gene(window):
        judged = window.peak[pairs]
        p[pairs] = null.p_values(pooled.specific[gene], chrom[gene], judged)
        if pooled.measured_r is not None:
            r = pooled.measured_r[gene]
            p_correlation[pairs] = null.p_values(np.abs(r), chrom[gene], judged)
            z[pairs] = null.z_scores(r, chrom[gene], judged)
    sets = np.arange(len(pooled.sources)) if pooled.neighbourhood is None else pooled.neighbourhood
    return {
        "neighbourhood": sets[window.peak],
        "p_value": p,
        "p_correlation": p_correlation,
        "signac_z": z,
    }


def by_group(fit: Fit, targets: np.ndarray, sources: np.ndarray) -> pd.DataFrame:
    """Mean attribution of pairs over the cells of each group, in units of the target.

    Parameters
    ----------
    targets, sources
        Names, one of each per pair, sorted by target.

    Returns
    -------
    A row per pair: target, source, and a column per cell type or cluster.
    """
    explained = Explained(fit.model, fit.prepared, fit.influence)
    rows = pd.Index(explained.targets).get_indexer(targets)
    cols = pd.Index(explained.sources).get_indexer(sources)
    names, group = np.unique(fit.influence.group, return_inverse=True)
    member = np.equal.outer(np.arange(len(names)), group) / np.bincount(group)[:, None]
    found = np.empty((len(rows), len(names)), dtype=np.float32)
    each = np.unique(rows)
    for part in np.array_split(each, -(-len(each) // TOGETHER)):
        gradients = explained.gradients(part)
        for i, target in enumerate(part):
            mine = np.flatnonzero(rows == target)
            found[mine] = (member @ explained.attributions(target, cols[mine], gradients[:, i])).T
    return pd.concat(
        [pd.DataFrame({"target": targets, "source": sources}), pd.DataFrame(found, columns=names)], axis=1
    )


def along_genome(targets: np.ndarray, genes: pd.DataFrame) -> np.ndarray:
    """Targets in the order of their genes' places, those without a place last."""
    if genes.empty:
        return targets
    place = genes.sort_values(["chrom", "start"]).index
    located = place[place.isin(targets)].to_numpy(str)
    return np.concatenate([located, targets[~np.isin(targets, located)]])


def some_targets(pooled: Pooled, targets) -> Pooled:
    """The same for some of the targets."""
    rows = pd.Index(pooled.targets).get_indexer(targets)
    measured = None if pooled.measured_r is None else pooled.measured_r[rows]
    first = pooled.pairs_of_first
    return replace(
        pooled,
        targets=pooled.targets[rows],
        measured_r=measured,
        pairs_of_first=None if first is None else (first[0][:, rows], first[1]),
        **{
            name: getattr(pooled, name)[rows]
            for name in ("share", "share_sd", "specific", "effect", "imputed_r")
        },
    )


def no_links(columns: tuple[str, ...] = LINK_COLUMNS) -> pd.DataFrame:
    """A table of links without a row."""
    return pd.DataFrame(columns=list(columns))
