"""From raw values to model input, per kind of modality, with statistics of training cells only.

Each kind has a ``fit`` (training cells), an ``apply`` (any cells) and an ``invert`` (back to native units).
What ``fit`` learns is a plain dictionary, the *state*, kept in ``uns["preprocessing"]`` and in saved models.

=============  ==========================================================================================
rna            counts per cell scaled to the median training depth, log1p; highly variable genes
atac           TF-IDF: log1p(1e4 * count / cell total) * log1p(n_train / peak total); most accessible peaks
protein        centred log-ratio within each cell (Stoeckius et al. 2017, in the form of Seurat and muon)
methylation    fraction 0-1 as it is; missing values take the training mean
continuous     z-score; missing values take the training mean (0)
=============  ==========================================================================================

Data given as ``values: normalised`` are taken as they are, whatever their kind.
"""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from scipy import sparse

from jamie import contract as c
from jamie.errors import InputError
from jamie.io import together
from jamie.linear.blocks import column_mean_sd, count_nonzero, scaled_log1p

log = logging.getLogger(__name__)

TFIDF_SCALE = 1e4
DEFAULT_TOP_FEATURES = {c.RNA: 2000, c.ATAC: 25_000}
SIZE = "size"  # obs of prepared data: what invert needs per cell (depth, or geometric mean of protein)


def fit(adata, is_train: np.ndarray, n_top_features: int | None = None) -> dict:
    """Learn the preprocessing of one modality from its training cells.

    Parameters
    ----------
    adata
        Raw values in ``X`` (n_cells, p); ``uns["kind"]``, ``uns["values"]`` ("counts" or "normalised").
    is_train
        bool (n_cells,).
    n_top_features
        How many genes (most variable) or peaks (most accessible) to keep; None: 2,000 genes, 25,000 peaks,
        all features of other kinds.

    Returns
    -------
    State: kind, values, features (p_kept,), mean and sd (p_kept,) of the result over training cells, size
    (median training depth), and what the kind needs besides.
    """
    kind, values = adata.uns[c.KIND], adata.uns.get("values", "counts")
    state = {"kind": kind, "values": values if kind in c.COUNT_KINDS else "normalised"}
    if n_top_features and state["values"] != "counts":
        raise InputError(
            "Features can be chosen by number only where there are counts",
            expected="`n_top_features` with kind rna or atac and `values: counts`",
            found=f"n_top_features: {n_top_features} with kind {kind}, values {state['values']}",
            change="leave `n_top_features` out, or choose the features in the file",
        )
    n_top = n_top_features or DEFAULT_TOP_FEATURES.get(kind, adata.n_vars)
    counts = state["values"] == "counts"
    train = _values(adata if np.all(is_train) else adata[is_train], state)
    if counts:
        state["size"] = float(np.median(_sizes(train, state)))
    if kind in (c.CONTINUOUS, c.METHYLATION):
        state["center"], spread = _nan_mean_sd(train)
        if kind == c.CONTINUOUS:
            state["spread"] = spread
    if kind == c.ATAC and counts:
        state["idf"] = _idf(train)
    state["features"] = np.asarray(adata.var_names, dtype=str)
    transformed = _transform(train, _sizes(train, state) if counts else None, state)
    mean, sd = column_mean_sd(transformed)
    keep = sd > 0
    if kind in (c.CONTINUOUS, c.METHYLATION):
        keep &= spread > 0  # else a constant would vary by where it is missing
    if not keep.all():
        log.info("%s: %d features are constant in the training cells and are left out", kind, (~keep).sum())
    keep &= _top_features(train, transformed, kind, counts, n_top, keep)
    if not keep.any():
        raise InputError(
            f"No feature of the {kind} modality varies among the training cells",
            expected="at least one feature with two different values",
            found=f"{adata.n_vars} constant features in {train.shape[0]} cells",
            change="the dataset's files",
        )
    state = {k: v[keep] if isinstance(v, np.ndarray) else v for k, v in state.items()}
    return state | {"mean": mean[keep], "sd": sd[keep]}


def apply(adata, state: dict):
    """Preprocess cells with a learned state: returns AnnData (n_cells, p_kept).

    ``X`` float32 (sparse for sparse counts), ``layers["counts"]`` for counts, ``layers["is_missing"]`` where
    the input had NaN, ``obs["size"]``, ``var["mean", "sd"]``. Features that the cells lack take the training
    mean; that none is shared is an InputError.
    """
    import anndata

    features = pd.Index(state["features"])
    values, picked, sizes, shared = _scaled(adata, state)
    result = anndata.AnnData(
        values,
        obs=adata.obs.copy(),
        var=adata.var.reindex(features) if shared.any() else pd.DataFrame(index=features),
    )
    result.var["mean"], result.var["sd"] = state["mean"], state["sd"]
    if state["values"] == "counts":
        given = sparse.csr_matrix(_into_place(picked, shared, np.zeros(len(features))))
        # X has the index arrays of what it was made from: whoever changes one of the two must not change both
        given.indices, given.indptr = given.indices.copy(), given.indptr.copy()
        result.layers[c.COUNTS] = given
        result.obs[SIZE] = sizes
    elif not sparse.issparse(picked) and np.isnan(picked).any():
        result.layers[c.MISSING] = (
            sparse.csr_matrix(_into_place(np.isnan(picked), shared, np.zeros(len(features)))) > 0
        )
    result.uns[c.KIND] = state["kind"]
    result.uns[c.PREPROCESSING] = state
    return result


def scaled(adata, state: dict):
    """``X`` of `apply` alone, for those who need nothing else: float32 (n_cells, p_kept)."""
    return _scaled(adata, state)[0]


def _scaled(adata, state: dict):
    """Values of `apply`, the raw ones they come from, sizes or None, and which features the cells have."""
    where = pd.Index(adata.var_names).get_indexer(pd.Index(state["features"]))
    shared = where >= 0
    _check_shared(adata, state, shared)
    given = _values(adata, state)
    picked = given[:, where[shared]]
    sizes = _sizes(given, state) if state["values"] == "counts" else None
    values = _transform(
        picked, sizes, {k: v[shared] if isinstance(v, np.ndarray) else v for k, v in state.items()}
    )
    return values if shared.all() else _into_place(values, shared, state["mean"]), picked, sizes, shared


def normaliser(adata, state: dict):
    """Function of a slice of cells: *all* their features on the model's scale, float32 (n_slice, n_vars).

    Features of the state have its statistics, the others those of these cells. NaN: not measured.
    """
    known = pd.Index(state["features"]).get_indexer(adata.var_names)
    full = {key: value for key, value in state.items() if not isinstance(value, np.ndarray)}
    whole, counts = _values(adata, state), state["values"] == "counts"
    if state["kind"] in (c.CONTINUOUS, c.METHYLATION):
        full["center"], full["spread"] = _nan_mean_sd(whole)
    if state["kind"] == c.ATAC and counts:
        full["idf"] = _idf(whole)
    for key in full.keys() & {"center", "spread", "idf"} & state.keys():
        full[key][known >= 0] = state[key][known[known >= 0]]

    def rows(part: slice):
        values = whole[part]
        scaled = _transform(values, _sizes(values, state) if counts else None, full)
        return scaled if sparse.issparse(values) else np.where(np.isnan(values), np.float32(np.nan), scaled)

    return rows


def by_name(adata, state: dict):
    """``X`` of prepared cells, float32 (n_cells, p_kept), its columns in the state's order.

    As in `apply`, features that the cells lack take the training mean; that none is shared is an InputError.
    """
    where = pd.Index(adata.var_names).get_indexer(pd.Index(state["features"]))
    shared = where >= 0
    _check_shared(adata, state, shared)
    in_order = shared.all() and np.array_equal(where, np.arange(adata.n_vars))
    return adata.X if in_order else _into_place(adata.X[:, where[shared]], shared, state["mean"])


def invert(values: np.ndarray, state: dict, size: np.ndarray | None = None) -> np.ndarray:
    """Back to native units: expected counts, fractions, or the original unit of a continuous feature.

    Parameters
    ----------
    values
        (n_cells, p_kept) on the scale of prepared ``X``.
    size
        (n_cells,) the ``obs["size"]`` at which counts are wanted; None: the median training cell.
    """
    values = _dense(values)
    kind = state["kind"]
    if kind == c.CONTINUOUS:
        return values * state["spread"] + state["center"]
    if kind == c.METHYLATION:
        return np.clip(values, 0, 1)
    if state["values"] != "counts":
        return values
    size = np.full(len(values), state["size"]) if size is None else np.asarray(size)
    if kind == c.ATAC:
        values = values / state["idf"]
        return np.clip(np.expm1(values), 0, None) / TFIDF_SCALE * size[:, None]
    if kind == c.RNA:
        size = size / state["size"]
    return np.clip(np.expm1(values), 0, None) * size[:, None]


def of_features(state: dict, features) -> dict:
    """The state of some features: a slice, or their places."""
    return {k: v[features] if isinstance(v, np.ndarray) else v for k, v in state.items()}


def to_counts(x, state: dict, size: np.ndarray):
    """Counts that prepared values ``x`` (n_cells, p_kept) were made from; sparse stays sparse."""
    size = np.asarray(size, dtype=float)
    if not sparse.issparse(x):
        return invert(x, state, size)
    x = sparse.csr_matrix(x)
    scale = {c.ATAC: 1 / TFIDF_SCALE, c.RNA: 1 / state["size"], c.PROTEIN: 1.0}[state["kind"]]
    values = x.data / state["idf"][x.indices] if state["kind"] == c.ATAC else x.data.astype(float)
    values = np.expm1(values) * scale * np.repeat(size, np.diff(x.indptr))
    return sparse.csr_matrix((values, x.indices, x.indptr), shape=x.shape)


def prepare(mdata, is_train: dict[int, np.ndarray], n_top_features: dict[str, int | None] | None = None):
    """Fit on training cells and apply to all: the content of ``prepared.h5mu``.

    Parameters
    ----------
    is_train
        {0: (n_1,), 1: (n_2,)} bool, by position of the modality.
    """

    prepared = {}
    for i, name in enumerate(c.check_two_modalities(mdata)):
        state = fit(mdata.mod[name], is_train[i], (n_top_features or {}).get(name))
        prepared[name] = apply(mdata.mod[name], state)
        prepared[name].obs[c.ROLE] = pd.Categorical(np.where(is_train[i], c.TRAIN, c.TEST), [c.TRAIN, c.TEST])
    return together(prepared)


def _values(adata, state: dict):
    """``X`` as the rest works on it: counts as CSR float32, dense where there may be NaN."""
    if state["values"] == "counts":
        return sparse.csr_matrix(adata.X, dtype=np.float32)
    return _dense(adata.X) if state["kind"] in (c.CONTINUOUS, c.METHYLATION) else adata.X


def _nan_mean_sd(matrix) -> tuple[np.ndarray, np.ndarray]:
    """Mean (NaN where nothing was) and standard deviation of what was measured, (p,) each."""
    import warnings

    values = _dense(matrix)
    with warnings.catch_warnings():  # a feature without a measured value is NaN here and left out as constant
        warnings.simplefilter("ignore", RuntimeWarning)
        # the sd of equal values may be a rounding error above 0
        varies = np.nanmax(values, axis=0) > np.nanmin(values, axis=0)
        return np.nanmean(values, axis=0), np.where(varies, np.nanstd(values, axis=0), 0)


def _sizes(matrix, state: dict) -> np.ndarray:
    """Depth of each cell over all its features; for protein the geometric mean of count + 1."""
    if state["kind"] == c.PROTEIN:
        return np.exp(np.asarray(matrix.log1p().mean(axis=1)).ravel())
    return np.asarray(matrix.sum(axis=1), dtype=float).ravel()


def _idf(counts) -> np.ndarray:
    totals = np.asarray(counts.sum(axis=0), dtype=float).ravel()
    return np.log1p(np.divide(counts.shape[0], totals, out=np.zeros_like(totals), where=totals > 0))


def _transform(matrix, sizes: np.ndarray | None, state: dict):
    """Raw values of the features of ``state`` on the scale the model sees, float32; sparse stays sparse."""
    kind = state["kind"]
    if kind == c.CONTINUOUS:
        spread = np.where(state["spread"] > 0, state["spread"], 1)
        return np.nan_to_num((_dense(matrix) - state["center"]) / spread, nan=0.0).astype(np.float32)
    if kind == c.METHYLATION:
        values = _dense(matrix)
        return np.where(np.isnan(values), state["center"], values).astype(np.float32)
    if state["values"] != "counts":
        return matrix.astype(np.float32)
    return scaled_log1p(matrix, row_factor(sizes, state), state["idf"] if kind == c.ATAC else None)


def row_factor(sizes: np.ndarray, state: dict) -> np.ndarray:
    """What a cell's counts are multiplied by before the logarithm, by its size: float (n,)."""
    factor = {c.RNA: state["size"], c.ATAC: TFIDF_SCALE, c.PROTEIN: 1.0}[state["kind"]]
    return factor / np.maximum(sizes, 1e-12)


def _top_features(train, transformed, kind: str, counts: bool, n_top: int, keep: np.ndarray) -> np.ndarray:
    """Bool (p,): the features worth keeping; those not in ``keep`` take no place."""
    n_features = len(keep)
    if keep.sum() <= n_top or not counts:
        return np.ones(n_features, dtype=bool)
    if kind == c.RNA:
        import anndata
        import scanpy as sc

        table = sc.pp.highly_variable_genes(
            anndata.AnnData(transformed[:, keep]), n_top_genes=n_top, flavor="seurat", inplace=False
        )
        chosen = np.zeros(n_features, dtype=bool)
        chosen[np.flatnonzero(keep)] = table["highly_variable"].to_numpy()
        return chosen
    n_cells = np.where(keep, count_nonzero(train)[1], -1)
    chosen = np.zeros(n_features, dtype=bool)
    chosen[np.argsort(-n_cells, kind="stable")[:n_top]] = True
    return chosen


def _check_shared(adata, state: dict, shared: np.ndarray) -> None:
    if not shared.any():
        raise InputError(
            "The data share no feature names with the saved model",
            expected=f"{len(shared)} {state['kind']} features such as {list(state['features'][:3])}",
            found=f"{adata.n_vars} features such as {list(adata.var_names[:3])}",
            change="the feature names of the data (symbols or Ensembl ids, chr1 or 1), or the model",
        )
    if not shared.all():
        log.warning(
            "%d of %d model features are not in the data; they take the training mean",
            (~shared).sum(),
            len(shared),
        )


def _into_place(values, shared: np.ndarray, fill: np.ndarray):
    """Put the columns that are there in their places; the others take ``fill``."""
    if shared.all():
        return values
    place = sparse.csr_matrix(
        (np.ones(shared.sum()), (np.arange(shared.sum()), np.flatnonzero(shared))),
        (shared.sum(), len(shared)),
    )
    missing = np.where(shared, 0, fill)
    if sparse.issparse(values) and not missing.any():
        return sparse.csr_matrix(values @ place)
    return (_dense(values @ place) + missing).astype(np.float32)


def _dense(matrix) -> np.ndarray:
    return np.asarray(matrix.todense() if sparse.issparse(matrix) else matrix, dtype=np.float64)
