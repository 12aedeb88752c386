"""Fit a method to the training cells, then embed and impute every cell."""

from itertools import permutations

from jamie import entry, io, registry
from jamie.contract import ROLE, TRAIN
from jamie.data.correspondence import Correspondence
from jamie.evaluation import tuning
from jamie.jobs import gpus
from jamie.methods import base

with entry.job(snakemake):
    name, seed = snakemake.wildcards.method, int(snakemake.wildcards.seed)
    spec = registry.specs()[snakemake.params.base]
    info = entry.RunInfo(seed=seed, code=snakemake.params.code)
    prepared = io.read_h5mu(snakemake.input.prepared, leave_out=() if spec.uses_counts else ("layers",))
    cells = [a.obs_names for a in prepared.mod.values()]
    known, distrust = Correspondence.load(snakemake.input.known, *cells), ""
    if snakemake.input.get("estimated"):
        estimated = Correspondence.load(snakemake.input.estimated, *cells)
        known, distrust = base.with_estimated(known, estimated, io.read_json(snakemake.input.info))
    n_cells = max((a.obs[ROLE] == TRAIN).sum() for a in prepared.mod.values())
    options, tuned = tuning.with_chosen(snakemake.params.options, snakemake.input.get("tuning"))
    n_types = len(base.shared_types(prepared, known)) if spec.min_types else 0
    reason = distrust or base.reason_to_exclude(spec, known, n_cells, options, n_types)
    latent, imputers = {}, {}
    if not reason:
        start = entry.time.perf_counter()

        def fitted(options):
            method = registry.build(snakemake.params.base, seed, options)
            if spec.uses_truth:
                method.show_truth(Correspondence.load(snakemake.input.pairs))
            method.fit(*base.training_part(prepared, known))
            return method

        method = gpus.or_on_cpu(fitted, options)
        info.content["fit_s"] = round(entry.time.perf_counter() - start, 3)
        latent = method.embed(prepared) if spec.embeds else {}
        if spec.imputes:
            imputers = {(a, b): method.imputer(prepared, a, b) for a, b in permutations(prepared.mod, 2)}
    base.write_embedding(snakemake.output.embedding, prepared, latent, name)
    base.write_imputed(snakemake.output.imputed, prepared, imputers)
    io.write_json(
        snakemake.output.run_info,
        info.finish(
            status="excluded" if reason else "ok",
            reason=reason,
            embeds=bool(latent),
            imputes=bool(imputers),
            options=dict(spec.options) | options,
            tuned=tuned,
            n_cells={m: a.n_obs for m, a in prepared.mod.items()},
        ),
    )
