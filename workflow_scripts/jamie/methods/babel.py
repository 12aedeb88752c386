"""BABEL: an encoder and a decoder per modality, trained on all four paths between them.

Each cell is decoded by the decoder of its own modality, and each known pair also across, so that either
encoder's latent serves either decoder. With l_m the negative log likelihood of modality m, a pair costs

    l_1(x | D_1 E_1 x) + l_2(y | D_2 E_1 x) + l_1(x | D_1 E_2 y) + l_2(y | D_2 E_2 y)

The likelihood depends on the modality: a negative binomial around a rate times the cell's size (RNA and
protein counts), cross-entropy of a peak being open (accessibility), a Gaussian (anything else).

Source: Wu, Yost, Chang, Zou, PNAS 118, e2023070118 (2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from jamie import contract as c
from jamie.registry import Spec

SPEC = Spec(
    label="BABEL",
    summary="Two encoders and two decoders, trained on all four paths; negative binomial for counts, "
    "cross-entropy for accessibility, Gaussian otherwise.",
    citation="Wu et al., PNAS 118, e2023070118 (2021)",
    min_pairs=20,
    uses_counts=True,
    cost="linear in cells; a batch is dense in features",
    builds_on=("device.py",),
    options={
        "n_latent": 16,
        "n_hidden": 64,
        "batch_size": 128,
        "learning_rate": 3e-3,
        "max_epochs": 200,
        "patience": 10,
        "validation_fraction": 0.1,
        "device": "auto",
    },
    search={"n_latent": (8, 16, 32), "n_hidden": (32, 64, 128), "learning_rate": (1e-3, 3e-3, 1e-2)},
)
CHUNK = 4096
CLIP = 10.0  # of standardised inputs


class Method:
    def __init__(
        self,
        *,
        seed: int = 0,
        n_latent: int = 16,
        n_hidden: int = 64,
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        max_epochs: int = 200,
        patience: int = 10,
        validation_fraction: float = 0.1,
        device: str = "auto",
    ):
        self.seed, self.widths = seed, (n_hidden, n_latent)
        self.batch_size, self.learning_rate, self.device = batch_size, learning_rate, device
        self.max_epochs, self.patience, self.validation_fraction = max_epochs, patience, validation_fraction

    def fit(self, train, known) -> Method:
        """Train until validation pairs (a share of the known ones) no longer gain."""
        import torch

        from jamie.device import choose_device

        torch.manual_seed(self.seed)
        rng, device = np.random.default_rng(self.seed), choose_device(self.device)
        self.views = {m: view_of(a) for m, a in train.mod.items()}
        self.sides = torch.nn.ModuleList([_side(v, *self.widths) for v in self.views.values()]).to(device)
        data = [_Cells(v, train.mod[m], device) for m, v in self.views.items()]
        pairs = rng.permutation(known.best_pairs())
        n_watched = max(2, round(self.validation_fraction * len(pairs)))
        alone = [np.setdiff1d(np.arange(len(d)), pairs[:, i]) for i, d in enumerate(data)]
        self._train(data, pairs[n_watched:], pairs[:n_watched], alone, rng)
        self.sides.cpu().eval()
        return self

    def __getstate__(self) -> dict:
        """For pickle, which cannot take networks whose class is made in a function: their weights."""
        sides = {"sides": self.sides.state_dict()} if hasattr(self, "sides") else {}
        return self.__dict__ | sides

    def __setstate__(self, state: dict) -> None:
        import torch

        self.__dict__ |= state
        if "sides" in state:
            self.sides = torch.nn.ModuleList([_side(v, *self.widths) for v in self.views.values()])
            self.sides.load_state_dict(state["sides"])
            self.sides.eval()

    def _train(self, data, pairs, watched, alone, rng) -> None:
        """Adam over ``pairs`` (k, 2) and cells ``alone``; keeps the weights best for ``watched``."""
        import torch

        optimizer = torch.optim.Adam(self.sides.parameters(), lr=self.learning_rate)
        best, best_epoch, weights = np.inf, 0, None
        for epoch in range(self.max_epochs):
            self.sides.train()
            for rows in _batches(pairs, alone, self.batch_size, rng):
                optimizer.zero_grad(set_to_none=True)
                self._loss(data, *rows).backward()
                torch.nn.utils.clip_grad_norm_(self.sides.parameters(), 1.0)
                optimizer.step()
            self.sides.eval()
            with torch.no_grad():
                loss = float(self._loss(data, watched, [[], []]))
            if not np.isfinite(loss):
                raise FloatingPointError(f"BABEL's loss of validation pairs is {loss} in epoch {epoch}")
            if loss < best:
                best, best_epoch = loss, epoch
                weights = {k: v.clone() for k, v in self.sides.state_dict().items()}
            if epoch - best_epoch >= self.patience:
                break
        self.sides.load_state_dict(weights)

    def _loss(self, data, pairs, alone):
        """All four paths of pairs (k, 2), and the own path of cells without a partner."""
        rows = [np.concatenate([pairs[:, i], alone[i]]).astype(int) for i in (0, 1)]
        latents = [side.encode(d.inputs(r)) for side, d, r in zip(self.sides, data, rows, strict=True)]
        loss = 0.0
        for i, (side, cells) in enumerate(zip(self.sides, data, strict=True)):
            loss = loss + side.loss(latents[i], *cells.targets(rows[i]))
            loss = loss + side.loss(latents[1 - i][: len(pairs)], *cells.targets(pairs[:, i]))
        return loss

    def embed(self, mdata) -> dict[str, np.ndarray]:
        """Latent (n, d) of each modality's encoder."""
        return {m: self._encode(mdata.mod[m], m) for m in self.views}

    def imputer(self, mdata, source: str, target: str):
        """Source's encoder, target's decoder."""
        import torch

        z = torch.as_tensor(self._encode(mdata.mod[source], source))
        side, view = self.sides[list(self.views).index(target)], self.views[target]

        def impute(rows: slice) -> np.ndarray:
            with torch.no_grad():
                return view.to_prepared(side.expected(z[rows]).numpy())

        return impute

    def _encode(self, adata, modality: str) -> np.ndarray:
        import torch

        side, view = self.sides[list(self.views).index(modality)], self.views[modality]
        with torch.no_grad():
            parts = [
                side.encode(torch.as_tensor(view.standardised(adata.X[i : i + CHUNK]))).numpy()
                for i in range(0, adata.n_obs, CHUNK)
            ]
        return np.concatenate(parts)


@dataclass
class View:
    """How a modality is read and what its decoder says.

    Attributes
    ----------
    likelihood
        "negative_binomial", "bernoulli" or "gaussian".
    mean, sd
        Training mean and standard deviation (p,) of prepared values.
    start
        What the decoder says of an average cell (p,), before it has learned: log rate, log odds or 0.
    scale
        What takes the decoder's word to the scale of prepared values: the factor of the logarithm for counts,
        the mean value of an open peak (p,).
    """

    likelihood: str
    mean: np.ndarray
    sd: np.ndarray
    start: np.ndarray
    scale: np.ndarray | float

    def standardised(self, x) -> np.ndarray:
        """Input of the encoder: float32 (n, p)."""
        x = x.toarray() if sparse.issparse(x) else np.asarray(x)
        return np.clip((x - self.mean) / self.sd, -CLIP, CLIP).astype(np.float32)

    def to_prepared(self, said: np.ndarray) -> np.ndarray:
        """Rates, probabilities or standardised values (n, p) on the scale of prepared ``X``, float32."""
        if self.likelihood == "negative_binomial":
            return np.log1p(said * self.scale).astype(np.float32)
        if self.likelihood == "bernoulli":
            return (said * self.scale).astype(np.float32)
        return (said * self.sd + self.mean).astype(np.float32)


def view_of(adata) -> View:
    """The `View` of prepared training cells: by kind, where there are counts."""
    kind = adata.uns[c.PREPROCESSING]["kind"] if c.PREPROCESSING in adata.uns else c.CONTINUOUS
    mean, sd = (adata.var[key].to_numpy(np.float32) for key in ("mean", "sd"))
    counts = adata.layers.get(c.COUNTS)
    if counts is None:
        return View("gaussian", mean, sd, np.zeros_like(mean), 1.0)
    counts = sparse.csr_matrix(counts, dtype=np.float32)
    if kind == c.ATAC:
        n_open = np.asarray((counts > 0).sum(axis=0), dtype=np.float32).ravel()
        share = (n_open + 0.5) / (counts.shape[0] + 1)
        value = mean * counts.shape[0] / np.maximum(n_open, 1)
        return View("bernoulli", mean, sd, np.log(share / (1 - share)), value)
    size = adata.obs["size"].to_numpy(float)
    rate = (np.asarray(counts.sum(axis=0)).ravel() + 0.5) / size.sum()
    factor = float(adata.uns[c.PREPROCESSING]["size"]) if kind == c.RNA else 1.0
    return View("negative_binomial", mean, sd, np.log(rate).astype(np.float32), factor)


class _Cells:
    """Training cells of a modality as the network takes them, a batch at a time."""

    def __init__(self, view: View, adata, device):
        self.view, self.x, self.device = view, adata.X, device
        self.counts = None if view.likelihood == "gaussian" else sparse.csr_matrix(adata.layers[c.COUNTS])
        self.size = adata.obs["size"].to_numpy(np.float32) if view.likelihood == "negative_binomial" else None

    def __len__(self) -> int:
        return self.x.shape[0]

    def inputs(self, rows):
        return self._tensor(self.view.standardised(self.x[rows]))

    def targets(self, rows):
        """What the decoder should say of these cells, and their sizes (or None)."""
        if self.counts is None:
            return self.inputs(rows), None
        counts = self._tensor(self.counts[rows].toarray().astype(np.float32))
        if self.size is None:
            return (counts > 0).float(), None
        return counts, self._tensor(self.size[rows][:, None])

    def _tensor(self, values: np.ndarray):
        import torch

        return torch.as_tensor(values, device=self.device)


def _side(view: View, n_hidden: int, n_latent: int):
    """Encoder and decoder of a modality, and the likelihood that goes with it."""
    import torch
    from torch import nn
    from torch.nn import functional

    def layer(n_in: int, n_out: int):
        return [nn.Linear(n_in, n_out), nn.BatchNorm1d(n_out), nn.PReLU()]

    class Side(nn.Module):
        def __init__(self):
            super().__init__()
            p = len(view.mean)
            self.encode = nn.Sequential(*layer(p, n_hidden), nn.Linear(n_hidden, n_latent))
            self.decode = nn.Sequential(*layer(n_latent, n_hidden), nn.Linear(n_hidden, p))
            with torch.no_grad():
                self.decode[-1].weight.mul_(0.1)
                self.decode[-1].bias.copy_(torch.as_tensor(view.start))
            if view.likelihood == "negative_binomial":
                self.log_dispersion = nn.Parameter(torch.zeros(p))

        def expected(self, z):
            """Rate per unit of size, probability, or standardised value (n, p)."""
            said = self.decode(z)
            if view.likelihood == "negative_binomial":
                return said.clamp(max=15).exp()
            return torch.sigmoid(said) if view.likelihood == "bernoulli" else said

        def loss(self, z, target, size):
            """Mean over cells and features of the negative log likelihood."""
            said = self.decode(z)
            if view.likelihood == "bernoulli":
                return functional.binary_cross_entropy_with_logits(said, target)
            if view.likelihood == "gaussian":
                return (said - target).square().mean() / 2
            return negative_binomial(target, size * said.clamp(max=15).exp(), self.log_dispersion.exp())

    return Side()


def negative_binomial(counts, mean, dispersion):
    """Mean negative log likelihood of counts (n, p); variance mean + mean^2 / dispersion (p,)."""
    import torch

    eps = 1e-8
    total = torch.log(dispersion + mean + eps)
    value = torch.lgamma(counts + dispersion) - torch.lgamma(dispersion) - torch.lgamma(counts + 1)
    value = (
        value + dispersion * (torch.log(dispersion + eps) - total) + counts * (torch.log(mean + eps) - total)
    )
    return -value.mean()


def _batches(pairs, alone, batch_size: int, rng):
    """Pairs in random order, and beside each batch of them as many cells without a partner."""
    order = rng.permutation(len(pairs))
    n_batches = max(1, len(pairs) // batch_size)
    others = [np.array_split(rng.permutation(cells)[: n_batches * batch_size], n_batches) for cells in alone]
    for i, rows in enumerate(np.array_split(order, n_batches)):
        yield pairs[rows], [side[i] for side in others]
