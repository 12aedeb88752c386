# JAMIE: train (on a GPU where there is one), embed and impute every cell, complete the dataset.
JAMIE_CODE = code_digest(
    "model",
    "methods/jamie.py",
    "methods/base.py",
    "matching/prepared.py",
    "device.py",
    "linear/canonical.py",
    "linear/kernel.py",
    "data/correspondence.py",
    *PROJECTION_CODE,
)


rule train_jamie:
    input:
        unpack(estimate_of),
        unpack(tuning_of),
        prepared=f"{DATA}/prepared.h5mu",
        known=f"{DATA}/correspondence.npz",
    output:
        model=directory(f"{METHOD}/model"),
        crossfit=directory(f"{METHOD}/crossfit"),
        history=f"{METHOD}/history.tsv",
        run_info=f"{METHOD}/run_info.json",
    params:
        **may_fail("train_jamie"),
        options=method_option("options"),
        calibrate=lambda wildcards: wildcards.method in CALIBRATED,
        code=JAMIE_CODE,
    log:
        "logs/train_jamie/{dataset}.{scenario}.{method}.{seed}.log",
    benchmark:
        "benchmarks/train_jamie/{dataset}.{scenario}.{method}.{seed}.tsv"
    wildcard_constraints:
        method="|".join(TRAINED) or "none",
    conda:
        "../envs/environment.yaml"
    threads: 1
    resources:
        **needs("train_jamie", times=times_of_fit),
        gpu=gpus,
    script:
        "../workflow_scripts/train_jamie.py"


rule embed_impute:
    input:
        prepared=f"{DATA}/prepared.h5mu",
        model=f"{METHOD}/model",
    output:
        embedding=f"{METHOD}/embedding.h5mu",
        imputed=f"{METHOD}/imputed.h5mu",
    params:
        **may_fail("embed_impute"),
        code=JAMIE_CODE,
    log:
        "logs/embed_impute/{dataset}.{scenario}.{method}.{seed}.log",
    benchmark:
        "benchmarks/embed_impute/{dataset}.{scenario}.{method}.{seed}.tsv"
    wildcard_constraints:
        method="|".join(TRAINED) or "none",
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("embed_impute"),
    script:
        "../workflow_scripts/embed_impute.py"


rule complete_dataset:
    input:
        unpack(raw_input),
        data=f"{DATASET}/ingested.h5mu",
        pairs=f"{DATASET}/pairs.npz",
        model=f"{METHOD}/model",
        scores=trust_scores,
    output:
        completed=f"{METHOD}/completed.h5mu",
    params:
        entry=dataset_entry,
        code=code_digest(
            *[f"report/{name}.py" for name in ("complete", "joined", "placed", "trust", "values")],
            "data/originals.py",
            "data/preprocess.py",
            "model",
        ),
    log:
        "logs/complete_dataset/{dataset}.{scenario}.{method}.{seed}.log",
    benchmark:
        "benchmarks/complete_dataset/{dataset}.{scenario}.{method}.{seed}.tsv"
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("complete_dataset"),
    script:
        "../workflow_scripts/complete_dataset.py"


use rule complete_dataset as apply_model with:
    input:
        unpack(raw_input),
        data=f"{DATASET}/ingested.h5mu",
        pairs=f"{DATASET}/pairs.npz",
        model=saved_model,
    output:
        completed="results/{dataset}/applied/{model}/completed.h5mu",
    log:
        "logs/apply_model/{dataset}.{model}.log",
    benchmark:
        "benchmarks/apply_model/{dataset}.{model}.tsv"
    resources:
        **needs("apply_model"),
