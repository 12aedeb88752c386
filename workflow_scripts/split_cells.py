"""Choose the cells that no fitted step may see."""

from jamie import entry, io
from jamie.data import batches, split
from jamie.data.correspondence import Correspondence

with entry.job(snakemake):
    pairs = Correspondence.load(snakemake.input.pairs)
    mdata = io.read_h5mu(snakemake.input.data, leave_out=("X", "layers"))
    p, seed = snakemake.params, int(snakemake.wildcards.seed)
    is_train = split.split_cells(pairs, p.held_out, seed, batches.labels(mdata) if p.held_out_by else None)
    io.write_table(snakemake.output.split, split.to_table(mdata, is_train))
