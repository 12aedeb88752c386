"""The ranking of methods as one self-contained page of HTML."""

from __future__ import annotations

import textwrap

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.colors import to_hex

from jamie import contract as c
from jamie import unmade
from jamie.evaluation import roles
from jamie.evaluation.phrases import number
from jamie.evaluation.ranking import ALL, DIGITS, FAMILIES, SCORES
from jamie.plots import style

COLORS, STRONGEST, N_SHADES = "Blues", 0.42, 12  # shades of scaled scores; dark text stays legible on all
LONGEST_REASON = 110  # characters of a reason in the table; the whole is in the .tsv
HEADS = {
    "rank": "rank",
    "label": "method",
    "foscttm": "FOSCTTM\N{NO-BREAK SPACE}↓",
    "lta": "label transfer\N{NO-BREAK SPACE}↑",
    "r_1": "r, first\N{NO-BREAK SPACE}↑",
    "r_2": "r, second\N{NO-BREAK SPACE}↑",
    "alignment": "alignment\N{NO-BREAK SPACE}↑",
    "imputation": "imputation\N{NO-BREAK SPACE}↑",
    "time_s": "fit time (s)\N{NO-BREAK SPACE}↓",
    "memory_gb": "memory (GB)\N{NO-BREAK SPACE}↓",
    "gpu_gb": "GPU memory (GB)\N{NO-BREAK SPACE}↓",
}
LOWER = ("foscttm", "time_s", "memory_gb", "gpu_gb")
NOTES = (
    "Scores: mean ± standard deviation over seeds; r is Pearson's, mean over features, of the first and "
    "of the second modality as imputed. Bold: the best method of a column and those that the data cannot "
    "tell from it, by the 95 % interval of the difference, seed by seed, corrected for splits that share "
    "cells; nothing with one seed or over all datasets. Bold time and memory: the least. (no pairs): "
    "learns from no known pair. Time and memory: median over seeds.",
    "Alignment and imputation are means of scaled scores, (value - floor) / (reference - floor), of "
    "FOSCTTM and label transfer, and of both r: 0 is the floor, 1 the reference; colour: the scaled "
    "score. Floor: shuffled pairs (where they were not run, 0.5 for FOSCTTM and 0 for the others). "
    "Reference: reads the truth (where it was not run, the perfect value); it is no bound.",
    "Order: the mean of alignment and imputation, in which an output that a method does not have (–) counts "
    "as 0. Over all datasets, so does a dataset where a method has no score; there it takes the last rank.",
)
OF_FAILED = (
    "Failed: the method was run and broke off, which says nothing of how good it is; ranking.tsv names its "
    "log. Excluded: it cannot be run on these data."
)


def ranking_page(table: pd.DataFrame) -> str:
    """A page with a row per method, grouped by dataset and scenario; it loads nothing from elsewhere.

    Parameters
    ----------
    table
        As from :func:`jamie.evaluation.ranking.rank_methods`.
    """
    from great_tables import GT, loc
    from great_tables import style as gt

    table = table.reset_index(drop=True)
    shown = [name for name in HEADS if name != "gpu_gb" or table["gpu_gb"].notna().any()]
    text = _texts(table)[shown].assign(group=_headings(table))
    page = GT(text, groupname_col="group", id="ranking").cols_label(**{name: HEADS[name] for name in shown})
    page = page.tab_spanner("scores", list(SCORES)).tab_spanner("scaled, 0 to 1", list(FAMILIES))
    page = page.tab_spanner("cost", [name for name in shown if name in LOWER[1:]])
    page = page.cols_align("left", ["label"]).cols_align("right", [n for n in shown if n != "label"])
    page = page.tab_style(gt.css("white-space: nowrap;"), loc.body())
    page = page.tab_header(headline(table))
    for name, where in _shades(table, shown).items():
        for color, rows in where.items():
            page = page.tab_style(gt.fill(color), loc.body(name, rows))
    for name in shown:
        if rows := _bold(table, text, name):
            page = page.tab_style(gt.text(weight="bold"), loc.body(name, rows))
    if controls := [i for i, m in enumerate(table["method"]) if roles.is_control(m)]:
        page = page.tab_style(gt.text(color=style.GREY), loc.body(rows=controls))
    if bare := _without_scores(table):
        spanning = (
            "max-width: 0; overflow: visible; white-space: nowrap; text-align: left; font-style: italic;"
        )
        look = [gt.css(spanning), gt.text(color=style.GREY)]
        page = page.tab_style(look, loc.body("foscttm", bare))
    for note in [*NOTES, *([OF_FAILED] if (table["status"] == c.FAILED).any() else [])]:
        page = page.tab_source_note(note)
    return page.tab_options(**style.HTML_TABLE).as_raw_html(make_page=True)


def headline(table: pd.DataFrame) -> str:
    """Which method is first, and in how many datasets and scenarios."""
    runs = table[table["dataset"] != ALL]
    first = runs[runs["rank"] == 1]
    n_runs = len(runs[["dataset", "scenario"]].drop_duplicates())
    if first.empty:
        return "No method has a score"
    leading = table.loc[table["rank"].notna(), "method"].iloc[0] if n_runs > 1 else None
    if leading is None:
        return f"{' and '.join(first['label'])} ranked first{_told(runs)}"
    own = first[first["method"] == leading]
    label = table.loc[table["method"] == leading, "label"].iloc[0]
    words = f"Over all datasets: {label} first, and first in {len(own)} of {n_runs}"
    alone = sum(_level(runs, row.dataset, row.scenario) == [label] for row in own.itertuples(index=False))
    return f"{words}, told from the others in {alone}"


def _level(runs: pd.DataFrame, dataset: str, scenario: str) -> list[str]:
    """Labels of the methods that the seeds cannot tell from the best, in order; empty with one seed."""
    part = runs[(runs["dataset"] == dataset) & (runs["scenario"] == scenario)]
    return [row.label for row in part.itertuples(index=False) if "overall" in row.level_on.split(", ")]


def _told(runs: pd.DataFrame) -> str:
    """Whether the first of a single run can be told from the others."""
    if len(runs[runs["rank"].notna()]) < 2:
        return ""
    level = _level(runs, runs["dataset"].iloc[0], runs["scenario"].iloc[0])
    if not level:
        return "; with one seed that may be chance"
    first = set(runs.loc[runs["rank"] == 1, "label"])
    others = [label for label in level if label not in first]
    return f"; the seeds cannot tell it from {' and '.join(others)}" if others else ""


def in_words(table: pd.DataFrame) -> str:
    """The caption: the first three of each dataset and scenario, and over everything."""
    parts = []
    for (dataset, scenario), part in table.groupby(["dataset", "scenario"], sort=False):
        ranked = part[part["rank"].notna()].head(3)
        names = [_with_standing(row) for row in ranked.itertuples(index=False)]
        where = "All datasets" if dataset == ALL else f"{dataset}, {scenario}"
        parts.append(f"{where}: {', '.join(names) or 'no method has a score'}.")
    return (
        "The first three, with the mean of alignment and imputation; (level): the seeds cannot tell it "
        "from the first. " + " ".join(parts)
    )


def _with_standing(row) -> str:
    level = row.rank > 1 and "overall" in str(row.level_on).split(", ")
    return f"{row.label} {row.overall:.3f}" + (" (level)" if level else "")


def _headings(table: pd.DataFrame) -> list[str]:
    """The group of rows each row belongs to: what was run, on which cells, and with how many seeds."""
    runs = table.loc[table["dataset"] != ALL, ["dataset", "scenario"]].drop_duplicates()
    words = number(runs["dataset"].nunique(), "dataset")
    words += f", {number(runs['scenario'].nunique(), 'scenario')}" if runs["scenario"].nunique() > 1 else ""
    found = []
    for row in table.itertuples(index=False):
        if row.dataset == ALL:
            found.append(
                f"all datasets ({words}): in order of the mean scaled scores; the rank is a mean too"
            )
            continue
        names = [row.modality_1, row.modality_2]
        names = [roles.label(m) for m in names if isinstance(m, str) and m]
        modalities = ", ".join(f"{nth}: {m}" for nth, m in zip(("first", "second"), names, strict=False))
        case = roles.case_words(row.protocol, row.cells, int(row.n_seeds))
        found.append(f"{row.dataset}, {row.scenario} ({modalities}): {case}")
    return found


def _texts(table: pd.DataFrame) -> pd.DataFrame:
    """What stands in each field; never NaN."""
    text = pd.DataFrame(index=table.index)
    text["rank"] = [_rank(row) for row in table.itertuples(index=False)]
    runs = len(table.loc[table["dataset"] != ALL, ["dataset", "scenario"]].drop_duplicates())
    text["label"] = [_method(row, runs) for row in table.itertuples(index=False)]
    everything = table["dataset"] == ALL
    for score in SCORES:
        pairs = zip(table[score], table[f"{score}_sd"], strict=True)
        text[score] = [_mean_sd(mean, sd) for mean, sd in pairs]
        text.loc[everything, score] = ""
    for family in FAMILIES:
        text[family] = [_number(value) for value in table[family]]
    for cost in LOWER[1:]:
        text[cost] = [
            "" if not np.isfinite(v) else f"{v:.1f}" if v < 10 else f"{v:,.0f}" for v in table[cost]
        ]
    for i in _without_scores(table):
        text.loc[i, [*SCORES, *FAMILIES]] = ""
        reason = unmade.without_logs(table.loc[i, "reason"])
        words = f"{table.loc[i, 'status'].replace('_', ' ')}: {reason}"
        text.loc[i, "foscttm"] = textwrap.shorten(words, LONGEST_REASON, placeholder=" …")
    return text


def _without_scores(table: pd.DataFrame) -> list[int]:
    """Rows that say why there is no score; a control to which none applies says nothing."""
    quiet = table["method"].map(roles.is_control).astype(bool) & (table["status"] == c.NOT_APPLICABLE)
    return [int(i) for i in np.flatnonzero((table["status"] != c.OK) & ~quiet)]


def _rank(row) -> str:
    if not np.isfinite(row.rank):
        return ""
    return f"{row.rank:.1f}" if row.dataset == ALL else f"{row.rank:.0f}"


def _method(row, n_runs: int) -> str:
    """The label, and of how many seeds or datasets the method has scores, where that is not all."""
    every, of = (n_runs, "runs") if row.dataset == ALL else (int(row.n_seeds), "seeds")
    part = row.status == c.OK and row.n_ran < every
    return row.label + (f" [{row.n_ran} of {every} {of}]" if part else "")


def _number(value: float) -> str:
    return f"{round(value, DIGITS) + 0.0:.{DIGITS}f}" if np.isfinite(value) else "–"


def _cost(value: float) -> str:
    if not np.isfinite(value):
        return ""
    return "< 0.1" if value < 0.05 else f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def _mean_sd(mean: float, sd: float) -> str:
    spread = f" ± {sd:.{DIGITS}f}" if np.isfinite(sd) else ""
    return _number(mean) + (spread if np.isfinite(mean) else "")


def _shades(table: pd.DataFrame, shown: list[str]) -> dict[str, dict[str, list[int]]]:
    """Rows by column and colour: the higher the scaled score the darker, of methods alone."""
    found: dict[str, dict[str, list[int]]] = {}
    for name in (*SCORES, *FAMILIES):
        scaled = table[name if name in FAMILIES else f"{name}_scaled"].clip(0, 1)
        for i, value in scaled.dropna().items():
            if not roles.is_control(table.loc[i, "method"]) and name in shown:
                shade = round(value * N_SHADES) / N_SHADES * STRONGEST
                color = to_hex(colormaps[COLORS](shade))
                found.setdefault(name, {}).setdefault(color, []).append(int(i))
    return found


def _bold(table: pd.DataFrame, text: pd.DataFrame, name: str) -> list[int]:
    """Rows that are best or cannot be told from the best; of times and memory, the least as printed."""
    if name in ("rank", "label"):
        return []
    if name not in LOWER[1:]:
        on = table["level_on"].fillna("").str.split(", ")
        return [int(i) for i in np.flatnonzero(on.map(lambda names: name in names))]
    rows = []
    for _, part in table.groupby(["dataset", "scenario"], sort=False):
        values = part.loc[~part["method"].map(roles.is_control).astype(bool), name].astype(float).dropna()
        if len(values) > 1:
            printed = text.loc[values.index, name]
            rows += [int(i) for i in values.index[printed == printed[values.idxmin()]]]
    return rows
