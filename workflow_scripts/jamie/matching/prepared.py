"""F~ of prepared data: training cells, the model's own input, and the files of the workflow."""

from __future__ import annotations

import numpy as np

from jamie import contract
from jamie.data.correspondence import Correspondence, left_out_pairs, without_pairs
from jamie.data.projection import Projection
from jamie.data.split import training_cells
from jamie.errors import InputError
from jamie.matching.estimate import Estimate, estimate
from jamie.model.options import FEW_COMPONENTS


def estimate_prepared(
    mdata, known: Correspondence, *, same_group: str | None = None, seed: int = 0, **options
) -> tuple[Correspondence, Estimate]:
    """F~ of the training cells of prepared data.

    Parameters
    ----------
    mdata
        Prepared MuData; cells whose ``obs["role"]`` is test are left out.
    known
        Known F of all its cells.
    same_group
        Column of ``obs`` whose labels restrict matches to cells of one group; None: any cells.
    **options
        Of `jamie.matching.estimate`.

    Returns
    -------
    F~ with all cells as rows and columns (those of held-out cells are empty), and the estimate itself, of
    training cells.
    """
    train = training_cells(mdata)
    first, second = train.mod.values()
    x = tuple(
        Projection.fit(a.X, a.uns[contract.PREPROCESSING]["sd"], FEW_COMPONENTS).transform(a.X)
        for a in (first, second)
    )
    groups = _groups(train, same_group)
    f = known.align(first.obs_names, second.obs_names)
    result = estimate(x, f.matrix, seed=seed, groups=groups, **options)
    of_train = Correspondence(result.matrix, first.obs_names, second.obs_names)
    return of_train.align(*(a.obs_names for a in mdata.mod.values())), result


def estimate_check(mdata, known: Correspondence, *, seed: int, **options) -> Correspondence | None:
    """F~ made without the known pairs that trials leave out; None where none are.

    Parameters
    ----------
    mdata, known, seed, **options
        As in `estimate_prepared`.
    """
    names = [a.obs_names for a in training_cells(mdata).mod.values()]
    f = known.align(*names).matrix
    pairs = left_out_pairs(f, seed)
    if not len(pairs) or min(np.diff(m.indptr).min() for m in (f, f.T.tocsr())) > 0:
        return None
    rest = Correspondence(without_pairs(f, pairs), *names).align(known.row_names, known.col_names)
    return estimate_prepared(mdata, rest, seed=seed, **options)[0]


def _groups(mdata, column: str | None):
    """Labels of both modalities, "" where missing."""
    if column is None:
        return None
    for name, adata in mdata.mod.items():
        if column not in adata.obs:
            raise InputError(
                f"`same_group` names a column that {name} does not have",
                expected="a column of obs of both modalities: " + ", ".join(adata.obs.columns),
                found=column,
                change="`same_group` of the dataset",
            )
    columns = (a.obs[column] for a in mdata.mod.values())
    return tuple(np.where(c.isna(), "", c.astype(str)) for c in columns)
