"""The loss, term by term. Every term is a mean per element, so that its weight does not depend on the sizes.

l = l_KL + alpha l_combination + beta l_reconstruction + gamma l_alignment  (Cohen Kalafut et al. 2023), and
two optional terms on known pairs that the ``paper`` preset leaves off: cross-reconstruction and contrastive.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as functional

from jamie.model.aggregate import aggregate
from jamie.model.feed import DeviceBatch
from jamie.model.level import LEAST_PAIRS
from jamie.model.network import JointVAE, sample
from jamie.model.options import Options

TINY = 1e-30
FAR = 1e4  # a similarity so much smaller has no share in a softmax


@dataclass
class LossTerms:
    """Unweighted terms; None where a term does not apply (no pairs in the batch, no F~, or switched off)."""

    kl: torch.Tensor | None = None
    combination: torch.Tensor | None = None
    reconstruction: torch.Tensor | None = None
    alignment: torch.Tensor | None = None
    cross_reconstruction: torch.Tensor | None = None
    contrastive: torch.Tensor | None = None

    def items(self) -> list[tuple[str, torch.Tensor]]:
        """The terms that apply, by name."""
        pairs = [(f.name, getattr(self, f.name)) for f in fields(self)]
        return [(name, value) for name, value in pairs if value is not None]

    def total(self, weights: dict[str, float]) -> torch.Tensor:
        return sum(weights[name] * value for name, value in self.items())


def weights(options: Options, annealing: float) -> dict[str, float]:
    """Weight of each term; ``annealing`` in [0, 1] scales the KL term."""
    return {
        "kl": options.kl_weight * annealing,
        "combination": options.alpha,
        "reconstruction": options.beta,
        "alignment": options.gamma,
        "cross_reconstruction": options.cross_reconstruction,
        "contrastive": options.contrastive,
    }


def kl(mu: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
    """KL(q(z|x) || N(0, I)) = -1/2 (1 + log sigma^2 - mu^2 - sigma^2), mean over cells and dimensions.

    Each cell of each modality enters with its own log variance.
    """
    return -0.5 * (1 + log_var - mu.square() - log_var.exp()).mean()


def combination(latent: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
    """||L - M||^2: aggregation must not distort a modality. Mean over cells and dimensions."""
    return (latent - mixed).square().mean()


def reconstruction(x: torch.Tensor, decoded: torch.Tensor) -> torch.Tensor:
    """||X - X~||^2, mean over cells and inputs."""
    return (x - decoded).square().mean()


def alignment(
    mixed_x: torch.Tensor, mixed_y: torch.Tensor, f_estimated: torch.Tensor, with_mass: torch.Tensor
) -> torch.Tensor:
    """||M^X - F~ M^Y||^2 over the cells of X, at least one, for which F~ (b_X, b_Y) holds any mass.

    The rows of F~ are scaled to sum to 1, so that the target is a mean of latents; a row counts by its mass.
    Rows of ``with_mass`` that have none fill a mini-batch up and do not count.
    """
    mass = f_estimated.sum(1)[with_mass]
    target = (f_estimated[with_mass] / mass.clamp_min(TINY)[:, None]) @ mixed_y
    return ((_rows(mixed_x, with_mass) - target).square().mean(1) * mass).sum() / (mass > 0).sum()


def cross_reconstruction(y: torch.Tensor, decoded: torch.Tensor, confidence: torch.Tensor) -> torch.Tensor:
    """||Y_j - f_D^Y(L^X_i)||^2 over known pairs (i, j), weighted by F_ij. Shapes (k, p), (k, p), (k,)."""
    return ((y - decoded).square().mean(1) * confidence).sum() / confidence.sum()


def contrastive(
    mu_x: torch.Tensor,
    mu_y: torch.Tensor,
    confidence: torch.Tensor,
    temperature: float,
    filled: bool = False,
) -> torch.Tensor:
    """Symmetric InfoNCE over known pairs (van den Oord et al. 2018; as in CLIP).

    ``mu_x``, ``mu_y`` (k, d): row i of both is a pair; similarity is the cosine over the temperature. Where
    ``filled``, pairs without confidence fill a mini-batch up: they are no negatives of others.
    """
    similarity = functional.normalize(mu_x, dim=1) @ functional.normalize(mu_y, dim=1).T / temperature
    sides = [similarity, similarity.T]
    if filled:
        sides = [side - FAR * (confidence == 0) for side in sides]
    target = torch.arange(len(mu_x), device=mu_x.device)
    both = sum(functional.cross_entropy(side, target, reduction="none") for side in sides)
    return (both * confidence).sum() / confidence.sum() / 2


class JointLoss:
    """All terms of a mini-batch."""

    def __init__(self, options: Options):
        self.options = options

    def __call__(
        self, model: JointVAE, data: tuple[torch.Tensor, torch.Tensor], batch: DeviceBatch
    ) -> LossTerms:
        """The unweighted terms; ``data`` is the model input of both modalities, (n_1, p_1) and (n_2, p_2)."""
        options, n_own, f, f_estimated = self.options, batch.n_own, batch.f, batch.f_estimated
        x = [_rows(d, rows) for d, rows in zip(data, batch.rows, strict=True)]
        encoded = [vae.encode(values) for vae, values in zip(model.vaes, x, strict=True)]
        latent = [sample(mu, log_var) if model.training else mu for mu, log_var in encoded]
        where = options.estimated_in if f_estimated is not None else ()
        mixed = aggregate(*latent, f + f_estimated if "aggregation" in where else f, model.delta)
        terms = LossTerms()
        terms.kl = self.kl([(_first(mu, n), _first(v, n)) for (mu, v), n in zip(encoded, n_own, strict=True)])
        terms.combination = sum(
            combination(_first(z, n), _first(m, n)) for z, m, n in zip(latent, mixed, n_own, strict=True)
        )
        terms.reconstruction = sum(
            reconstruction(_first(v, n), vae.decode(_first(m, n)))
            for vae, v, m, n in zip(model.vaes, x, mixed, n_own, strict=True)
        )
        if "alignment" in where and options.gamma:
            terms.alignment = _both_sides(mixed, batch)
        if len(batch.pairs[0]) >= LEAST_PAIRS:
            self._pair_terms(terms, model, x, encoded, latent, batch)
        return terms

    def kl(self, encoded: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """The KL term of both modalities, from the mu and log variance of each one's own cells."""
        return sum(kl(mu, log_var) for mu, log_var in encoded)

    def _pair_terms(self, terms: LossTerms, model, x, encoded, latent, batch: DeviceBatch) -> None:
        """The terms that need pairs."""
        options, (i, j), f = self.options, batch.pairs, batch.f
        if batch.f_estimated is not None and "pairs" in options.estimated_in:
            f = f + batch.f_estimated
        if options.cross_reconstruction:
            there, back = model.vaes[1].decode(_rows(latent[0], i)), model.vaes[0].decode(_rows(latent[1], j))
            terms.cross_reconstruction = cross_reconstruction(
                _rows(x[1], j), there, f[i, j]
            ) + cross_reconstruction(_rows(x[0], i), back, f[i, j])
        if options.contrastive:
            i, j = batch.mutual
            mu = _rows(encoded[0][0], i), _rows(encoded[1][0], j)
            terms.contrastive = contrastive(*mu, f[i, j], options.temperature, batch.shape.filled)


def _rows(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """``values[index]``, whose gradient a GPU adds up in one launch where that of ``[]`` sorts first."""
    return values.index_select(0, index)


def _first(values: torch.Tensor, n: int) -> torch.Tensor:
    """The first ``n`` rows; where these are all, no slice, whose gradient costs a step two launches more."""
    return values if len(values) == n else values[:n]


def _both_sides(mixed, batch: DeviceBatch) -> torch.Tensor | None:
    """The alignment term seen from X and from Y: equal where F~ is one-to-one, so their mean."""
    n_rows = batch.shape.n_rows if batch.shape.filled else batch.n_own
    sides = [
        alignment(_first(mixed[k], n), mixed[1 - k], f[:n], batch.with_mass[k])
        for k, (n, f) in enumerate(zip(n_rows, (batch.f_estimated, batch.f_estimated.T), strict=True))
        if len(batch.with_mass[k])
    ]
    return sum(sides) / len(sides) if sides else None
