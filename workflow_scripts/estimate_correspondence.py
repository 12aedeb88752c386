"""F~: which cells may be the same, by linked features, geometry and known pairs; how far to trust it."""

from jamie import contract, entry, io
from jamie.data.correspondence import Correspondence
from jamie.matching.prepared import estimate_prepared

with entry.job(snakemake):
    prepared = io.read_h5mu(snakemake.input.prepared, leave_out=("layers",), layers=(contract.COUNTS,))
    known = Correspondence.load(snakemake.input.known, *(a.obs_names for a in prepared.mod.values()))
    estimated = estimate_prepared(
        prepared,
        known,
        linked=io.read_table(snakemake.input.linked, dtype={"first": str, "second": str}),
        same_group=snakemake.params.same_group,
        seed=int(snakemake.wildcards.seed),
        **snakemake.params.options,
    )
    estimated.save(snakemake.output.estimated, snakemake.output.check, snakemake.output.info)
