"""One stage of the workflow on simulated cells, measured in a process of its own; started by scaling.py.

    python tests/benchmarks/stages.py fit 1000 --work build/benchmark

Prints one line of JSON: seconds of the stage alone, and the peak memory of this process, which holds the
stage's input and nothing else. What a stage needs is made by the stages before it and kept in the folder
given by --work, under names that change with the code that makes it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from itertools import permutations
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow_scripts"))

DEPTHS = {
    "rna_depth": 1.5,
    "atac_depth": 0.135,
}  # counts of a cell per feature, as the simulator's docs advise
CODE = {
    "raw": ("data/simulate.py", "data/genome.py", "data/draw.py"),
    "prepared": ("data/preprocess.py", "linear/blocks.py"),
    "input": ("linear/projection.py", "linear/principal.py"),
    "model": ("model",),
}
MADE_BY = {"raw": "simulate", "prepared": "preprocess", "input": "project", "model": "fit"}
NEEDS = {  # the nearest; what that was made from is there too
    "simulate": None,
    "preprocess": "raw",
    "project": "prepared",
    "estimate": "input",
    "estimate_unpaired": "input",
    "fit": "prepared",
    "embed": "model",
    "impute": "model",
}
N_SCORED = 2000  # hidden pairs a fit is scored on: enough for a mean, little against the fit


class Stage:
    """What the stages share: their arguments, where their files are, and the clock."""

    def __init__(self, arguments):
        self.n, self.work, self.arguments = arguments.n_cells, Path(arguments.work), arguments
        self.seconds = 0.0

    def path(self, what: str, suffix: str = ".h5mu") -> Path:
        """Where an intermediate result is; its name holds a digest of the code it hangs on."""
        from jamie.entry import code_digest

        kinds = list(CODE)[: list(CODE).index(what) + 1]
        a = self.arguments
        size = f"{self.n}x{a.n_genes}+{a.n_peaks}"
        variant = f".{a.device}.{a.precision}.{a.max_epochs}" if what == "model" else ""
        return self.work / f"{what}.{size}{variant}.{code_digest(*sum((CODE[k] for k in kinds), ()))}{suffix}"

    def timed(self, function, *args, **options):
        start = time.perf_counter()
        result = function(*args, **options)
        self.seconds += time.perf_counter() - start
        return result

    def prepared(self):
        from jamie import io

        return io.read_h5mu(self.path("prepared"))

    def known(self, mdata):
        """Half of the pairs, chosen at random."""
        from jamie.data.correspondence import choose_known, from_names

        pairs = from_names(mdata)
        every = (np.ones(n, dtype=bool) for n in pairs.matrix.shape)
        return pairs, choose_known(pairs, *every, self.arguments.known, seed=0)


def simulate(stage: Stage) -> dict:
    from jamie import io
    from jamie.data.simulate import simulate_multiome

    a = stage.arguments
    features = {"n_genes": a.n_genes, "n_peaks": a.n_peaks}
    depths = dict(
        zip(DEPTHS, (DEPTHS["rna_depth"] * a.n_genes, DEPTHS["atac_depth"] * a.n_peaks), strict=True)
    )
    mdata, _ = stage.timed(simulate_multiome, n_cells=stage.n, seed=0, **features, **depths)
    io.write_h5mu(stage.path("raw"), mdata)
    return {"n_values": sum(a.X.nnz for a in mdata.mod.values())}


def preprocess(stage: Stage) -> dict:
    from jamie import io
    from jamie.data.preprocess import prepare

    mdata = io.read_h5mu(stage.path("raw"))
    every = {i: np.ones(a.n_obs, dtype=bool) for i, a in enumerate(mdata.mod.values())}
    prepared = stage.timed(prepare, mdata, every)
    if not stage.path("prepared").exists():
        io.write_h5mu(stage.path("prepared"), prepared)
    return {}


def project(stage: Stage) -> dict:
    from jamie import io
    from jamie.linear.projection import Projection
    from jamie.model.options import Options

    def run(adata):
        projection = Projection.fit(adata.X, adata.var["sd"].to_numpy(), Options().components(adata.n_obs))
        return projection.transform(adata.X)

    first, second = (stage.timed(run, adata) for adata in stage.prepared().mod.values())
    with io.atomic(stage.path("input", ".npz")) as temporary, open(temporary, "wb") as handle:
        np.savez(handle, first=first, second=second)
    return {}


def estimate(stage: Stage) -> dict:
    """F~ of the same cells and with the same known pairs as `fit`."""
    _, known = stage.known(cells_of(stage.path("prepared")))
    return _estimate(stage, known.matrix)


def estimate_unpaired(stage: Stage) -> dict:
    """F~ without any known pair."""
    from scipy import sparse

    return _estimate(stage, sparse.csr_matrix((stage.n, stage.n), dtype=np.float32))


def _estimate(stage: Stage, known) -> dict:
    from jamie import matching

    with np.load(stage.path("input", ".npz")) as arrays:
        x = arrays["first"], arrays["second"]
    found = stage.timed(matching.estimate, x, known, method=stage.arguments.matching, seed=0)
    return {"confidence": float(found.confidence)}


def cells_of(path: Path):
    """The cells of a MuData file without their values."""
    import anndata
    import h5py
    import pandas as pd

    from jamie.io import together

    with h5py.File(path, "r") as file:
        tables = {m: file[f"mod/{m}/obs"] for m in ("rna", "atac")}
        names = {m: table[table.attrs["_index"]].asstr()[:] for m, table in tables.items()}
    return together({m: anndata.AnnData(obs=pd.DataFrame(index=cells)) for m, cells in names.items()})


def options_of(arguments) -> dict:
    """Options of JAMIE that the command line changes; what is left at its default is not passed."""
    given = {"device": arguments.device}
    if arguments.max_epochs is not None:
        given |= {"max_epochs": arguments.max_epochs, "min_steps": 0}
    if arguments.precision != "float32":
        given["precision"] = arguments.precision
    return given


def fit(stage: Stage) -> dict:
    from jamie import JAMIE
    from jamie.metrics.alignment import foscttm

    prepared = stage.prepared()
    pairs, known = stage.known(prepared)
    model = JAMIE(seed=0, progress=False, **{"folds": 0} | options_of(stage.arguments))
    stage.timed(model.fit, prepared, known)
    peak = peak_mb()
    hidden = (pairs.matrix - known.matrix).tocoo()
    scored = np.column_stack([hidden.row, hidden.col])[:N_SCORED]
    latent = model.embed(prepared)
    model.save(stage.path("model", ""))
    info = model.fit_info_
    extra = {"n_steps": info["n_steps"], "steps_per_s": info["n_steps"] / stage.seconds, "peak_mb": peak}
    if len(scored) >= 3:
        extra["foscttm"] = foscttm([latent[m] for m in prepared.mod], scored)
    return extra


def embed(stage: Stage) -> dict:
    prepared, model = stage.prepared(), loaded(stage)
    stage.timed(model.embed, prepared)
    return {}


def impute(stage: Stage) -> dict:
    """Both directions, in the chunks in which the workflow writes them."""
    prepared, model = stage.prepared(), loaded(stage)

    def run(source, target):
        rows = model.imputer(prepared, source, target)
        return sum(float(rows(slice(i, i + 4096)).sum()) for i in range(0, prepared.mod[source].n_obs, 4096))

    for source, target in permutations(prepared.mod, 2):
        stage.timed(run, source, target)
    return {}


def loaded(stage: Stage):
    from jamie import JAMIE

    return JAMIE.load(stage.path("model", ""), device=stage.arguments.device)


STAGES = {
    f.__name__: f for f in (simulate, preprocess, project, estimate, estimate_unpaired, fit, embed, impute)
}


def warm_up(arguments) -> None:
    """Run the stage, and those before it, on few cells: imports are no part of what is measured."""
    with tempfile.TemporaryDirectory() as folder:
        small = {"n_cells": 200, "n_genes": 40, "n_peaks": 80, "work": folder, "max_epochs": 1}
        stage, names = Stage(argparse.Namespace(**vars(arguments) | small)), [arguments.stage]
        while NEEDS[names[0]]:
            names.insert(0, MADE_BY[NEEDS[names[0]]])
        for name in names:
            STAGES[name](stage)


def peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def parser_of_stage() -> argparse.ArgumentParser:
    """The arguments that scaling.py passes on."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--work", default=str(Path(__file__).parents[2] / "build/benchmark"))
    parser.add_argument("--n-genes", type=int, default=2000)
    parser.add_argument("--n-peaks", type=int, default=20_000)
    parser.add_argument("--known", type=float, default=0.5, help="share of the pairs that is shown")
    parser.add_argument("--matching", default="landmarks", help="method of the estimated correspondence")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--max-epochs", type=int, help="of the fit; default: that of the preset")
    parser.add_argument("--threads", type=int, default=2)
    return parser


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, parents=[parser_of_stage()])
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("n_cells", type=int)
    parser.add_argument("--precision", default="float32")
    arguments = parser.parse_args()

    import torch

    torch.set_num_threads(arguments.threads)
    warm_up(arguments)
    stage = Stage(arguments)
    result = {"peak_mb": None, **STAGES[arguments.stage](stage), "seconds": stage.seconds}
    result["peak_mb"] = result["peak_mb"] or peak_mb()
    if arguments.device == "cuda":
        result["peak_gpu_mb"] = torch.cuda.max_memory_allocated() / 2**20
    print(json.dumps(result))


if __name__ == "__main__":
    main()
