"""The registry of metrics: one decorated function each; tables, docs and tests read it from here."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass

BETTER = ("lower", "higher")
PER = ("modality", "both")

# What a metric may ask for; `needs` are the names of its arguments.
LATENT_INPUTS = ("latents", "pairs", "labels", "batches", "types")
FEATURE_INPUTS = ("measured", "imputed", "missing", "positive", "mean", "sd")
FEATURE_INPUTS += ("cell_types", "groups", "attainable")
SUMMARY_INPUTS = ("features",)
COMPARISON_INPUTS = ("scores", "knn_scores")


class NotApplicable(Exception):
    """The metric is not defined for these cells; the message is the reason, in plain words."""


@dataclass(frozen=True)
class Metric:
    """One registered metric.

    Attributes
    ----------
    name
        As in the column ``metric`` of metrics.tsv.
    function
        Called with the arguments named in ``needs``. A metric of latents returns one float, or with
        ``per="modality"`` one per modality; a metric of imputed values returns one value per feature (p,); a
        summary takes the table of these, and returns one value and the number of features behind it.
    needs
        Argument names, all from one of LATENT_INPUTS, FEATURE_INPUTS, SUMMARY_INPUTS, COMPARISON_INPUTS.
    better
        "lower" or "higher".
    perfect, chance
        Value of a perfect result, and of one without information (None: depends on the data).
    description
        One sentence.
    per
        "modality": a value for each modality (whose values are imputed, whose labels are predicted);
        "both": one value for the two together.
    """

    name: str
    function: Callable
    needs: tuple[str, ...]
    better: str
    perfect: float
    chance: float | None
    description: str
    per: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """The family this metric belongs to, one of those above."""
        for family in (LATENT_INPUTS, FEATURE_INPUTS, SUMMARY_INPUTS, COMPARISON_INPUTS):
            if set(self.needs) <= set(family):
                return family
        raise ValueError(f"metric {self.name!r} needs {self.needs}, which no single stage of scoring has")


METRICS: dict[str, Metric] = {}


def metric(
    name: str,
    *,
    needs: tuple[str, ...],
    better: str,
    perfect: float,
    chance: float | None,
    description: str,
    per: str,
) -> Callable[[Callable], Callable]:
    """Register the decorated function; see :class:`Metric` for the arguments.

    Raises
    ------
    ValueError
        A name used twice, an unknown value, or a need that is not an argument of the function.
    """

    def register(function: Callable) -> Callable:
        entry = Metric(name, function, tuple(needs), better, perfect, chance, description, per)
        arguments = inspect.signature(function).parameters
        known = METRICS.get(name, entry).function
        if (known.__module__, known.__qualname__) != (function.__module__, function.__qualname__):
            raise ValueError(f"two metrics are named {name!r}")
        if better not in BETTER or per not in PER or not description:
            raise ValueError(f"metric {name!r}: better in {BETTER}, per in {PER}, and a description")
        if not entry.needs or not set(entry.needs) <= set(arguments) or not entry.inputs:
            raise ValueError(f"metric {name!r}: needs {needs}, its arguments are {tuple(arguments)}")
        METRICS[name] = entry
        return function

    return register


def load_metrics() -> dict[str, Metric]:
    """Import every module of this package, so that each metric is registered; return the registry."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{__package__}.{module.name}")
    return METRICS
