"""Mixing latents by F against the dense formula, and mini-batches in which it stays exact."""

import tracemalloc

import numpy as np
import pytest
import torch
from scipy import sparse

from jamie.model.aggregate import aggregate
from jamie.model.batches import Batches
from jamie.model.network import JointVAE
from jamie.model.options import Options
from jamie.model.reference import FewPairs

pytestmark = pytest.mark.usefixtures("one_torch_thread")

KINDS = ("hard", "soft", "mixed", "empty")
SIZES = ((130, 90), (60, 210), (100, 100))


def correspondence(kind, n_1, n_2, seed=7):
    """CSR (n_1, n_2): hard, one-to-one for 60 % of the smaller side; soft, several for half of the rows."""
    rng = np.random.default_rng(seed)
    n = round(0.6 * min(n_1, n_2))
    pairs = (rng.permutation(n_1)[:n], rng.permutation(n_2)[:n])
    hard = sparse.csr_matrix((np.ones(n), pairs), shape=(n_1, n_2))
    rows, cols = np.repeat(rng.permutation(n_1)[: n_1 // 2], 3), rng.integers(0, n_2, 3 * (n_1 // 2))
    soft = sparse.csr_matrix((rng.uniform(0.1, 0.9, len(rows)), (rows, cols)), shape=(n_1, n_2))
    soft.data = np.minimum(soft.data, 1)  # where a pair was drawn twice
    f = {"hard": hard, "soft": soft, "mixed": hard.maximum(soft), "empty": sparse.csr_matrix((n_1, n_2))}[
        kind
    ]
    return sparse.csr_matrix(f, dtype=np.float32)


def latents(n_1, n_2, d=3, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_1, d)), rng.normal(size=(n_2, d))


def dense_mixed(latent_x, latent_y, f, delta):
    """diag(1 + delta F 1)^-1 (L^X + delta F L^Y), and the other way round."""
    f = np.asarray(f.toarray() if sparse.issparse(f) else f, dtype=float)
    mixed_x = np.linalg.inv(np.diag(1 + delta * f.sum(1))) @ (latent_x + delta * f @ latent_y)
    mixed_y = np.linalg.inv(np.diag(1 + f.sum(0) / delta)) @ (latent_y + f.T @ latent_x / delta)
    return mixed_x, mixed_y


def mix(latent_x, latent_y, f, delta):
    f = f.toarray() if sparse.issparse(f) else f
    return [
        m.numpy()
        for m in aggregate(*(torch.as_tensor(v) for v in (latent_x, latent_y, f.astype(float))), delta)
    ]


@pytest.mark.parametrize("delta", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("kind", KINDS)
def test_aggregation_is_the_dense_formula(kind, delta):
    f, (latent_x, latent_y) = correspondence(kind, 20, 14), latents(20, 14)
    mixed = mix(latent_x, latent_y, f, delta)
    for have, want in zip(mixed, dense_mixed(latent_x, latent_y, f, delta), strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-6, atol=1e-9)


def test_aggregation_by_hand():
    """One pair at 0 and 1, delta 3: both sides meet at (0 + 3 * 1) / 4."""
    mixed = mix(np.array([[0.0]]), np.array([[1.0]]), np.array([[1.0]]), 3.0)
    assert [m.item() for m in mixed] == pytest.approx([0.75, 0.75])
    mixed = mix(np.array([[0.0]]), np.array([[1.0]]), np.array([[0.5]]), 2.0)
    assert [m.item() for m in mixed] == pytest.approx([(2 * 0.5) / 2, 1 / (1 + 0.25)])


@pytest.mark.parametrize("kind", KINDS)
def test_a_cell_without_a_partner_keeps_its_latent(kind):
    f, (latent_x, latent_y) = correspondence(kind, 40, 30), latents(40, 30)
    mixed_x, mixed_y = mix(latent_x, latent_y, f, 2.5)
    alone_x, alone_y = np.diff(f.indptr) == 0, np.diff(f.tocsc().indptr) == 0
    assert alone_x.any() and alone_y.any()
    np.testing.assert_array_equal(mixed_x[alone_x], latent_x[alone_x])
    np.testing.assert_array_equal(mixed_y[alone_y], latent_y[alone_y])
    assert kind == "empty" or not np.isclose(mixed_x[~alone_x], latent_x[~alone_x]).any()


@pytest.mark.parametrize("delta", [0.3, 1.0, 4.0])
def test_the_two_sides_of_a_hard_pair_meet(delta):
    f, (latent_x, latent_y) = correspondence("hard", 40, 30), latents(40, 30)
    mixed_x, mixed_y = mix(latent_x, latent_y, f, delta)
    i, j = f.nonzero()
    np.testing.assert_allclose(mixed_x[i], mixed_y[j], rtol=1e-6)
    np.testing.assert_allclose(mixed_x[i], (latent_x[i] + delta * latent_y[j]) / (1 + delta), rtol=1e-6)


def test_delta_starts_even_and_cannot_leave_the_positive_side(small_options):
    model = JointVAE((3, 3), Options.of(**small_options))
    assert model.delta.item() == 1
    with torch.no_grad():
        model.log_delta.fill_(-20.0)
    assert model.delta.item() > 0


def own_rows(batches):
    """Own rows of one epoch, one array per batch, for each modality."""
    epoch = list(batches.epoch())
    return [[b.rows[k][: b.n_own[k]] for b in epoch] for k in (0, 1)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", SIZES)
def test_every_cell_is_an_own_row_once_per_epoch(kind, sizes):
    batches = Batches(correspondence(kind, *sizes), None, 32, seed=0)
    for _ in range(2):
        for n, rows in zip(sizes, own_rows(batches), strict=True):
            np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(n))


@pytest.mark.parametrize("with_estimate", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", SIZES)
def test_aggregation_by_batches_is_that_of_the_whole(kind, sizes, with_estimate):
    """With the identity as encoder: own rows of every batch are exact, and so are drawn partners."""
    f, estimated = correspondence(kind, *sizes), correspondence("soft", *sizes, seed=1)
    latent = latents(*sizes)
    whole = dense_mixed(*latent, f, 1.7)
    for batch in Batches(f, estimated if with_estimate else None, 32, seed=0).epoch():
        mixed = mix(latent[0][batch.rows[0]], latent[1][batch.rows[1]], batch.f, 1.7)
        for have, want, rows, n in zip(mixed, whole, batch.rows, batch.n_own, strict=True):
            np.testing.assert_allclose(have[:n], want[rows[:n]], rtol=1e-5, atol=1e-7)
        assert (batch.f_estimated is not None) == with_estimate
        if with_estimate:
            for have, want, side, f_drawn in zip(
                mixed, whole, (0, 1), (batch.f_estimated.T, batch.f_estimated), strict=True
            ):
                drawn = np.flatnonzero(f_drawn[: batch.n_own[1 - side]].any(0))
                np.testing.assert_allclose(have[drawn], want[batch.rows[side][drawn]], rtol=1e-5, atol=1e-7)


def check_drawn_partners(batch, f, estimated):
    """Own cells without a known partner have drawn one of those F~ offers, if any; others none."""
    dense, block = estimated.toarray(), batch.f_estimated
    known = [np.diff(f.indptr) > 0, np.diff(f.tocsc().indptr) > 0]
    dense[known[0]], dense[:, known[1]] = 0, 0
    assert ((block > 0) <= (dense[np.ix_(*batch.rows)] > 0)).all()
    for values, offers, rows, n in zip(
        (block, block.T), (dense, dense.T), batch.rows, batch.n_own, strict=True
    ):
        own = rows[:n]
        np.testing.assert_array_equal((values[:n] > 0).any(1), (offers[own] > 0).any(1))
        mass = offers[own].sum(1)
        assert (values[:n].max(1) >= mass - 1e-6).all()  # the drawn entry carries the mass of the row


@pytest.mark.parametrize("with_estimate", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_partners_are_always_among_the_rows(kind, with_estimate):
    f = correspondence(kind, 130, 90)
    f_t = f.T.tocsr()
    estimated = correspondence("soft", 130, 90, seed=1) if with_estimate else None
    for batch in Batches(f, estimated, 32, seed=0).epoch():
        own_1, own_2 = (r[:n] for r, n in zip(batch.rows, batch.n_own, strict=True))
        assert set(f[own_1].indices) <= set(batch.rows[1])
        assert set(f_t[own_2].indices) <= set(batch.rows[0])
        if with_estimate:
            check_drawn_partners(batch, f, estimated)
        assert all(len(set(r)) == len(r) for r in batch.rows)
        np.testing.assert_array_equal(batch.f, f.toarray()[np.ix_(*batch.rows)])


def test_the_two_cells_of_a_pair_are_own_rows_of_one_batch():
    f = correspondence("hard", 130, 90)
    together = set()
    for batch in Batches(f, None, 32, seed=0).epoch():
        own = [r[:n] for r, n in zip(batch.rows, batch.n_own, strict=True)]
        i, j = np.nonzero(batch.f[: len(own[0]), : len(own[1])])
        together |= set(zip(own[0][i].tolist(), own[1][j].tolist(), strict=True))
    assert together == set(zip(*(v.tolist() for v in f.nonzero()), strict=True))


def test_a_batch_holds_its_share_of_the_known_pairs():
    """Of 2,048 cells 80 % are paired: about 410 distinct pairs in every batch of 512, as meant."""
    n, n_pairs = 2048, 1638
    rng = np.random.default_rng(7)
    pairs = (rng.permutation(n)[:n_pairs], rng.permutation(n)[:n_pairs])
    f = sparse.csr_matrix((np.ones(n_pairs, np.float32), pairs), shape=(n, n))
    distinct = [
        np.count_nonzero(b.f[: b.n_own[0], : b.n_own[1]]) for b in Batches(f, None, 512, seed=0).epoch()
    ]
    assert len(distinct) == 4 and sum(distinct) == n_pairs
    assert all(abs(k - n_pairs / 4) < 40 for k in distinct), distinct


@pytest.mark.parametrize(("n_1", "n_2"), [(400, 16), (16, 400), (300, 300)])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_no_batch_is_too_small_to_normalise(n_1, n_2, share):
    """BatchNorm and the means of the loss need at least two own cells of each modality."""
    n = round(share * min(n_1, n_2))
    f = sparse.csr_matrix((np.ones(n, np.float32), (np.arange(n), np.arange(n))), shape=(n_1, n_2))
    batches = Batches(f, None, 32, seed=0)
    assert min(min(b.n_own) for _ in range(20) for b in batches.epoch()) >= 2


def test_few_cells_make_one_batch():
    batches = Batches(correspondence("hard", 10, 7), None, 128, seed=0)
    (batch,) = batches.epoch()
    assert batch.n_own == (10, 7) and batches.n_batches == 1


def test_batches_hang_on_the_seed_and_change_between_epochs():
    f = correspondence("mixed", 130, 90)

    def drawn(seed):
        batches = Batches(f, None, 32, seed=seed)
        return [[row.tolist() for row in own_rows(batches)[0]] for _ in range(2)]

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)
    assert drawn(0)[0] != drawn(0)[1]


def test_only_blocks_of_a_batch_are_dense():
    """A dense F of these cells would take 1.6 GB."""
    n, n_partners = 20_000, 3
    rng = np.random.default_rng(7)
    pairs = sparse.csr_matrix((np.ones(n, np.float32), (np.arange(n), rng.permutation(n))), shape=(n, n))
    rows = np.repeat(np.arange(n), n_partners)
    soft = (np.full(len(rows), 0.3, np.float32), (rows, rng.integers(0, n, len(rows))))
    estimated = sparse.csr_matrix(soft, shape=(n, n))
    tracemalloc.start()
    batch = next(Batches(pairs, estimated, 64, seed=0).epoch())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6
    # own cells, the partners F~ has drawn for them, and the partners of these
    assert max(batch.f.shape) <= 64 * 4
    assert batch.f_estimated.shape == batch.f.shape == (len(batch.rows[0]), len(batch.rows[1]))


def test_partners_are_drawn_with_the_probabilities_of_the_estimate():
    """One row with weights 0.1, 0.3 and 0.4, drawn 3,000 times; the other modality's cells draw that row."""
    estimated = sparse.csr_matrix((np.float32([0.1, 0.3, 0.4]), ([4, 4, 4], [1, 5, 6])), shape=(8, 8))
    batches = Batches(sparse.csr_matrix((8, 8), dtype=np.float32), estimated, 8, seed=0)
    counts = np.zeros(8)
    for _ in range(3000):
        (batch,) = batches.epoch()
        counts[batches.estimated.drawn[0][4]] += 1
        assert batches.estimated.drawn[1][[1, 5, 6]].tolist() == [4, 4, 4]
        assert np.count_nonzero(batch.f_estimated) == 3 and batch.f_estimated.max() == pytest.approx(0.8)
    np.testing.assert_allclose(counts[[1, 5, 6]] / 3000, [1 / 8, 3 / 8, 4 / 8], atol=0.04)


def test_the_faulty_sampling_fills_a_batch_with_few_distinct_pairs():
    """As in the reference: a batch meant to hold 410 pairs beside single cells holds 9 to 80."""
    n, n_pairs = 2048, 1638
    pairs = np.arange(n_pairs)
    f = sparse.csr_matrix((np.ones(n_pairs, np.float32), (pairs, pairs)), shape=(n, n))
    for batch in FewPairs(f, None, 512, seed=0).epoch():
        own = batch.rows[0]
        assert 9 <= len(np.unique(own[own < n_pairs])) <= 80
        assert batch.n_own[0] == len(own) == 512
        np.testing.assert_array_equal(batch.f, f.toarray()[np.ix_(*batch.rows)])
    whole = sparse.eye(2048, format="csr", dtype=np.float32)  # fully paired runs do not show it
    for batch in FewPairs(whole, None, 512, seed=0).epoch():
        assert len(np.unique(batch.rows[0])) == 512
