"""Compare settings of JAMIE on validation cells: a share of the *training* cells of a split.

The test cells of the split are never touched, so the choice made here can be reported on them.

    python tests/benchmarks/choose_settings.py DATA patchseq_m1 \
        --set dropout=0.1 --set dropout=0.3,n_latent=16 --seeds 0 1 2

`--cells 150` keeps 150 pairs of the training cells, to see what suits small data. DATA is a folder with the
dataset's files, told by their sha256 in config/config.yaml. Prints one row per setting: mean over seeds of
FOSCTTM, label transfer accuracy, Pearson r of the imputed features of either modality, and the time.
"""

from __future__ import annotations

import argparse
import json

import cases
import pandas as pd

HELD_OUT = 0.2  # of the cells, and again of those that are left


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("dataset")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], help="option=value[,option=value]")
    parser.add_argument("--known", type=float, default=1.0, help="share of the remaining pairs that is shown")
    parser.add_argument("--cells", type=int, help="keep only so many pairs of the training cells")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    import torch

    torch.set_num_threads(arguments.threads)
    whole = cases.dataset(arguments.dataset, arguments.data)
    problems = {seed: problem(*whole, arguments.known, arguments.cells, seed) for seed in arguments.seeds}
    for i, text in enumerate(["", *arguments.set]):
        options = dict(part.split("=") for part in text.split(",") if part)
        options = {k: json.loads(v) for k, v in options.items()}
        table = pd.DataFrame([evaluate(*p, options, seed) for seed, p in problems.items()])
        if i == 0:
            print("setting", *table.columns, sep="\t", flush=True)
        print(text or "(default)", *[f"{v:.4f}" for v in table.mean()], sep="\t", flush=True)


def problem(mdata, pairs, n_top: dict, known_pairs: float, n_cells: int | None, seed: int):
    """Prepared training cells of the split of this seed, of which a fifth is held out once more.

    ``n_cells``: only so many of them, all with a partner; None: all.
    """
    import mudata
    import numpy as np

    from jamie.data import checks, split

    train = split.split_cells(pairs, HELD_OUT, seed)
    keep = [np.flatnonzero(train[i]) for i in (0, 1)]
    if n_cells is not None:
        certain = pairs.certain_pairs()
        certain = certain[train[0][certain[:, 0]]]
        keep = np.random.default_rng(seed).permutation(certain)[:n_cells].T
    mdata = mudata.MuData({m: a[rows].copy() for rows, (m, a) in zip(keep, mdata.mod.items(), strict=True)})
    if n_cells is not None:
        mdata = checks.drop_empty(mdata)  # few cells leave features without any count
    pairs = pairs.align(*(a.obs_names for a in mdata.mod.values()))
    again = {"held_out": HELD_OUT, "known_pairs": known_pairs, "seed": seed + 1000}
    prepared, known = cases.prepare(mdata, pairs, n_top, **again)
    return prepared, pairs, known


def evaluate(prepared, pairs, known, options: dict, seed: int) -> dict[str, float]:
    """Scores of the validation cells, and the seconds of the fit."""
    model, seconds = cases.fit(prepared, known, options, seed)
    found = cases.scores(prepared, pairs, known, model, "test")
    return {f"{metric} {modality}".strip(): value for (metric, modality), value in found.items()} | {
        "fit_s": seconds
    }


if __name__ == "__main__":
    main()
