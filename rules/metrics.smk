# Scores: all methods of one dataset, scenario and seed together, then one table of everything.


rule score_methods:
    input:
        prepared=f"{DATA}/prepared.h5mu",
        known=f"{DATA}/correspondence.npz",
        pairs=f"{DATASET}/pairs.npz",
        run_info=expand(f"{METHOD}/run_info.json", method=METHODS, allow_missing=True),
        embedding=expand(f"{METHOD}/embedding.h5mu", method=METHODS, allow_missing=True),
        imputed=expand(f"{METHOD}/imputed.h5mu", method=METHODS, allow_missing=True),
    output:
        metrics=expand(f"{METHOD}/metrics.tsv", method=METHODS, allow_missing=True),
        features=expand(f"{METHOD}/feature_scores.tsv", method=METHODS, allow_missing=True),
    params:
        methods=METHODS,
        code=code_digest("metrics"),
    log:
        "logs/score_methods/{dataset}.{scenario}.{seed}.log",
    benchmark:
        "benchmarks/score_methods/{dataset}.{scenario}.{seed}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("score_methods"),
    script:
        "../workflow_scripts/score_methods.py"


rule collect_scores:
    input:
        metrics=every(f"{METHOD}/metrics.tsv"),
    output:
        metrics="results/metrics.tsv",
        summary=report(
            "results/metrics_summary.tsv",
            category="Scores",
            subcategory="all datasets and scenarios",
            labels={"figure": "all scores, mean and spread over seeds"},
            caption="../report/metrics.rst",
        ),
    params:
        code=code_digest("metrics/score.py"),
    log:
        "logs/collect_scores.log",
    benchmark:
        "benchmarks/collect_scores.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("collect_scores"),
    localrule: True
    script:
        "../workflow_scripts/collect_scores.py"


rule summarise_run:
    input:
        **summary_input(RUN["datasets"]),
        metrics="results/metrics.tsv",
    output:
        page="results/summary.rst",
    params:
        about=about_run,
        shown=SHOWN,
        seeds=RUN["seeds"],
        with_peaks=WITH_PEAKS,
        bases={m: CONFIG["methods"][m]["base"] for m in METHODS},
        datasets={d: CONFIG["datasets"][d] for d in RUN["datasets"]},
        scenarios={s: CONFIG["scenarios"][s] for s in RUN["scenarios"]},
        code=code_digest(
            *PAIRED,
            "evaluation/phrases.py",
            "report/first_page.py",
            "report/distrust.py",
            "report/facts.py",
            "data/findings.py",
            "evaluation/planner.py",
            "evaluation/calibration.py",
            "evaluation/tuning.py",
            "regulation/collect.py",
            "regulation/linking.py",
            "plots/drivers.py",
        ),
    log:
        "logs/summarise_run.log",
    benchmark:
        "benchmarks/summarise_run.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("summarise_run"),
    localrule: True
    script:
        "../workflow_scripts/summarise_run.py"
