"""Differences between groups, of a finished run: by chance, and beside those of measured values alone.

    make report
    python tests/benchmarks/differences.py --run .

Chance: each cell type with 100 measured cells or more is split at random, in halves and one to four, as
often as `--splits` says; no feature differs, and at most 6 % may have p < 0.05. Found: differences at
q <= 0.1, and for the simulation how many of them have the sign of the true rates, which the same cells
show at twenty times the depth and without dispersion.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow_scripts"))

from jamie import JAMIE, io
from jamie import contract as c
from jamie.data.correspondence import Correspondence
from jamie.data.simulate import simulate_multiome
from jamie.evaluation import grouped
from jamie.model.crossfit import CrossFit

MOST_BY_CHANCE, MIN_CELLS = 0.06, 100
CONFIG = Path(__file__).parents[2] / "config/config.yaml"
DEPTH = 20  # times that of the simulation


def by_chance(fit: tuple, splits: int) -> pd.DataFrame:
    """Types split at random: modality, type, share, tested, p < 0.05 with and without imputed values."""
    prepared = fit[1]
    labels = {m: a.obs[c.CELL_TYPE].astype(str) for m, a in prepared.mod.items()}
    rows = []
    for name in sorted(set.union(*(set(of) for of in labels.values()))):
        if min((of == name).sum() for of in labels.values()) < MIN_CELLS:
            continue
        for number in range(splits):
            share = (0.5, 0.2)[number % 2]
            # a cell is on one side in both modalities
            side = pd.Series(dtype=object)
            for of in labels.values():
                new = of.index[of == name].difference(side.index)
                drawn = np.random.default_rng([number, len(side)]).random(len(new)) < share
                side = pd.concat([side, pd.Series(np.where(drawn, "a", "b"), index=new)])
            found = grouped.table(
                *fit, {m: side.reindex(of.index) for m, of in labels.items()}, clusters=False
            )
            found = found[(found["group"] == "a") & found["p_value"].notna()]
            for modality, part in found.groupby("modality"):
                low = [(part[p] < 0.05).sum() for p in ("p_value", "p_value_measured")]
                rows.append((modality, name, share, len(part), *low))
    return pd.DataFrame(rows, columns=["modality", "type", "share", "tested", "below", "below_measured"])


def true_signs(dataset: str) -> pd.Series:
    """(modality, group, feature) -> sign of the difference of mean rates to the others."""
    options = yaml.safe_load(CONFIG.read_text())["datasets"][dataset]["options"]
    deep = {"rna_depth": 800 * DEPTH, "atac_depth": 200 * DEPTH, "rna_dispersion": 0, "paired_fraction": 1.0}
    mdata, _ = simulate_multiome(**options | deep)
    parts = []
    for name, adata in mdata.mod.items():
        rates = adata.X.toarray() / adata.X.sum(axis=1)
        groups = adata.obs[c.CELL_TYPE].astype(str).to_numpy()
        for group in np.unique(groups):
            signs = np.sign(rates[groups == group].mean(axis=0) - rates[groups != group].mean(axis=0))
            index = pd.MultiIndex.from_product([[name], [group], adata.var_names])
            parts.append(pd.Series(np.asarray(signs).ravel(), index))
    return pd.concat(parts)


def report_found(table: pd.DataFrame, signs: pd.Series | None) -> None:
    """How many differences are found, with imputed values and without."""
    for modality, part in table.groupby("modality"):
        for what, suffix in (("with imputed values", ""), ("measured values alone", "_measured")):
            found = part[part[f"q_value{suffix}"] <= grouped.FOUND]
            words = f"{modality}: {len(found):,} of {part['p_value'].notna().sum():,} differ, {what}"
            if signs is not None:
                true = signs[pd.MultiIndex.from_frame(found[["modality", "group", "feature"]])].to_numpy()
                words += f"; {(np.sign(found[f'difference{suffix}']) == true).mean():.1%} with the true sign"
            print(words)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, default=Path())
    parser.add_argument("--dataset", default="simulated_multiome")
    parser.add_argument("--scenario", default="paired_100")
    parser.add_argument("--splits", type=int, default=10)
    arguments = parser.parse_args()
    results = arguments.run / "results" / arguments.dataset
    first = results / arguments.scenario
    table = io.read_table(results / "differences.tsv", converters={"feature": str, "group": str})
    simulated = arguments.dataset.startswith("simulated")
    report_found(table, true_signs(arguments.dataset) if simulated else None)
    fit = (
        JAMIE.load(first / "jamie/seed0/model"),
        io.read_h5mu(first / "data/seed0/prepared.h5mu"),
        Correspondence.load(results / "pairs.npz"),
        CrossFit.load(first / "jamie/seed0/crossfit"),
    )
    chance = by_chance(fit, arguments.splits)
    for (modality, share), part in chance.groupby(["modality", "share"]):
        n, low, alone = part[["tested", "below", "below_measured"]].sum()
        print(
            f"{modality}, types split at {share:g}: {low / n:.3f} of {n:,} features at p < 0.05 "
            f"(measured values alone {alone / n:.3f})"
        )
    share = chance["below"].sum() / chance["tested"].sum()
    verdict = "at most" if share <= MOST_BY_CHANCE else "NOT at most"
    print(f"by chance: {share:.3f}, {verdict} {MOST_BY_CHANCE:g}")


if __name__ == "__main__":
    main()
