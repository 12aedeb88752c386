"""The completed dataset: the input with a joint embedding, and each cell's missing modality imputed.

In ``completed.h5mu``, beside everything the input holds:

- ``obsm["X_jamie"]`` of each modality: float32 (n_m, d), and of the whole MuData: the mean over the
  modalities a cell was measured in, float32 (n_cells, d);
- ``obsm["X_umap"]`` of the whole: UMAP (n_cells, 2) of that mean; of each modality: UMAP of that modality
  alone, and ``obsm["X_umap_joint"]``: one UMAP of the latents of both modalities side by side, to see how
  they mix;
- ``obs["leiden"]`` of the whole: clusters of the joint space; ``obs["measured_in"]``;
- ``mod["{m}_imputed"]`` for cells that lack modality m: ``X`` on the model's scale, ``layers["native"]`` in
  native units (counts of a median cell, fractions, physical units), and, where the run has held-out
  or hidden pairs, ``var["pearson"]``: how well this feature was imputed for them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie import io
from jamie.linear.neighbours import NeighbourGraph, is_exact

SEED = 0  # of UMAP and Leiden
N_NEIGHBORS = 15


def write_completed(path: str | Path, mdata, pairs, model, scores: pd.DataFrame | None = None) -> None:
    """Complete a dataset and write it; imputed values are made and written in chunks of cells.

    Parameters
    ----------
    mdata
        The dataset as ingested: raw values.
    pairs
        `Correspondence` of its cells: a cell with a partner lacks nothing.
    model
        A fitted `JAMIE`.
    scores
        Feature scores of the model (FEATURE_SCORE_COLUMNS), or None.
    """
    inputs = model.inputs(mdata)
    latent = {name: model.encode(x, name) for name, x in inputs.items()}
    wanted = _lacking(mdata, pairs)
    completed = _with_skeletons(mdata, model, wanted, scores)
    for name, values in latent.items():
        completed.mod[name].obsm["X_jamie"] = values
        completed.mod[name].obsm["X_umap"] = _umap(inputs.pop(name))
    together = _umap(np.concatenate(list(latent.values())))
    starts = np.cumsum([0, *(len(v) for v in latent.values())])
    for name, start in zip(latent, starts, strict=False):
        completed.mod[name].obsm["X_umap_joint"] = together[start : start + len(latent[name])]
    joint, measured_in = _joint(completed, latent)
    completed.obsm["X_jamie"] = joint
    completed.obs["measured_in"] = pd.Categorical(measured_in)
    completed.obsm["X_umap"], completed.obs["leiden"] = _umap_and_clusters(joint)
    with io.atomic(path) as temporary:
        completed.write(str(temporary), compression="lzf")
        for target, (source, cells) in wanted.items():
            impute = _imputer(model, latent[source][cells], target)
            shape = (len(cells), len(model.feature_names(target)))
            if not len(cells):
                continue
            io.append_array(temporary, f"mod/{target}_imputed/X", shape, impute)
            native = _imputer(model, latent[source][cells], target, native=True)
            io.append_array(temporary, f"mod/{target}_imputed/layers/native", shape, native)


def _lacking(mdata, pairs) -> dict[str, tuple[str, np.ndarray]]:
    """For each modality the other one, and rows there of the cells that have no partner."""
    first, second = c.check_two_modalities(mdata)
    f = pairs.align(mdata.mod[first].obs_names, mdata.mod[second].obs_names).matrix
    n_partners = np.diff(f.indptr), np.diff(f.tocsc().indptr)
    return {
        second: (first, np.flatnonzero(n_partners[0] == 0)),
        first: (second, np.flatnonzero(n_partners[1] == 0)),
    }


def _imputer(model, latent: np.ndarray, target: str, native: bool = False):
    """Function of a slice of cells: their imputed values, float32 (n_slice, p_target)."""

    def impute(rows: slice) -> np.ndarray:
        values = model.decode(latent[rows], target)
        return model.to_native(values, target) if native else values

    return impute


def _with_skeletons(mdata, model, wanted: dict, scores):
    """The dataset plus an imputed modality for each that some cells lack, still without values."""
    import anndata
    from scipy import sparse

    mods = {name: io.around(a) for name, a in mdata.mod.items()}
    for target, (source, cells) in wanted.items():
        if not len(cells):
            continue
        names = model.feature_names(target)
        obs = mdata.mod[source].obs.iloc[cells].copy()
        obs["imputed_from"] = source
        imputed = anndata.AnnData(sparse.csr_matrix((len(cells), len(names)), dtype=np.float32), obs=obs)
        imputed.var_names = names
        imputed.uns[c.KIND] = model.states[target]["kind"]
        best = _best_scores(scores, target)
        if best is not None:
            imputed.var["pearson"] = best["pearson"].reindex(names).to_numpy(float)
            imputed.uns["pearson_of"] = f"{best['cells'].iloc[0]} cells of {best['scenario'].iloc[0]}"
        mods[f"{target}_imputed"] = imputed
    completed = io.together(mods)
    _keep_shared(completed, mdata)
    completed.uns["jamie"] = {"scale": "X: prepared; layers['native']: native units", "umap_seed": SEED}
    return completed


def _keep_shared(completed, mdata) -> None:
    """Take over what the input holds beside its modalities: ``obs``, ``obsm`` and ``uns`` of the whole."""
    rows = mdata.obs_names.get_indexer(completed.obs_names)
    completed.uns.update(mdata.uns)
    for name in mdata.obs.columns:
        completed.obs[name] = mdata.obs[name].array[rows]
    for name in sorted(set(mdata.obsm) - set(mdata.mod)):  # MuData keeps there who is in which modality
        completed.obsm[name] = mdata.obsm[name][rows]


def _best_scores(scores, target: str):
    """Per-feature scores of held-out cells, else of hidden pairs; None if there are neither."""
    if scores is None:
        return None
    for cells in (c.TEST, c.HIDDEN):
        part = scores[(scores["modality"] == target) & (scores["cells"] == cells)]
        if len(part):
            return part.set_index("feature")
    return None


def _joint(completed, latent: dict) -> tuple[np.ndarray, np.ndarray]:
    """Mean latent of each cell over the modalities it has, and their names joined by +."""
    cells = pd.Index(completed.obs_names)
    width = next(iter(latent.values())).shape[1]
    total, count = np.zeros((len(cells), width), np.float32), np.zeros(len(cells))
    measured_in = np.full(len(cells), "", dtype=object)
    for name, values in latent.items():
        rows = cells.get_indexer(completed.mod[name].obs_names)
        total[rows] += values
        count[rows] += 1
        measured_in[rows] = np.where(measured_in[rows] == "", name, measured_in[rows] + "+" + name)
    return total / count[:, None].astype(np.float32), measured_in


def _umap(values: np.ndarray) -> np.ndarray:
    return _umap_and_clusters(values, clusters=False)[0]


def _umap_and_clusters(values: np.ndarray, clusters: bool = True):
    import anndata
    import scanpy as sc

    adata = anndata.AnnData(values)
    adata.obsm["X"] = values
    k = min(N_NEIGHBORS, len(values) - 1)
    neighbours = "sklearn" if is_exact(len(values), len(values)) else NeighbourGraph(k)
    sc.pp.neighbors(adata, n_neighbors=k, use_rep="X", random_state=SEED, transformer=neighbours)
    sc.tl.umap(adata, random_state=SEED)
    if not clusters:
        return adata.obsm["X_umap"], None
    sc.tl.leiden(adata, flavor="igraph", n_iterations=2, directed=False, random_state=SEED)
    return adata.obsm["X_umap"], adata.obs["leiden"].to_numpy()


def groups_of(completed) -> tuple[str, dict[str, pd.Series]]:
    """What to colour cells by: cell types where the data have them, else Leiden clusters of the joint space.

    Returns
    -------
    The name of the grouping, and for each measured modality the group of each cell (NaN: no label).
    """
    measured = [m for m in completed.mod if not m.endswith("_imputed")]
    if all(c.CELL_TYPE in completed.mod[m].obs for m in measured):
        return "cell type", {m: completed.mod[m].obs[c.CELL_TYPE].astype("object") for m in measured}
    clusters = completed.obs["leiden"].astype(str)
    return "Leiden cluster", {m: clusters.reindex(completed.mod[m].obs_names) for m in measured}
