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
from jamie.model.options import Options

GROUP_MB = 32  # of mini-batches that are copied at once; a GPU holds two groups at most


@dataclass
class DeviceBatch:
    """A `Batch` on the device, with the indices a step needs: int64, into its rows.

    Attributes
    ----------
    rows
        Cells to encode, (b_1,) and (b_2,): the batch's own first.
    n_own
        How many of each belong to the batch.
    f, f_estimated
        Blocks of F and F~, float32 (b_1, b_2); the second is None without F~.
    with_mass
        For each modality, the own cells for which F~ holds any mass; empty without F~.
    pairs
        Rows and columns of the pairs the terms on pairs are about, two (k,); empty if no such term is on.
    mutual
        Those of them that are each other's best partner, so that no cell is its own negative.
    """

    rows: tuple[torch.Tensor, torch.Tensor]
    n_own: tuple[int, int]
    f: torch.Tensor
    f_estimated: torch.Tensor | None
    with_mass: tuple[torch.Tensor, torch.Tensor]
    pairs: tuple[torch.Tensor, torch.Tensor]
    mutual: tuple[torch.Tensor, torch.Tensor]


class Feed:
    """Brings mini-batches to a device, group by group."""

    def __init__(self, options: Options, device: torch.device):
        self.options, self.device = options, device

    def __call__(self, batches: Iterable[Batch]) -> Iterator[DeviceBatch]:
        """The same mini-batches, in order."""
        group: list[Batch] = []
        size_mb = 0.0
        for batch in batches:
            group.append(batch)
            size_mb += batch.f.nbytes * (1 if batch.f_estimated is None else 2) / 2**20
            if size_mb >= GROUP_MB:
                yield from self._copied(group)
                group, size_mb = [], 0.0
        if group:
            yield from self._copied(group)

    def _copied(self, group: list[Batch]) -> Iterator[DeviceBatch]:
        indices = iter(together([part for batch in group for part in self._indices(batch)], self.device))
        blocks = iter(
            together([m for b in group for m in (b.f, b.f_estimated) if m is not None], self.device)
        )
        for batch in group:
            rows, with_mass, pairs, mutual = ((next(indices), next(indices)) for _ in range(4))
            f = next(blocks)
            f_estimated = None if batch.f_estimated is None else next(blocks)
            yield DeviceBatch(rows, batch.n_own, f, f_estimated, with_mass, pairs, mutual)

    def _indices(self, batch: Batch) -> list[np.ndarray]:
        """Rows, cells with mass, pairs and mutual pairs of a mini-batch, two arrays each."""
        n_1, n_2 = batch.n_own
        none = np.empty(0, np.int64)
        with_mass, pairs, mutual = [none, none], [none, none], [none, none]
        if batch.f_estimated is not None:
            with_mass = [
                np.flatnonzero(part.any(1))
                for part in (batch.f_estimated[:n_1], batch.f_estimated[:, :n_2].T)
            ]
        f = batch.f[:n_1, :n_2]
        if batch.f_estimated is not None and "pairs" in self.options.estimated_in:
            f = batch.f + batch.f_estimated
        if self.options.cross_reconstruction or self.options.contrastive:
            pairs = np.nonzero(f)
        if self.options.contrastive:
            best = f.argmax(1)
            rows = np.flatnonzero((f[np.arange(len(f)), best] > 0) & (f.argmax(0)[best] == np.arange(len(f))))
            mutual = rows, best[rows]
        return [*batch.rows, *with_mass, *pairs, *mutual]


def together(arrays: list[np.ndarray], device: torch.device) -> list[torch.Tensor]:
    """Arrays of one dtype on a GPU, by one copy that the host does not wait for; on the CPU as they are."""
    if device.type == "cpu":
        return [torch.from_numpy(np.ascontiguousarray(a)) for a in arrays]
    return apart(torch.from_numpy(flat(arrays)).pin_memory().to(device, non_blocking=True), arrays)


def flat(arrays: list[np.ndarray]) -> np.ndarray:
    """One after the other, (sum of sizes,)."""
    return np.concatenate([a.ravel() for a in arrays])


def apart(values: torch.Tensor, like: list[np.ndarray]) -> list[torch.Tensor]:
    """Views of `flat` arrays in their shapes."""
    parts = values.split([a.size for a in like])
    return [part.view(a.shape) for part, a in zip(parts, like, strict=True)]
