"""What the estimate of a correspondence demands of its input."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jamie.data.correspondence import Correspondence
from jamie.errors import InputError


def method(name: str, known: tuple[str, ...]) -> None:
    if name not in known:
        raise InputError(
            f"Unknown method {name!r} for the estimated correspondence",
            expected=" or ".join(known),
            found=repr(name),
            change="`estimate: method`",
        )


def some_pair(known: sparse.csr_matrix) -> None:
    """Where geometry alone may not be used."""
    if known.nnz == 0:
        raise InputError(
            "There is no known pair to estimate the correspondence from",
            expected="known pairs, or permission to go by geometry alone",
            found="no pair, and `unpaired: false`",
            change="`estimate: unpaired: true`, or a scenario with `known_pairs` above 0",
        )


def inputs(x, known, *, min_cells: int):
    """Both modalities as float32, and known F as CSR."""
    x = tuple(np.ascontiguousarray(side, dtype=np.float32) for side in x)
    for number, side in enumerate(x, start=1):
        if side.ndim != 2 or len(side) < min_cells:
            raise InputError(
                f"Modality {number} is too small to estimate a correspondence",
                expected=f"at least {min_cells} training cells",
                found=f"an array of shape {side.shape}",
                change="the dataset, or `estimated: never` for the method",
            )
        if not np.isfinite(side).all():
            raise InputError(
                f"Modality {number} holds values that are not finite",
                expected="finite model input",
                found=f"{int((~np.isfinite(side)).sum())} missing or infinite values",
                change="preprocess the data first",
            )
        if not (side.std(axis=0) > 0).any():
            raise InputError(
                f"All cells of modality {number} are equal",
                expected="features that differ between cells",
                found="constant features only",
                change="the features of the dataset",
            )
    sides = [np.arange(len(side)) for side in x]
    known = sparse.csr_matrix(tuple(map(len, x))) if known is None else known
    return x, Correspondence(known, *sides).matrix


def groups(given, x):
    """Group labels as string arrays; a single label would be no constraint."""
    if given is None:
        return None
    given = tuple(np.asarray(side, dtype=str) for side in given)
    if tuple(map(len, given)) != tuple(map(len, x)):
        raise InputError(
            "The groups are not one per cell",
            expected=f"{len(x[0])} and {len(x[1])} labels",
            found=f"{len(given[0])} and {len(given[1])}",
            change="`same_group` of the dataset",
        )
    names = [set(side.tolist()) - {""} for side in given]
    if len(names[0] | names[1]) < 2:
        raise InputError(
            "`same_group` names a column with a single group",
            expected="at least two groups",
            found=", ".join(sorted(names[0] | names[1])) or "no label at all",
            change="`same_group: null` for the dataset, or another column of obs",
        )
    if not names[0] & names[1] and not any((side == "").any() for side in given):
        raise InputError(
            "The two modalities have no group in common",
            expected="groups of the same names in both modalities",
            found=f"{', '.join(sorted(names[0])[:3])} and {', '.join(sorted(names[1])[:3])}",
            change="`same_group` of the dataset, or the labels",
        )
    return given


def neighbours(sizes, n: int) -> tuple[tuple[int, ...], list[str]]:
    """Sizes of the neighbour graphs, below the number of cells; and what was changed."""
    sizes = sorted({int(k) for k in np.atleast_1d(sizes)})
    largest = max(2, n // 3)
    kept = tuple(sorted({min(k, largest) for k in sizes}))
    if kept == tuple(sizes):
        return kept, []
    words = ", ".join(map(str, kept))
    return kept, [f"{n} cells are few for neighbour graphs of {max(sizes)}: graphs of {words} are used"]
