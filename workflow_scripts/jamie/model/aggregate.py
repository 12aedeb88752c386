"""Mixing the latents of corresponding cells.

M^X = diag(1 + delta F 1)^-1 (L^X + delta F L^Y)
M^Y = diag(1 + F^T 1 / delta)^-1 (L^Y + F^T L^X / delta)
"""

from __future__ import annotations

import torch


def aggregate(latent_x, latent_y, f, delta) -> tuple[torch.Tensor, torch.Tensor]:
    """M^X (n_X, d) and M^Y (n_Y, d) from L^X (n_X, d), L^Y (n_Y, d) and F (n_X, n_Y).

    A cell without a partner keeps its own latent.
    """
    mixed_x = (latent_x + delta * (f @ latent_y)) / (1 + delta * f.sum(1, keepdim=True))
    mixed_y = (latent_y + (f.T @ latent_x) / delta) / (1 + f.sum(0).unsqueeze(1) / delta)
    return mixed_x, mixed_y
