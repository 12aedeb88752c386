# Attributions of imputed values, in chunks of targets.
rule locate_genes:
    input:
        unpack(annotation),
        data=f"{DATASET}/ingested.h5mu",
    output:
        genes=f"{FOUND}/genes.tsv",
        info=f"{FOUND}/coordinates.json",
        inputs="resources/{dataset}/annotation_inputs.json",
    params:
        entry=sources_of(*ANNOTATION, "modalities", "show_genes"),
        source=EXPLAIN["source"],
        window_bp=EXPLAIN["window_bp"],
        code=code_digest(
            "regulation/coordinates.py",
            "regulation/annotation.py",
            "regulation/known_links.py",
            "regulation/genome_build.py",
            "data/genome.py",
            "data/places.py",
        ),
    log:
        "logs/locate_genes/{dataset}.log",
    benchmark:
        "benchmarks/locate_genes/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    priority: 1  # before any fit: a wrong annotation stops the run
    resources:
        **needs("locate_genes"),
    script:
        "../workflow_scripts/locate_genes.py"


rule measure_influence:
    input:
        info=f"{FOUND}/coordinates.json",
        prepared=f"{DATA}/prepared.h5mu",
        model=f"{METHOD}/model",
    output:
        influence=f"{METHOD}/influence.npz",
    params:
        n_cells=EXPLAIN["n_cells"],
        code=code_digest(*ATTRIBUTION),
    log:
        "logs/measure_influence/{dataset}.{scenario}.{method}.{seed}.log",
    benchmark:
        "benchmarks/measure_influence/{dataset}.{scenario}.{method}.{seed}.tsv"
    wildcard_constraints:
        method="|".join(TRAINED) or "none",
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **needs("measure_influence", times=EXPLAIN["n_cells"] / 2000),
    script:
        "../workflow_scripts/measure_influence.py"


rule score_links:
    input:
        info=f"{FOUND}/coordinates.json",
        genes=f"{FOUND}/genes.tsv",
        prepared=of_fits(f"{DATA}/prepared.h5mu"),
        known=of_fits(f"{DATA}/correspondence.npz"),
        model=of_fits(f"{METHOD}/model"),
        influence=of_fits(f"{METHOD}/influence.npz"),
    output:
        links=f"{FOUND}/links.{{chunk}}.tsv",
        moved=f"{FOUND}/moved.{{chunk}}.tsv",
        drivers=f"{FOUND}/drivers.{{chunk}}.tsv",
        groups=f"{FOUND}/groups.{{chunk}}.tsv",
    params:
        n_chunks=len(CHUNKS),
        window_bp=EXPLAIN["window_bp"],
        code=code_digest(
            *ATTRIBUTION,
            "regulation/pairs.py",
            "regulation/links.py",
            "regulation/fine_mapping.py",
            "regulation/annotation.py",
            "data/places.py",
        ),
    log:
        "logs/score_links/{dataset}.{chunk}.log",
    benchmark:
        "benchmarks/score_links/{dataset}.{chunk}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **needs("score_links", times=4 / len(CHUNKS)),
    script:
        "../workflow_scripts/score_links.py"


rule check_attributions:
    input:
        prepared=of_fits(f"{DATA}/prepared.h5mu")[:1],
        model=of_fits(f"{METHOD}/model")[:1],
        influence=of_fits(f"{METHOD}/influence.npz")[:1],
    output:
        checks=f"{FOUND}/checks.tsv",
    params:
        code=code_digest(*ATTRIBUTION, "regulation/agreement.py", "regulation/agreed.py"),
    log:
        "logs/check_attributions/{dataset}.log",
    benchmark:
        "benchmarks/check_attributions/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **needs("check_attributions"),
    script:
        "../workflow_scripts/check_attributions.py"


rule collect_attributions:
    input:
        drivers=expand(f"{FOUND}/drivers.{{chunk}}.tsv", chunk=CHUNKS, allow_missing=True),
        groups=expand(f"{FOUND}/groups.{{chunk}}.tsv", chunk=CHUNKS, allow_missing=True),
    output:
        drivers=f"{DATASET}/drivers.tsv",
        arrays=f"{DATASET}/attributions.h5ad",
    params:
        code=code_digest("regulation/collect.py"),
    log:
        "logs/collect_attributions/{dataset}.log",
    benchmark:
        "benchmarks/collect_attributions/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("collect_attributions"),
    script:
        "../workflow_scripts/collect_attributions.py"
