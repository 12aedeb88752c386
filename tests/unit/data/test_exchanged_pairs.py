"""A table of pairs whose columns stand the other way round is used, and that is said."""

import numpy as np
import pytest

from jamie.data import notices
from jamie.data.correspondence import Correspondence
from jamie.data.readers import read_correspondence

ROWS, COLUMNS = ["a", "b", "c"], ["v", "w"]
RIGHT = np.array([[0, 1], [1, 0], [0, 0]])


def read(path):
    with notices.collected() as told:
        return read_correspondence(path, ROWS, COLUMNS).matrix.toarray(), told


@pytest.mark.parametrize("head", ["", "atac\trna\tconfidence\n"])
def test_columns_of_a_table(tmp_path, head):
    (tmp_path / "f.tsv").write_text(f"{head}w\ta\t1\nv\tb\t1\n")
    matrix, (notice,) = read(tmp_path / "f.tsv")
    assert (matrix == RIGHT).all()
    assert "f.tsv names cells of the second modality first" in notice[1]


def test_rows_and_columns_of_a_saved_correspondence(tmp_path):
    Correspondence(RIGHT.T, COLUMNS, ROWS).save(tmp_path / "f.npz")
    matrix, told = read(tmp_path / "f.npz")
    assert (matrix == RIGHT).all() and len(told) == 1


def test_nothing_is_said_of_a_table_in_order(tmp_path):
    (tmp_path / "f.tsv").write_text("rna\tatac\na\tw\nb\tv\n")
    matrix, told = read(tmp_path / "f.tsv")
    assert (matrix == RIGHT).all() and not told


def test_cells_of_one_name_in_both_modalities_stay_in_their_columns(tmp_path):
    (tmp_path / "f.tsv").write_text("a\tb\nb\ta\n")
    with notices.collected() as told:
        f = read_correspondence(tmp_path / "f.tsv", ["a", "b"], ["a", "b"])
    assert (f.matrix.toarray() == [[0, 1], [1, 0]]).all() and not told
