"""Nearest cells: exact up to a size, nearly exact beyond it, and a graph that scanpy can read at any size."""

import anndata
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from jamie.linear import neighbours

N, K = 600, 15


@pytest.fixture(scope="module")
def cells():
    """Float32 (600, 12): three clouds, and ten copies of one cell."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 12)) + 5 * rng.integers(3, size=(N, 1))
    x[:10] = x[10]
    return x.astype(np.float32)


def share_found(index: np.ndarray, x, others) -> float:
    """Share of the true neighbours that are among ``index`` (n, k), counted by distance: equals are equal."""
    distance = cdist(x, others)
    reached = np.take_along_axis(distance, index, axis=1)
    return (reached <= np.sort(distance, axis=1)[:, index.shape[1] - 1 : index.shape[1]] + 1e-5).mean()


def test_exact_neighbours_are_those_of_all_distances(cells):
    distance, index = neighbours.nearest(cells[:100], cells, K)
    np.testing.assert_allclose(distance, np.sort(cdist(cells[:100], cells), axis=1)[:, :K], atol=1e-3)
    assert share_found(index, cells[:100], cells) == 1


def test_two_sets_of_a_hundred_thousand_cells_are_still_compared_exactly():
    assert neighbours.is_exact(100_000, 100_000) and not neighbours.is_exact(150_000, 150_000)
    assert neighbours.is_exact(10_000_000, 1_000)


@pytest.mark.slow
def test_beyond_its_limit_the_search_finds_nearly_all_neighbours_each_time(cells, monkeypatch):
    monkeypatch.setattr(neighbours, "EXACT_PAIRS", 0)
    monkeypatch.setattr(neighbours, "_exact", None)  # nothing is left to it
    distance, index = neighbours.nearest(cells, cells, K)
    assert share_found(index, cells, cells) > 0.97
    np.testing.assert_allclose(distance, np.linalg.norm(cells[:, None] - cells[index], axis=2), atol=1e-3)
    np.testing.assert_array_equal(neighbours.nearest(cells, cells, K)[1], index)
    new = cells[:50] + np.float32(0.1)
    assert share_found(neighbours.nearest(new, cells, 5)[1], new, cells) > 0.97


def test_what_the_descent_does_not_find_is_searched_exactly(cells, monkeypatch):
    import pynndescent

    class Forgetful:
        def __init__(self, others, n_neighbors, **_):
            index = np.tile(np.arange(n_neighbors), (len(others), 1))
            index[::2, -1] = -1
            self.neighbor_graph = index, np.zeros(index.shape, np.float32)

    monkeypatch.setattr(pynndescent, "NNDescent", Forgetful)
    monkeypatch.setattr(neighbours, "EXACT_PAIRS", 0)
    distance, index = neighbours.nearest(cells, cells, K)
    assert (index >= 0).all() and (index[1::2] == np.arange(K)).all()
    assert share_found(index[::2], cells[::2], cells) == 1
    np.testing.assert_allclose(distance[::2], np.sort(cdist(cells[::2], cells), axis=1)[:, :K], atol=1e-3)


def test_the_graph_for_scanpy_gives_the_connectivities_of_its_own_exact_search(cells):
    import scanpy

    found = []
    for transformer in ("sklearn", neighbours.NeighbourGraph(K)):
        adata = anndata.AnnData(cells[9:], obsm={"X": cells[9:]})  # without copies, whose order is free
        scanpy.pp.neighbors(adata, n_neighbors=K, use_rep="X", transformer=transformer)
        found.append(adata.obsp["connectivities"].toarray())
    assert (found[0] > 0).sum() > N * K
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)


def test_no_cell_is_its_own_neighbour_in_the_graph(cells):
    graph = neighbours.NeighbourGraph(5).fit_transform(cells)
    assert (np.diff(graph.indptr) == 4).all() and (graph.indices.reshape(N, 4) != np.arange(N)[:, None]).all()
    assert graph[:10].data.max() < 1e-2  # copies are each other's neighbours
