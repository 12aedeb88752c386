"""Find out where the genes lie and whether peaks can be linked to them; read the known links."""

from jamie import entry, io
from jamie.regulation import coordinates, known_links

with entry.job(snakemake):
    p, dataset = snakemake.params, snakemake.params.entry
    files = entry.fetched(snakemake) if snakemake.input.get("files") else {}
    source, target = coordinates.direction(dataset["modalities"], p.source)
    mdata = io.read_h5mu(snakemake.input.data, leave_out=("X", "layers"))
    genes, info = coordinates.find_genes(
        mdata,
        source,
        target,
        p.window_bp,
        files.get("genes"),
        dataset["show_genes"],
    )
    if "known_links" in files:
        known = known_links.read_known_links(files["known_links"])
        if not info["reason"]:
            known_links.check_known(known, genes, mdata.mod[source].var)
    io.write_table(snakemake.output.genes, genes.rename_axis("gene").reset_index())
    io.write_json(snakemake.output.info, info | {"source": source, "target": target})
    entry.write_inputs(snakemake, snakemake.output.inputs, files)
