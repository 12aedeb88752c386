"""The correspondence F: which cell of one modality is which cell of the other, sparse and with names."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from jamie import io
from jamie.data.checks import readable
from jamie.data.sparse_files import read_npz
from jamie.errors import InputError

LEFT_OUT = 0.2  # share of the known pairs that a trial leaves out
MIN_LEFT_OUT = 10  # fewer cannot tell two fits apart


@dataclass
class Correspondence:
    """F as a named sparse matrix.

    Attributes
    ----------
    matrix
        CSR float32 (n_1, n_2), values in [0, 1]: 1 the same cell, 0 not known to be, between: confidence.
    row_names, col_names
        Cell names of the first and the second modality, in the order of the axes.
    """

    matrix: sparse.csr_matrix
    row_names: np.ndarray
    col_names: np.ndarray

    def __post_init__(self):
        self.matrix = sparse.csr_matrix(self.matrix, dtype=np.float32)
        self.matrix.eliminate_zeros()
        self.matrix.sort_indices()
        self.row_names = np.asarray(self.row_names, dtype=str)
        self.col_names = np.asarray(self.col_names, dtype=str)
        if self.matrix.shape != (len(self.row_names), len(self.col_names)):
            raise InputError(
                "The correspondence has the wrong shape",
                expected=f"{len(self.row_names)} x {len(self.col_names)}, one row and one column per cell",
                found=f"{self.matrix.shape[0]} x {self.matrix.shape[1]}",
                change="the file under `correspondence:` of the dataset",
            )
        values = self.matrix.data
        if len(values) and not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise InputError(
                "The correspondence holds values outside [0, 1]",
                expected="0 = not known to be the same cell, 1 = the same cell, between = confidence",
                found=f"values from {np.nanmin(values):g} to {np.nanmax(values):g}",
                change="the file under `correspondence:` of the dataset",
            )

    def certain_pairs(self) -> np.ndarray:
        """Pairs of value 1 whose row and column hold nothing else: int (n_pairs, 2) of row, column."""
        return certain_pairs(self.matrix)

    def best_pairs(self) -> np.ndarray:
        """Rows and columns that are each other's strongest partner: int (n_pairs, 2)."""
        return best_pairs(self.matrix)

    def align(self, row_names, col_names) -> Correspondence:
        """The same F for other cells or another order; cells it does not know get no partner."""
        rows = pd.Index(self.row_names).get_indexer(np.asarray(row_names, dtype=str))
        cols = pd.Index(self.col_names).get_indexer(np.asarray(col_names, dtype=str))
        left = _selector(rows, self.matrix.shape[0])
        right = _selector(cols, self.matrix.shape[1])
        return Correspondence(left @ self.matrix @ right.T, row_names, col_names)

    def save(self, path: str | Path) -> None:
        """Write atomically; ``scipy.sparse.load_npz`` reads the matrix too."""
        m = self.matrix
        with io.atomic(path) as temporary, open(temporary, "wb") as handle:
            np.savez_compressed(
                handle,
                format=np.array(b"csr"),
                shape=m.shape,
                data=m.data,
                indices=m.indices,
                indptr=m.indptr,
                row_names=self.row_names,
                col_names=self.col_names,
            )

    @classmethod
    def load(cls, path: str | Path, row_names=None, col_names=None) -> Correspondence:
        """Read; with names given, demand exactly these cells in exactly this order.

        Raises
        ------
        InputError
            Other cells; a file that `save` has not written, or that was changed since.
        """
        with readable(Path(path), "a correspondence with the names of its cells (.npz)"):
            matrix, names = read_npz(Path(path))
            result = cls(matrix, names["row_names"], names["col_names"])
            if result.matrix.nnz < np.count_nonzero(matrix.data):
                raise ValueError("a pair stands in it more than once")
            for cells in names.values():
                if len(np.unique(cells)) < len(cells):
                    raise ValueError("a cell stands in it more than once")
        for side, have, want in (
            ("rows", result.row_names, row_names),
            ("columns", result.col_names, col_names),
        ):
            if want is not None and not np.array_equal(have, np.asarray(want, dtype=str)):
                raise InputError(
                    f"The {side} of {path} are not the cells of the dataset",
                    expected=f"{len(want)} cells, the first {list(want[:2])}",
                    found=f"{len(have)} cells, the first {have[:2].tolist()}",
                    change="delete the file and run the workflow again",
                )
        return result


def best_pairs(matrix: sparse.csr_matrix) -> np.ndarray:
    """Rows and columns that are each other's strongest partner: int (n_pairs, 2)."""
    rows, cols, _ = strongest_partners(matrix)
    by_col, by_row, _ = strongest_partners(matrix.T)
    back = np.full(matrix.shape[1], -1)
    back[by_col] = by_row
    mutual = back[cols] == rows
    return np.column_stack([rows[mutual], cols[mutual]]).astype(np.int64)


def strongest_partners(f: sparse.spmatrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows that have a partner, each one's strongest (the first of equals), and its value: three (k,)."""
    entries = f.tocoo()
    order = np.lexsort((entries.col, -entries.data, entries.row))
    rows, first = np.unique(entries.row[order], return_index=True)
    return rows, entries.col[order][first], entries.data[order][first]


def _selector(index: np.ndarray, n: int) -> sparse.csr_matrix:
    """(len(index), n) matrix that picks rows; -1 picks none."""
    known = np.flatnonzero(index >= 0)
    return sparse.csr_matrix((np.ones(len(known)), (known, index[known])), shape=(len(index), n))


def from_names(mdata) -> Correspondence:
    """Equal ``obs_names`` in the two modalities mean the same cell."""
    first, second = mdata.mod.values()
    partner = pd.Index(second.obs_names).get_indexer(first.obs_names)
    return Correspondence(_selector(partner, second.n_obs), first.obs_names, second.obs_names)


def among(pairs: Correspondence, rows: np.ndarray, columns: np.ndarray) -> Correspondence:
    """The entries whose two cells are among some, bool (n_1,), (n_2,); all cells stay rows and columns."""
    of_rows, of_columns = (sparse.diags(side.astype(float)) for side in (rows, columns))
    matrix = sparse.csr_matrix(of_rows @ pairs.matrix @ of_columns)
    matrix.eliminate_zeros()
    return Correspondence(matrix, pairs.row_names, pairs.col_names)


def choose_known(
    pairs: Correspondence,
    train_rows: np.ndarray,
    train_cols: np.ndarray,
    fraction: float,
    seed: int,
    wrong: float = 0.0,
) -> Correspondence:
    """The known F of a scenario: a random fraction of the pairs among training cells.

    With the same seed, a smaller fraction shows some of the pairs that a larger one shows.

    Parameters
    ----------
    pairs
        All pairs the dataset knows.
    train_rows, train_cols
        bool (n_1,), bool (n_2,): cells that may be seen. A pair with a held-out cell is never kept.
    fraction
        Share of the remaining cells with a partner whose entries are shown.
    wrong
        Share of the shown pairs that are given a wrong partner; see `misplace_partners`.
    """
    among_train = among(pairs, train_rows, train_cols).matrix
    with_partner = np.flatnonzero(np.diff(among_train.indptr))
    n_shown = round(fraction * len(with_partner))
    shown = np.zeros(len(train_rows))
    shown[np.random.default_rng(seed).permutation(with_partner)[:n_shown]] = 1
    known = Correspondence(sparse.diags(shown) @ among_train, pairs.row_names, pairs.col_names)
    return misplace_partners(known, wrong, seed) if wrong else known


def misplace_partners(known: Correspondence, share: float, seed: int) -> Correspondence:
    """Some certain pairs with wrong partners, on purpose: to see how many errors a method bears.

    The cells chosen pass their partners on in one random cycle, so that every one has a partner and none its
    own. With the same seed, a smaller share concerns some of the cells that a larger one does. Soft pairs
    stay as they are.

    Parameters
    ----------
    share
        Share of the certain pairs whose partner is to be wrong, in (0, 1].

    Raises
    ------
    InputError
        The share is less than two pairs: one alone has nobody to exchange partners with.
    """
    certain = known.certain_pairs()
    chosen = np.random.default_rng([seed, 1]).permutation(certain)[: round(share * len(certain))]
    if len(chosen) < 2:
        raise InputError(
            "There are too few shown pairs to make some of them wrong",
            expected="a share that is at least two certain pairs, which then exchange their partners",
            found=f"a share of {share:g} of {len(certain)} certain pairs",
            change="`wrong_pairs` or `known_pairs` of the scenario",
        )
    of_row = np.full(known.matrix.shape[0], -1)
    of_row[chosen[:, 0]] = np.roll(chosen[:, 1], 1)
    entries = known.matrix.tocoo()
    cols = np.where(of_row[entries.row] >= 0, of_row[entries.row], entries.col)
    matrix = sparse.csr_matrix((entries.data, (entries.row, cols)), shape=known.matrix.shape)
    return Correspondence(matrix, known.row_names, known.col_names)


def single_pairs(f: sparse.csr_matrix) -> np.ndarray:
    """Pairs whose row and column hold nothing else, whatever their value: int (n_pairs, 2)."""
    return _alone(f)[0]


def certain_pairs(f: sparse.csr_matrix) -> np.ndarray:
    """Those of `single_pairs` whose value is 1: int (n_pairs, 2)."""
    pairs, values = _alone(f)
    return pairs[values == 1]


def _alone(f: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Row and column, int (n_pairs, 2), and value of the entries that are alone in both."""
    n_row = np.diff(f.indptr)
    n_col = np.bincount(f.indices, minlength=f.shape[1])
    entries = f.tocoo()
    alone = (n_row[entries.row] == 1) & (n_col[entries.col] == 1)
    pairs = np.column_stack([entries.row[alone], entries.col[alone]]).astype(np.int64)
    return pairs, entries.data[alone]


def left_out_pairs(f: sparse.csr_matrix, seed: int) -> np.ndarray:
    """Known one-to-one pairs to leave out of a trial, int (m, 2); none where there are too few to decide."""
    pairs = single_pairs(f)
    n = round(LEFT_OUT * len(pairs))
    if n < MIN_LEFT_OUT:
        return pairs[:0]
    return pairs[np.sort(np.random.default_rng(seed).permutation(len(pairs))[:n])]


def without_pairs(f: sparse.csr_matrix, pairs: np.ndarray) -> sparse.csr_matrix:
    """The same F with these entries empty."""
    taken = sparse.csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=f.shape)
    rest = sparse.csr_matrix(f - f.multiply(taken))
    rest.eliminate_zeros()
    return rest
