"""The launches of a step as one, on a GPU.

A step of these small networks launches hundreds of kernels, each of which takes a GPU less time than the host
needs to launch it. A CUDA graph keeps them and launches all at once. It repeats the addresses and sizes it
was captured with: one graph per `Shape` of mini-batch, into whose own mini-batch the values of others are
copied.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch

from jamie.model.feed import DeviceBatch
from jamie.model.level import Shape
from jamie.model.losses import LossTerms

# of a mini-batch and the weights of the terms: returns the terms and leaves gradients in the parameters
Function = Callable[[DeviceBatch, dict], LossTerms]
ORDINARY = 2  # steps of a shape that are done launch by launch: libraries set themselves up in the first ones
MOST = 64  # graphs, each of which keeps its memory; further shapes are done launch by launch


@dataclass
class Captured:
    """A graph, the mini-batch it reads, and what it leaves: unweighted terms (k,), and gradients."""

    graph: torch.cuda.CUDAGraph
    batch: DeviceBatch
    names: list[str]
    terms: torch.Tensor
    gradients: list[torch.Tensor | None]


class Graphs:
    """Calls a function that leaves gradients, by a CUDA graph from the third mini-batch of a shape on."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], device: torch.device):
        self.parameters = list(parameters)
        self.stream = torch.cuda.Stream(device)  # graphs cannot be captured in the default one
        self.captured: dict[Shape, Captured] = {}
        self.seen: Counter[Shape] = Counter()
        self.weight: dict[str, torch.Tensor] = {}  # on the device, where graphs read it
        self.weight_now: dict[str, float] = {}

    def __call__(self, function: Function, batch: DeviceBatch, weight: dict[str, float]) -> LossTerms:
        """What ``function`` does and returns; it reads its values from the two arguments alone."""
        current = torch.cuda.current_stream()
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            terms = self._terms(function, batch, weight)
        current.wait_stream(self.stream)
        return terms

    def _terms(self, function: Function, batch: DeviceBatch, weight: dict[str, float]) -> LossTerms:
        shape = batch.shape
        if shape not in self.captured:
            self.seen[shape] += 1
            if self.seen[shape] <= ORDINARY or len(self.captured) >= MOST:
                return function(batch, weight)
        self._set(weight, batch.f.device)
        if shape not in self.captured:
            self.captured[shape] = self._capture(function, batch.clone())
        return self._replay(self.captured[shape], batch)

    def _set(self, weight: dict[str, float], device: torch.device) -> None:
        if weight == self.weight_now:
            return
        for name, value in weight.items():
            self.weight.setdefault(name, torch.zeros((), device=device)).fill_(value)
        self.weight_now = dict(weight)

    def _capture(self, function: Function, batch: DeviceBatch) -> Captured:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self.stream):
            terms = function(batch, self.weight)
            names, values = zip(*terms.items(), strict=True)
            stacked = torch.stack([value.detach() for value in values])
        return Captured(graph, batch, list(names), stacked, [p.grad for p in self.parameters])

    def _replay(self, captured: Captured, batch: DeviceBatch) -> LossTerms:
        captured.batch.indices.copy_(batch.indices)
        captured.batch.blocks.copy_(batch.blocks)
        captured.graph.replay()
        for parameter, gradient in zip(self.parameters, captured.gradients, strict=True):
            parameter.grad = gradient
        return LossTerms(**dict(zip(captured.names, captured.terms.clone().unbind(), strict=True)))
