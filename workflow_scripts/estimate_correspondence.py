"""F~: which cells may be the same, from geometry and the known pairs, and how far to trust it."""

from jamie import contract, entry, io
from jamie.data.correspondence import Correspondence
from jamie.matching.prepared import estimate_check, estimate_prepared

with entry.job(snakemake):
    prepared = io.read_h5mu(snakemake.input.prepared)
    known = Correspondence.load(snakemake.input.known, *(a.obs_names for a in prepared.mod.values()))
    options = {
        "same_group": snakemake.params.same_group,
        "seed": int(snakemake.wildcards.seed),
        **snakemake.params.options,
    }
    estimated, result = estimate_prepared(prepared, known, **options)
    contract.check_estimated(estimated.matrix, result.info)
    check = estimate_check(prepared, known, **options)
    estimated.save(snakemake.output.estimated)
    # with no pair left out, the estimate without left-out pairs is the estimate
    (estimated if check is None else check).save(snakemake.output.check)
    io.write_json(snakemake.output.info, result.info)
