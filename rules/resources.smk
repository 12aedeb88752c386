# What each rule asks for, mem_mb and runtime (minutes), by the size of what it reads and the attempt.
#
# What was seen stands in rules/needs.smk; `make benchmark-workflow` prints what was asked
# beside what was seen. A repeated attempt, which the profile's `retries` allow, asks for as much again.
import json
import math
import os
from importlib.util import find_spec
from pathlib import Path

from jamie.model.options import PRESETS

MORE_MEMORY, MORE_TIME = 1.5, 2.0  # asked for each that was seen
OWN_MB = 200  # Snakemake itself: two processes inside a job on a cluster
CUDA_MB = (
    320 if find_spec("nvidia") else 0
)  # what a CUDA build of torch takes more than a CPU build, by its import
FLOOR_MB, FLOOR_MIN = 500, 10
TIMES = {}  # rule -> how many times over the work of the table is done; or a function of a job that says it


def gpus(wildcards):
    """GPUs that a fit asks for: one, unless the method's option `device` is cpu."""
    entry = CONFIG["methods"][wildcards.method]
    return int((dict(spec(wildcards.method).options) | entry["options"])["device"] != "cpu")


def of_inputs(need):
    """Function of a job: MB of the inputs that count, those in memory at a time, and all that are read."""

    def sizes_mb(wildcards, input):
        named = (input.get(name, []) for name in need.reads)
        listed = ([files] if isinstance(files, str) else files for files in named)
        # a file that is not there yet makes Snakemake ask again when the job is about to run
        sizes = [[os.path.getsize(file) / 2**20 for file in files] for files in listed]
        at_a_time = [sum(part) if need.at_once else max(part, default=0.0) for part in sizes]
        return sum(at_a_time), sum(map(sum, sizes))

    return sizes_mb


def of_simulation(wildcards, input):
    """MB of the counts that a simulation draws, as many at once as in all."""
    from inspect import signature

    from jamie.data.simulate import simulate_multiome

    options = {name: option.default for name, option in signature(simulate_multiome).parameters.items()}
    options |= CONFIG["datasets"][wildcards.dataset]["options"]
    n_cells = options["n_cells"] * (1 + options["paired_fraction"]) / 2  # of each modality
    counts_mb = 8e-6 * n_cells * (options["rna_depth"] + options["atac_depth"])
    return counts_mb, counts_mb


def of_sources(wildcards, input):
    """MB of the files that a dataset consists of, simulated, local or downloaded."""
    if input.get("simulation"):
        files = [Path(input.simulation)]
    else:
        sources = map(Path, json.loads(Path(input.files).read_text()).values())
        files = [file for path in sources for file in (path.rglob("*") if path.is_dir() else [path])]
    size_mb = sum(file.stat().st_size for file in files if not file.is_dir()) / 2**20
    return size_mb, size_mb


def times_of_fit(wildcards):
    """How many times the work of a fit with the default's limit on steps: without one, some 60 (CPU, 10,000 cells)."""
    options = CONFIG["methods"][wildcards.method]["options"]
    preset = PRESETS.get(options.get("preset"), PRESETS["default"])  # an unknown one is the job's to refuse
    return 1 if options.get("max_steps", preset.max_steps) else 60


def needs(rule, times=1, sizes=None):
    """The resources mem_mb and runtime of a rule, whose work is that of the table ``times`` over, and read_mb.

    ``sizes`` says what counts where inputs do not: a function of wildcards and inputs as in `of_inputs`. No
    scheduler knows read_mb, the size that memory was asked for by; the benchmark does.
    """
    need, TIMES[rule] = NEEDS[rule], times
    sizes_mb = sizes or of_inputs(need)

    def read_mb(wildcards, input):
        return round(sizes_mb(wildcards, input)[0])

    def mem_mb(wildcards, input, attempt):
        seen = need.mb + need.mb_per_mb * sizes_mb(wildcards, input)[0]
        seen += CUDA_MB if rule in WITH_TORCH else 0
        return attempt * max(FLOOR_MB, round(OWN_MB + MORE_MEMORY * seen))

    def runtime(wildcards, input, attempt):
        seen = need.s + need.s_per_mb * sizes_mb(wildcards, input)[1]
        more = times(wildcards) if callable(times) else times
        return attempt * max(FLOOR_MIN, math.ceil(MORE_TIME * more * seen / 60))

    return {"mem_mb": mem_mb, "runtime": runtime, "read_mb": read_mb}
