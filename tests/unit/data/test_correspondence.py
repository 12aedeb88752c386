"""The correspondence F: values, names, files, and which pairs a scenario shows."""

import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

from jamie.data.correspondence import Correspondence, choose_known, from_names, misplace_partners
from jamie.errors import InputError
from jamie.io import together

ROWS, COLUMNS = ["a", "b", "c", "d"], ["v", "w", "x", "y", "z"]


def soft() -> Correspondence:
    """a-v certain; b between w and x; c shares x with b; d and y, z alone."""
    matrix = np.zeros((4, 5))
    matrix[0, 0] = 1
    matrix[1, 1], matrix[1, 2] = 0.7, 0.3
    matrix[2, 2] = 0.9
    return Correspondence(matrix, ROWS, COLUMNS)


def one_to_one(n: int, n_paired: int, seed: int = 0) -> Correspondence:
    """n x (n + 5) cells, n_paired of them pairs, columns in random order."""
    columns = np.random.default_rng(seed).permutation(n + 5)[:n_paired]
    matrix = sparse.csr_matrix((np.ones(n_paired), (np.arange(n_paired), columns)), shape=(n, n + 5))
    return Correspondence(matrix, [f"r{i}" for i in range(n)], [f"k{j}" for j in range(n + 5)])


def test_any_matrix_becomes_csr_float32_without_stored_zeros():
    matrix = sparse.coo_matrix(([0.0, 1.0, 0.5], ([0, 1, 2], [0, 1, 2])), shape=(4, 5))
    f = Correspondence(matrix, ROWS, COLUMNS)
    assert f.matrix.format == "csr" and f.matrix.dtype == np.float32
    assert f.matrix.nnz == 2


@pytest.mark.parametrize("value", [-0.1, 1.5, np.nan, np.inf])
def test_values_outside_0_to_1_are_refused(value):
    matrix = np.eye(4, 5)
    matrix[2, 3] = value
    with pytest.raises(InputError, match=r"outside \[0, 1\]"):
        Correspondence(matrix, ROWS, COLUMNS)


@pytest.mark.parametrize("shape", [(5, 4), (4, 4), (3, 5)])
def test_another_shape_than_the_names_is_refused(shape):
    with pytest.raises(InputError, match="wrong shape") as caught:
        Correspondence(np.zeros(shape), ROWS, COLUMNS)
    assert caught.value.expected.startswith("4 x 5")
    assert caught.value.found == f"{shape[0]} x {shape[1]}"


def test_an_empty_correspondence_is_fine():
    f = Correspondence(sparse.csr_matrix((4, 5)), ROWS, COLUMNS)
    assert f.certain_pairs().shape == f.best_pairs().shape == (0, 2)


# --- pairs


def test_certain_pairs_are_ones_without_a_rival():
    assert soft().certain_pairs().tolist() == [[0, 0]]
    matrix = np.eye(4, 5)
    matrix[1, 4] = 0.2  # row 1 has a second candidate
    matrix[3, 2] = 0.1  # and so has column 2
    f = Correspondence(matrix, ROWS, COLUMNS)
    assert f.certain_pairs().tolist() == [[0, 0]]
    assert f.certain_pairs().dtype == np.int64


def test_best_pairs_are_each_others_strongest():
    assert soft().best_pairs().tolist() == [[0, 0], [1, 1], [2, 2]]
    matrix = np.zeros((4, 5))
    matrix[0, 0], matrix[1, 0] = 0.6, 0.8  # both want v, v prefers b
    assert Correspondence(matrix, ROWS, COLUMNS).best_pairs().tolist() == [[1, 0]]


def test_best_pairs_use_no_cell_twice_where_confidence_ties():
    f = Correspondence(np.full((4, 5), 0.5), ROWS, COLUMNS)
    assert f.best_pairs().tolist() == [[0, 0]]
    rng = np.random.default_rng(0)
    matrix = np.round(rng.random((40, 30)) * 2) / 2 * (rng.random((40, 30)) < 0.2)
    f = Correspondence(matrix, [f"r{i}" for i in range(40)], [f"k{i}" for i in range(30)])
    pairs = f.best_pairs()
    assert len(pairs) > 5
    assert len(set(pairs[:, 0])) == len(set(pairs[:, 1])) == len(pairs)
    strongest = matrix[pairs[:, 0], pairs[:, 1]]
    assert (strongest == matrix[pairs[:, 0]].max(axis=1)).all()
    assert (strongest == matrix[:, pairs[:, 1]].max(axis=0)).all()
    assert (strongest > 0).all()


def test_equal_names_are_pairs_whatever_their_order():
    rng = np.random.default_rng(0)
    first = rng.permutation([f"c{i}" for i in range(50)] + ["only_first_1", "only_first_2"])
    second = rng.permutation([f"c{i}" for i in range(50)] + ["only_second"])
    parts = {"rna": AnnData(np.zeros((52, 2))), "atac": AnnData(np.zeros((51, 3)))}
    parts["rna"].obs_names, parts["atac"].obs_names = first, second
    parts["atac"].var_names = ["x", "y", "z"]
    f = from_names(together(parts))
    pairs = f.certain_pairs()
    assert len(pairs) == f.matrix.nnz == 50
    assert (first[pairs[:, 0]] == second[pairs[:, 1]]).all()
    assert (f.matrix.data == 1).all()


# --- another order, other cells


def test_align_follows_the_names():
    f = soft()
    aligned = f.align(["d", "c", "new", "a"], ["z", "x", "v"])
    wanted = np.zeros((4, 3))
    wanted[1, 1], wanted[3, 2] = 0.9, 1
    np.testing.assert_allclose(aligned.matrix.toarray(), wanted, rtol=1e-6)
    assert aligned.row_names.tolist() == ["d", "c", "new", "a"]
    assert aligned.col_names.tolist() == ["z", "x", "v"]


def test_align_there_and_back_changes_nothing():
    f = one_to_one(30, 20)
    rng = np.random.default_rng(1)
    shuffled = f.align(rng.permutation(f.row_names), rng.permutation(f.col_names))
    assert (shuffled.matrix != f.matrix).nnz > 0
    assert (shuffled.align(f.row_names, f.col_names).matrix != f.matrix).nnz == 0


# --- files


def test_a_file_gives_back_what_was_saved_and_scipy_reads_it(tmp_path):
    f = soft()
    f.save(tmp_path / "f.npz")
    again = Correspondence.load(tmp_path / "f.npz", ROWS, COLUMNS)
    np.testing.assert_array_equal(again.matrix.toarray(), f.matrix.toarray())
    assert again.row_names.tolist() == ROWS and again.col_names.tolist() == COLUMNS
    by_scipy = sparse.load_npz(tmp_path / "f.npz")
    assert by_scipy.format == "csr"
    np.testing.assert_array_equal(by_scipy.toarray(), f.matrix.toarray())


@pytest.mark.parametrize(
    ("rows", "columns", "side"),
    [
        (ROWS[::-1], COLUMNS, "rows"),
        (ROWS[:3], COLUMNS, "rows"),
        (ROWS, [*COLUMNS[:4], "other"], "columns"),
    ],
)
def test_a_file_of_other_cells_is_refused(tmp_path, rows, columns, side):
    soft().save(tmp_path / "f.npz")
    with pytest.raises(InputError, match=f"The {side} of .* are not the cells of the dataset"):
        Correspondence.load(tmp_path / "f.npz", rows, columns)


# --- what a scenario shows


def training_cells(f: Correspondence, n_held_out: int = 10):
    """bool (n_1,), (n_2,): both sides of the first pairs are held out."""
    held = f.certain_pairs()[:n_held_out]
    sides = [np.ones(n, bool) for n in f.matrix.shape]
    for axis in (0, 1):
        sides[axis][held[:, axis]] = False
    return sides


@pytest.mark.parametrize(("fraction", "n"), [(0, 0), (0.25, 10), (0.5, 20), (0.76, 30), (1, 40)])
def test_the_right_fraction_of_the_remaining_pairs_is_shown(fraction, n):
    f = one_to_one(60, 50)
    known = choose_known(f, *training_cells(f), fraction, seed=3)
    assert known.matrix.nnz == n
    assert (known.matrix - known.matrix.multiply(f.matrix)).nnz == 0
    np.testing.assert_array_equal(known.row_names, f.row_names)


@pytest.mark.parametrize("seed", range(5))
def test_a_pair_with_a_held_out_cell_is_never_shown(seed):
    f = one_to_one(60, 50, seed)
    rng = np.random.default_rng(seed)
    sides = [rng.random(n) < 0.6 for n in f.matrix.shape]  # the two sides of a pair held out separately
    known = choose_known(f, *sides, 1.0, seed)
    rows, columns = known.matrix.nonzero()
    wanted = [[i, j] for i, j in f.certain_pairs().tolist() if sides[0][i] and sides[1][j]]
    assert np.column_stack([rows, columns]).tolist() == wanted
    assert 0 < len(wanted) < 50


def test_the_choice_depends_on_the_seed_alone():
    f = one_to_one(60, 50)
    first, again, other = (choose_known(f, *training_cells(f), 0.5, seed).matrix for seed in (1, 1, 2))
    assert (first != again).nnz == 0
    assert (first != other).nnz > 0


def test_a_soft_row_is_shown_whole_or_not_at_all():
    f = soft()
    everyone = np.ones(4, bool), np.ones(5, bool)
    shown = [choose_known(f, *everyone, 1 / 3, seed).matrix.toarray() for seed in range(20)]
    whole = f.matrix.toarray()
    chosen = [np.flatnonzero(m.any(axis=1)) for m in shown]
    assert all(len(rows) == 1 for rows in chosen)
    assert {int(rows[0]) for rows in chosen} == {0, 1, 2}
    for matrix, rows in zip(shown, chosen, strict=True):
        np.testing.assert_array_equal(matrix[rows], whole[rows])


def test_a_soft_entry_of_a_held_out_cell_is_hidden_too():
    train_columns = np.array([True, True, False, True, True])  # x is held out
    known = choose_known(soft(), np.ones(4, bool), train_columns, 1.0, 0).matrix.toarray()
    assert (known[:, 2] == 0).all()
    assert known[1, 1] == pytest.approx(0.7) and known[0, 0] == 1


# --- pairs that are wrong on purpose


def wrong_of(known: Correspondence, truth: Correspondence) -> np.ndarray:
    """int (k, 2): shown pairs that are no true pair."""
    rows, columns = known.matrix.nonzero()
    wrong = np.asarray(truth.matrix[rows, columns]).ravel() == 0
    return np.column_stack([rows, columns])[wrong]


@pytest.mark.parametrize(("share", "n"), [(0.0, 0), (0.1, 4), (0.25, 10), (0.5, 20), (1.0, 40)])
@pytest.mark.parametrize("seed", range(3))
def test_the_right_share_of_the_shown_pairs_is_wrong_and_none_of_these_keeps_its_own(share, n, seed):
    f = one_to_one(60, 50)
    train = training_cells(f)
    right = choose_known(f, *train, 1.0, seed)
    known = choose_known(f, *train, 1.0, seed, wrong=share)
    assert len(wrong_of(known, f)) == n
    # the same cells are shown, each once: partners are only exchanged
    for axis in (0, 1):
        assert known.matrix.sum(axis=axis).tolist() == right.matrix.sum(axis=axis).tolist()
    assert known.certain_pairs().shape == (40, 2)
    assert train[0][known.certain_pairs()[:, 0]].all() and train[1][known.certain_pairs()[:, 1]].all()


def test_wrong_pairs_depend_on_the_seed_alone_and_more_of_them_contain_the_fewer():
    f = one_to_one(60, 50)
    few, again, other, many = (
        choose_known(f, *training_cells(f), 1.0, seed, wrong=share)
        for seed, share in ((1, 0.25), (1, 0.25), (2, 0.25), (1, 0.5))
    )
    assert (few.matrix != again.matrix).nnz == 0
    assert (few.matrix != other.matrix).nnz > 0
    assert set(wrong_of(few, f)[:, 0]) < set(wrong_of(many, f)[:, 0])


def test_two_wrong_pairs_swap_their_partners_and_soft_ones_stay():
    matrix = soft().matrix.toarray()
    matrix[3, 4] = 1  # a second certain pair: d-z
    known = misplace_partners(Correspondence(matrix, ROWS, COLUMNS), 1.0, 0).matrix.toarray()
    assert known[0, 4] == known[3, 0] == 1 and known[0, 0] == known[3, 4] == 0
    np.testing.assert_array_equal(known[1:3], matrix[1:3].astype(np.float32))


@pytest.mark.parametrize(("n_paired", "share"), [(0, 0.5), (1, 1.0), (10, 0.14)])
def test_a_share_of_less_than_two_pairs_cannot_be_wrong(n_paired, share):
    f = one_to_one(20, n_paired)
    with pytest.raises(InputError, match="too few shown pairs") as caught:
        choose_known(f, np.ones(20, bool), np.ones(25, bool), 1.0, 0, wrong=share)
    assert "`wrong_pairs`" in caught.value.change
