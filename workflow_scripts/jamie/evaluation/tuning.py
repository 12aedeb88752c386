"""Choosing a method's settings on validation pairs: the same budget and objective for every method.

A fifth of the known pairs are validation pairs, and both cells of each are taken out of what a trial is
fitted to: it embeds and imputes cells it never saw, as the scores do. Held-out cells take no part at all.
Trials use known pairs alone, without the estimated correspondence F~. No heavy imports: the rules ask
`search_space` before anything runs.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie import io, registry, unmade
from jamie.data.correspondence import Correspondence
from jamie.evaluation import validation
from jamie.methods.base import reason_to_exclude
from jamie.registry import Spec

if TYPE_CHECKING:
    import mudata

log = logging.getLogger(__name__)

MIN_PAIRS = 25  # known pairs; fewer leave too few to tell settings apart
MIN_RANDOM = 4  # settings drawn at random before the sampler learns from them
SETTINGS_COLUMNS = (
    "dataset",
    "scenario",
    "method",
    "seed",
    "setting",
    "default",
    "chosen",
    "n_trials",
    "n_validation",
    "score_default",
    "score_chosen",
    "reason",
)


@dataclass
class Tuning:
    """What was chosen, and on what grounds.

    Attributes
    ----------
    defaults
        The method's own value of each setting that may be chosen.
    chosen
        The values chosen; empty where nothing was tuned.
    reason
        Why nothing was tuned; empty if it was.
    n_trials, budget
        Settings tried (repeats among them), and how many could have been.
    n_validation
        Validation pairs.
    score_default, score_chosen
        Objective of the defaults and of the chosen settings on the validation pairs; None without trials.
    trials
        One row per trial: trial, each setting (as in YAML), score and its parts, and whether the settings had
        been drawn before and so were not fitted again.
    """

    defaults: dict
    chosen: dict = field(default_factory=dict)
    reason: str = ""
    n_trials: int = 0
    budget: int = 0
    n_validation: int = 0
    score_default: float | None = None
    score_chosen: float | None = None
    trials: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=["trial", "score"]))

    def to_dict(self) -> dict:
        """All but the table of trials, for JSON."""
        return {key: value for key, value in asdict(self).items() if key != "trials"}


def search_space(spec: Spec, options: Mapping) -> dict[str, tuple]:
    """The settings that may be chosen and their values: those of the method that ``options`` leaves open.

    A preset says what every option is, so an entry that names one leaves none.
    """
    if "preset" in options:
        return {}
    return {name: values for name, values in spec.search.items() if name not in options}


def tune(
    base: str, train: mudata.MuData, known: Correspondence, options: dict, seed: int, n_trials: int
) -> Tuning:
    """The settings that do best on validation pairs; the defaults unless others do strictly better.

    Every combination is tried where there are no more than ``n_trials``; else a tree-structured Parzen
    estimator (optuna) draws them, the defaults first. Equal arguments give equal results on the CPU.

    Parameters
    ----------
    base
        Module of the method.
    train
        MuData of training cells.
    known
        Correspondence of exactly these cells.
    options
        Options that are given, which stay as they are.
    n_trials
        Settings that may be tried; settings drawn twice count twice.

    Raises
    ------
    FloatingPointError
        A trial gives latents, imputed values or a score that are not finite.
    """
    spec = registry.specs()[base]
    space = search_space(spec, options)
    found = Tuning({name: spec.options[name] for name in space}, budget=n_trials)
    n_cells = max(a.n_obs for a in train.mod.values())
    found.reason = _reason_not_to_tune(spec, space, known, n_cells, options)
    if found.reason:
        log.info("not tuned: %s", found.reason)
        return found
    trials = Trials(base, seed, options, *validation.take_out(train, known, seed))
    if prod(map(len, space.values())) <= n_trials:
        _try_all(space, found.defaults, trials.score)
    else:
        _search(space, found.defaults, seed, n_trials, trials.score)
    best = max(trials.rows, key=lambda row: row["score"])  # the first of equals, and the defaults are first
    found.chosen = {name: json.loads(best[name]) for name in space}
    found.score_default, found.score_chosen = trials.rows[0]["score"], best["score"]
    found.trials, found.n_trials = pd.DataFrame(trials.rows), len(trials.rows)
    found.n_validation = trials.n_validation
    log.info("chosen: %s (%.4f; defaults %.4f)", found.chosen, found.score_chosen, found.score_default)
    return found


def _reason_not_to_tune(spec: Spec, space: dict, known: Correspondence, n_cells: int, options: dict) -> str:
    if not space:
        return "no setting is left to choose"
    if reason := reason_to_exclude(spec, known, n_cells, options):
        return f"the method {reason}"
    n = len(known.certain_pairs())
    least = max(MIN_PAIRS, round(spec.min_pairs / (1 - validation.SHARE)) + 1)
    if n < least:
        return f"too few known pairs: {least} are needed to leave some out for validation, there are {n}"
    return ""


class Trials:
    """Fits a method once with each of the settings it is asked about, and keeps account in ``rows``."""

    def __init__(self, base: str, seed: int, options: dict, rest, known: Correspondence, left_out):
        self.base, self.seed, self.options = base, seed, options
        self.rest, self.known, self.left_out = rest, known, left_out
        self.n_validation = next(iter(left_out.mod.values())).n_obs
        self.rows: list[dict] = []
        self.parts: dict[str, dict[str, float]] = {}

    def score(self, settings: dict) -> float:
        """The objective with these settings."""
        written = {name: json.dumps(value) for name, value in settings.items()}
        key, trial = json.dumps(written, sort_keys=True), len(self.rows)
        repeated = key in self.parts
        if not repeated:
            method = registry.build(self.base, self.seed, {**self.options, **settings})
            method.fit(self.rest, self.known)
            self.parts[key] = validation.parts_of(method, registry.specs()[self.base], self.left_out)
        score = validation.objective(self.parts[key])
        if not np.isfinite(score):
            raise FloatingPointError(f"the score of {self.base} with {settings} is not finite")
        self.rows.append({"trial": trial, **written, "score": score, **self.parts[key], "repeated": repeated})
        log.info("trial %d: %s: %.4f%s", trial, settings, score, " (drawn before)" if repeated else "")
        return score


def _try_all(space: dict, defaults: dict, score: Callable[[dict], float]) -> None:
    """Every combination, the defaults first."""
    score(defaults)
    for values in product(*space.values()):
        settings = dict(zip(space, values, strict=True))
        if settings != defaults:
            score(settings)


def _search(space: dict, defaults: dict, seed: int, n_trials: int, score: Callable[[dict], float]) -> None:
    """As many combinations as the budget has, the defaults first."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=MIN_RANDOM)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    choices = {name: optuna.distributions.CategoricalDistribution(v) for name, v in space.items()}
    study.enqueue_trial(defaults)
    for _ in range(n_trials):
        trial = study.ask(choices)
        study.tell(trial, score(trial.params))


def with_chosen(options: Mapping, path: str | Path | None) -> tuple[dict, dict | None]:
    """Options with the settings of ``tuning.json`` on top, and what that file holds; None without one."""
    if not path:
        return dict(options), None
    tuned = io.read_json(path)
    return {**options, **tuned["chosen"]}, tuned


def settings_table(tunings: list[dict]) -> pd.DataFrame:
    """One row per setting of each ``tuning.json``: SETTINGS_COLUMNS, values as in YAML, scores rounded.

    Where tuning failed, what stands for the file is a record (`jamie.unmade`), and the one row its reason.
    """
    rows = [
        {
            **{key: tuned[key] for key in SETTINGS_COLUMNS if key in tuned},
            "setting": setting,
            "default": json.dumps(default),
            "chosen": json.dumps(tuned["chosen"].get(setting, default)),
        }
        for tuned in tunings
        for setting, default in tuned.get("defaults", {}).items()
    ]
    failed = [tuned for tuned in tunings if tuned.get("status") == c.FAILED]
    rows += [
        {key: tuned[key] for key in SETTINGS_COLUMNS if key in tuned}
        | {"reason": f"{c.FAILED}: {unmade.why(tuned)}"}
        for tuned in failed
    ]
    table = pd.DataFrame(rows, columns=list(SETTINGS_COLUMNS))
    return table.astype({"score_default": float, "score_chosen": float}).round(4)


def in_words(infos: list[dict]) -> str:
    """How the settings of a run came about, from the content of every run_info.json (reStructuredText)."""
    tuned = [info["tuned"] for info in infos if info.get("tuned")]
    if not tuned:
        return "No setting was tuned: each method ran with its defaults and what the configuration gives.\n"
    text = (
        "Settings were tuned on validation pairs, which are some of the pairs shown, with "
        f"{max(t['budget'] for t in tuned)} trials for each method (`results/settings.tsv`)"
    )
    if n_kept := sum(bool(t["reason"]) for t in tuned):
        text += f"; {n_kept} of {len(tuned)} fits kept their defaults, for the reason given there"
    return text + ".\n"
