"""What a run of the whole workflow costs, rule by rule, and what the rules asked for.

    python tests/benchmarks/costs.py config/examples/whole_genome.yaml
    python tests/benchmarks/costs.py --read FOLDER
    python tests/benchmarks/costs.py --fit FOLDER FOLDER FOLDER
    python tests/benchmarks/costs.py --slope FOLDER FOLDER --times 10

The first runs Snakemake with these overlays in an empty folder under build/benchmark; words it does not know,
such as `--cores 1`, are passed on. The second reads a run that is there, with its benchmarks/ and logs/. The
third prints, from runs of different sizes, the numbers for the table of rules/needs.smk. The fourth prints
how CPU time and peak memory grow from the first run to the second, which has so many times as many cells.

Wall time is that of Snakemake's benchmark files. CPU time and peak memory are what each job says of itself
in the last line of its log: Snakemake only samples them, and misses peaks and ends. Start-up is CPU time:
the imports of all jobs, wherever in the code they stand (imports/sitecustomize.py), and Snakemake itself. A
rule is marked where one of its jobs asked for less than 1.2 or more than 3 times what it used, floors
excepted. The tables go to costs.md, costs.tsv and jobs.tsv in the folder of the run.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import nnls

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "workflow_scripts"))

WRITTEN = ("results", "resources", "logs", "benchmarks", "checksums", ".snakemake")
IMPORTS, TOTALS = "imports.jsonl", "totals.json"
LOW, HIGH = 1.2, 3.0  # asked / used
FLOOR_MB, FLOOR_MIN = 500, 5  # of rules/resources.smk


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("overlays", nargs="*", type=Path, help="on top of config/config.yaml")
    parser.add_argument("--read", type=Path, metavar="FOLDER", help="of a finished run")
    parser.add_argument("--fit", type=Path, nargs="+", metavar="FOLDER", help="of finished runs")
    parser.add_argument("--slope", type=Path, nargs=2, metavar="FOLDER", help="of finished runs")
    parser.add_argument("--times", type=float, default=10.0, help="cells of the second run over the first's")
    arguments, more = parser.parse_known_args()
    if arguments.slope:
        print(slopes(*map(read_jobs, arguments.slope), arguments.times))
        return
    if arguments.fit:
        print(fitted([read_jobs(folder) for folder in arguments.fit]).to_string(index=False))
        return
    code = 0
    if arguments.read:
        folder = arguments.read
    else:
        name = arguments.overlays[-1].stem if arguments.overlays else "default"
        folder = ROOT / "build/benchmark" / name
        code = run(arguments.overlays, folder, more)
    jobs = read_jobs(folder)
    if jobs.empty:
        sys.exit(f"{folder} holds no benchmarks/ of a run")
    rules = per_rule(jobs, read_imports(folder))
    path = folder / TOTALS
    words = in_words(rules, json.loads(path.read_text()) if path.exists() else None)
    text = f"{as_markdown(rules)}\n\n{words}\n"
    print(text)
    (folder / "costs.md").write_text(text)
    rules.to_csv(folder / "costs.tsv", sep="\t", index=False)
    jobs.to_csv(folder / "jobs.tsv", sep="\t", index=False)
    if code:
        sys.exit(f"Snakemake failed (exit status {code}): the table lacks jobs")


def run(overlays: list[Path], folder: Path, more: list[str]) -> int:
    """Run the workflow in a folder that is emptied of earlier runs; returns Snakemake's exit status."""
    for name in WRITTEN:
        shutil.rmtree(folder / name, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / IMPORTS).unlink(missing_ok=True)
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder)]
    command += ["--configfile", *(str(path.resolve()) for path in overlays)] if overlays else []
    settings = {"IMPORTS_FILE": str(folder / IMPORTS), "PYTHONPATH": str(HERE / "imports")}
    start = time.perf_counter()
    done = subprocess.run([*command, *more], cwd=ROOT, env=os.environ | settings, check=False)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    totals = {"wall_s": time.perf_counter() - start, "cpu_s": used.ru_utime + used.ru_stime}
    (folder / TOTALS).write_text(json.dumps(totals | {"n_cores": len(os.sched_getaffinity(0))}))
    return done.returncode


def read_jobs(folder: Path) -> pd.DataFrame:
    """One row per job: rule, job, wall_s, cpu_s, peak_mb, mem_mb and runtime as asked, read_mb."""
    from jamie.entry import USAGE

    rows = []
    for path in sorted((folder / "benchmarks").rglob("*.tsv")):
        job = path.relative_to(folder / "benchmarks").with_suffix("")
        log = (folder / "logs" / job.parent / f"{job.name}.log").read_text().splitlines()
        if not log or not log[-1].startswith(USAGE):
            sys.exit(f"The log of {job} does not end with what the job used: it is of an older version")
        own = {"rule": job.parts[0], "job": str(job), "wall_s": pd.read_csv(path, sep="\t")["s"].sum()}
        rows.append(own | json.loads(log[-1].removeprefix(USAGE)))
    return pd.DataFrame(rows)


def read_imports(folder: Path) -> pd.Series:
    """CPU seconds of imports, by entry script; empty where they were not measured."""
    path = folder / IMPORTS
    if not path.exists():
        return pd.Series(dtype=float)
    table = pd.read_json(path, lines=True)
    # Snakemake runs a copy of the script, tmpXXXX.NAME.py; other processes are not jobs
    table["script"] = table["script"].str.extract(r"^tmp\w+\.(\w+)\.py$", expand=False)
    return table.groupby("script")["import_s"].sum()


def per_rule(jobs: pd.DataFrame, imports_s: pd.Series) -> pd.DataFrame:
    """Sums over the jobs of a rule, its highest peak, what was asked against used; most CPU time first."""
    ratio_mb, ratio_time = jobs["mem_mb"] / jobs["peak_mb"], 60 * jobs["runtime"] / jobs["wall_s"]
    jobs = jobs.assign(
        ratio_mb=ratio_mb,
        ratio_time=ratio_time,
        off_mb=is_off(ratio_mb, jobs["mem_mb"] <= FLOOR_MB),
        off_time=is_off(ratio_time, jobs["runtime"] <= FLOOR_MIN),
    )
    groups = jobs.groupby("rule")
    table = groups.agg(
        jobs=("job", "size"),
        cpu_s=("cpu_s", "sum"),
        most_cpu_s=("cpu_s", "max"),
        wall_s=("wall_s", "sum"),
        read_mb=("read_mb", "max"),
        peak_mb=("peak_mb", "max"),
        asked_mb=("mem_mb", "max"),
        asked_min=("runtime", "max"),
    )
    for what in ("mb", "time"):
        low, high = groups[f"ratio_{what}"].min(), groups[f"ratio_{what}"].max()
        marks = groups[f"off_{what}"].any().map({True: " !", False: ""})
        table[f"asked/seen {what}"] = [
            f"{a:.1f}-{b:.1f}{m}" for a, b, m in zip(low, high, marks, strict=True)
        ]
    table.insert(2, "imports_s", imports_s.reindex(table.index))
    return table.sort_values("cpu_s", ascending=False).reset_index()


def is_off(ratio: pd.Series, at_floor: pd.Series) -> pd.Series:
    """Whether too little was asked, or too much although it was more than the least there is."""
    return (ratio < LOW) | ((ratio > HIGH) & ~at_floor)


def fitted(runs: list[pd.DataFrame]) -> pd.DataFrame:
    """Rows of the table of needs: peak memory and CPU time of the costliest job of each run, by MB read.

    Both are a sum and a slope, neither below 0, with the least relative error.
    """
    most = pd.concat([jobs.groupby("rule")[["read_mb", "peak_mb", "cpu_s"]].max() for jobs in runs])
    rows = []
    for rule, part in most.groupby(level="rule", sort=True):
        row = {"rule": rule, "runs": len(part)}
        for what, names in (("peak_mb", ("mb", "mb_per_mb")), ("cpu_s", ("s", "s_per_mb"))):
            terms = np.column_stack([np.ones(len(part)), part["read_mb"]])
            row |= dict(zip(names, nnls(terms / part[[what]].to_numpy(), np.ones(len(part)))[0], strict=True))
        rows.append(row)
    return pd.DataFrame(rows).round({"mb": 0, "mb_per_mb": 2, "s": 1, "s_per_mb": 3})


def slopes(first: pd.DataFrame, second: pd.DataFrame, times: float) -> str:
    """The exponents of CPU time and peak memory in the number of cells, by rule and in all, as markdown.

    1 is linear, 2 quadratic. Rules of less than 10 CPU s in both runs are start-up, and are left out.
    """
    table = pd.concat({name: summed(jobs) for name, jobs in (("few", first), ("many", second))}, axis=1)
    table = table[table.xs("cpu_s", axis=1, level=1).max(axis=1) >= 10]
    table = table.sort_values(("many", "cpu_s"), ascending=False)
    for what in ("cpu_s", "peak_mb"):
        table["slope", what] = np.log(table["many", what] / table["few", what]) / np.log(times)
    lines = ["| rule | CPU s | | slope | peak MB | | slope |", "|---|--:|--:|--:|--:|--:|--:|"]
    for name, row in table.iterrows():
        numbers = [
            cell
            for what in ("cpu_s", "peak_mb")
            for cell in (
                f"{row['few', what]:.0f}",
                f"{row['many', what]:.0f}",
                f"{row['slope', what] + 0.0:.2f}",
            )
        ]
        lines.append(f"| {name} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def summed(jobs: pd.DataFrame) -> pd.DataFrame:
    """CPU time of all jobs and highest peak, by rule and in all."""
    table = jobs.groupby("rule").agg(cpu_s=("cpu_s", "sum"), peak_mb=("peak_mb", "max"))
    table.loc["all"] = table["cpu_s"].sum(), table["peak_mb"].max()
    return table


def in_words(rules: pd.DataFrame, totals: dict | None) -> str:
    """The sums, and the share of start-up where the whole run was measured."""
    job_s, n_jobs = rules["cpu_s"].sum(), rules["jobs"].sum()
    words = [
        f"{n_jobs} jobs: {job_s:.0f} CPU s, {rules['wall_s'].sum():.0f} s of wall time one after the other; "
        f"highest peak {rules['peak_mb'].max():.0f} MB."
    ]
    if totals:
        imports_s, own_s = rules["imports_s"].sum(), totals["cpu_s"] - job_s
        words += [
            f"The run took {totals['wall_s'] / 60:.1f} min on {totals['n_cores']} cores, "
            f"{totals['cpu_s']:.0f} CPU s in all.",
            f"Start-up of jobs: imports {imports_s:.0f} CPU s, Snakemake itself {own_s:.0f} CPU s, "
            f"{(imports_s + own_s) / totals['cpu_s']:.0%} of all CPU time.",
        ]
    off = [
        rule
        for rule, *ratios in rules[["rule", "asked/seen mb", "asked/seen time"]].itertuples(index=False)
        if "!" in "".join(ratios)
    ]
    words += [f"Asked for too little or too much (!): {', '.join(off) or 'none'}."]
    return "\n".join(words)


def as_markdown(rules: pd.DataFrame) -> str:
    """The table with numbers to the right; CPU and wall seconds to a tenth, MB and minutes whole."""
    cells = rules.map(lambda v: v if isinstance(v, str) else "-" if np.isnan(v) else f"{v:.0f}")
    for column in ("cpu_s", "imports_s", "most_cpu_s", "wall_s"):
        cells[column] = ["-" if np.isnan(v) else f"{v:.1f}" for v in rules[column]]
    lines = [list(cells.columns), *cells.to_numpy().tolist()]
    widths = [max(len(line[i]) for line in lines) for i in range(len(cells.columns))]
    rows = [
        " | ".join(
            x.ljust(w) if i == 0 else x.rjust(w) for i, (x, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    rule = " | ".join("-" * w if i == 0 else "-" * (w - 1) + ":" for i, w in enumerate(widths))
    return "\n".join(f"| {row} |" for row in [rows[0], rule, *rows[1:]])


if __name__ == "__main__":
    main()
