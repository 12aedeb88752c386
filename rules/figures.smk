# Every figure of the report. Each rule writes the figure and, beside it, the numbers its caption quotes.
FIGURES_OF_METHOD = [
    "embedding",
    "history",
    "features",
    "distributions",
    "js_curves",
    "values",
]


rule plot_embedding:
    input:
        completed=shown(f"{METHOD}/completed.h5mu", every_seed=False),
        split=shown(f"{DATA}/split.tsv", every_seed=False),
    output:
        figure=figure("embedding", "raw and joint space", "Embedding"),
        numbers=f"{FIGURES}/embedding.rst",
    params:
        about=about_run,
        shown=SHOWN,
        code=code_digest("plots/umap.py", *STYLE),
    log:
        "logs/plot_embedding/{dataset}.{scenario}.log",
    benchmark:
        "benchmarks/plot_embedding/{dataset}.{scenario}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_embedding"),
    script:
        "../workflow_scripts/plot_embedding.py"


rule plot_history:
    input:
        history=shown(f"{METHOD}/history.tsv"),
        run_info=shown(f"{METHOD}/run_info.json"),
    output:
        figure=figure("history", "loss curves", "Training"),
        numbers=f"{FIGURES}/history.rst",
    params:
        about=about_run,
        seeds=RUN["seeds"],
        code=code_digest("plots/history.py", *STYLE),
    log:
        "logs/plot_history/{dataset}.{scenario}.log",
    benchmark:
        "benchmarks/plot_history/{dataset}.{scenario}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_history"),
    script:
        "../workflow_scripts/plot_history.py"


rule plot_scores:
    input:
        metrics=scored(f"{METHOD}/metrics.tsv"),
    output:
        figure=figure("scores", "scores of all methods", "Scores"),
        numbers=f"{FIGURES}/scores.rst",
    params:
        about=about_run,
        shown=SHOWN,
        code=code_digest("plots/scores.py", *PAIRED, *STYLE, "evaluation/phrases.py"),
    log:
        "logs/plot_scores/{dataset}.{scenario}.log",
    benchmark:
        "benchmarks/plot_scores/{dataset}.{scenario}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_scores"),
    script:
        "../workflow_scripts/plot_scores.py"


rule plot_features:
    input:
        scores=scored(f"{METHOD}/feature_scores.tsv"),
    output:
        figure=figure("features", "feature by feature against KNN", "Imputation"),
        numbers=f"{FIGURES}/features.rst",
    params:
        about=about_run,
        shown=SHOWN,
        code=code_digest("plots/features.py", *PAIRED, *STYLE, "evaluation/phrases.py"),
    log:
        "logs/plot_features/{dataset}.{scenario}.log",
    benchmark:
        "benchmarks/plot_features/{dataset}.{scenario}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_features"),
    script:
        "../workflow_scripts/plot_features.py"


rule plot_distributions:
    input:
        prepared=shown(f"{DATA}/prepared.h5mu", every_seed=False),
        known=shown(f"{DATA}/correspondence.npz", every_seed=False),
        pairs=f"{DATASET}/pairs.npz",
        imputed=shown(f"{METHOD}/imputed.h5mu", every_seed=False),
        scores=shown(f"{METHOD}/feature_scores.tsv", every_seed=False),
    output:
        figure=figure("distributions", "measured and imputed values", "Imputation"),
        numbers=f"{FIGURES}/distributions.rst",
    params:
        about=about_run,
        show_features=dataset_option("show_features"),
        code=code_digest("plots/distributions.py", "plots/chosen.py", *STYLE, "evaluation/phrases.py"),
    log:
        "logs/plot_distributions/{dataset}.{scenario}.log",
    benchmark:
        "benchmarks/plot_distributions/{dataset}.{scenario}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_distributions"),
    script:
        "../workflow_scripts/plot_distributions.py"


rule plot_js_curves:
    input:
        scores=scored(f"{METHOD}/feature_scores.tsv"),
    output:
        figure=figure("js_curves", "Jensen-Shannon similarity", "Imputation"),
        numbers=f"{FIGURES}/js_curves.rst",
    params:
        about=about_run,
        shown=SHOWN,
        code=code_digest("plots/distributions.py", *PAIRED, *STYLE, "evaluation/phrases.py"),
    log:
        "logs/plot_js_curves/{dataset}.{scenario}.log",
    benchmark:
        "benchmarks/plot_js_curves/{dataset}.{scenario}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_js_curves"),
    script:
        "../workflow_scripts/plot_js_curves.py"
