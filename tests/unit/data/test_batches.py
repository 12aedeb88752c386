"""Scenarios of batches: whole ones held out, pairs shown in some of them."""

import numpy as np
import pytest
from scipy import sparse

from jamie.data import batches, split
from jamie.data.correspondence import Correspondence, choose_known
from jamie.errors import InputError

# cells 0-2, 3-5 and 6-8 are measured in both modalities, in batches a, b and c; 9 and 10 in one, in batch d
FIRST = np.array(list("aaabbbcccdd"))
SECOND = np.array(list("aaabbbccc"))
NAMES = [f"cell{i}" for i in range(11)]


def pairs() -> Correspondence:
    return Correspondence(sparse.eye(11, 9, format="csr"), NAMES, NAMES[:9])


def test_a_batch_without_pairs_is_none_to_hold_out_or_to_show_pairs_in():
    assert batches.with_pairs(pairs(), (FIRST, SECOND)).tolist() == ["a", "b", "c"]
    apart = (FIRST, np.roll(SECOND, 3))  # the sides of a pair are of two batches
    assert batches.with_pairs(pairs(), apart).tolist() == []


def test_seeds_take_turns_until_all_had_theirs():
    names = np.array(["a", "b", "c"])
    assert {batches.take_turns(names, 1, seed).item() for seed in range(3)} == {"a", "b", "c"}
    assert batches.take_turns(names, 1, 0) == batches.take_turns(names, 1, 3)
    for seed in range(6):
        assert len(set(batches.take_turns(names, 2, seed))) == 2


@pytest.mark.parametrize(("share", "n"), [(0.1, 1), (0.34, 1), (0.6, 2), (0.9, 2)])
def test_whole_batches_are_held_out_with_all_their_cells(share, n):
    for seed in range(3):
        train = split.split_cells(pairs(), share, seed, (FIRST, SECOND))
        gone = set(FIRST[~train[0]])
        assert len(gone) == n and gone == set(SECOND[~train[1]])
        assert not set(FIRST[train[0]]) & gone and "d" not in gone


def test_cells_without_a_partner_are_held_out_with_their_batch():
    first = np.array(list("aaabbbcccab"))
    train = split.split_cells(pairs(), 0.2, 0, (first, SECOND))
    assert (~train[0]).sum() == (~train[1]).sum() + (set(first[~train[0]]) != {"c"})


@pytest.mark.parametrize(("wanted", "n"), [(1, 3), (2, 6), (["b"], 3), (["a", "c"], 6)])
def test_pairs_are_shown_in_the_batches_wanted_and_nowhere_else(wanted, n):
    everyone = np.ones(11, bool), np.ones(9, bool)
    for seed in range(3):
        shown = batches.within(pairs(), (FIRST, SECOND), everyone, wanted, seed)
        rows = choose_known(shown, *everyone, 1.0, seed).certain_pairs()[:, 0]
        assert len(rows) == n and (isinstance(wanted, int) or set(FIRST[rows]) == set(wanted))


def test_no_pair_of_a_batch_that_is_held_out_is_shown():
    for seed in range(3):
        train = split.split_cells(pairs(), 0.2, seed, (FIRST, SECOND)).values()
        for wanted in (1, 2):
            shown = batches.within(pairs(), (FIRST, SECOND), tuple(train), wanted, seed)
            rows, columns = shown.matrix.nonzero()
            first, second = train
            assert len(rows) == 3 * wanted and first[rows].all() and second[columns].all()


def test_what_cannot_be_is_said_with_the_key_to_change():
    everyone = np.ones(11, bool), np.ones(9, bool)
    with pytest.raises(InputError, match=r"'x'(.|\n)*a, b, c(.|\n)*known_in"):
        batches.within(pairs(), (FIRST, SECOND), everyone, ["a", "x"], 0)
    with pytest.raises(InputError, match=r"4 batches(.|\n)*a, b, c(.|\n)*known_in"):
        batches.within(pairs(), (FIRST, SECOND), everyone, 4, 0)
    one = np.full(11, "a"), np.full(9, "a")
    with pytest.raises(InputError, match=r"No batch can be held out(.|\n)*pairs in a(.|\n)*held_out_by"):
        split.split_cells(pairs(), 0.2, 0, one)


def test_data_without_a_batch_say_so(raw_multiome):
    with pytest.raises(InputError, match=r"have no batch(.|\n)*`batch` of the dataset"):
        batches.labels(raw_multiome)
