"""What the figures of peak-gene links say: headlines and captions."""

from __future__ import annotations

import numpy as np
import pandas as pd

from jamie.regulation.enrichment import DISTANCE_BINS, IMPUTED, MEASURED, NEAREST, TOP, WITHOUT

STATISTICS = (IMPUTED, MEASURED)
NO_MEASURED = "measured values: not shown, no cells are known to be pairs"


def distance_message(profile: pd.DataFrame, near: pd.DataFrame) -> str:
    bins, measured = filled(profile, IMPUTED), filled(profile, MEASURED)
    if NEAREST not in bins.index:
        return "No pair is nearer than 10 kb, so nearness to the gene says nothing"
    nearest, far = bins.loc[NEAREST], bins.iloc[-1]
    numbers = f"{times(nearest['fold'])} chance within 10 kb"
    if NEAREST in measured.index:
        numbers += f" (measured: {times(measured.loc[NEAREST, 'fold'])})"
    said = "do not crowd near the gene"
    if nearest["ci_low"] > 1:
        said = "crowd near the gene" if nearest["ci_low"] > far["fold"] else "exceed chance near and far"
        numbers += "" if nearest["ci_low"] > far["fold"] else f", {times(far['fold'])} at {far.name}"
    none = near[(near["statistic"] == IMPUTED) & (near["n_significant"] == 0)]["cut"]
    significance = "".join(
        f"\nWithout their distance, no imputed link reaches {with_signs(cut)}" for cut in none
    )
    return f"Pairs with p ≤ {level_of(profile):g} {said}: {numbers}{significance}"


def distance_words(profile: pd.DataFrame, near: pd.DataFrame) -> str:
    """The caption: folds near and far with intervals, then the odds of both cuts."""
    folds = []
    for statistic in statistics_in(profile):
        bins = filled(profile, statistic)
        ends = bins.loc[[name for name in dict.fromkeys([NEAREST, bins.index[-1]]) if name in bins.index]]
        said = [f"{times(row['fold'])} ({interval(row)}) at {name}" for name, row in ends.iterrows()]
        folds.append(f"{statistic} {', '.join(said)}")
    odds = []
    for row in near.itertuples():
        of = f"{row.statistic}, {cut_of(row)}, {row.n_significant_near:,} of {row.n_significant:,} near"
        value = f"{number(row.odds_ratio)} ({interval(row._asdict())}; Fisher's p = {row.p_value:.2g})"
        odds.append(f"{row.statistic}, {with_signs(row.reason)}" if row.reason else f"{of}: {value}")
    head = f"Pairs with p ≤ {level_of(profile):g}, outside the gene body, over what the matched null gives"
    near_words = f"Odds ratio of lying nearer than 10 kb to the TSS: {'; '.join(odds)}."
    return f"{head}: {'; '.join(folds)}. {near_words}{absent(profile)}"


def truth_message(summary: pd.DataFrame) -> str:
    auprc = summary.set_index("statistic")["auprc"].sort_values(ascending=False, kind="stable")
    best, *others = auprc.index
    told = (s for s in others if "z against" not in s and s != f"{IMPUTED}, {WITHOUT}")
    said = [f"{s.replace(',', '')} {auprc[s]:.3f}" for s in told]
    said.append(f"chance {summary['base_rate'].iloc[0]:.3f}")
    best_words = best.replace(",", " values")
    return f"True links are ranked best by {best_words}: AUPRC {auprc[best]:.3f}\n({', '.join(said)})"


def promise(calibration: pd.DataFrame) -> str:
    """Whether q of imputed links is kept, at the levels that have links."""
    own = calibration[(calibration["statistic"] == IMPUTED) & (calibration["n_significant"] > 0)]
    if own.empty:
        return f"No imputed link is significant, up to q = {calibration['level'].max():g}"
    more = "more" if (own["ci_low"] > own["level"]).any() else "no more"
    return f"Imputed links are false {more} often than q promises"


def truth_words(summary: pd.DataFrame, calibration: pd.DataFrame) -> str:
    """The caption: AUPRC of every ranking, then the share of false links by level of q."""
    ranked = summary.sort_values("auprc", ascending=False, kind="stable")
    areas = "; ".join(f"{row.statistic}, {row.auprc:.3f}" for row in ranked.itertuples())
    parts = [f"Area under the precision-recall curve: {areas}; chance, {ranked['base_rate'].iloc[0]:.3f}"]
    for statistic in statistics_in(calibration):
        said = []
        for row in calibration[calibration["statistic"] == statistic].to_dict("records"):
            share = f"{row['false_discovery_proportion']:.2f} of {row['n_significant']:,} ({interval(row)})"
            said.append(f"{share if row['n_significant'] else 'no link'} at q ≤ {row['level']:g}")
        parts.append(f"False among {statistic} links: {', '.join(said)}")
    return ". ".join(parts) + "." + absent(calibration)


def set_words(calibration: pd.DataFrame) -> str:
    """For the caption: sets of peaks that are linked, and the share without a true link, by level of q."""
    said = []
    for row in calibration.to_dict("records"):
        share = f"{row['false_discovery_proportion']:.2f} of {row['n_significant']:,} ({interval(row)})"
        said.append(f"{share if row['n_significant'] else 'no set'} at q ≤ {row['level']:g}")
    return f"Without a true link among the sets of peaks that are linked: {', '.join(said)}."


def known_message(enrichment: pd.DataFrame) -> str:
    rows = {s: top_percent(enrichment, s) for s in statistics_in(enrichment)}
    own = rows[IMPUTED]
    said = "more" if own["ci_low"] > 1 else "less" if own["ci_high"] < 1 else "no more"
    odds = ", ".join(f"{s} {number(row['odds_ratio'])}" for s, row in rows.items())
    head = f"Known links are {said} frequent among the top {own['n_top']:,} imputed pairs"
    return f"{head}\n(odds ratio: {odds})"


def known_words(enrichment: pd.DataFrame) -> str:
    """The caption: known links among about the top 1 % of pairs, by both statistics."""
    said = []
    for statistic in statistics_in(enrichment):
        row = top_percent(enrichment, statistic)
        odds = f"odds ratio {number(row['odds_ratio'])} ({interval(row)})"
        said.append(f"{statistic}, {row['n_known']:,} of the top {row['n_top']:,}, {odds}")
    first = enrichment.iloc[0]
    head = f"Of {first['n_links']:,} pairs, {first['n_known_links']:,} are known as links"
    return f"{head}; among the strongest: {'; '.join(said)}.{absent(enrichment)}"


def top_percent(enrichment: pd.DataFrame, statistic: str) -> pd.Series:
    """The row nearest to the top 1 % of pairs, on a log scale."""
    own = enrichment[(enrichment["statistic"] == statistic) & enrichment["odds_ratio"].notna()]
    return own.loc[np.log(own["n_top"] / (0.01 * own["n_links"])).abs().idxmin()]


def filled(profile: pd.DataFrame, statistic: str) -> pd.DataFrame:
    """Rows of the bins outside the gene body that hold pairs, by bin, nearest first."""
    own = profile[(profile["statistic"] == statistic) & (profile["n_links"] > 0)].set_index("bin")
    return own.loc[[name for name in DISTANCE_BINS[1:] if name in own.index]]


def level_of(profile: pd.DataFrame) -> float:
    """The p that the profile was cut at."""
    return float(f"{(profile['expected'] / profile['n_links']).max():.6g}")


def statistics_in(table: pd.DataFrame) -> list[str]:
    return [s for s in STATISTICS if (table["statistic"] == s).any()]


def absent(table: pd.DataFrame) -> str:
    return "" if MEASURED in set(table["statistic"]) else f" {NO_MEASURED.capitalize()}."


def cut_of(row) -> str:
    return f"top {row.n_significant:,} by p" if row.cut == TOP else with_signs(row.cut)


def with_signs(words: str) -> str:
    return words.replace("<=", "≤")


def times(fold: float) -> str:
    return f"{fold:.1f} ×" if fold < 10 else f"{fold:,.0f} ×"


def number(value: float) -> str:
    return f"{value:.2g}" if value < 99.5 else f"{float(f'{value:.2g}'):,.0f}"


def interval(row) -> str:
    return f"95 % interval {number(row['ci_low'])} to {number(row['ci_high'])}"
