"""Differences between groups of cells: measured values correct imputed ones."""

from jamie import JAMIE, contract, entry, io
from jamie.data.correspondence import Correspondence
from jamie.evaluation import grouped, phrases
from jamie.model.crossfit import CrossFit
from jamie.report.placed import groups_of

with entry.job(snakemake):
    entry.use_threads(snakemake.threads)
    files = snakemake.input
    prepared = io.read_h5mu(files.prepared)
    types = {m: a.obs.get(contract.CELL_TYPE) for m, a in prepared.mod.items()}
    clusters = any(labels is None for labels in types.values())
    if clusters:
        types = groups_of(io.read_h5mu(files.completed, leave_out=("X", "layers")))[1]
        types = {m: types[m].reindex(a.obs_names) for m, a in prepared.mod.items()}
    table = grouped.table(
        JAMIE.load(files.model),
        prepared,
        Correspondence.load(files.pairs),
        CrossFit.load(files.crossfit),
        types,
        clusters=clusters,
    )
    short = grouped.by_group(table)
    io.write_table(snakemake.output.differences, table)
    io.write_table(snakemake.output.short, short)
    words = grouped.in_words(short, clusters)
    io.write_text(snakemake.output.numbers, phrases.caption(words, snakemake.params.about))
