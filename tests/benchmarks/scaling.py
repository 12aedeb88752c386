"""Time and peak memory of every stage against the number of cells, on simulated cells.

    python tests/benchmarks/scaling.py --sizes 1000 3000 10000 --stages preprocess project fit embed impute

Prints a table (one row per stage and number of cells) and the slopes of log time and log memory against log
cells, and writes scaling.tsv, slopes.tsv, scaling.png and scaling.svg into the folder given by --work. Every
measurement is a process of its own (stages.py), so that its peak memory is its own; times are medians.
With `--device cuda` fits run on the GPU; `--precision float32 mixed` compares the two, their quality by the
FOSCTTM of hidden pairs. The arithmetic floor of a fit is what its floating point operations would take at the
speed of a large matrix product on the same device.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from floor import arithmetic_floor
from stages import CODE, MADE_BY, NEEDS, STAGES, Stage, parser_of_stage

SIZES = [1_000, 3_000, 10_000, 30_000, 100_000]
MEASURED = [name for name in STAGES if name != "simulate"]
# to be reached on two cores: (stage, cells) -> seconds, MB
TARGETS = {
    **{(name, 1_000): (4, 1_000) for name in ("estimate", "estimate_unpaired")},  # set for 1,208 cells
    **{(name, 10_000): (45, 3_000) for name in ("estimate", "estimate_unpaired")},
    **{(name, 100_000): (480, 12_000) for name in ("estimate", "estimate_unpaired")},
    ("fit", 10_000): (60, 3_000),
    ("fit", 100_000): (480, 12_000),
}
FEATURES_OF_TARGETS = (2_000, 20_000)
REPEAT_BELOW_S = 120.0  # a longer measurement is made once
PASSED_ON = ("work", "n_genes", "n_peaks", "known", "matching", "device", "max_epochs", "threads")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, parents=[parser_of_stage()])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of cells")
    parser.add_argument("--stages", nargs="+", default=MEASURED, choices=list(STAGES))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--precision", nargs="+", default=["float32"], help="of fits")
    arguments = parser.parse_args()
    work = Path(arguments.work)
    work.mkdir(parents=True, exist_ok=True)
    print(machine(arguments), flush=True)
    rows = []
    for size in arguments.sizes:
        for stage in (name for name in STAGES if name in arguments.stages):
            for precision in arguments.precision if stage == "fit" else arguments.precision[:1]:
                rows.append(measure(stage, size, precision, arguments))
                print(f"{rows[-1]['stage']}, {size:,} cells: {rows[-1]['seconds']:.2f} s", file=sys.stderr)
    features = (arguments.n_genes, arguments.n_peaks)
    table = with_targets(pd.DataFrame(rows), features if arguments.max_epochs is None else (0, 0))
    if "fit" in arguments.stages:
        table = with_floor(table, arguments)
    print(table.to_string(index=False, na_rep="-", float_format=lambda v: f"{v:.4g}"))
    trend = slopes(table)
    print()
    print(trend.to_string(index=False, na_rep="-", float_format=lambda v: f"{v:.2f}"))
    write(table, trend, work, machine(arguments))


def machine(arguments) -> str:
    """The facts a time depends on, in one line."""
    import torch

    device = torch.cuda.get_device_name() if arguments.device == "cuda" else platform.machine()
    return (
        f"{os.cpu_count()} cores, {arguments.threads} in use, device {arguments.device} ({device}), "
        f"torch {torch.__version__}, {arguments.n_genes:,} genes, {arguments.n_peaks:,} peaks"
    )


def measure(stage: str, size: int, precision: str, arguments) -> dict:
    """Median of the repeats of one stage; makes first what the stage needs and is not there yet."""
    make_input(stage, size, precision, arguments)
    results = [run(stage, size, precision, arguments)]
    while len(results) < arguments.repeats and results[0]["seconds"] < REPEAT_BELOW_S:
        results.append(run(stage, size, precision, arguments))
    median = {k: float(np.median([r[k] for r in results])) for k in results[0]}
    name = stage if len(arguments.precision) == 1 or stage != "fit" else f"{stage} ({precision})"
    first = {
        "stage": name,
        "n_cells": size,
        "seconds": median.pop("seconds"),
        "peak_mb": median.pop("peak_mb"),
    }
    seconds = [r["seconds"] for r in results]
    return first | {"min_s": min(seconds), "max_s": max(seconds), "n_repeats": len(results)} | median


def make_input(stage: str, size: int, precision: str, arguments) -> None:
    needed = NEEDS[stage]
    if needed is None:
        return
    names = vars(arguments) | {"n_cells": size, "precision": precision}
    path = Stage(argparse.Namespace(**names)).path(
        needed, {"input": ".npz", "model": ""}.get(needed, ".h5mu")
    )
    make_input(MADE_BY[needed], size, precision, arguments)
    if not path.exists():
        run(MADE_BY[needed], size, precision, arguments)


def run(stage: str, size: int, precision: str, arguments) -> dict:
    """One measurement in a process of its own."""
    given = {
        name: value for name, value in vars(arguments).items() if name in PASSED_ON and value is not None
    }
    options = [text for name, value in given.items() for text in (f"--{name.replace('_', '-')}", str(value))]
    threads = {f"{name}_NUM_THREADS": str(arguments.threads) for name in ("OMP", "OPENBLAS", "MKL")}
    script = Path(__file__).with_name("stages.py")
    result = subprocess.run(
        [sys.executable, script, stage, str(size), "--precision", precision, *options],
        env=os.environ | threads,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        sys.exit(f"{stage} of {size:,} cells failed:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def with_targets(table: pd.DataFrame, features: tuple[int, int]) -> pd.DataFrame:
    """Add the targets, and whether they are met, where there are any for these numbers of features."""
    keys = [(s.split(" ")[0], n) for s, n in zip(table["stage"], table["n_cells"], strict=True)]
    targets = [TARGETS.get(key, (np.nan, np.nan)) for key in keys]
    if features != FEATURES_OF_TARGETS:
        targets = [(np.nan, np.nan)] * len(table)
    table["target_s"], table["target_mb"] = np.array(targets).reshape(-1, 2).T
    met = (table["seconds"] <= table["target_s"]) & (table["peak_mb"] <= table["target_mb"])
    table["met"] = np.where(table["target_s"].isna(), "", np.where(met, "yes", "no"))
    return table


def with_floor(table: pd.DataFrame, arguments) -> pd.DataFrame:
    """Add the steps per second that arithmetic alone would allow, and the share of them that is reached."""
    floors = {p: arithmetic_floor(p, arguments.device, arguments.threads) for p in arguments.precision}
    table["floor_steps_per_s"] = np.nan
    for precision, steps in floors.items():
        chosen = table["stage"].isin(["fit", f"fit ({precision})"])
        table.loc[chosen, "floor_steps_per_s"] = steps
    table["share_of_floor"] = table["steps_per_s"] / table["floor_steps_per_s"]
    return table


def slopes(table: pd.DataFrame) -> pd.DataFrame:
    """Slope of log time and log memory against log cells, least squares, per stage; NaN below two sizes."""

    def slope(rows, column):
        if len(rows) < 2:
            return np.nan
        return np.polyfit(np.log(rows["n_cells"]), np.log(rows[column]), 1)[0]

    groups = table.groupby("stage", sort=False)
    rows = [(name, slope(part, "seconds"), slope(part, "peak_mb")) for name, part in groups]
    return pd.DataFrame(rows, columns=["stage", "slope_time", "slope_memory"])


def write(table: pd.DataFrame, trend: pd.DataFrame, folder: Path, about: str) -> None:
    from drawing import scaling_figure

    from jamie import io
    from jamie.plots import style

    io.write_table(folder / "scaling.tsv", table)
    io.write_table(folder / "slopes.tsv", trend)
    figure = scaling_figure(table, trend, about)
    for suffix in ("png", "svg"):
        style.save(figure, folder / f"scaling.{suffix}")


assert set(MADE_BY) == set(CODE)

if __name__ == "__main__":
    main()
