# Differences between groups of cells, of the first scenario and seed: measured values correct imputed ones.


rule compare_groups:
    input:
        prepared=of_first_fit(f"{DATA}/prepared.h5mu"),
        model=of_first_fit(f"{METHOD}/model"),
        crossfit=of_first_fit(f"{METHOD}/crossfit"),
        completed=of_first_fit(f"{METHOD}/completed.h5mu"),
        pairs=f"{DATASET}/pairs.npz",
    output:
        differences=f"{DATASET}/differences.tsv",
        short=report(
            f"{DATASET}/differences_by_group.tsv",
            caption="../report/differences.rst",
            category="Differences",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "table": "groups against the others"},
        ),
        numbers=f"{DATASET}/differences.rst",
    params:
        about=lambda wildcards: about_run(FIRST_FIT),
        code=code_digest("evaluation/differences.py", "evaluation/grouped.py", "model"),
    log:
        "logs/compare_groups/{dataset}.log",
    benchmark:
        "benchmarks/compare_groups/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("compare_groups"),
    script:
        "../workflow_scripts/compare_groups.py"
