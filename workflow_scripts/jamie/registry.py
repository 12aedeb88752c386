"""The methods: what each declares, and finding them: every module in `jamie.methods` with a ``SPEC``.

Nothing is listed anywhere else.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import get_type_hints

METHODS = "jamie.methods"  # found by name: this module stands below that room
NO_PAIRS = " (no pairs)"


@dataclass(frozen=True)
class Spec:
    """What a method declares.

    Attributes
    ----------
    label
        How figures and tables call it.
    summary
        One sentence for the docs.
    citation
        Where it comes from.
    embeds, imputes
        Which outputs it has.
    min_pairs
        Known pairs it cannot do without; with fewer it is excluded, with the reason.
    min_types
        Cell types labelled in both modalities it cannot do without, likewise. Only a control reads labels.
    control
        "floor" or "ceiling": a reference beside every score rather than a competitor; empty for a method.
    uses_truth
        Reads what is hidden. Only a ceiling may.
    trains
        Fitted by its own rule with a GPU where there is one.
    uses_pairs
        Whether it learns from known pairs; False: unsupervised, and marked so in tables and figures.
    uses_counts
        Whether it reads the counts beside the prepared values.
    max_cells
        A function of its options: the largest number of training cells in a modality it takes; None: any.
    cost
        How time and memory grow, in words.
    builds_on
        Other files and folders of the package whose code it uses.
    options
        Its settings and their defaults.
    search
        Values of its settings that `run: tune` chooses among, the defaults among them.
    types
        Types of those options that the signature of its ``Method`` does not name.
    check
        Raises InputError for options that cannot be, whatever their types.
    """

    label: str
    summary: str
    citation: str = ""
    embeds: bool = True
    imputes: bool = True
    min_pairs: int = 0
    min_types: int = 0
    control: str = ""
    uses_truth: bool = False
    trains: bool = False
    uses_pairs: bool = True
    uses_counts: bool = False
    max_cells: Callable[[Mapping[str, object]], int | None] = lambda options: None
    cost: str = ""
    builds_on: tuple[str, ...] = ()
    options: Mapping[str, object] = field(default_factory=dict)
    search: Mapping[str, tuple] = field(default_factory=dict)
    types: Mapping[str, object] = field(default_factory=dict)
    check: Callable[[Mapping[str, object]], object] = lambda options: None


def specs() -> dict[str, Spec]:
    """SPEC of each method by its module's name; imports nothing heavy."""
    names = sorted(m.name for m in pkgutil.iter_modules(importlib.import_module(METHODS).__path__))
    modules = {name: importlib.import_module(f"{METHODS}.{name}") for name in names}
    return {name: module.SPEC for name, module in modules.items() if hasattr(module, "SPEC")}


def unsupervised(spec: Spec) -> bool:
    """Whether a method learns from no known pair; a control is neither one nor the other."""
    return not spec.uses_pairs and not spec.control


def marked(label: str, spec: Spec) -> str:
    """The label of a method or of a variant of it, which says so where it learns from no known pair."""
    return f"{label.removesuffix(NO_PAIRS)}{NO_PAIRS}" if unsupervised(spec) else label


def option_types(module: str) -> dict[str, object]:
    """Type of each option of a method, as annotated where it is taken."""
    found: dict[str, object] = {}
    method = importlib.import_module(f"{METHODS}.{module}")
    for base in reversed(method.Method.__mro__[:-1]):
        if "__init__" in vars(base):
            found |= get_type_hints(base.__init__)
    types = found | dict(method.SPEC.types)
    if bare := [option for option in method.SPEC.options if option not in types]:
        raise TypeError(f"{module} does not annotate the type of its options {', '.join(bare)}")
    return {option: types[option] for option in method.SPEC.options}


def build(module: str, seed: int, options: dict):
    """A method, ready to fit."""
    return importlib.import_module(f"{METHODS}.{module}").Method(seed=seed, **options)
