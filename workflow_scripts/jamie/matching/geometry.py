"""The shape of one modality: geodesic distances on neighbour graphs of several sizes, summed up at landmarks.

Geodesics are measured between the cells of a *skeleton* (all cells, or a random part of a large dataset);
every other cell takes the place of the skeleton's cells beside it. So time and memory grow linearly in cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from jamie.linear.neighbours import gaussian_weights, nearest

N_SKELETON = 1000
N_GEODESIC = 20  # coordinates that describe the geodesics
N_CLOSE = 5  # cells of the skeleton that stand for a cell outside it


@dataclass
class Geometry:
    """One modality seen from its landmarks.

    Attributes
    ----------
    features
        float32 (n, d): the model input, and coordinates whose Euclidean distances follow the geodesics.
    cluster
        int (n,): the landmark each cell belongs to.
    mass
        float (L,): share of the cells that belong to a landmark.
    distances
        float (L, L): geodesic distances between landmarks as ranks in (0, 1], the mean over graphs.
    layers
        The same for each graph alone: {name: (L, L)}.
    components
        Sizes of the connected parts of each neighbour graph, before they are bridged: {k: [n, ...]}.
    """

    features: np.ndarray
    cluster: np.ndarray
    mass: np.ndarray
    distances: np.ndarray
    layers: dict[str, np.ndarray]
    components: dict[int, list[int]]

    def means(self, features: np.ndarray) -> np.ndarray:
        """Mean features (L, d) of the cells (n, d) of each landmark."""
        n = len(self.cluster)
        member = sparse.csr_matrix(
            (np.ones(n, np.float32), (self.cluster, np.arange(n))), (len(self.mass), n)
        )
        size = np.maximum(np.asarray(member.sum(axis=1)), 1)
        return (member @ features) / size


def damped(x: np.ndarray) -> np.ndarray:
    """Cells (n, p) drawn towards the mean: lengths become their square roots, in units of the mean length.

    How far a cell lies from the middle depends much on how well it was measured, and on that the two
    modalities do not agree.
    """
    x = x - x.mean(axis=0)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.sqrt(np.maximum(length / length.mean(), 1e-6))


def measure(
    x: np.ndarray, *, neighbours, n_landmarks: int, seed: int, damped_features: bool = False
) -> Geometry:
    """Landmarks of a modality and the geodesics between them.

    Parameters
    ----------
    x
        float (n, p), model input.
    neighbours
        Sizes k of the neighbour graphs, each below the number of cells.
    n_landmarks
        At most this many; half of the cells where there are fewer.
    damped_features
        Whether the features hold the model input damped, as the distances always are.

    Notes
    -----
    For every k two graphs: one with the distances between neighbours as lengths, one with the share of
    neighbours they do not have in common (Jarvis and Patrick 1973), which does not hang on density. Geodesics
    of each graph become ranks, so that none dominates, and are averaged.
    """
    from scipy.sparse.csgraph import dijkstra
    from scipy.stats import rankdata

    rng = np.random.default_rng(seed)
    n = len(x)
    place = damped(np.asarray(x, dtype=np.float32))
    inside = np.sort(rng.permutation(n)[:N_SKELETON])
    skeleton = np.ascontiguousarray(place[inside])
    landmarks = _landmarks(skeleton, min(n_landmarks, max(2, len(inside) // 2)), rng)
    distance, index = nearest(skeleton, skeleton, max(neighbours) + 1)
    total, layers, components = 0.0, {}, {}
    for k in neighbours:
        for kind in ("length", "shared"):
            graph = graph_of(distance[:, : k + 1], index[:, : k + 1], kind)
            graph, components[k] = bridge(graph, skeleton)
            geodesic = dijkstra(graph, directed=False, indices=landmarks).T  # (skeleton, L)
            ranks = (rankdata(geodesic) / geodesic.size).reshape(geodesic.shape).astype(np.float32)
            layers[f"{kind}, k={k}"] = _between(ranks, landmarks)
            total = total + ranks
    ranks = (rankdata(total) / total.size).reshape(total.shape)
    coordinates = _coordinates(ranks).astype(np.float32)
    base = place if damped_features else np.asarray(x, np.float32)
    features = np.hstack([base, _of_all_cells(place, inside, skeleton, coordinates)])
    cluster = nearest(place, skeleton[landmarks], 1)[1][:, 0]
    size = np.bincount(cluster, minlength=len(landmarks))
    return Geometry(
        features=features,
        cluster=cluster,
        mass=np.maximum(size, 0.5) / np.maximum(size, 0.5).sum(),
        distances=_between(ranks, landmarks),
        layers=layers,
        components=components,
    )


def _landmarks(x: np.ndarray, n_landmarks: int, rng) -> np.ndarray:
    """The cells nearest to the centres of k-means (started by k-means++)."""
    from sklearn.cluster import KMeans

    seed = int(rng.integers(2**31))
    means = KMeans(n_landmarks, n_init=1, max_iter=10, random_state=seed).fit(x).cluster_centers_
    return np.unique(nearest(means, x, 1)[1])


def graph_of(distance: np.ndarray, index: np.ndarray, kind: str) -> sparse.csr_matrix:
    """Symmetric neighbour graph (n, n) from each cell's neighbours, itself among them."""
    n, k = index.shape
    rows = np.repeat(np.arange(n), k)
    length = np.asarray(distance, float).ravel()
    if kind == "shared":
        near = sparse.csr_matrix((np.ones(n * k), (rows, index.ravel())), (n, n))
        common = np.asarray((near @ near.T)[rows, index.ravel()]).ravel()
        length = 1 - common / (2 * k - common) + 0.01
    length = np.maximum(length, 1e-6)  # a length of 0 would be no edge
    graph = sparse.csr_matrix((length, (rows, index.ravel())), (n, n))
    graph.setdiag(0)
    graph.eliminate_zeros()
    return graph.maximum(graph.T).tocsr()


def bridge(graph: sparse.csr_matrix, x: np.ndarray) -> tuple[sparse.csr_matrix, list[int]]:
    """Join the parts of a graph by the shortest links between their cells that make it one.

    A bridge is as long as the longest edge of the graph, or longer in proportion to the gap it closes, so
    that parts stay further apart than neighbours are. Returns the graph and the sizes of its parts, largest
    first.
    """
    from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
    from scipy.spatial.distance import cdist

    n_parts, part = connected_components(graph, directed=False)
    sizes = np.sort(np.bincount(part))[::-1].tolist()
    if n_parts == 1:
        return graph, sizes
    gap = np.full((n_parts, n_parts), np.inf)
    ends = np.zeros((n_parts, n_parts, 2), dtype=int)
    members = [np.flatnonzero(part == i) for i in range(n_parts)]
    for i in range(n_parts):
        away = cdist(x[members[i]], x)  # (cells of the part, cells)
        closest = away.argmin(axis=0)
        for j in range(i + 1, n_parts):
            end = members[j][away[closest[members[j]], members[j]].argmin()]
            gap[i, j] = away[closest[end], end]
            ends[i, j] = members[i][closest[end]], end
    tree = minimum_spanning_tree(np.where(np.isfinite(gap), np.maximum(gap, 1e-6), 0)).tocoo()
    a, b = ends[tree.row, tree.col].T
    length = graph.data.max() * np.maximum(1, tree.data / np.median(tree.data))
    links = sparse.csr_matrix((length, (a, b)), graph.shape)
    return graph.maximum(links).maximum(links.T).tocsr(), sizes


def _between(ranks: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """(L, L) of landmarks from (skeleton, L), symmetric, 0 on the diagonal."""
    square = ranks[landmarks].astype(float)
    square = (square + square.T) / 2
    np.fill_diagonal(square, 0)
    return square


def _coordinates(ranks: np.ndarray) -> np.ndarray:
    """Principal coordinates (n, N_GEODESIC) of the distances to landmarks (n, L); the first has sd 1."""
    centred = ranks - ranks.mean(axis=1, keepdims=True)
    centred = centred - centred.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    scores = u[:, :N_GEODESIC] * s[:N_GEODESIC]
    return scores / max(float(scores[:, 0].std()), 1e-12)


def _of_all_cells(x, inside, skeleton, coordinates) -> np.ndarray:
    """Coordinates of all cells: the mean over the nearest cells of the skeleton, near ones count more."""
    if len(inside) == len(x):
        return coordinates
    return np.asarray(gaussian_weights(x, skeleton, N_CLOSE) @ coordinates, dtype=np.float32)
