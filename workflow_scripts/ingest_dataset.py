"""Read a dataset in whatever format, check it, and write it as MuData with its pairs and what was noticed."""

from jamie import entry, io
from jamie.data import checks, labels, notices, readers, suspects

with entry.job(snakemake), notices.collected() as noticed:
    dataset, files = entry.sources(snakemake)
    mdata = readers.read(dataset, files)
    # a correspondence without names is in the order of the cells as they were read
    pairs = readers.pairs_of(dataset, mdata, files)
    labels.lend(mdata, pairs)
    if dataset["drop_empty"]:
        mdata = checks.drop_empty(mdata)
    checks.check_dataset(mdata, snakemake.wildcards.dataset, labels=dataset["cell_type"] is not None)
    suspects.look(mdata)
    io.write_h5mu(snakemake.output.data, mdata)
    pairs.align(*(a.obs_names for a in mdata.mod.values())).save(snakemake.output.pairs)
    io.write_table(snakemake.output.notices, notices.table(noticed))
    entry.write_inputs(snakemake, snakemake.output.inputs, files)
