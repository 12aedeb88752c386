"""The values of a completed modality: measured where measured, imputed elsewhere, block by block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy import sparse

from jamie import contract as c
from jamie import io
from jamie.data import preprocess
from jamie.data.kinds import with_kind

IS_IMPUTED = "is_imputed"  # layer, where single values of measured cells are missing


class CompletedValues:
    """One modality over its measured cells, then those that lack it.

    Parameters
    ----------
    adata
        The measured cells, raw (n_measured, p_all).
    model
        A fitted `JAMIE`; p of the features are its.
    modality
        Its name.
    guess
        float32 (n_measured, k), principal components from which a value is taken that a measured cell misses.
    lacking
        float32 (n_lacking, k), imputed principal components of the cells that lack the modality.
    """

    def __init__(self, adata, model, modality: str, guess: np.ndarray, lacking: np.ndarray):
        self.model, self.modality, self.guess, self.lacking = model, modality, guess, lacking
        state = model.states[modality]
        self.raw = with_kind(adata, modality, state)
        self.normalised = preprocess.normaliser(self.raw, state)
        self.measured = preprocess.scaled(self.raw, state)
        where = self.raw.var_names.get_indexer(state["features"])
        self.known, self.where = where >= 0, np.maximum(where, 0)
        self.sparse = sparse.issparse(self.raw.X) and state["kind"] not in (c.CONTINUOUS, c.METHYLATION)
        self.shape = (self.raw.n_obs + len(lacking), len(where))

    def write(self, path: Path) -> None:
        """Put ``X`` and layers of the completed modality into a file, and ``normalised`` of the other."""
        completed = f"mod/{c.completed_name(self.modality)}"
        self._write(path, f"mod/{self.modality}/layers/{c.NORMALISED}", self.raw.shape, self.normalised)
        self._write(path, f"{completed}/X", self.shape, self.scaled)
        if self.model.calibration is not None:
            self._write(path, f"{completed}/layers/native", self.shape, self.native)
            if self.raw.uns[c.KIND] == c.ATAC and self.raw.uns["values"] == c.COUNTS:
                self._write(path, f"{completed}/layers/open", self.shape, self.open)
        if self._misses_values():
            self._write(path, f"{completed}/layers/{IS_IMPUTED}", self.shape, self.is_imputed)

    def scaled(self, part: slice):
        """On the model's scale, (n_slice, p): CSR where the measured values are sparse."""
        return self._joined(part, lambda rows: self.measured[rows], self._impute)

    def native(self, part: slice):
        """In native units: as measured; imputed, what `JAMIE.to_native` says."""

        def imputed(components):
            return self.model.to_native(self._impute(components), self.modality)

        return self._joined(part, lambda rows: self.raw.X[rows][:, self.where], imputed)

    def open(self, part: slice):
        """Of peaks: 1 or 0 as measured; imputed, the chance that there is a count."""

        def imputed(components):
            return self.model.to_open(self._impute(components), self.modality)

        return self._joined(part, lambda rows: (self.raw.X[rows][:, self.where] > 0).astype(float), imputed)

    def is_imputed(self, part: slice):
        """bool (n_slice, p): which values are imputed."""
        shape = (len(self.where),)
        return self._joined(
            part,
            lambda rows: np.zeros((rows.stop - rows.start, *shape), bool),
            lambda components: np.ones((len(components), *shape), bool),
        )

    def _impute(self, components: np.ndarray) -> np.ndarray:
        return self.model.projections[self.modality].inverse(components)

    def _joined(self, part: slice, measured, imputed):
        """``measured(rows)``, what is missing there imputed, above ``imputed(components)`` of others."""
        n, parts = self.raw.n_obs, []
        if part.start < n:
            rows = slice(part.start, min(part.stop, n))
            values, missing = measured(rows), self._missing(rows)
            if missing is not None:
                values = values.toarray() if sparse.issparse(values) else values
                values = np.where(missing, imputed(self.guess[rows]), values)
            parts.append(values)
        if part.stop > n:
            parts.append(imputed(self.lacking[max(part.start - n, 0) : part.stop - n]))
        if self.sparse:
            return sparse.vstack([sparse.csr_matrix(values) for values in parts], format="csr")
        return np.concatenate([values.toarray() if sparse.issparse(values) else values for values in parts])

    def _missing(self, rows: slice) -> np.ndarray | None:
        """bool (n_slice, p) of measured cells: values that were not measured; None: all were."""
        missing = np.tile(~self.known, (rows.stop - rows.start, 1))
        if not self.sparse:
            missing |= np.isnan(np.asarray(_dense(self.raw.X[rows])[:, self.where]))
        return missing if missing.any() else None

    def _misses_values(self) -> bool:
        at_once = max(1, io.BLOCK_VALUES // len(self.where))
        starts = range(0, self.raw.n_obs, at_once) if not self.sparse else (0,)
        return any(self._missing(slice(i, min(i + at_once, self.raw.n_obs))) is not None for i in starts)

    def _write(self, path: Path, location: str, shape: tuple[int, int], rows) -> None:
        if self.sparse:
            stored = self.raw.X.nnz + (shape[0] - self.raw.n_obs) * shape[1] if self.known.all() else None
            io.append_csr(path, location, shape, rows, n_values=stored)
        else:
            dtype = "bool" if location.endswith(IS_IMPUTED) else "float32"
            io.append_array(path, location, shape, rows, dtype=dtype, missing=location.endswith(c.NORMALISED))


def _dense(matrix) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)
