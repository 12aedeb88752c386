"""What separates cell types: attributions of a label classifier in JAMIE's latent space, and knock-outs.

The classifier's logits are carried back to the features of one modality through its encoder, by expected
gradients (Erion et al., Nature Machine Intelligence 2021), the estimator of `shap.GradientExplainer`. The
encoder begins with a linear projection, so that the attribution of feature j in cell i against the background
cell b is (x_ij - x_bj) w_j . J_i, with w_j the feature's weights in the projection and J_i the gradient with
respect to the principal components. Only gradients are kept, never a dense matrix of cells by features.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from jamie.data.preprocess import by_name
from jamie.data.split import training_cells
from jamie.errors import InputError
from jamie.linear.blocks import dense
from jamie.metrics.feature_scores import cell_types
from jamie.regulation.attribution import linear_in
from jamie.regulation.expected_gradients import (
    Paths,
    cell_attribution,
    completeness,
    mean_attribution,
    own_gradients,
)

log = logging.getLogger(__name__)

MARKER_COLUMNS = (
    "modality",
    "cell_type",
    "rank",
    "feature",
    "attribution",
    "sd_over_cells",
    "mean_difference",
    "knockout_lta",
)
MIN_CELLS = 5  # of a type in training: a classifier learns nothing from fewer
N_TOP, N_ROUNDS = 20, 20


class TypeScores(torch.nn.Module):
    """Prepared features x (b, p) of one modality to the logit of each cell type (b, n_types).

    Projection, mean of the encoder, standardised latent, logits, in the order of ``classifier.classes_``. Of
    two types scikit-learn has one number; they get half of it each, with opposite signs.

    Parameters
    ----------
    model
        A fitted `JAMIE`; its encoder is used in place, not copied.
    classifier
        From `fit_classifier`.
    """

    def __init__(self, model, modality: str, classifier: Pipeline):
        super().__init__()
        self.vae = model.model.vaes[model.modalities.index(modality)].eval()
        scaler, logistic = classifier.named_steps.values()
        coef, intercept = logistic.coef_, logistic.intercept_
        if len(coef) == 1:
            coef, intercept = np.vstack([-coef, coef]) / 2, np.concatenate([-intercept, intercept]) / 2
        coef = coef / scaler.scale_
        weights, offset = linear_in(model.projections[modality])
        arrays = {"weights": weights, "offset": offset, "coef": coef.T}
        arrays["intercept"] = intercept - coef @ scaler.mean_
        device = next(self.vae.parameters()).device
        for name, values in arrays.items():
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.float32, device=device))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.of_components(x @ self.weights + self.offset)

    def of_components(self, components: torch.Tensor) -> torch.Tensor:
        """Scaled principal components (b, k), as `JAMIE.model_input` gives them, to logits (b, n_types)."""
        return self.vae.encode(components)[0] @ self.coef + self.intercept


@dataclass(frozen=True)
class TypeAttributions:
    """Attributions of each type's logit to the features of one modality; its cells are training cells.

    Attributes
    ----------
    modality, types, features
        Name; str (t,), the type with the most training cells first; str (p,).
    n_cells : int (t,)
        Training cells of each type; ``left_out`` has the number for types the classifier does not know.
    attribution : float (t, p)
        Mean over the explained cells of the type. A positive value drives them towards their type, relative
        to the background. Unit: logit, the log of the type's probability relative to the geometric mean of
        the probabilities of all types.
    mean_difference : float (t, p)
        Mean in the type minus mean in the other cells, over all training cells, in training sd.
    top : int (t, n_top)
        Columns of the features with the highest attribution, best first.
    cells, cell_type : str (n,)
        The explained cells.
    cell_attribution, cell_value : float32 (n, t, n_top)
        Of the ``top`` features of a type, for the logit of that type, in every explained cell; and their
        values on the scale of prepared ``X``.
    error, cell_error : float (t,), float
        Relative error of completeness, the sum over features against the difference of logits between
        explained cells and background: of a type's mean, and of one cell (mean error over mean difference).
    left_out : dict
        {type: training cells}.
    """

    modality: str
    types: np.ndarray
    features: np.ndarray
    n_cells: np.ndarray
    attribution: np.ndarray
    mean_difference: np.ndarray
    top: np.ndarray
    cells: np.ndarray
    cell_type: np.ndarray
    cell_attribution: np.ndarray
    cell_value: np.ndarray
    error: np.ndarray
    cell_error: float
    left_out: dict[str, int]


def fit_classifier(latent: np.ndarray, labels: np.ndarray) -> Pipeline:
    """Multinomial logistic regression of cell types on standardised latents.

    Parameters
    ----------
    latent
        (n, d), of training cells only.
    labels
        str (n,); "" = not known, left out. Types with fewer than 5 cells are left out too, and logged.

    Raises
    ------
    InputError
        Fewer than two types have enough cells.
    """
    names, sizes = np.unique(labels[labels != ""], return_counts=True)
    if len(small := names[sizes < MIN_CELLS]):
        log.warning("Left out, with fewer than %d training cells: %s", MIN_CELLS, ", ".join(small))
    known = np.isin(labels, names[sizes >= MIN_CELLS])
    if (sizes >= MIN_CELLS).sum() < 2:
        raise InputError(
            "There are no cell types to tell apart",
            expected=f"at least two cell types with {MIN_CELLS} training cells",
            found=", ".join(f"{name} ({size})" for name, size in zip(names, sizes, strict=True))
            or "no labels",
            change="the dataset's `cell_type`",
        )
    classifier = make_pipeline(StandardScaler(), LogisticRegression(solver="newton-cg", max_iter=500))
    return classifier.fit(latent[known].astype(np.float64), labels[known])


def type_attributions(
    model,
    prepared,
    modality: str,
    classifier: Pipeline,
    *,
    n_background: int = 100,
    n_cells: int = 1000,
    n_rounds: int = N_ROUNDS,
    n_top: int = N_TOP,
    seed: int = 0,
) -> TypeAttributions:
    """Expected gradients of each type's logit with respect to the features of one modality.

    Parameters
    ----------
    model, prepared
        A fitted `JAMIE` and the prepared MuData (see `jamie.contract`), of which training cells are used.
    classifier
        From `fit_classifier`; types without a training cell in this modality are left out.
    n_background, n_cells
        Cells attributions are relative to, and cells explained, as evenly over types as there are cells.
    n_rounds
        Background cells each explained cell is compared with, at one point of the line between them.
    n_top
        Features of each type for which the value of every cell is kept.
    """
    train, rng = training_cells(prepared, layers=False), np.random.default_rng(seed)
    adata, components = train.mod[modality], model.model_input(train, modality)
    x, labels = by_name(adata, model.states[modality]), cell_types(adata)
    sizes = pd.Series(labels[labels != ""]).value_counts()
    order = [i for i, name in enumerate(classifier.classes_) if name in sizes]
    order.sort(key=lambda i: -sizes[classifier.classes_[i]])
    types = classifier.classes_[order].astype(str)
    cells, base = (_stratified(labels, types, n, rng) for n in (n_cells, n_background))
    own = pd.Index(types).get_indexer(labels[cells])
    scores = TypeScores(model, modality, classifier)
    paths = Paths.draw(components[base], components[cells], own, n_rounds, rng, scores.coef.device)
    return TypeAttributions(
        modality=modality,
        types=types,
        features=model.feature_names(modality),
        n_cells=sizes[types].to_numpy(),
        mean_difference=_mean_difference(x, labels, types) / np.asarray(model.states[modality]["sd"]),
        cells=adata.obs_names.to_numpy(dtype=str)[cells],
        cell_type=labels[cells],
        left_out={name: int(n) for name, n in sizes.items() if name not in types},
        **_explain(scores, order, paths, x[cells], x[base], n_top),
    )


def _explain(scores: TypeScores, order: list[int], paths: Paths, x, base, n_top: int) -> dict:
    """The part of `TypeAttributions` that needs gradients, for the types ``order`` of the classifier.

    Explained cells ``x`` (n, p) and background ``base`` (m, p) may be sparse.
    """

    def logits(points: torch.Tensor) -> torch.Tensor:
        return scores.of_components(points)[:, order]

    weights = scores.weights.cpu().numpy()
    by_cell, by_background, sums = own_gradients(logits, paths)
    attribution = mean_attribution(x, base, by_cell, by_background, paths.own.cpu().numpy(), weights)
    top = np.argsort(-attribution, axis=1, kind="stable")[:, :n_top]
    x, base = (dense(part[:, top.ravel()]).reshape(-1, *top.shape) for part in (x, base))
    return {
        "attribution": attribution,
        "top": top,
        "cell_attribution": cell_attribution(logits, paths, x, base, weights[top]),
        "cell_value": x,
        **completeness(logits, paths, sums),
    }


def _stratified(labels: np.ndarray, types: np.ndarray, n: int, rng) -> np.ndarray:
    """Rows of at most ``n`` cells, as evenly over ``types`` as there are cells, one type after the other."""
    rows = rng.permutation(np.flatnonzero(np.isin(labels, types)))
    turn = pd.Series(labels[rows]).groupby(labels[rows]).cumcount().to_numpy()
    rows = rows[np.argsort(turn, kind="stable")[:n]]
    return rows[np.argsort(labels[rows], kind="stable")]


def _mean_difference(x, labels: np.ndarray, types: np.ndarray) -> np.ndarray:
    """Mean of each type minus mean of the other labelled cells, float64 (t, p)."""
    is_type = (labels[:, None] == types).astype(np.float64)
    is_other = (labels != "")[:, None] - is_type
    weights = is_type / is_type.sum(axis=0) - is_other / is_other.sum(axis=0)  # (n, t)
    return np.asarray((x.T @ weights).T)


def marker_table(attributions: TypeAttributions, knocked_out: pd.DataFrame | None = None) -> pd.DataFrame:
    """The top features of each type, the type with the most cells first: `MARKER_COLUMNS`.

    ``rank`` counts from 1; ``attribution`` (logit) and ``sd_over_cells`` are over the explained cells of the
    type (NaN: one cell), ``mean_difference`` is in training sd, ``knockout_lta`` the change of label transfer
    accuracy (fraction) from `knock_out`, NaN where that was not computed.
    """
    a = attributions
    own = (a.cell_attribution[a.cell_type == name, i] for i, name in enumerate(a.types))
    rows = np.arange(len(a.types))[:, None]
    table = pd.DataFrame(
        {
            "modality": a.modality,
            "cell_type": np.repeat(a.types, a.top.shape[1]),
            "rank": np.tile(np.arange(a.top.shape[1]) + 1, len(a.types)),
            "feature": a.features[a.top].ravel(),
            "attribution": a.attribution[rows, a.top].ravel(),
            "sd_over_cells": np.concatenate([pd.DataFrame(cells).std().to_numpy() for cells in own]),
            "mean_difference": a.mean_difference[rows, a.top].ravel(),
        }
    )
    change = {} if knocked_out is None else knocked_out.set_index("feature")["change"]
    return table.assign(knockout_lta=table["feature"].map(change).astype(float))[list(MARKER_COLUMNS)]


def cell_table(attributions: TypeAttributions, n_features: int = 5) -> pd.DataFrame:
    """A row per type, top feature and explained cell, for `jamie.plots.markers.beeswarm_figure`.

    Columns modality, cell_type, rank, feature, cell, is_own (the cell is of the type), attribution (logit of
    the type), value (scale of prepared ``X``).
    """
    a = attributions
    parts = [
        pd.DataFrame(
            {
                "modality": a.modality,
                "cell_type": name,
                "rank": rank + 1,
                "feature": a.features[a.top[i, rank]],
                "cell": a.cells,
                "is_own": a.cell_type == name,
                "attribution": a.cell_attribution[:, i, rank],
                "value": a.cell_value[:, i, rank],
            }
        )
        for i, name in enumerate(a.types)
        for rank in range(min(n_features, a.top.shape[1]))
    ]
    return pd.concat(parts, ignore_index=True)
