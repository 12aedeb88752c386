"""Mini-batches on the device: what a step indexes by, and that no step waits for the device."""

import numpy as np
import pytest
import torch
from scipy import sparse
from torch.profiler import ProfilerActivity, profile

from jamie.model import feed
from jamie.model.batches import Batch, Batches
from jamie.model.level import IndexedBatch
from jamie.model.losses import weights
from jamie.model.options import Options
from jamie.model.trainer import Trainer

pytestmark = pytest.mark.usefixtures("one_torch_thread")

CPU = torch.device("cpu")
WAITING = ("aten::_local_scalar_dense", "aten::nonzero")  # the host reads a number, or how many there are
N_OWN = (3, 2)
# rows 0-2 and columns 0-1 are the batch's own
F = np.float32([[0.5, 0.7, 0], [0.9, 0, 0], [0, 0, 1], [0, 1, 0]])
F_ESTIMATED = np.float32([[0, 0, 0], [0, 0.2, 0], [0, 0, 0], [0.4, 0, 0]])


def fed(f=F, f_estimated=F_ESTIMATED, n_own=N_OWN, **options):
    rows = tuple(map(np.arange, f.shape))
    (batch,) = feed.Feed(Options.of(**options), CPU)([Batch(rows, n_own, f, f_estimated)])
    return batch


def listed(indices):
    return [part.tolist() for part in indices]


def test_indices_of_a_batch_by_hand():
    batch = fed(estimated_in=["alignment", "aggregation"])
    assert listed(batch.rows) == [[0, 1, 2, 3], [0, 1, 2]] and batch.n_own == N_OWN
    assert listed(batch.with_mass) == [[1], [0, 1]]
    assert listed(batch.pairs) == [[0, 0, 1], [0, 1, 0]]  # own cells only
    assert listed(batch.mutual) == [[0, 1], [1, 0]]
    assert all(part.dtype == torch.int64 for part in (*batch.rows, *batch.with_mass, *batch.pairs))
    np.testing.assert_array_equal(batch.f, F)
    np.testing.assert_array_equal(batch.f_estimated, F_ESTIMATED)


def test_a_cell_that_several_claim_is_a_mutual_partner_once():
    batch = fed(np.float32([[0.5, 0], [0.9, 0]]), None, (2, 2))
    assert listed(batch.mutual) == [[1], [0]]


def test_estimated_partners_are_pairs_where_they_are_meant_to_be():
    pairs = np.nonzero(F + F_ESTIMATED)
    assert listed(fed(estimated_in=["pairs"]).pairs) == [part.tolist() for part in pairs]


def test_without_terms_on_pairs_none_is_looked_for():
    batch = fed(cross_reconstruction=0.0, contrastive=0.0)
    assert listed(batch.pairs) == listed(batch.mutual) == [[], []]
    assert listed(fed(contrastive=0.0).mutual) == [[], []] != listed(fed(contrastive=0.0).pairs)
    assert fed(f_estimated=None).f_estimated is None and listed(fed(f_estimated=None).with_mass) == [[], []]


@pytest.mark.parametrize(("n", "wanted_sizes"), [(100, [3, 3, 3, 1]), (90, [3, 3, 3]), (20, [2])])
def test_groups_hold_every_batch_in_order(monkeypatch, n, wanted_sizes):
    f = sparse.csr_matrix(sparse.eye(n, dtype=np.float32))
    sizes, copied = [], feed.Feed._copied

    def counted(self, group):
        sizes.append(len(group))
        return copied(self, group)

    monkeypatch.setattr(feed.Feed, "_copied", counted)
    monkeypatch.setattr(feed, "GROUP_MB", 3 * 10 * 10 * 4 / 2**20)  # three blocks of 10 x 10
    wanted = [b.rows for b in Batches(f, None, 10, seed=0).epoch()]
    batches = list(feed.Feed(Options(), CPU)(Batches(f, None, 10, seed=0).epoch()))
    assert sizes == wanted_sizes
    for batch, rows in zip(batches, wanted, strict=True):
        assert listed(batch.rows) == [r.tolist() for r in rows]


@pytest.mark.parametrize("f_estimated", [None, F_ESTIMATED])
def test_arrays_that_travel_together_arrive_apart(f_estimated):
    rows = tuple(map(np.arange, F.shape))
    batch = IndexedBatch.of(Batch(rows, N_OWN, F, f_estimated), Options())
    flat = [
        torch.from_numpy(np.concatenate([a.ravel() for a in part()]))
        for part in (batch.indices, batch.blocks)
    ]
    arrived, plain = feed.DeviceBatch.views(*flat, batch.shape), fed(f_estimated=f_estimated)
    for name in ("rows", "with_mass", "pairs", "mutual"):
        assert listed(getattr(arrived, name)) == listed(getattr(plain, name)), name
    assert (arrived.n_own, arrived.shape) == (plain.n_own, plain.shape)
    np.testing.assert_array_equal(arrived.f, F)
    if f_estimated is None:
        assert arrived.f_estimated is None
    else:
        np.testing.assert_array_equal(arrived.f_estimated, f_estimated)
    copy = arrived.clone()
    arrived.indices.zero_()
    arrived.blocks.zero_()
    assert listed(copy.rows) == listed(plain.rows) and not arrived.f.any() and copy.f.equal(plain.f)


def waits(prof) -> list[str]:
    """Events at which the host reads from the device, but for those inside the optimiser's kernel.

    That of the CPU reads its own step counter; that of a GPU does not.
    """
    return [
        e.name for e in prof.events() if e.name in WAITING and not any("_fused_adam" in p for p in above(e))
    ]


def above(event):
    while (event := event.cpu_parent) is not None:
        yield event.name


CASES = {
    "default": {},
    "estimated everywhere": {"estimated_in": ["alignment", "aggregation", "pairs"], "estimated": "always"},
    "paper": {"preset": "paper", "n_components": 5, "estimated_in": ["alignment"]},
}


@pytest.mark.parametrize("case", CASES)
def test_no_step_waits_for_the_device(case):
    """An epoch of steps launches work only; its losses are read at the end, by copies of whole arrays."""
    rng = np.random.default_rng(0)
    x = tuple(rng.normal(size=(60, p)).astype(np.float32) for p in (6, 5))
    pairs = np.arange(40)
    f = sparse.csr_matrix((np.ones(40, np.float32), (pairs, pairs)), shape=(60, 60))
    estimated = sparse.csr_matrix(sparse.eye(60, dtype=np.float32)) if case != "default" else None
    options = Options.of(**({"device": "cpu", "batch_size": 16, "max_epochs": 3} | CASES[case]))
    trainer = Trainer(x, f, options, estimated)
    with profile(activities=[ProfilerActivity.CPU]) as prof:
        losses, _ = trainer.fit_epoch(weights(options, 1.0))
    assert trainer.batches.n_batches >= 3 and "reconstruction" in losses
    assert any("_fused_adam" in e.name for e in prof.events())
    assert waits(prof) == []


def test_waiting_would_be_seen():
    with profile(activities=[ProfilerActivity.CPU]) as prof:
        values = torch.arange(3.0)
        values[values > 0].sum().item()
    assert sorted(waits(prof)) == sorted(WAITING)
