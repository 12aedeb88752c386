"""Are the links real? Whether they lie near their genes, hold what is known, and keep what their q promises.

``links`` has a row per peak-gene pair. Two statistics judge each pair: "imputed" (share of the gene's
imputed variance the peak carries) and "measured" (plain correlation of measured values). Their p values are
ranks among peaks of other chromosomes matched on accessibility, so under the null they are uniform. A pair
without a p value of a statistic is never significant by it and ranks last; a statistic without any is left
out of the tables.

All intervals are 95 % and take pairs as independent. Pairs of one gene share its values, so true intervals
are wider.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.stats import binomtest, fisher_exact, norm
from sklearn.metrics import average_precision_score, precision_recall_curve

from jamie.regulation.fine_mapping import linked

IMPUTED, MEASURED = "imputed", "measured"
SETS = "imputed, sets"
WITH, WITHOUT = "with distance", "without distance"
P_COLUMNS = {IMPUTED: "p_value", MEASURED: "p_correlation"}
Q_COLUMNS = {IMPUTED: "q_value", MEASURED: "q_correlation"}
GENE_BODY, NEAREST = "gene body", "< 10 kb"
DISTANCE_BINS = (GENE_BODY, NEAREST, "10-50 kb", "50-200 kb", "200-500 kb")
TOP = "top N"
CALIBRATION_COLUMNS = (
    "statistic",
    "level",
    "n_significant",
    "false_discovery_proportion",
    "ci_low",
    "ci_high",
)
_EDGES_BP = (10_000, 50_000, 200_000, 500_000)
_TOP_SHARE = 0.01  # of pairs: with fewer at the top, two statistics could not be told apart
_N_RANKS = 10
_Z95 = norm.ppf(0.975)


def distance_profile(links: pd.DataFrame, level: float = 0.01) -> pd.DataFrame:
    """How many times more pairs reach p <= ``level`` than the matched null gives, by distance from the TSS.

    Parameters
    ----------
    links
        ``in_gene_body``, ``distance_bp`` and the p values. A pair in the gene body counts there, whatever its
        distance; one farther than 500 kb counts nowhere.

    Returns
    -------
    One row per statistic and bin: ``n_links`` (with a p value), ``n_below``, ``expected``, ``fold`` with
    ``ci_low`` and ``ci_high`` (exact binomial, Clopper-Pearson); the last three are NaN in an empty bin.
    """
    place = distance_bin(links)
    rows = []
    for statistic in statistics(links):
        p = links[P_COLUMNS[statistic]].to_numpy(dtype=float)
        for i, name in enumerate(DISTANCE_BINS):
            own = p[(place == i) & np.isfinite(p)]
            n, n_below = len(own), int((own <= level).sum())
            fold = np.array([n_below / n if n else np.nan, *_exact_interval(n_below, n)]) / level
            rows.append((statistic, name, n, n_below, n * level, *fold))
    columns = ["statistic", "bin", "n_links", "n_below", "expected", "fold", "ci_low", "ci_high"]
    return pd.DataFrame(rows, columns=columns)


def distance_bin(links: pd.DataFrame) -> np.ndarray:
    """Place of each pair in DISTANCE_BINS, int (n_pairs,); their number for a pair beyond the last."""
    distance = links["distance_bp"].abs().to_numpy()
    place = np.where(distance == _EDGES_BP[-1], len(_EDGES_BP), 1 + np.digitize(distance, _EDGES_BP))
    return np.where(links["in_gene_body"].to_numpy(dtype=bool), 0, place)


def near_enrichment(
    links: pd.DataFrame, q: float = 0.1, near_bp: int = 10_000, *, tie_break: str = "rank_score"
) -> pd.DataFrame:
    """Whether significant pairs lie nearer to the TSS than ``near_bp`` more often than others.

    Each statistic is judged twice: by the pairs at its q <= ``q``, and by its N pairs of lowest p, where N is
    the same for both statistics (the larger number of significant pairs, at least 1 % of pairs).

    Parameters
    ----------
    tie_break
        Column whose largest absolute values come first among equal p of imputed values. A score that knows
        the distance favours near pairs here; "attribution" does not. Measured values take ``signac_z``.

    Returns
    -------
    One row per statistic and ``cut`` (``q <= 0.1``, ``top N``): ``n_links``, ``n_near``, ``n_significant``,
    ``n_significant_near``; ``odds_ratio`` with 0.5 added to each cell of the table (Haldane-Anscombe), with
    Woolf's interval ``ci_low``, ``ci_high`` on the same cells; ``p_value``, Fisher's exact test of the table
    as it is, two-sided; ``reason`` why these are NaN, else empty.
    """
    near = links["distance_bp"].abs().to_numpy() < near_bp
    found = statistics(links)
    significant = {s: _significant(links, s, q) for s in found}
    n_top = max(
        [int(np.ceil(_TOP_SHARE * len(links))), *(int(chosen.sum()) for chosen in significant.values())]
    )
    rows = []
    for statistic in found:
        top = np.zeros(len(links), dtype=bool)
        top[_strongest_first(links, statistic, tie_break)[:n_top]] = True
        for cut, chosen in ((f"q <= {q:g}", significant[statistic]), (TOP, top)):
            reason = _why_no_odds(chosen, near, cut, near_bp)
            odds = [np.nan] * 4 if reason else [*odds_ratio(chosen, near), _fisher(chosen, near)]
            counts = (len(links), near.sum(), chosen.sum(), (chosen & near).sum())
            rows.append((statistic, cut, *map(int, counts), *odds, reason))
    columns = ["statistic", "cut", "n_links", "n_near", "n_significant", "n_significant_near"]
    return pd.DataFrame(rows, columns=[*columns, "odds_ratio", "ci_low", "ci_high", "p_value", "reason"])


def known_enrichment(
    links: pd.DataFrame, known, ranks: Sequence[int] | None = None, *, tie_break: str = "rank_score"
) -> pd.DataFrame:
    """Whether the strongest pairs hold more known links than the rest, by how many are taken.

    Parameters
    ----------
    known
        bool (n_pairs,): pairs known from elsewhere to be linked, in the order of ``links``.
    ranks
        Numbers of top pairs; by default 10 on a log scale, up to all.
    tie_break
        As in :func:`near_enrichment`.

    Returns
    -------
    One row per statistic and ``n_top``: ``n_known`` among them, ``odds_ratio`` against the rest with
    ``ci_low`` and ``ci_high`` (as in :func:`near_enrichment`; NaN where there is no rest), ``n_links``,
    ``n_known_links``.

    Raises
    ------
    ValueError
        ``known`` is of another length, or holds for no pair or for all.
    """
    known = _checked(links, known)
    n = len(links)
    if ranks is None:
        ranks = np.unique(np.geomspace(min(10, n), n, _N_RANKS).round().astype(int))
    rows = []
    for statistic in statistics(links):
        order = _strongest_first(links, statistic, tie_break)
        for n_top in (min(int(rank), n) for rank in ranks):
            top = np.zeros(n, dtype=bool)
            top[order[:n_top]] = True
            odds = odds_ratio(top, known) if n_top < n else [np.nan] * 3
            rows.append((statistic, n_top, int((top & known).sum()), *odds, n, int(known.sum())))
    columns = ["statistic", "n_top", "n_known", "odds_ratio", "ci_low", "ci_high", "n_links", "n_known_links"]
    return pd.DataFrame(rows, columns=columns)


def precision_recall(links: pd.DataFrame, known) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Precision and recall of the true links, for rankings with and without the distance.

    Returns
    -------
    curve
        ``statistic``, ``recall``, ``precision`` where that recall is first reached, by falling recall; the
        area under its steps is the average precision.
    summary
        ``statistic``, ``auprc`` (average precision), ``base_rate`` (what a random ranking gets). A ranking
        that has no value for any pair is left out.

    Raises
    ------
    ValueError
        ``known`` is of another length, or holds for no pair or for all.
    """
    known = _checked(links, known)
    rankings = {
        f"{IMPUTED}, {WITH}": (links["rank_score"],),
        f"{IMPUTED}, {WITHOUT}": (-links["p_value"], links["attribution"].abs()),
        f"{MEASURED}, {WITH}": (links["rank_score_correlation"],),
        f"{MEASURED}, {WITHOUT}": (links["correlation"].abs(),),
        f"{MEASURED}, z against matched peaks": (links["signac_z"].abs(),),
        "distance alone": (-links["distance_bp"].abs(),),
    }
    curves, summary = [], []
    for statistic, keys in rankings.items():
        if not keys[0].notna().any():
            continue
        strength = _strength(*keys)
        precision, recall, _ = precision_recall_curve(known, strength)
        curve = pd.DataFrame({"recall": recall[:-1], "precision": precision[:-1]})
        curve = curve.groupby("recall", sort=False, as_index=False).last()
        curves.append(curve.assign(statistic=statistic)[["statistic", "recall", "precision"]])
        summary.append((statistic, average_precision_score(known, strength), known.mean()))
    return (
        pd.concat(curves, ignore_index=True),
        pd.DataFrame(summary, columns=["statistic", "auprc", "base_rate"]),
    )


def calibration(links: pd.DataFrame, known, levels: Sequence[float] = (0.05, 0.1, 0.2)) -> pd.DataFrame:
    """Share of false links among those at each level of q: a q that keeps its promise stays at the level.

    Returns
    -------
    One row per statistic and ``level``: ``n_significant``, ``false_discovery_proportion`` with ``ci_low`` and
    ``ci_high`` (exact binomial); NaN where nothing is significant.
    """
    known = _checked(links, known, mixed=False)
    rows = []
    for statistic in statistics(links):
        for level in levels:
            chosen = _significant(links, statistic, level)
            n, n_false = int(chosen.sum()), int((chosen & ~known).sum())
            rows.append((statistic, level, n, n_false / n if n else np.nan, *_exact_interval(n_false, n)))
    return pd.DataFrame(rows, columns=CALIBRATION_COLUMNS)


def set_calibration(links: pd.DataFrame, known, levels: Sequence[float] = (0.05, 0.1, 0.2)) -> pd.DataFrame:
    """The same of sets of peaks: one is false if no member of its credible set is known as a link."""
    known = _checked(links, known, mixed=False)
    rows = []
    for level in levels:
        chosen = linked(links, level)
        held = pd.Series(known[chosen]).groupby(links["set"].to_numpy()[chosen]).any()
        n, n_false = len(held), int((~held).sum())
        rows.append((SETS, level, n, n_false / n if n else np.nan, *_exact_interval(n_false, n)))
    return pd.DataFrame(rows, columns=CALIBRATION_COLUMNS)


def statistics(links: pd.DataFrame) -> list[str]:
    """The statistics that have a p value for any pair."""
    return [s for s, column in P_COLUMNS.items() if links[column].notna().any()]


def odds_ratio(chosen: np.ndarray, marked: np.ndarray) -> tuple[float, float, float]:
    """Odds of ``marked`` (bool, (n,)) among ``chosen`` over those among the rest, and its 95 % interval.

    0.5 is added to each cell (Haldane, 1956; Anscombe, 1956), so that an empty cell gives a finite ratio; the
    interval is Woolf's (1955), normal on the log scale.
    """
    table = _table(chosen, marked) + 0.5
    log_ratio = np.log(table[0, 0] * table[1, 1] / (table[0, 1] * table[1, 0]))
    half_width = _Z95 * np.sqrt((1 / table).sum())
    return tuple(float(np.exp(log_ratio + step)) for step in (0, -half_width, half_width))


def _fisher(chosen: np.ndarray, marked: np.ndarray) -> float:
    return float(fisher_exact(_table(chosen, marked)).pvalue)


def _table(chosen: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Counts (chosen or not, marked or not)."""
    return np.array([[(c & m).sum() for m in (marked, ~marked)] for c in (chosen, ~chosen)])


def _why_no_odds(chosen: np.ndarray, near: np.ndarray, cut: str, near_bp: int) -> str:
    if not chosen.any():
        return f"no pair at {cut} without distance"
    if chosen.all():
        return "every pair is chosen"
    if near.all() or not near.any():
        return f"{'every' if near.all() else 'no'} pair is nearer than {near_bp:,} bp"
    return ""


def _significant(links: pd.DataFrame, statistic: str, q: float) -> np.ndarray:
    return (links[Q_COLUMNS[statistic]] <= q).to_numpy(dtype=bool)


def _strongest_first(links: pd.DataFrame, statistic: str, tie_break: str) -> np.ndarray:
    """Row numbers by rising p, int (n_pairs,)."""
    ties = links[tie_break if statistic == IMPUTED else "signac_z"].abs()
    return np.argsort(-_strength(-links[P_COLUMNS[statistic]], ties), kind="stable")


def _strength(key: pd.Series, ties: pd.Series | None = None) -> np.ndarray:
    """Rank by ``key``, then by ``ties``, larger is stronger; int (n_pairs,), -1 where ``key`` is NaN."""
    keys = {"key": key.to_numpy(dtype=float)}
    if ties is not None:
        keys["ties"] = ties.fillna(-np.inf).to_numpy(dtype=float)
    return pd.DataFrame(keys).groupby(list(keys)).ngroup().fillna(-1).to_numpy(dtype=int)


def _exact_interval(k: int, n: int) -> tuple[float, float]:
    if n == 0:
        return np.nan, np.nan
    interval = binomtest(k, n).proportion_ci(0.95, method="exact")
    return float(interval.low), float(interval.high)


def _checked(links: pd.DataFrame, known, *, mixed: bool = True) -> np.ndarray:
    known = np.asarray(known, dtype=bool)
    if known.shape != (len(links),):
        raise ValueError(f"Expected one known value per pair ({len(links):,}), found shape {known.shape}.")
    if mixed and (known.all() or not known.any()):
        raise ValueError(
            f"{'Every' if known.all() else 'No'} pair is known as a link: nothing to tell apart."
        )
    return known
