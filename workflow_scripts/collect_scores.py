"""One table of all scores, and their mean and spread over seeds."""

from jamie import contract, entry, io
from jamie.metrics.score import summarise

with entry.job(snakemake):
    table = io.read_tables(snakemake.input.metrics)
    contract.check_metrics(table)
    io.write_table(snakemake.output.metrics, table)
    io.write_table(snakemake.output.summary, summarise(table))
