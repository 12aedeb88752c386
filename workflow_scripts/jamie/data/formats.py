"""One function a file format: config entry and local files (role -> path) to modality -> AnnData, unchanged.

Every function raises InputError for a file that cannot be read and for a part of it that is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from jamie.data import checks, counts, looks, stores
from jamie.data.cell_ranger import FEATURE_TYPES
from jamie.errors import InputError
from jamie.hdf5 import check_size, read_elem

FORMS = "HDF5, HDF5 and .gz, .zarr, .zarr.zip"


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


def layers_of(group) -> dict:
    """What `find_layer` asks of an AnnData, for one in a store."""
    x = "X" in group and group["X"].attrs.get("encoding-type") != "null"
    return {"x": x, "layers": list(group.get("layers", ())), "raw": "raw" in group}


def _read_part(group, name: str, spec: dict):
    """AnnData of what is used of one in a store (a group): ``obs``, ``var``, and one layer or ``X``.

    Layers and raw besides X where that should hold counts and does not: these may be there.
    """
    import anndata

    if stores.is_old(group):
        check_size(group)
        return anndata.read_h5ad(group.file.filename)
    layer, there = spec["layer"], layers_of(group)
    counted = layer is None and counts.is_counts_kind(spec["kind"], spec["values"])
    parts = {}
    if there["x"] or not counted:
        place = find_layer(name, layer, **there)
        values = read_elem(group, place)
        if place == "X":
            parts = {"X": values}
        elif place == "raw/X":
            parts = {"raw": {"X": values, "var": stores.frame(group["raw"], "var")}}
        else:
            parts = {"layers": {layer: values}}
    if counted and not counts.are_counts(parts.get("X")):
        parts |= counts.read_beside(group)
    return anndata.AnnData(obs=stores.frame(group, "obs"), var=stores.frame(group, "var"), **parts)


def _read_type(group, name: str, spec: dict, source: str, path: Path):
    """The same, of the features of one feature type (``var["feature_types"]``)."""
    whole = _read_part(group, name, spec)
    names = f"the names in {path}: adata.var_names_make_unique()"
    checks.check_unique(whole.var_names, name, "feature", names)
    types = whole.var["feature_types"].astype(str) if "feature_types" in whole.var else pd.Series(dtype=str)
    pick(dict.fromkeys(types.unique()), name, source, "feature type")
    part = whole[:, (types == source).to_numpy()].copy()
    if whole.raw is not None:
        raw = whole.raw.to_adata()
        of_raw = raw.var["feature_types"] if "feature_types" in raw.var else types.reindex(raw.var_names)
        part.raw = raw[:, (of_raw.astype(str) == source).to_numpy()].copy()
    return part


def read_h5mu(dataset: dict, files: dict[str, Path]) -> dict:
    """One MuData under `data`; or an AnnData of both modalities, split by its `var["feature_types"]`.

    A label only in the joint ``obs`` is handed to the modality. Nothing is read that is not used: no other
    modality or layer.
    """
    path, contents = files["data"], {}
    labels = [dataset[key] for key in ("cell_type", "batch") if dataset.get(key)]
    with checks.readable(path, f"a MuData file ({FORMS})", "h5mu"), stores.opened(path) as root:
        what = stores.holds(root)
        for name, spec in dataset["modalities"].items():
            if what == stores.ANNDATA and "feature_types" in root["var"]:
                source = spec["source"] or FEATURE_TYPES.get(spec["kind"], name)
                contents[name] = _read_type(root, name, spec, source, path)
                continue
            if what != stores.MUDATA:
                raise _another(path, what, "h5mu")
            source = spec["source"] or name
            adata = _read_part(pick(modalities_of(root), name, source, "modality"), name, spec)
            checks.check_unique(adata.obs_names, source, "cell", f"the file {path}")
            wanted = [column for column in labels if column not in adata.obs]
            joint = stores.frame(root, "obs") if wanted and "obs" in root else pd.DataFrame()
            for column in wanted:
                if column in joint and joint.index.is_unique:
                    adata.obs[column] = joint[column].reindex(adata.obs_names)
            contents[name] = adata
    return contents


def modalities_of(root) -> dict:
    """Name -> group of each modality of a MuData, in its order."""
    return {name: root["mod"][name] for name in stores.modalities(root)}


def read_h5ad(dataset: dict, files: dict[str, Path]) -> dict:
    """One AnnData under each modality's name.

    With ``source`` only its features of that feature type; a MuData gives the modality of that name. No layer
    is read that is not used.
    """
    contents = {}
    for name, spec in dataset["modalities"].items():
        path, source = files[name], spec["source"]
        with checks.readable(path, f"an AnnData file ({FORMS})", "h5ad"), stores.opened(path) as root:
            what = stores.holds(root)
            if what == stores.MUDATA:
                group = pick(modalities_of(root), name, source or name, "modality")
                contents[name] = _read_part(group, name, spec)
            elif what != stores.ANNDATA:
                raise _another(path, what, "h5ad")
            elif source and not stores.is_old(root):
                contents[name] = _read_type(root, name, spec, source, path)
            else:
                contents[name] = _read_part(root, name, spec)
    return contents


def _another(path: Path, what: str | None, reader: str) -> InputError:
    """The error for a store that holds something else than ``reader`` reads."""
    found, advice = looks.look(path)
    if what == stores.ANNDATA:
        advice = "`reader: h5ad`, with one file per modality under its name in `files:`"
    return InputError(
        f"{path} is not what `reader: {reader}` reads",
        expected={
            "h5mu": 'a MuData, or an AnnData of both modalities with `var["feature_types"]`',
            "h5ad": "an AnnData, or a MuData that has the modality",
        }[reader],
        found=found,
        change=advice or "the file under `files:` of the dataset",
    )


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
