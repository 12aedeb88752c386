"""One variational autoencoder per modality. Rows are cells: x (b, p), z (b, d)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import nn

from jamie.model.canonical import SharedAxes
from jamie.model.options import Options

CHUNK = 8192  # cells encoded at once


class Dropout(nn.Dropout):
    """Dropout whose mask takes a byte per value, eight bytes from each random number.

    The CPU's generator draws one number at a time, so that the masks of `torch.nn.Dropout` cost small
    networks as much as their products do. The share that is dropped is rounded to 1/256 and made up for
    exactly. On a GPU it is that of torch, which is one kernel.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.is_cuda:
            return super().forward(x)
        dropped = round(256 * self.p)
        if not self.training or not dropped:
            return x
        numbers = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device).random_(-(2**63), None)
        keep = (numbers.view(torch.uint8)[: x.numel()] >= dropped).view(x.shape)
        return x * keep * (256 / (256 - dropped))


def _stack(widths: list[int], dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.LeakyReLU(), Dropout(dropout)]
    return nn.Sequential(*layers)


class VAE(nn.Module):
    """Encoder to (mu, log variance) and decoder, with BatchNorm, LeakyReLU and dropout.

    With the option ``canonical_ridge`` the encoder sees x @ axes, a fixed map; with ``residual``, too, the
    latent mean is what known pairs share along these axes beyond chance, plus what the network adds: where
    pairs are few, it has little to add that holds. See `jamie.model.canonical`.

    Parameters
    ----------
    n_input
        Width p of the model input (principal components of one modality).
    """

    def __init__(self, n_input: int, options: Options):
        super().__init__()
        unit = n_input if options.hidden_relative else 1
        self.mixed = options.precision == "mixed"
        hidden = [max(2, round(width * unit)) for width in options.hidden_layers]
        plain = options.canonical_ridge is None
        shared = None if plain or not options.residual else torch.zeros(n_input, options.n_latent)
        self.register_buffer("axes", None if plain else torch.eye(n_input))
        self.register_buffer("shared", shared)
        self.input_dropout = Dropout(options.input_dropout)
        self.encoder = _stack([n_input, *hidden], options.dropout)
        self.mu = nn.Linear(hidden[-1], options.n_latent)
        self.log_var = nn.Linear(hidden[-1], options.n_latent)
        self.decoder = _stack([options.n_latent, *hidden[::-1]], options.dropout)
        self.output = nn.Linear(hidden[0], n_input)

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """x (b, p) to mu (b, d) and log variance (b, d)."""
        with self._precision(x):
            turned = self.input_dropout(x if self.axes is None else x @ self.axes)
            h = self.encoder(turned)
            mu, log_var = self.mu(h), self.log_var(h)
            if self.shared is not None:
                mu = mu + turned @ self.shared
        return mu.float(), log_var.float().clamp(-10, 10)

    @torch.no_grad()
    def latent(self, x: np.ndarray) -> np.ndarray:
        """Latent means of cells x (n, p): float32 (n, d)."""
        device = self.mu.weight.device
        starts = range(0, max(len(x), 1), CHUNK)
        parts = (self.encode(torch.as_tensor(x[i : i + CHUNK], device=device))[0] for i in starts)
        return np.concatenate([part.cpu().numpy() for part in parts])

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """z (b, d) to x (b, p)."""
        with self._precision(z):
            x = self.output(self.decoder(z))
        return x.float()

    def _precision(self, x: torch.Tensor) -> torch.autocast:
        """bfloat16 where it is safe, in training only and if it was asked for."""
        return torch.autocast(x.device.type, torch.bfloat16, enabled=self.mixed and self.training)


class JointVAE(nn.Module):
    """Two VAEs and the learned delta > 0 that balances the two sides of the aggregation.

    Attributes
    ----------
    direct
        By source, how it is imputed from beside the decoder (`jamie.model.direct`), once a fit has learned
        it; or nothing.
    """

    def __init__(self, n_inputs: tuple[int, int], options: Options):
        super().__init__()
        self.vaes = nn.ModuleList([VAE(n, options) for n in n_inputs])
        self.log_delta = nn.Parameter(torch.zeros(()))
        self.direct = nn.ModuleList()

    def set_direct(self, ways: nn.ModuleList) -> None:
        """How to impute from either modality beside the decoder."""
        self.direct = ways.to(self.log_delta.device)

    def weigh(self, shares: list[float]) -> None:
        """What the decoder weighs beside the direct way, by source; none: the decoder is all there is."""
        if not shares:
            self.direct = nn.ModuleList()
        for way, share in zip(self.direct, shares, strict=True):
            way.share.fill_(share)

    def set_axes(self, shared: SharedAxes) -> None:
        """How the encoders see their input, and where their latents start; at first as it is, and at 0."""
        for vae, values in zip(self.vaes, shared.maps, strict=True):
            vae.axes.copy_(torch.as_tensor(values))
            if vae.shared is not None:
                n = min(len(shared.latent), vae.shared.shape[1])
                vae.shared[:n, :n] = torch.diag(torch.as_tensor(shared.latent[:n]))

    def encode(self, axis: int, x: np.ndarray) -> np.ndarray:
        """Latent means of cells x (n, p) of the first or the second modality: float32 (n, d)."""
        return self.vaes[axis].latent(x)

    @torch.no_grad()
    def decode(self, axis: int, z: np.ndarray) -> np.ndarray:
        """Latents (n, d) decoded as the first or the second modality: float32 (n, p)."""
        return self.vaes[axis].decode(self._tensor(z)).cpu().numpy()

    def imputed(self, axis: int, x: torch.Tensor) -> torch.Tensor:
        """Model input of the first or the second modality (b, p) to that of the other (b, q)."""
        decoded = self.vaes[1 - axis].decode(self.vaes[axis].encode(x)[0])
        if not self.direct:
            return decoded
        direct = self.direct[axis]
        return direct.share * decoded + (1 - direct.share) * direct(x)

    @torch.no_grad()
    def impute(self, axis: int, x: np.ndarray) -> np.ndarray:
        """The same of any number of cells: float32 (n, p) to float32 (n, q)."""
        starts = range(0, max(len(x), 1), CHUNK)
        return np.concatenate(
            [self.imputed(axis, self._tensor(x[i : i + CHUNK])).cpu().numpy() for i in starts]
        )

    def _tensor(self, values: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(values, device=self.log_delta.device)

    def compile_networks(self) -> None:
        """Compile both directions of each network; the weights and their names stay as they are."""
        for vae in self.vaes:
            vae.encode = torch.compile(vae.encode, dynamic=True)
            vae.decode = torch.compile(vae.decode, dynamic=True)

    @property
    def delta(self) -> torch.Tensor:
        return self.log_delta.exp()


def sample(mu: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
    """z = mu + sigma * eps."""
    return mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
