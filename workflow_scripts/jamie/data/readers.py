"""Reading a dataset: its reader (one function a format), then one form for all of them; and its pairs."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from jamie import contract as c
from jamie.data import (
    cell_ranger,
    checks,
    correspondence,
    counts,
    formats,
    frames,
    missing,
    notices,
    places,
    tables,
)
from jamie.data.correspondence import Correspondence
from jamie.data.names import check_names
from jamie.data.readers_r import read_patchseq_rda
from jamie.data.sparse_files import read_mtx, read_npz
from jamie.errors import InputError
from jamie.io import together

log = logging.getLogger(__name__)

RESERVED_OBS = (c.CELL_TYPE, c.BATCH, c.ROLE)


def read(dataset: dict, files: dict[str, Path]):
    """Read a dataset with its ``reader`` and bring it into the one form.

    Parameters
    ----------
    dataset
        Config entry, checked against the schema.
    files
        Role -> local path, from `jamie.data.sources.fetch_all`. A table under ``labels`` (first column: cell
        names) joins the ``obs`` of both modalities.

    Returns
    -------
    MuData
        As `harmonise`.

    Raises
    ------
    InputError
        Unknown reader, a role missing, a file that cannot be read, a modality, layer or column not in it, a
        name with control characters.
    """
    if dataset["reader"] not in READERS:
        raise InputError(
            "There is no such reader",
            expected=", ".join(READERS),
            found=str(dataset["reader"]),
            change="`reader:` of the dataset",
        )
    reader, roles = READERS[dataset["reader"]]
    needed = set(roles or dataset["modalities"])
    if reader in ALSO_EACH and "data" not in files:
        needed = set(dataset["modalities"])
    if not needed <= set(files) <= needed | {"labels", "correspondence"}:
        raise InputError(
            f"The files do not fit the reader {dataset['reader']}",
            expected=", ".join(sorted(needed)) + ("" if "labels" in needed else " (and, if wanted, labels)"),
            found=", ".join(sorted(set(files) - {"correspondence"})) or "none",
            change="the names under `files:` of the dataset",
        )
    paths = {role: Path(path) for role, path in files.items()}
    contents = reader(dataset, paths)
    for name, adata in contents.items():
        place = paths.get(name, paths.get("data", paths.get("expression")))
        checks.check_unique(adata.obs_names, name, "cell", f"the cell names in {place}")
    if "labels" in set(paths) - needed:
        needed = {key: dataset.get(key) for key in (c.CELL_TYPE, c.BATCH)}
        labels = frames.once(tables.read_frame(paths["labels"]), needed, paths["labels"])
        for adata in contents.values():
            adata.obs = formats.join_labels(adata.obs, labels, paths["labels"])
    mdata = harmonise(contents, dataset)
    check_names(mdata, dataset, paths)
    return mdata


def harmonise(contents: dict, dataset: dict):
    """Bring what a reader returned into the form the rest works on.

    Parameters
    ----------
    contents
        Modality -> AnnData (n_m cells, p_m features).
    dataset
        Config entry: ``modalities`` (two, ordered), ``cell_type``, ``batch``.

    Returns
    -------
    MuData
        Exactly the configured modalities, in order. ``X``: raw values, float32; CSR for rna, atac, protein
        (dense if normalised and dense in the file); dense for continuous and methylation, where NaN = not
        measured. ``uns``: ``kind`` and ``values``. ``obs``: as in the file, with the configured columns
        renamed to ``cell_type`` and ``batch`` (categories, NaN kept); a column that had one of these names
        by itself becomes ``original_<name>``. ``var``: as in the file; for atac also ``chrom``, ``start``,
        ``end`` in bp, 0-based half-open, where they can be had. Cells of equal name are the same cell.

    Raises
    ------
    InputError
        A layer or column that is not there; counts given as kind continuous.
    """

    _check_columns({name: contents[name] for name in dataset["modalities"]}, dataset)
    modalities = {
        name: _harmonise_one(contents[name], name, spec, dataset)
        for name, spec in dataset["modalities"].items()
    }
    with warnings.catch_warnings():  # repeated names are an error of check_dataset, with a clear message
        warnings.simplefilter("ignore", UserWarning)
        return together(modalities)


def _harmonise_one(adata, name: str, spec: dict, dataset: dict):
    import anndata

    kind = spec["kind"]
    adata = adata.to_memory() if adata.isbacked else adata
    for matrix in (adata.X, *adata.layers.values(), adata.raw and adata.raw.X):
        if matrix is not None:
            checks.check_matrix(matrix, name)
    matrix, var, place = _layer(adata, name, spec)
    matrix = _values(matrix, name, spec)
    var = frames.writable(_with_peaks(var, name) if kind == c.ATAC else var, name, "var")
    result = anndata.AnnData(matrix, obs=_harmonise_obs(adata.obs, name, dataset), var=var)
    result.uns[c.KIND] = kind
    result.uns[checks.VALUES] = spec["values"]
    if spec["layer"] is None and place != "X":
        result.uns[counts.PLACE] = place
    return result


def _values(matrix, name: str, spec: dict):
    """Values as `harmonise` hands them on: counts as whole numbers, what was not measured as NaN."""
    kind, counted, given = spec["kind"], spec["values"] == c.COUNTS, spec.get("missing")
    if kind in checks.NAN_ALLOWED:
        if sparse.issparse(matrix) and kind == c.CONTINUOUS:
            checks.check_not_counts(matrix, name, f"modalities.{name}")
        return missing.dense(matrix, name, kind, given)
    if given:
        raise InputError(
            f"{name} cannot lack values",
            expected=f"`missing` with kind {' or '.join(checks.NAN_ALLOWED)}",
            found=f"missing: {given} with kind {kind}",
            change=f"`modalities.{name}.missing`: leave it out",
        )
    if sparse.issparse(matrix) or counted:
        matrix = sparse.csr_matrix(matrix, dtype=np.float32)
        if not matrix.data.all():
            matrix = matrix.copy()
            matrix.eliminate_zeros()
    matrix = matrix if sparse.issparse(matrix) else np.asarray(matrix, dtype=np.float32)
    if counted:
        return counts.rounded(matrix, name)
    missing.check_normalised(matrix, name)
    return matrix


def _layer(adata, name: str, spec: dict) -> tuple:
    """Values (n_m, p_m), their ``var``, and where they are; layer "raw" is ``adata.raw`` unless a layer is.

    Where the config names no layer, counts are looked for outside X too (`jamie.data.counts.find`).
    """
    layer = spec["layer"]
    layers = [name for name in adata.layers if name]  # anndata 0.13 lists X as layer None
    there = {"x": adata.X is not None, "layers": layers, "raw": adata.raw is not None}
    place = "X"
    if layer is None and counts.is_counts_kind(spec["kind"], spec["values"]):
        place = counts.find(adata, name)
    if place == "X":
        place = formats.find_layer(name, layer, **there)
    if place == "raw/X":
        return adata.raw.X, adata.raw.var, place
    values = adata.X if place == "X" else adata.layers[place.removeprefix("layers/")]
    return values, adata.var, place


def _check_columns(contents: dict, dataset: dict) -> None:
    """At least one modality has each configured column: paired cells lend it to the other (`labels.lend`)."""
    for key in (c.CELL_TYPE, c.BATCH):
        column = dataset.get(key)
        if not column or any(column in adata.obs for adata in contents.values()):
            continue
        found = [
            f"{name}: {', '.join(map(str, adata.obs.columns)) or 'none'}" for name, adata in contents.items()
        ]
        raise InputError(
            f"No modality has a column {column}",
            expected=f"obs column {column}, with the {key} of each cell",
            found="; ".join(found),
            change=f"`{key}:` of the dataset (null if there is none), or a table under `files.labels`",
        )


def _harmonise_obs(obs: pd.DataFrame, name: str, dataset: dict) -> pd.DataFrame:
    wanted = {key: dataset.get(key) for key in (c.CELL_TYPE, c.BATCH) if dataset.get(key) in obs}
    chosen = {key: obs[column] for key, column in wanted.items()}
    # a column that is called cell_type but is not the configured one must not be taken for it
    result = obs.drop(columns=[*wanted.values()]).rename(
        columns={key: f"original_{key}" for key in RESERVED_OBS}
    )
    for key, values in reversed(chosen.items()):
        result.insert(0, key, places.words(values).astype("category"))
    result = frames.writable(result, name, "obs")
    result.index = result.index.astype(str)
    return result


def _with_peaks(var: pd.DataFrame, name: str) -> pd.DataFrame:
    """``var`` with the place of each peak (`jamie.data.places`); as it is where none has one."""
    found = places.place(var, var.index)
    placed = places.is_placed(found)
    if not placed.all():
        some = "peaks without coordinates that can be read are left out of links"
        notices.note(
            name, some if placed.any() else "no peak has coordinates that can be read", var.index[~placed]
        )
    return var.assign(**found) if placed.any() else var


def pairs_of(dataset: dict, mdata, files: dict[str, Path]) -> Correspondence:
    """All pairs a dataset knows: from its ``correspondence`` file, else from equal cell names.

    ``mdata`` holds the cells as read: call this before `jamie.data.checks.drop_empty` (a file without names
    is in the order of the cells), and ``align`` the result with the cells that were kept.
    """
    if not dataset.get("correspondence"):
        return correspondence.from_names(mdata)
    first, second = mdata.mod.values()
    return read_correspondence(files["correspondence"], first.obs_names, second.obs_names)


def read_correspondence(path: Path, row_names, col_names) -> Correspondence:
    """Read which cell of the first modality is which of the second.

    Parameters
    ----------
    path
        ``.npz`` saved by `Correspondence.save` (names inside), or by scipy, or ``.mtx``, ``.mtx.gz``:
        (n_1, n_2) in the order of the cells. Or a table ``.tsv``, ``.csv``, ``.txt`` (or .gz): cell of
        modality 1, cell of modality 2, confidence (optional, default 1); a first row that names no cell is
        taken as the header. Where the other order of the columns names more cells, that is used, and said.
    row_names, col_names
        Cell names of the two modalities, as read.

    Returns
    -------
    Correspondence
        (n_1, n_2) for exactly these cells; a cell that the file does not name has no partner.

    Raises
    ------
    InputError
        Unknown cells, a pair named twice, values outside [0, 1], another shape, a file that cannot be read.
    """
    path, names = Path(path), [np.asarray(n, dtype=str) for n in (row_names, col_names)]
    with checks.readable(path, "a correspondence: .npz, .mtx, .tsv or .csv"):
        *cells, values = _entries(path, names)
    for side, known in enumerate(names):
        if cells[side].dtype.kind not in "iu":
            given, cells[side] = cells[side], pd.Index(known).get_indexer(cells[side])
            unknown = pd.unique(given[cells[side] < 0])
            if len(unknown):
                problem = f"names cells that are not in the {('first', 'second')[side]} modality"
                raise _bad_pairs(path, problem, f"names such as {', '.join(known[:2])}", unknown)
    outside = np.flatnonzero(~((values >= 0) & (values <= 1)))
    repeated = np.flatnonzero(pd.DataFrame({"row": cells[0], "col": cells[1]}).duplicated())
    for bad, problem, expected in (
        (outside, "holds values outside [0, 1]", "0 = another cell, 1 = the same cell, between = confidence"),
        (repeated, "names a pair more than once", "each pair once"),
    ):
        if len(bad):
            first = [f"{names[0][cells[0][k]]} / {names[1][cells[1][k]]} = {values[k]:g}" for k in bad[:3]]
            raise _bad_pairs(path, problem, expected, first + [""] * (len(bad) - len(first)))
    shape = (len(names[0]), len(names[1]))
    return Correspondence(sparse.csr_matrix((values, tuple(cells)), shape=shape), *names)


def _entries(path: Path, names: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells of modality 1, cells of modality 2 (names, or positions if int), and values, one per entry."""
    suffixes = path.name.removesuffix(".gz")
    if suffixes.endswith((".npz", ".mtx")):
        matrix, own = read_npz(path) if path.suffix == ".npz" else (read_mtx(path), {})
        if own:
            cells = own["row_names"][matrix.row], own["col_names"][matrix.col]
            order = -1 if _exchanged(*cells, names, path) else 1
            return *cells[::order], matrix.data
        shape = tuple(len(n) for n in names)
        if matrix.shape != shape:
            raise InputError(
                f"{path} has the wrong shape",
                expected=f"{shape[0]} x {shape[1]}: cells of the first x cells of the second modality",
                found=f"{matrix.shape[0]} x {matrix.shape[1]}",
                change="the file under `correspondence:` of the dataset",
            )
        return matrix.row, matrix.col, matrix.data
    form = tables.dialect(path)  # its header may be the first pair
    skip = {"skiprows": form.skip - 1, "encoding": form.encoding, "compression": form.compression}
    table = pd.read_csv(path, sep=form.sep, header=None, dtype=str, keep_default_na=False, **skip)
    if table.shape[1] not in (2, 3):
        found = [f"{table.shape[1]} columns"]
        raise _bad_pairs(path, "has another number of columns", "cell, cell, and maybe a confidence", found)
    if _exchanged(table[0].to_numpy(dtype=str), table[1].to_numpy(dtype=str), names, path):
        table = table[[1, 0, *table.columns[2:]]].set_axis(table.columns, axis=1)
    if not (np.isin(table.iloc[0, 0], names[0]) or np.isin(table.iloc[0, 1], names[1])):
        table = table.iloc[1:]
    values = table[2].to_numpy(dtype=str).astype(float) if table.shape[1] == 3 else np.ones(len(table))
    return table[0].to_numpy(dtype=str), table[1].to_numpy(dtype=str), values


def _exchanged(first: np.ndarray, second: np.ndarray, names: list[np.ndarray], path: Path) -> bool:
    """Whether more names of two columns are cells the other way round; says so."""
    fits, swapped = (
        sum(int(np.isin(column, side).sum()) for column, side in zip(order, names, strict=True))
        for order in ((first, second), (second, first))
    )
    if swapped <= fits:
        return False
    notices.note("", f"{path.name} names cells of the second modality first: its columns were exchanged")
    return True


def _bad_pairs(path: Path, problem: str, expected: str, found) -> InputError:
    return InputError(
        f"{path} {problem}",
        expected=expected,
        found=f"{len(found)}: {', '.join(found[:3])}",
        change="the file under `correspondence:` of the dataset",
    )


READERS = {
    "h5mu": (formats.read_h5mu, ("data",)),
    "h5ad": (formats.read_h5ad, ()),
    "10x_h5": (cell_ranger.read_10x_h5, ("data",)),
    "10x_mtx": (cell_ranger.read_10x_mtx, ("data",)),
    "table": (tables.read_table, ()),
    "patchseq_rda": (read_patchseq_rda, ("expression", "ephys", "labels")),
}  # reader -> function, roles it needs (empty: one file per modality)
ALSO_EACH = (cell_ranger.read_10x_h5, cell_ranger.read_10x_mtx)  # or one per modality, in place of `data`
