"""Native values, intervals and unlikeness of finished runs, and what they must reach.

    make report CONFIG="config/examples/pbmc_mosaic.yaml config/examples/seeds.yaml"
    python tests/benchmarks/values.py

Reads every ``values.tsv`` under ``results/`` of the folders given with `--run` (default: here), and prints
for each dataset and scenario the mean over seeds with their range. Cells are held out, or their pair was
hidden.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

EVERYONE = "all cells"
# what is printed: column, of all cells or of groups, lowest and highest value to reach
TARGETS = {
    "native / true mean per feature, median": ("median_ratio", False, 0.97, 1.03),
    "the median of the training mean": ("median_ratio_of_mean", False, 0.97, 1.03),
    "share of features within 0.8 to 1.25": ("share_close", False, 0.9, 1.0),
    "the same of the training mean": ("share_close_of_mean", False, 0.9, 1.0),
    "native / true, total": ("total_ratio", False, 0.97, 1.03),
    "native / true, total by type": ("total_ratio", True, 0.9, 1.1),
    "coverage of 90 % intervals": ("coverage", False, 0.88, 0.92),
    "coverage, native units": ("coverage_native", False, 0.88, 0.92),
    "coverage by type": ("coverage", True, 0.85, 0.95),
    "called unlike training": ("unlike", False, 0.0, 0.08),
}


def read(run: Path) -> pd.DataFrame:
    """All rows of a run, with dataset, scenario, method and seed."""
    tables = []
    for path in sorted((run / "results").glob("*/*/*/seed*/values.tsv")):
        dataset, scenario, method, seed = path.parts[-5:-1]
        run_of = {"dataset": dataset, "scenario": scenario, "method": method, "seed": seed}
        tables.append(pd.read_csv(path, sep="\t").assign(**run_of))
    return pd.concat(tables) if tables else pd.DataFrame()


def rows_of(table: pd.DataFrame) -> list[dict]:
    """One row per dataset, scenario, modality and target."""
    found = []
    for (dataset, scenario, modality), part in table.groupby(["dataset", "scenario", "modality"], sort=False):
        for what, (column, by_group, low, high) in TARGETS.items():
            chosen = part[(part["group"] != EVERYONE) == by_group].dropna(subset=[column])
            # of groups the mean over seeds of each
            values = chosen.groupby("group")[column].mean() if by_group else chosen[column]
            if not len(values):
                continue
            reached = values.between(low, high).mean() if by_group else float(low <= values.mean() <= high)
            found.append(
                {
                    "dataset": f"{dataset}, {scenario}",
                    "imputed": modality,
                    "what": what,
                    "reach": f"{low:g} to {high:g}",
                    "mean": values.mean(),
                    "lowest": values.min(),
                    "highest": values.max(),
                    "met": f"{reached:.0%} of types" if by_group else ("yes" if reached else "no"),
                }
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--run", type=Path, nargs="+", default=[Path(".")], help="folders with results/")
    tables = [read(run) for run in parser.parse_args().run]
    table = pd.concat(tables)
    if table.empty:
        raise SystemExit("no results/*/*/*/seed*/values.tsv in these folders: run the workflow first")
    table = table[table["status"] == "ok"]
    if table.empty:
        raise SystemExit("none of these models is calibrated: run without `folds: 0`")
    n_seeds = table.groupby(["dataset", "scenario"])["seed"].nunique()
    print(f"{n_seeds.min()} to {n_seeds.max()} seeds; lowest and highest of seeds, or of types\n")
    print(pd.DataFrame(rows_of(table)).to_markdown(index=False, floatfmt=".3f"))


if __name__ == "__main__":
    main()
