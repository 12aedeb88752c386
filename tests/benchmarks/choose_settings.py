"""Compare settings of JAMIE on validation cells: a share of the *training* cells of a split.

The test cells of the split are never touched, so the choice made here can be reported on them.

    python tests/benchmarks/choose_settings.py DATA.h5mu rna ephys --kinds rna continuous \
        --labels cell_type --set dropout=0.1 --set dropout=0.3 --seeds 0 1 2

Prints one row per setting: mean over seeds of FOSCTTM, label transfer accuracy, Pearson r of the imputed
features of either modality, and the time of the fit.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow_scripts"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("modalities", nargs=2)
    parser.add_argument("--kinds", nargs=2, required=True)
    parser.add_argument("--values", nargs=2, default=["counts", "counts"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], help="option=value[,option=value]")
    parser.add_argument("--labels", help="column of obs with the cell types")
    parser.add_argument("--known", type=float, default=1.0, help="share of the remaining pairs that is shown")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    import torch

    torch.set_num_threads(arguments.threads)
    problems = [problem(arguments, seed) for seed in arguments.seeds]
    print(
        "setting", "foscttm", "lta", *[f"r_{m}" for m in arguments.modalities], "fit_s", sep="\t", flush=True
    )
    for text in ["", *arguments.set]:
        options = dict(part.split("=") for part in text.split(",") if part)
        options = {k: json.loads(v) for k, v in options.items()}
        rows = np.array(
            [
                evaluate(*p, arguments.labels, options, seed)
                for p, seed in zip(problems, arguments.seeds, strict=True)
            ]
        )
        print(text or "(default)", *[f"{v:.4f}" for v in rows.mean(0)], sep="\t", flush=True)


def problem(arguments, seed):
    """Prepared data of the training cells only, with a fifth of their pairs as validation."""
    import mudata

    from jamie.data import correspondence, preprocess, split

    mudata.set_options(pull_on_update=False)
    mdata = mudata.read_h5mu(arguments.data)
    mods = {m: mdata.mod[m].copy() for m in arguments.modalities}
    for (name, adata), kind, values in zip(mods.items(), arguments.kinds, arguments.values, strict=True):
        adata.uns.update(kind=kind, values=values)
        mods[name] = adata
    mdata = mudata.MuData(mods)
    pairs = correspondence.from_names(mdata)
    train = split.split_cells(pairs, 0.2, seed)
    mdata = mudata.MuData({m: a[train[i]].copy() for i, (m, a) in enumerate(mods.items())})
    pairs = correspondence.from_names(mdata)
    fit = split.split_cells(pairs, 0.2, seed + 1000)
    prepared = preprocess.prepare(mdata, fit)
    known = correspondence.choose_known(pairs, fit[0], fit[1], arguments.known, seed)
    validation = pairs.certain_pairs()
    return prepared, known, validation[~fit[0][validation[:, 0]]]


def evaluate(prepared, known, validation, labels, options, seed):
    """FOSCTTM, label transfer accuracy, mean Pearson r of both modalities, and the time of the fit."""
    from jamie import JAMIE
    from jamie.metrics.alignment import foscttm, label_transfer_accuracy
    from jamie.metrics.imputation import pearson

    start = time.perf_counter()
    model = JAMIE(seed=seed, progress=False, **options).fit(prepared, known)
    wall = time.perf_counter() - start
    names = list(prepared.mod)
    rows = dict(zip(names, validation.T, strict=True))
    latent = model.embed(prepared)
    latents = [latent[m][rows[m]] for m in names]
    pairs = np.column_stack([np.arange(len(validation))] * 2)
    scores = [foscttm(latents, pairs)]
    types = [prepared.mod[m].obs[labels].astype(str).to_numpy()[rows[m]] for m in names] if labels else None
    scores.append(np.mean(label_transfer_accuracy(latents, types)) if labels else np.nan)
    for target, source in (names, names[::-1]):
        measured = prepared.mod[target].X[rows[target]]
        measured = measured.toarray() if hasattr(measured, "toarray") else measured
        imputed = model.imputer(prepared, source, target)(rows[source])
        scores.append(np.nanmean(pearson(measured, imputed)))
    return *scores, wall


if __name__ == "__main__":
    main()
