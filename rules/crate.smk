# A finished run as a research object; `make crate` asks for it.


rule write_crate:
    input:
        results=all_results(),
        inputs=every("resources/{dataset}/inputs.json"),
        annotation=expand("resources/{dataset}/annotation_inputs.json", dataset=ANNOTATED),
        linked=expand("resources/{dataset}/linked_inputs.json", dataset=WITH_LINKING),
    output:
        metadata="results/ro-crate-metadata.json",
        config="results/ro-crate-config.yaml",
        workflow=directory("results/ro-crate-workflow"),
    params:
        config=CONFIG,
        source=HERE,
        code=code_digest("."),
    log:
        "logs/write_crate.log",
    benchmark:
        "benchmarks/write_crate.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("write_crate"),
    localrule: True
    script:
        "../workflow_scripts/write_crate.py"
