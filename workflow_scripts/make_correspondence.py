"""The known F of a scenario: never a pair of a held-out cell."""

from jamie import contract, entry, io
from jamie.data import batches
from jamie.data.correspondence import Correspondence, choose_known

with entry.job(snakemake):
    pairs = Correspondence.load(snakemake.input.pairs)
    table = io.read_table(snakemake.input.split, dtype=str)
    train = [
        (part[contract.ROLE] == contract.TRAIN).to_numpy()
        for _, part in table.groupby("modality", sort=False)
    ]
    p, seed = snakemake.params, int(snakemake.wildcards.seed)
    if p.known_in is not None:
        mdata = io.read_h5mu(snakemake.input.data, leave_out=("X", "layers"))
        pairs = batches.within(pairs, batches.labels(mdata), train, p.known_in, seed)
    known = choose_known(pairs, *train, p.known_pairs, seed, wrong=p.wrong_pairs)
    known.save(snakemake.output.correspondence)
