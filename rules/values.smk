# Whether the values handed out hold on cells that the model has not seen: native units, intervals, unlikeness.
CALIBRATED = SHOWN if RUN["figures"] == "full" else []  # else values are handed to nobody


rule check_values:
    input:
        prepared=f"{DATA}/prepared.h5mu",
        known=f"{DATA}/correspondence.npz",
        pairs=f"{DATASET}/pairs.npz",
        model=f"{METHOD}/model",
    output:
        groups=f"{METHOD}/values.tsv",
        features=f"{METHOD}/value_features.tsv",
    params:
        code=code_digest("evaluation/calibration.py", "model", "metrics/groups.py"),
    log:
        "logs/check_values/{dataset}.{scenario}.{method}.{seed}.log",
    benchmark:
        "benchmarks/check_values/{dataset}.{scenario}.{method}.{seed}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("check_values"),
    script:
        "../workflow_scripts/check_values.py"


rule plot_values:
    input:
        groups=shown(f"{METHOD}/values.tsv"),
        features=shown(f"{METHOD}/value_features.tsv"),
    output:
        figure=figure("values", "values and intervals", "Imputation"),
        numbers=f"{FIGURES}/values.rst",
    params:
        about=about_run,
        seeds=RUN["seeds"],
        code=code_digest("plots/values.py", "evaluation/calibration.py", *STYLE),
    log:
        "logs/plot_values/{dataset}.{scenario}.log",
    benchmark:
        "benchmarks/plot_values/{dataset}.{scenario}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_values"),
    script:
        "../workflow_scripts/plot_values.py"
