"""Where cells lie: the latent space all cells share, UMAP, and clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie.linear.neighbours import NeighbourGraph, is_exact

SEED = 0  # of UMAP and Leiden
N_NEIGHBORS = 15


def place(completed, inputs: dict[str, np.ndarray], latent: dict[str, np.ndarray]) -> None:
    """Add latents, UMAPs, clusters and ``measured_in`` to a MuData and to its modalities.

    Parameters
    ----------
    completed
        MuData whose modalities ``m`` and ``{m}_completed`` have names only.
    inputs
        Modality -> float32 (n_m, k), what its encoder takes; emptied.
    latent
        Modality -> float32 (n_m, d).
    """
    for name, values in latent.items():
        completed.mod[name].obsm["X_jamie"] = values
        completed.mod[name].obsm["X_umap"] = umap(inputs.pop(name))
    together = umap(np.concatenate(list(latent.values())))
    starts = np.cumsum([0, *(len(v) for v in latent.values())])
    for name, start in zip(latent, starts, strict=False):
        completed.mod[name].obsm["X_umap_joint"] = together[start : start + len(latent[name])]
    joint, measured_in = _joint(completed, latent)
    has = measured_in != ""  # a cell may be in other modalities alone
    completed.obsm["X_jamie"] = joint
    completed.obs["measured_in"] = pd.Categorical(np.where(has, measured_in, None))
    completed.obsm["X_umap"] = np.full((len(joint), 2), np.nan, np.float32)
    clusters = np.full(len(joint), None, dtype=object)
    completed.obsm["X_umap"][has], clusters[has] = umap_and_clusters(joint[has])
    completed.obs["leiden"] = pd.Categorical(clusters, sorted(set(clusters[has]), key=int))
    for name in (n for m in latent for n in (m, c.completed_name(m))):
        adata = completed.mod[name]
        rows = completed.obs_names.get_indexer(adata.obs_names)
        for column in ("measured_in", "leiden"):
            adata.obs[column] = completed.obs[column].array[rows]
        if name not in latent:
            for key in ("X_jamie", "X_umap"):
                adata.obsm[key] = completed.obsm[key][rows]


def _joint(completed, latent: dict) -> tuple[np.ndarray, np.ndarray]:
    """Mean latent of each cell over the modalities it has (NaN: none), and their names joined by +."""
    cells = pd.Index(completed.obs_names)
    width = next(iter(latent.values())).shape[1]
    total, count = np.zeros((len(cells), width), np.float32), np.zeros(len(cells), np.float32)
    measured_in = np.full(len(cells), "", dtype=object)
    for name, values in latent.items():
        rows = cells.get_indexer(completed.mod[name].obs_names)
        total[rows] += values
        count[rows] += 1
        measured_in[rows] = np.where(measured_in[rows] == "", name, measured_in[rows] + "+" + name)
    return np.where(
        count[:, None] > 0, total / np.maximum(count, 1)[:, None], np.float32(np.nan)
    ), measured_in


def umap(values: np.ndarray) -> np.ndarray:
    """UMAP (n, 2) of cells in a space (n, k)."""
    return umap_and_clusters(values, clusters=False)[0]


def umap_and_clusters(values: np.ndarray, clusters: bool = True):
    """UMAP (n, 2), and Leiden clusters (n,) or None, from one graph of neighbours."""
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
    measured = [m for m, adata in completed.mod.items() if "X_umap_joint" in adata.obsm]
    if all(c.CELL_TYPE in completed.mod[m].obs for m in measured):
        return "cell type", {m: completed.mod[m].obs[c.CELL_TYPE].astype("object") for m in measured}
    clusters = completed.obs["leiden"].astype("object")
    return "Leiden cluster", {m: clusters.reindex(completed.mod[m].obs_names) for m in measured}
