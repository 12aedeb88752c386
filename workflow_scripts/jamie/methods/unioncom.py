"""UnionCom: match the two geometries, then embed both so that neighbours and matches stay close. No pairs.

F~ comes from `jamie.matching`: the primal-dual matching of the article, or that of landmarks, which grows
linearly in cells. Coordinates of both modalities then minimise

    sum_m KL(P_m || Q_m) + beta |Y_1 - F~ Y_2|^2 / n

with P_m the neighbour probabilities of t-SNE in modality m and Q_m those of the coordinates (Student's t).

Source: Cao, Bai, Hong, Wan, Bioinformatics 36, i48-i56 (2020), eq. 3-10.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from jamie.methods import base
from jamie.methods.latent import Cells, Embedder
from jamie.registry import Spec

MAX_MATCHED = 1500  # cells of a modality in the primal-dual matching, which is cubic

SPEC = Spec(
    label="UnionCom",
    summary="Matches the geodesic distances of both modalities, then embeds both jointly; uses no pairs; new "
    "cells and values by neighbours.",
    citation="Cao et al., Bioinformatics 36, i48 (2020)",
    uses_pairs=False,
    max_cells=lambda options: MAX_MATCHED if options["matching"] == "unioncom" else None,
    cost="memory quadratic, time cubic in cells (minutes for 1,000); linear with `matching: landmarks`",
    builds_on=("methods/latent.py", "matching", "device.py"),
    options={
        "n_components": None,
        "matching": "unioncom",
        "n_latent": 32,
        "beta": 1.0,
        "perplexity": 30.0,
        "n_steps": 500,
        "max_embedded": 2000,
        "device": "auto",
    },
    search={"n_latent": (2, 8, 32), "beta": (0.1, 1.0, 10.0), "perplexity": (10.0, 30.0, 50.0)},
)
K_PLACE = 10


class Method(Embedder):
    """``matching`` is "unioncom" or "landmarks"; beyond ``max_embedded``, cells are placed by others."""

    def __init__(
        self,
        *,
        seed: int = 0,
        n_components: int | None = None,
        matching: str = "unioncom",
        n_latent: int = 32,
        beta: float = 1.0,
        perplexity: float = 30.0,
        n_steps: int = 500,
        max_embedded: int = 2000,
        device: str = "auto",
    ):
        self.seed, self.n_components, self.matching = seed, n_components, matching
        self.max_embedded, self.device = max_embedded, device
        self.embedding = {"n_latent": n_latent, "beta": beta, "perplexity": perplexity, "n_steps": n_steps}

    def fit(self, train, known) -> Method:
        from jamie.device import choose_device
        from jamie.matching import estimate
        from jamie.matching.unioncom import match

        k = base.n_components(train, None, self.n_components)
        self.cells = {m: Cells.of(a, k) for m, a in train.mod.items()}
        x = tuple(c.x for c in self.cells.values())
        if self.matching == "unioncom":
            f = match(x, seed=self.seed, device=self.device)
        else:
            f = estimate(x, method=self.matching, seed=self.seed).matrix
        rows = sample(f, self.max_embedded, self.seed)
        part = [side[r] for side, r in zip(x, rows, strict=True)]
        settings = self.embedding | {"seed": self.seed, "device": choose_device(self.device)}
        y = joint_embedding(part, f[rows[0]][:, rows[1]], **settings)
        self.anchors = {m: (p, values) for m, p, values in zip(self.cells, part, y, strict=True)}
        self.latent = {m: self.place(c.x, m) for m, c in self.cells.items()}
        for m, r, values in zip(self.cells, rows, y, strict=True):
            self.latent[m][r] = values
        return self

    def place(self, x: np.ndarray, modality: str) -> np.ndarray:
        """Where the cell's neighbours are."""
        from jamie.linear.neighbours import gaussian_weights

        others, places = self.anchors[modality]
        return gaussian_weights(x, others, K_PLACE) @ places


def sample(f: sparse.csr_matrix, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Up to ``n`` cells of each modality: random ones of the first, and their best matches before others."""
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(f.shape[0])[:n])
    matched = np.unique(f[rows].tocoo().col)
    others = np.setdiff1d(np.arange(f.shape[1]), matched)
    cols = np.concatenate([rng.permutation(matched), rng.permutation(others)])[:n]
    return rows, np.sort(cols)


def joint_embedding(x, f: sparse.csr_matrix, *, n_latent, beta, perplexity, n_steps, seed, device):
    """Coordinates (n_1, d), (n_2, d) of cells with inputs (n_1, p), (n_2, q), by Adam; F~ is (n_1, n_2)."""
    import torch

    p = [torch.as_tensor(neighbour_probabilities(side, perplexity), device=device) for side in x]
    f = f.astype(np.float32)
    mass = torch.as_tensor(np.asarray(f.sum(axis=1)), device=device)  # (n_1, 1)
    match = torch.as_tensor(f.toarray(), device=device)
    generator = torch.Generator().manual_seed(seed)
    start = [torch.randn(len(side), n_latent, generator=generator).to(device) for side in x]
    # both start from one picture: matched cells side by side
    start[0] = torch.where(mass > 0, match @ start[1] / mass.clamp(min=1e-9), start[0])
    first, second = (torch.nn.Parameter(y) for y in start)
    optimizer = torch.optim.Adam([first, second], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps)
    for _ in range(n_steps):
        optimizer.zero_grad(set_to_none=True)
        loss = divergence(p[0], first) + divergence(p[1], second)
        loss = loss + beta * (mass * first - match @ second).square().sum(dim=1).mean()
        loss.backward()
        optimizer.step()
        schedule.step()
    return [y.detach().cpu().numpy() for y in (first, second)]


def neighbour_probabilities(x: np.ndarray, perplexity: float) -> np.ndarray:
    """Symmetric P (n, n) of t-SNE: Gaussian, as wide in each cell as gives the perplexity; sums to 1."""
    from scipy.spatial.distance import cdist

    n = len(x)
    squared = cdist(x, x, "sqeuclidean")
    np.fill_diagonal(squared, np.inf)
    squared -= squared.min(axis=1, keepdims=True)
    target = np.log(min(perplexity, (n - 1) / 3))
    low, high, precision = np.zeros(n), np.full(n, np.inf), np.ones(n)
    finite = np.where(np.isfinite(squared), squared, 0)
    precision /= np.maximum(finite.mean(axis=1), 1e-12)
    for _ in range(50):
        weight = np.exp(-squared * precision[:, None])
        total = weight.sum(axis=1)
        entropy = np.log(total) + precision * (finite * weight).sum(axis=1) / total
        low, high = np.where(entropy > target, precision, low), np.where(entropy > target, high, precision)
        precision = np.where(np.isinf(high), precision * 2, (low + np.minimum(high, 1e300)) / 2)
    p = weight / total[:, None]
    return ((p + p.T) / (2 * n)).astype(np.float32)


def divergence(p, y):
    """KL(P || Q) of coordinates y (n, d), up to a constant."""
    import torch

    q = 1 / (1 + torch.cdist(y, y, compute_mode="use_mm_for_euclid_dist").square())
    q = q * (1 - torch.eye(len(y), device=y.device))
    return -(p * (q.clamp(min=1e-12) / q.sum()).log()).sum()
