"""Cross-fitting: what a fit says of cells that it has not seen, of (nearly) every training cell.

The training cells are dealt into folds, a known pair whole. For each fold components and networks are fitted
anew to the others, as the model itself was, and see neither side of its pairs. What they impute for these
pairs is held against what was measured there: that calibrates the model (`jamie.model.calibrate`). Choice of
features and scaling, statistics of all training cells, are kept.
"""

from __future__ import annotations

import logging
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import sparse

from jamie import io
from jamie.data.correspondence import single_pairs
from jamie.linear.projection import Projection
from jamie.model.options import Options
from jamie.model.unlike import Reference

log = logging.getLogger(__name__)

ENOUGH = 1_000  # left-out pairs (cells, where there are none), after which no further fold is fitted
_SAVED = ("imputed", "distances", "sd", "center", "components", "scale")
MIN_CELLS = 20  # training cells of either modality, below which nothing is left out


@dataclass
class Fold:
    """What a fit without these cells says of them.

    Attributes
    ----------
    rows
        Left-out cells: int (n_1,), (n_2,) rows of the training cells; the first ``n_pairs`` of both are
        known pairs, in order.
    imputed
        Principal components of the target modality, imputed from the other, of the pairs: float32
        (n_pairs, k).
    projections
        What these components are, by modality.
    distances
        Of all left-out cells from those fitted, float (n_m, 3), see `jamie.model.unlike.Reference`.
    """

    rows: tuple[np.ndarray, np.ndarray]
    n_pairs: int
    imputed: dict[str, np.ndarray]
    projections: dict[str, Projection]
    distances: dict[str, np.ndarray]


@dataclass
class CrossFit:
    """Folds of one fit; empty where too few cells can be left out.

    Attributes
    ----------
    modalities
        Names of the two.
    folds
        At most as many as were asked for.
    """

    modalities: tuple[str, str]
    folds: list[Fold]

    def save(self, folder: str | Path) -> None:
        """Write ``folds.safetensors`` and ``folds.json``; the folder appears whole or not at all."""
        from safetensors.numpy import save_file

        arrays = {}
        for i, fold in enumerate(self.folds):
            arrays |= {f"{i}.rows.{axis}": rows for axis, rows in enumerate(fold.rows)}
            for name in self.modalities:
                parts = {"imputed": fold.imputed[name], "distances": fold.distances[name]}
                parts |= {k: v.astype(np.float32) for k, v in fold.projections[name].arrays().items()}
                arrays |= {f"{i}.{name}.{key}": np.ascontiguousarray(part) for key, part in parts.items()}
        about = {"modalities": self.modalities, "n_pairs": [fold.n_pairs for fold in self.folds]}
        with io.atomic(folder) as temporary:
            temporary.mkdir()
            save_file(arrays, temporary / "folds.safetensors")
            io.write_json(temporary / "folds.json", about)
            if Path(folder).is_dir():
                shutil.rmtree(folder)

    @classmethod
    def load(cls, folder: str | Path) -> CrossFit:
        """Read what `save` wrote; components are then float32."""
        from safetensors.numpy import load_file

        about = io.read_json(Path(folder) / "folds.json")
        arrays = load_file(Path(folder) / "folds.safetensors")
        names = tuple(about["modalities"])
        found = cls(names, [])
        for i, n_pairs in enumerate(about["n_pairs"]):
            parts = {n: {k: arrays[f"{i}.{n}.{k}"] for k in _SAVED} for n in names}
            imputed, distances = ({n: parts[n].pop(k) for n in names} for k in ("imputed", "distances"))
            projections = {n: Projection.from_arrays(parts[n]) for n in names}
            rows = arrays[f"{i}.rows.0"], arrays[f"{i}.rows.1"]
            found.folds.append(Fold(rows, n_pairs, imputed, projections, distances))
        return found

    def pairs(self, modality: str) -> np.ndarray:
        """Rows of the pairs' cells of a modality among the training cells, int (n_pairs,)."""
        axis = self.modalities.index(modality)
        return np.concatenate([f.rows[axis][: f.n_pairs] for f in self.folds] or [np.empty(0, np.int64)])

    def imputed(self, target: str, features: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Imputed values of the pairs' cells, in their order: float32 (n_pairs, n_features)."""
        parts = [f.projections[target].inverse(f.imputed[target], features) for f in self.folds]
        return np.concatenate(parts)

    def left_out(self, modality: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows of all left-out cells of a modality, int (n,), and their distances, float (n, 3)."""
        axis = self.modalities.index(modality)
        rows = [f.rows[axis] for f in self.folds]
        return np.concatenate(rows), np.concatenate([f.distances[modality] for f in self.folds])


def cross_fit(train, f: sparse.csr_matrix, f_estimated, options: Options, n_components: int, seed: int):
    """Fit the folds: a `CrossFit`.

    Parameters
    ----------
    train
        Prepared MuData of the training cells.
    f, f_estimated
        Their known correspondence and, where the model uses it, the estimated one: CSR (n_1, n_2).
    options
        Of the model.
    n_components
        Principal components the model has.
    """
    folds, n_done = [], 0
    for number, (rows, n_pairs) in enumerate(deal(f, options.folds, seed)):
        log.info("cross-fitting: fold %d of %d", number + 1, options.folds)
        folds.append(_fit_fold(train, f, f_estimated, options, n_components, seed, rows, n_pairs))
        n_done += n_pairs or min(map(len, rows))
        if n_done >= ENOUGH:
            break
    return CrossFit(tuple(train.mod), folds)


def deal(f: sparse.csr_matrix, n_folds: int, seed: int) -> list[tuple[tuple[np.ndarray, np.ndarray], int]]:
    """Cells of each fold, ((n_1,), (n_2,)) rows with pairs first and in order, and its number of pairs.

    Dealt are one-to-one pairs and cells without a partner; cells with several partners stay in every fit.
    There are ``n_folds``, or more where a fold would otherwise leave out more than `ENOUGH`.
    """
    if n_folds < 2 or min(f.shape) < MIN_CELLS:
        return []
    rng = np.random.default_rng([seed, 5])
    pairs = single_pairs(f)
    pairs = pairs[rng.permutation(len(pairs))]
    n_folds = max(n_folds, -(-(len(pairs) or min(f.shape)) // ENOUGH))
    alone = [np.flatnonzero(np.diff(m.indptr) == 0) for m in (f.tocsr(), f.tocsc())]
    alone = [rows[rng.permutation(len(rows))] for rows in alone]
    return [
        (
            tuple(np.append(pairs[i::n_folds, axis], alone[axis][i::n_folds]) for axis in (0, 1)),
            len(pairs[i::n_folds]),
        )
        for i in range(n_folds)
    ]


def _fit_fold(
    train, f, f_estimated, options: Options, n_components: int, seed: int, rows, n_pairs: int
) -> Fold:
    from jamie.model.trainer import train as fit
    from jamie.model.watch import submatrix

    keep = tuple(np.setdiff1d(np.arange(n), left) for n, left in zip(f.shape, rows, strict=True))
    parts = [
        _project(adata, fitted, left, n_components)
        for adata, fitted, left in zip(train.mod.values(), keep, rows, strict=True)
    ]
    model = fit(
        tuple(part.fitted for part in parts),
        submatrix(f, keep),
        options,
        f_estimated=None if f_estimated is None else submatrix(f_estimated, keep),
        seed=seed,
        progress=False,
    ).model
    names, imputed, distances = list(train.mod), {}, {}
    for i, part in enumerate(parts):
        z = model.encode(i, part.left)
        imputed[names[1 - i]] = model.decode(1 - i, z[:n_pairs])
        reference = Reference.of(part.fitted, model.encode(i, part.fitted), seed)
        distances[names[i]] = reference.distances(part.left, z, part.off_axes)
    projections = {name: part.projection for name, part in zip(names, parts, strict=True)}
    return Fold(rows, n_pairs, imputed, projections, distances)


@dataclass
class _Part:
    """One modality of a fold: components, and the cells fitted and left out as they see them."""

    projection: Projection
    fitted: np.ndarray
    left: np.ndarray
    off_axes: np.ndarray


def _project(adata, fitted: np.ndarray, left: np.ndarray, n_components: int) -> _Part:
    values = adata.X[fitted]
    projection = Projection.fit(values, adata.var["sd"].to_numpy(), n_components)
    out = adata.X[left]
    x = projection.transform(out)
    return _Part(projection, projection.transform(values), x, projection.off_axes(out, x))
