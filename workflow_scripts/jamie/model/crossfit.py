"""Cross-fitting: what a fit says of cells that it has not seen, of (nearly) every training cell.

The training cells are dealt into folds, a known pair whole. For each fold components and networks are fitted
anew to the others, as the model itself was, and see neither side of its pairs. (Fits in half the steps would
impute values that vary less, and what they teach would make counts too high.) What they impute for these
pairs is held against what was measured there: that calibrates the model (`jamie.model.calibrate`).
What does not look at single cells is kept: the choice of features, and their transformation; and an
estimated correspondence, made with all known pairs, of which a fold sees the part among its own cells.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import sparse

from jamie import io, unmade
from jamie.data.correspondence import certain_pairs, single_pairs
from jamie.linear.blocks import column_mean_sd
from jamie.linear.projection import Projection
from jamie.model.options import Options
from jamie.model.unlike import Reference

log = logging.getLogger(__name__)

ENOUGH = 1_000  # left-out pairs (cells, where there are none), after which no further fold is fitted
_OF_FOLD = "imputed", "imputed_alone"
_OF_PROJECTION = "sd", "center", "components", "scale"
MIN_CELLS = 20  # training cells of either modality, below which nothing is left out


@dataclass
class Fold:
    """What a fit without these cells says of them.

    Attributes
    ----------
    rows
        Left-out cells: int (n_1,), (n_2,) rows of the training cells; the first ``n_pairs`` of both are
        certain known pairs, in order.
    imputed
        Principal components of the target modality, imputed from the other, of the pairs: float32
        (n_pairs, k).
    imputed_alone
        The same of all cells of the other modality without a known partner: float32 (n_alone, k).
    regressed, regressed_alone
        What the direct regression of that fit adds to either, until `CrossFit.weigh`; empty without one.
    projections
        What these components are, by modality.
    """

    rows: tuple[np.ndarray, np.ndarray]
    n_pairs: int
    imputed: dict[str, np.ndarray]
    imputed_alone: dict[str, np.ndarray]
    projections: dict[str, Projection]
    regressed: dict[str, np.ndarray] = field(default_factory=dict)
    regressed_alone: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class CrossFit:
    """Folds of one fit; empty where too few cells can be left out.

    Attributes
    ----------
    modalities
        Names of the two.
    alone
        Rows of the training cells without a known partner, by modality: int (n_alone,).
    folds
        At most as many as were asked for.
    reference
        By modality, the first fit, as new cells are compared with it; not saved here, but with the model.
    shares
        By target, what the decoder weighs beside the direct regression, of all folds together; empty where
        there is none. Not saved here, but with the model.
    """

    modalities: tuple[str, str]
    alone: dict[str, np.ndarray]
    folds: list[Fold] = field(default_factory=list)
    reference: dict[str, Reference] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)

    def weigh(self, train) -> None:
        """Put together what decoders and regressions say, as they predict the left-out pairs best."""
        from jamie.model.direct import share

        folds = [fold for fold in self.folds if fold.regressed]
        for axis, name in enumerate(self.modalities if folds else ()):
            x, parts = train.mod[name].X, []
            for fold in folds:
                measured = fold.projections[name].transform(x[fold.rows[axis][: fold.n_pairs]])
                parts.append((measured, fold.imputed[name], fold.regressed[name]))
            self.shares[name] = own = share(*map(np.concatenate, zip(*parts, strict=True)))
            for fold in folds:
                for said, regressed in (
                    (fold.imputed, fold.regressed),
                    (fold.imputed_alone, fold.regressed_alone),
                ):
                    said[name] = (own * said[name] + (1 - own) * regressed.pop(name)).astype(np.float32)

    def save(self, folder: str | Path) -> None:
        """Write ``folds.safetensors`` and ``folds.json``; the folder appears whole or not at all."""
        from safetensors.numpy import save_file

        arrays = {f"alone.{name}": rows for name, rows in self.alone.items()}
        for i, fold in enumerate(self.folds):
            arrays |= {f"{i}.rows.{axis}": rows for axis, rows in enumerate(fold.rows)}
            for name in self.modalities:
                parts = {part: getattr(fold, part)[name] for part in _OF_FOLD}
                parts |= {k: v.astype(np.float32) for k, v in fold.projections[name].arrays().items()}
                arrays |= {f"{i}.{name}.{key}": np.ascontiguousarray(part) for key, part in parts.items()}
        about = {"modalities": self.modalities, "n_pairs": [fold.n_pairs for fold in self.folds]}
        with io.atomic(folder) as temporary:
            temporary.mkdir()
            save_file(arrays, temporary / "folds.safetensors")
            io.write_json(temporary / "folds.json", about)

    @classmethod
    def load(cls, folder: str | Path) -> CrossFit:
        """Read what `save` wrote; components are then float32."""
        from safetensors.numpy import load_file

        unmade.refuse(folder)
        about = io.read_json(Path(folder) / "folds.json")
        arrays = load_file(Path(folder) / "folds.safetensors")
        names = tuple(about["modalities"])
        found = cls(names, {name: arrays[f"alone.{name}"] for name in names})
        for i, n_pairs in enumerate(about["n_pairs"]):
            of_fold = {part: {n: arrays[f"{i}.{n}.{part}"] for n in names} for part in _OF_FOLD}
            projections = {
                n: Projection.from_arrays({k: arrays[f"{i}.{n}.{k}"] for k in _OF_PROJECTION}) for n in names
            }
            rows = arrays[f"{i}.rows.0"], arrays[f"{i}.rows.1"]
            found.folds.append(Fold(rows, n_pairs, projections=projections, **of_fold))
        return found

    def pairs(self, modality: str) -> np.ndarray:
        """Rows of the pairs' cells of a modality among the training cells, int (n_pairs,)."""
        axis = self.modalities.index(modality)
        return np.concatenate([f.rows[axis][: f.n_pairs] for f in self.folds] or [np.empty(0, np.int64)])

    def imputed(self, target: str, features: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Imputed values of the pairs' cells, in their order: float32 (n_pairs, n_features)."""
        parts = [f.projections[target].inverse(f.imputed[target], features) for f in self.folds]
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    def imputed_alone(self, target: str, features: slice | np.ndarray = slice(None)) -> np.ndarray:
        """Imputed values of the cells that are ``alone`` in the other modality, mean of all folds.

        float32 (n_alone, n_features). What is imputed for pairs is as if from one of these fits at random.
        """
        parts = (f.projections[target].inverse(f.imputed_alone[target], features) for f in self.folds)
        return sum(parts) / np.float32(len(self.folds))


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
    alone = _alone(f)
    found = CrossFit(tuple(train.mod), dict(zip(train.mod, alone, strict=True)))
    dealt, n_done = deal(f, options.folds, seed), 0
    for number, (rows, n_pairs) in enumerate(dealt):
        log.info("cross-fitting: fold %d of %d at most", number + 1, len(dealt))
        fold, parts, model = _fit_fold(
            train, f, f_estimated, options, n_components, seed, rows, n_pairs, alone
        )
        found.folds.append(fold)
        if not number:
            found.reference = {
                name: Reference.of(
                    part.projection, part.varies, model.vaes[axis], part.fitted, part.left, seed
                )
                for axis, (name, part) in enumerate(zip(train.mod, parts, strict=True))
            }
        n_done += n_pairs or min(map(len, rows))
        if n_done >= ENOUGH:
            break
    found.weigh(train)
    return found


def _alone(f: sparse.csr_matrix) -> list[np.ndarray]:
    """Rows and columns without an entry."""
    return [np.flatnonzero(np.diff(m.indptr) == 0) for m in (f.tocsr(), f.tocsc())]


def deal(f: sparse.csr_matrix, n_folds: int, seed: int) -> list[tuple[tuple[np.ndarray, np.ndarray], int]]:
    """Cells of each fold, ((n_1,), (n_2,)) rows with certain pairs first and in order, and their number.

    Dealt are one-to-one pairs and cells without a partner; cells with several partners stay in every fit.
    A fold leaves out `ENOUGH` pairs, and cells without a partner, at most.
    """
    if n_folds < 2 or min(f.shape) < MIN_CELLS:
        return []
    rng = np.random.default_rng([seed, 5])
    certain = certain_pairs(f)
    soft = single_pairs(f)
    soft = soft[~np.isin(soft[:, 0], certain[:, 0])]
    alone = _alone(f)
    certain, soft, *alone = (rows[rng.permutation(len(rows))] for rows in (certain, soft, *alone))
    n_folds = max(n_folds, -(-len(certain) // ENOUGH))
    dealt = []
    for i in range(n_folds):
        pairs = np.concatenate([certain[i::n_folds], soft[i::n_folds]])
        rows = tuple(np.append(pairs[:, axis], alone[axis][i::n_folds][:ENOUGH]) for axis in (0, 1))
        if min(map(len, rows)):
            dealt.append((rows, len(certain[i::n_folds])))
    return dealt


def _fit_fold(
    train, f, f_estimated, options: Options, n_components: int, seed: int, rows, n_pairs: int, alone
) -> tuple[Fold, list[_Part], object]:
    from jamie.model import direct
    from jamie.model.trainer import train as fit
    from jamie.model.watch import submatrix

    keep = tuple(np.setdiff1d(np.arange(n), left) for n, left in zip(f.shape, rows, strict=True))
    parts = [
        _Part.of(adata, fitted, left, n_components)
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
    names = list(train.mod)
    projections = {name: part.projection for name, part in zip(names, parts, strict=True)}
    fold = Fold(rows, n_pairs, {}, {}, projections)
    ways = (
        direct.fit(tuple(part.fitted for part in parts), submatrix(f, keep), seed) if options.direct else []
    )
    for i, part in enumerate(parts):
        target = names[1 - i]
        for cells, decoded, regressed in (
            (part.left[:n_pairs], fold.imputed, fold.regressed),
            (train.mod[names[i]].X[alone[i]], fold.imputed_alone, fold.regressed_alone),
        ):
            x = part.projection.transform(cells)
            decoded[target] = model.decode(1 - i, model.encode(i, x))
            if ways:
                regressed[target] = ways[i].predict(x)
    return fold, parts, model


@dataclass
class _Part:
    """One modality of a fold: components, model input of the cells fitted, prepared cells left out.

    ``varies`` says of each feature, bool (p,), whether it does so among the cells fitted; a model leaves out
    those that do not.
    """

    projection: Projection
    varies: np.ndarray
    fitted: np.ndarray
    left: object

    @classmethod
    def of(cls, adata, fitted: np.ndarray, left: np.ndarray, n_components: int) -> _Part:
        values = adata.X[fitted]
        sd = column_mean_sd(values)[1]
        projection = Projection.fit(values, np.where(sd > 0, sd, adata.var["sd"]), n_components)
        return cls(projection, sd > 0, projection.transform(values), adata.X[left])
