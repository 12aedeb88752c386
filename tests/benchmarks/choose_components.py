"""How many components suit how many known pairs: r of left-out pairs among *training* cells.

    python tests/benchmarks/choose_components.py DATA scgem pbmc_mosaic --pairs 25 60 140 --seeds 0 1

Test cells of a split take no part. A fifth of its known pairs is left out, some of the others are shown,
and each method is fitted with each number of components. Prints r, mean of features, modalities and seeds, a
line per dataset, method and number of pairs; the last column is what the rule of `jamie.linear.components`
gives. DATA is a folder with the datasets' files, told by their sha256 in config/config.yaml.
"""

from __future__ import annotations

import argparse

import cases
import numpy as np

HELD_OUT = 0.2
COMPONENTS = (5, 10, 15, 20, 30, 50, 100)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data")
    parser.add_argument("datasets", nargs="+")
    parser.add_argument("--methods", nargs="+", default=["ridge", "cca", "kernel_ridge"])
    parser.add_argument("--pairs", nargs="+", type=int, default=[25, 40, 60, 90, 140, 240, 480])
    parser.add_argument("--components", nargs="+", type=int, default=COMPONENTS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    arguments = parser.parse_args()
    print("dataset", "method", "pairs", *arguments.components, "rule", sep="\t")
    for name in arguments.datasets:
        whole = cases.dataset(name, arguments.data)
        problems = {seed: problem(*whole, seed) for seed in arguments.seeds}
        for method in arguments.methods:
            for n in arguments.pairs:
                row(name, method, n, arguments.components, problems)


def problem(mdata, pairs, n_top: dict, seed: int):
    """Training cells without those of left-out pairs, the pairs among them, and the left-out cells."""
    from jamie.evaluation import validation
    from jamie.methods import base

    prepared, known = cases.prepare(mdata, pairs, n_top, held_out=HELD_OUT, known_pairs=1.0, seed=seed)
    return validation.take_out(*base.training_part(prepared, known), seed)


def row(name: str, method: str, n_pairs: int, components, problems: dict) -> None:
    """Print one line of the table; nothing where a dataset has fewer pairs."""
    from jamie import registry
    from jamie.evaluation import validation
    from jamie.linear.components import n_components

    scores = []
    for seed, (rest, known, left_out) in problems.items():
        if len(known.best_pairs()) < n_pairs:
            return
        shown = some_of(known, n_pairs, seed)
        for k in components:
            fitted = registry.build(method, seed, {"n_components": k}).fit(rest, shown)
            parts = validation.parts_of(fitted, registry.specs()[method], left_out)
            scores.append(np.mean([value for key, value in parts.items() if key.startswith("pearson")]))
    smaller = min(a.n_obs for a in rest.mod.values())
    means = np.reshape(scores, (len(problems), len(components))).mean(axis=0)
    print(
        name,
        method,
        n_pairs,
        *(f"{r:.3f}" for r in means),
        n_components(smaller, n_pairs),
        sep="\t",
        flush=True,
    )


def some_of(known, n: int, seed: int):
    """The same F with ``n`` of its pairs."""
    from scipy import sparse

    from jamie.data.correspondence import Correspondence

    pairs = np.random.default_rng(seed).permutation(known.best_pairs())[:n]
    matrix = sparse.csr_matrix((np.ones(n), (pairs[:, 0], pairs[:, 1])), known.matrix.shape)
    return Correspondence(matrix, known.row_names, known.col_names)


if __name__ == "__main__":
    main()
