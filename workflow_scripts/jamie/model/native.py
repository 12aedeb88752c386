"""Native units of imputed values: expected counts, chances of being open, fractions, physical units.

A decoder gives means on the scale of the model. Undoing the transform of a mean of logs gives no mean of
counts: it lies up to twenty times below. So the step back is fitted, per feature, to what cross-fitted
imputation says of known pairs (`jamie.model.crossfit`) and what was measured there:

=====================  =====================================================================================
counts                 mu = size * exp(a + b u), u = log(expm1(softplus(v))) of the imputed value v: Poisson
                       regression with log link and over-dispersion (McCullagh & Nelder 1989, chapter 9).
                       The size (depth) is predicted from the imputed cell by ridge regression, if not given.
open (peaks)           1 - exp(-c mu), with c such that as many cells as measured are open
fractions              a + b v, kept in [0, 1]
continuous             a + b v, in the unit of the input
=====================  =====================================================================================

With few pairs, b is drawn to 1 and a to the value with which the mean over all training cells of the source
is that of all measured cells; without a pair they are these.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from jamie import contract as c
from jamie.data.preprocess import TFIDF_SCALE, of_features

SLOPE_SD, OFFSET_SD = 0.5, 0.5  # of what is believed of b and a before any pair is seen, natural log
SLOPES = 0.05, 3.0  # never 0: the step back can be undone
SOFT = 0.1  # of a feature's mean imputed value: below it, values bend towards 0 instead of crossing it
N_STEPS = 25
EVERYWHERE = slice(None)


@dataclass
class Native:
    """The step from the model's scale to native units, of one modality.

    Attributes
    ----------
    offset, slope : (p,)
        a and b of each feature.
    soft : (p,)
        Width of the softplus, on the model's scale; counts only, as the following.
    open_rate : (p,)
        c of each peak; ones where there are no peaks.
    size_weights : (k + 1,)
        Log size of a cell from its imputed principal components; the last one is the intercept.
    """

    offset: np.ndarray
    slope: np.ndarray
    soft: np.ndarray
    open_rate: np.ndarray
    size_weights: np.ndarray

    def size(self, components: np.ndarray) -> np.ndarray:
        """Expected size of cells by their imputed components (n, k): float (n,)."""
        return sizes(self.size_weights, components)

    def expected(self, values, state: dict, size: np.ndarray | None, features=EVERYWHERE) -> np.ndarray:
        """Native units of values (n, p) on the model's scale, of these features; float64 (n, p)."""
        a, b = self.offset[features], self.slope[features]
        if state["kind"] == c.METHYLATION:
            return np.clip(a + b * np.clip(values, 0, 1), 0, 1)
        if state["values"] != "counts":
            return a + b * values
        u = log_rate(values, of_features(state, features), self.soft[features])
        return np.asarray(size)[:, None] * np.exp(np.clip(a + b * u, -30, 30))

    def is_open(self, expected: np.ndarray, features=EVERYWHERE) -> np.ndarray:
        """Chance that a peak has a count, from expected counts (n, p)."""
        return -np.expm1(-self.open_rate[features] * expected)

    def arrays(self) -> dict[str, np.ndarray]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


def sizes(weights: np.ndarray, components: np.ndarray) -> np.ndarray:
    """Expected sizes (n,) of cells by their imputed components (n, k); ``weights`` as of `Native`."""
    return np.exp(components @ weights[:-1] + weights[-1])


def log_rate(values, state: dict, soft: np.ndarray) -> np.ndarray:
    """Log of count per size that a value (n, p) on the model's scale stands for, by undoing its transform."""
    values = np.asarray(values, dtype=float)
    if state["kind"] == c.ATAC:
        values, soft = values / state["idf"], soft / state["idf"]
    positive = soft * np.logaddexp(0, values / soft)
    scale = {c.ATAC: TFIDF_SCALE, c.RNA: state["size"], c.PROTEIN: 1.0}[state["kind"]]
    return np.log(np.expm1(np.minimum(positive, 30))) - np.log(scale)


def fit_counts(y: np.ndarray, u: np.ndarray, size: np.ndarray, offset: np.ndarray):
    """Offset and slope of each feature, float (p,) and (p,), from known pairs.

    Parameters
    ----------
    y
        Counts (n, p) of cells measured in both modalities; n may be 0.
    u
        What was imputed for them, as of `log_rate`: (n, p).
    size
        Their expected sizes (n,).
    offset
        What is believed of the offset (p,) before these cells are seen.
    """
    if not len(y):
        return offset, np.ones_like(offset)
    center = u.mean(axis=0)
    u, believed = u - center, offset + center  # of b = 1
    log_size = np.log(size)[:, None]
    sum_y, sum_yu = y.sum(axis=0), (y * u).sum(axis=0)
    a, b = believed.copy(), np.ones_like(believed)
    mu = np.exp(np.clip(log_size + a + u, -30, 30))
    total = mu.sum(axis=0)
    a += np.log(np.maximum(sum_y, 0.5)) - np.log(total)
    mu *= np.exp(a - believed)
    dispersion = np.maximum(((y - mu) ** 2).sum(axis=0) / np.maximum(mu.sum(axis=0), 1e-12), 1)
    weight_a, weight_b = dispersion / OFFSET_SD**2, dispersion / SLOPE_SD**2
    for _ in range(N_STEPS):
        mu = np.exp(np.clip(log_size + a + b * u, -30, 30))
        m, mu_u = mu.sum(axis=0), (mu * u).sum(axis=0)
        mu *= u
        mu_uu = np.einsum("ij,ij->j", mu, u) + weight_b
        to_a = sum_y - m - weight_a * (a - believed)
        to_b = sum_yu - mu_u - weight_b * (b - 1)
        m = m + weight_a
        determinant = np.maximum(m * mu_uu - mu_u**2, 1e-12)
        step_a, step_b = (mu_uu * to_a - mu_u * to_b) / determinant, (m * to_b - mu_u * to_a) / determinant
        shorter = np.minimum(1, 1 / np.maximum(np.maximum(np.abs(step_a), np.abs(step_b)), 1e-12))
        a, b = a + shorter * step_a, np.clip(b + shorter * step_b, *SLOPES)
        if np.max(np.abs(step_a)) < 1e-4 and np.max(np.abs(step_b)) < 1e-3:
            break
    return a - b * center, b


def fit_open(y: np.ndarray, mu: np.ndarray) -> np.ndarray:
    """c of each peak, float (p,): as many of the cells (n, p) are expected to be open as are."""
    n_open = (y > 0).sum(axis=0).astype(float)
    rate = n_open / np.maximum(mu.sum(axis=0), 1e-12)
    for _ in range(8):  # Newton's method on a convex function, from below its root
        shut = np.exp(-rate * mu)
        slope = np.maximum(np.einsum("ij,ij->j", shut, mu), 1e-12)
        rate += (shut.sum(axis=0) - (len(y) - n_open)) / slope
    return np.where(n_open > 0, np.clip(rate, 0.01, 100), 1.0)


def fit_line(y: np.ndarray, native: np.ndarray, shift: np.ndarray, spread: np.ndarray):
    """Line y = d + b * native of each feature: d and b, float (p,) each, from known pairs.

    Parameters
    ----------
    y, native
        Measured values, NaN where there is none, and imputed ones in the unit of the input: (n, p).
    shift
        What is believed of the mean of y - native (p,) before these cells are seen.
    spread
        Standard deviation of y (p,) over training cells.
    """
    missing = np.isnan(y)
    n = (~missing).sum(axis=0)
    some = np.maximum(n, 1)
    x = np.where(missing, 0, native)
    center = x.sum(axis=0) / some
    x = np.where(missing, 0, native - center)
    rest = np.where(missing, 0, y - native)
    noise = np.maximum((rest**2).sum(axis=0) / some, (0.1 * spread) ** 2)
    slope = 1 + (x * rest).sum(axis=0) / ((x**2).sum(axis=0) + noise / SLOPE_SD**2)
    slope = np.clip(slope, *SLOPES)
    believed = noise / (OFFSET_SD * spread) ** 2
    mean = (rest.sum(axis=0) + believed * shift) / (n + believed)
    return mean + center * (1 - slope), slope
