# What compares methods, scenarios or variants: figures of all methods, the ranking, the planner, the ablation, tables.


rule plot_pairing:
    input:
        metrics=scored(f"{METHOD}/metrics.tsv", scenario=RUN["scenarios"]),
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
        code=code_digest(
            "evaluation/planner.py", *PAIRED, "plots/pairing.py", *STYLE, "evaluation/phrases.py"
        ),
    log:
        "logs/plot_pairing/{dataset}.log",
    benchmark:
        "benchmarks/plot_pairing/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_pairing"),
    script:
        "../workflow_scripts/plot_pairing.py"


rule plot_ablation:
    input:
        metrics=scored(f"{METHOD}/metrics.tsv"),
    output:
        figure=figure("ablation", "variants against the reference", "Ablation"),
        numbers=f"{FIGURES}/ablation.rst",
    params:
        about=about_run,
        variants=VARIANTS,
        code=code_digest("plots/ablation.py", *PAIRED, *STYLE, "evaluation/phrases.py"),
    log:
        "logs/plot_ablation/{dataset}.{scenario}.log",
    benchmark:
        "benchmarks/plot_ablation/{dataset}.{scenario}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_ablation"),
    script:
        "../workflow_scripts/plot_ablation.py"


rule plot_alignment:
    input:
        metrics=scored(f"{METHOD}/metrics.tsv"),
    output:
        figure=figure("alignment", "alignment of all methods", "Scores"),
        numbers=f"{FIGURES}/alignment.rst",
    params:
        about=about_run,
        code=code_digest("plots/alignment.py", *PAIRED, "evaluation/phrases.py", *STYLE),
    log:
        "logs/plot_alignment/{dataset}.{scenario}.log",
    benchmark:
        "benchmarks/plot_alignment/{dataset}.{scenario}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_alignment"),
    script:
        "../workflow_scripts/plot_alignment.py"


rule plot_silhouettes:
    input:
        metrics=scored(f"{METHOD}/metrics.tsv"),
        prepared=expand(f"{DATA}/prepared.h5mu", seed=RUN["seeds"], allow_missing=True),
        known=expand(f"{DATA}/correspondence.npz", seed=RUN["seeds"], allow_missing=True),
        pairs=f"{DATASET}/pairs.npz",
        run_info=scored(f"{METHOD}/run_info.json", EMBEDDING),
        embedding=scored(f"{METHOD}/embedding.h5mu", EMBEDDING),
    output:
        figure=figure("silhouettes", "silhouette of each cell type", "Scores"),
        numbers=f"{FIGURES}/silhouettes.rst",
    params:
        about=about_run,
        methods=EMBEDDING,
        seeds=RUN["seeds"],
        code=code_digest(
            "metrics", "evaluation/paired.py", "plots/silhouettes.py", "evaluation/phrases.py", *STYLE
        ),
    log:
        "logs/plot_silhouettes/{dataset}.{scenario}.log",
    benchmark:
        "benchmarks/plot_silhouettes/{dataset}.{scenario}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_silhouettes"),
    script:
        "../workflow_scripts/plot_silhouettes.py"


rule plot_baselines:
    input:
        scores=scored(f"{METHOD}/feature_scores.tsv"),
    output:
        figure=figure("baselines", "feature by feature against each method", "Imputation"),
        numbers=f"{FIGURES}/baselines.rst",
    params:
        about=about_run,
        shown=SHOWN,
        code=code_digest("plots/baselines.py", "plots/features.py", *PAIRED, "evaluation/phrases.py", *STYLE),
    log:
        "logs/plot_baselines/{dataset}.{scenario}.log",
    benchmark:
        "benchmarks/plot_baselines/{dataset}.{scenario}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_baselines"),
    script:
        "../workflow_scripts/plot_baselines.py"
