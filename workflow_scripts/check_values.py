"""Whether native values, intervals and unlikeness hold on cells that the model has not seen."""

from jamie import JAMIE, entry, io
from jamie.data.correspondence import Correspondence
from jamie.evaluation.calibration import check_values

with entry.job(snakemake):
    entry.use_threads(snakemake.threads)
    prepared = io.read_h5mu(snakemake.input.prepared)
    names = [a.obs_names for a in prepared.mod.values()]
    truth = Correspondence.load(snakemake.input.pairs, *names)
    shown = Correspondence.load(snakemake.input.known, *names)
    groups, features = check_values(JAMIE.load(snakemake.input.model), prepared, truth, shown)
    io.write_table(snakemake.output.groups, groups)
    io.write_table(snakemake.output.features, features)
