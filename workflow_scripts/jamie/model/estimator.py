"""JAMIE as an estimator: fit, embed, impute, save, load."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jamie import contract as c
from jamie import io, unmade
from jamie.data import preprocess
from jamie.data.kinds import with_kind
from jamie.data.split import training_cells
from jamie.errors import InputError
from jamie.linear.projection import Projection
from jamie.model import saved
from jamie.model.inputs import as_correspondence, check_pairs, raw_only, same_state
from jamie.model.options import Options

if TYPE_CHECKING:
    from jamie.matching.prepared import EstimatedCorrespondence

log = logging.getLogger(__name__)

FORMAT = 5  # of the saved model


class JAMIE:
    """Joint variational autoencoders for two partially paired modalities.

    Parameters
    ----------
    preset
        "default", or "paper": the settings of the reference.
    seed
        Of initialisation, mini-batches and noise; the same seed gives identical results on the CPU.
    progress
        Show a progress bar with the loss terms.
    **options
        Any field of `jamie.model.options.Options`.

    Attributes
    ----------
    history_
        DataFrame epoch, term, value (unweighted), weight.
    fit_info_
        Device, epochs, steps, numbers of cells, learned delta.

    Examples
    --------
    >>> model = JAMIE(seed=0).fit(mdata)             # doctest: +SKIP
    >>> model.embed(mdata)["rna"].shape              # doctest: +SKIP
    (1000, 32)
    """

    def __init__(self, preset: str = "default", *, seed: int = 0, progress: bool = True, **options):
        self.options = Options.of(preset, **options)
        self.seed, self.progress = seed, progress
        self.calibration = self.crossfit_ = None

    def fit(
        self,
        mdata,
        correspondence=None,
        estimated: EstimatedCorrespondence | bool | None = None,
        checkpoint=None,
    ) -> JAMIE:
        """Fit to two modalities.

        Parameters
        ----------
        mdata
            MuData of two modalities, either raw (preprocessed here, on all its cells; the kind of each is
            ``mod[m].uns["kind"]`` or, failing that, told from the modality's name) or prepared by the
            workflow (then only cells with ``obs["role"] == "train"`` are used). Values that do not fit their
            kind, as logarithms given for counts, are an `InputError`.
        correspondence
            Known F: a `Correspondence`, or a sparse matrix (n_1, n_2) of values in [0, 1] in the order of the
            cells. None: cells with equal names are the same cell; that there are none is an `InputError`,
            unless there is an estimate.
        estimated
            F~, the estimated correspondence; True: made here (see `jamie.matching`). The option
            ``estimated`` says whether it is used.
        checkpoint
            File through which a fit that was killed goes on; see `jamie.model.trainer.train`. Removed at the
            end.
        """
        from jamie.matching.prepared import estimate_prepared
        from jamie.model import choose, direct
        from jamie.model.reference import pieces_for

        prepared = self._prepared(mdata)
        self.modalities = c.check_two_modalities(prepared)
        f = as_correspondence(prepared, correspondence)
        if correspondence is None and not estimated:
            check_pairs(f)
        mdata = training_cells(prepared, layers=(c.MISSING,))
        names = [a.obs_names for a in mdata.mod.values()]
        self.states = {m: mdata.mod[m].uns[c.PREPROCESSING] for m in self.modalities}
        seen = pieces_for(self.options.faults).component_cells(prepared, mdata)
        if estimated is True:
            estimated = estimate_prepared(prepared, f, seed=self.seed)
        smaller, known = min(a.n_obs for a in mdata.mod.values()), f.align(*names)
        # where F~ is trusted and says more than the known pairs, what is learned does not rest on these alone
        usable = estimated and estimated.trusted and self.options.estimated != "never"
        matched = usable and estimated.beyond_pairs
        n_components = self.options.components(smaller, None if matched else len(known.best_pairs()))
        self.projections = {
            m: Projection.fit(seen.mod[m].X, self.states[m]["sd"], n_components) for m in self.modalities
        }
        f, estimated = known.matrix, estimated.align(*names) if estimated else None
        inputs = tuple(self.projections[m].transform(mdata.mod[m].X) for m in self.modalities)
        told = {"seed": self.seed, "progress": self.progress, "checkpoint": checkpoint}
        result = choose.fit(inputs, f, self.options, estimated, **told)
        self.model, self.history_, self.fit_info_ = result.model, result.history, result.info
        if self.options.direct:
            self.model.set_direct(direct.fit(inputs, f, self.seed))
        self._calibrate(mdata, f, choose.weighted(estimated) if result.info["estimated"]["used"] else None)
        if checkpoint is not None:
            Path(checkpoint).unlink(missing_ok=True)
        return self

    def _calibrate(self, train, f, f_estimated) -> None:
        """Cross-fit, and learn native units, intervals and what is unlike training from it."""
        from jamie.model.calibrate import calibrate
        from jamie.model.crossfit import CrossFit, cross_fit

        if not self.options.folds:
            self.crossfit_ = CrossFit(self.modalities, {m: np.empty(0, int) for m in self.modalities})
            return
        start = time.perf_counter()
        n_components = max(len(p.components) for p in self.projections.values())  # fewer of few features
        self.crossfit_ = cross_fit(train, f, f_estimated, self.options, n_components, self.seed)
        shares = self.crossfit_.shares
        self.model.weigh([shares[target] for target in self.modalities[::-1]] if shares else [])
        self.calibration = calibrate(self, train, self.crossfit_)
        self.fit_info_["calibration"] = {
            "n_folds": len(self.crossfit_.folds),
            "n_pairs": self.calibration.n_pairs,
            "shares": self.crossfit_.shares,
            "seconds": round(time.perf_counter() - start, 3),
        }

    def embed(self, mdata) -> dict[str, np.ndarray]:
        """Latent mean of every cell, by its own modality's encoder.

        Cells need not have been seen in training; one modality is enough. Returns {modality: float32 (n, d)}.
        """
        return {m: self.encode(x, m) for m, x in self.inputs(mdata).items()}

    def inputs(self, mdata) -> dict[str, np.ndarray]:
        """What `encode` takes, of each modality that the model knows: {modality: float32 (n, k)}."""
        known = [m for m in self.modalities if m in mdata.mod]
        if not known:
            raise InputError(
                "The data have no modality the model knows",
                expected=" or ".join(self.modalities),
                found=", ".join(mdata.mod),
                change="the names of the data's modalities",
            )
        return {m: self.model_input(mdata, m) for m in known}

    def impute(self, mdata, source: str, target: str) -> np.ndarray:
        """Modality ``target`` imputed for each cell of ``source``: float32 (n_source, p_target).

        On the scale of prepared ``X``; columns are `feature_names(target)`. See `to_native` for native units.
        """
        return self.imputer(mdata, source, target)(slice(None))

    def imputer(self, mdata, source: str, target: str) -> Callable[[slice], np.ndarray]:
        """The same for a slice of cells at a time, for outputs that do not fit in memory."""
        self._check_modality(source)
        self._check_modality(target)
        x = self.model_input(mdata, source)
        if source == target:
            return lambda rows: self.decode(self.encode(x[rows], source), target)
        return lambda rows: self.projections[target].inverse(self.imputed(x[rows], source))

    def feature_names(self, modality: str) -> np.ndarray:
        """Names of the features the model knows, in the order of its columns."""
        self._check_modality(modality)
        return np.asarray(self.states[modality]["features"], dtype=str)

    def to_native(self, values: np.ndarray, modality: str, size: np.ndarray | None = None) -> np.ndarray:
        """Imputed values in native units: expected counts, fractions, physical units (`jamie.model.native`).

        Parameters
        ----------
        values
            (n_cells, p) on the scale of prepared ``X``, as of `impute`.
        size
            (n_cells,) depth at which counts are wanted (of protein the geometric mean of count + 1); None:
            what is expected of such a cell.
        """
        self._check_modality(modality)
        native = self._calibration().native[modality]
        if size is None and self.states[modality]["values"] == "counts":
            size = native.size(self.projections[modality].transform(np.asarray(values)))
        return native.expected(values, self.states[modality], size).astype(np.float32)

    def to_open(self, values: np.ndarray, modality: str, size: np.ndarray | None = None) -> np.ndarray:
        """Chance that a peak has a count at all, float32 (n_cells, p); otherwise as `to_native`."""
        self._check_modality(modality)
        if self.states[modality]["kind"] != c.ATAC or self.states[modality]["values"] != "counts":
            raise InputError(
                f"Nothing of {modality!r} is open or closed",
                expected="a modality of kind atac, given as counts",
                found=f"kind {self.states[modality]['kind']}, values {self.states[modality]['values']}",
                change="the name of the modality",
            )
        native = self._calibration().native[modality]
        return native.is_open(self.to_native(values, modality, size)).astype(np.float32)

    def interval(
        self, values: np.ndarray, modality: str, groups: np.ndarray, *, native: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper end, float32 (n_cells, p), between which 90 % of measured values lie.

        Parameters
        ----------
        values
            (n_cells, p) on the scale of prepared ``X``, as of `impute`.
        groups
            (n_cells,) as of `groups`.
        native
            In native units, for counts as they would be measured in cells of unknown depth.
        """
        self._check_modality(modality)
        intervals = self._calibration().intervals[modality]
        center = self.to_native(values, modality) if native else np.asarray(values)
        kind, given = (self.states[modality][key] for key in ("kind", "values"))
        return intervals.around(center, groups, native=native, kind=kind, values=given)

    def groups(self, mdata, source: str) -> np.ndarray:
        """The group of each cell of ``source``, by which it has intervals: str (n_cells,)."""
        latent = self.encode(self.model_input(mdata, source), source)
        return self._calibration().grouping(mdata.mod[source].obs, latent)

    def unlikeness(self, mdata, modality: str) -> tuple[np.ndarray, float]:
        """How unlike the training cells each cell is, float (n_cells,), and the threshold.

        Above it lies one in 20 of cells that are like them (`jamie.model.unlike`). All is NaN where too few
        cells could be left out to tell.
        """
        prepared, reference = self._prepared_x(mdata, modality), self._calibration().reference
        if not reference:
            return np.full(prepared.shape[0], np.nan), np.nan
        return reference[modality].score(prepared), reference[modality].threshold

    def _calibration(self):
        if self.calibration is None:
            raise InputError(
                "The model is not calibrated",
                expected="a model fitted with the option `folds` of 2 or more",
                found=f"folds: {self.options.folds}",
                change="`folds`, and fit again",
            )
        return self.calibration

    def save(self, folder: str | Path) -> None:
        """Write ``weights.safetensors`` and ``config.json``; the folder appears whole or not at all."""
        from safetensors.numpy import save_file

        arrays = {f"network.{k}": v.cpu().numpy() for k, v in self.model.state_dict().items()}
        if self.calibration is not None:
            arrays |= {f"calibration.{k}": v for k, v in self.calibration.arrays().items()}
        for m in self.modalities:
            arrays |= {f"projection.{m}.{k}": v for k, v in self.projections[m].arrays().items()}
        with io.atomic(folder) as temporary:
            temporary.mkdir()
            save_file(
                {k: np.ascontiguousarray(v) for k, v in arrays.items()}, temporary / "weights.safetensors"
            )
            io.write_json(
                temporary / "config.json",
                {
                    "format": FORMAT,
                    "options": self.options.to_dict(),
                    "seed": self.seed,
                    "modalities": list(self.modalities),
                    "preprocessing": self.states,
                    "fit_info": self.fit_info_,
                    "calibration": None if self.calibration is None else self.calibration.names(),
                },
            )

    @classmethod
    def load(cls, folder: str | Path, device: str = "auto") -> JAMIE:
        """Read a saved model; on the same device it embeds and imputes exactly as the one that was saved."""
        import torch
        from safetensors.numpy import load_file

        from jamie.device import choose_device
        from jamie.model import direct
        from jamie.model.calibrate import Calibration
        from jamie.model.network import JointVAE

        folder = Path(folder)
        unmade.refuse(folder)
        if not (folder / "config.json").is_file():
            raise InputError(
                f"{folder} holds no saved model",
                expected="config.json and weights.safetensors, as written by JAMIE.save",
                found=", ".join(sorted(p.name for p in folder.glob("*"))) or "nothing",
                change="the path of the model",
            )
        with saved.readable(folder):
            config = io.read_json(folder / "config.json")
            if config["format"] != FORMAT:
                raise InputError(
                    f"{folder} was saved by another version",
                    expected=f"format {FORMAT}",
                    found=f"format {config['format']}",
                    change="fit the model again",
                )
            self = cls(seed=config["seed"], **config["options"])
            self.modalities = tuple(config["modalities"])
            self.states = {
                m: {k: np.asarray(v) if isinstance(v, list) else v for k, v in state.items()}
                for m, state in config["preprocessing"].items()
            }
            arrays = load_file(folder / "weights.safetensors")
            self.projections = {
                m: Projection.from_arrays(_with_prefix(arrays, f"projection.{m}.")) for m in self.modalities
            }
            saved.check_sound(self.states, self.projections, _with_prefix(arrays, "network."))
            n_inputs = tuple(len(self.projections[m].components) for m in self.modalities)
            self.model = JointVAE(n_inputs, self.options)
            network = {k: torch.as_tensor(v) for k, v in _with_prefix(arrays, "network.").items()}
            self.model.set_direct(direct.empty(network))
            self.model.load_state_dict(network)
            self.model.to(choose_device(device)).eval()
            self.fit_info_ = config["fit_info"]
            if config["calibration"] is not None:
                of_calibration = _with_prefix(arrays, "calibration.")
                self.calibration = Calibration.from_arrays(
                    of_calibration, config["calibration"], self.options
                )
        return self

    def _prepared(self, mdata):
        if all(c.PREPROCESSING in a.uns for a in mdata.mod.values()):
            return mdata

        raw = io.together({m: with_kind(a, m) for m, a in mdata.mod.items()})
        c.check_two_modalities(raw)
        return preprocess.prepare(raw, {i: np.ones(a.n_obs, bool) for i, a in enumerate(raw.mod.values())})

    def _check_modality(self, name: str) -> None:
        if name not in self.modalities:
            raise InputError(
                f"The model does not know a modality {name!r}",
                expected=" or ".join(self.modalities),
                found=repr(name),
                change="the name of the modality",
            )

    def model_input(self, mdata, modality: str) -> np.ndarray:
        """Scaled principal components, float32 (n, k); raw cells are prepared with the model's statistics."""
        return self.projections[modality].transform(self._prepared_x(mdata, modality))

    def _prepared_x(self, mdata, modality: str):
        """``X`` of prepared cells (n, p), of the model's features."""
        if modality not in mdata.mod:
            raise InputError(
                f"The data have no modality {modality!r}",
                expected=f"a modality {modality!r} to start from",
                found=", ".join(mdata.mod),
                change="the data, or `source`",
            )
        adata, state = mdata.mod[modality], self.states[modality]
        if c.PREPROCESSING in adata.uns and same_state(adata.uns[c.PREPROCESSING], state):
            return preprocess.by_name(adata, state)
        return preprocess.scaled(with_kind(raw_only(adata), modality, state), state)

    def encode(self, x: np.ndarray, modality: str) -> np.ndarray:
        """Latent means, float32 (n, d), from scaled principal components (n, k) as of `model_input`."""
        return self.model.encode(self.modalities.index(modality), x)

    def imputed(self, x: np.ndarray, source: str) -> np.ndarray:
        """Model input of the other modality, float32 (n, k), from that of ``source`` (n, k)."""
        return self.model.impute(self.modalities.index(source), x)

    def components(self, latent: np.ndarray, target: str) -> np.ndarray:
        """Principal components of modality ``target`` from latents (n, d): float32 (n, k)."""
        return self.model.decode(self.modalities.index(target), latent)

    def decode(self, latent: np.ndarray, target: str) -> np.ndarray:
        """Modality ``target`` from latents (n, d): float32 (n, p_target), on the scale of prepared ``X``."""
        return self.projections[target].inverse(self.components(latent, target))


def _with_prefix(arrays: dict, prefix: str) -> dict:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
