"""F~ beside what is known: mass on the true partner, and on cells of the same label."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from jamie import contract
from jamie.data.correspondence import Correspondence

UNLABELLED = ""


@dataclass
class Comparison:
    """F~ of the cells that have no certain known partner.

    Attributes
    ----------
    by_label
        One row per label of the first modality: ``label``, ``n_cells``, ``same_label`` (share of the mass on
        cells of that label), ``same_label_chance``, ``n_truth`` (cells whose true partner was seen but not
        shown), ``truth`` (mean mass on that partner, NaN without any), ``truth_chance``.
    confusion
        DataFrame, labels of the first modality x labels of the second: mass, rows sum to 1; or None.
    n_open, n_known
        Cells of the first modality that F~ is estimated for; that have a known partner.
    truth, truth_chance, same_label, same_label_chance
        The same over all these cells; NaN where there is no truth or no label.
    """

    by_label: pd.DataFrame
    confusion: pd.DataFrame | None
    n_open: int
    n_known: int
    truth: float
    truth_chance: float
    same_label: float
    same_label_chance: float


def compare(
    estimated: Correspondence, known: Correspondence, pairs: Correspondence, labels, seen=None
) -> Comparison:
    """Compare F~ with the pairs of the dataset and with labels.

    Parameters
    ----------
    estimated, known, pairs
        F~, the pairs that were shown, and all pairs of the dataset, of the same cells.
    labels
        Pair of string arrays (n_1,), (n_2,), "" = none; or None.
    seen
        Pair of bool arrays (n_1,), (n_2,): cells that the estimate had. None: all.
    """
    f = estimated.matrix
    seen = seen or tuple(np.ones(n, bool) for n in f.shape)
    certain = np.zeros(f.shape[0], bool)
    certain[known.certain_pairs()[:, 0]] = True
    of_row = np.asarray(f.sum(axis=1)).ravel()
    open_ = ~certain & (of_row > 0)
    f = sparse.csr_matrix(sparse.diags(1 / np.maximum(of_row, 1e-12)) @ f)  # of what a cell is matched with
    n_candidates = int(seen[1].sum()) - int(certain.sum())
    truth = _of_truth(f, known, pairs, seen)
    truth = truth[open_[truth["row"]]]
    chance = 1 / max(n_candidates, 1)
    if labels is None or not (open_ & (labels[0] != UNLABELLED)).any():
        empty = pd.DataFrame(
            columns=["label", "n_cells", "same_label", "same_label_chance", "n_truth", "truth"]
        )
        nan = float("nan")
        return Comparison(
            empty, None, int(open_.sum()), int(certain.sum()), truth["mass"].mean(), chance, nan, nan
        )
    first, second = (np.asarray(side, dtype=str) for side in labels)
    confusion, share = _confusion(f, open_, first, second, seen[1])
    mass = np.diag(confusion.reindex(index=confusion.index, columns=confusion.index, fill_value=0.0))
    n_cells = pd.Series(first[open_]).value_counts().reindex(confusion.index)
    per_label = truth.assign(label=first[truth["row"]]).groupby("label")["mass"]
    by_label = pd.DataFrame(
        {
            "label": confusion.index,
            "n_cells": n_cells.to_numpy(),
            "same_label": mass,
            "same_label_chance": share.reindex(confusion.index, fill_value=0.0).to_numpy(),
            "n_truth": per_label.size().reindex(confusion.index, fill_value=0).to_numpy(),
            "truth": per_label.mean().reindex(confusion.index).to_numpy(),
            "truth_chance": chance,
        }
    )
    weight = n_cells.to_numpy() / n_cells.sum()
    return Comparison(
        by_label,
        confusion,
        int(open_.sum()),
        int(certain.sum()),
        float(truth["mass"].mean()),
        chance,
        float(weight @ by_label["same_label"]),
        float(weight @ by_label["same_label_chance"]),
    )


def _of_truth(f, known: Correspondence, pairs: Correspondence, seen) -> pd.DataFrame:
    """Rows with a true partner that was seen and not shown: ``row``, ``mass`` of F~ on the partner."""
    truth = pairs.certain_pairs()
    hidden = _at(known.matrix, truth) == 0
    truth = truth[hidden & seen[0][truth[:, 0]] & seen[1][truth[:, 1]]]
    return pd.DataFrame({"row": truth[:, 0], "mass": _at(f, truth)})


def _at(matrix, places: np.ndarray) -> np.ndarray:
    """Values at (n, 2) places, float (n,); scipy makes a matrix of none of them."""
    return np.asarray(matrix[places[:, 0], places[:, 1]]).ravel() if len(places) else np.zeros(0)


def _confusion(f, open_, first, second, seen) -> tuple[pd.DataFrame, pd.Series]:
    """Mass by label, rows sum to 1; and the share of each label among the cells of the second modality."""
    rows, cols = np.unique(first[open_ & (first != UNLABELLED)]), np.unique(second[second != UNLABELLED])
    left = sparse.csr_matrix((open_[None, :] & (rows[:, None] == first[None, :])).astype(float))
    right = sparse.csr_matrix((second[:, None] == cols[None, :]).astype(float))
    mass = (left @ f @ right).toarray()
    mass = mass / np.maximum(mass.sum(axis=1, keepdims=True), 1e-12)
    count = pd.Series(second[seen & (second != UNLABELLED)]).value_counts()
    return pd.DataFrame(mass, index=rows, columns=cols), count / count.sum()


def labels_of(mdata):
    """Cell types of both modalities, "" where there is none; None where a modality has no labels."""
    sides = [adata.obs.get(contract.CELL_TYPE) for adata in mdata.mod.values()]
    if any(side is None or side.isna().all() for side in sides):
        return None
    return tuple(np.where(side.isna(), UNLABELLED, side.astype(str)) for side in sides)


def seen_in(mdata):
    """Pair of bool (n_1,), (n_2,): training cells of prepared data."""
    return tuple((adata.obs[contract.ROLE] == contract.TRAIN).to_numpy() for adata in mdata.mod.values())


def in_words(result: Comparison, infos: list[dict]) -> str:
    """For the caption: confidence of every seed, and what the first says."""
    confidence = ", ".join(f"{info['confidence']:.2f}" for info in infos)
    first = infos[0]
    words = f"Confidence by seed: {confidence} (trusted from {first['trusted_from']:g}). "
    words += f"First seed: {first['reason']}."
    if result.n_open == 0:
        return words
    if np.isfinite(result.same_label):
        words += (
            f" {result.same_label:.0%} of the mass is on cells of the same label "
            f"({result.same_label_chance:.0%} by chance)."
        )
    if np.isfinite(result.truth):
        words += f" Mean mass on the true partner: {result.truth:.3f} ({result.truth_chance:.4f} by chance)."
    return words + "".join(f" Note: {note}." for note in first["notes"])
