"""Which cells are held out: never seen by any fitted step."""

from __future__ import annotations

import numpy as np
import pandas as pd

from jamie.contract import ROLE, SPLIT_COLUMNS, TEST, TRAIN, check_two_modalities
from jamie.data import batches as of_batches
from jamie.data.correspondence import Correspondence
from jamie.errors import InputError
from jamie.io import together


def split_cells(
    pairs: Correspondence, held_out: float, seed: int, batches: tuple[np.ndarray, np.ndarray] | None = None
) -> dict[int, np.ndarray]:
    """Hold out a random share of the cells measured in both modalities, or whole batches.

    Only for the former is the truth known, so holding out others would cost training cells and score nothing.
    Of a batch that is to be new to every method, they are held out nevertheless.

    Parameters
    ----------
    pairs
        All pairs of the dataset.
    held_out
        Share of the certain pairs whose two sides are held out, 0-1; with ``batches``, share of those with
        pairs.
    batches
        Of the cells, str (n_1,), (n_2,), where whole ones are held out.

    Returns
    -------
    Bool arrays {0: (n_1,), 1: (n_2,)}, True for cells that may be seen in training.
    """
    if batches is not None:
        names = of_batches.held_out(pairs, batches, held_out, seed)
        return {axis: ~np.isin(batches[axis], names) for axis in (0, 1)}
    certain = pairs.certain_pairs()
    chosen = np.random.default_rng(seed).permutation(len(certain))[: round(held_out * len(certain))]
    roles = {}
    for axis in (0, 1):
        roles[axis] = np.ones(pairs.matrix.shape[axis], dtype=bool)
        roles[axis][certain[chosen, axis]] = False
    return roles


def to_table(mdata, is_train: dict[int, np.ndarray]) -> pd.DataFrame:
    """The content of ``split.tsv``: one row per modality and cell."""
    parts = [
        pd.DataFrame(
            {"modality": name, "cell": mdata.mod[name].obs_names, ROLE: np.where(is_train[i], TRAIN, TEST)}
        )
        for i, name in enumerate(check_two_modalities(mdata))
    ]
    return pd.concat(parts, ignore_index=True)[list(SPLIT_COLUMNS)]


def from_table(mdata, table: pd.DataFrame) -> dict[int, np.ndarray]:
    """Bool arrays {0: (n_1,), 1: (n_2,)} from ``split.tsv``, True for training cells."""
    is_train = {}
    for i, name in enumerate(check_two_modalities(mdata)):
        part = table[table["modality"] == name]
        if part["cell"].tolist() != mdata.mod[name].obs_names.tolist():
            raise InputError(
                "split.tsv is not of this dataset",
                expected=f"the cells of {name}, in order",
                found=f"{len(part)} other cells or another order",
                change="delete split.tsv and run again",
            )
        is_train[i] = (part[ROLE] == TRAIN).to_numpy()
    return is_train


def training_rows(adata) -> np.ndarray:
    """Rows of the cells whose role is train, in the order of their names: int (n_train,)."""
    rows = np.argsort(adata.obs_names.to_numpy(dtype=str), kind="stable")
    return rows[(adata.obs[ROLE] == TRAIN).to_numpy()[rows]] if ROLE in adata.obs else rows


def training_cells(mdata, layers: bool | tuple[str, ...] = True):
    """The cells whose role is train (all of them where no role is given).

    They are in the order of their names, so that what is fitted does not depend on the order of a file.

    Parameters
    ----------
    layers
        Those that are kept: all, none, or these. Counts take as much memory as ``X``.
    """
    import anndata

    parts = {}
    for name, adata in mdata.mod.items():
        keep = training_rows(adata)
        if layers is not True:
            kept = {key: adata.layers[key] for key in layers or () if key in adata.layers}
            adata = anndata.AnnData(adata.X, adata.obs, adata.var, adata.uns, layers=kept)
        parts[name] = adata[keep].copy()
    return together(parts)
