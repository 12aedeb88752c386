"""The first page of the report: what was done, how good it is, what to distrust (reStructuredText)."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import sparse

from jamie import contract as c
from jamie.evaluation import calibration, roles, tuning
from jamie.evaluation.phrases import (
    CELLS_IN_WORDS,
    as_it_is,
    label,
    mean_sd,
    number,
    ok_values,
    score_name,
    strictest_cells,
)
from jamie.metrics.base import load_metrics

GRADES = 0.1, 0.25  # FOSCTTM below which modalities are aligned well, moderately well
TYPES_ALIGNED = 0.8  # label transfer accuracy
RANKS_CELLS = 0.1  # Pearson's r, below which imputed values do not even rank cells
PAGE_SCORES = ("foscttm", "lta", "pearson", "r2", "win_rate_knn")


@dataclass
class Facts:
    """Numbers of cells and pairs of one dataset and scenario (first seed).

    ``n_known`` counts every pair that was shown, ``n_wrong`` those among them that are no true pair;
    ``estimates`` says of each seed of the method shown what became of the estimated correspondence.
    """

    n_cells: dict[str, int]
    n_test: dict[str, int]
    n_pairs: int
    n_known: int
    n_wrong: int = 0
    estimates: list[dict] = field(default_factory=list)
    values: pd.DataFrame | None = None

    @classmethod
    def of(cls, split: pd.DataFrame, known, pairs) -> Facts:
        by_modality = split.groupby("modality", sort=False)[c.ROLE]
        shown = known.best_pairs()
        return cls(
            by_modality.size().to_dict(),
            by_modality.agg(lambda role: int((role == c.TEST).sum())).to_dict(),
            len(pairs.best_pairs()),
            len(shown),
            len(shown) - pairs.matrix.multiply(_ones_at(shown, pairs.matrix.shape)).nnz,
        )

    @property
    def n_hidden(self) -> int:
        """True pairs of training cells that were not shown, nor anything in their place."""
        return self.n_pairs - max(self.n_test.values()) - self.n_known


def _ones_at(places: np.ndarray, shape: tuple[int, int]) -> sparse.csr_matrix:
    return sparse.csr_matrix((np.ones(len(places)), (places[:, 0], places[:, 1])), shape=shape)


def first_page(
    metrics, facts: dict, *, datasets, scenarios, seeds, shown, infos, enough=None, explained=None
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
    enough
        {dataset: how many pairs are enough, in words}, where that was tried.
    explained
        {dataset: which links were found, in words}, where imputations are explained.
    """
    methods = list(dict.fromkeys(metrics["method"]))
    lines = [_title("Dataset in, report out", "=")]
    lines.append(
        f"{len(methods)} methods ({', '.join(label(m) for m in methods)}) were run on "
        f"{number(len(datasets), 'dataset')} in {number(len(scenarios), 'scenario')} with "
        f"{number(len(seeds), 'seed')}. Each seed draws a new split, "
        "a new choice of known pairs and a new start. Feature choice, scaling, principal components and "
        "models were fitted on training cells only. " + tuning.in_words(infos)
    )
    if enough:
        lines.append(_title("How many pairs are enough", "-"))
        lines += [f"**{as_it_is(dataset)}.** {words}\n" for dataset, words in enough.items()]
    for (dataset, scenario), fact in facts.items():
        part = metrics[(metrics["dataset"] == dataset) & (metrics["scenario"] == scenario)]
        lines.append(_title(as_it_is(f"{dataset}, {scenario}"), "-"))
        lines += _what_was_done(datasets[dataset], fact)
        lines += _estimate_in_words(fact)
        lines += _how_good(part, shown, methods)
        if fact.values is not None:
            lines.append(f"**Values and intervals.** {calibration.in_words(fact.values)}\n")
        lines += _what_to_distrust(part, fact, shown, seeds)
    if explained:
        lines.append(_title("What drives the imputation", "-"))
        lines += [f"**{as_it_is(dataset)}.** {as_it_is(words)}\n" for dataset, words in explained.items()]
    lines.append(_title("How it ran", "-"))
    if fitted := [i for i in infos if "n_epochs" in i]:
        seconds = [i["fit_s"] for i in fitted]
        lines.append(
            f"{number(len(fitted), 'fit')} of JAMIE took {np.median(seconds):.0f} s each (median) on "
            f"{', '.join(sorted({i['device'] for i in fitted}))}; the largest of all fits used "
            f"{max(i['peak_rss_mb'] for i in infos):,.0f} MB.\n"
        )
    lines.append("Figures with captions are under *Results*; every number is in `results/metrics.tsv`.\n")
    return "\n".join(lines)


def _what_was_done(dataset: dict, fact: Facts) -> list[str]:
    cells = " and ".join(f"{n:,} cells with {label(m)}" for m, n in fact.n_cells.items())
    n_test = max(fact.n_test.values())
    text = f"**What was done.** {as_it_is(dataset['description'])} "
    text += f"It has {cells}; {fact.n_pairs:,} cells have both. "
    text += f"{n_test:,} of these were held out. " if n_test else "No cell was held out. "
    text += f"Of the remaining pairs {fact.n_known:,} were shown to the methods and {fact.n_hidden:,} hidden."
    if fact.n_wrong:
        text += (
            f" **{fact.n_wrong:,} of the {fact.n_known:,} shown were wrong on purpose**: these cells had "
            "exchanged partners. Their true pairs count as hidden."
        )
    return [text + "\n"]


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


def _how_good(part: pd.DataFrame, shown: list[str], methods: list[str]) -> list[str]:
    cells = strictest_cells(part)
    rows, name = part[part["cells"] == cells], (shown or methods)[0]
    values = ok_values(rows, name)
    table = []
    for metric, modality in values:
        if metric not in PAGE_SCORES or (metric == "lta" and modality):
            continue
        others = {m: ok_values(rows, m).get((metric, modality)) for m in methods if m != name}
        table.append(
            [
                score_name(metric, modality),
                "lower" if load_metrics()[metric].better == "lower" else "higher",
                mean_sd(values[metric, modality]),
                _best_of({m: v for m, v in others.items() if not m.startswith(("floor", "ceiling"))}, metric),
                _best_of({m: v for m, v in others.items() if m.startswith("floor")}, metric, named=False),
                _best_of({m: v for m, v in others.items() if m.startswith("ceiling")}, metric, named=False),
            ]
        )
    text = f"**How good it is.** Scores on {CELLS_IN_WORDS[cells]}, mean ± standard deviation over seeds.\n"
    if not table:
        return [f"{text}\nNo score applies: {as_it_is(_first_reason(rows))}.\n"]
    head = ["score", "better", label(name), "best other method", "floor", "ceiling"]
    return [text, _verdict(values, name, cells), _list_table(head, table)]


def _verdict(values: dict, name: str, cells: str) -> str:
    """What the main numbers mean, in two sentences."""
    where = "On cells it was fitted on, " if cells in (c.ALL, c.PAIRED) else ""
    said = []
    if ("foscttm", "") in values:
        foscttm = values["foscttm", ""].mean()
        grade = ("well", "moderately well", "poorly")[int(np.digitize(foscttm, GRADES))]
        said.append(
            f"{where}{label(name)} aligned the modalities {grade}: on average {100 * foscttm:.2g}% of the "
            "other modality's cells lie closer to a cell than its true partner (50% would be chance)"
        )
        said[-1] += _types_beside(values, foscttm)
    r = [f"r = {v.mean():.2f} for {label(m)}" for (metric, m), v in values.items() if metric == "pearson"]
    if r:
        said.append(f"Imputed and measured values of a feature correlate across cells with {' and '.join(r)}")
    return ". ".join(said) + ".\n" if said else ""


def _types_beside(values: dict, foscttm: float) -> str:
    """That cell types are told apart where partners are not, so that "poorly" is not taken for all."""
    if foscttm < GRADES[0] or ("lta", "") not in values or values["lta", ""].mean() < TYPES_ALIGNED:
        return ""
    lta = values["lta", ""].mean()
    return f". Cell types are aligned nevertheless: {lta:.0%} of labels carry over to the other modality"


def _what_to_distrust(part: pd.DataFrame, fact: Facts, shown: list[str], seeds) -> list[str]:
    cells = strictest_cells(part)
    rows = part[part["cells"] == cells]
    n_test = max(fact.n_test.values())
    n_scored = {c.TEST: n_test, c.HIDDEN: fact.n_hidden + fact.n_wrong}.get(cells, fact.n_known)
    warnings = []
    if len(seeds) == 1:
        warnings.append("There is one seed, so no score has a spread: differences may be chance.")
    if not n_test:
        warnings.append(
            "No cell was held out: these scores are of cells the methods were fitted on, and flatter them. "
            "Run a `paired_*` scenario to know how it does on new cells."
        )
    if 0 < n_scored < 100:
        warnings.append(f"Scores rest on {n_scored} cells per seed; expect them to move by hundredths.")
    if fact.n_pairs == 0:
        warnings.append("No cell is known to be in both modalities, so neither output can be checked.")
    if fact.n_known == 0 and fact.estimates:
        warnings.append(_geometry_alone(fact.estimates))
    elif fact.n_pairs and fact.n_known < 200:
        warnings.append(f"Only {fact.n_known} pairs were known in training; more pairs would help most.")
    for name in shown:
        warnings += _weak_scores(rows, name)
    if fact.values is not None:
        warnings += calibration.warnings(fact.values)
    reasons = sorted(set(rows.loc[rows["status"] != c.OK, "reason"].dropna()) - {"method does not embed"})
    if reasons:
        warnings.append("Some scores do not apply or are missing: " + as_it_is("; ".join(reasons)) + ".")
    warnings.append(
        "Imputed values are conditional means: they vary less than measured ones, and what one modality does "
        "not show cannot be imputed from it."
    )
    return ["**What to distrust.**\n", "\n".join(f"- {w}" for w in warnings) + "\n"]


def _geometry_alone(estimates: list[dict]) -> str:
    """What a match without any known pair is worth."""
    if all(e["used"] for e in estimates):
        return (
            "No pair was known: the modalities were matched by their geometry alone, which its own checks "
            "trust here. A few known pairs would tell."
        )
    return (
        "**No pair was known, and the geometry of the two modalities does not say how they match** (the "
        "estimate's own checks do not trust it): do not use the joint embedding or imputed values of this "
        "scenario."
    )


def _weak_scores(rows: pd.DataFrame, name: str) -> list[str]:
    """Sentences about scores of ``name`` that a reader should not pass over."""
    found = []
    own = ok_values(rows, name)
    for (metric, modality), values in own.items():
        mean = values.mean()
        if metric == "r2" and mean <= 0:
            r = own.get(("pearson", modality))
            ranks = r is not None and r.mean() >= RANKS_CELLS
            use = (
                "its ranking of cells may be used, not its values"
                if ranks
                else "use neither its values nor their ranking"
            )
            found.append(
                f"{label(modality)} imputed is no nearer to the measured values than the mean of each "
                f"feature (R² {mean:.2f}): {use}."
            )
        elif metric == "r2" and mean < 0.1:
            found.append(
                f"{label(modality)}: imputation explains {mean:.0%} of a feature's variance on average."
            )
        if metric == "foscttm" and mean > 0.3:
            found.append(f"The modalities are hardly aligned (FOSCTTM {mean:.2f}; chance is 0.5).")
    beaten = [
        _beaten(rows, name, metric, modality, values.mean())
        for (metric, modality), values in own.items()
        if metric in ("foscttm", "pearson") or (metric == "lta" and not modality)
    ]
    if any(beaten):
        found.append(f"{label(name)} is not the best on: " + "; ".join(filter(None, beaten)) + ".")
    return found


def _beaten(rows, name, metric, modality, mean) -> str:
    """The best of the methods that are better than ``name`` by more than a hair; empty if there is none."""
    sign = -1 if load_metrics()[metric].better == "lower" else 1
    others = {
        m: ok_values(rows, m).get((metric, modality)) for m in dict.fromkeys(rows["method"]) if m != name
    }
    means = {m: v.mean() for m, v in others.items() if v is not None and not roles.is_control(m)}
    best = max(means, key=lambda m: sign * means[m], default=None)
    if best is None or sign * (means[best] - mean) <= 0.005:
        return ""
    return f"{score_name(metric, modality)} ({label(best)} {means[best]:.3f}, {label(name)} {mean:.3f})"


def _best_of(values: dict, metric: str, named: bool = True) -> str:
    values = {m: v for m, v in values.items() if v is not None and len(v)}
    if not values:
        return "n/a"
    pick = min if load_metrics()[metric].better == "lower" else max
    best = pick(values, key=lambda m: values[m].mean())
    return f"{mean_sd(values[best])}" + (f" ({label(best)})" if named else "")


def _first_reason(rows: pd.DataFrame) -> str:
    reasons = rows["reason"].dropna()
    return reasons.iloc[0] if len(reasons) else "nothing was scored"


def _title(text: str, underline: str) -> str:
    return f"{text}\n{underline * len(text)}\n"


def _list_table(head: list[str], rows: list[list[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in [head, *rows]:
        lines += [f"   {'*' if i == 0 else ' '} - {cell}" for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"
