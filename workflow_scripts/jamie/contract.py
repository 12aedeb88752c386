"""Names of everything that passes between stages, and the checks that hold a file to its contract.

Key names live only here. Row order in every file is that file's ``obs_names``; equal ``obs_names`` in two
modalities mean the same cell.
"""

from __future__ import annotations

import numpy as np

from jamie.errors import InputError

# Modality kinds: what the values are, and so how they are checked and preprocessed
RNA, ATAC, PROTEIN, METHYLATION, CONTINUOUS = "rna", "atac", "protein", "methylation", "continuous"
KINDS = (RNA, ATAC, PROTEIN, METHYLATION, CONTINUOUS)
COUNT_KINDS = (RNA, ATAC, PROTEIN)

# Keys inside AnnData / MuData
KIND = "kind"  # mod[m].uns: one of KINDS
COUNTS = "counts"  # mod[m].layers: raw counts, CSR
MISSING = "is_missing"  # mod[m].layers: sparse bool, True where the value was NaN in the input
CELL_TYPE = "cell_type"  # mod[m].obs
BATCH = "batch"  # mod[m].obs
ROLE = "role"  # mod[m].obs of prepared.h5mu and column of split.tsv: TRAIN or TEST
LEFT_OUT = "left_out"  # mod[m].uns of ingested.h5mu: names of features that hold nothing and were left out
PREPROCESSING = "preprocessing"  # mod[m].uns of prepared.h5mu: enough to redo and invert it
NORMALISED = "normalised"  # mod[m].layers of completed.h5mu: measured values on the scale of the model
PEAK_COLUMNS = ("chrom", "start", "end")  # mod[m].var, bp, 0-based half-open

TRAIN, TEST = "train", "test"

# Cell groups a score is about
HIDDEN, PAIRED, ALL = "hidden", "paired", "all"
HELD_OUT, TRANSDUCTIVE = "held_out", "transductive"
OK, NOT_APPLICABLE, EXCLUDED, FAILED = "ok", "not_applicable", "excluded", "failed"

# How much a finding about a dataset weighs
REFUSED, WARNING, NOTICE = "refused", "warning", "notice"
FINDING_COLUMNS = ("severity", "problem", "found", "expected", "change")

SPLIT_COLUMNS = ("modality", "cell", ROLE)
HISTORY_COLUMNS = ("epoch", "term", "value", "weight")
METRIC_COLUMNS = (
    "dataset",
    "scenario",
    "method",
    "seed",
    "protocol",
    "cells",
    "metric",
    "modality",
    "value",
    "n_cells",
    "n_features",
    "status",
    "reason",
)
FEATURE_SCORE_COLUMNS = (
    "dataset",
    "scenario",
    "method",
    "seed",
    "protocol",
    "cells",
    "modality",
    "feature",
    "pearson",
    "pearson_within",
    "pearson_attainable",
    "auroc",
    "rmse",
    "r2",
    "js_distance",
)


def embedding_key(method: str) -> str:
    """``obsm`` key of a method's latent coordinates."""
    return f"X_{method}"


def imputed_key(target: str) -> str:
    """``obsm`` key of modality ``target`` imputed for the cells of another modality; also the ``uns`` key
    of its feature names."""
    return f"imputed_{target}"


def completed_name(modality: str) -> str:
    """Name of the modality of ``completed.h5mu`` that holds all cells, measured or imputed."""
    return f"{modality}_completed"


def _fail(where: str, expected: str, found: str) -> None:
    raise InputError(
        f"{where} breaks its contract",
        expected=expected,
        found=found,
        change=f"the rule that wrote {where}; delete the file and run again",
    )


def check_two_modalities(mdata, where: str = "dataset") -> tuple[str, str]:
    """Return the names of the two modalities, in order."""
    names = tuple(mdata.mod)
    if len(names) != 2:
        raise InputError(
            f"{where} cannot be used as it is",
            expected="exactly two modalities",
            found=", ".join(names) or "none",
            change="keep two of them, such as MuData({name: mdata.mod[name] for name in ('rna', 'atac')})",
        )
    return names


def check_prepared(mdata, where: str = "prepared.h5mu") -> None:
    """Both modalities hold finite float32 ``X``, a role per cell, a kind, and invertible preprocessing."""
    for name in check_two_modalities(mdata, where):
        adata = mdata.mod[name]
        values = adata.X.data if hasattr(adata.X, "indptr") else np.asarray(adata.X)
        if values.dtype != np.float32 or not np.isfinite(values).all():
            _fail(
                where, f"finite float32 X in {name}", f"{values.dtype}, finite: {np.isfinite(values).all()}"
            )
        if adata.uns.get(KIND) not in KINDS:
            _fail(where, f"mod[{name!r}].uns['kind'] in {KINDS}", repr(adata.uns.get(KIND)))
        if PREPROCESSING not in adata.uns:
            _fail(where, f"mod[{name!r}].uns['preprocessing']", "none")
        if set(adata.obs.get(ROLE, ["missing"])) - {TRAIN, TEST}:
            _fail(where, f"mod[{name!r}].obs['role'] of train / test", str(adata.obs.columns.tolist()))


def check_embedding(mdata, like, key: str, where: str = "embedding.h5mu") -> None:
    """Each modality holds finite float32 ``obsm[key]`` of one width, for the cells of ``like``, in order."""
    widths = set()
    for name in check_two_modalities(like, where):
        latent = mdata.mod[name].obsm.get(key)
        if latent is None:
            _fail(where, f"mod[{name!r}].obsm[{key!r}]", str(list(mdata.mod[name].obsm)))
        if list(mdata.mod[name].obs_names) != list(like.mod[name].obs_names):
            _fail(where, f"the cells of prepared.h5mu in {name}, in order", "other cells")
        if latent.dtype != np.float32 or not np.isfinite(latent).all():
            _fail(where, f"finite float32 latent in {name}", f"{latent.dtype}")
        widths.add(latent.shape[1])
    if len(widths) != 1:
        _fail(where, "one latent width for both modalities", str(widths))


def check_estimated(matrix, info: dict, where: str = "estimated_correspondence.npz") -> None:
    """F~ holds values in (0, 1] whose rows sum to 1 at most; its account says how far to trust it."""
    total = np.asarray(matrix.sum(axis=1))
    if matrix.nnz and not (np.isfinite(matrix.data).all() and matrix.data.min() > 0 and total.max() < 1.001):
        _fail(where, "values above 0 whose rows sum to 1 at most", f"rows that sum to {total.max():g}")
    if not 0 <= info.get("confidence", -1) <= 1:
        _fail(where, "a confidence in [0, 1]", repr(info.get("confidence")))
    if not isinstance(info.get("trusted"), bool) or not info.get("reason"):
        _fail(where, "`trusted` and a `reason`", ", ".join(info))


def check_metrics(table, where: str = "metrics.tsv") -> None:
    """Columns as in METRIC_COLUMNS; a value exactly where status is ok, a reason where it is not."""
    if tuple(table.columns) != METRIC_COLUMNS:
        _fail(where, f"columns {METRIC_COLUMNS}", str(tuple(table.columns)))
    ok = table["status"] == OK
    if not set(table["status"]) <= {OK, NOT_APPLICABLE, EXCLUDED, FAILED}:
        _fail(where, "status ok / not_applicable / excluded / failed", str(set(table["status"])))
    if not np.isfinite(table.loc[ok, "value"].astype(float)).all():
        _fail(where, "a finite value in every row with status ok", "NaN")
    if (table.loc[~ok, "reason"].fillna("") == "").any():
        _fail(where, "a reason in every row whose status is not ok", "an empty reason")
