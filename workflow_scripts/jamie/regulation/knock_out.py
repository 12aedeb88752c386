"""What a feature is worth to the alignment of cell types: label transfer accuracy without it."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from jamie.data.preprocess import by_name
from jamie.data.split import training_cells
from jamie.errors import InputError, suggest
from jamie.linear.blocks import dense
from jamie.metrics.alignment import label_transfer_accuracy
from jamie.metrics.feature_scores import cell_types
from jamie.regulation.attribution import linear_in

MOST_CELLS = 5_000  # of each modality: every feature needs the neighbours of all, which is quadratic


@torch.no_grad()
def knock_out(model, prepared, modality: str, features, *, seed: int = 0) -> pd.DataFrame:
    """Label transfer accuracy without a feature: its column takes its mean, and is restored before the next.

    Over the training cells of both modalities, of more than 5,000 over as many of them drawn at random, the
    same for every feature. The encoder sees the features through a linear projection, so
    that the change is of rank one: the principal components lose (x_j - mean_j) w_j.

    Parameters
    ----------
    model, prepared, modality
        As in `type_attributions`.
    features
        Names, as in `JAMIE.feature_names`.

    Returns
    -------
    DataFrame
        feature; lta_without: mean of the accuracies in the two directions (fraction 0-1, see
        `jamie.metrics.alignment.label_transfer_accuracy`); change: minus that of the unchanged data, negative
        where the feature helps.

    Raises
    ------
    InputError
        A feature the model does not know.
    NotApplicable
        Too few labelled cells or labels.
    """
    names = pd.Index(model.feature_names(modality))
    if unknown := [name for name in features if name not in names]:
        raise InputError(
            f"The model knows no feature {unknown[0]!r} of {modality}",
            expected="features such as " + ", ".join(names[:3]),
            found=", ".join(unknown[:3]),
            change=suggest(unknown[0], names, "the names of the features"),
        )
    train, columns = training_cells(prepared, layers=False), names.get_indexer(features)
    rng = np.random.default_rng(seed)
    rows = {m: rng.permutation(train.mod[m].n_obs)[:MOST_CELLS] for m in model.modalities}
    rows = {m: np.sort(kept) for m, kept in rows.items()}
    values = by_name(train.mod[modality], model.states[modality])[:, columns]
    weights = linear_in(model.projections[modality])[0][columns]
    components = model.model_input(train, modality)[rows[modality]]
    latents = {m: z[rows[m]] for m, z in model.embed(train).items()}
    labels = [cell_types(train.mod[m])[rows[m]] for m in model.modalities]
    encoder = model.model.vaes[model.modalities.index(modality)].eval()
    device = next(encoder.parameters()).device

    def accuracy(inputs: np.ndarray) -> float:
        latents[modality] = encoder.encode(torch.as_tensor(inputs, device=device))[0].cpu().numpy()
        return float(np.mean(label_transfer_accuracy([latents[m] for m in model.modalities], labels)))

    before, found = accuracy(components), []
    for i, name in enumerate(features):
        column = dense(values[:, [i]]).astype(np.float64)
        shift = (column[rows[modality]] - column.mean()).astype(np.float32) * weights[i]
        after = accuracy(components - shift)
        found.append((name, after, after - before))
    return pd.DataFrame(found, columns=["feature", "lta_without", "change"])
