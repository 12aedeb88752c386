"""The protocol every method follows, and how its outputs are written.

A method is one file in this folder with a ``SPEC`` and a class ``Method``::

    Method(seed=0, **options)
        .fit(train, known)                    MuData of training cells, Correspondence of exactly these cells
        .embed(mdata)                         {modality: float32 (n, d)} of any cells
        .imputer(mdata, source, target)       function: slice of source cells -> float32 (n_slice, p_target)

``train`` and ``mdata`` are prepared (see `jamie.contract`). ``fit`` never sees a held-out cell, and `imputer`
reads nothing but ``mdata.mod[source]``, except for controls that declare ``uses_truth``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from jamie import contract as c
from jamie import io
from jamie.data.correspondence import Correspondence
from jamie.data.split import training_cells
from jamie.linear import components
from jamie.metrics.feature_scores import cell_types
from jamie.registry import Spec


def training_part(prepared, known: Correspondence):
    """The training cells of prepared data, and F of exactly these."""
    train = training_cells(prepared)
    first, second = train.mod.values()
    return train, known.align(first.obs_names, second.obs_names)


def with_estimated(
    known: Correspondence, estimated: Correspondence, info: dict
) -> tuple[Correspondence, str]:
    """Known pairs, and of cells without one the mutual best pairs of F~, as if they were known.

    Returns
    -------
    F of the same cells; and why F~ is not used, empty if it is: then F is ``known``.
    """
    if not info["trusted"]:
        return known, f"the estimated correspondence is not trusted: {info['reason']}"
    pairs = estimated.best_pairs()
    free = [np.asarray(known.matrix.sum(axis)).ravel() == 0 for axis in (1, 0)]
    pairs = pairs[free[0][pairs[:, 0]] & free[1][pairs[:, 1]]]
    added = sparse.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), known.matrix.shape)
    return Correspondence(known.matrix + added, known.row_names, known.col_names), ""


def n_components(train, known: Correspondence | None, wanted: int | None) -> int:
    """Principal components of either modality: ``wanted``, or by the rule that holds for every method.

    ``known`` is None for a method that learns from no pair.
    """
    smaller = min(a.n_obs for a in train.mod.values())
    return wanted or components.n_components(smaller, None if known is None else len(known.best_pairs()))


def labels_of(mdata, known: Correspondence) -> dict[str, np.ndarray]:
    """Cell types str (n_m,) of each modality, "" = not known.

    A cell without a label takes that of its partner in ``known``, so that labels of one modality serve both.
    """
    own = {m: cell_types(a) for m, a in mdata.mod.items()}
    own = {m: np.full(mdata.mod[m].n_obs, "", dtype=object) if v is None else v for m, v in own.items()}
    first, second = own
    rows, cols = known.best_pairs().T
    lent = {m: labels.copy() for m, labels in own.items()}
    lent[first][rows] = np.where(own[first][rows] == "", own[second][cols], own[first][rows])
    lent[second][cols] = np.where(own[second][cols] == "", own[first][rows], own[second][cols])
    return {m: labels.astype(str) for m, labels in lent.items()}


def shared_types(mdata, known: Correspondence) -> list[str]:
    """The cell types that training cells of both modalities have (see `labels_of`), sorted."""
    found = []
    for modality, labels in labels_of(mdata, known).items():
        role = mdata.mod[modality].obs.get(c.ROLE)
        seen = labels if role is None else labels[(role == c.TRAIN).to_numpy()]
        found.append(set(seen) - {""})
    return sorted(found[0] & found[1])


def reason_to_exclude(
    spec: Spec, known: Correspondence, n_cells: int = 0, options=None, n_types: int = 0
) -> str:
    """Why the method cannot run on these pairs or so many cells; empty if it can.

    Parameters
    ----------
    n_cells
        Training cells of the larger modality.
    options
        Those that differ from the defaults.
    n_types
        Number of `shared_types`.
    """
    n_pairs = len(known.best_pairs())
    if n_pairs < spec.min_pairs:
        return f"needs at least {spec.min_pairs} known pairs, the scenario shows {n_pairs}"
    if n_types < spec.min_types:
        return f"needs at least {spec.min_types} cell types labelled in both modalities, there are {n_types}"
    largest = spec.max_cells({**spec.options, **(options or {})})
    if largest is not None and n_cells > largest:
        return f"takes at most {largest:,} training cells of a modality, there are {n_cells:,}"
    return ""


def write_embedding(path: str | Path, prepared, latent: dict, name: str) -> None:
    """``embedding.h5mu``: ``mod[m].obsm["X_{name}"]`` for the cells of ``prepared``."""
    mdata = _skeleton(prepared)
    for modality, values in latent.items():
        mdata.mod[modality].obsm[c.embedding_key(name)] = values
    if latent:
        c.check_embedding(mdata, prepared, c.embedding_key(name), str(path))
    io.write_h5mu(path, mdata)


def write_imputed(path: str | Path, prepared, imputers: dict) -> None:
    """``imputed.h5mu``: ``mod[source].obsm["imputed_{target}"]``, written in chunks of cells.

    Parameters
    ----------
    imputers
        {(source, target): function of a slice of source cells}.
    """
    mdata = _skeleton(prepared)
    for source, target in imputers:
        mdata.mod[source].uns[c.imputed_key(target)] = prepared.mod[target].var_names.to_numpy(dtype=str)
    with io.atomic(path) as temporary:
        mdata.write(str(temporary))
        for (source, target), rows in imputers.items():
            shape = (prepared.mod[source].n_obs, prepared.mod[target].n_vars)
            io.append_array(temporary, f"mod/{source}/obsm/{c.imputed_key(target)}", shape, rows)


def _skeleton(prepared):
    """The same cells without any values."""
    import anndata

    return io.together(
        {name: anndata.AnnData(obs=a.obs[[c.ROLE]].copy()) for name, a in prepared.mod.items()}
    )
