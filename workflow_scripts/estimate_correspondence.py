"""F~: which cells may be the same, from geometry and the known pairs, and how far to trust it."""

from jamie import entry, io
from jamie.data.correspondence import Correspondence
from jamie.matching.prepared import estimate_prepared

with entry.job(snakemake):
    prepared = io.read_h5mu(snakemake.input.prepared, leave_out=("layers",))
    known = Correspondence.load(snakemake.input.known, *(a.obs_names for a in prepared.mod.values()))
    estimated = estimate_prepared(
        prepared,
        known,
        same_group=snakemake.params.same_group,
        seed=int(snakemake.wildcards.seed),
        **snakemake.params.options,
    )
    estimated.save(snakemake.output.estimated, snakemake.output.check, snakemake.output.info)
