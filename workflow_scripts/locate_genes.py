"""Find out where the genes lie and whether peaks can be linked to them."""

from pathlib import Path

from jamie import entry, io
from jamie.regulation import coordinates

with entry.job(snakemake):
    p, dataset = snakemake.params, snakemake.params.entry
    files = io.read_json(snakemake.input.files) if snakemake.input.get("files") else {}
    source, target = coordinates.direction(dataset["modalities"], p.source)
    genes, info = coordinates.find_genes(
        io.read_h5mu(snakemake.input.data),
        source,
        target,
        p.window_bp,
        Path(files["genes"]) if "genes" in files else None,
        dataset["show_genes"],
    )
    io.write_table(snakemake.output.genes, genes.rename_axis("gene").reset_index())
    io.write_json(snakemake.output.info, info | {"source": source, "target": target})
