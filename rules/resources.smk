# What each rule asks for, mem_mb and runtime (minutes), by the size of what it reads and the attempt.
#
# What was seen stands in rules/needs.smk; `make benchmark-workflow` prints what was asked
# beside what was seen. A repeated attempt, which the profile's `retries` allow, asks for as much again.
import math
from errno import ENOENT
from importlib.util import find_spec

from jamie.jobs import attempts
from jamie.model.options import PRESETS

MORE_MEMORY, MORE_TIME = 1.5, 2.0  # asked for each that was seen
OWN_MB = 200  # Snakemake itself: two processes inside a job on a cluster
CUDA_MB = (
    320 if find_spec("nvidia") else 0
)  # what a CUDA build of torch takes more than a CPU build, by its import
FLOOR_MB, FLOOR_MIN = 500, 5
TIMES = {}  # rule -> how many times over the work of the table is done; or a function of a job that says it


def gpus(wildcards):
    """GPUs that a fit asks for: one, unless the method's option `device` is cpu."""
    entry = CONFIG["methods"][wildcards.method]
    return int((dict(spec(wildcards.method).options) | entry["options"])["device"] != "cpu")


def times_of_fit(wildcards):
    """How many times the work of a fit with the default's limit on steps: without one, some 60 (CPU, 10,000 cells)."""
    options = CONFIG["methods"][wildcards.method]["options"]
    preset = PRESETS.get(options.get("preset"), PRESETS["default"])  # an unknown one is the job's to refuse
    return 1 if options.get("max_steps", preset.max_steps) else 60


def needs(rule, times=1, sizes=None):
    """The resources of a rule, whose work is that of the table ``times`` over: mem_mb, runtime, read_mb and work_s.

    ``sizes`` says what counts where inputs do not: a function of wildcards and inputs as in `of_inputs`. No
    scheduler knows read_mb, the size that memory was asked for by, and work_s, the CPU time expected; the benchmark
    and `make plan` do. Where nothing is known of the size, read_mb is to be determined, and the others count none.
    """
    need, TIMES[rule] = NEEDS[rule], times
    sizes_mb = sizes or of_inputs(need)

    def known_mb(wildcards, input):
        try:
            return sizes_mb(wildcards, input)
        except FileNotFoundError:  # a download to come; it is here when the job is about to run
            return 0, 0

    def work(wildcards, input):
        more = times(wildcards) if callable(times) else times
        return more * (need.s + need.s_per_mb * known_mb(wildcards, input)[1])

    def read_mb(wildcards, input):
        try:
            return round(sizes_mb(wildcards, input)[0])
        except FileNotFoundError as error:  # of an input, it makes Snakemake write <TBD>
            raise FileNotFoundError(ENOENT, str(error), str(input[0])) from None

    def work_s(wildcards, input):
        return math.ceil(work(wildcards, input))

    def mem_mb(wildcards, input, attempt):
        attempt = min(attempt, attempts.allowed())  # one more only records that the last was killed
        seen = need.mb + need.mb_per_mb * known_mb(wildcards, input)[0]
        seen += CUDA_MB if rule in WITH_TORCH else 0
        return attempt * max(FLOOR_MB, round(OWN_MB + MORE_MEMORY * seen))

    def runtime(wildcards, input, attempt):
        attempt = min(attempt, attempts.allowed())
        return attempt * max(FLOOR_MIN, math.ceil(MORE_TIME * work(wildcards, input) / 60))

    asked = {"mem_mb": mem_mb, "runtime": runtime, "read_mb": read_mb, "work_s": work_s}
    return asked | ({"attempt": lambda wildcards, attempt: attempt} if rule in OF_METHODS else {})
