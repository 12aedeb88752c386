"""Whether the two modalities of a dataset fit together, asked before anything is fitted.

Names, labels, batches and values of the two are held against each other. What can only be a mistake is
refused; what may be one is a warning. Data that fit give nothing.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie.data import cell_names, related
from jamie.data.correspondence import Correspondence
from jamie.data.findings import Finding

NEED_PAIRS = "scenarios that hold cells out or show pairs need pairs"
SUFFIXES = "does a suffix such as -1 mean the same sample in both files?"
MOST = 0.5  # share of pairs that disagree, or of names in the wrong place, from which it is no accident
FEW_LEFT = 20  # cells without a partner; names of fewer are not looked at
# so many pairs of one cell are told from strangers: of 50, in 19 of 25 draws from the sparsest of seven
# datasets; of 100, in all 25 from each
ENOUGH_PAIRS = 150
# columns that say where a cell comes from, compared where both modalities have them and no batch is given
OF_SAMPLES = (
    "sample",
    "sample_id",
    "donor",
    "donor_id",
    "original_batch",
    "orig.ident",
    "library",
    "patient",
)


def compare(
    mdata, pairs: Correspondence, dataset: str, *, needs_pairs: bool, from_file: bool
) -> list[Finding]:
    """Everything in which the two modalities do not fit together.

    Parameters
    ----------
    mdata
        As ingested: per modality raw ``X`` (n_m, p_m), ``uns["kind"]``, ``obs["cell_type", "batch"]`` where
        known.
    pairs
        All pairs the dataset knows (n_1, n_2).
    dataset
        Name of the config entry, for messages.
    needs_pairs
        Whether a scenario of the run holds cells out or shows pairs.
    from_file
        Whether pairs come from a correspondence file, so that names need not be equal.
    """
    if found := _transposed(mdata, dataset):
        return found
    found = _without_pairs(mdata, pairs, dataset, needs_pairs, from_file)
    found += _labels_apart(mdata, dataset)
    best, certain = pairs.best_pairs(), pairs.certain_pairs()
    if len(best):
        columns = [column for column in (c.CELL_TYPE, c.BATCH) if _in_both(mdata, column)]
        if c.BATCH not in columns:
            columns += [column for column in OF_SAMPLES if _in_both(mdata, column)][:1]
        for column in columns:
            found += _disagreeing(mdata, certain, column, dataset)
        found += _strangers(mdata, best, dataset)
    return found


def relation(mdata, best: np.ndarray) -> related.Relation | None:
    """How alike paired cells (n_pairs, 2) are; None where there are too few to ask."""
    return _paired(mdata, best).relation() if len(best) >= related.FEWEST_PAIRS else None


def _some(names) -> str:
    """The first three, and how many more there are."""
    names = [str(name) for name in names]
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def _in_both(mdata, column: str) -> bool:
    return all(column in adata.obs for adata in mdata.mod.values())


def _transposed(mdata, dataset: str) -> list[Finding]:
    """Cells of one modality that are features of the other."""
    found = []
    for (name, adata), (other, cells) in zip(mdata.mod.items(), reversed(mdata.mod.items()), strict=True):
        shared = cells.obs_names.intersection(adata.var_names)
        if len(shared) > MOST * min(cells.n_obs, adata.n_vars):
            found.append(
                Finding(
                    c.REFUSED,
                    f"{name} has its cells in columns",
                    found=f"{len(shared):,} of {cells.n_obs:,} cells of {other} are features of {name}: "
                    f"{_some(shared)}",
                    expected="cells in rows and features in columns, in both modalities",
                    change=f"transpose {name} in the file under `datasets.{dataset}.files`",
                )
            )
    return found


def _without_pairs(
    mdata, pairs: Correspondence, dataset: str, needs_pairs: bool, from_file: bool
) -> list[Finding]:
    """No pair where a scenario needs some, or cells whose names nearly say that they are the same."""
    (first, a), (second, b) = mdata.mod.items()
    if from_file:
        return _empty_file(dataset, needs_pairs) if pairs.matrix.nnz == 0 else []
    left = a.obs_names.difference(b.obs_names, sort=False), b.obs_names.difference(a.obs_names, sort=False)
    n_shared = a.n_obs - len(left[0])
    rule = None
    if min(map(len, left)) >= FEW_LEFT:
        rule = cell_names.rule_that_matches(*left, (first, second))
    if n_shared == 0 and (needs_pairs or rule):
        needed = f", as {NEED_PAIRS}" if needs_pairs else ""
        finding = Finding(
            c.REFUSED if needs_pairs else c.WARNING,
            f"No cell of {first} has the name of a cell of {second}",
            found=f"0 of {a.n_obs:,} and {b.n_obs:,} names are shared; {first}: {_some(a.obs_names)}; "
            f"{second}: {_some(b.obs_names)}",
            expected=f"equal names in both modalities where it is the same cell{needed}",
            change=_how_to_match(mdata, rule, dataset, needs_pairs),
        )
        return [finding]
    if n_shared and rule and rule.alike:
        joined = "; ".join(f"{one} and {other}" for one, other in rule.examples)
        finding = Finding(
            c.WARNING,
            f"Cells of {first} and {second} without a partner have nearly equal names",
            found=f"{n_shared:,} are shared, and {rule.n_cells:,} more would be if {rule.words}: {joined}",
            expected="equal names in both modalities where it is the same cell",
            change=f"if these are the same cells, their names, or `datasets.{dataset}.correspondence`",
        )
        return [finding]
    return []


def _empty_file(dataset: str, needs_pairs: bool) -> list[Finding]:
    if not needs_pairs:
        return []
    finding = Finding(
        c.REFUSED,
        "The correspondence holds no pair",
        found="no value above 0",
        expected=f"pairs of cells, as {NEED_PAIRS}",
        change=f"the file under `datasets.{dataset}.correspondence`, or the scenario `transductive_0`",
    )
    return [finding]


def _how_to_match(mdata, rule: cell_names.Rule | None, dataset: str, needs_pairs: bool) -> str:
    """What to change where no name is shared."""
    (_, a), (_, b) = mdata.mod.items()
    table = f"a table of pairs under `datasets.{dataset}.correspondence`"
    if rule:
        joined = "; ".join(f"{one} and {other}" for one, other in rule.examples)
        return f"{rule.n_cells:,} cells would match if {rule.words} ({joined}): rename them, or give {table}"
    columns = a.var_names.intersection(b.var_names)
    if len(columns) > MOST * min(a.n_vars, b.n_vars):
        return (
            f"transpose both files if columns are cells ({len(columns):,} columns have one name in both: "
            f"{_some(columns)}); else the cell names, or {table}"
        )
    without = ", or the scenario `transductive_0` if no cell has both" if needs_pairs else ""
    return f"the cell names in one of the files, or {table}{without}"


def _labels_apart(mdata, dataset: str) -> list[Finding]:
    """Cell types of both modalities, and none of one name."""
    if not _in_both(mdata, c.CELL_TYPE):
        return []
    (first, a), (second, b) = ((name, adata.obs[c.CELL_TYPE].dropna()) for name, adata in mdata.mod.items())
    words = [pd.Index(labels.astype(str).unique()) for labels in (a, b)]
    if not all(map(len, words)) or len(words[0].intersection(words[1])):
        return []
    rule = cell_names.rule_that_matches(*words, (first, second))
    near = f"; {rule.n_cells} would be the same if {rule.words}" if rule else ""
    finding = Finding(
        c.REFUSED,
        f"The cell types of {first} and {second} have no name in common",
        found=f"{len(words[0])} in {first} ({_some(words[0])}), {len(words[1])} in {second} "
        f"({_some(words[1])}){near}",
        expected="one name for one type: scores by type compare names",
        change=f"the labels in one of the files, or `datasets.{dataset}.cell_type: null`",
    )
    return [finding]


def _disagreeing(mdata, certain: np.ndarray, column: str, dataset: str) -> list[Finding]:
    """Certain pairs whose cells differ in their label; nothing where the two sides name no label alike."""
    (first, a), (second, b) = mdata.mod.items()
    labels = [
        adata.obs[column].iloc[certain[:, axis]].astype(object).to_numpy()
        for axis, adata in enumerate((a, b))
    ]
    known = pd.notna(labels[0]) & pd.notna(labels[1])
    one, other = (side[known].astype(str) for side in labels)
    different = one != other
    if not different.any() or not set(one) & set(other):
        return []
    configured, share = column in (c.CELL_TYPE, c.BATCH), different.mean()
    what = "cell type" if column == c.CELL_TYPE else column
    names = a.obs_names.to_numpy()[certain[known, 0]]
    places = np.flatnonzero(different)[:3]
    examples = "; ".join(f"{names[k]} is {one[k]} in {first} and {other[k]} in {second}" for k in places)
    samples = _samples_that_differ(pd.Index(names), different)
    finding = Finding(
        c.REFUSED if share > MOST and configured else c.WARNING,
        f"Paired cells of {first} and {second} differ in their {what}",
        found=f"{different.sum():,} of {len(different):,} pairs ({share:.1%}){samples}: {examples}",
        expected=f"one {what} for the two halves of a cell",
        change=f"the cell names ({SUFFIXES}) or the {what} in one of the files"
        + (f", or `datasets.{dataset}.{column}: null`" if configured else ""),
    )
    return [finding]


def _samples_that_differ(names: pd.Index, different: np.ndarray) -> str:
    """Samples, by a part of the names, in which most pairs differ, where they do not in others."""
    samples = cell_names.sample_part(names, FEW_LEFT)
    if samples is None:
        return ""
    share = pd.Series(different).groupby(samples.to_numpy()).mean()
    most = share.index[share > MOST]
    return f", most of those named {_some(most)}" if 0 < len(most) < len(share) else ""


def _paired(mdata, best: np.ndarray) -> related.Pairs:
    (_, a), (_, b) = mdata.mod.items()
    return related.Pairs(a, b, best, _samples(mdata, best))


def _samples(mdata, best: np.ndarray) -> np.ndarray | None:
    """The sample of each pair, str (n_pairs,): its batch, where all have one, or a part of its name."""
    adata = next(iter(mdata.mod.values()))
    batch = adata.obs[c.BATCH].iloc[best[:, 0]] if c.BATCH in adata.obs else None
    if batch is not None and batch.notna().all():
        return batch.astype(str).to_numpy()
    samples = cell_names.sample_part(adata.obs_names[best[:, 0]], related.FEWEST_PAIRS)
    return None if samples is None else samples.to_numpy()


def _strangers(mdata, best: np.ndarray, dataset: str) -> list[Finding]:
    """Pairs that have no more in common than cells drawn at random, all of them or those of a sample."""
    if len(best) < ENOUGH_PAIRS:
        return []
    first, second = mdata.mod
    paired = _paired(mdata, best)
    overall = paired.relation()
    samples = paired.samples_unrelated() if overall.found else []
    if overall.found and not samples:
        return []
    which = f" of {_some(samples)}" if samples else ""
    found = "as many pairs of other samples can be told from strangers, these cannot"
    if not samples:
        found = f"of {overall.n_pairs:,} pairs {related.in_words(overall)}"
    finding = Finding(
        c.WARNING,
        f"Paired cells of {first} and {second}{which} are no more alike than cells drawn at random",
        found=found,
        expected="two halves of a cell that have more in common, by their depth or by what they hold",
        change=f"the cell names ({SUFFIXES}) or `datasets.{dataset}.correspondence`; if the pairs are right, "
        "one modality says too little of the other",
    )
    return [finding]
