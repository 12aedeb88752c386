"""Intervals of imputed values: split-conformal, per feature and group, from cells that a fit did not see.

For a known pair left out of a fit, the distance of the imputed from the measured value is about what it is
for any cell that the model has not seen. Its (1 - alpha) (1 + 1 / n) quantile over the n left-out cells of a
group is the half-width of the group's interval. Were left-out and new cells imputed by the same fit, it would
cover at least 1 - alpha of new cells of the group on average (Lei et al., JASA 113, 1094, 2018); the fits of
the folds saw fewer cells, so that it covers a little more. How much is checked on held-out cells in each run
(`jamie.evaluation.calibration`). On the scale of the model the distance is |x - v|; in native units
|log1p(y) - log1p(mu)| for counts and |y - mu| else.

A group is a cell type, where the training cells have labels, or a cluster of the latent space. Groups of
fewer than `MIN_GROUP` left-out cells take the wider of their own and everyone's interval; with fewer than
9 pairs in all an interval reaches as far to either side as values measured in training lie apart.

It is one partition per group for all features at once; the libraries of this field (crepes, mapie) make an
object per feature, of which there are 25,000.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from jamie import contract as c

ALPHA = 0.1
MIN_GROUP = 30  # left-out cells
MIN_ANY = 9  # with fewer, no quantile of the distances reaches 1 - ALPHA
EVERYONE = "all cells"
ONE_SIDED = 1.645  # normal quantile: a gain this many standard errors above 0 is no noise (5 %)


@dataclass
class Intervals:
    """Half-widths and the mask of one modality.

    Attributes
    ----------
    groups
        Names; the first is `EVERYONE`, for cells of no other group.
    n_cells : int (n_groups,)
        Left-out cells behind each.
    half_width, half_width_native : float32 (p, n_groups)
        See the head of this module.
    usable : bool (p, n_groups)
        Whether imputed values of a feature are nearer to the measured ones than the group's mean is, in at
        least `MIN_GROUP` left-out cells and by more than chance: of features without any gain 5 % pass.
    """

    groups: list[str]
    n_cells: np.ndarray
    half_width: np.ndarray
    half_width_native: np.ndarray
    usable: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """All but the names."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "groups"}

    def columns(self, groups) -> np.ndarray:
        """Place of each cell's group, int (n,); those not known are of everyone's."""
        places = {name: i for i, name in enumerate(self.groups)}
        return np.array([places.get(str(name), 0) for name in groups], dtype=np.int64)

    def around(self, center: np.ndarray, groups, *, native: bool, kind: str, values: str):
        """Lower and upper end for imputed values (n, p) of cells in these groups (n,): float32 (n, p) each.

        Parameters
        ----------
        center
            On the scale of the model, or in native units where ``native``.
        kind, values
            Of the modality, as in its ``uns``.
        """
        half = (self.half_width_native if native else self.half_width)[:, self.columns(groups)].T
        return ends(center, half, native=native, kind=kind, values=values)


def limits(kind: str, values: str) -> tuple[float, float]:
    """What values of a modality lie between, on the scale of the model and in native units."""
    if kind == c.METHYLATION:
        return 0.0, 1.0
    return (0.0, np.inf) if values == c.COUNTS else (-np.inf, np.inf)


def ends(center: np.ndarray, half: np.ndarray, *, native: bool, kind: str, values: str):
    """Lower and upper end, float32 (n, p) each, of half-widths (n, p) around imputed values (n, p)."""
    if native and values == c.COUNTS:
        middle = np.log1p(center)
        low, high = np.expm1(middle - half), np.expm1(middle + half)
    else:
        low, high = center - half, center + half
    return tuple(np.clip(end, *limits(kind, values)).astype(np.float32) for end in (low, high))


def half_widths(distances: np.ndarray, members: np.ndarray, widest: np.ndarray) -> np.ndarray:
    """Half-width of each feature and group, float32 (p, n_groups).

    Parameters
    ----------
    distances
        Of left-out cells (n, p), NaN where nothing was measured.
    members
        bool (n, n_groups): the cells of each group; all of them in the first.
    widest
        Half-width (p,) where there are too few cells.
    """
    found = np.empty((distances.shape[1], members.shape[1]), dtype=np.float32)
    for g in range(members.shape[1]):
        own = _quantile(distances[members[:, g]], widest)
        few = g > 0 and members[:, g].sum() < MIN_GROUP
        enough = (~np.isnan(distances[members[:, g]])).sum(axis=0) >= MIN_ANY
        found[:, g] = np.where(enough, np.maximum(own, found[:, 0]), found[:, 0]) if few else own
    return found


def _quantile(distances: np.ndarray, widest: np.ndarray) -> np.ndarray:
    """The conformal quantile of each feature (p,); ``widest`` where it would be infinite."""
    by_feature = np.ascontiguousarray(distances.T)
    n = (~np.isnan(by_feature)).sum(axis=1)
    rank = np.ceil((n + 1) * (1 - ALPHA)).astype(int)
    found = np.array(widest, dtype=float)
    for k in np.unique(rank[rank <= n]):  # one rank, but for missing values
        rows = (rank == k) & (rank <= n)
        found[rows] = np.partition(by_feature[rows], k - 1, axis=1)[:, k - 1]
    return found


def better_than_mean(gain: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Whether each group's mean gain (n, p) is above 0 by more than chance: bool (p, n_groups)."""
    found = np.zeros((gain.shape[1], members.shape[1]), dtype=bool)
    for g in range(members.shape[1]):
        own = gain[members[:, g]]
        n = (~np.isnan(own)).sum(axis=0)
        total = np.nansum(own, axis=0)
        mean = total / np.maximum(n, 1)
        variance = np.nansum((own - mean) ** 2, axis=0) / np.maximum(n - 1, 1)
        found[:, g] = (n >= MIN_GROUP) & (mean > ONE_SIDED * np.sqrt(variance / np.maximum(n, 1)))
    return found
