"""The dataset with its joint embedding, UMAP, clusters, and each modality over all cells."""

from jamie import JAMIE, entry, io
from jamie.data import originals
from jamie.data.correspondence import Correspondence
from jamie.report.complete import write_completed

with entry.job(snakemake):
    entry.use_threads(snakemake.threads)
    dataset, files = entry.sources(snakemake)
    mdata = io.read_h5mu(snakemake.input.data)
    pairs = Correspondence.load(snakemake.input.pairs)
    scores = snakemake.input.get("scores")
    write_completed(
        snakemake.output.completed,
        mdata,
        pairs,
        JAMIE.load(snakemake.input.model),
        None if scores is None else io.read_table(scores, dtype={"feature": str}),
        originals.find(dataset, files, mdata),
    )
