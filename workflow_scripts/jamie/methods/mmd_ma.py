"""MMD-MA: two kernel maps into one space where both modalities are distributed alike. Uses no pairs.

With kernels K_m = Phi_m Phi_m' of the cells of modality m, and maps z_m = Phi_m W_m, it minimises

    MMD^2(z_1, z_2) + lambda_penalty sum_m |W_m' W_m - I|^2 + lambda_distortion sum_m |K_m - z_m z_m'|^2 / |K_m|^2

The article writes W_m = Phi_m' alpha_m. In features, of which there are fewer than cells, the last two terms need
products of features only, |K - z z'|^2 = tr((I - W W') G (I - W W') G) with G = Phi' Phi, and the first takes
mini-batches: time and memory grow linearly in cells.

Source: Liu, Huang, Singh, Vert, Noble, WABI 2019, eq. 1-4; Singh et al., ACM-BCB 2020.
"""

from __future__ import annotations

import numpy as np

from jamie.methods.base import Spec
from jamie.methods.latent import Cells, Embedder

SPEC = Spec(
    label="MMD-MA",
    summary="Kernel maps of both modalities that match in distribution (maximum mean discrepancy); uses no pairs; "
    "values by neighbours.",
    citation="Liu et al., WABI (2019); Singh et al., ACM-BCB (2020)",
    uses_pairs=False,
    cost="grows linearly in cells",
    builds_on=("methods/latent.py",),
    options={
        "n_components": 30,
        "kernel": "linear",
        "n_landmarks": 300,
        "n_latent": 6,
        "penalty": 1e-2,
        "distortion": 1e-2,
        "n_steps": 1500,
        "restarts": 5,
        "batch_size": 512,
    },
    search={
        "n_latent": (4, 5, 6),
        "penalty": (1e-3, 1e-2, 1e-1),
        "distortion": (1e-3, 1e-2, 1e-1),
    },
)


class Method(Embedder):
    def __init__(
        self,
        *,
        seed: int = 0,
        n_components: int = 30,
        kernel: str = "linear",
        n_landmarks: int = 300,
        n_latent: int = 6,
        penalty: float = 1e-2,
        distortion: float = 1e-2,
        n_steps: int = 1500,
        restarts: int = 5,
        batch_size: int = 512,
    ):
        self.seed, self.n_components, self.kernel, self.n_landmarks = seed, n_components, kernel, n_landmarks
        self.weights = {"penalty": penalty, "distortion": distortion}
        self.search = {"n_latent": n_latent, "n_steps": n_steps, "batch_size": batch_size}
        self.restarts = restarts

    def fit(self, train, known) -> Method:
        self.cells = {m: Cells.of(a, self.n_components) for m, a in train.mod.items()}
        self.features = {
            m: features(self.kernel, c.x, self.n_landmarks, self.seed) for m, c in self.cells.items()
        }
        phi = [self.features[m](c.x) for m, c in self.cells.items()]
        found = [
            minimise(phi, **self.weights, **self.search, seed=self.seed + i) for i in range(self.restarts)
        ]
        self.objective, maps = min(found, key=lambda result: result[0])
        self.maps = dict(zip(self.cells, maps, strict=True))
        self.latent = {m: self.place(c.x, m) for m, c in self.cells.items()}
        return self

    def place(self, x: np.ndarray, modality: str) -> np.ndarray:
        return (self.features[modality](x) @ self.maps[modality]).astype(np.float32)


def features(kernel: str, x: np.ndarray, n_landmarks: int, seed: int):
    """A function of cells (n, p) to features (n, q) whose inner products are the kernel, of mean square 1.

    "linear": the centred components themselves. "gaussian": Nystrom's approximation on landmarks; the width is the
    median distance of two cells.
    """
    if kernel == "linear":
        mean = x.mean(axis=0)
        scale = np.sqrt(np.square(x - mean).sum(axis=1).mean())
        return lambda cells: (cells - mean) / scale
    from scipy.spatial.distance import cdist

    chosen = x[np.random.default_rng(seed).permutation(len(x))[:n_landmarks]].astype(float)
    squared = cdist(chosen, chosen, "sqeuclidean")
    width = np.median(squared[np.triu_indices(len(chosen), 1)])
    values, vectors = np.linalg.eigh(np.exp(-squared / width))
    keep = values > 1e-6 * values.max()
    whiten = vectors[:, keep] / np.sqrt(values[keep])
    mean = (np.exp(-cdist(x, chosen, "sqeuclidean") / width) @ whiten).mean(axis=0)
    return lambda cells: np.exp(-cdist(cells, chosen, "sqeuclidean") / width) @ whiten - mean


def minimise(phi, *, penalty, distortion, n_latent, n_steps, batch_size, seed):
    """Adam from a random start; returns the objective reached and the maps (q_1, d), (q_2, d)."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    phi = [torch.as_tensor(p, dtype=torch.float32) for p in phi]
    gram = [p.T @ p / len(p) for p in phi]
    start = [torch.linalg.qr(torch.randn(p.shape[1], n_latent, generator=generator))[0] for p in phi]
    maps = [torch.nn.Parameter(s) for s in start]
    optimizer = torch.optim.Adam(maps, lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    width = bandwidth(phi, gram, n_latent)

    def objective(size: int):
        rows = [torch.randperm(len(p), generator=generator)[:size] for p in phi]
        z = [p[r] @ w for p, r, w in zip(phi, rows, maps, strict=True)]
        value = mmd(*z, width)
        for g, w in zip(gram, maps, strict=True):
            value = value + penalty * (w.T @ w - torch.eye(n_latent)).square().sum()
            rest = g - w @ (w.T @ g)
            value = value + distortion * (rest @ rest).trace() / g.square().sum()
        return value

    for _ in range(n_steps):
        optimizer.zero_grad(set_to_none=True)
        objective(batch_size).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        return float(objective(4 * batch_size)), [w.detach().numpy() for w in maps]


def bandwidth(phi, gram, n_latent: int) -> float:
    """Mean squared distance of two cells in a modality's first ``n_latent`` principal directions, 2 x variance."""
    import torch

    return float(np.mean([2 * torch.linalg.eigvalsh(g)[-n_latent:].sum() for g in gram]))


def mmd(first, second, width: float):
    """Squared maximum mean discrepancy of two samples (n, d), (m, d) under a Gaussian kernel exp(-|.|^2 / width)."""
    import torch

    def similarity(a, b):
        return torch.exp(-torch.cdist(a, b).square() / width).mean()

    return similarity(first, first) + similarity(second, second) - 2 * similarity(first, second)
