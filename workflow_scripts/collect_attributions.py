"""Put the chunks together: drivers of every target, attributions as sparse arrays."""

from jamie import entry, io
from jamie.regulation import collect

with entry.job(snakemake):
    io.write_table(snakemake.output.drivers, collect.put_together(snakemake.input.drivers))
    collect.write_arrays(snakemake.output.arrays, collect.put_together(snakemake.input.groups))
