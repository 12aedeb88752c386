"""MMD-MA: two kernel maps into one space where both modalities are distributed alike. Uses no pairs.

With kernels K_m = Phi_m Phi_m' of the cells of modality m, and maps z_m = Phi_m W_m, it minimises

    MMD^2(z_1, z_2) + penalty sum_m |W_m' W_m - I|^2 + distortion sum_m |K_m - z_m z_m'|^2 / |K_m|^2

The article writes W_m = Phi_m' alpha_m. In features, of which there are fewer than cells, the last two terms
need products of features only, |K - z z'|^2 = tr((I - W W') G (I - W W') G) with G = Phi' Phi, and the first
takes mini-batches: time and memory grow linearly in cells. Random starts end in optima of either orientation;
the least objective tells them apart.

Source: Liu, Huang, Singh, Vert, Noble, WABI 2019, eq. 1-4; Singh et al., ACM-BCB 2020.
"""

from __future__ import annotations

import numpy as np

from jamie.methods import base
from jamie.methods.latent import Cells, Embedder
from jamie.registry import Spec

SPEC = Spec(
    label="MMD-MA",
    summary="Kernel maps of both modalities that match in distribution (maximum mean discrepancy); uses no "
    "pairs; values by neighbours.",
    citation="Liu et al., WABI (2019); Singh et al., ACM-BCB (2020)",
    uses_pairs=False,
    cost="linear in cells",
    builds_on=("methods/latent.py", "device.py"),
    options={
        "n_components": None,
        "kernel": "gaussian",
        "n_landmarks": 300,
        "n_latent": 6,
        "penalty": 1e-2,
        "distortion": 1e-2,
        "n_steps": 600,
        "starts": 20,
        "batch_size": 256,
        "device": "auto",
    },
    search={
        "n_latent": (4, 6, 8),
        "penalty": (1e-3, 1e-2, 1e-1),
        "distortion": (1e-3, 1e-2, 1e-1),
    },
)
FINAL_BATCH = 2048  # cells of a modality by which the best start is told


class Method(Embedder):
    """See the module; ``kernel`` is "gaussian" (Nystrom features of ``n_landmarks`` cells) or "linear"."""

    def __init__(
        self,
        *,
        seed: int = 0,
        n_components: int | None = None,
        kernel: str = "gaussian",
        n_landmarks: int = 300,
        n_latent: int = 6,
        penalty: float = 1e-2,
        distortion: float = 1e-2,
        n_steps: int = 600,
        starts: int = 20,
        batch_size: int = 256,
        device: str = "auto",
    ):
        self.seed, self.n_components, self.kernel, self.n_landmarks = seed, n_components, kernel, n_landmarks
        self.search = {"n_latent": n_latent, "penalty": penalty, "distortion": distortion}
        self.search |= {"n_steps": n_steps, "starts": starts, "batch_size": batch_size}
        self.device = device

    def fit(self, train, known) -> Method:
        from jamie.device import choose_device

        k = base.n_components(train, None, self.n_components)
        self.cells = {m: Cells.of(a, k) for m, a in train.mod.items()}
        self.features = {
            m: Features(self.kernel, c.x, self.n_landmarks, self.seed) for m, c in self.cells.items()
        }
        phi = [self.features[m](c.x) for m, c in self.cells.items()]
        device = choose_device(self.device)
        self.objective, maps = minimise(phi, **self.search, seed=self.seed, device=device)
        self.maps = dict(zip(self.cells, maps, strict=True))
        self.latent = {m: self.place(c.x, m) for m, c in self.cells.items()}
        return self

    def place(self, x: np.ndarray, modality: str) -> np.ndarray:
        return (self.features[modality](x) @ self.maps[modality]).astype(np.float32)


class Features:
    """A function of cells (n, p) to features (n, q) whose inner products are the kernel.

    "linear": the centred components themselves. "gaussian": Nystrom's approximation on landmarks; the width
    is the median distance of two cells.
    """

    def __init__(self, kernel: str, x: np.ndarray, n_landmarks: int, seed: int):
        self.kernel, self.mean = kernel, 0.0
        if kernel == "linear":
            self.mean = x.mean(axis=0)
            self.scale = np.sqrt(np.square(x - self.mean).sum(axis=1).mean())
            return
        from scipy.spatial.distance import cdist

        self.landmarks = x[np.random.default_rng(seed).permutation(len(x))[:n_landmarks]].astype(float)
        squared = cdist(self.landmarks, self.landmarks, "sqeuclidean")
        self.width = np.median(squared[np.triu_indices(len(squared), 1)])
        values, vectors = np.linalg.eigh(np.exp(-squared / self.width))
        keep = values > 1e-6 * values.max()
        self.whiten = vectors[:, keep] / np.sqrt(values[keep])
        self.mean = self(x).mean(axis=0)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        if self.kernel == "linear":
            return (x - self.mean) / self.scale
        from scipy.spatial.distance import cdist

        return np.exp(-cdist(x, self.landmarks, "sqeuclidean") / self.width) @ self.whiten - self.mean


def minimise(phi, *, starts: int, n_steps: int, **settings):
    """The best of several random starts: all go a fifth of the way, the best fifth of them to the end.

    Parameters
    ----------
    phi
        Pair of features (n_1, q_1), (n_2, q_2).
    settings
        Of `Objective`.

    Returns
    -------
    The objective reached and the maps (q_1, d), (q_2, d).
    """
    problem = Objective(phi, **settings)
    maps, value = problem.descend(problem.start(starts), n_steps // 5)
    kept = value.argsort()[: max(1, starts // 5)]
    maps, value = problem.descend([w[kept] for w in maps], n_steps)
    return float(value.min()), [w[value.argmin()].cpu().numpy() for w in maps]


class Objective:
    """What is minimised, for several pairs of maps (r, q_1, d), (r, q_2, d) at once."""

    def __init__(self, phi, *, n_latent, penalty, distortion, batch_size, seed, device):
        import torch

        self.n_latent = min(n_latent, *(p.shape[1] for p in phi))
        self.penalty, self.distortion = penalty, distortion
        self.batch_size, self.device = batch_size, device
        self.generator = torch.Generator().manual_seed(seed)
        self.phi = [torch.as_tensor(p, dtype=torch.float32) for p in phi]
        self.gram = [(p.T @ p / len(p)).to(device) for p in self.phi]
        self.width = bandwidth(self.gram, self.n_latent)

    def start(self, n: int):
        """Random orthonormal maps, ``n`` pairs."""
        import torch

        maps = [torch.randn(n, p.shape[1], self.n_latent, generator=self.generator) for p in self.phi]
        return [torch.linalg.qr(w)[0].to(self.device) for w in maps]

    def value(self, maps, batch_size: int):
        """Objective (r,), its first term by ``batch_size`` random cells of a modality."""
        import torch

        rows = [torch.randperm(len(p), generator=self.generator)[:batch_size] for p in self.phi]
        z = [p[r].to(self.device) @ w for p, r, w in zip(self.phi, rows, maps, strict=True)]
        value = mmd(*z, self.width)
        for gram, w in zip(self.gram, maps, strict=True):
            identity = torch.eye(self.n_latent, device=self.device)
            rest = gram - w @ (w.mT @ gram)
            value = value + self.penalty * (w.mT @ w - identity).square().sum((1, 2))
            value = value + self.distortion * (rest * rest.mT).sum((1, 2)) / gram.square().sum()
        return value

    def descend(self, maps, n_steps: int):
        """Adam with a cosine rate; the maps it comes to, and their objective by many cells."""
        import torch

        maps = [torch.nn.Parameter(w) for w in maps]
        optimizer = torch.optim.Adam(maps, lr=0.02)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
        for _ in range(n_steps):
            optimizer.zero_grad(set_to_none=True)
            self.value(maps, self.batch_size).sum().backward()
            optimizer.step()
            schedule.step()
        with torch.no_grad():
            return [w.detach() for w in maps], self.value(maps, FINAL_BATCH)


def bandwidth(gram, n_latent: int) -> float:
    """Mean squared distance of two cells in a modality's first ``n_latent`` principal directions."""
    import torch

    return float(np.mean([2 * torch.linalg.eigvalsh(g)[-n_latent:].sum().item() for g in gram]))


def mmd(first, second, width: float):
    """Squared maximum mean discrepancy (r,) of samples (r, n, d), (r, m, d); kernel exp(-|.|^2 / width)."""

    def similarity(a, b):
        squared = a.square().sum(2)[:, :, None] + b.square().sum(2)[:, None, :] - 2 * a @ b.mT
        return (-squared / width).exp().mean((1, 2))

    return similarity(first, first) + similarity(second, second) - 2 * similarity(first, second)
