"""One function a file format: config entry and local files (role -> path) to modality -> AnnData, unchanged.

Every function raises InputError for a file that cannot be read and for a part of it that is missing.
"""

from __future__ import annotations

import gzip
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.io import mmread

from jamie import contract as c
from jamie.data import checks, counts
from jamie.errors import InputError

FEATURE_TYPES = {c.RNA: "Gene Expression", c.ATAC: "Peaks", c.PROTEIN: "Antibody Capture"}
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": r"\s+"}


def pick(contents: Mapping, modality: str, source: str, what: str):
    """``contents[source]``, the part of a file that the config names for a modality."""
    if source not in contents:
        raise InputError(
            f"The file has no {what} {source}",
            expected=f"{what} {source} for modality {modality}",
            found=", ".join(map(str, contents)) or "none",
            change=f"`modalities.{modality}.source` of the dataset",
        )
    return contents[source]


def find_layer(name: str, layer: str | None, *, x: bool, layers: Collection[str], raw: bool) -> str:
    """Where the values of modality ``name`` are in an AnnData: "X", "layers/NAME" or "raw/X".

    Layer "raw" is ``adata.raw`` unless one of the ``layers`` has that name; ``x`` and ``raw``: whether there
    is such a thing. In memory as in a file.
    """
    if layer is None and x:
        return "X"
    if layer in layers:
        return f"layers/{layer}"
    if layer == "raw" and raw:
        return "raw/X"
    raise InputError(
        f"{name} has no values in layer {layer}" if layer else f"{name} has no X",
        expected="a layer of the file",
        found=", ".join([*(["null (X)"] if x else []), *layers, *(["raw"] if raw else [])]) or "none",
        change=f"`modalities.{name}.layer` of the dataset",
    )


def _read_part(group, name: str, spec: dict):
    """AnnData of what is used of one in a file (an HDF5 group): ``obs``, ``var``, and one layer or ``X``.

    Layers and raw besides X where that should hold counts and does not: these may be there.
    """
    import anndata
    from anndata.io import read_elem

    layer, x = spec["layer"], "X" in group and group["X"].attrs.get("encoding-type") != "null"
    counted = layer is None and counts.is_counts_kind(spec["kind"], spec["values"])
    parts = {}
    if x or not counted:
        place = find_layer(name, layer, x=x, layers=list(group.get("layers", ())), raw="raw" in group)
        values = read_elem(group[place])
        if place == "X":
            parts = {"X": values}
        elif place == "raw/X":
            parts = {"raw": {"X": values, "var": read_elem(group["raw/var"])}}
        else:
            parts = {"layers": {layer: values}}
    if counted and not counts.are_counts(parts.get("X")):
        parts |= counts.read_beside(group)
    return anndata.AnnData(obs=read_elem(group["obs"]), var=read_elem(group["var"]), **parts)


def read_h5mu(dataset: dict, files: dict[str, Path]) -> dict:
    """One .h5mu under ``data``; a label only in the joint ``obs`` is handed to the modality.

    Nothing else is read: no modality or layer that is not used.
    """
    import h5py
    from anndata.io import read_elem

    path = files["data"]
    contents = {}
    with checks.readable(path, "a complete MuData file (.h5mu)"), h5py.File(path) as f:
        stored = f["mod"]
        order = stored.attrs.get("mod-order", ())
        there = {m: stored[m] for m in (order if set(order) == set(stored) else stored)}
        for name, spec in dataset["modalities"].items():
            source = spec["source"] or name
            adata = _read_part(pick(there, name, source, "modality"), name, spec)
            checks.check_unique(adata.obs_names, source, "cell", f"the file {path}")
            labels = [dataset[key] for key in ("cell_type", "batch") if dataset.get(key)]
            wanted = [column for column in labels if column not in adata.obs]
            joint = read_elem(f["obs"]) if wanted and "obs" in f else pd.DataFrame()
            for column in wanted:
                if column in joint and joint.index.is_unique:
                    adata.obs[column] = joint[column].reindex(adata.obs_names)
            contents[name] = adata
    return contents


def read_h5ad(dataset: dict, files: dict[str, Path]) -> dict:
    """One .h5ad under each modality's name; no layer is read that is not used."""
    import anndata
    import h5py

    contents = {}
    for name, spec in dataset["modalities"].items():
        with checks.readable(files[name], "an AnnData file (.h5ad)"), h5py.File(files[name]) as f:
            # as anndata wrote it before 0.7, which it knows how to read as a whole only
            whole = isinstance(f["obs"], h5py.Dataset)
            contents[name] = anndata.read_h5ad(files[name]) if whole else _read_part(f, name, spec)
    return contents


def _split_by_feature_type(adata, dataset: dict) -> dict:
    types = adata.var.groupby("feature_types", observed=True).indices
    contents = {}
    for name, spec in dataset["modalities"].items():
        source = spec["source"] or FEATURE_TYPES.get(spec["kind"], name)
        with warnings.catch_warnings():  # features are named by symbol, which some genes share
            warnings.simplefilter("ignore", UserWarning)
            contents[name] = adata[:, np.sort(pick(types, name, source, "feature type"))].copy()
            contents[name].var_names_make_unique()
    return contents


def read_10x_h5(dataset: dict, files: dict[str, Path]) -> dict:
    """A Cell Ranger (>= 3, or ARC) ``*_feature_bc_matrix.h5`` under ``data``, split by feature type."""
    import h5py
    import scanpy

    path, form = files["data"], "a feature-barcode matrix of Cell Ranger 3 or later (.h5)"
    with checks.readable(path, form), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # repeated symbols: made unique below
        with h5py.File(path) as handle:
            handle["matrix/features/feature_type"]
        adata = scanpy.read_10x_h5(path, gex_only=False)
    return _split_by_feature_type(adata, dataset)


def read_10x_mtx(dataset: dict, files: dict[str, Path]) -> dict:
    """A folder under ``data`` with matrix.mtx, features.tsv, barcodes.tsv, each plain or .gz, any prefix."""
    import anndata

    folder, form = files["data"], "a folder of Cell Ranger 3 or later: matrix.mtx, features.tsv, barcodes.tsv"
    with checks.readable(folder, form), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # repeated symbols, made unique below
        entries = mmread(_one_of(folder, "matrix.mtx"))
        entries.data = entries.data.astype(np.float32)  # counts come as int64, twice the size
        matrix = sparse.csr_matrix(entries.T)
        del entries
        features = pd.read_csv(_one_of(folder, "features.tsv"), sep="\t", header=None, keep_default_na=False)
        barcodes = pd.read_csv(_one_of(folder, "barcodes.tsv"), sep="\t", header=None, dtype=str)
        var = pd.DataFrame(
            {"gene_ids": features[0].to_numpy(), "feature_types": features[2].to_numpy()},
            index=features[1].astype(str).to_numpy(),
        )
        adata = anndata.AnnData(matrix, obs=pd.DataFrame(index=barcodes[0].to_numpy()), var=var)
    return _split_by_feature_type(adata, dataset)


def _one_of(folder: Path, name: str) -> Path:
    found = [path for path in folder.iterdir() if path.name.endswith((name, f"{name}.gz"))]
    if len(found) != 1:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:6])
        raise FileNotFoundError(f"{len(found)} files named *{name} or *{name}.gz; the folder holds {there}")
    return found[0]


def read_table(dataset: dict, files: dict[str, Path]) -> dict:
    """A text table of numbers (`read_frame`) under each modality's name: cells x features."""
    import anndata

    contents = {}
    for name in dataset["modalities"]:
        frame = read_frame(files[name])
        words = [f for f, kind in zip(frame.columns, frame.dtypes, strict=True) if kind.kind not in "iuf"]
        if words:
            raise InputError(
                f"{files[name]} has columns that are not numbers",
                expected="numbers (empty or NA: missing) in every column but the first, the cell names",
                found=f"{len(words)} other columns, the first {', '.join(words[:5])}",
                change=f"`files.{name}` of the dataset; labels belong in a table under `files.labels`",
            )
        obs, var = pd.DataFrame(index=frame.index), pd.DataFrame(index=frame.columns)
        contents[name] = anndata.AnnData(frame.to_numpy(dtype=np.float32), obs=obs, var=var)
    return contents


def separator(path: Path) -> str:
    """Separator of a text table by its extension (.csv, .tsv, .txt, each also .gz)."""
    suffix = Path(path.name.removesuffix(".gz")).suffix.lower()
    if suffix not in SEPARATORS:
        raise InputError(
            f"{path} is not a known kind of text table",
            expected=f"a name ending in {', '.join(SEPARATORS)}, or one of these and .gz",
            found=path.name,
            change="rename the file, or choose another `reader:` for the dataset",
        )
    if suffix != ".txt":
        return SEPARATORS[suffix]
    with (gzip.open if path.suffix == ".gz" else open)(path, "rt") as handle:
        return "\t" if "\t" in handle.readline() else SEPARATORS[suffix]


def read_frame(path: Path) -> pd.DataFrame:
    """A text table with a header; first column = cell names (n cells, p columns).

    Names stay as written ("01" is no number, repeated columns are not renamed). The header may lack a field
    for the first column, as R writes it. ``.txt`` is split at tabs if its header holds one, else at white
    space.
    """
    with checks.readable(path, "a text table with a header, first column = cell names"):
        sep = separator(path)
        header = pd.read_csv(path, sep=sep, header=None, nrows=1, dtype=str, keep_default_na=False)
        frame = pd.read_csv(
            path, sep=sep, header=None, skiprows=1, index_col=0, dtype={0: str}, low_memory=False
        )
    columns = header.iloc[0].tolist()
    if len(columns) == frame.shape[1] + 1:
        columns = columns[1:]
    if len(columns) != frame.shape[1]:
        raise InputError(
            f"{path} has a header that does not fit",
            expected=f"{frame.shape[1] + 1} names, one per column",
            found=f"{len(columns)} names, the first {', '.join(columns[:3])}",
            change="the file",
        )
    frame.columns = pd.Index(columns, dtype=str)
    frame.index = frame.index.astype(str).rename(None)
    return frame


def join_labels(obs: pd.DataFrame, labels: pd.DataFrame, path: Path) -> pd.DataFrame:
    """``obs`` (n_m cells) with the columns of a labels table (cells x columns) that names every cell."""
    repeated = labels.index[labels.index.duplicated()].unique()
    unknown = obs.index.difference(labels.index)
    if len(repeated) or len(unknown):
        problem = (
            (f"repeats {len(repeated)}", repeated) if len(repeated) else (f"lacks {len(unknown)}", unknown)
        )
        raise InputError(
            f"The labels table {path} {problem[0]} cells",
            expected=f"one row for each of {len(obs)} cells, the first {', '.join(obs.index[:2])}",
            found=f"{len(labels)} rows, the first {', '.join(labels.index[:2])}; not once: "
            f"{', '.join(problem[1][:5])}",
            change="`files.labels` of the dataset",
        )
    kept = obs.drop(columns=obs.columns.intersection(labels.columns))
    return kept.join(labels)
