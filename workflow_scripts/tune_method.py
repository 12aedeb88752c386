"""Choose a method's settings on validation pairs among those it is shown."""

from jamie import entry, io, registry
from jamie.data.correspondence import Correspondence
from jamie.evaluation import tuning
from jamie.jobs import gpus
from jamie.methods import base

with entry.job(snakemake):
    wildcards, name = snakemake.wildcards, snakemake.params.base
    if registry.specs()[name].trains:
        entry.use_threads(snakemake.threads)
    info = entry.RunInfo(seed=int(wildcards.seed), code=snakemake.params.code)
    prepared = io.read_h5mu(snakemake.input.prepared)
    known = Correspondence.load(snakemake.input.known, *(a.obs_names for a in prepared.mod.values()))
    training = base.training_part(prepared, known)

    def tuned(options):
        return tuning.tune(name, *training, options, int(wildcards.seed), snakemake.params.n_trials)

    found = gpus.or_on_cpu(tuned, snakemake.params.options)
    io.write_table(snakemake.output.trials, found.trials)
    io.write_json(
        snakemake.output.tuning,
        info.finish(
            dataset=wildcards.dataset,
            scenario=wildcards.scenario,
            method=wildcards.method,
            **found.to_dict(),
        ),
    )
