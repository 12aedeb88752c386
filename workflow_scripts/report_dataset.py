"""Snakemake's report of the results of one dataset."""

from jamie import entry

with entry.job(snakemake, judges=("results", "summed_up")):
    dataset = snakemake.wildcards.dataset
    results = [*snakemake.input.results, *snakemake.input.summed_up]
    entry.write_report(snakemake.params.snakefile, snakemake.config, dataset, results, snakemake.output.page)
