"""What a dataset is, what is found in it, and what a run of it takes: the text that `make check` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from jamie import contract as c
from jamie.data import fit_together, places, related
from jamie.data.correspondence import Correspondence
from jamie.data.findings import Finding, refused
from jamie.data.linked import Linked
from jamie.data.preprocess import DEFAULT_TOP_FEATURES
from jamie.data.source_sizes import PREPARED_PER_MB
from jamie.linear.blocks import BLOCK_VALUES, count_nonzero

LONGEST = 5  # rules that are told one by one
SOME, MOST_PROTEINS = 5, 30  # names that are told: of each reason, and of proteins where there are no more


@dataclass(frozen=True)
class Cost:
    """What the jobs of one rule take, as far as is known before they run.

    Attributes
    ----------
    n_jobs
        How many there are.
    cpu_s
        CPU time of all of them together.
    memory_mb
        Peak of one.
    """

    n_jobs: int
    cpu_s: float
    memory_mb: float


def text(
    name: str,
    entry: dict,
    mdata,
    pairs: Correspondence,
    found: list[Finding],
    costs: Mapping[str, Cost],
    linked: Linked | None = None,
) -> str:
    """Everything about one dataset.

    Parameters
    ----------
    name, entry
        Of the dataset in the config.
    mdata, pairs
        As ingested.
    found
        What was noticed, warned of or refused.
    costs
        By rule, what the run that the config asks for will take.
    linked
        Linked features, where the run makes F~ and nothing stands against them.
    """
    modalities = [["modality", "kind", "cells", "features", "values"]]
    for modality, adata in mdata.mod.items():
        size = f"{adata.n_obs:,}", f"{adata.n_vars:,}"
        modalities.append([modality, adata.uns[c.KIND], *size, values_in_words(adata)])
    blocks = [
        f"{name}: {entry['description'] or 'no description'}",
        _aligned(modalities),
        "\n".join(_pairs_in_words(mdata, pairs) + _labels_in_words(mdata) + _places_in_words(mdata, entry)),
        *([linked_in_words(linked, mdata)] if linked else []),
        _findings_in_words(found),
        costs_in_words(costs),
    ]
    return "\n\n".join(blocks) + "\n"


def _aligned(rows: list[list[str]]) -> str:
    """Rows of text in columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def values_in_words(adata) -> str:
    """What the values of a modality look like, whatever they are called."""
    low, high, whole, n_missing = _range(adata.X.data if sparse.issparse(adata.X) else np.ravel(adata.X))
    size = adata.n_obs * adata.n_vars
    n_zero = size - int(count_nonzero(adata.X)[0].sum())
    kind = "whole numbers" if whole else "fractions"
    words = f"{kind} from {low:,.6g} to {high:,.6g}, {n_zero / size:.1%} zero"
    if n_missing:
        words += f", {n_missing / size:.1%} not measured"
    if adata.uns[c.KIND] not in c.COUNT_KINDS:
        return words
    if adata.uns["values"] != c.COUNTS:
        return f"normalised: {words}"
    depth = np.median(np.asarray(adata.X.sum(axis=1)))
    return f"counts: {words}, {depth:,.0f} in a median cell"


def _range(values: np.ndarray) -> tuple[float, float, bool, int]:
    """Lowest and highest of the values (n,) and 0, whether all are whole, and how many are NaN; in blocks."""
    low, high, whole, n_missing = 0.0, 0.0, True, 0
    for start in range(0, len(values), BLOCK_VALUES):
        block = values[start : start + BLOCK_VALUES]
        known = block[~np.isnan(block)]
        low, high = min(low, known.min(initial=low)), max(high, known.max(initial=high))
        whole = whole and bool((known == np.floor(known)).all())
        n_missing += len(block) - len(known)
    return float(low), float(high), whole, n_missing


def _pairs_in_words(mdata, pairs: Correspondence) -> list[str]:
    """How many cells both modalities have, and whether these are more alike than strangers."""
    best = pairs.best_pairs()
    alone = [
        f"{adata.n_obs - len(best):,} in {name} alone"
        for name, adata in mdata.mod.items()
        if adata.n_obs > len(best)
    ]
    lines = ["; ".join([f"Cells in both: {len(best):,}", *alone])]
    if relation := fit_together.relation(mdata, best):
        few = len(best) < fit_together.ENOUGH_PAIRS
        says = "more alike than strangers" if relation.found else "no more alike than strangers"
        if few and not relation.found:
            says = f"too few ({len(best)}) to be told from strangers"
        lines.append(f"Paired cells: {says}; {related.in_words(relation)}")
    return lines


def _labels_in_words(mdata) -> list[str]:
    """Cell types and batches of each modality."""
    lines = []
    for column in (c.CELL_TYPE, c.BATCH):
        labels = {m: adata.obs[column].dropna() for m, adata in mdata.mod.items() if column in adata.obs}
        if not labels:
            lines.append(f"{column}: none")
            continue
        said = [
            f"{own.nunique():,} in {m}"
            + (f" ({len(mdata[m]) - len(own):,} cells without)" if len(own) < mdata[m].n_obs else "")
            for m, own in labels.items()
        ]
        shared = set.intersection(*(set(own.astype(str)) for own in labels.values()))
        lines.append(f"{column}: {', '.join(said)}; {len(shared):,} of one name")
    return lines


def _places_in_words(mdata, entry: dict) -> list[str]:
    """Of RNA with ATAC: how many peaks and genes have a place."""
    by_kind = {adata.uns[c.KIND]: adata for adata in mdata.mod.values()}
    if set(by_kind) != {c.RNA, c.ATAC}:
        return []
    said = []
    for what, kind in (("peaks", c.ATAC), ("genes", c.RNA)):
        var = by_kind[kind].var
        said.append(f"{places.is_placed(places.place(var)).sum():,} of {len(var):,} {what}")
    file = "; genes also by the file under `genes:`" if entry["genes"] else ""
    return [f"With coordinates: {', '.join(said)}{file}"]


def linked_in_words(linked: Linked, mdata) -> str:
    """How features of the two modalities are linked, how many, and which are not and why."""
    sides = zip(mdata.mod.items(), linked.table[["first", "second"]].nunique(), strict=True)
    said = [f"{n:,} of {adata.n_vars:,} features of {name}" for (name, adata), n in sides]
    links = f"{len(linked.table):,} link{'' if len(linked.table) == 1 else 's'}"
    lines = [f"Linked, to match cells without a known pair: {', '.join(said)}; {links}: {linked.how}"]
    proteins = c.PROTEIN in [adata.uns[c.KIND] for adata in mdata.mod.values()]
    for reason, names in linked.why.items():
        n = len(names) if proteins and len(names) <= MOST_PROTEINS else SOME
        more = f" and {len(names) - n:,} more" if len(names) > n else ""
        lines.append(f"  not linked, {reason} ({len(names):,}): {', '.join(names[:n])}{more}")
    return "\n".join(lines)


def _findings_in_words(found: list[Finding]) -> str:
    if not found:
        return "Nothing to find fault with."
    lines = [f"{told.severity}: {told.sentence()}" for told in sorted(found, key=_weight)]
    if stop := refused(found):
        lines.append(f"Nothing will be fitted: {len(stop)} of this is refused.")
    return "\n".join(lines)


def _weight(found: Finding) -> int:
    return (c.REFUSED, c.WARNING, c.NOTICE).index(found.severity)


def prepared_mb(mdata, entry: dict, ingested_mb: float) -> float:
    """About how large ``prepared.h5mu`` will be: the share of the values that the features kept hold."""
    kept, total = 0.0, 0.0
    for name, adata in mdata.mod.items():
        of_features = np.sort(count_nonzero(adata.X)[1])[::-1]
        kind = adata.uns[c.KIND]
        n_top = entry["modalities"][name]["n_top_features"] or DEFAULT_TOP_FEATURES.get(kind, adata.n_vars)
        share = n_top / adata.n_vars if kind == c.RNA else 1.0  # genes are chosen by variance, not by size
        kept += of_features[:n_top].sum() if kind == c.ATAC else min(1.0, share) * of_features.sum()
        total += of_features.sum()
    return PREPARED_PER_MB * ingested_mb * kept / max(total, 1)


def costs_of(plan: dict, needs: Mapping[str, dict], size_mb: Mapping[str, float]) -> dict[str, Cost]:
    """What the jobs of a plan take, by rule.

    Parameters
    ----------
    plan
        Of `jamie.entry.plan`: nodes and edges.
    needs
        By rule, the row of rules/needs.smk, with how many ``times`` over a job does that work.
    size_mb
        By name of an input, its size as far as it is known.
    """
    rule_of = {node["id"]: node["value"]["rule"] for node in plan["nodes"]}
    # a job that reads the prepared cells of several seeds takes as many times as long
    n_prepared = Counter(edge["v"] for edge in plan["edges"] if rule_of[edge["u"]] == "preprocess")
    costs: dict[str, Cost] = {}
    for job, rule in rule_of.items():
        if rule not in needs:
            continue
        need, before = needs[rule], costs.get(rule, Cost(0, 0.0, 0.0))
        size = sum(size_mb.get(name, 0.0) for name in need["reads"])
        seconds = need["s"] + need["s_per_mb"] * size * max(1, n_prepared[job])
        memory_mb = need["mb"] + need["mb_per_mb"] * size
        costs[rule] = Cost(
            before.n_jobs + 1, before.cpu_s + seconds * need["times"], max(before.memory_mb, memory_mb)
        )
    return costs


def costs_in_words(costs: Mapping[str, Cost]) -> str:
    """The whole, the largest job, and the rules that take longest."""
    if not costs:
        return "The configuration asks for no run of this dataset."
    whole = sum(cost.cpu_s for cost in costs.values())
    largest = max(costs, key=lambda rule: costs[rule].memory_mb)
    lines = [
        f"A run as configured: {sum(cost.n_jobs for cost in costs.values()):,} jobs, about {_minutes(whole)} "
        f"of CPU time; the largest, {largest}, takes about {costs[largest].memory_mb / 1000:.1f} GB. Longest:"
    ]
    for rule in sorted(costs, key=lambda rule: -costs[rule].cpu_s)[:LONGEST]:
        cost = costs[rule]
        lines.append(
            f"  {rule}: {cost.n_jobs} x {_minutes(cost.cpu_s / cost.n_jobs)}, {cost.memory_mb / 1000:.1f} GB"
        )
    return "\n".join(lines)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:,.0f} min"
