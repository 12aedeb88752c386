# Links of peaks and genes: judged, and held against distance, truth and known ones.
LINK_FIGURES = code_digest(
    "regulation/enrichment.py",
    "regulation/collect.py",
    "regulation/fine_mapping.py",
    "plots/links.py",
    "plots/link_words.py",
    "evaluation/phrases.py",
    *STYLE,
)


rule collect_links:
    input:
        info=f"{FOUND}/coordinates.json",
        links=expand(f"{FOUND}/links.{{chunk}}.tsv", chunk=CHUNKS, allow_missing=True),
        moved=expand(f"{FOUND}/moved.{{chunk}}.tsv", chunk=CHUNKS, allow_missing=True),
    output:
        links=f"{DATASET}/links.tsv",
        bedpe=f"{DATASET}/links.bedpe",
        page=report(
            f"{FOUND}/strongest_links.html",
            caption="../report/strongest_links.rst",
            category="Regulation",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "table of the strongest links"},
        ),
        summary=f"{FOUND}/summary.json",
    params:
        q=EXPLAIN["q"],
        code=code_digest(
            "regulation/collect.py",
            "regulation/links.py",
            "regulation/fine_mapping.py",
            "report/links_page.py",
            *STYLE,
        ),
    log:
        "logs/collect_links/{dataset}.log",
    benchmark:
        "benchmarks/collect_links/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("collect_links"),
    script:
        "../workflow_scripts/collect_links.py"


rule plot_distance:
    input:
        links=f"{DATASET}/links.tsv",
        summary=f"{FOUND}/summary.json",
    output:
        figure=explained_figure("distance", "links by distance to the gene"),
        numbers=f"{FOUND}/distance.rst",
        near=f"{FOUND}/near.tsv",
        profile=f"{FOUND}/distance.tsv",
    params:
        about=about_run,
        code=LINK_FIGURES,
    log:
        "logs/plot_distance/{dataset}.log",
    benchmark:
        "benchmarks/plot_distance/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_distance"),
    script:
        "../workflow_scripts/plot_distance.py"


rule plot_truth:
    input:
        links=f"{DATASET}/links.tsv",
        summary=f"{FOUND}/summary.json",
        truth="resources/{dataset}/true_links.tsv",
    output:
        figure=explained_figure("truth", "found links against the truth"),
        numbers=f"{FOUND}/truth.rst",
        areas=f"{FOUND}/areas.tsv",
        calibration=f"{FOUND}/calibration.tsv",
    params:
        about=about_run,
        code=LINK_FIGURES,
    log:
        "logs/plot_truth/{dataset}.log",
    benchmark:
        "benchmarks/plot_truth/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_truth"),
    script:
        "../workflow_scripts/plot_truth.py"


rule plot_known_links:
    input:
        unpack(annotation),
        links=f"{DATASET}/links.tsv",
        genes=f"{FOUND}/genes.tsv",
        summary=f"{FOUND}/summary.json",
    output:
        figure=explained_figure("known_links", "found links against known ones"),
        numbers=f"{FOUND}/known_links.rst",
        table=f"{FOUND}/known_links.tsv",
    params:
        entry=sources_of(*ANNOTATION),
        about=about_run,
        code=LINK_FIGURES
        + code_digest("regulation/annotation.py", "regulation/known_links.py", "data/places.py"),
    log:
        "logs/plot_known_links/{dataset}.log",
    benchmark:
        "benchmarks/plot_known_links/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_known_links"),
    script:
        "../workflow_scripts/plot_known_links.py"
