"""What the check of attributions found, in words; apart from the check itself, which imports torch."""

from __future__ import annotations

import pandas as pd

N_CELLS = 10
N_PLAYERS = 10  # strongest sources, and all others as one: so few that KernelSHAP tries every coalition


def in_words(found: pd.DataFrame) -> str:
    """The check, for a caption."""
    error = found["completeness_error"].max()
    gradients, kernel = (found[name].min() for name in ("expected_gradients_r", "kernel_shap_r"))
    return (
        f"Checked on {len(found)} targets drawn at random, of which the worst is told: attributions of a "
        f"cell add up to its imputed value with an error of {error:.1%}; in {N_CELLS} cells they correlate "
        f"with SHAP's expected gradients by {gradients:.2f}, and in rank with exact Shapley values of the "
        f"{N_PLAYERS} strongest features and all others (KernelSHAP) by {kernel:.2f}."
    )
