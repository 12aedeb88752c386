"""The first page of the report: what was done, how good it is, what to distrust (reStructuredText)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie.data import batches
from jamie.evaluation import calibration, paired, roles, tuning
from jamie.evaluation.phrases import (
    CELLS_IN_WORDS,
    as_it_is,
    label,
    mean_sd,
    number,
    ok_values,
    score_name,
    score_names,
    strictest_cells,
)
from jamie.metrics.base import load_metrics
from jamie.report.distrust import RANKS_CELLS, types_are_aligned, what_to_distrust
from jamie.report.facts import Facts

SEEN_BY_NONE = "held-out cells (never seen by any fitted step)"
SEEN_BY_COMPONENTS = "held-out cells (seen by its principal components, by no other fitted step)"
GRADES = 0.1, 0.25, 0.45  # FOSCTTM below which modalities are aligned well, moderately well, poorly
GRADES_IN_WORDS = (
    "aligned the modalities well",
    "aligned the modalities moderately well",
    "aligned the modalities poorly",
    "hardly aligned the modalities, if at all",
)
FLOORS = {
    "floor_shuffled": "shuffled pairs",
    "floor_mean": "the mean of a feature",
    "floor_type": "the mean of the predicted cell type",
}
PAGE_SCORES = (
    "foscttm",
    "lta",
    "batch_mixing",
    "pearson",
    "pearson_within",
    "r2_median",
    "r2",
    "win_rate_knn",
)


def first_page(
    metrics, facts: dict, *, datasets, scenarios, seeds, shown, infos, leaking=(), enough=None, explained=None
) -> str:
    """The first page: what was done, how good it is, what to distrust.

    Parameters
    ----------
    metrics
        METRIC_COLUMNS of the whole run.
    facts
        {(dataset, scenario): Facts}.
    datasets, scenarios
        Config entries of what was run.
    seeds
        The seeds.
    shown
        Name of the method the figures show, in a list; may be empty.
    infos
        Content of every run_info.json.
    leaking
        Methods whose components are fitted on held-out cells as well, as an option asks for.
    enough
        {dataset: how many pairs are enough, in words}, where that was tried.
    explained
        {dataset: which links were found, in words}, where imputations are explained.
    """
    methods = list(dict.fromkeys(metrics["method"]))
    ran = set(metrics.loc[metrics["status"] == c.OK, "method"])
    lines = [_title("Dataset in, report out", "=")]
    competing, controls = (
        [m for m in methods if m in ran and roles.is_control(m) == is_one] for is_one in (0, 1)
    )
    kinds = [(competing, "method"), *([(controls, "control")] if controls else [])]
    lines.append(
        f"{' and '.join(_named(*kind) for kind in kinds)} were run on "
        f"{number(len(datasets), 'dataset')} in {number(len(scenarios), 'scenario')} with "
        f"{number(len(seeds), 'seed')}. {_what_a_seed_is(scenarios)} {_fitted_on(leaking, scenarios)} "
        + tuning.in_words(infos)
    )
    if missing := [label(m) for m in methods if m not in ran]:
        lines.append(f"Without a score anywhere, for reasons given below: {', '.join(missing)}.\n")
    lines += _failed(metrics, shown)
    if enough:
        lines.append(_title("How many pairs are enough", "-"))
        lines += [f"**{as_it_is(dataset)}.** {as_it_is(words)}\n" for dataset, words in enough.items()]
    for (dataset, scenario), fact in facts.items():
        part = metrics[(metrics["dataset"] == dataset) & (metrics["scenario"] == scenario)]
        lines.append(_title(as_it_is(f"{dataset}, {scenario}"), "-"))
        lines += _what_was_done(datasets[dataset], fact, scenarios[scenario])
        lines += _noticed(fact)
        lines += _estimate_in_words(fact)
        held_out = scenarios[scenario]["held_out"]
        lines += _how_good(part, shown, methods, held_out, leaking)
        if fact.values is not None:
            lines += _values(fact.values)
        lines += what_to_distrust(part, fact, shown, held_out)
    if explained:
        lines.append(_title("What drives the imputation", "-"))
        lines += [f"**{as_it_is(dataset)}.** {as_it_is(words)}\n" for dataset, words in explained.items()]
    lines.append(_title("How it ran", "-"))
    if fitted := [i for i in infos if "n_epochs" in i]:
        seconds = [i["fit_s"] for i in fitted]
        lines.append(
            f"{number(len(fitted), 'fit')} of JAMIE took {np.median(seconds):.0f} s"
            f"{' each (median)' if len(fitted) > 1 else ''} on "
            f"{', '.join(sorted({i['device'] for i in fitted}))}; the largest of all fits used "
            f"{max(i['peak_rss_mb'] for i in infos):,.0f} MB.\n"
        )
    lines.append("Figures with captions are under *Results*; every number is in `results/metrics.tsv`.\n")
    return "\n".join(lines)


def leaking(infos: dict[str, dict]) -> list[str]:
    """Methods whose fits reproduce the leak of the reference, by the paths .../METHOD/SEED/run_info.json."""
    faults = {Path(path).parts[-3]: info.get("options", {}).get("faults", ()) for path, info in infos.items()}
    return [method for method, of in faults.items() if "leak" in of]


def _fitted_on(leaking, scenarios: dict) -> str:
    """Which cells what was fitted has seen."""
    if not leaking or not any(scenario["held_out"] for scenario in scenarios.values()):
        return "Feature choice, scaling, principal components and models were fitted on training cells only."
    return (
        "Feature choice, scaling and models were fitted on training cells only, and so were principal "
        f"components, but for those of {', '.join(map(label, leaking))}, which saw held-out cells as the "
        "option `faults: leak` asks for: their scores on these are flattered."
    )


def _named(methods: list[str], noun: str) -> str:
    return number(len(methods), noun) + (f" ({', '.join(label(m) for m in methods)})" if methods else "")


def _failed(metrics: pd.DataFrame, shown: list[str]) -> list[str]:
    """Which methods failed, and in how many of their fits; nothing where none did."""
    fits = metrics.groupby(["method", "dataset", "scenario", "seed"], sort=False)["status"].agg(set)
    of_method = (
        fits.map(lambda found: c.FAILED in found).groupby(level="method", sort=False).agg(["sum", "size"])
    )
    of_method = of_method[of_method["sum"] > 0]
    if of_method.empty:
        return []
    said = [f"{label(m)} in {n} of {number(size, 'fit')}" for m, n, size in of_method.itertuples()]
    text = (
        f"**Failed: {', '.join(said)}.** Why, and where the log is, stands under *What to distrust*. The "
        "scores of the others are complete; the same command tries the failed ones again."
    )
    if set(shown) & set(of_method.index):
        text += (
            f" What needs a fit of {label(shown[0])} that failed - its figures, completed data, differences "
            "and drivers - was not made, and says so in its place."
        )
    return [text + "\n"]


def _what_a_seed_is(scenarios: dict) -> str:
    """What differs between seeds, in these scenarios."""
    new = ["a new split"] if any(s["held_out"] for s in scenarios.values()) else []
    new += (
        ["a new choice of known pairs"]
        if any(0 < s["known_pairs"] < 1 or isinstance(s.get("known_in"), int) for s in scenarios.values())
        else []
    )
    return f"Each seed draws {', '.join(new)} and a new start." if new else "Each seed draws a new start."


def _what_was_done(dataset: dict, fact: Facts, scenario: dict) -> list[str]:
    cells = " and ".join(f"{n:,} cells with {label(m)}" for m, n in fact.n_cells.items())
    n_test = max(fact.n_test.values())
    text = f"**What was done.** {as_it_is(dataset['description'])} "
    text += f"It has {cells}; {fact.n_pairs:,} cells have both. "
    text += f"{n_test:,} of these were held out" if n_test else "No cell was held out"
    if scenario.get("held_out_by"):
        alone = (
            f", with {number(fact.n_test_alone, 'cell')} that have no partner" if fact.n_test_alone else ""
        )
        text += f", in whole batches{alone}; seeds take turns"
    shown = f"{fact.n_known:,} were shown to the methods and {fact.n_hidden:,} hidden"
    text += f". Of the remaining pairs {shown}."
    if known_in := scenario.get("known_in"):
        turns = "; seeds take turns" if isinstance(known_in, int) else ""
        text += f" All shown are {as_it_is(batches.in_words(known_in))}{turns}."
    if fact.n_wrong:
        text += (
            f" **{fact.n_wrong:,} of the {fact.n_known:,} shown were wrong on purpose**: these cells had "
            "exchanged partners. Their true pairs count as hidden."
        )
    return [text + "\n"]


def _noticed(fact: Facts) -> list[str]:
    """What was noticed or changed while the dataset was read."""
    told = [as_it_is(found.sentence()) for found in fact.findings if found.severity == c.NOTICE]
    return [f"**Noticed in the data.** {' '.join(told)}\n"] if told else []


def _estimate_in_words(fact: Facts) -> list[str]:
    """Whether the estimated correspondence was used, and why."""
    estimates = [e for e in fact.estimates if e["confidence"] is not None]
    if not estimates or all(e["confidence"] == 1 and not e["used"] for e in estimates):
        return []  # not asked for, or every pair is known
    n_used = sum(e["used"] for e in estimates)
    confidence = np.mean([e["confidence"] for e in estimates])
    seeds = f"{n_used} of {number(len(estimates), 'seed')}"
    return [
        f"**Estimated correspondence.** Confidence {confidence:.2f}; used in {seeds}. First seed: "
        f"{as_it_is(estimates[0]['reason'])}.\n"
    ]


def _how_good(
    part: pd.DataFrame, shown: list[str], methods: list[str], held_out: float, leaking
) -> list[str]:
    cells = strictest_cells(part)
    rows, name = part[part["cells"] == cells], (shown or methods)[0]
    n_seeds = rows["seed"].nunique()
    spread = "mean ± standard deviation over seeds" if n_seeds > 1 else "one seed"
    on = CELLS_IN_WORDS[cells]
    if cells == c.TEST:
        on = SEEN_BY_COMPONENTS if name in leaking else SEEN_BY_NONE
    text = f"**How good it is.** Scores on {on}, {spread}.\n"
    by_score = paired.by_seed(rows)
    if not any(not roles.is_control(m) for scores in by_score.values() for m in scores):
        return [f"{text}\nNo score applies: {as_it_is(_first_reason(rows))}.\n"]
    if not any(name in scores for scores in by_score.values()):
        reason = _first_reason(part[part["method"] == name])
        text += f"\n{label(name)} has no score here: {as_it_is(reason)}.\n"
    ratio = paired.split_ratio(cells, held_out)
    table = [_table_row(by_score[score], score, name, ratio) for score in _page_scores(by_score)]
    head = ["score", "better", label(name), "best other method", "difference (95 % interval)"]
    head += ["best floor", "reference"]
    about = _controls_in_words({m for scores in by_score.values() for m in scores})
    if any(row[3] != "n/a" for row in table):
        about += f"{' ' if about else ''}Differences are taken seed by seed. "
        about += paired.few_seeds(n_seeds, held_out if cells == c.TEST else 0.0)
    return [text, _verdict(rows, name, cells, ratio), _list_table(head, table), f"{about}\n"]


def _controls_in_words(methods: set[str]) -> str:
    """What the floors and the reference are that were run; empty without any."""
    floors = [words for name, words in FLOORS.items() if name in methods]
    said = [f"Floors: {', '.join(floors)}."] if floors else []
    said += ["The reference reads the truth and is no bound."] if "ceiling" in methods else []
    return " ".join(said)


def _page_scores(by_score: dict) -> list[tuple[str, str]]:
    """The scores of the table that a method has; mean R2 only where there is no median."""
    found = [(m, mod) for m, mod in by_score if m in PAGE_SCORES and m in load_metrics()]
    found = [(m, mod) for m, mod in found if not mod or m not in ("lta", "batch_mixing")]
    return [(m, mod) for m, mod in found if m != "r2" or ("r2_median", mod) not in found]


def _table_row(scores: pd.DataFrame, score: tuple[str, str], name: str, ratio: float) -> list[str]:
    better = load_metrics()[score[0]].better
    of = {m: scores[m].dropna() for m in scores}
    others = {m: v for m, v in of.items() if m != name and not roles.is_control(m)}
    best, gap = _best(others, better), ""
    if best and name in of:
        gap = paired.interval_in_words(paired.against(scores, name, better, ratio)[best])
    floor = _best({m: v for m, v in of.items() if m.startswith("floor")}, better)
    reference = _best({m: v for m, v in of.items() if m.startswith("ceiling")}, better)
    return [
        as_it_is(score_name(*score)),
        better,
        mean_sd(of[name]) if name in of else "n/a",
        _with_name(of, best),
        gap or "n/a",
        _with_name(of, floor),
        mean_sd(of[reference]) if reference else "n/a",
    ]


def _best(values: dict[str, pd.Series], better: str) -> str:
    """The method with the best mean; empty without one."""
    pick = min if better == "lower" else max
    return pick(values, key=lambda m: values[m].mean(), default="")


def _with_name(values: dict[str, pd.Series], method: str) -> str:
    return f"{mean_sd(values[method])} ({label(method)})" if method else "n/a"


def _verdict(rows: pd.DataFrame, name: str, cells: str, ratio: float) -> str:
    """What the main numbers mean, in a few sentences."""
    values = ok_values(rows, name)
    where = "On cells it was fitted on, " if cells in (c.ALL, c.PAIRED, c.HIDDEN) else ""
    said = []
    if ("foscttm", "") in values:
        foscttm = values["foscttm", ""].mean()
        grade = GRADES_IN_WORDS[int(np.digitize(foscttm, GRADES))]
        said.append(
            f"{where}{label(name)} {grade}: on average {100 * foscttm:.2g}% of the "
            "other modality's cells lie closer to a cell than its true partner (50% would be chance)"
        )
        if foscttm >= GRADES[0] and types_are_aligned(rows, name):
            said[-1] += (
                f". Cell types are aligned nevertheless: {values['lta', ''].mean():.0%} of labels carry "
                "over to the other modality"
            )
    said += _correlations(values)
    said += _standing_in_words(rows, name, ratio)
    return ". ".join(said) + ".\n" if said else ""


def _correlations(values: dict) -> list[str]:
    """Pearson r of each imputed modality, and how much of it is left within cell types, in words."""
    words: dict[bool, list[str]] = {True: [], False: []}
    for (metric, modality), v in values.items():
        if metric == "pearson":
            within = values.get(("pearson_within", modality))
            left = f" ({within.mean():z.2f} within cell types)" if within is not None else ""
            words[v.mean() >= RANKS_CELLS].append(f"r = {v.mean():z.2f} for {label(modality)}{left}")
    starts = {
        True: "Imputed and measured values of a feature correlate across cells with",
        False: "Imputed and measured values of a feature hardly correlate across cells:",
    }
    return [f"{starts[kind]} {' and '.join(found)}" for kind, found in words.items() if found]


def _standing_in_words(rows: pd.DataFrame, name: str, ratio: float) -> list[str]:
    """On which scores the method is best, level or worse among those that ran; empty without another."""
    by_score = paired.by_seed(rows)
    found = {
        score: paired.standing(by_score[score], name, load_metrics()[score[0]].better, ratio)
        for score in _page_scores(by_score)
        if name in by_score[score] and score[0] != "win_rate_knn"
    }
    found = {score: kind for score, kind in found.items() if kind != paired.ALONE}
    if not found:
        return []
    if set(found.values()) == {paired.ONE_SEED}:
        return [f"Whether {label(name)} is better or worse than another method cannot be told from one seed"]
    kinds = {
        paired.BEST: "is better than every other method that ran on",
        paired.LEVEL: "cannot be told from the best other method on",
        paired.BEHIND: "is worse than another on",
    }
    said = []
    for kind, words in kinds.items():
        if scores := [score for score, own in found.items() if own == kind]:
            said.append(f"{words} {as_it_is(score_names(scores))}")
    return [f"{label(name)} {'; '.join(said)}"]


def _first_reason(rows: pd.DataFrame) -> str:
    given = rows.dropna(subset=["reason"])
    if given.empty:
        return "nothing was scored"
    first = given.iloc[0]
    return f"{c.FAILED}: {first['reason']}" if first["status"] == c.FAILED else first["reason"]


def _title(text: str, underline: str) -> str:
    return f"{text}\n{underline * len(text)}\n"


def _values(groups: pd.DataFrame) -> list[str]:
    """Whether imputed values are what they are called, on the cells that are scored."""
    rows = calibration.as_rows(groups)
    if not rows:
        return [f"**Values and intervals.** {as_it_is(calibration.in_words(groups))}\n"]
    text = (
        "**Values and intervals.** Of cells the model has not seen: how many measured values lie in the "
        "interval of the imputed one; how many features are imputed nearer to the truth than their mean, "
        "beyond chance; and how many cells are called unlike training, where 5% would be chance.\n"
    )
    return [text, _list_table(calibration.HEAD, [[as_it_is(cell) for cell in row] for row in rows])]


def _list_table(head: list[str], rows: list[list[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [head, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"
