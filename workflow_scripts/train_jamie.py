"""Fit JAMIE to the training cells and the known pairs."""

from pathlib import Path

from jamie import JAMIE, contract, entry, io
from jamie.data.correspondence import Correspondence
from jamie.evaluation import tuning
from jamie.jobs import gpus
from jamie.matching.prepared import EstimatedCorrespondence

with entry.job(snakemake):
    entry.use_threads(snakemake.threads)
    seed = int(snakemake.wildcards.seed)
    info = entry.RunInfo(seed=seed, code=snakemake.params.code)
    prepared = io.read_h5mu(snakemake.input.prepared, leave_out=("layers",), layers=(contract.MISSING,))
    cells = [a.obs_names for a in prepared.mod.values()]
    known = Correspondence.load(snakemake.input.known, *cells)
    files = snakemake.input
    estimated = None
    if files.get("estimated"):
        estimated = EstimatedCorrespondence.load(files.estimated, files.check, files.info, cells)
    options, tuned = tuning.with_chosen(snakemake.params.options, files.get("tuning"))
    if not snakemake.params.calibrate:
        options = {"folds": 0} | options
    start = entry.time.perf_counter()
    # not an output: Snakemake removes those of a job that was killed, and this is what it goes on from
    checkpoint = Path(snakemake.output.model).with_name("checkpoint.pt")

    def fitted(options):
        model = JAMIE(seed=seed, **options)
        return model.fit(prepared, known, estimated, checkpoint=checkpoint)

    model = gpus.or_on_cpu(fitted, options)
    fit_s = entry.time.perf_counter() - start - model.fit_info_.get("calibration", {}).get("seconds", 0)
    model.save(snakemake.output.model)
    model.crossfit_.save(snakemake.output.crossfit)
    io.write_table(snakemake.output.history, model.history_)
    io.write_json(
        snakemake.output.run_info,
        info.finish(
            status="ok",
            reason="",
            embeds=True,
            imputes=True,
            fit_s=round(fit_s, 3),
            options=model.options.to_dict(),
            tuned=tuned,
            n_cells={name: a.n_obs for name, a in prepared.mod.items()},
            **model.fit_info_,
        ),
    )
