"""Work in blocks of cells gives what work on the whole gives."""

import numpy as np
import pytest
from scipy import sparse

from jamie.linear import blocks

N, P = 37, 11


@pytest.fixture
def counts(monkeypatch) -> sparse.csr_matrix:
    """Counts of 37 cells with one that is nearly empty, an empty feature and one that is 0.1 everywhere."""
    monkeypatch.setattr(blocks, "BLOCK_VALUES", 5 * P)  # eight blocks, the last one smaller
    values = np.random.default_rng(0).poisson(0.8, (N, P)).astype(np.float32)
    values[7], values[:, 3] = 0, 0
    values[:, 4] = np.float32(0.1)
    return sparse.csr_matrix(values)


@pytest.mark.parametrize(("n", "p"), [(N, P), (0, P), (3, 10**9), (10, 0)])
def test_blocks_cover_every_row_once_and_in_order(counts, n, p):
    rows = [i for part in blocks.row_blocks(n, p) for i in range(n)[part]]
    assert rows == list(range(n))


def test_scaling_and_logarithm_are_those_of_the_dense_formula_in_float64(counts):
    rng = np.random.default_rng(1)
    per_row, per_column = rng.lognormal(0, 1, N), rng.random(P)
    wanted = np.log1p(counts.toarray().astype(float) * per_row[:, None])
    assert np.array_equal(blocks.scaled_log1p(counts, per_row).toarray(), wanted.astype(np.float32))
    both = blocks.scaled_log1p(counts, per_row, per_column)
    assert both.dtype == np.float32
    assert np.array_equal(both.toarray(), (wanted * per_column).astype(np.float32))


def test_mean_and_sd_are_exact_and_0_for_a_constant_feature(counts):
    values = counts.toarray().astype(float)
    mean, sd = blocks.column_mean_sd(counts)
    np.testing.assert_allclose(mean, values.mean(axis=0), rtol=1e-12)
    varies = np.ptp(values, axis=0) > 0
    assert np.flatnonzero(~varies).tolist() == [3, 4]
    np.testing.assert_allclose(sd[varies], values.std(axis=0)[varies], rtol=1e-12)
    assert (sd[~varies] == 0).all()


@pytest.mark.parametrize("form", [sparse.csr_matrix, lambda x: x.toarray()])
def test_values_other_than_zero_are_counted_by_row_and_by_column(counts, form):
    matrix = form(counts)
    of_row, of_column = blocks.count_nonzero(matrix)
    present = counts.toarray() != 0
    assert of_row.tolist() == present.sum(axis=1).tolist() and of_row[7] == 1
    assert of_column.tolist() == present.sum(axis=0).tolist() and of_column[3] == 0


@pytest.mark.parametrize("form", [sparse.csr_matrix, lambda x: x.toarray()])
def test_moments_are_the_product_of_the_whole(counts, form):
    y = np.random.default_rng(1).normal(size=(N, 3))
    found = blocks.moments(form(counts), y)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, counts.toarray().T @ y, rtol=1e-4, atol=1e-4)
