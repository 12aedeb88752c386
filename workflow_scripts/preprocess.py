"""Preprocess both modalities with statistics of the training cells."""

from jamie import contract, entry, io
from jamie.data import preprocess, split

with entry.job(snakemake):
    mdata = io.read_h5mu(snakemake.input.data)
    is_train = split.from_table(mdata, io.read_table(snakemake.input.split, dtype=str))
    n_top = {name: options["n_top_features"] for name, options in snakemake.params.modalities.items()}
    prepared = preprocess.prepare(mdata, is_train, n_top)
    contract.check_prepared(prepared)
    io.write_h5mu(snakemake.output.prepared, prepared)
