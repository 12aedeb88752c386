"""Matrices of Cell Ranger (2 and later, ATAC, ARC) and of programs that write its format."""

from __future__ import annotations

import csv
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie.data import checks, looks, stores
from jamie.data.notices import note
from jamie.data.sparse_files import check_mtx
from jamie.errors import InputError
from jamie.hdf5 import check_size

FEATURE_TYPES = {c.RNA: "Gene Expression", c.ATAC: "Peaks", c.PROTEIN: "Antibody Capture"}
H5_FORM = "a feature-barcode matrix of Cell Ranger (.h5)"
MTX_FORM = "a folder of Cell Ranger: matrix.mtx, features.tsv (or genes.tsv, peaks.bed), barcodes.tsv"
FEATURE_FILES = ("features.tsv", "genes.tsv", "peaks.bed")
COLUMNS = ("gene_ids", "name", "feature_types", "chrom", "start", "end")  # of features.tsv


def read_10x_h5(dataset: dict, files: dict[str, Path]) -> dict:
    """A Cell Ranger (2 and later, ATAC, ARC) `*_feature_bc_matrix.h5`, split by feature type."""
    return _each(dataset, files, _read_h5)


def read_10x_mtx(dataset: dict, files: dict[str, Path]) -> dict:
    """A folder with matrix.mtx, features.tsv (or genes.tsv, peaks.bed), barcodes.tsv, each plain or .gz.

    The names may have a prefix, other files may lie beside them, and the matrix may be either way round.
    """
    return _each(dataset, files, _read_folder)


def _each(dataset: dict, files: dict[str, Path], read) -> dict:
    """Modality -> AnnData, of one matrix under ``data`` or of one under each modality's name."""
    shared = read(files["data"]) if "data" in files else None
    contents = {}
    for name, spec in dataset["modalities"].items():
        types = read(files[name]) if shared is None else shared
        source = spec["source"]
        if source is None and shared is None and len(types) == 1:
            contents[name] = next(iter(types.values()))
            continue
        path = files[name] if shared is None else files["data"]
        contents[name] = _pick(types, name, source or FEATURE_TYPES.get(spec["kind"], name), path)
    return contents


def _pick(types: dict, modality: str, source: str, path: Path):
    if source not in types:
        raise InputError(
            f"The matrix {path} has no feature type {source}",
            expected=f"feature type {source} for modality {modality}",
            found=", ".join(types) or "none",
            change=f"`modalities.{modality}.source` of the dataset",
        )
    return types[source]


def _by_type(mdata) -> dict:
    """Feature type -> AnnData of what mudata made of a whole matrix; Cell Ranger 2 has genes alone."""
    types = {}
    for adata in mdata.mod.values():
        of_type = adata.var["feature_types"].iloc[0] if "feature_types" in adata.var else FEATURE_TYPES[c.RNA]
        with warnings.catch_warnings():  # features are named by symbol, which some genes share
            warnings.simplefilter("ignore", UserWarning)
            adata.var_names_make_unique()
        types[str(of_type)] = adata
    return types


def _read_h5(path: Path) -> dict:
    import muon

    with checks.readable(path, H5_FORM, "10x_h5"):
        gzipped = path.is_file() and stores.first_bytes(path).startswith(stores.GZIP)
        plain = stores.unpacked(path) if gzipped else path
        with stores.opened(plain) as root:
            if stores.holds(root) != stores.CELL_RANGER:
                raise ValueError("neither a group `matrix` nor one of a genome with barcodes")
            for name in root:
                check_size(root[name])
                _check_indices(root[name])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # repeated symbols: made unique below
            try:
                return _by_type(muon.read_10x_h5(plain, extended=False))
            except UnicodeDecodeError:  # it takes names for ASCII, which those of antibodies (TCRγδ) are not
                return _by_type(_read_utf8(plain))


def _read_utf8(path: Path):
    """MuData of a matrix of Cell Ranger 3 or later, with the names and columns that muon gives it.

    Its text is taken from h5py, the one library that decodes it.
    """
    import anndata
    import h5py
    import mudata
    from anndata.io import read_elem
    from scipy import sparse

    with stores.opened(path) as root:
        part = {name: read_elem(root["matrix"][name]) for name in ("data", "indices", "indptr", "shape")}
        barcodes, stored = root["matrix/barcodes"].asstr("utf-8")[()], root["matrix/features"]
        fields = {name: stored[name] for name in stored if len(stored[name]) == len(stored["name"])}
        var = {
            name: field.asstr("utf-8")[()] if h5py.check_string_dtype(field.dtype) else read_elem(field)
            for name, field in fields.items()
        }
    values = part["data"].astype(np.float32), part["indices"], part["indptr"]
    matrix = sparse.csr_matrix(values, shape=tuple(part["shape"][::-1]))
    names = {"id": "gene_ids", "feature_type": "feature_types"}
    var = pd.DataFrame(var, dtype=object).set_index("name").rename(columns=names).rename_axis(None)
    return mudata.MuData(anndata.AnnData(matrix, obs=pd.DataFrame(index=barcodes), var=var))


def _check_indices(group) -> None:
    """Refuse indices that lie outside the matrix: muon takes parts of it, which would read foreign memory."""
    from anndata.io import read_elem
    from scipy import sparse

    indices, indptr, shape = (read_elem(group[name]) for name in ("indices", "indptr", "shape"))
    pattern = np.zeros(len(indices), dtype=bool)
    sparse.csr_matrix((pattern, indices, indptr), shape=tuple(shape[::-1])).check_format(full_check=True)


def _read_folder(path: Path) -> dict:
    """Feature type -> AnnData.

    Names are read here, as text: to `muon.read_10x_mtx` a barcode 01 is the number 1 and a gene called nan
    has no name; nor does it take other names of files, or a matrix of cells x features.
    """
    import anndata
    import mudata

    with checks.readable(path, MTX_FORM, "10x_mtx"):
        if not path.is_dir():
            raise ValueError("not a folder")
        files = _three_files(path)
        features, barcodes = _features(files[FEATURE_FILES]), _columns(files[("barcodes.tsv",)])[0]
        checks.check_unique(pd.Index(barcodes), str(path), "cell", f"{files[('barcodes.tsv',)]}")
        check_mtx(files[("matrix.mtx",)])
        matrix = anndata.io.read_mtx(files[("matrix.mtx",)]).X
        shape = (len(features), len(barcodes))
        if matrix.shape != shape and matrix.shape[::-1] != shape:
            raise ValueError(
                f"the matrix is {matrix.shape[0]} x {matrix.shape[1]}, with {shape[0]} features and "
                f"{shape[1]} barcodes"
            )
        if matrix.shape == shape:
            matrix = matrix.T.tocsr()
        else:
            note(
                "", f"{path.name}: the matrix is cells x features, other than Cell Ranger's, and was read so"
            )
        obs = pd.DataFrame(index=barcodes.to_numpy(dtype=object))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # repeated symbols, made unique by type
            return _by_type(mudata.MuData(anndata.AnnData(matrix, obs=obs, var=features)))


def _columns(path: Path) -> pd.DataFrame:
    """The columns of a .tsv without a header, as text."""
    options = {"dtype": str, "keep_default_na": False, "quoting": csv.QUOTE_NONE}
    return pd.read_csv(path, sep="\t", header=None, **options)


def _features(path: Path) -> pd.DataFrame:
    """``var``: named by symbol, or by place for peaks.bed; ``gene_ids``, ``feature_types``, ``interval``."""
    table = _columns(path)
    if path.name.removesuffix(".gz").endswith("peaks.bed"):
        places = table[0] + ":" + table[1] + "-" + table[2]
        return pd.DataFrame({"feature_types": FEATURE_TYPES[c.ATAC]}, index=places.to_numpy(dtype=object))
    table = table.rename(columns=dict(enumerate(COLUMNS)))
    names = table["name"] if "name" in table else table["gene_ids"]
    var = table[["gene_ids"]].assign(feature_types=table.get("feature_types", FEATURE_TYPES[c.RNA]))
    if {"chrom", "start", "end"} <= set(table):  # as muon calls what Cell Ranger ARC says of each feature
        placed = table["chrom"] + ":" + table["start"] + "-" + table["end"]
        var["interval"] = placed.where(table["chrom"] != "", "NA")
    return var.set_axis(names.to_numpy(dtype=object))


def _three_files(folder: Path) -> dict[tuple[str, ...], Path]:
    """The matrix, its features and its barcodes; other files do not matter."""
    inside = _with_matrix(folder)
    there = sorted(item for item in inside.iterdir() if item.is_file() and not item.name.startswith("."))
    found = {}
    for names in (("matrix.mtx",), FEATURE_FILES, ("barcodes.tsv",)):
        for name in names:
            fit = [item for item in there if item.name.endswith((name, f"{name}.gz"))]
            if fit:
                break
        if len({item.name.removesuffix(".gz") for item in fit}) != 1:
            raise InputError(
                f"The folder {inside} is not that of one matrix",
                expected=f"one file {' or '.join(names)} (or .gz), with any prefix",
                found=f"{', '.join(item.name for item in fit) or 'none'}; {looks.look(inside)[0]}",
                change="a folder with the three files of one matrix",
            )
        if len(fit) > 1:
            note("", f"{inside.name}: of {' and '.join(item.name for item in fit)} the second was read")
        found[names] = fit[-1]
    return found


def _with_matrix(folder: Path) -> Path:
    """The folder that holds the matrix: this one, or the one inside it (filtered, where raw is there too)."""
    matrices = [*folder.glob("*matrix.mtx"), *folder.glob("*matrix.mtx.gz")]
    if matrices:
        return folder
    inside = {path.parent for path in folder.rglob("*matrix.mtx*") if not path.name.startswith(".")}
    filtered = [path for path in inside if "raw" not in str(path.relative_to(folder))]
    if len(filtered) == 1:
        note("", f"{folder.name}: the matrix was read from {filtered[0].relative_to(folder)} in it")
        return filtered[0]
    return folder
