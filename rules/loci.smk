# Loci: the links of single genes along the genome.


rule plot_loci:
    input:
        links=f"{DATASET}/links.tsv",
        genes=f"{FOUND}/genes.tsv",
        summary=f"{FOUND}/summary.json",
        prepared=of_fits(f"{DATA}/prepared.h5mu")[:1],
        imputed=of_fits(f"{METHOD}/imputed.h5mu")[:1],
    output:
        figures=report(
            directory(f"{FOUND}/loci"),
            patterns=["{gene}.svg"],
            caption="../report/loci.rst",
            category="Regulation",
            subcategory="{dataset}",
            labels={"dataset": "{dataset}", "figure": "locus of {gene}"},
        ),
        numbers=f"{FOUND}/loci.rst",
    params:
        about=about_run,
        show_genes=dataset_option("show_genes"),
        code=code_digest(
            "regulation/loci.py",
            "regulation/fine_mapping.py",
            "plots/locus.py",
            "plots/gene_models.py",
            "evaluation/phrases.py",
            *STYLE,
        ),
    log:
        "logs/plot_loci/{dataset}.log",
    benchmark:
        "benchmarks/plot_loci/{dataset}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("plot_loci"),
    script:
        "../workflow_scripts/plot_loci.py"
