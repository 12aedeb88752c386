# From a source to prepared data: fetch or simulate, ingest, split, preprocess.
from jamie.data.sources import content_digest, located


def raw_input(wildcards):
    """What ingest reads: the simulation, or the list of fetched files and every local file on it."""
    name, entry = wildcards.dataset, CONFIG["datasets"][wildcards.dataset]
    if entry["reader"] == "simulate":
        return {"simulation": f"resources/{name}/simulated.h5mu"}
    sources = {f"files.{role}": source for role, source in entry["files"].items()}
    sources |= {"correspondence": entry["correspondence"]} if entry["correspondence"] else {}
    return {"files": f"resources/{name}/files.json", "local": local_files(name, sources)}


def local_files(dataset, sources):
    """Paths of those sources (key -> source) that are files or folders here; a missing one ends a dry run, too."""
    try:
        return [
            str(located(source, CONFIG["mirror"], f"datasets.{dataset}.{key}"))
            for key, source in sources.items()
            if source.get("path")
        ]
    except InputError as error:
        raise WorkflowError(str(error)) from None


def folders_read(wildcards):
    """Digest of what is in each folder that ingest reads: the time of a folder does not tell of a file in it."""
    given = raw_input(wildcards).get("local", [])
    return {path: content_digest(path) for path in given if os.path.isdir(path)}


rule fetch_dataset:
    output:
        files="resources/{dataset}/files.json",
    params:
        entry=sources_of("files", "correspondence"),
        mirror=CONFIG["mirror"],
    log:
        "logs/fetch_dataset/{dataset}.log",
    benchmark:
        "benchmarks/fetch_dataset/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("fetch_dataset"),
    localrule: True
    script:
        "../workflow_scripts/fetch_dataset.py"


use rule fetch_dataset as fetch_annotation with:
    output:
        files="resources/{dataset}/annotation.json",
    params:
        entry=sources_of("genes", "known_links"),
        mirror=CONFIG["mirror"],
    log:
        "logs/fetch_annotation/{dataset}.log",
    benchmark:
        "benchmarks/fetch_annotation/{dataset}.tsv"
    resources:
        **needs("fetch_annotation"),


rule simulate_dataset:
    output:
        data="resources/{dataset}/simulated.h5mu",
        links="resources/{dataset}/true_links.tsv",
    params:
        options=dataset_option("options"),
        code=code_digest("data/simulate.py", "data/genome.py", "data/draw.py"),
    log:
        "logs/simulate_dataset/{dataset}.log",
    benchmark:
        "benchmarks/simulate_dataset/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("simulate_dataset", sizes=of_simulation),
    script:
        "../workflow_scripts/simulate_dataset.py"


rule ingest_dataset:
    input:
        unpack(raw_input),
    output:
        data=f"{DATASET}/ingested.h5mu",
        pairs=f"{DATASET}/pairs.npz",
        notices=f"{DATASET}/notices.tsv",
    params:
        entry=dataset_entry,
        folders=folders_read,
        code=code_digest("data"),
    log:
        "logs/ingest_dataset/{dataset}.log",
    benchmark:
        "benchmarks/ingest_dataset/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("ingest_dataset", sizes=of_sources),
    script:
        "../workflow_scripts/ingest_dataset.py"


rule split_cells:
    input:
        data=f"{DATASET}/ingested.h5mu",
        pairs=f"{DATASET}/pairs.npz",
        fits=f"{DATASET}/findings.tsv",  # nothing goes on where modalities do not fit together
    output:
        split=f"{DATA}/split.tsv",
    params:
        held_out=scenario_option("held_out"),
        code=code_digest("data/split.py"),
    log:
        "logs/split_cells/{dataset}.{scenario}.{seed}.log",
    benchmark:
        "benchmarks/split_cells/{dataset}.{scenario}.{seed}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("split_cells"),
    script:
        "../workflow_scripts/split_cells.py"


rule preprocess:
    input:
        data=f"{DATASET}/ingested.h5mu",
        split=f"{DATA}/split.tsv",
    output:
        prepared=f"{DATA}/prepared.h5mu",
    params:
        modalities=dataset_option("modalities"),
        code=code_digest("data/preprocess.py", "linear/blocks.py"),
    log:
        "logs/preprocess/{dataset}.{scenario}.{seed}.log",
    benchmark:
        "benchmarks/preprocess/{dataset}.{scenario}.{seed}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("preprocess"),
    script:
        "../workflow_scripts/preprocess.py"
