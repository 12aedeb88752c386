"""How well the two modalities' latents agree: distance to the true partner, and label transfer."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from jamie.metrics.base import NotApplicable, metric

MIN_CELLS = 3
TOO_FEW = f"fewer than {MIN_CELLS} cells"
_BLOCK_ENTRIES = 8_000_000  # distances held at once: 64 MB


def closer_fractions(latents, pairs) -> np.ndarray:
    """Fraction of the other modality's cells that are closer to a cell than its true partner.

    Candidates are the cells of the other modality that occur in ``pairs``, without the partner itself. A
    candidate as far away as the partner counts half, so that an embedding collapsed to one point scores 0.5.
    Distances are Euclidean, computed from differences (through a matrix product they would not be exactly
    zero between equal points), in blocks of cells.

    Parameters
    ----------
    latents
        Pair of arrays (n_1, d) and (n_2, d).
    pairs
        int (k, 2): row in the first, row in the second, of cells that are the same cell.

    Returns
    -------
    float (2, k): for each pair, seen from its cell in the first and from its cell in the second modality.

    Raises
    ------
    NotApplicable
        Fewer than 3 pairs.
    """
    k = len(pairs)
    if k < MIN_CELLS:
        raise NotApplicable(TOO_FEW)
    first = np.asarray(latents[0], dtype=np.float64)[pairs[:, 0]]  # (k, d)
    second = np.asarray(latents[1], dtype=np.float64)[pairs[:, 1]]  # (k, d)
    size = max(1, _BLOCK_ENTRIES // k)
    blocks = [slice(start, min(start + size, k)) for start in range(0, k, size)]
    small = [slice(start, start + 256) for start in range(0, k, 256)]
    to_partner = np.concatenate([cdist(first[s], second[s], "sqeuclidean").diagonal() for s in small])  # (k,)
    closer = np.zeros((2, k))
    for block in blocks:
        distance = cdist(first[block], second, "sqeuclidean")  # (block, k)
        own = np.arange(block.start, block.stop)
        distance[own - block.start, own] = np.inf
        for side, partner in enumerate((to_partner[block, None], to_partner[None, :])):
            count = (distance < partner).sum(axis=1 - side) + 0.5 * (distance == partner).sum(axis=1 - side)
            closer[side, block if side == 0 else slice(None)] += count
    return closer / (k - 1)


@metric(
    "foscttm",
    needs=("latents", "pairs"),
    better="lower",
    perfect=0.0,
    chance=0.5,
    description="Fraction of the other modality's cells closer than the true partner, both directions.",
    per="both",
)
def foscttm(latents, pairs) -> float:
    """Mean of :func:`closer_fractions` over cells and both directions: 0 perfect, 0.5 chance.

    Parameters
    ----------
    latents, pairs
        As in :func:`closer_fractions`.
    """
    return float(closer_fractions(latents, pairs).mean())


@metric(
    "lta",
    needs=("latents", "labels"),
    better="higher",
    perfect=1.0,
    chance=None,
    description="Label transfer accuracy: labels predicted by 5 nearest neighbours in the other modality.",
    per="modality",
)
def label_transfer_accuracy(latents, labels, k: int = 5) -> tuple[float, float]:
    """Accuracy of a k-nearest-neighbour classifier trained on one modality and asked about the other.

    Parameters
    ----------
    latents
        Pair of arrays (n_1, d) and (n_2, d).
    labels
        Pair of string arrays (n_1,) and (n_2,); "" = not known, such a cell is left out.
    k
        Neighbours; all cells where there are fewer.

    Returns
    -------
    Accuracy for the first modality's labels (trained on the second), and for the second's.

    Raises
    ------
    NotApplicable
        Fewer than 3 labelled cells in a modality, or fewer than two labels.
    """
    from sklearn.neighbors import KNeighborsClassifier

    known = [np.asarray(label) != "" for label in labels]
    latents = [np.asarray(z)[keep] for z, keep in zip(latents, known, strict=True)]
    labels = [np.asarray(label)[keep].astype(str) for label, keep in zip(labels, known, strict=True)]
    if min(len(label) for label in labels) < MIN_CELLS:
        raise NotApplicable(f"{TOO_FEW} with a label")
    if len(np.unique(np.concatenate(labels))) < 2:
        raise NotApplicable("fewer than two labels")
    accuracy = []
    for target, source in ((0, 1), (1, 0)):
        model = KNeighborsClassifier(n_neighbors=min(k, len(labels[source])))
        model.fit(latents[source], labels[source])
        accuracy.append(float(model.score(latents[target], labels[target])))
    return accuracy[0], accuracy[1]
