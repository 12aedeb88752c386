"""The table of results, as markdown."""

from jamie import entry, io
from jamie.report import results_table

with entry.job(snakemake):
    table = results_table.results_table(io.read_table(snakemake.input.metrics), snakemake.params.scenarios)
    io.write_text(snakemake.output.table, table)
