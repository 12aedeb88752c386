# How large what a job reads is, MB: of files as they are, and of those not yet made as they are expected to be.
#
# A job that is about to run finds its files. Before that sizes are expected: for what is submitted together with the
# jobs that make its input (profiles/slurm), and for `make plan`.
import json
import os
from pathlib import Path

from jamie.jobs import checksums
from jamie.data.source_sizes import PREPARED_PER_MB, size_mb, sources_mb
from jamie.data.stored import in_storage

SIMULATED_PER_MB = 0.4  # simulated.h5mu, of the counts drawn; 0.2 with few cells
INGESTED_PER_MB = 1.5  # ingested.h5mu, of the files as they came; 1.0 to 1.5 were seen
# the inputs of rules by name, of one MB of ingested.h5mu, as the examples of config/ have them; `prepared` with all features
MADE_PER_MB = {
    "data": 1.0,
    "pairs": 0.01,
    "prepared": PREPARED_PER_MB,
    "scores": 0.6,
    "completed": 8.5,
    "truth": 0.05,
    "drivers": 1.1,
    "groups": 2.4,
    "links": 4.3,
}
IN_PARTS = "drivers", "groups", "links"  # a list of these is of chunks


def counts_mb(dataset):
    """MB of the counts that a simulation draws."""
    from inspect import signature

    from jamie.data.simulate import simulate_multiome

    options = {name: option.default for name, option in signature(simulate_multiome).parameters.items()}
    options |= CONFIG["datasets"][dataset]["options"]
    n_cells = options["n_cells"] * (1 + options["paired_fraction"]) / 2  # of each modality
    return 8e-6 * n_cells * (options["rna_depth"] + options["atac_depth"])


def raw_mb(dataset):
    """MB of the files that a dataset consists of, simulated, local or downloaded.

    Raises FileNotFoundError where nothing is known of a download that is not here yet.
    """
    folder, entry = Path(f"resources/{dataset}"), CONFIG["datasets"][dataset]
    if entry["reader"] == "simulate":
        path = folder / "simulated.h5mu"
        return size_mb(path) if path.exists() else SIMULATED_PER_MB * counts_mb(dataset)
    listed = folder / "files.json"
    if listed.exists():
        try:
            checksums.check([listed])
        except InputError as error:
            raise WorkflowError(str(error)) from None
        return sum(map(size_mb, json.loads(listed.read_text()).values()))
    return sources_mb(entry, folder, CONFIG["mirror"])


def ingested_mb(dataset):
    """MB of ingested.h5mu; a simulation stays as large as it is."""
    path = Path(f"results/{dataset}/ingested.h5mu")
    if path.exists():
        return size_mb(path)
    more = 1.0 if CONFIG["datasets"][dataset]["reader"] == "simulate" else INGESTED_PER_MB
    return more * raw_mb(dataset)


def sizes_of(name, files, dataset):
    """MB of each of the files that are one input of a job."""
    parts = len(files) if name in IN_PARTS else 1
    return [
        size_mb(file) if os.path.exists(file) else MADE_PER_MB[name] * ingested_mb(dataset) / parts
        for file in files
    ]


def of_inputs(need):
    """Function of a job: MB of the inputs that count, those in memory at a time, and all that are read."""

    def sizes_mb(wildcards, input):
        named = {name: input.get(name, []) for name in need.reads}
        listed = {name: [files] if isinstance(files, str) else files for name, files in named.items()}
        sizes = [sizes_of(name, files, wildcards.dataset) for name, files in listed.items()]
        at_a_time = [sum(part) if need.at_once else max(part, default=0.0) for part in sizes]
        return sum(at_a_time), sum(map(sum, sizes))

    return sizes_mb


def of_simulation(wildcards, input):
    """MB of the counts that a simulation draws, as many at once as in all."""
    return (counts_mb(wildcards.dataset),) * 2


def of_sources(wildcards, input):
    """MB of the files that a dataset consists of, as many at once as in all."""
    if stored := input.get("stored"):  # which the job that is about to run finds in its own place
        listed = [*json.loads(Path(input.files).read_text()).values(), *stored]
        return (sum(size_mb(path) for path in listed if not in_storage(path)),) * 2
    return (raw_mb(wildcards.dataset),) * 2
