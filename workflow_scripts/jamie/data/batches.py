"""Batches of cells: which of them a scenario holds out, and in which it shows pairs."""

from __future__ import annotations

import numpy as np

from jamie.contract import BATCH, check_two_modalities
from jamie.data.correspondence import Correspondence, among
from jamie.errors import InputError


def labels(mdata) -> tuple[np.ndarray, np.ndarray]:
    """The batch of each cell of both modalities: str (n_1,), (n_2,)."""
    first, second = (mdata.mod[name] for name in check_two_modalities(mdata))
    for name, adata in mdata.mod.items():
        if BATCH not in adata.obs:
            raise InputError(
                f"The cells of {name} have no batch",
                expected="the column of `obs` with the batch, in both modalities",
                found=", ".join(adata.obs.columns) or "no column",
                change="`batch` of the dataset, or take a scenario without `held_out_by` and `known_in`",
            )
    return first.obs[BATCH].to_numpy(str), second.obs[BATCH].to_numpy(str)


def with_pairs(pairs: Correspondence, batches: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Names of the batches in which there are certain pairs, in alphabetical order: str (K,)."""
    rows, columns = pairs.certain_pairs().T
    of_row, of_column = batches[0][rows], batches[1][columns]
    return np.unique(of_row[of_row == of_column])


def take_turns(names: np.ndarray, n: int, seed: int) -> np.ndarray:
    """So many of the names, str (n,): of seeds in a row each takes the next, until all had their turn."""
    order = np.random.default_rng(0).permutation(names)
    return np.take(order, np.arange(seed * n, (seed + 1) * n), mode="wrap")


def in_words(known_in: int | list[str]) -> str:
    """Where pairs are shown: in one batch, in 2 batches, in batch p1, p2."""
    if isinstance(known_in, int):
        return "in one batch" if known_in == 1 else f"in {known_in} batches"
    return f"in batch {', '.join(known_in)}"


def held_out(
    pairs: Correspondence, batches: tuple[np.ndarray, np.ndarray], share: float, seed: int
) -> np.ndarray:
    """Names of the batches to hold out: a share of those with pairs, one at least, and never all of them."""
    names = with_pairs(pairs, batches)
    if len(names) < 2:
        raise InputError(
            "No batch can be held out",
            expected="known pairs in two batches or more, so that some are left to learn from",
            found=f"pairs in {', '.join(names) or 'no batch'}",
            change="`held_out_by` of the scenario, or `batch` of the dataset",
        )
    return take_turns(names, min(max(1, round(share * len(names))), len(names) - 1), seed)


def within(
    pairs: Correspondence,
    batches: tuple[np.ndarray, np.ndarray],
    train: tuple[np.ndarray, np.ndarray],
    wanted: int | list[str],
    seed: int,
) -> Correspondence:
    """Those pairs of training cells whose two sides are in some batches: those wanted, or so many drawn.

    ``train`` says of each cell, bool (n_1,), (n_2,), whether it may be seen.
    """
    of_train = among(pairs, *train)
    names = with_pairs(of_train, batches)
    drawn = isinstance(wanted, int)
    unknown = [] if drawn else [name for name in wanted if name not in names]
    if unknown or (drawn and wanted > len(names)):
        raise InputError(
            f"No pair can be shown in {unknown[0]!r}" if unknown else f"Pairs cannot be in {wanted} batches",
            expected="batches with pairs of training cells: " + (", ".join(names) or "there are none"),
            found=str(wanted) if drawn else ", ".join(wanted),
            change="`known_in` of the scenario, or `batch` of the dataset",
        )
    chosen = take_turns(names, wanted, seed) if drawn else wanted
    return among(of_train, *(np.isin(side, chosen) for side in batches))
