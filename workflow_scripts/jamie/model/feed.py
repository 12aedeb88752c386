"""Mini-batches on the device, so that no step has to wait for it.

Whatever depends on values of F or F~ (which cells are a pair, which have any mass) is found on the host,
where these are, and copied for many mini-batches at once. A step then only launches work: it reads no number
back, looks for no entries and copies nothing, each of which would leave a GPU idle until the host is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from jamie.model.batches import Batch
from jamie.model.level import IndexedBatch, Levels, Shape
from jamie.model.options import Options

GROUP_MB = 32  # of mini-batches that are copied at once; a GPU holds two groups at most


@dataclass
class DeviceBatch:
    """An `IndexedBatch` on the device: the same attributes, as tensors.

    Attributes
    ----------
    shape
        Mini-batches of one shape differ in their values alone.
    indices, blocks
        On a GPU, all of them one after the other: int64 and float32, of which the others are views.
    """

    rows: tuple[torch.Tensor, torch.Tensor]
    n_own: tuple[int, int]
    f: torch.Tensor
    f_estimated: torch.Tensor | None
    with_mass: tuple[torch.Tensor, torch.Tensor]
    pairs: tuple[torch.Tensor, torch.Tensor]
    mutual: tuple[torch.Tensor, torch.Tensor]
    shape: Shape
    indices: torch.Tensor | None = None
    blocks: torch.Tensor | None = None

    @classmethod
    def of(cls, parts: list[torch.Tensor], shape: Shape, **flat: torch.Tensor) -> DeviceBatch:
        """From the parts in the order of `IndexedBatch.arrays`."""
        rows, with_mass, pairs, mutual = (tuple(parts[i : i + 2]) for i in range(0, 8, 2))
        f, f_estimated = parts[8], parts[9] if shape.estimated else None
        return cls(rows, shape.n_own, f, f_estimated, with_mass, pairs, mutual, shape, **flat)

    @classmethod
    def views(cls, indices: torch.Tensor, blocks: torch.Tensor, shape: Shape) -> DeviceBatch:
        """From all indices and all blocks, one after the other."""
        parts = [*indices.split(shape.index_sizes)]
        parts += [block.view(shape.n_rows) for block in blocks.split(shape.block_sizes)]
        return cls.of(parts, shape, indices=indices, blocks=blocks)

    def clone(self) -> DeviceBatch:
        return DeviceBatch.views(self.indices.clone(), self.blocks.clone(), self.shape)


class Feed:
    """Brings mini-batches to a device, group by group.

    Parameters
    ----------
    level
        Fill mini-batches up so that they come in few shapes (see `jamie.model.level`).
    """

    def __init__(self, options: Options, device: torch.device, level: bool = False):
        self.options, self.device = options, device
        self.levels = Levels(options) if level else None

    def __call__(self, batches: Iterable[Batch]) -> Iterator[DeviceBatch]:
        """The same mini-batches, in order."""
        group: list[IndexedBatch] = []
        size_mb = 0.0
        for batch in batches:
            group.append(IndexedBatch.of(batch, self.options))
            size_mb += batch.f.nbytes * (1 if batch.f_estimated is None else 2) / 2**20
            if size_mb >= GROUP_MB:
                yield from self._copied(group)
                group, size_mb = [], 0.0
        if group:
            yield from self._copied(group)

    def _copied(self, group: list[IndexedBatch]) -> Iterator[DeviceBatch]:
        if self.levels is not None:
            group = self.levels(group)
        if self.device.type == "cpu":
            for batch in group:
                yield DeviceBatch.of([torch.from_numpy(a) for a in batch.arrays()], batch.shape)
            return
        shapes = [batch.shape for batch in group]
        indices = self._copy([a for batch in group for a in batch.indices()])
        blocks = self._copy([a for batch in group for a in batch.blocks()])
        yield from map(
            DeviceBatch.views,
            indices.split([sum(s.index_sizes) for s in shapes]),
            blocks.split([sum(s.block_sizes) for s in shapes]),
            shapes,
        )

    def _copy(self, arrays: list[np.ndarray]) -> torch.Tensor:
        """Arrays of one dtype on a GPU, one after the other, by one copy that the host does not wait for."""
        flat = torch.from_numpy(np.concatenate([a.ravel() for a in arrays]))
        return flat.pin_memory().to(self.device, non_blocking=True)
