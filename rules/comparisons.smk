# What compares scenarios or variants: the pairing planner, the ablation, and the table of results.


rule plot_pairing:
    input:
        metrics="results/metrics.tsv",
        known=expand(f"{DATA}/correspondence.npz", scenario=PAIRING, seed=RUN["seeds"][0], allow_missing=True),
    output:
        figure=figure("pairing", "scores against known pairs", "Pairs", "all scenarios", DATASET),
        numbers=f"{DATASET}/pairing.rst",
        table=f"{DATASET}/pairing.tsv",
    params:
        about=about_run,
        shown=SHOWN or METHODS[:1],
        known=PAIRING,
        wrong=WRONG,
        scenarios={s: CONFIG["scenarios"][s] for s in [*PAIRING, *WRONG]},
        code=code_digest("planner.py", "plots/pairing.py", *STYLE, "summary.py"),
    log:
        "logs/plot_pairing/{dataset}.log",
    conda:
        "../envs/environment.yaml"
    script:
        "../workflow_scripts/plot_pairing.py"


rule plot_ablation:
    input:
        metrics="results/metrics.tsv",
    output:
        figure=figure("ablation", "variants against the reference", "Ablation"),
        numbers=f"{FIGURES}/ablation.rst",
    params:
        about=about_run,
        variants=VARIANTS,
        code=code_digest("plots/ablation.py", *STYLE, "summary.py"),
    log:
        "logs/plot_ablation/{dataset}.{scenario}.log",
    conda:
        "../envs/environment.yaml"
    script:
        "../workflow_scripts/plot_ablation.py"


rule write_table:
    input:
        metrics="results/metrics.tsv",
    output:
        table="results/table.md",
    params:
        about=about_run,
        scenarios={s: CONFIG["scenarios"][s] for s in RUN["scenarios"]},
        code=code_digest("results_table.py", "summary.py"),
    log:
        "logs/write_table.log",
    conda:
        "../envs/environment.yaml"
    localrule: True
    script:
        "../workflow_scripts/write_table.py"
