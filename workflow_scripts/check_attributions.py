"""Hold the attributions of a few targets against what they add up to and against SHAP."""

from jamie import JAMIE, entry, io
from jamie.regulation import agreement
from jamie.regulation.attribution import Influence

with entry.job(snakemake):
    entry.use_threads(snakemake.threads)
    files = snakemake.input
    model, prepared = JAMIE.load(files.model[0]), io.read_h5mu(files.prepared[0], leave_out=("layers",))
    found = agreement.check(model, prepared, Influence.load(files.influence[0]))
    io.write_table(snakemake.output.checks, found)
