# F: the pairs a scenario shows. The estimated correspondence F~ has its place here, beside the known one.


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
    conda:
        "../envs/environment.yaml"
    script:
        "../workflow_scripts/make_correspondence.py"
