# A report for each dataset, where a run has several; that of the whole run is Snakemake's `--report`.


use rule collect_scores as collect_scores_of_dataset with:
    input:
        metrics=scored(f"{METHOD}/metrics.tsv", scenario=RUN["scenarios"]),
    output:
        metrics=f"{DATASET}/metrics.tsv",
        summary=in_own_report(
            f"{DATASET}/metrics_summary.tsv", "all scores, mean and spread over seeds", "metrics"
        ),
    log:
        "logs/collect_scores_of_dataset/{dataset}.log",
    benchmark:
        "benchmarks/collect_scores_of_dataset/{dataset}.tsv"
    resources:
        **needs("collect_scores_of_dataset"),


use rule rank_methods as rank_methods_of_dataset with:
    input:
        metrics=f"{DATASET}/metrics.tsv",
        run_info=scored(f"{METHOD}/run_info.json", scenario=RUN["scenarios"]),
    output:
        table=f"{DATASET}/ranking.tsv",
        page=in_own_report(f"{DATASET}/ranking.html", "ranking of methods", "ranking"),
        numbers=f"{DATASET}/ranking.rst",
    log:
        "logs/rank_methods_of_dataset/{dataset}.log",
    benchmark:
        "benchmarks/rank_methods_of_dataset/{dataset}.tsv"
    resources:
        **needs("rank_methods_of_dataset"),


use rule summarise_run as summarise_dataset with:
    input:
        unpack(lambda wildcards: summary_input([wildcards.dataset])),
        metrics=f"{DATASET}/metrics.tsv",
    output:
        page=f"{DATASET}/summary.rst",
    params:
        with_peaks=lambda wildcards: [name for name in WITH_PEAKS if name == wildcards.dataset],
        datasets=lambda wildcards: {wildcards.dataset: CONFIG["datasets"][wildcards.dataset]},
    log:
        "logs/summarise_dataset/{dataset}.log",
    benchmark:
        "benchmarks/summarise_dataset/{dataset}.tsv"
    resources:
        **needs("summarise_dataset"),


rule report_dataset:
    input:
        results=lambda wildcards: results_by_dataset()[wildcards.dataset],
        summed_up=expand(
            f"{DATASET}/{{name}}",
            name=["metrics_summary.tsv", "ranking.html", "summary.rst"],
            allow_missing=True,
        ),
    output:
        page=f"{DATASET}/report.html",
    params:
        snakefile=f"{HERE}/Snakefile",
        captions=CAPTIONS,
    log:
        "logs/report_dataset/{dataset}.log",
    benchmark:
        "benchmarks/report_dataset/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("report_dataset"),
    localrule: True
    script:
        "../workflow_scripts/report_dataset.py"
