"""How far the attributions agree with what they should add up to, and with SHAP's own estimators."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from scipy.stats import pearsonr, spearmanr

from jamie.linear.blocks import dense
from jamie.regulation.agreed import N_CELLS, N_PLAYERS
from jamie.regulation.attribution import Explained, Imputation, Influence, stratified

N_TARGETS, N_BACKGROUND = 5, 100
N_SAMPLES = 500  # of expected gradients, for each cell


def check(model, prepared, influence: Influence, seed: int = 0) -> pd.DataFrame:
    """Compare the attributions of a few targets, drawn at random, with slower ones in a few cells.

    Parameters
    ----------
    model, prepared, influence
        As given to and returned by `jamie.regulation.attribution.measure_influence`.
    seed
        Of the choice of targets, cells and background.

    Returns
    -------
    DataFrame
        A row per target: ``completeness_error``, mean over all cells of |sum of attributions - difference of
        the imputed value from that of the mean cell| over the mean |difference|; ``expected_gradients_r``,
        Pearson's r with `shap.GradientExplainer` against training cells drawn in proportion to their types,
        over cells and all sources; ``kernel_shap_r``, Spearman's r with `shap.KernelExplainer` over cells and
        the `N_PLAYERS` strongest sources, all others moved as one, against the mean cell.
    """
    rng = np.random.default_rng(seed)
    explained = Explained(model, prepared, influence)
    imputation = Imputation(model, influence.source, influence.target).cpu()
    varied = np.flatnonzero(explained.w_out.any(axis=0))  # a constant has nothing to explain
    targets = np.sort(rng.permutation(varied)[:N_TARGETS])
    cells = np.sort(rng.permutation(len(influence.cells))[:N_CELLS])
    background = stratified(influence.group, min(N_BACKGROUND, len(influence.group)), rng)
    every, rows = np.arange(len(explained.sources)), []
    x, base = (torch.as_tensor(dense(explained.x[part])) for part in (cells, background))
    mean = torch.as_tensor(explained.x_base)[None]
    for target in targets:
        ours = explained.attributions(target, every)[cells]
        error = explained.completeness_error(target)
        expected = _expected_gradients(imputation, target, x, base, seed)
        strongest = np.argsort(-np.abs(ours).mean(axis=0), kind="stable")[:N_PLAYERS]
        kernel = _kernel_shap(imputation, target, x - mean, strongest)
        players = np.column_stack([ours[:, strongest], ours.sum(axis=1) - ours[:, strongest].sum(axis=1)])
        r = (pearsonr(ours.ravel(), expected.ravel())[0], spearmanr(players.ravel(), kernel.ravel())[0])
        rows.append((explained.targets[target], error, *r))
    return pd.DataFrame(
        rows, columns=["target", "completeness_error", "expected_gradients_r", "kernel_shap_r"]
    )


def _expected_gradients(imputation, target: int, x, base, seed: int) -> np.ndarray:
    """By SHAP, of one target in each cell: (n, p_source)."""
    import shap

    class One(torch.nn.Module):
        def forward(self, part):
            return imputation(part)[:, [target]]

    found = shap.GradientExplainer(One(), base).shap_values(x, nsamples=N_SAMPLES, rseed=seed)
    return np.asarray(found).reshape(len(x), -1)


def _kernel_shap(imputation, target: int, moved, strongest) -> np.ndarray:
    """By SHAP, of ``strongest`` sources and all others together: (n, players).

    ``moved`` (n, p_source): how far each cell lies from the mean cell, whose components are 0.
    """
    import shap

    found = []
    for cell in moved:
        parts = cell[strongest, None] * imputation.w_in[strongest]
        parts = torch.vstack([parts, cell @ imputation.w_in - parts.sum(dim=0)])

        def value(present, parts=parts):
            scores = torch.as_tensor(present, dtype=torch.float32) @ parts
            with torch.no_grad():
                return (imputation.core(scores) @ imputation.w_out[:, target]).numpy()

        n = len(parts)
        kernel = shap.KernelExplainer(value, np.zeros((1, n)))
        found.append(kernel.shap_values(np.ones((1, n)), nsamples=2**n, l1_reg=False, silent=True)[0])
    return np.array(found)
