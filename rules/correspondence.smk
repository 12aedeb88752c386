# F: the pairs a scenario shows; and F~: what linked features, geometry and these pairs say about the other cells.


rule link_features:
    input:
        unpack(linking),
        data=f"{DATASET}/ingested.h5mu",
    output:
        table=f"{DATASET}/linked_features.tsv",
        info=f"{DATASET}/linked_features.json",
        inputs="resources/{dataset}/linked_inputs.json",
    params:
        entry=sources_of(*LINKING),
        code=LINK_CODE,
    log:
        "logs/link_features/{dataset}.log",
    benchmark:
        "benchmarks/link_features/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    priority: 1  # before any fit: a wrong table or annotation stops the run
    resources:
        **needs("link_features"),
    script:
        "../workflow_scripts/link_features.py"


rule make_correspondence:
    input:
        data=where_asked("known_in", f"{DATASET}/ingested.h5mu"),  # batches of the cells
        pairs=f"{DATASET}/pairs.npz",
        split=f"{DATA}/split.tsv",
    output:
        correspondence=f"{DATA}/correspondence.npz",
    params:
        known_pairs=scenario_option("known_pairs"),
        wrong_pairs=scenario_option("wrong_pairs"),
        known_in=scenario_option("known_in"),
        code=code_digest("data/correspondence.py", "data/batches.py"),
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
        linked=f"{DATASET}/linked_features.tsv",
    output:
        estimated=f"{DATA}/estimated_correspondence.npz",
        check=f"{DATA}/estimated_check.npz",
        info=f"{DATA}/estimated_correspondence.json",
    params:
        options=CONFIG["estimate"],
        same_group=dataset_option("same_group"),
        code=code_digest(
            "matching", "device.py", "data/correspondence.py", "data/linked.py", *PROJECTION_CODE
        ),
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


rule plot_estimated_correspondence:
    input:
        prepared=expand(f"{DATA}/prepared.h5mu", seed=RUN["seeds"][:1], allow_missing=True),
        pairs=f"{DATASET}/pairs.npz",
        known=expand(f"{DATA}/correspondence.npz", seed=RUN["seeds"][:1], allow_missing=True),
        estimated=expand(f"{DATA}/estimated_correspondence.npz", seed=RUN["seeds"][:1], allow_missing=True),
        info=expand(f"{DATA}/estimated_correspondence.json", seed=RUN["seeds"], allow_missing=True),
    output:
        figure=figure("estimated_correspondence", "known and estimated correspondence", "Correspondence"),
        numbers=f"{FIGURES}/estimated_correspondence.rst",
    params:
        about=about_run,
        code=code_digest("matching/compare.py", "plots/correspondence.py", *STYLE),
    log:
        "logs/plot_estimated_correspondence/{dataset}.{scenario}.log",
    benchmark:
        "benchmarks/plot_estimated_correspondence/{dataset}.{scenario}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_estimated_correspondence"),
    script:
        "../workflow_scripts/plot_estimated_correspondence.py"
