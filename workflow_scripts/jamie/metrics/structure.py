"""Structure of the joint embedding: do cell types separate, do modalities and batches mix?"""

from __future__ import annotations

import numpy as np

from jamie.linear.neighbours import nearest
from jamie.metrics.alignment import MIN_CELLS, TOO_FEW
from jamie.metrics.base import NotApplicable, metric

MAX_CELLS = 20_000
FEWEST_OF_BATCH = 5  # cells of one type, for that type to tell of a batch
WORKING_MB = 256  # distances held at once; scikit-learn's own limit is 1 GB


def _silhouette_values(latent: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Silhouette width per cell (at most MAX_CELLS of them), and these cells' codes.

    ``latent`` is (n, d), ``codes`` (n,) of any type.
    """
    from sklearn import config_context
    from sklearn.metrics import silhouette_samples

    if len(latent) > MAX_CELLS:
        chosen = np.random.default_rng(0).choice(len(latent), MAX_CELLS, replace=False)
        latent, codes = latent[chosen], codes[chosen]
    n_codes = len(np.unique(codes))
    if not 2 <= n_codes < len(codes):
        raise NotApplicable("fewer than two labels" if n_codes < 2 else "no label has two cells")
    with config_context(working_memory=WORKING_MB):
        return silhouette_samples(latent, codes), codes


def _stack(latents) -> np.ndarray:
    if min(len(z) for z in latents) < MIN_CELLS:
        raise NotApplicable(TOO_FEW)
    return np.concatenate([np.asarray(z, dtype=np.float64) for z in latents])


@metric(
    "silhouette",
    needs=("latents", "labels"),
    better="higher",
    perfect=1.0,
    chance=0.0,
    description="Mean silhouette width by cell type, over the cells of both modalities together.",
    per="both",
)
def silhouette(latents, labels) -> float:
    """Mean silhouette width by label, in [-1, 1] (Rousseeuw 1987).

    Above 20,000 cells it is the mean over a random 20,000 of them, chosen with a fixed seed.

    Parameters
    ----------
    latents
        Pair of arrays (n_1, d) and (n_2, d), stacked.
    labels
        Pair of string arrays (n_1,) and (n_2,); "" = not known, such a cell is left out.

    Raises
    ------
    NotApplicable
        Fewer than 3 cells in a modality, fewer than two labels, or no label with two cells.
    """
    return float(_labelled_silhouettes(latents, labels)[0].mean())


def _labelled_silhouettes(latents, labels) -> tuple[np.ndarray, np.ndarray]:
    names = np.concatenate([np.asarray(label).astype(str) for label in labels])
    latent = _stack(latents)
    return _silhouette_values(latent[names != ""], names[names != ""])


def silhouette_by_type(latents, labels):
    """Mean silhouette width of the cells of each label, both modalities together.

    Parameters
    ----------
    latents, labels
        As in :func:`silhouette`, which is the mean of these by numbers of cells.

    Returns
    -------
    DataFrame with ``type``, ``silhouette`` in [-1, 1] (0 for a label of one cell) and ``n_cells`` (of at most
    20,000 cells in all).

    Raises
    ------
    NotApplicable
        As :func:`silhouette`.
    """
    import pandas as pd

    values, names = _labelled_silhouettes(latents, labels)
    by_type = pd.DataFrame({"type": names, "silhouette": values}).groupby("type")["silhouette"]
    return by_type.agg(silhouette="mean", n_cells="size").reset_index()


@metric(
    "modality_mixing",
    needs=("latents",),
    better="higher",
    perfect=1.0,
    chance=None,
    description="Mean of 1 - |silhouette width by modality|: 1 where modalities mix, 0 where they are apart.",
    per="both",
)
def modality_mixing(latents) -> float:
    """Mean over cells of 1 - |silhouette width by modality|, in [0, 1].

    Above 20,000 cells it is the mean over a random 20,000 of them, chosen with a fixed seed.

    Parameters
    ----------
    latents
        Pair of arrays (n_1, d) and (n_2, d).

    Raises
    ------
    NotApplicable
        Fewer than 3 cells in a modality.
    """
    modality = np.repeat([0, 1], [len(z) for z in latents])
    return float((1 - np.abs(_silhouette_values(_stack(latents), modality)[0])).mean())


@metric(
    "batch_mixing",
    needs=("latents", "batches", "types"),
    better="higher",
    perfect=1.0,
    chance=None,
    description="Neighbours of the same cell type from other batches, over what chance gives: 1 if they mix.",
    per="modality",
)
def batch_mixing(latents, batches, types) -> tuple[float, float]:
    """How often near cells of one type come from other batches, over how often by chance, in [0, 1].

    Neighbours are looked for among the cells of the same type and modality, so that batches of another
    composition do not count as apart: 3 to 15 of them, a fifth of the cells at most. Of more than 20,000
    cells a random 20,000 are looked at, chosen with a fixed seed.

    Parameters
    ----------
    latents
        Pair of arrays (n_1, d) and (n_2, d).
    batches, types
        Pairs of string arrays (n_1,) and (n_2,); a cell of type "" is left out.

    Raises
    ------
    NotApplicable
        Fewer than 3 cells in a modality, or no type of it has 5 in each of two batches.
    """
    if min(len(z) for z in latents) < MIN_CELLS:
        raise NotApplicable(TOO_FEW)
    return tuple(_mixing(*side) for side in zip(latents, batches, types, strict=True))


def _mixing(latent: np.ndarray, batches: np.ndarray, types: np.ndarray) -> float:
    if len(latent) > MAX_CELLS:
        chosen = np.random.default_rng(0).choice(len(latent), MAX_CELLS, replace=False)
        latent, batches, types = latent[chosen], batches[chosen], types[chosen]
    found = expected = 0.0
    for name in np.unique(types[types != ""]):
        of_type = np.flatnonzero(types == name)
        _, inverse, counts = np.unique(batches[of_type], return_inverse=True, return_counts=True)
        tells = (counts >= FEWEST_OF_BATCH)[inverse]
        of_type, inverse = of_type[tells], inverse[tells]
        n, of_batch = len(of_type), counts[inverse]
        if len(np.unique(inverse)) < 2:
            continue
        k = int(np.clip(n // 5, 3, 15))
        near = nearest(latent[of_type], latent[of_type], k + 1)[1]
        others = near != np.arange(n)[:, None]
        others[others.all(axis=1), -1] = False  # a cell with equals may not be among its own nearest
        apart = (inverse[near] != inverse[:, None]) & others
        found += apart.sum() / k
        expected += ((n - of_batch) / (n - 1)).sum()
    if not expected:
        raise NotApplicable(f"no cell type has {FEWEST_OF_BATCH} cells in each of two batches")
    return float(min(1.0, found / expected))
