"""Scores in plain words, for captions and the first page of the report (reStructuredText)."""

from __future__ import annotations

import re

import pandas as pd

from jamie import contract as c
from jamie.evaluation import paired, roles

STRICTEST = (c.TEST, c.HIDDEN, c.ALL, c.PAIRED)
CELLS_IN_WORDS = {
    c.TEST: "held-out cells",
    c.HIDDEN: "cells seen in training whose pair was hidden",
    c.PAIRED: "cells seen in training together with their pair",
    c.ALL: "all cells, all of them seen in training",
}
# what docutils takes for markup or an address inside a line, and for a list or a directive at its start
INLINE = re.compile(r"[\\*`|@]|_(?![A-Za-z0-9])|(?<=[A-Za-z]):(?=\S)|:(?=:)")
BLOCK = re.compile(r"^(?:\W|(?:\d+|[A-Za-z]|[ivxlcdm]+|[IVXLCDM]+)[.)](?:\s|$))")
MAIN_SCORES = ("foscttm", "lta", "pearson", "pearson_within", "auroc", "r2_median", "win_rate_knn")


def as_it_is(text: str) -> str:
    """Any text, so that reStructuredText shows it unchanged, in one line: never as markup, whatever it holds.

    The one place where words that come from data or from the config are made safe for a page or a caption;
    in the pages of HTML, great_tables escapes every cell and title.
    """
    line = " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())
    nothing = "\\ " if BLOCK.match(line) else ""  # what stands for no character, and begins no block
    return nothing + INLINE.sub(r"\\\g<0>", line)


def label(name: str) -> str:
    """Words for a name, as in figures, for a page; words of a caption take `roles.label`."""
    return as_it_is(roles.label(name))


def strictest_cells(table: pd.DataFrame) -> str:
    """The group of cells whose scores say most: held-out before hidden before seen."""
    scored = table[table["status"] == c.OK] if "status" in table else table
    present = set((scored if len(scored) else table)["cells"])
    return next(cells for cells in STRICTEST if cells in present)


def cells_in_words(part: pd.DataFrame) -> str:
    return CELLS_IN_WORDS[part["cells"].iloc[0]]


def why_no_scores(features: pd.DataFrame) -> str:
    """Why per-feature scores cannot be shown; empty if they can."""
    if features["pearson"].notna().any():
        return ""
    return "Not applicable: there is no cell whose measured values could be held against imputed ones."


def why_no_distances(features: pd.DataFrame) -> str:
    """Why Jensen-Shannon distances cannot be shown; empty if they can."""
    if features["js_distance"].notna().any():
        return ""
    return "Not applicable: no cell type has the 10 scored cells that a distribution needs."


def why_no_comparison(features: pd.DataFrame, method: str, against: str) -> str:
    """Why two methods cannot be compared by feature; empty if they can."""
    reason = why_no_scores(features)
    for name in (method, against):
        if not reason and not (features["method"] == name).any():
            reason = f"Not applicable: {roles.label(name)} was not run or has no scores here."
    return reason


def wins_in_words(features: pd.DataFrame, method: str, against: str, ratio: float) -> str:
    """Features on which a method is higher than another, per imputed modality, and whether it is better.

    Parameters
    ----------
    features
        FEATURE_SCORE_COLUMNS of one dataset, scenario and group of cells.
    ratio
        As from :func:`jamie.evaluation.paired.split_ratio`.
    """
    parts = []
    for modality, rows in features.groupby("modality", sort=False):
        for score in ("pearson", "auroc"):
            wide = rows.pivot_table(index="feature", columns="method", values=score, aggfunc="mean")
            if not {method, against} <= set(wide):
                continue
            both = wide[[method, against]].dropna()
            above, below = (both[method] > both[against]).sum(), (both[method] < both[against]).sum()
            share = above / max(above + below, 1)
            by_seed = _wins_by_seed(rows, score, method, against)
            spread = f", {by_seed.min():.0%} to {by_seed.max():.0%} by seed" if len(by_seed) > 1 else ""
            gap = paired.mean_over_features(rows, score, method, against, ratio=ratio)
            parts.append(
                f"{roles.label(modality)}, {roles.label(score)}: {roles.label(method)} is higher on "
                f"{above:,} and lower on {below:,} features ({share:.0%}{spread}); their mean differs by "
                f"{paired.interval_in_words(gap)}"
            )
    n_seeds = features["seed"].nunique()
    return f"On {cells_in_words(features)}, mean of {number(n_seeds, 'seed')}. " + ". ".join(parts) + "."


def _wins_by_seed(rows: pd.DataFrame, score: str, method: str, against: str) -> pd.Series:
    """Share of features won in each seed alone, ties left out."""
    wide = rows.pivot_table(index=["seed", "feature"], columns="method", values=score)[[method, against]]
    better = (wide[method] - wide[against])[lambda d: d.notna() & (d != 0)] > 0
    return better.groupby(level="seed").mean()


def similarity_in_words(features: pd.DataFrame) -> str:
    """Mean Jensen-Shannon similarity by imputed modality and method, with its spread over seeds."""
    by_seed = 1 - features.groupby(["modality", "method", "seed"], sort=False)["js_distance"].mean()
    parts = []
    for modality, rows in by_seed.dropna().groupby(level=0, sort=False):
        means = [f"{roles.label(m)} {mean_sd(v)}" for m, v in rows.groupby(level=1, sort=False)]
        parts.append(f"{roles.label(modality)}: {', '.join(means)}")
    n_seeds = number(features["seed"].nunique(), "seed")
    return f"Mean similarity on {cells_in_words(features)}; {n_seeds}. {'; '.join(parts)}."


def scores_in_words(part: pd.DataFrame, shown: list[str]) -> str:
    """The caption of the score figure: the main numbers of the method shown, with spread."""
    n_seeds = part["seed"].nunique()
    head = f"Scores on {cells_in_words(part)}; {number(n_seeds, 'seed')}."
    if not shown:
        return head + "\n"
    lines = []
    for (metric, modality), values in ok_values(part, shown[0]).items():
        if metric in MAIN_SCORES:
            lines.append(f"{score_name(metric, modality)} {mean_sd(values)}")
    return f"{head} {roles.label(shown[0])}: {'; '.join(lines) or 'no score applies'}.\n"


def ok_values(rows: pd.DataFrame, method: str) -> dict[tuple[str, str], pd.Series]:
    """Scores over seeds by (metric, modality), status ok only."""
    own = rows[(rows["method"] == method) & (rows["status"] == c.OK)].fillna({"modality": ""})
    return {key: g["value"].astype(float) for key, g in own.groupby(["metric", "modality"], sort=False)}


def number(n: int, noun: str) -> str:
    """A count with its noun: 1 seed, 3 seeds."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def mean_sd(values: pd.Series) -> str:
    mean = round(values.mean(), 3) + 0.0  # never "-0.000"
    return f"{mean:z.3f}" + (f" ± {values.std():.3f}" if len(values) > 1 else "")


def score_name(metric: str, modality: str) -> str:
    """A score in words, as they stand in a caption."""
    return roles.label(metric) + (f", {roles.label(modality)}" if modality else "")


def score_names(scores: list[tuple[str, str]]) -> str:
    """Several scores as a list, such as "FOSCTTM, Pearson r (RNA)"."""
    return ", ".join(
        roles.label(metric) + (f" ({roles.label(modality)})" if modality else "")
        for metric, modality in scores
    )


def caption(words: str | list[str], about: dict) -> str:
    """Text of a caption, with a warning where a scenario shows wrong pairs on purpose.

    Parameters
    ----------
    words
        Plain text, which stays so (`as_it_is`); several are the items of a list.
    about
        ``wrong_pairs``: share of the shown pairs that are wrong.
    """
    wrong = about["wrong_pairs"]
    warning = f" Of the pairs shown, {wrong:.0%} were wrong on purpose." if wrong else ""
    text = as_it_is(words) if isinstance(words, str) else "\n".join(f"* {as_it_is(line)}" for line in words)
    return f"{text}{warning}\n"
