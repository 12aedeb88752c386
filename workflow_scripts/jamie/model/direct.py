"""Imputation straight from components to components, beside the decoder: kernel ridge regression of pairs.

What is imputed is the weighted mean of both. A network fitted to all cells and a regression fitted to the
pairs err differently, so that their mean errs less than either; the weight is by what both said of known
pairs that neither had seen. Latents have no part in the regression, and it none in them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from jamie.data.correspondence import best_pairs
from jamie.linear.kernel import KernelRidge

MIN_PAIRS = 20  # fewer tell no regression from a mean
AT_ONCE = 8192  # cells, each against all landmarks
EVEN_PAIRS = 100  # left-out pairs that the weight 1/2 counts as


class Direct(nn.Module):
    """`KernelRidge` as a function of tensors, and what it weighs beside the decoder.

    Attributes
    ----------
    share
        Of the decoder, 0 to 1.
    """

    def __init__(self, n_landmarks: int, n_source: int, n_target: int):
        super().__init__()
        shapes = {
            "gamma": (),
            "landmarks": (n_landmarks, n_source),
            "weights": (n_landmarks, n_target),
            "intercept": (n_target,),
        }
        for name, shape in shapes.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64))
        self.register_buffer("share", torch.tensor(0.5))

    @classmethod
    def of(cls, found: KernelRidge) -> Direct:
        self = cls(*found.landmarks.shape, len(found.intercept))
        for name in ("gamma", "landmarks", "weights", "intercept"):
            getattr(self, name).copy_(torch.as_tensor(np.asarray(getattr(found, name))))
        return self

    def kernel(self, x: torch.Tensor) -> torch.Tensor:
        """exp(-gamma |x - landmark|^2) of components x (b, k_source): float64 (b, m)."""
        x = x.double()
        squares = (x * x).sum(1)[:, None] + (self.landmarks * self.landmarks).sum(1)
        return torch.exp(-self.gamma * (squares - 2 * x @ self.landmarks.T))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Components of the source (b, k_source) to those of the target: float32 (b, k_target)."""
        return (self.kernel(x) @ self.weights + self.intercept).float()

    @torch.no_grad()
    def predict(self, x: np.ndarray) -> np.ndarray:
        """The same of any number of cells: float32 (n, k_source) to float32 (n, k_target)."""
        parts = torch.as_tensor(x).split(AT_ONCE)
        return torch.cat([self(part.to(self.landmarks.device)) for part in parts]).cpu().numpy()

    def path_jacobians(self, end: torch.Tensor, steps: np.ndarray) -> torch.Tensor:
        """Mean Jacobian at ``end`` (b, k_source) times each of ``steps``: float32 (b, k_target, k_source)."""
        end, kernel, moved = end.double(), 0, 0
        for step in steps:
            at = self.kernel(end * float(step)) / len(steps)
            kernel, moved = kernel + at, moved + float(step) * at
        away = torch.einsum("bq,bp->bqp", moved @ self.weights, end)
        toward = torch.bmm(self.weights.T * kernel[:, None], self.landmarks.expand(len(end), -1, -1))
        return (2 * self.gamma * (toward - away)).float()


def empty(state: dict[str, torch.Tensor]) -> nn.ModuleList:
    """As many and as large as those of a saved `jamie.model.network.JointVAE`."""
    found = []
    while f"direct.{len(found)}.weights" in state:
        parts = (state[f"direct.{len(found)}.{name}"] for name in ("landmarks", "weights"))
        (n_landmarks, n_source), (_, n_target) = (part.shape for part in parts)
        found.append(Direct(n_landmarks, n_source, n_target))
    return nn.ModuleList(found)


def fit(x: tuple[np.ndarray, np.ndarray], f, seed: int) -> nn.ModuleList:
    """The regression from either modality to the other; empty where too few pairs are known.

    ``x`` (n_1, k_1), (n_2, k_2): model input of the cells fitted, of known correspondence ``f`` (n_1, n_2).
    """
    pairs = best_pairs(f)
    if len(pairs) < MIN_PAIRS:
        return nn.ModuleList()
    sides = [side[rows].astype(float) for side, rows in zip(x, pairs.T, strict=True)]
    return nn.ModuleList(Direct.of(KernelRidge.fit(a, b, seed)) for a, b in (sides, sides[::-1]))


def share(measured: np.ndarray, decoded: np.ndarray, regressed: np.ndarray) -> float:
    """What the decoder should weigh, by left-out pairs: by least squares, drawn to 1/2 where these are few.

    All three are components of the target, (n, k).
    """
    apart = decoded.astype(float) - regressed
    best = (apart * (measured - regressed)).sum() / max((apart**2).sum(), 1e-12)
    n = len(measured)
    return float((n * np.clip(best, 0, 1) + EVEN_PAIRS / 2) / (n + EVEN_PAIRS))
