"""Measure what one fit's imputation depends on."""

from jamie import JAMIE, entry, io
from jamie.regulation import attribution

with entry.job(snakemake):
    entry.use_threads(snakemake.threads)
    info = io.read_json(snakemake.input.info)
    influence = attribution.measure_influence(
        JAMIE.load(snakemake.input.model),
        io.read_h5mu(snakemake.input.prepared, leave_out=("layers",)),
        info["source"],
        info["target"],
        n_cells=snakemake.params.n_cells,
        seed=int(snakemake.wildcards.seed),
    )
    influence.save(snakemake.output.influence)
