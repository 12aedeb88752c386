# What is asked of a dataset, and what a run of it is expected to take.
from types import SimpleNamespace

FIT_CODE = code_digest(
    "data/fit_together.py", "data/related.py", "data/cell_names.py", "data/findings.py", "linear/principal.py"
)

LINK_CODE = code_digest(
    "regulation/linking.py",
    "regulation/coordinates.py",
    "regulation/annotation.py",
    "regulation/genome_build.py",
    "data/linked.py",
    "data/linked_table.py",
    "data/antibodies.py",
    "data/antibodies.tsv",
    "data/genome.py",
    "data/places.py",
)


# whether cells are held out or pairs shown; not by which scenarios, as one more must not set all in motion again
SCENARIOS = [CONFIG["scenarios"][name] for name in RUN["scenarios"]]
NEEDS_PAIRS = any(entry["held_out"] > 0 or entry["known_pairs"] > 0 for entry in SCENARIOS)


def has_correspondence(wildcards):
    """Whether pairs of the dataset come from a file, so that cell names need not be equal."""
    return CONFIG["datasets"][wildcards.dataset]["correspondence"] is not None


def times_over(name):
    """How many times over the work of the table is done; where methods differ, the mean of them."""
    times = TIMES[name]
    jobs = [SimpleNamespace(method=method) for method in TRAINED]
    return sum(map(times, jobs)) / max(1, len(jobs)) if callable(times) else times


def expected():
    """The table of needs, with how many times over each does its work, by which a run is estimated."""
    rows = {name: NEEDS[name]._asdict() | {"times": times_over(name)} for name in TIMES}
    for name in WITH_TORCH:
        rows[name]["mb"] += CUDA_MB
    return rows
