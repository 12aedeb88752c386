"""Which cells are held out, and the table that says so."""

import mudata
import numpy as np
import pytest
from anndata import AnnData
from scipy import sparse

from jamie import io
from jamie.data import split
from jamie.data.correspondence import Correspondence, from_names
from jamie.errors import InputError
from jamie.io import together

N_PAIRED = 40


def dataset(n_paired: int = N_PAIRED) -> mudata.MuData:
    """n_paired cells in both modalities, 10 in rna only, 20 in atac only, in random order."""
    rng = np.random.default_rng(0)
    parts = {}
    for name, alone in (("rna", 10), ("atac", 20)):
        names = [f"both{i}" for i in range(n_paired)] + [f"{name}{i}" for i in range(alone)]
        parts[name] = AnnData(np.zeros((len(names), 3)))
        parts[name].obs_names = rng.permutation(names)
        parts[name].var_names = [f"{name}_{j}" for j in range(3)]
    return together(parts)


def held_out_names(mdata, is_train) -> list[set]:
    return [set(a.obs_names[~is_train[i]]) for i, a in enumerate(mdata.mod.values())]


@pytest.mark.parametrize(("share", "n"), [(0.0, 0), (0.2, 8), (0.33, 13), (0.9, 36)])
def test_the_right_number_of_cells_measured_in_both_is_held_out_on_both_sides(share, n):
    mdata = dataset()
    is_train = split.split_cells(from_names(mdata), share, seed=0)
    first, second = held_out_names(mdata, is_train)
    assert first == second
    assert len(first) == n
    assert all(name.startswith("both") for name in first)
    assert [len(is_train[i]) for i in (0, 1)] == [50, 60]
    assert all(side.dtype == bool for side in is_train.values())


def test_seeds_hold_out_other_cells():
    mdata = dataset()
    first, again, other = (
        held_out_names(mdata, split.split_cells(from_names(mdata), 0.2, seed))[0] for seed in (0, 0, 1)
    )
    assert first == again
    assert first != other


def test_without_pairs_nobody_is_held_out():
    mdata = dataset(n_paired=0)
    is_train = split.split_cells(from_names(mdata), 0.5, seed=0)
    assert is_train[0].all() and is_train[1].all()
    assert [len(side) for side in is_train.values()] == [10, 20]


def test_only_certain_pairs_are_held_out():
    soft = sparse.csr_matrix(np.diag([1.0, 1.0, 0.8, 0.8]))
    is_train = split.split_cells(Correspondence(soft, list("abcd"), list("wxyz")), 0.5, seed=0)
    assert (~is_train[0]).sum() == 1
    assert is_train[0][2:].all() and is_train[1][2:].all()


def test_the_table_gives_the_split_back(tmp_path):
    mdata = dataset()
    is_train = split.split_cells(from_names(mdata), 0.2, seed=0)
    table = split.to_table(mdata, is_train)
    assert table.columns.tolist() == ["modality", "cell", "role"]
    assert table["role"].value_counts().to_dict() == {"train": 110 - 16, "test": 16}
    io.write_table(tmp_path / "split.tsv", table)
    again = split.from_table(mdata, io.read_table(tmp_path / "split.tsv", dtype=str))
    for i in (0, 1):
        np.testing.assert_array_equal(again[i], is_train[i])


def test_training_cells_come_with_their_layers_or_without(prepared_multiome, multiome_roles):
    whole = split.training_cells(prepared_multiome)
    bare = split.training_cells(prepared_multiome, layers=False)
    for i, (name, adata) in enumerate(prepared_multiome.mod.items()):
        kept = sorted(adata.obs_names[multiome_roles[i]])
        assert whole.mod[name].obs_names.tolist() == bare.mod[name].obs_names.tolist() == kept
        assert (whole.mod[name].X != bare.mod[name].X).nnz == 0
        assert set(whole.mod[name].layers) - {None} == {"counts"} and not set(bare.mod[name].layers) - {None}
        assert bare.mod[name].uns["preprocessing"].keys() == adata.uns["preprocessing"].keys()


def test_a_table_of_other_cells_is_refused():
    mdata = dataset()
    table = split.to_table(mdata, split.split_cells(from_names(mdata), 0.2, seed=0))
    with pytest.raises(InputError, match=r"split\.tsv is not of this dataset"):
        split.from_table(mdata, table.iloc[::-1])
    with pytest.raises(InputError, match="the cells of atac"):
        split.from_table(mdata, table.iloc[:-1])
