"""The pieces a fit is made of, and those of the reference where they are faulty, for ablations.

The option ``faults`` names what to do as the reference implementation does (Cohen Kalafut et al. 2023);
`pieces_for` puts the faulty piece in the place of the sound one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch

from jamie.model.batches import Batch, Batches
from jamie.model.losses import JointLoss, LossTerms, kl
from jamie.model.watch import Stopper

DISTINCT = 8  # the faulty sampling draws one distinct pair for this many it should


class FewPairs(Batches):
    """Where some cells have no partner, fills a batch with few distinct known pairs, many times each.

    An epoch then visits few of the pairs. Estimated partners are not brought along.
    """

    @property
    def sound(self) -> bool:
        return min(map(len, self.alone)) == 0

    def chosen(self, pairs: np.ndarray) -> np.ndarray:
        if self.sound or not len(pairs):
            return pairs
        return self.rng.choice(pairs[: max(2, len(pairs) // DISTINCT)], len(pairs))

    def batch(self, own_1: np.ndarray, own_2: np.ndarray) -> Batch:
        """A batch in which a cell stands several times, each copy paired with every copy of its partner."""
        if self.sound:
            return super().batch(own_1, own_2)
        block = self.f.block(*(np.unique(own) for own in (own_1, own_2)))
        place = [np.unique(own, return_inverse=True)[1] for own in (own_1, own_2)]
        f = block[place[0]][:, place[1]]
        return Batch((own_1, own_2), (len(own_1), len(own_2)), f, None)


class SharedLogVar(JointLoss):
    """The log variance of one cell, the first of the second modality, in the KL term of all cells."""

    def kl(self, encoded: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        shared = encoded[1][1][:1]
        return sum(kl(mu, shared) for mu, _ in encoded)


class LastBatchStopper(Stopper):
    """Early stopping that watches the last batch of an epoch only."""

    def watched(self, losses: dict[str, float], validation: dict[str, float], last: LossTerms) -> dict:
        return {name: value.item() for name, value in last.items()}


def training_cells_only(prepared, train):
    """The cells whose principal components are the model's input: those that may be seen."""
    return train


def held_out_cells_too(prepared, train):
    """Components that have seen the cells they are scored on."""
    return prepared


@dataclass(frozen=True)
class Pieces:
    """What a fit is made of, as far as a fault of the reference concerns it."""

    batches: type[Batches] = Batches
    loss: type[JointLoss] = JointLoss
    stopper: type[Stopper] = Stopper
    component_cells: Callable = training_cells_only


FAULTS = {
    "pair_sampling": {"batches": FewPairs},
    "shared_logvar": {"loss": SharedLogVar},
    "one_batch_stop": {"stopper": LastBatchStopper},
    "leak": {"component_cells": held_out_cells_too},
}


def pieces_for(faults: Iterable[str]) -> Pieces:
    """The pieces of a fit that has these faults of the reference; none: the sound ones."""
    pieces = Pieces()
    for name in faults:
        pieces = replace(pieces, **FAULTS[name])
    return pieces
