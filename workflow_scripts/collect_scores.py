"""One table of all scores, and their mean and spread over seeds."""

import pandas as pd

from jamie import contract, entry, io
from jamie.metrics.score import summarise

with entry.job(snakemake):
    table = pd.concat([io.read_table(path) for path in snakemake.input.metrics], ignore_index=True)
    contract.check_metrics(table)
    io.write_table(snakemake.output.metrics, table)
    io.write_table(snakemake.output.summary, summarise(table))
