"""Embed and impute every cell, seen or held out, with a trained JAMIE."""

from itertools import permutations

from jamie import JAMIE, entry, io
from jamie.methods.base import write_embedding, write_imputed

with entry.job(snakemake):
    entry.use_threads(snakemake.threads)
    prepared = io.read_h5mu(snakemake.input.prepared, leave_out=("layers",))
    model = JAMIE.load(snakemake.input.model)
    write_embedding(snakemake.output.embedding, prepared, model.embed(prepared), snakemake.wildcards.method)
    imputers = {(a, b): model.imputer(prepared, a, b) for a, b in permutations(prepared.mod, 2)}
    write_imputed(snakemake.output.imputed, prepared, imputers)
