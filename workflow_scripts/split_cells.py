"""Choose the cells that no fitted step may see."""

from jamie import entry, io
from jamie.data import split
from jamie.data.correspondence import Correspondence

with entry.job(snakemake):
    pairs = Correspondence.load(snakemake.input.pairs)
    is_train = split.split_cells(pairs, snakemake.params.held_out, int(snakemake.wildcards.seed))
    mdata = io.read_h5mu(snakemake.input.data, leave_out=("X", "layers"))
    io.write_table(snakemake.output.split, split.to_table(mdata, is_train))
