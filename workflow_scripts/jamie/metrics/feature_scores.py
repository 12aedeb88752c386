"""Scores of imputed values per feature, read from imputed.h5mu in blocks of features."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from jamie import contract
from jamie.errors import InputError
from jamie.linear.blocks import dense
from jamie.metrics.alignment import MIN_CELLS
from jamie.metrics.base import FEATURE_INPUTS, load_metrics
from jamie.metrics.imputation import binarise

_BLOCK_ENTRIES = 8_000_000  # cells x features read at once: 64 MB as float64
_PIECE_ENTRIES = 500_000  # cells x features scored at once


def cell_types(adata) -> np.ndarray | None:
    """Labels str (n,), "" = not known; None if the modality has none."""
    if contract.CELL_TYPE not in adata.obs:
        return None
    column = adata.obs[contract.CELL_TYPE].astype(object)
    return column.where(column.notna(), "").astype(str).to_numpy()


def by_feature(mdata) -> None:
    """Turn sparse values and layers into CSC, in place: once for all methods that are scored on them."""
    for adata in mdata.mod.values():
        if sparse.issparse(adata.X):
            adata.X = adata.X.tocsc()
        for name, layer in adata.layers.items():
            if sparse.issparse(layer):
                adata.layers[name] = layer.tocsc()


def score_features(
    source,
    target,
    names: tuple[str, str],
    pairs: list[np.ndarray],
    path: str | Path | None,
    block_features: int | None = None,
    groups: np.ndarray | None = None,
    attainable: np.ndarray | None = None,
) -> list[pd.DataFrame]:
    """Every registered metric of imputed values, per feature, for several groups of cells in one pass.

    Parameters
    ----------
    source, target
        AnnData of the modality that was measured and of the one that is imputed, from prepared.h5mu.
    names
        Their names.
    pairs
        For each group of cells int (k, 2): row of ``source``, row of ``target``, of the same cell. The value
        imputed for the first is compared with the value measured in the second.
    path, block_features
        imputed.h5mu (None if the method does not impute); features read at once (None: about 64 MB).
    groups
        int (n_target,): group of each cell of ``target``, below 0 = in none; None: one group of all.
    attainable
        float (p_target,): Pearson r of each feature that could be reached; None: not known.

    Returns
    -------
    For each group a table with the column ``feature`` and one column per metric; without rows for a group of
    fewer than 3 pairs, or without a file.

    Raises
    ------
    InputError
        The file holds other cells or features, or a value that is not finite.
    """
    metrics = [m for m in load_metrics().values() if m.inputs == FEATURE_INPUTS]
    columns = ["feature", *[m.name for m in metrics]]
    empty = pd.DataFrame(columns=columns)
    if path is None:
        return [empty for _ in pairs]
    parts = [[empty] if len(chosen) < MIN_CELLS else [] for chosen in pairs]
    truth = _truth_reader(target, groups, attainable)
    for block, imputed in _imputed_blocks(path, source, target, names, block_features):
        for piece in _pieces(block, target.n_obs):
            whole, values = truth(piece), imputed[:, piece.start - block.start : piece.stop - block.start]
            for part, chosen in zip(parts, pairs, strict=True):
                if len(chosen) < MIN_CELLS:
                    continue
                inputs = _inputs(whole, values, chosen)
                scores = {m.name: m.function(**{need: inputs[need] for need in m.needs}) for m in metrics}
                features = target.var_names[piece].to_numpy()
                part.append(pd.DataFrame({"feature": features, **scores}, columns=columns))
    return [pd.concat(part, ignore_index=True) for part in parts]


def _pieces(block: slice, n_cells: int) -> Iterator[slice]:
    """Parts of a block of features, alike in size, so small that metrics work in the cache."""
    size = max(64, _PIECE_ENTRIES // n_cells)
    edges = np.linspace(block.start, block.stop, -(-(block.stop - block.start) // size) + 1).astype(int)
    return (slice(*bounds) for bounds in pairwise(edges.tolist()))


def _inputs(whole: dict, imputed: np.ndarray, chosen: np.ndarray) -> dict:
    """What metrics may need (FEATURE_INPUTS) for a block of features, restricted to chosen pairs (k, 2)."""
    per_cell = {key: whole[key] for key in ("measured", "counts", "missing", "cell_types", "groups")}
    inputs = {key: None if v is None else v[chosen[:, 1]] for key, v in per_cell.items()}
    positive = binarise(inputs["measured"], inputs.pop("counts"), inputs["missing"])
    per_feature = {key: whole[key] for key in ("mean", "sd", "attainable")}
    return {**inputs, **per_feature, "imputed": imputed[chosen[:, 0]], "positive": positive}


def _truth_reader(target, groups, attainable) -> Callable[[slice], dict]:
    """A function of a slice of features that gives what is known of them, for all cells of ``target``."""
    absent = [column for column in ("mean", "sd") if column not in target.var]
    if absent:
        raise InputError(
            "The training statistics of a modality are missing",
            expected="var['mean'] and var['sd'] of X over training cells in prepared.h5mu",
            found=f"no {' and no '.join(absent)}; var holds {list(target.var.columns)}",
            change="delete prepared.h5mu and run again",
        )
    layers = {"measured": target.X, "counts": None, "missing": None}
    for name, key in (("counts", contract.COUNTS), ("missing", contract.MISSING)):
        if key in target.layers:
            layers[name] = target.layers[key]
    layers = {k: v.tocsc() if sparse.issparse(v) else v for k, v in layers.items()}
    types = cell_types(target)
    codes = np.zeros(target.n_obs, dtype=int)
    if types is not None:
        codes = np.where(types == "", -1, pd.factorize(types)[0])
    reach = np.full(target.n_vars, np.nan) if attainable is None else attainable
    mean, sd = (target.var[column].to_numpy(dtype=np.float64) for column in ("mean", "sd"))

    def read(block: slice) -> dict:
        found = {k: None if v is None else dense(v[:, block]) for k, v in layers.items()}
        per_feature = {"mean": mean[block], "sd": sd[block], "attainable": reach[block]}
        return {**found, **per_feature, "cell_types": codes, "groups": groups}

    return read


def _imputed_blocks(path, source, target, names, size) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield a slice of features and the values float32 (n_source, n_slice) imputed for them."""
    import h5py

    key = contract.imputed_key(names[1])
    with h5py.File(path, "r") as handle:
        group = handle.get(f"mod/{names[0]}")
        data = None if group is None else group.get(f"obsm/{key}")
        if data is None or data.shape != (source.n_obs, target.n_vars):
            found = "no such data" if data is None else str(data.shape)
            _broken(path, f"mod/{names[0]}/obsm/{key} of shape {(source.n_obs, target.n_vars)}", found)
        cells = group["obs"][group["obs"].attrs["_index"]].asstr()[:]
        if not np.array_equal(cells, source.obs_names.to_numpy(dtype=object)):
            _broken(path, f"the cells of prepared.h5mu in {names[0]}, in order", "other cells")
        features = group.get(f"uns/{key}")
        if features is not None and not np.array_equal(
            features.asstr()[:], target.var_names.to_numpy(dtype=object)
        ):
            _broken(path, f"the features of prepared.h5mu in {names[1]}, in order", "other features")
        if size is None:
            size = max(1, _BLOCK_ENTRIES // max(source.n_obs, target.n_obs))
            chunk = data.chunks[1] if data.chunks else 1
            size = max(chunk, size // chunk * chunk) if chunk * source.n_obs <= 4 * _BLOCK_ENTRIES else size
        for start in range(0, target.n_vars, size):
            block = slice(start, min(start + size, target.n_vars))
            values = data[:, block]
            if not np.isfinite(values).all():
                _broken(
                    path, f"finite values in mod/{names[0]}/obsm/{key}", f"{(~np.isfinite(values)).sum()} not"
                )
            yield block, values


def _broken(path, expected: str, found: str) -> None:
    raise InputError(
        f"{Path(path).name} breaks its contract",
        expected=expected,
        found=found,
        change=f"the method that wrote {path}; delete the file and run again",
    )
