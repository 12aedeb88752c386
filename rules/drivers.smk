# Figures of what drives imputed values, and of what separates cell types.
rule plot_drivers:
    input:
        drivers=f"{DATASET}/drivers.tsv",
        checks=f"{FOUND}/checks.tsv",
        info=f"{FOUND}/coordinates.json",
    output:
        figure=explained_figure("drivers", "strongest features behind imputed values"),
        numbers=f"{FOUND}/drivers.rst",
    params:
        about=about_run,
        show_genes=dataset_option("show_genes"),
        code=code_digest(
            "regulation/agreed.py", "plots/drivers.py", "plots/ranked.py", "evaluation/phrases.py", *STYLE
        ),
    log:
        "logs/plot_drivers/{dataset}.log",
    benchmark:
        "benchmarks/plot_drivers/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_drivers"),
    script:
        "../workflow_scripts/plot_drivers.py"


rule plot_markers:
    input:
        genes=f"{FOUND}/genes.tsv",
        prepared=of_fits(f"{DATA}/prepared.h5mu")[:1],
        model=of_fits(f"{METHOD}/model")[:1],
    output:
        figure=explained_figure(
            "markers_{modality}", "features by cell type, {modality}", "Cell types", "markers"
        ),
        beeswarm=explained_figure("beeswarm_{modality}", "cell by cell, {modality}", "Cell types", "markers"),
        markers=f"{FOUND}/markers_{{modality}}.tsv",
        numbers=f"{FOUND}/markers_{{modality}}.rst",
    params:
        about=about_run,
        code=code_digest(
            "regulation/markers.py",
            "regulation/annotation.py",
            "regulation/expected_gradients.py",
            "regulation/knock_out.py",
            "plots/markers.py",
            "plots/ranked.py",
            "evaluation/phrases.py",
            *STYLE,
        ),
    log:
        "logs/plot_markers/{dataset}.{modality}.log",
    benchmark:
        "benchmarks/plot_markers/{dataset}.{modality}.tsv"
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **needs("plot_markers"),
    script:
        "../workflow_scripts/plot_markers.py"
