# What is asked of a dataset before anything is fitted: whether its modalities fit together; `make check` prints it.


rule compare_modalities:
    input:
        data=f"{DATASET}/ingested.h5mu",
        pairs=f"{DATASET}/pairs.npz",
        notices=f"{DATASET}/notices.tsv",
    output:
        findings=f"{DATASET}/findings.tsv",
    params:
        needs_pairs=NEEDS_PAIRS,
        from_file=has_correspondence,
        code=FIT_CODE,
    log:
        "logs/compare_modalities/{dataset}.log",
    benchmark:
        "benchmarks/compare_modalities/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("compare_modalities"),
    script:
        "../workflow_scripts/compare_modalities.py"


rule check_dataset:
    input:
        unpack(lambda wildcards: linking(wildcards) if ESTIMATED else {}),
        data=f"{DATASET}/ingested.h5mu",
        pairs=f"{DATASET}/pairs.npz",
        notices=f"{DATASET}/notices.tsv",
    output:
        text=f"{DATASET}/check.txt",
    params:
        entry=dataset_entry,
        linked=bool(ESTIMATED),
        needs_pairs=NEEDS_PAIRS,
        from_file=has_correspondence,
        needs=lambda wildcards: expected(),
        snakefile=f"{HERE}/Snakefile",
        code=f"{FIT_CODE}.{LINK_CODE}.{code_digest('report/doctor.py')}",
    log:
        "logs/check_dataset/{dataset}.log",
    benchmark:
        "benchmarks/check_dataset/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("check_dataset"),
    script:
        "../workflow_scripts/check_dataset.py"
