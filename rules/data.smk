# From a source to prepared data: fetch or simulate, ingest, split, preprocess.


rule fetch_dataset:
    output:
        files=fetched("resources/{dataset}/files.json"),
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
        files=fetched("resources/{dataset}/annotation.json"),
    params:
        entry=sources_of(*ANNOTATION, "linked_features"),
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
        inputs="resources/{dataset}/inputs.json",
    params:
        entry=sources_of(*READ),
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
        held_out_by=scenario_option("held_out_by"),
        code=code_digest("data/split.py", "data/batches.py"),
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
