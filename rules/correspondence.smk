# F: the pairs a scenario shows; and F~: what geometry and these pairs say about the other cells.


rule make_correspondence:
    input:
        pairs=f"{DATASET}/pairs.npz",
        split=f"{DATA}/split.tsv",
    output:
        correspondence=f"{DATA}/correspondence.npz",
    params:
        known_pairs=scenario_option("known_pairs"),
        wrong_pairs=scenario_option("wrong_pairs"),
        code=code_digest("data/correspondence.py"),
    log:
        "logs/make_correspondence/{dataset}.{scenario}.{seed}.log",
    benchmark:
        "benchmarks/make_correspondence/{dataset}.{scenario}.{seed}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("make_correspondence"),
    script:
        "../workflow_scripts/make_correspondence.py"


rule estimate_correspondence:
    input:
        prepared=f"{DATA}/prepared.h5mu",
        known=f"{DATA}/correspondence.npz",
    output:
        estimated=f"{DATA}/estimated_correspondence.npz",
        check=f"{DATA}/estimated_check.npz",
        info=f"{DATA}/estimated_correspondence.json",
    params:
        options=CONFIG["estimate"],
        same_group=dataset_option("same_group"),
        code=code_digest("matching", "device.py", "data/correspondence.py", *PROJECTION_CODE),
    log:
        "logs/estimate_correspondence/{dataset}.{scenario}.{seed}.log",
    benchmark:
        "benchmarks/estimate_correspondence/{dataset}.{scenario}.{seed}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **needs("estimate_correspondence"),
    script:
        "../workflow_scripts/estimate_correspondence.py"
