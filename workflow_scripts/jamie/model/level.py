"""Mini-batches with the indices a step needs, and filled up so that they come in few shapes.

A GPU can replay the hundreds of launches of a step as one (see `jamie.model.graphs`), as long as all its
arrays have the sizes they had before. How many partners come along with a mini-batch is by chance, so that
mini-batches are filled up to common sizes, with what no term counts: cells that have neither a partner nor a
loss of their own, and pairs and masses of zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from jamie.model.batches import Batch
from jamie.model.options import Options

MULTIPLE = 8  # to which sizes are rounded up
LEAST_PAIRS = 2  # with fewer the terms on pairs do not apply


@dataclass(frozen=True)
class Shape:
    """Sizes of the arrays of an `IndexedBatch`, and whether it was filled up."""

    n_rows: tuple[int, int]
    n_own: tuple[int, int]
    n_with_mass: tuple[int, int]
    n_pairs: int
    n_mutual: int
    estimated: bool
    filled: bool

    @property
    def index_sizes(self) -> list[int]:
        return [*self.n_rows, *self.n_with_mass, *[self.n_pairs] * 2, *[self.n_mutual] * 2]

    @property
    def block_sizes(self) -> list[int]:
        return [self.n_rows[0] * self.n_rows[1]] * (1 + self.estimated)


@dataclass
class IndexedBatch(Batch):
    """A `Batch` with the indices a step needs: int64, into its rows.

    Attributes
    ----------
    with_mass
        For each modality, the own cells for which F~ holds any mass; empty without F~.
    pairs
        Rows and columns of the pairs the terms on pairs are about, two (k,); empty if no such term is on.
    mutual
        Those of them that are each other's best partner, so that no cell is its own negative.
    filled
        Whether `Levels` has filled it up.
    """

    with_mass: tuple[np.ndarray, np.ndarray]
    pairs: tuple[np.ndarray, np.ndarray]
    mutual: tuple[np.ndarray, np.ndarray]
    filled: bool = False

    @classmethod
    def of(cls, batch: Batch, options: Options) -> IndexedBatch:
        n_1, n_2 = batch.n_own
        none = np.empty(0, np.int64)
        with_mass, pairs, mutual = (none, none), (none, none), (none, none)
        if batch.f_estimated is not None:
            sides = batch.f_estimated[:n_1], batch.f_estimated[:, :n_2].T
            with_mass = tuple(np.flatnonzero(part.any(1)) for part in sides)
        f = batch.f[:n_1, :n_2]
        if batch.f_estimated is not None and "pairs" in options.estimated_in:
            f = batch.f + batch.f_estimated
        if options.cross_reconstruction or options.contrastive:
            pairs = np.nonzero(f)
        if options.contrastive:
            best = f.argmax(1)
            rows = np.flatnonzero((f[np.arange(len(f)), best] > 0) & (f.argmax(0)[best] == np.arange(len(f))))
            mutual = rows, best[rows]
        return cls(batch.rows, batch.n_own, batch.f, batch.f_estimated, with_mass, pairs, mutual)

    def indices(self) -> list[np.ndarray]:
        parts = *self.rows, *self.with_mass, *self.pairs, *self.mutual
        return [np.ascontiguousarray(part) for part in parts]

    def blocks(self) -> list[np.ndarray]:
        return [np.ascontiguousarray(m) for m in (self.f, self.f_estimated) if m is not None]

    def arrays(self) -> list[np.ndarray]:
        """Rows, cells with mass, pairs and mutual pairs, two arrays each; then F and, where it is, F~."""
        return [*self.indices(), *self.blocks()]

    @property
    def shape(self) -> Shape:
        return Shape(
            n_rows=self.f.shape,
            n_own=self.n_own,
            n_with_mass=tuple(map(len, self.with_mass)),
            n_pairs=len(self.pairs[0]),
            n_mutual=len(self.mutual[0]),
            estimated=self.f_estimated is not None,
            filled=self.filled,
        )


class Levels:
    """Fills mini-batches up to the largest sizes there have been, so that these settle soon.

    What a mini-batch has nothing of, it is not given: a term that does not apply to it still does not.
    """

    def __init__(self, options: Options):
        self.options = options
        self.n_rows, self.n_with_mass, self.n_pairs, self.n_mutual = [0, 0], [0, 0], 0, 0

    def __call__(self, group: list[IndexedBatch]) -> list[IndexedBatch]:
        """The same mini-batches, in order."""
        shapes = [batch.shape for batch in group]
        for k in (0, 1):  # one row at least fills up: it has no mass, and an entry of it is no pair
            self.n_rows[k] = max(self.n_rows[k], *(rounded(s.n_rows[k] + 1) for s in shapes))
            self.n_with_mass[k] = max(self.n_with_mass[k], *(rounded(s.n_with_mass[k]) for s in shapes))
        self.n_pairs = max(self.n_pairs, *(rounded(s.n_pairs) for s in shapes))
        self.n_mutual = max(self.n_mutual, *(rounded(s.n_mutual) for s in shapes))
        return [self.filled(batch, other) for batch, other in zip(group, group[1:] + group[:1], strict=True)]

    def filled(self, batch: IndexedBatch, other: IndexedBatch) -> IndexedBatch:
        """The mini-batch and, to fill it up, cells of the other one."""
        n_1, n_2 = self.n_rows
        rows = tuple(
            np.concatenate([own, np.resize(more, n - len(own))])
            for own, more, n in zip(batch.rows, other.rows, self.n_rows, strict=True)
        )
        blocks = [batch.f, batch.f_estimated]
        for i, block in enumerate(blocks):
            if block is not None:
                blocks[i] = np.zeros((n_1, n_2), np.float32)
                blocks[i][: block.shape[0], : block.shape[1]] = block
        with_mass = tuple(
            _up_to(part, n if len(part) else 0, last - 1)
            for part, n, last in zip(batch.with_mass, self.n_with_mass, self.n_rows, strict=True)
        )
        pairs, mutual = batch.pairs, batch.mutual
        if len(pairs[0]) >= LEAST_PAIRS:
            empty = self._no_pairs(blocks, self.n_pairs - len(pairs[0]))
            pairs = tuple(np.concatenate(both) for both in zip(pairs, empty, strict=True))
            n = self.n_mutual if len(mutual[0]) else 0
            mutual = tuple(_up_to(part, n, last - 1) for part, last in zip(mutual, self.n_rows, strict=True))
        return IndexedBatch(rows, batch.n_own, *blocks, with_mass, pairs, mutual, filled=True)

    def _no_pairs(self, blocks: list[np.ndarray | None], n: int) -> tuple[np.ndarray, np.ndarray]:
        """``n`` entries that are zero, over all of the block: decoders see many cells, not one many times."""
        f, f_estimated = blocks
        if f_estimated is not None and "pairs" in self.options.estimated_in:
            f = f + f_estimated
        zero = np.flatnonzero(f == 0)
        return np.divmod(zero[np.linspace(0, len(zero) - 1, n).astype(np.int64)], f.shape[1])


def rounded(n: int) -> int:
    """Up to a multiple, so that sizes seldom grow."""
    return -(-n // MULTIPLE) * MULTIPLE


def _up_to(values: np.ndarray, n: int, filling: int) -> np.ndarray:
    return np.concatenate([values, np.full(max(0, n - len(values)), filling, np.int64)])
