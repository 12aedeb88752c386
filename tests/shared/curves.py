"""Cells on a curve without symmetries."""

import numpy as np

N_CELLS, N_TEST, N_FEATURES = 240, 40, 12


def cells(seed: int = 0) -> np.ndarray:
    """A branching curve without symmetries, (n, p): three arms of unequal length, width and weight."""
    rng = np.random.default_rng(seed)
    arm = rng.choice(3, N_CELLS, p=(0.5, 0.3, 0.2))
    along = rng.uniform(0, 1, N_CELLS) * np.array([4.0, 2.5, 1.5])[arm]
    directions = np.linalg.qr(rng.normal(size=(N_FEATURES, N_FEATURES)))[0]
    bend = (along**2 / 4)[:, None] * directions[3 + arm]
    return along[:, None] * directions[arm] + bend + 0.15 * rng.normal(size=(N_CELLS, N_FEATURES))
