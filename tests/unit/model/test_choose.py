"""Whether F~ is used: left-out pairs decide where there are enough, else its own checks; and it is said."""

import numpy as np
import pytest
from scipy import sparse

from jamie.data.correspondence import Correspondence, left_out_pairs, without_pairs
from jamie.matching.prepared import EstimatedCorrespondence
from jamie.model import choose
from jamie.model.options import Options
from jamie.model.trainer import train
from shared.fits import problem

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def identity(n_1, n_2, low, high):
    rows = np.arange(low, high)
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, rows)), shape=(n_1, n_2))


def shifted(n_1, n_2, by):
    """Every cell with the partner of another: as wrong as can be."""
    rows = np.arange(min(n_1, n_2))
    return sparse.csr_matrix((np.ones(len(rows), np.float32), (rows, np.roll(rows, by))), shape=(n_1, n_2))


def estimated(matrix, confidence=1.0, trusted=True, check=None):
    """F~ of cells that are named by their number."""
    f, check = (m if m is None else Correspondence(m, *map(np.arange, m.shape)) for m in (matrix, check))
    return EstimatedCorrespondence(f, confidence, trusted, check)


def fit(options, f, estimated):
    x, _ = problem()
    return choose.fit(x, f, Options.of(**options), estimated, seed=0, progress=False).info["estimated"]


def test_left_out_pairs_are_a_fifth_and_hang_on_the_seed():
    f = problem()[1]
    pairs = left_out_pairs(f, 0)
    assert len(pairs) == 16 and np.asarray(f[pairs[:, 0], pairs[:, 1]]).all()
    np.testing.assert_array_equal(pairs, left_out_pairs(f, 0))
    assert not np.array_equal(pairs, left_out_pairs(f, 1))
    rest = without_pairs(f, pairs)
    assert rest.nnz == f.nnz - 16 and not np.asarray(rest[pairs[:, 0], pairs[:, 1]]).any()
    assert len(left_out_pairs(identity(110, 95, 0, 40), 0)) == 0  # 8 pairs cannot decide


@pytest.mark.parametrize("truth", [True, False])
def test_left_out_pairs_decide(small_options, truth):
    """The truth brings left-out pairs closer, partners at random push them apart."""
    options = small_options | {
        "max_epochs": 90,
        "learning_rate": 1e-2,
        "estimated_in": ["alignment", "pairs"],
    }
    f = identity(110, 95, 0, 50)
    matrix = identity(110, 95, 0, 80) if truth else shifted(110, 95, 40)
    said = fit(options, f, estimated(matrix, check=matrix))
    assert said["used"] == truth == (said["foscttm_with"] < said["foscttm_without"])
    assert said["n_left_out"] == 10
    assert ("brings 10 left-out pairs closer" in said["reason"]) == truth


@pytest.mark.parametrize(("gains", "used"), [([0.1, 0.3], True), ([-0.1, 0.3], False), ([0, 0], False)])
def test_a_gain_within_its_standard_error_is_none(small_options, monkeypatch, gains, used):
    without = np.full(len(gains), 0.5)
    monkeypatch.setattr(choose, "_trials", lambda *_: (without - gains, without))
    matrix = identity(110, 95, 0, 80)
    said = fit(small_options, identity(110, 95, 0, 50), estimated(matrix, check=matrix))
    assert said["used"] == used and said["standard_error"] == pytest.approx(abs(gains[1] - gains[0]) / 2)
    assert f"difference {0 - np.mean(gains):+.4f}, standard error" in said["reason"]


@pytest.mark.parametrize(("confidence", "used"), [(0.7, True), (0.7, False)])
def test_without_enough_pairs_the_estimates_own_evidence_decides(small_options, confidence, used):
    f_estimated = estimated(identity(110, 95, 0, 80), confidence, used)
    f_estimated.info["reason"] = "linked features agree"
    said = fit(small_options, sparse.csr_matrix((110, 95), dtype=np.float32), f_estimated)
    assert said["used"] == used and said["confidence"] == confidence
    assert said["reason"].endswith("other evidence decides (confidence 0.70): linked features agree")


@pytest.mark.parametrize(("option", "used"), [("always", True), ("never", False)])
def test_the_option_has_the_last_word(small_options, option, used):
    f_estimated = estimated(identity(110, 95, 0, 80), 0.1 if used else 1.0)
    said = fit(small_options | {"estimated": option}, identity(110, 95, 0, 10), f_estimated)
    assert said["used"] == used


def test_an_estimate_of_known_pairs_adds_nothing(small_options):
    f = problem()[1]
    said = fit(small_options | {"estimated": "always"}, f, estimated(f))
    assert not said["used"] and "no two cells without a known partner" in said["reason"]


def test_trials_take_a_third_of_the_steps(small_options, monkeypatch):
    taken = []

    def counted(x, f, options, **arguments):
        taken.append((options.max_epochs, options.min_steps, options.max_steps))
        return train(x, f, options, **arguments)

    monkeypatch.setattr(choose, "train", counted)
    options = small_options | {"max_epochs": 9, "min_steps": 6, "max_steps": 12}
    matrix = identity(110, 95, 0, 80)
    fit(options, identity(110, 95, 0, 50), estimated(matrix, check=matrix))
    assert taken == [(3, 2, 4), (3, 2, 4), (9, 6, 12)]
