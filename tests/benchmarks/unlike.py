"""Whether cells of a type that was left out of training are called unlike it, and ordinary ones are not.

    python tests/benchmarks/unlike.py DATA simulated_multiome pbmc_mosaic snareseq_mop --types 4

Each of the most frequent types is left out of training in turn. Prints for the modality that cells are
measured in the share of that type's cells above the threshold, and that of the held-out cells of all others
(5 % but for chance). DATA is a folder with the datasets' files, told by their sha256 in config/config.yaml.
"""

from __future__ import annotations

import argparse

import cases
import numpy as np


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--types", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print("dataset", "left out", "modality", "cells", "of the type", "of others, held out", sep="\t")
    for name in arguments.datasets:
        mdata, pairs, n_top = cases.dataset(name, arguments.data)
        frequent = next(iter(mdata.mod.values())).obs["cell_type"].value_counts().index
        for left_out in frequent[: arguments.types]:
            for modality, n, new, ordinary in shares(mdata, pairs, n_top, left_out, arguments.seed):
                print(name, left_out, modality, n, f"{new:.0%}", f"{ordinary:.0%}", sep="\t", flush=True)


def shares(mdata, pairs, n_top: dict, left_out: str, seed: int):
    """Of each modality: name, cells of the type, share of them called unlike, and of other held-out cells."""
    from jamie import JAMIE
    from jamie.data import preprocess, split
    from jamie.data.correspondence import choose_known

    train = split.split_cells(pairs, 0.2, seed)
    is_new = [(adata.obs["cell_type"] == left_out).to_numpy() for adata in mdata.mod.values()]
    for axis, new in enumerate(is_new):
        train[axis] &= ~new
    prepared = preprocess.prepare(mdata, train, n_top)
    known = choose_known(pairs, train[0], train[1], 1.0, seed)
    model = JAMIE(seed=seed, progress=False).fit(prepared, known)
    for axis, (modality, new) in enumerate(zip(prepared.mod, is_new, strict=True)):
        score, threshold = model.unlikeness(prepared, modality)
        ordinary = ~train[axis] & ~new
        yield modality, new.sum(), np.mean(score[new] > threshold), np.mean(score[ordinary] > threshold)


if __name__ == "__main__":
    main()
