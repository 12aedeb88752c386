"""Simulate a partially paired multiome with known links."""

from jamie import entry, io
from jamie.data.simulate import simulate_multiome

with entry.job(snakemake):
    mdata, links = simulate_multiome(**snakemake.params.options)
    io.write_h5mu(snakemake.output.data, mdata)
    io.write_table(snakemake.output.links, links)
