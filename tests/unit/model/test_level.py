"""Mini-batches filled up to few shapes: no term and no gradient sees what they are filled with."""

import numpy as np
import pytest
import torch
from scipy import sparse

from jamie.model.batches import Batches
from jamie.model.feed import Feed
from jamie.model.losses import JointLoss, weights
from jamie.model.network import JointVAE
from jamie.model.options import Options

pytestmark = pytest.mark.usefixtures("one_torch_thread")

CPU = torch.device("cpu")
N, N_PAIRED, WIDTHS = 60, 40, (6, 5)
EVERYWHERE = ["alignment", "aggregation", "pairs"]


def known(n=N, n_paired=N_PAIRED, several=True) -> sparse.csr_matrix:
    """One-to-one pairs, and two cells with a second partner."""
    f = sparse.lil_matrix((n, n), dtype=np.float32)
    f[np.arange(n_paired), np.arange(n_paired)] = 1
    if several:
        f[0, 1], f[2, n - 10] = 0.5, 0.3
    return f.tocsr()


def estimated(n=N, per_row=6) -> sparse.csr_matrix:
    rng = np.random.default_rng(0)
    rows, cols = np.repeat(np.arange(n), per_row), rng.integers(0, n, n * per_row)
    values = np.full(len(rows), 0.5 / per_row, np.float32)
    return sparse.csr_matrix((values, (rows, cols)), shape=(n, n))


def fed(level, f, f_estimated, options, n_epochs=1):
    batches, feed = Batches(f, f_estimated, options.batch_size, seed=0), Feed(options, CPU, level)
    return [batch for _ in range(n_epochs) for batch in feed(batches.epoch())]


@pytest.mark.parametrize("estimated_in", [["alignment"], ["aggregation"], EVERYWHERE])
@pytest.mark.parametrize("f_estimated", [None, estimated()], ids=["F alone", "F and F~"])
@pytest.mark.parametrize("n_paired", [N_PAIRED, 5, 0])
def test_terms_and_gradients_are_those_of_the_mini_batch_as_it_was(estimated_in, f_estimated, n_paired):
    options = Options.of(estimated_in=estimated_in, batch_size=16)
    rng = np.random.default_rng(0)
    x = tuple(torch.as_tensor(rng.normal(size=(N, p)).astype(np.float32)) for p in WIDTHS)
    torch.manual_seed(0)
    model = JointVAE(WIDTHS, options).eval()  # without noise, so that both can be compared
    f, weight = known(n_paired=n_paired, several=n_paired > 0), weights(options, 1.0)
    plain, level = (fed(on, f, f_estimated, options) for on in (False, True))
    filled = 0
    for one, other in zip(plain, level, strict=True):
        found = []
        for batch in (one, other):
            model.zero_grad()
            terms = JointLoss(options)(model, x, batch)
            terms.total(weight).backward()
            gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in model.parameters()]
            found.append((dict(terms.items()), gradients))
        assert found[0][0].keys() == found[1][0].keys() and "reconstruction" in found[0][0]
        for name, value in found[0][0].items():
            assert found[1][0][name].item() == pytest.approx(value.item(), rel=1e-5, abs=1e-7), name
        for before, after in zip(found[0][1], found[1][1], strict=True):
            torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-6)
        filled += other.shape.n_rows[0] - one.shape.n_rows[0]
        assert one.n_own == other.n_own and one.rows[0].equal(other.rows[0][: one.shape.n_rows[0]])
    assert filled > 0
    if n_paired == N_PAIRED:
        assert {"cross_reconstruction", "contrastive"} < found[0][0].keys()
    if f_estimated is not None and "alignment" in estimated_in:
        assert "alignment" in found[0][0] and level[0].shape.n_with_mass[0] > 0


@pytest.mark.parametrize("estimated_in", [["alignment", "aggregation"], EVERYWHERE])
@pytest.mark.parametrize("with_estimate", [False, True])
def test_there_are_few_shapes(with_estimate, estimated_in):
    options = Options.of(estimated_in=estimated_in, batch_size=64)
    f = known(1_000, 300, several=False)
    batches = fed(True, f, estimated(1_000) if with_estimate else None, options, n_epochs=20)
    shapes = [batch.shape for batch in batches]
    assert len(shapes) > 300 and len(set(shapes)) <= 12
    assert len(set(shapes[len(shapes) // 2 :])) <= 4  # sizes settle


def test_decoders_see_many_cells_where_pairs_are_filled_up():
    options = Options.of(batch_size=16, estimated_in=EVERYWHERE)
    for batch in fed(True, known(), estimated(), options):
        rows, cols = (part[-4:] for part in batch.pairs)
        f = batch.f + batch.f_estimated
        zero = f[rows, cols] == 0
        assert len(rows[zero].unique()) == zero.sum()
