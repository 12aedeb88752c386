"""Matching by linked features: known answers, and evidence that tells true links from wrong ones."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from jamie import contract as c
from jamie.data.linked import FEWEST
from jamie.matching import by_features, evidence
from jamie.matching.assignment import soft_match, told_apart
from jamie.matching.estimate import estimate
from jamie.matching.linked import LinkedFeatures
from jamie.metrics.alignment import foscttm

N, GENES, PROGRAMMES = 400, 120, 6


def counted(rng, programmes, loadings, depth):
    """Poisson counts (n, p) whose log rates follow programmes (n, k) by loadings (k, p)."""
    rate = np.exp(programmes @ loadings)
    rate *= depth[:, None] / rate.sum(axis=1, keepdims=True)
    return sparse.csr_matrix(rng.poisson(rate).astype(np.float32))


def side(counts, names, kind):
    adata = AnnData(counts, var=pd.DataFrame(index=names), layers={c.COUNTS: counts})
    adata.uns[c.KIND] = kind
    return adata


def pair(seed=0, n=N, shared=True, depth=None):
    """RNA and ATAC of the same cells, the second in another order; two peaks a gene; links."""
    rng = np.random.default_rng(seed)
    programmes = rng.standard_normal((n, PROGRAMMES))
    loadings = rng.standard_normal((PROGRAMMES, GENES)) * 0.6
    depths = [np.full(n, 2000.0)] * 2 if depth is None else [depth * 2000, depth * 1000]
    if not shared:
        programmes = programmes * 0
    of_peaks = np.repeat(loadings, 2, axis=1) + 0.2 * rng.standard_normal((PROGRAMMES, 2 * GENES))
    genes, peaks = [f"gene{i}" for i in range(GENES)], [f"peak{i}" for i in range(2 * GENES)]
    order = rng.permutation(n)
    rna = side(counted(rng, programmes, loadings, depths[0]), genes, c.RNA)
    atac = side(counted(rng, programmes, of_peaks, depths[1])[order], peaks, c.ATAC)
    table = pd.DataFrame({"first": np.repeat(genes, 2), "second": peaks, "weight": 1.0})
    truth = np.column_stack([order, np.arange(n)])
    return rna, atac, table, truth


def components(adata, n=30):
    x = adata.X.toarray()
    x = np.log1p(1000 * x / x.sum(axis=1, keepdims=True))
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    return (u[:, :n] * s[:n]).astype(np.float32)


def matched(rna, atac, table, **options):
    linked = LinkedFeatures.of(rna, atac, table)
    return estimate((components(rna), components(atac)), seed=0, linked=linked, **options)


@pytest.fixture(scope="module")
def multiome():
    return pair()


def test_cells_are_matched_by_linked_features_and_trusted(multiome):
    rna, atac, table, truth = multiome
    result = matched(rna, atac, table)
    assert foscttm(result.coordinates, truth) < 0.1
    assert result.info["regime"] == "links" and result.info["n_linked"] == GENES
    assert result.info["trusted"] and result.confidence > 0.9 and result.info["links"]["z"] > 10
    assert "linked features were left out in turn" in result.info["reason"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_shuffled_links_are_not_trusted(multiome, seed):
    rna, atac, table, _ = multiome
    wrong = table.assign(second=np.random.default_rng(seed).permutation(table["second"]))
    result = matched(rna, atac, wrong)
    assert not result.info["trusted"] and result.info["links"]["z"] < 4


def test_depth_is_not_what_matches():
    """Cells that share nothing but how deeply they were sequenced are matched at random, and not trusted."""
    depth = np.exp(np.random.default_rng(5).normal(0, 0.8, N))
    rna, atac, table, truth = pair(shared=False, depth=depth)
    values = LinkedFeatures.of(rna, atac, table).values()
    for x in values:
        assert np.abs(x.mean(axis=1)[np.argsort(depth)].reshape(4, -1).mean(axis=1)).max() < 0.1
    result = matched(rna, atac, table)
    assert not result.info["trusted"]
    assert foscttm(result.coordinates, truth) > 0.4


def test_signs_turn_links_round(multiome):
    """Methylation is high where expression is low: a weight below 0 says so."""
    rna, atac, table, truth = multiome
    logs = np.log1p(atac.X.toarray())
    methylation = AnnData(-(logs - logs.mean(axis=0)).astype(np.float32), var=atac.var)
    methylation.uns[c.KIND] = c.METHYLATION
    scores = {}
    for sign in (-1.0, 1.0):
        linked = LinkedFeatures.of(rna, methylation, table.assign(weight=sign))
        result = estimate((components(rna), components(atac)), seed=0, linked=linked)
        scores[sign] = foscttm(result.coordinates, truth)
    assert scores[-1.0] < 0.15 and scores[1.0] > 0.4


def test_sums_stand_against_one_feature(multiome):
    rna, atac, table, _ = multiome
    linked = LinkedFeatures.of(rna, atac, table)
    assert linked.names == tuple(rna.var_names) and [s.sums.shape[1] for s in linked.sides] == [GENES] * 2
    some = linked.cells(np.array([3, 1]), np.array([0, 5, 2]))
    assert [len(v) for v in some.values()] == [2, 3]
    missing = LinkedFeatures.of(rna[:, :50].copy(), atac, table)
    assert len(missing) == 50


def test_few_links_leave_geometry(multiome):
    rna, atac, table, _ = multiome
    few = table[table["first"].isin(rna.var_names[: FEWEST - 1])]
    result = matched(rna, atac, few)
    assert result.info["regime"] == "geometry" and result.info["n_linked"] == FEWEST - 1
    assert not result.info["trusted"]


def test_pairs_and_links_together_beat_pairs():
    rna, atac, table, truth = pair(depth=np.full(N, 0.1))
    pairs = truth[:12]
    known = sparse.csr_matrix((np.ones(12), (pairs[:, 0], pairs[:, 1])), (N, N))
    both = matched(rna, atac, table, known=known)
    assert both.info["regime"] == "pairs" and both.info["trusted"]
    alone = estimate((components(rna), components(atac)), known, seed=0)
    hidden = truth[12:]
    assert foscttm(both.coordinates, hidden) < foscttm(alone.coordinates, hidden)
    kept = np.asarray(both.matrix[pairs[:, 0], pairs[:, 1]]).ravel()
    assert (kept == 1).all()


def test_order_of_cells_changes_nothing(multiome):
    rna, atac, table, _ = multiome
    order = np.random.default_rng(1).permutation(N)
    one, other = matched(rna, atac, table), matched(rna[order].copy(), atac, table)
    assert one.confidence == other.confidence
    assert abs(one.matrix[order] - other.matrix).max() < 1e-4


def test_cells_of_a_kind_that_the_other_side_lacks_are_matched_less():
    """On a circle: a third of the first side lies where the second has no cell."""
    rng = np.random.default_rng(0)
    angles = [rng.normal(np.repeat([0.0, 1.0, 2.0], 60), 0.1), rng.normal(np.repeat([0.0, 2.0], 60), 0.1)]
    z = [np.column_stack([np.cos(a), np.sin(a)]).astype(np.float32) for a in angles]
    matrix = soft_match(z, 10)
    share = told_apart(matrix, z, z, 10)
    lacking = np.arange(180) // 60 == 1
    assert share[lacking].mean() < 0.1 * share[~lacking].mean()
    assert share[~lacking].mean() > 0.3 and share.max() <= 1


def test_of_many_cells_some_are_drawn(multiome, monkeypatch):
    rna, atac, table, truth = multiome
    monkeypatch.setattr(by_features, "N_REFINED", 150)
    result = matched(rna, atac, table)
    assert result.matrix.shape == (N, N) and (np.asarray(result.matrix.sum(axis=1)) > 0).mean() > 0.9
    assert foscttm(result.coordinates, truth) < 0.15


def test_what_links_chose_once_is_not_chosen_again(multiome, monkeypatch):
    """It hangs on no known pair, so that of F~ without the left-out pairs is that of F~."""
    rna, atac, table, truth = multiome
    order = truth[np.argsort(truth[:, 0])][:60]
    known = sparse.csr_matrix((np.ones(60, np.float32), (order[:, 0], order[:, 1])), (N, N))
    first, fewer = matched(rna, atac, table), matched(rna, atac, table, known=known)
    monkeypatch.setattr(by_features, "_left_out_links", None)
    again = matched(rna, atac, table, known=known, chosen=first.chosen)
    assert again.info == fewer.info and (again.matrix != fewer.matrix).nnz == 0


@pytest.mark.parametrize(("best", "n_cells"), [(30, N), (120, N), (240, N), (240, 600)])
def test_left_out_links_choose_how_many_cells_take_part_in_the_rounds(best, n_cells, monkeypatch):
    rounds, found = [], by_features._left_out_links
    monkeypatch.setattr(
        by_features,
        "_left_out_links",
        lambda drawn: replace(found(drawn), r={30: 0.8, best: 1.0}.get(drawn.reach, 0.5)),
    )
    monkeypatch.setattr(
        by_features, "soft_match", lambda z, k, **more: rounds.append(k) or soft_match(z, k, **more)
    )
    rna, atac, table, _ = pair(n=n_cells)
    result = matched(rna, atac, table)
    tried = best if 2 * best <= n_cells else 30  # of cells, each could be matched with half at most
    assert result.info["reach"] == tried and rounds[-3:] == [tried, tried, 30]
    assert max(np.diff(result.matrix.indptr)) <= 30


def test_evidence_of_links_by_hand():
    table = np.full((4, 4), 0.1)
    np.fill_diagonal(table, 0.5)
    found = evidence.of_links([table, table], seed=0)
    assert found.n == 8 and found.r == pytest.approx(0.5) and found.r_random == pytest.approx(0.1)
    assert evidence.probability([found]) > 0.9 and evidence.probability([]) == 0.5


def test_evidence_of_labels_by_hand():
    labels = np.repeat(list("abcd"), 20)
    same = sparse.identity(80, format="csr")
    right = evidence.of_labels(same, (labels, labels), 0)
    assert (right.n_types, right.kappa) == (4, pytest.approx(1)) and right.p == pytest.approx(1 / 24)
    turned = evidence.of_labels(same, (labels, np.roll(labels, 20)), 0)
    assert turned.kappa < 0 and evidence.probability([turned]) < 0.05
    assert evidence.of_labels(same, (labels, np.char.add(labels, "x")), 0) is None
    assert evidence.of_labels(same, None, 0) is None
    few = np.repeat(list("abc"), [40, 20, 20])
    assert evidence.of_labels(same, (few, few), 0) is None
