"""Reading a saved model: one clear error, whatever is broken in its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from jamie import contract as c
from jamie.errors import InputError


@contextmanager
def readable(folder: Path) -> Iterator[None]:
    """Turn whatever broken files of a model lead to into an InputError that names the folder."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # JSON, safetensors and torch raise anything on files that were changed
        raise InputError(
            f"{folder} cannot be read as a saved model",
            expected="config.json and weights.safetensors, as written by JAMIE.save and not changed since",
            found=f"{type(error).__name__}: {str(error)[:300]}",
            change="copy the folder again, or fit the model again",
        ) from error


def check_sound(states: Mapping[str, Mapping], projections: Mapping, network: Mapping) -> None:
    """All weights are finite, and each modality's statistics, which fit its features and its projection.

    Parameters
    ----------
    states
        Modality -> preprocessing: ``features``, and arrays of one value each.
    projections
        Modality -> `Projection`.
    network
        Name -> weights.

    Raises
    ------
    ValueError
    """
    for key, weights in network.items():
        if not np.isfinite(weights).all():
            raise ValueError(f"weights of {key} that are not finite")
    if set(states) != set(projections) or len(states) != 2:
        raise ValueError(f"modalities {', '.join(states)} and {', '.join(projections)}")
    for modality, projection in projections.items():
        state = states[modality]
        features = state["features"]
        if state["kind"] not in c.KINDS or state["values"] not in (c.COUNTS, "normalised"):
            raise ValueError(f"{modality} of kind {state['kind']} and values {state['values']}")
        if not isinstance(features, np.ndarray) or features.dtype.kind != "U":
            raise ValueError(f"features of {modality} that are no names")
        arrays = {"mean": state["mean"], "sd": state["sd"]}
        arrays |= {key: value for key, value in state.items() if isinstance(value, np.ndarray)}
        arrays |= {"sd of components": projection.sd, "center": projection.center}
        arrays |= {"components": projection.components.T, "scale": np.full(len(features), projection.scale)}
        for key, values in arrays.items():
            if np.shape(values)[:1] != features.shape:
                raise ValueError(f"{key} of shape {np.shape(values)} for {len(features)} features")
            if key != "features" and not np.isfinite(values.astype(float)).all():
                raise ValueError(f"values of {key} of {modality} that are not finite")
        if state["values"] == c.COUNTS and not np.isfinite(state["size"]):
            raise ValueError(f"a size of {state['size']} of {modality}")
