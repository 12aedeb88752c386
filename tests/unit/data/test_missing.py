"""What stands for not measured becomes NaN if the config says so, and stops the run if it only looks so."""

import numpy as np
import pytest
from scipy import sparse

from jamie.data import missing
from jamie.errors import InputError

VOLTAGE = np.random.default_rng(0).normal(-60, 10, (40, 3))
SHARE = np.random.default_rng(0).random((40, 3))


def with_marks(values, mark, n=3, column=1):
    values = values.copy()
    values[:n, column] = mark
    return values


def continuous(values, given=None):
    return missing.dense(values, "ephys", "continuous", given)


def methylation(values, given=None):
    return missing.dense(values, "meth", "methylation", given)


@pytest.mark.parametrize("mark", [-999, -9999, 999, 9999])
def test_a_mark_far_from_all_others_stops(mark):
    with pytest.raises(InputError) as error:
        continuous(with_marks(VOLTAGE, mark))
    assert f"3 times {mark}, in 1 of 3 features" in error.value.found
    assert f"`modalities.ephys.missing: [{mark}]`" in error.value.change


@pytest.mark.parametrize("values", [VOLTAGE, VOLTAGE * 30, np.abs(VOLTAGE) * 20])
def test_the_config_says_what_a_mark_is(values, caplog):
    given = with_marks(values, -999)
    found = continuous(given, [-999])
    assert np.isnan(found[:3, 1]).all() and np.isnan(found).sum() == 3 and "(3)" in caplog.text
    assert np.array_equal(continuous(given, []), given.astype(np.float32))


@pytest.mark.parametrize(
    "values",
    [
        VOLTAGE,
        with_marks(VOLTAGE * 30, -999),  # among the others
        with_marks(VOLTAGE, -999, n=1),  # once only: an outlier
        with_marks(np.abs(VOLTAGE) * 20, 999),
        np.where(VOLTAGE < -70, np.nan, VOLTAGE),
    ],
)
def test_other_values_are_left_as_they_are(values):
    assert np.array_equal(continuous(values), values.astype(np.float32), equal_nan=True)


@pytest.mark.parametrize("mark", [-1, -999, 999])
def test_a_mark_outside_of_fractions_stops(mark):
    with pytest.raises(InputError, match=rf"(?s)3 times {mark}.*between 0 and 1.*missing: \[{mark}\]"):
        methylation(with_marks(SHARE, mark))
    assert np.isnan(methylation(with_marks(SHARE, mark), [mark])).sum() == 3


def test_what_a_sparse_matrix_leaves_out_is_asked_for():
    values = sparse.csr_matrix(np.where(SHARE < 0.5, 0, SHARE))
    with pytest.raises(InputError, match="sparse") as error:
        methylation(values)
    assert f"{1 - values.nnz / 120:.1%} of the values are not stored" in error.value.found
    assert "`modalities.meth.missing: [0]`" in error.value.change and "`missing: []`" in error.value.change
    assert np.isnan(methylation(values, [0])).sum() == 120 - values.nnz
    assert (methylation(values, []) == values.toarray().astype(np.float32)).all()


def test_zeros_that_a_sparse_matrix_stores_were_measured():
    values = sparse.csr_matrix((np.array([0.0, 0.5]), ([0, 1], [2, 0])), shape=(40, 3))
    found = methylation(values, [0])
    assert found[0, 2] == 0 and found[1, 0] == 0.5 and np.isnan(found).sum() == 118


def test_where_nan_is_stored_the_rest_is_zero():
    values = sparse.csr_matrix((np.array([np.nan, 0.5]), ([0, 1], [2, 0])), shape=(40, 3))
    found = methylation(values)
    assert np.isnan(found).sum() == 1 and (found == 0).sum() == 118


def test_many_zeros_and_no_missing_value_are_said(caplog):
    methylation(np.where(SHARE < 0.7, 0, SHARE))
    assert "% of the values are 0 and none is missing" in caplog.text and "missing: [0]" in caplog.text
    caplog.clear()
    methylation(np.where(SHARE < 0.3, 0, SHARE))
    methylation(np.where(SHARE < 0.7, 0, np.where(SHARE < 0.8, np.nan, SHARE)))
    assert not caplog.text


@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray])
def test_a_mark_among_normalised_values_stops(form):
    with pytest.raises(InputError, match=r"(?s)3 times -999, and no other value below -499.5"):
        missing.check_normalised(form(with_marks(SHARE, -999)), "rna")
    for values in (
        SHARE,
        with_marks(SHARE, -999, n=1),
        with_marks(VOLTAGE * 30, -999),
        with_marks(VOLTAGE, -9),
    ):
        missing.check_normalised(form(values), "rna")
