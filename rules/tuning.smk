# Settings chosen on validation pairs, where `run: tune` asks for it: the same budget for every method.


rule tune_method:
    input:
        prepared=f"{DATA}/prepared.h5mu",
        known=f"{DATA}/correspondence.npz",
    output:
        tuning=f"{METHOD}/tuning.json",
        trials=f"{METHOD}/trials.tsv",
    params:
        **may_fail("tune_method"),
        base=method_option("base"),
        options=method_option("options"),
        n_trials=RUN["trials"],
        code=tuning_code,
    log:
        "logs/tune_method/{dataset}.{scenario}.{method}.{seed}.log",
    benchmark:
        "benchmarks/tune_method/{dataset}.{scenario}.{method}.{seed}.tsv"
    wildcard_constraints:
        method="|".join(m for m in TUNED if m in BASELINES and m not in WITH_DEVICE) or "none",
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **needs("tune_method", times=RUN["trials"]),
    script:
        "../workflow_scripts/tune_method.py"


use rule tune_method as tune_torch_method with:
    log:
        "logs/tune_torch_method/{dataset}.{scenario}.{method}.{seed}.log",
    benchmark:
        "benchmarks/tune_torch_method/{dataset}.{scenario}.{method}.{seed}.tsv"
    wildcard_constraints:
        method="|".join(m for m in TUNED if m in WITH_DEVICE) or "none",
    resources:
        **needs("tune_torch_method", times=RUN["trials"]),
        gpu=gpus,


use rule tune_method as tune_jamie with:
    log:
        "logs/tune_jamie/{dataset}.{scenario}.{method}.{seed}.log",
    benchmark:
        "benchmarks/tune_jamie/{dataset}.{scenario}.{method}.{seed}.tsv"
    wildcard_constraints:
        method="|".join(m for m in TUNED if m in TRAINED) or "none",
    resources:
        **needs("tune_jamie", times=RUN["trials"]),
        gpu=gpus,


rule collect_settings:
    input:
        tuning=every(f"{METHOD}/tuning.json", method=TUNED),
    output:
        settings=report(
            "results/settings.tsv",
            category="Settings",
            subcategory="all datasets and scenarios",
            labels={"figure": "settings chosen on validation pairs"},
            caption="../report/settings.rst",
        ),
    params:
        n_trials=RUN["trials"],
        code=code_digest("evaluation/tuning.py"),
    log:
        "logs/collect_settings.log",
    benchmark:
        "benchmarks/collect_settings.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("collect_settings"),
    localrule: True
    script:
        "../workflow_scripts/collect_settings.py"
