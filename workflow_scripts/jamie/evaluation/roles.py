"""What names of a run stand for: words, which methods are controls, which use pairs, and their order."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from jamie import registry
from jamie.contract import ALL, HELD_OUT, HIDDEN, PAIRED, TEST, TRANSDUCTIVE
from jamie.registry import Spec

_LABELS = {
    "rna": "RNA",
    "atac": "ATAC",
    "adt": "ADT (protein)",
    "protein": "protein",
    "ephys": "electrophysiology",
    "methylation": "DNA methylation",
    "foscttm": "FOSCTTM",
    "lta": "label transfer accuracy",
    "silhouette": "silhouette",
    "modality_mixing": "modality mixing",
    "batch_mixing": "batch mixing",
    "pearson": "Pearson r",
    "pearson_within": "Pearson r within types",
    "pearson_attainable": "attainable Pearson r",
    "pearson_over_attainable": "Pearson r over attainable r",
    "auroc": "AUROC",
    "rmse": "RMSE",
    "r2": "R²",
    "r2_median": "R² (median)",
    "js_distance": "Jensen-Shannon distance",
    "win_rate_knn": "share of features won against KNN",
    "kl": "KL divergence",
    "cell_type": "cell type",
    HELD_OUT: "held-out protocol",
    TRANSDUCTIVE: "transductive protocol",
    TEST: "held-out cells",
    HIDDEN: "cells whose pair was hidden",
    PAIRED: "cells whose pair was shown",
    ALL: "cells, all",
}
_NO_PAIRS: set[str] = set()  # methods of the run that are not in the registry


@cache
def _specs() -> dict[str, Spec]:
    return registry.specs()


def label(name: str) -> str:
    """Words for a method, modality, metric, protocol or cell group; an unknown name stays as it is.

    A method's are those of its SPEC; one that learns from no known pair is marked (`registry.marked`).
    """
    spec = None if name in _LABELS else _specs().get(name)
    return registry.marked(spec.label, spec) if spec else _LABELS.get(name, name)


def add_labels(labels: dict[str, str], no_pairs: Iterable[str] = ()) -> None:
    """Words of a run's own for methods and variants; ``no_pairs``: those that learn from no known pair."""
    _LABELS.update(labels)
    _NO_PAIRS.update(no_pairs)


def uses_pairs(method: str) -> bool:
    """Whether a method learns from known pairs; an unknown one is taken to."""
    return method not in _NO_PAIRS and (method not in _specs() or not registry.unsupervised(_specs()[method]))


def is_control(method: str) -> bool:
    """Whether a method is a reference beside the scores (a floor, or the truth) instead of competing."""
    spec = _specs().get(method)
    return bool(spec.control) if spec else method.startswith("floor")


def order_methods(methods: Iterable[str]) -> list[str]:
    """JAMIE, then its variants, then the others by name; controls last."""
    return sorted(set(methods), key=lambda m: (is_control(m), m != "jamie", not m.startswith("jamie_"), m))


def case_words(protocol: str, cells: str, n_seeds: int) -> str:
    """For example ``held-out cells, 3 seeds``; the protocol is named where the cells do not tell it."""
    of = label(cells) if cells == TEST else f"{label(protocol)}, {label(cells)}"
    return f"{of}, {n_seeds} seed{'s' if n_seeds != 1 else ''}"
