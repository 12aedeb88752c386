# Dataset in, report out. What is computed is said in config/config.yaml, how in the rules.
from snakemake.utils import min_version

min_version("9.14.8")


configfile: workflow.source_path("config/config.yaml")


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/failures.smk"
include: "rules/needs.smk"
include: "rules/sizes.smk"
include: "rules/resources.smk"
include: "rules/retries.smk"
include: "rules/gpus.smk"
include: "rules/compared.smk"
include: "rules/tuned.smk"
include: "rules/explained.smk"
include: "rules/checked.smk"
include: "rules/sources.smk"
include: "rules/data.smk"
include: "rules/check.smk"
include: "rules/correspondence.smk"
include: "rules/jamie.smk"
include: "rules/values.smk"
include: "rules/baselines.smk"
include: "rules/tuning.smk"
include: "rules/metrics.smk"
include: "rules/ranking.smk"
include: "rules/figures.smk"
include: "rules/comparisons.smk"
include: "rules/attribution.smk"
include: "rules/drivers.smk"
include: "rules/links.smk"
include: "rules/loci.smk"
include: "rules/differences.smk"
include: "rules/reports.smk"


onstart:  # the last one counts, in whichever file
    allow_attempts()
    for notice in runs.cancel_earlier():
        logger.warning(notice)


rule all:
    input:
        all_results(),
        reports(),
    default_target: True


rule check:
    input:
        every(f"{DATASET}/check.txt"),
