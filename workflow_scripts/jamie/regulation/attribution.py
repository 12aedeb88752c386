"""Which features of one modality drive the imputation of the other: attributions of JAMIE, for every pair.

An imputed value is f_g(x) = h(x W) . c_g + constant: principal components of the source, encoder and the
other decoder beside a kernel regression, inverse principal components of the target. Only h, between a few
dozen components on either side, is not linear. So integrated gradients (Sundararajan et al., ICML 2017) need
its Jacobian alone, once per cell for all features: with J_i its mean over the straight path from the mean
training cell to cell i, source feature p moves target feature g by

    phi_pg(i) = (x_ip - mean x_p) (w_p . J_i' c_g),        sum over p = f_g(x_i) - f_g(mean x)

What a feature is worth to a target is its *share* of the variance of the imputed values,

    share_pg = cov_i(phi_pg(i), f_g(x_i)) / var_i(f_g(x_i)),        sum over p = 1

positive whether the effect is positive or negative; a negative share works against what the others add up to.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch import nn
from tqdm import tqdm

from jamie import contract as c
from jamie import io
from jamie.linear.blocks import moments
from jamie.linear.projection import Projection

log = logging.getLogger(__name__)

POINTS = 16  # on the path from the mean cell to each cell (midpoints)
N_CLUSTERS = 8  # of the embedding, where no cell types are known
TYPICAL_TARGETS = 300  # by which the usual share of a source feature is measured
LARGEST = 100_000_000  # values of all Jacobians, 400 MB: with more components fewer cells are explained
REPORTED = 100  # targets from which on progress is shown
_AT_ONCE = 256  # cells whose Jacobians are taken together
_NEAR_AT_ONCE = 100_000  # pairs of source features
_SLOPES = 32_000_000  # values held at a time where shares are summed: 128 MB


class Imputation(nn.Module):
    """`JAMIE.impute` as one differentiable function of the source's features.

    Parameters
    ----------
    model
        A fitted JAMIE.
    source, target
        Names of the modalities.

    Calling it takes x (b, p_source) float32, on the scale of prepared ``X``, to (b, p_target) on that scale.
    """

    def __init__(self, model, source: str, target: str):
        super().__init__()
        first, second = (model.modalities.index(name) for name in (source, target))
        self.networks, self.axis = model.model, first
        self.encoder, self.decoder = model.model.vaes[first], model.model.vaes[second]
        self.direct = model.model.direct[first] if model.model.direct else None
        into, back = linear_in(model.projections[source]), linear_out(model.projections[target])
        device = next(self.encoder.parameters()).device
        for name, values in zip(("w_in", "b_in", "w_out", "b_out"), (*into, *back), strict=True):
            self.register_buffer(name, torch.as_tensor(values, device=device))

    def encode(self, scores: torch.Tensor) -> torch.Tensor:
        """Components of the source (b, k_source) to the latent (b, d)."""
        return self.encoder.encode(scores)[0]

    def decode(self, latent: torch.Tensor) -> torch.Tensor:
        """The latent (b, d) to components of the target (b, k_target)."""
        return self.decoder.decode(latent)

    def core(self, scores: torch.Tensor) -> torch.Tensor:
        """Components of the source (b, k_source) to components of the target (b, k_target)."""
        return self.networks.imputed(self.axis, scores)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.core(x @ self.w_in + self.b_in) @ self.w_out + self.b_out


def linear_in(projection: Projection) -> tuple[np.ndarray, np.ndarray]:
    """Weights (p, k) and offset (k,) of features to components, float32."""
    weights = (projection.components / projection.sd).T / projection.scale
    offset = -projection.center @ projection.components.T / projection.scale
    return weights.astype(np.float32), offset.astype(np.float32)


def linear_out(projection: Projection) -> tuple[np.ndarray, np.ndarray]:
    """Weights (k, p) and offset (p,) of components to features, float32."""
    weights = projection.components * projection.scale * projection.sd
    return weights.astype(np.float32), (projection.center * projection.sd).astype(np.float32)


@dataclass
class Influence:
    """What the imputation of one modality from the other depends on.

    Attributes
    ----------
    source, target
        Names of the modalities.
    cells : str (n,)
        The explained cells, of the source; training cells only.
    group : str (n,)
        Cell type or, where unknown, cluster of each.
    jacobians : float32 (n, k_target, k_source)
        Mean Jacobian of the components on the path from the mean training cell to each cell.
    typical : float32 (p_source,)
        Root mean square over targets of a feature's share: how much it drives anything.
    """

    source: str
    target: str
    cells: np.ndarray
    group: np.ndarray
    jacobians: np.ndarray
    typical: np.ndarray

    def save(self, path: str | Path) -> None:
        with io.atomic(path) as temporary, open(temporary, "wb") as handle:
            np.savez(handle, **vars(self))

    @classmethod
    def load(cls, path: str | Path) -> Influence:
        with np.load(path, allow_pickle=False) as f:
            found = {name: f[name] for name in f.files}
        return cls(**found | {name: str(found[name]) for name in ("source", "target")})


def measure_influence(
    model, prepared, source: str, target: str, *, n_cells: int = 2000, seed: int = 0
) -> Influence:
    """Mean Jacobians of an imputation for training cells.

    Parameters
    ----------
    model, prepared
        A fitted JAMIE and the MuData it was fitted to.
    n_cells
        Cells to explain at most, drawn from the training cells in proportion to their groups; fewer where the
        model has so many components that the Jacobians would hold more than `LARGEST` values.
    seed
        Of the choice of cells, and of targets for ``typical``.
    """
    rng = np.random.default_rng(seed)
    adata = prepared.mod[source]
    imputation = Imputation(model, source, target)
    size = imputation.w_in.shape[1] * imputation.w_out.shape[0]
    train = np.flatnonzero(adata.obs[c.ROLE] == c.TRAIN) if c.ROLE in adata.obs else np.arange(adata.n_obs)
    labels = groups_of(model, prepared, source)[train]
    chosen = np.sort(stratified(labels, min(n_cells, LARGEST // size), rng))
    cells = train[chosen]
    log.info("%s to %s: explaining %d of %d training cells", source, target, len(cells), len(train))
    scores = torch.as_tensor(model.projections[source].transform(adata.X[cells]))
    found = Influence(
        source,
        target,
        np.asarray(adata.obs_names[cells], dtype=str),
        labels[chosen],
        path_jacobians(imputation, scores),
        np.empty(0, dtype=np.float32),
    )
    explained = Explained(model, prepared, found)
    n_targets = len(explained.targets)
    found.typical = explained.typical_share(
        np.sort(rng.permutation(n_targets)[: min(TYPICAL_TARGETS, n_targets)])
    )
    return found


def groups_of(model, prepared, modality: str) -> np.ndarray:
    """Cell type of each cell, or cluster of its embedding where types are unknown; str (n,)."""
    obs = prepared.mod[modality].obs
    if c.CELL_TYPE in obs and obs[c.CELL_TYPE].notna().any():
        return obs[c.CELL_TYPE].astype(object).where(obs[c.CELL_TYPE].notna(), "unlabelled").to_numpy(str)
    from sklearn.cluster import MiniBatchKMeans

    latent = model.embed(prepared)[modality]
    clusters = MiniBatchKMeans(min(N_CLUSTERS, len(latent)), random_state=0, n_init=3).fit_predict(latent)
    return np.char.add("cluster ", (clusters + 1).astype(str))


def stratified(labels: np.ndarray, n: int, rng) -> np.ndarray:
    """Positions of about ``n`` cells in proportion to their labels, at least 10 of each if there are."""
    if len(labels) <= n:
        return np.arange(len(labels))
    parts = []
    for name in np.unique(labels):
        of_name = np.flatnonzero(labels == name)
        wanted = max(10, round(n * len(of_name) / len(labels)))
        parts.append(rng.choice(of_name, min(wanted, len(of_name)), replace=False))
    return np.concatenate(parts)


def path_jacobians(imputation: Imputation, scores: torch.Tensor) -> np.ndarray:
    """Mean Jacobian on the path from the mean cell (0) to each cell: float32 (n, k_target, k_source)."""
    device = imputation.w_in.device
    k_source, k_target = imputation.w_in.shape[1], imputation.w_out.shape[0]
    # by way of the latent: a pass per latent dimension in each half, not one per component in the whole
    encoder = torch.func.vmap(torch.func.jacrev(lambda s: imputation.encode(s[None])[0]))
    decoder = torch.func.vmap(torch.func.jacfwd(lambda z: imputation.decode(z[None])[0]))
    total = np.empty((len(scores), k_target, k_source), dtype=np.float32)
    steps = (np.arange(POINTS, dtype=np.float32) + 0.5) / POINTS
    for start in range(0, len(scores), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        end, found = scores[rows].to(device), 0
        for step in steps:
            point = end * step
            with torch.no_grad():
                latent = imputation.encode(point)
            found = found + torch.bmm(decoder(latent), encoder(point)).detach()
        found = found / len(steps)
        if imputation.direct is not None:
            share = imputation.direct.share
            found = share * found + (1 - share) * imputation.direct.path_jacobians(end, steps)
        total[rows] = found.cpu().numpy()
    return total


class Explained:
    """Attributions by one model, from its `Influence`, target by target.

    Parameters
    ----------
    model, prepared, influence
        As given to and returned by `measure_influence`.

    Attributes
    ----------
    sources, targets : str
        Names of the features, (p_source,) and (p_target,).
    open_share : float32 (p_source,)
        Share of the explained cells in which a source feature is not zero.
    seen : float32 (n, k_source)
        Components of the source in the explained cells.
    loadings : float32 (p_source, k_source)
        Of the source features on them.
    """

    def __init__(self, model, prepared, influence: Influence):
        self.influence = influence
        self.sources = model.feature_names(influence.source)
        self.targets = model.feature_names(influence.target)
        adata = prepared.mod[influence.source]
        rows = adata.obs_names.get_indexer(influence.cells)
        self.x = sparse.csc_matrix(adata.X[rows], dtype=np.float32)
        projection = model.projections[influence.source]
        self.x_base = (projection.center * projection.sd).astype(np.float32)  # mean training cell
        mean = np.asarray(self.x.mean(axis=0)).ravel()
        square = np.asarray(self.x.multiply(self.x).mean(axis=0)).ravel()
        self.x_sd = np.sqrt(np.maximum(square - mean**2, 0)).astype(np.float32)
        self.open_share = (self.x.getnnz(axis=0) / len(rows)).astype(np.float32)
        self.w_in = linear_in(projection)[0]
        self.w_out = linear_out(model.projections[influence.target])[0]
        imputation = Imputation(model, influence.source, influence.target)
        self.seen = projection.transform(adata.X[rows])
        self.loadings = linear_out(projection)[0].T
        scores = torch.as_tensor(self.seen)
        with torch.no_grad():
            parts = [imputation.core(part.to(imputation.w_in.device)).cpu() for part in scores.split(8192)]
            base = imputation.core(torch.zeros_like(scores[:1], device=imputation.w_in.device)).cpu().numpy()
        scores = torch.cat(parts).numpy()
        self.change = scores - base  # of the target, from the mean training cell
        self.scores = scores - scores.mean(axis=0)  # of the target, centred over the explained cells

    def values(self, targets: np.ndarray) -> np.ndarray:
        """Imputed values of the targets less their means over the explained cells: float32 (n, targets)."""
        return self.scores @ self.w_out[:, targets]

    def gradients(self, targets) -> np.ndarray:
        """J_i' c_g of each target, by the components of the source: float32 (n, targets, k_source)."""
        return self.w_out[:, targets].T @ self.influence.jacobians

    def attributions(self, target: int, sources: np.ndarray, gradients=None) -> np.ndarray:
        """phi of some source features in each cell, in units of the target: float32 (n, sources).

        ``gradients`` (n, k_source): the target's, where those of several were taken together.
        """
        if gradients is None:
            gradients = self.gradients([target])[:, 0]
        x = self.x[:, sources].toarray() - self.x_base[sources]
        return x * (gradients @ self.w_in[sources].T)

    def completeness_error(self, target: int) -> float:
        """How far sums of phi are from f(x) - f(mean x): mean over cells, relative to the mean change."""
        total = (self.gradients([target])[:, 0] * (self.x @ self.w_in - self.x_base @ self.w_in)).sum(axis=1)
        change = self.change @ self.w_out[:, target]
        return float(np.abs(total - change).mean() / np.abs(change).mean())

    def shares(self, targets: np.ndarray) -> np.ndarray:
        """Share of each target's imputed variance by source feature: float32 (targets, p_source).

        Rows sum to 1, but for the error of the path integral. On an orthonormal basis B (k_target, r) of the
        targets' loadings, c_g = B l_g, a share is a quadratic form in l_g. Its matrix, for scores s_i,

            sum over i of (x_ip - mean x_p) (B' s_i) (B' J_i w_p)',

        is the same for every target.
        """
        basis, loads = np.linalg.qr(self.w_out[:, targets])
        scores, jacobians = self.scores @ basis, basis.T @ self.influence.jacobians
        row, column = np.triu_indices(len(loads))
        variance = (self.values(targets) ** 2).sum(axis=0)
        weight = np.divide(1, variance, out=np.zeros_like(variance), where=variance > 1e-12)
        products = loads[row] * loads[column] * weight
        products[row == column] /= 2  # below, the form and its transpose are added
        mean = np.tensordot(scores, jacobians, (0, 0))  # the part of mean x: (r, r, k_source)
        p = len(self.sources)
        found = np.empty((len(targets), p), dtype=np.float32)
        at_once = max(1, _SLOPES // (len(loads) * max(self.x.nnz // p, 2 * len(loads))))
        few = len(targets) < REPORTED
        for start in tqdm(range(0, p, at_once), "attributions", disable=few, unit="block", mininterval=5):
            block = slice(start, start + at_once)
            forms = self._forms(block, scores, jacobians)
            forms -= np.tensordot(self.w_in[block] * self.x_base[block, None], mean, (1, 2))
            forms += forms.swapaxes(1, 2).copy()
            found[:, block] = (forms[:, row, column] @ products).T
        return found

    def _forms(self, sources: slice, scores: np.ndarray, jacobians: np.ndarray) -> np.ndarray:
        """The matrices of `shares` by source feature, with x_ip in place of its difference: (sources, r, r).

        ``scores`` (n, r) and ``jacobians`` (n, r, k_source) are on the basis B.
        """
        x, weights = self.x[:, sources], self.w_in[sources]
        by_cell = sparse.csc_matrix((np.arange(x.nnz), x.indices, x.indptr), x.shape).tocsr()
        slopes = np.empty((x.nnz, scores.shape[1]), dtype=np.float32)  # B' J_i w_p where x_ip is not 0
        for cell, (low, high) in enumerate(pairwise(by_cell.indptr)):
            slopes[by_cell.data[low:high]] = weights[by_cell.indices[low:high]] @ jacobians[cell].T
        forms = np.empty((x.shape[1], *[scores.shape[1]] * 2), dtype=np.float32)
        for i, (low, high) in enumerate(pairwise(x.indptr)):
            pulled = scores[x.indices[low:high]] * x.data[low:high, None]
            forms[i] = pulled.T @ slopes[low:high]
        return forms

    def effects(self, targets: np.ndarray) -> np.ndarray:
        """Change of a target, in its sd, per sd of a source feature: float32 (targets, p_source)."""
        slopes = self.w_out[:, targets].T @ self.influence.jacobians.mean(axis=0) @ self.w_in.T
        sd = np.sqrt((self.values(targets) ** 2).mean(axis=0))
        return slopes * self.x_sd / np.maximum(sd, 1e-12)[:, None]

    def correlations(self, targets: np.ndarray) -> np.ndarray:
        """Pearson's r of imputed targets and measured source features: float32 (targets, p_source)."""
        values = self.values(targets)
        moment = moments(self.x, values).T / len(values)
        scale = np.sqrt((values**2).mean(axis=0))[:, None] * self.x_sd
        return np.divide(moment, scale, out=np.zeros_like(moment), where=scale > 0)

    def open_together(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Pearson's r of two source features as the model sees them, by their components: float32 (n_pairs,).

        ``first``, ``second``: their positions. Measured values of single cells are too sparse to show it.
        """
        spread = np.linalg.qr(self.seen - self.seen.mean(axis=0), mode="r")
        loads = self.loadings @ spread.T  # cross products are those of the values over the cells
        norm = np.linalg.norm(loads, axis=1, keepdims=True)
        loads = np.divide(loads, norm, out=np.zeros_like(loads), where=norm > 1e-8)
        found = np.empty(len(first), dtype=np.float32)
        for start in range(0, len(first), _NEAR_AT_ONCE):
            part = slice(start, start + _NEAR_AT_ONCE)
            found[part] = (loads[first[part]] * loads[second[part]]).sum(axis=1)
        return found

    def typical_share(self, targets: np.ndarray) -> np.ndarray:
        """Root mean square over the targets of each source feature's share: float32 (p_source,)."""
        return np.sqrt((self.shares(targets) ** 2).mean(axis=0))

    def specific(self, shares: np.ndarray) -> np.ndarray:
        """Shares over what each feature is worth to any target: (targets, p_source), rms 1 a row."""
        typical = self.influence.typical
        found = np.divide(shares, typical, out=np.zeros_like(shares), where=typical > 0)
        rms = np.sqrt((found**2).mean(axis=1, keepdims=True))
        return np.divide(found, rms, out=np.zeros_like(found), where=rms > 0)
