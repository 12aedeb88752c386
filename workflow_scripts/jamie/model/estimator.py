"""JAMIE as an estimator: fit, embed, impute, save, load."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jamie import contract as c
from jamie import io
from jamie.data import preprocess
from jamie.data.kinds import with_kind
from jamie.data.split import training_cells
from jamie.errors import InputError
from jamie.linear.projection import Projection
from jamie.model.inputs import as_correspondence, raw_only, same_state
from jamie.model.options import Options

if TYPE_CHECKING:
    from jamie.matching.prepared import EstimatedCorrespondence

log = logging.getLogger(__name__)

FORMAT = 2  # of the saved model
CHUNK = 8192  # cells encoded at once


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
            workflow (then only cells with ``obs["role"] == "train"`` are used).
        correspondence
            Known F: a `Correspondence`, or a sparse matrix (n_1, n_2) of values in [0, 1] in the order of the
            cells. None: cells with equal names are the same cell.
        estimated
            F~, the estimated correspondence; True: made here (see `jamie.matching`). The option
            ``estimated`` says whether it is used.
        checkpoint
            File through which a fit that was killed goes on; see `jamie.model.trainer.train`.
        """
        from jamie.matching.prepared import estimate_prepared
        from jamie.model import choose
        from jamie.model.reference import pieces_for

        prepared = self._prepared(mdata)
        self.modalities = c.check_two_modalities(prepared)
        f = as_correspondence(prepared, correspondence)
        mdata = training_cells(prepared, layers=False)
        names = [a.obs_names for a in mdata.mod.values()]
        self.states = {m: mdata.mod[m].uns[c.PREPROCESSING] for m in self.modalities}
        seen = pieces_for(self.options.faults).component_cells(prepared, mdata)
        n_components = self.options.components(min(a.n_obs for a in mdata.mod.values()))
        self.projections = {
            m: Projection.fit(seen.mod[m].X, self.states[m]["sd"], n_components) for m in self.modalities
        }
        if estimated is True:
            estimated = estimate_prepared(prepared, f, seed=self.seed)
        result = choose.fit(
            tuple(self.projections[m].transform(mdata.mod[m].X) for m in self.modalities),
            f.align(*names).matrix,
            self.options,
            estimated.align(*names) if estimated else None,
            seed=self.seed,
            progress=self.progress,
            checkpoint=checkpoint,
        )
        self.model, self.history_, self.fit_info_ = result.model, result.history, result.info
        return self

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
        latent = self.encode(self.model_input(mdata, source), source)
        return lambda rows: self.decode(latent[rows], target)

    def feature_names(self, modality: str) -> np.ndarray:
        """Names of the features the model knows, in the order of its columns."""
        self._check_modality(modality)
        return np.asarray(self.states[modality]["features"], dtype=str)

    def to_native(self, values: np.ndarray, modality: str, size: np.ndarray | None = None) -> np.ndarray:
        """Imputed values in native units: counts of a median cell, fractions, physical units.

        For counts this is the back-transform of a mean on the log scale, which lies below the mean count.
        """
        self._check_modality(modality)
        return preprocess.invert(values, self.states[modality], size)

    def save(self, folder: str | Path) -> None:
        """Write ``weights.safetensors`` and ``config.json``; the folder appears whole or not at all."""
        from safetensors.numpy import save_file

        arrays = {f"network.{k}": v.cpu().numpy() for k, v in self.model.state_dict().items()}
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
                },
            )
            if Path(folder).is_dir():
                shutil.rmtree(folder)

    @classmethod
    def load(cls, folder: str | Path, device: str = "auto") -> JAMIE:
        """Read a saved model; on the same device it embeds and imputes exactly as the one that was saved."""
        import torch
        from safetensors.numpy import load_file

        from jamie.device import choose_device
        from jamie.model.network import JointVAE

        folder = Path(folder)
        if not (folder / "config.json").is_file():
            raise InputError(
                f"{folder} holds no saved model",
                expected="config.json and weights.safetensors, as written by JAMIE.save",
                found=", ".join(sorted(p.name for p in folder.glob("*"))) or "nothing",
                change="the path of the model",
            )
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
        n_inputs = tuple(len(self.projections[m].components) for m in self.modalities)
        self.model = JointVAE(n_inputs, self.options)
        self.model.load_state_dict(
            {k: torch.as_tensor(v) for k, v in _with_prefix(arrays, "network.").items()}
        )
        self.model.to(choose_device(device)).eval()
        self.fit_info_ = config["fit_info"]
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
        if modality not in mdata.mod:
            raise InputError(
                f"The data have no modality {modality!r}",
                expected=f"a modality {modality!r} to start from",
                found=", ".join(mdata.mod),
                change="the data, or `source`",
            )
        adata = mdata.mod[modality]
        state = self.states[modality]
        same = c.PREPROCESSING in adata.uns and same_state(adata.uns[c.PREPROCESSING], state)
        if same:
            return self.projections[modality].transform(preprocess.by_name(adata, state))
        raw = raw_only(with_kind(adata, modality, state))
        return self.projections[modality].transform(preprocess.scaled(raw, state))

    def encode(self, x: np.ndarray, modality: str) -> np.ndarray:
        """Latent means, float32 (n, d), from scaled principal components (n, k) as of `model_input`."""
        import torch

        vae = self.model.vaes[self.modalities.index(modality)]
        device = next(vae.parameters()).device
        with torch.no_grad():
            parts = [
                vae.encode(torch.as_tensor(x[i : i + CHUNK], device=device))[0].cpu().numpy()
                for i in range(0, len(x), CHUNK)
            ]
        return np.concatenate(parts)

    def decode(self, latent: np.ndarray, target: str) -> np.ndarray:
        """Modality ``target`` from latents (n, d): float32 (n, p_target), on the scale of prepared ``X``."""
        import torch

        vae = self.model.vaes[self.modalities.index(target)]
        device = next(vae.parameters()).device
        with torch.no_grad():
            scores = vae.decode(torch.as_tensor(latent, device=device)).cpu().numpy()
        return self.projections[target].inverse(scores)


def _with_prefix(arrays: dict, prefix: str) -> dict:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
