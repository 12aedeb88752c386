"""JAMIE itself; the model is in `jamie.model`."""

from __future__ import annotations

from typing import get_type_hints

from jamie.model.options import Options
from jamie.registry import Spec

SPEC = Spec(
    label="JAMIE",
    summary="Joint variational autoencoders whose latents are mixed over known pairs; encoder of one "
    "modality, decoder of the other for imputation.",
    citation="Cohen Kalafut, Huang & Wang, Nature Machine Intelligence 5, 631-642 (2023)",
    cost="linear in cells: 10,000 take about half a minute and 1.4 GB on two CPU cores",
    trains=True,
    options={"preset": "default", **Options().to_dict()},
    search={
        "dropout": (0.2, 0.35, 0.5),
        "learning_rate": (1e-3, 2e-3, 4e-3),
        "contrastive": (0.5, 2.0, 4.0),
        "canonical_ridge": (30.0, 100.0, 300.0),
    },
    types={"preset": str, **get_type_hints(Options)},
    check=lambda options: Options.of(**options),
)


class Method:
    """The estimator behind the protocol of all methods."""

    def __init__(self, *, seed: int = 0, **options):
        from jamie.model.estimator import JAMIE

        self.model = JAMIE(seed=seed, **{"folds": 0} | options)  # nothing here asks for what they calibrate

    def fit(self, train, known) -> Method:
        self.model.fit(train, known)
        return self

    def embed(self, mdata) -> dict:
        return self.model.embed(mdata)

    def imputer(self, mdata, source: str, target: str):
        return self.model.imputer(mdata, source, target)
