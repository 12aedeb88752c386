"""The input inside a completed dataset: its modalities, what concerns them together, and free names."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie import io
from jamie.data import originals as stored
from jamie.data.frames import original, writable
from jamie.data.originals import Originals
from jamie.data.stores import frame, opened

FEATURE = "feature"  # var: plain name of a feature that is called modality:feature
ADDED = {
    "obs": ("leiden", "measured_in"),
    "obsm": ("X_jamie", "X_umap", "X_umap_joint"),
    "layers": (c.NORMALISED,),
    "uns": ("jamie",),
}
LABELS = (c.CELL_TYPE, c.BATCH)


def assemble(mdata, originals: Originals, skeletons: dict):
    """MuData of the input's modalities, without what `carry_over` adds later, and of others given.

    Parameters
    ----------
    mdata
        The dataset as ingested.
    originals
        Where the rest of the input is stored.
    skeletons
        Name -> AnnData of what is added.
    """
    mods = {name: io.around(adata) for name, adata in mdata.mod.items()}
    for name, (path, location) in originals.modalities.items():
        obs = stored.frames(path, location)[0].reindex(mods[name].obs_names)
        for column in obs:
            if column not in mods[name].obs or not _alike(mods[name].obs[column], obs[column]):
                free = column if column not in mods[name].obs else original(column)
                mods[name].obs[free] = obs[column]
    for adata in mods.values():
        _free_names(adata)
    for name, place in _others(mdata, originals).items():
        mods[name] = _empty(*stored.frames(*place))
    taken: set[str] = set()
    for name, adata in mods.items():
        _make_unique(adata, name, taken)
        taken |= set(adata.var_names)
    completed = io.together(mods | skeletons)
    _keep_shared(completed, mdata if originals.joint is None else _joint_parts(originals))
    return completed


def carry_over(path: Path, mdata, originals: Originals) -> None:
    """Copy into the written file what the input holds and the ingested dataset does not."""
    import h5py

    others = _others(mdata, originals)
    with h5py.File(path, "r+") as f:
        for name, place in (originals.modalities | others).items():
            obs, var = stored.frames(*place)
            renamed = _renamed(f["mod"][name])
            with stored.opened(*place) as source:
                if name in others:
                    cells = features = None
                    own_x = True
                else:
                    cells = stored.places_of(obs.index, mdata.mod[name].obs_names)
                    features = stored.places_of(var.index, mdata.mod[name].var_names)
                    own_x = originals.layers[name] != "X"
                other_features = f"{name}_input" in others
                if own_x and not other_features:
                    stored.take_x(source, f["mod"][name], cells, features)
                stored.carry(source, f["mod"][name], cells, features, renamed, of_cells=other_features)


def _others(mdata, originals: Originals) -> dict:
    """Places of modalities that are not used, or whose ``raw`` is used and has other features."""
    others = dict(originals.others)
    for name, place in originals.modalities.items():
        if originals.layers[name] == "raw/X":
            var = stored.frames(*place)[1]
            if len(mdata.mod[name].var_names.difference(var.index)):
                others[f"{name}_input"] = place
    return others


def _empty(obs: pd.DataFrame, var: pd.DataFrame):
    """AnnData of names and labels alone."""
    import anndata
    from scipy import sparse

    return anndata.AnnData(sparse.csr_matrix((len(obs), len(var)), dtype=np.float32), obs=obs, var=var)


def _free_names(adata) -> None:
    """Move what has a name under which something is added to ``original_...``."""
    for container, names in ADDED.items():
        held = getattr(adata, container)
        for name in names:
            if name in held:
                held[original(name)] = held[name]
                del held[name]


def _make_unique(adata, modality: str, taken: set[str]) -> None:
    """Put the modality in front of feature names that are taken, also in ``raw``, and keep the plain name."""
    shared = adata.var_names.isin(taken)
    if not shared.any():
        return
    plain = adata.var_names.to_numpy(str)
    put(adata.var, FEATURE, plain)
    new = dict(zip(plain[shared], prefixed(modality, plain[shared]), strict=True))
    adata.var_names = [new.get(name, name) for name in plain]
    if adata.raw is not None:
        adata.raw.var.rename(index=new, inplace=True)


def prefixed(modality: str, names) -> list[str]:
    return [f"{modality}:{name}" for name in names]


def _renamed(group) -> dict[str, str]:
    """Plain -> own name of those features of a stored modality that are called modality:feature."""
    from anndata.io import read_elem

    var = read_elem(group["var"])
    if FEATURE not in var:
        return {}
    return {
        plain: own for plain, own in zip(var[FEATURE].astype(str), var.index, strict=True) if plain != own
    }


def put(frame: pd.DataFrame, name: str, values) -> None:
    """Set a column; one of that name with other values stays as ``original_...``."""
    values = pd.Series(values, index=frame.index)
    if name in frame and not _alike(frame[name], values):
        frame[original(name)] = frame[name]
    frame[name] = values


def _alike(first: pd.Series, second: pd.Series) -> bool:
    """Whether two columns say the same, be they text, numbers or categories."""
    one, two = (x.astype(object).where(x.notna(), None).astype(str) for x in (first, second))
    return bool((one.to_numpy() == two.to_numpy()).all())


def _joint_parts(originals: Originals):
    """What an .h5mu says of all modalities together."""
    from anndata.io import read_elem

    with opened(originals.joint) as root:
        parts = {key: writable(frame(root, key), "", key) for key in ("obs", "var") if key in root}
        for key in ("obsm", "varm", "obsp", "uns"):
            parts[key] = {name: read_elem(root[key][name]) for name in root.get(key, ())}
        parts["mod"] = list(root["mod"])
    joint = SimpleNamespace(**parts)
    joint.obs_names, joint.var_names = joint.obs.index, joint.var.index
    return joint


def _keep_shared(completed, joint) -> None:
    """Take over what the input says of its cells as a whole, and add their joint labels."""
    completed.uns.update({_free(name, ADDED["uns"]): value for name, value in joint.uns.items()})
    if joint.obs_names.is_unique:
        rows = joint.obs_names.get_indexer(completed.obs_names)
        for name in joint.obs.columns:
            completed.obs[_free(name, ADDED["obs"])] = _rows_of(joint.obs[name], rows).array
        for name in sorted(set(joint.obsm) - set(joint.mod)):  # MuData keeps there who is in which modality
            completed.obsm[_free(name, ADDED["obsm"])] = _rows_of(joint.obsm[name], rows)
        for name in sorted(set(joint.obsp) - set(joint.mod)):
            completed.obsp[name] = _among(joint.obsp[name], rows)
    if joint.var_names.is_unique:
        rows = joint.var_names.get_indexer(completed.var_names)
        for name in joint.var.columns:
            completed.var[name] = _rows_of(joint.var[name], rows).array
        for name in sorted(set(joint.varm) - set(joint.mod)):
            completed.varm[name] = _rows_of(joint.varm[name], rows)
    for name in LABELS:
        label = pd.Series(None, index=completed.obs_names, dtype=object)
        for adata in completed.mod.values():
            if name in adata.obs:
                label = label.fillna(adata.obs[name].astype(object).reindex(label.index))
        if label.notna().any():
            put(completed.obs, name, label.astype("category"))


def _free(name: str, added) -> str:
    return original(name) if name in added else name


def _rows_of(values, rows: np.ndarray):
    """Rows of a column, table or array; -1: NaN."""
    if isinstance(values, pd.Series | pd.DataFrame):
        return values.reset_index(drop=True).reindex(np.where(rows < 0, len(values), rows))
    values = np.asarray(values)
    if (rows >= 0).all():
        return values[rows]
    taken = values[rows].astype(np.result_type(values.dtype, np.float32))
    taken[rows < 0] = np.nan
    return taken


def _among(graph, rows: np.ndarray):
    """A graph (n, n) between other cells: those of ``rows``, without an edge where they are -1."""
    from scipy import sparse

    place = sparse.csr_matrix(
        (np.ones(int((rows >= 0).sum())), (np.flatnonzero(rows >= 0), rows[rows >= 0])),
        (len(rows), graph.shape[0]),
    )
    return place @ sparse.csr_matrix(graph) @ place.T
