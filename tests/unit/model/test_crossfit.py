"""Cross-fitting: every cell is left out once at most, and a fit knows nothing of the cells it leaves out."""

import numpy as np
import pytest
from scipy import sparse

from jamie.contract import MISSING
from jamie.data.correspondence import choose_known, from_names
from jamie.data.split import training_cells
from jamie.model import crossfit
from jamie.model.options import Options

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def f_of(n_pairs: int, n_alone: tuple[int, int], shared: bool = False) -> sparse.csr_matrix:
    """Pairs first, then cells without a partner; ``shared``: the last pair's row has a second partner."""
    entries = np.arange(n_pairs)
    f = sparse.lil_matrix((n_pairs + n_alone[0], n_pairs + n_alone[1]), dtype=np.float32)
    f[entries, entries] = 1
    if shared:
        f[n_pairs - 1, n_pairs] = 0.5
    return f.tocsr()


def test_every_pair_and_every_cell_alone_is_dealt_once_and_pairs_stay_whole():
    f = f_of(23, (9, 4))
    dealt = crossfit.deal(f, 5, seed=0)
    assert len(dealt) == 5
    for (first, second), n_pairs in dealt:
        np.testing.assert_array_equal(first[:n_pairs], second[:n_pairs])  # pair i is row i and column i
        assert (first[n_pairs:] >= 23).all() and (second[n_pairs:] >= 23).all()
    for axis, n in enumerate(f.shape):
        left_out = np.concatenate([rows[axis] for rows, _ in dealt])
        assert sorted(left_out) == list(range(n))


def test_a_cell_with_several_partners_stays_in_every_fit():
    dealt = crossfit.deal(f_of(30, (0, 1), shared=True), 5, seed=0)
    assert all(29 not in rows[0] and 29 not in rows[1] and 30 not in rows[1] for rows, _ in dealt)


def test_no_fold_leaves_out_more_than_is_enough(monkeypatch):
    monkeypatch.setattr(crossfit, "ENOUGH", 10)
    dealt = crossfit.deal(f_of(100, (0, 0)), 5, seed=0)
    assert [n for _, n in dealt] == [10] * 10


def test_pairs_that_are_not_certain_are_left_out_whole_but_teach_nothing():
    f = f_of(40, (0, 0))
    f.data[:25] = 0.3
    dealt = crossfit.deal(f, 5, seed=0)
    assert sum(n for _, n in dealt) == 15
    for (first, second), n in dealt:
        assert (first[:n] >= 25).all() and (first[n:] < 25).all()
        np.testing.assert_array_equal(first, second)


def test_nothing_is_dealt_where_every_cell_has_several_partners():
    f = sparse.csr_matrix(np.kron(np.eye(15), np.full((2, 2), 0.5)).astype(np.float32))
    assert crossfit.deal(f, 3, seed=0) == []


def test_few_cells_leave_none_out():
    assert crossfit.deal(f_of(10, (9, 9)), 5, seed=0) == []
    assert crossfit.deal(f_of(30, (0, 0)), 0, seed=0) == []


@pytest.fixture(scope="module")
def training(prepared_multiome, multiome_roles):
    train = training_cells(prepared_multiome, layers=(MISSING,))
    known = choose_known(from_names(prepared_multiome), *multiome_roles.values(), fraction=1.0, seed=0)
    return train, known.align(*[a.obs_names for a in train.mod.values()]).matrix


@pytest.fixture(scope="module")
def options(small_options):
    return Options(**small_options | {"folds": 3, "max_epochs": 2})


def fitted(training, options):
    return crossfit.cross_fit(*training, None, options, 8, seed=0)


@pytest.fixture(scope="module")
def found(training, options):
    return fitted(training, options)


def test_what_is_measured_of_left_out_cells_changes_nothing_that_is_imputed_for_them(
    training, options, found
):
    train, f = training
    fold = found.folds[1]
    changed = train.copy()
    own = fold.rows[1][: fold.n_pairs]  # ATAC of the pairs of one fold
    x = changed.mod["atac"].X.toarray()
    x[own] = x[own][:, ::-1] + 3
    changed.mod["atac"].X = sparse.csr_matrix(x)
    again = fitted((changed, f), options).folds
    np.testing.assert_array_equal(again[1].imputed["atac"], fold.imputed["atac"])
    np.testing.assert_array_equal(
        again[1].projections["atac"].components, fold.projections["atac"].components
    )
    assert not np.array_equal(
        again[0].imputed["atac"], found.folds[0].imputed["atac"]
    )  # there they are fitted


def test_imputed_values_are_of_the_pairs_in_order(training, found):
    train, f = training
    rna, atac = found.pairs("rna"), found.pairs("atac")
    assert len(rna) == f.nnz and (train.mod["rna"].obs_names[rna] == train.mod["atac"].obs_names[atac]).all()
    values = found.imputed("rna")
    assert values.shape == (len(rna), train.mod["rna"].n_vars)
    np.testing.assert_allclose(found.imputed("rna", slice(3, 7)), values[:, 3:7], rtol=1e-6)
    measured = train.mod["rna"].X.toarray()[rna]
    of_mean = ((measured - measured.mean(axis=0)) ** 2).mean()
    assert ((measured - values) ** 2).mean() < 1.5 * of_mean  # of these cells, in this order


def test_cells_without_a_partner_are_imputed_by_the_mean_of_the_folds(training, found):
    f = training[1]
    alone = found.alone["rna"]
    np.testing.assert_array_equal(alone, np.flatnonzero(np.diff(f.indptr) == 0))
    folds = [fold.projections["atac"].inverse(fold.imputed_alone["atac"]) for fold in found.folds]
    np.testing.assert_allclose(found.imputed_alone("atac"), np.mean(folds, axis=0), rtol=1e-4, atol=1e-5)
    assert found.imputed_alone("atac", slice(0, 4)).shape == (len(alone), 4)


def test_without_folds_there_is_nothing_and_no_error(tmp_path):
    none = crossfit.CrossFit(("rna", "atac"), {"rna": np.arange(3), "atac": np.arange(2)}, [])
    none.save(tmp_path / "none")
    none = crossfit.CrossFit.load(tmp_path / "none")
    assert len(none.pairs("rna")) == 0
    assert len(none.imputed("rna")) == 0


def test_it_is_the_same_after_saving(found, tmp_path):
    found.save(tmp_path / "crossfit")
    again = crossfit.CrossFit.load(tmp_path / "crossfit")
    assert again.modalities == found.modalities and len(again.folds) == len(found.folds)
    np.testing.assert_allclose(again.imputed("atac"), found.imputed("atac"), rtol=1e-4, atol=1e-5)
    for modality in found.modalities:
        np.testing.assert_array_equal(again.pairs(modality), found.pairs(modality))


def test_cells_are_compared_with_a_fit_that_left_some_out(training, found):
    rows, train = found.folds[0].rows, training[0]
    for axis, (modality, reference) in enumerate(found.reference.items()):
        cells = train.mod[modality].X
        above = reference.score(cells[rows[axis]]) > reference.threshold
        assert above.sum() == len(above) - np.ceil(0.95 * (len(above) + 1))
        kept = np.setdiff1d(np.arange(cells.shape[0]), rows[axis])
        np.testing.assert_allclose(
            reference.x, reference.projection.transform(cells[kept]), rtol=1e-4, atol=1e-5
        )


def test_it_stops_when_enough_are_left_out(training, options, monkeypatch):
    monkeypatch.setattr(crossfit, "ENOUGH", 30)
    found = fitted(training, options)
    assert 0 < len(found.folds) < 3 and len(found.pairs("rna")) >= 30
