"""Groups of cells that scores are about: never seen; seen, with the pair hidden or shown."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from jamie import contract
from jamie.errors import InputError
from jamie.metrics.base import LATENT_INPUTS, Metric
from jamie.metrics.feature_scores import cell_types


@dataclass
class Group:
    """What metrics look at: one method's output restricted to one group of cells.

    Attributes
    ----------
    cells, protocol
        As in the columns of metrics.tsv.
    modalities
        Names of the two.
    rows
        int (n,) per modality: the group's cells, in the order of prepared.h5mu.
    latent
        float (n, d) per modality, already restricted to ``rows``; None if the method does not embed.
    pairs
        int (k, 2): positions within the restricted rows, of true pairs with both cells in the group.
    labels
        str (n,) per modality, already restricted, "" = not known; None if a modality has no labels.
    batches
        str (n,) per modality, already restricted; None if a modality has none.
    """

    cells: str
    protocol: str
    modalities: tuple[str, str]
    rows: dict[str, np.ndarray]
    latent: dict[str, np.ndarray] | None
    pairs: np.ndarray
    labels: dict[str, np.ndarray] | None
    batches: dict[str, np.ndarray] | None = None

    def paired_rows(self, modality: str) -> np.ndarray:
        """int (k,): rows of prepared.h5mu of the pairs' cells in one modality."""
        return self.rows[modality][self.pairs[:, self.modalities.index(modality)]]

    def size(self, metric: Metric, modality: str) -> int:
        """Number of cells that a score is about: labelled ones, or pairs, where the metric needs these."""
        if metric.inputs != LATENT_INPUTS or "pairs" in metric.needs:
            return len(self.pairs)
        sides = [m for m in self.modalities if modality in ("", m)]
        if "labels" in metric.needs and self.labels is not None:
            return sum(int((self.labels[m] != "").sum()) for m in sides)
        return sum(len(self.rows[m]) for m in sides)


def make_groups(prepared, truth, shown, latent=None) -> list[Group]:
    """The groups of cells of a scenario, the primary one first.

    "test" (held out) or, without any test cell, "all"; then "hidden" and "paired", the training cells whose
    true pair was not shown, and was shown. A group without cells is left out.

    Parameters
    ----------
    prepared
        MuData, see the contract of prepared.h5mu.
    truth, shown
        Correspondence: all true pairs, and those shown in training.
    latent
        float (n_m, d) per modality, or None.

    Raises
    ------
    InputError
        A pair with a test cell was shown.
    """
    names = contract.check_two_modalities(prepared)
    is_test = [prepared.mod[m].obs[contract.ROLE].to_numpy() == contract.TEST for m in names]
    cells = [prepared.mod[m].obs_names for m in names]
    pairs = truth.align(*cells).certain_pairs()
    known = shown.align(*cells).matrix.tocoo()
    _check_no_leak(known, is_test)
    seen = ~(is_test[0][pairs[:, 0]] | is_test[1][pairs[:, 1]])
    n_2 = known.shape[1]
    was_shown = np.isin(pairs[:, 0] * n_2 + pairs[:, 1], known.row.astype(np.int64) * n_2 + known.col)
    labels = {m: cell_types(prepared.mod[m]) for m in names}
    if any(of is None for of in labels.values()):
        labels = None
    batches = None
    if all(contract.BATCH in prepared.mod[m].obs for m in names):
        batches = {m: prepared.mod[m].obs[contract.BATCH].to_numpy(str) for m in names}

    rows = {m: np.arange(prepared.mod[m].n_obs) for m in names}
    whole = Group(contract.ALL, contract.TRANSDUCTIVE, names, rows, latent, pairs, labels, batches)
    if any(test.any() for test in is_test):
        groups = [_restrict(whole, contract.TEST, contract.HELD_OUT, is_test)]
    else:
        groups = [whole]
    for name, chosen in ((contract.HIDDEN, seen & ~was_shown), (contract.PAIRED, seen & was_shown)):
        if chosen.any():
            keep = [np.isin(rows[m], pairs[chosen, side]) for side, m in enumerate(names)]
            groups.append(_restrict(whole, name, contract.TRANSDUCTIVE, keep))
    return groups


def _restrict(whole: Group, cells: str, protocol: str, keep) -> Group:
    """The group of the cells where ``keep``, bool (n_1,) and (n_2,), is true; ``whole`` holds all cells."""
    rows = {m: np.flatnonzero(k) for m, k in zip(whole.modalities, keep, strict=True)}
    inside = whole.pairs[keep[0][whole.pairs[:, 0]] & keep[1][whole.pairs[:, 1]]]
    positions = [np.searchsorted(of, inside[:, side]) for side, of in enumerate(rows.values())]
    of_cells = whole.latent, whole.labels, whole.batches
    latent, labels, batches = (x and {m: x[m][rows[m]] for m in x} for x in of_cells)
    return Group(cells, protocol, whole.modalities, rows, latent, np.column_stack(positions), labels, batches)


def _check_no_leak(known: sparse.coo_matrix, is_test) -> None:
    leaked = int((is_test[0][known.row] | is_test[1][known.col]).sum())
    if leaked:
        raise InputError(
            "Pairs of test cells were shown in training",
            expected="a correspondence among training cells only",
            found=f"{leaked} pairs with a test cell",
            change="delete correspondence.npz of this scenario and run again",
        )
