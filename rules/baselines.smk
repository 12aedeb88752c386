# Every other method, fitted and applied in one job: one rule for all of them, and its like for those that use torch.


rule fit_baseline:
    input:
        unpack(tuning_of),
        unpack(matched_for),
        prepared=f"{DATA}/prepared.h5mu",
        known=f"{DATA}/correspondence.npz",
        pairs=f"{DATASET}/pairs.npz",
    output:
        embedding=f"{METHOD}/embedding.h5mu",
        imputed=f"{METHOD}/imputed.h5mu",
        run_info=f"{METHOD}/run_info.json",
    params:
        **may_fail("fit_baseline"),
        base=method_option("base"),
        options=method_option("options"),
        code=baseline_code,
    log:
        "logs/fit_baseline/{dataset}.{scenario}.{method}.{seed}.log",
    benchmark:
        "benchmarks/fit_baseline/{dataset}.{scenario}.{method}.{seed}.tsv"
    wildcard_constraints:
        method="|".join(m for m in BASELINES if m not in WITH_DEVICE) or "none",
    conda:
        "../envs/environment.yaml"
    resources:
        **needs("fit_baseline"),
    script:
        "../workflow_scripts/fit_baseline.py"


use rule fit_baseline as fit_torch_method with:
    log:
        "logs/fit_torch_method/{dataset}.{scenario}.{method}.{seed}.log",
    benchmark:
        "benchmarks/fit_torch_method/{dataset}.{scenario}.{method}.{seed}.tsv"
    wildcard_constraints:
        method="|".join(WITH_DEVICE) or "none",
    resources:
        **needs("fit_torch_method"),
        gpu=gpus,
