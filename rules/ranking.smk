# The scores of a run in short: a table for README or a document, and the ranking of methods.


rule write_table:
    input:
        metrics="results/metrics.tsv",
    output:
        table="results/table.md",
    params:
        about=about_run,
        scenarios={s: CONFIG["scenarios"][s] for s in RUN["scenarios"]},
        code=code_digest("report/results_table.py", *PAIRED, "evaluation/phrases.py"),
    log:
        "logs/write_table.log",
    benchmark:
        "benchmarks/write_table.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("write_table"),
    localrule: True
    script:
        "../workflow_scripts/write_table.py"


rule rank_methods:
    input:
        metrics="results/metrics.tsv",
        run_info=every(f"{METHOD}/run_info.json"),
    output:
        table="results/ranking.tsv",
        page=report(
            "results/ranking.html",
            caption="../report/ranking.rst",
            category="Scores",
            subcategory="all datasets and scenarios",
            labels={"figure": "ranking of methods"},
        ),
        numbers="results/ranking.rst",
    params:
        about=about_run,
        held_out={s: CONFIG["scenarios"][s]["held_out"] for s in RUN["scenarios"]},
        code=code_digest(
            "evaluation/ranking.py", *PAIRED, "report/ranking_page.py", "evaluation/phrases.py", *STYLE
        ),
    log:
        "logs/rank_methods.log",
    benchmark:
        "benchmarks/rank_methods.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("rank_methods"),
    localrule: True
    script:
        "../workflow_scripts/rank_methods.py"
