"""The locus of each gene that is asked for, and of those with the surest links."""

from pathlib import Path

from jamie import entry, io
from jamie.evaluation import phrases
from jamie.plots import locus, style
from jamie.regulation import collect, loci

with entry.job(snakemake):
    files, p = snakemake.input, snakemake.params
    links, genes = (collect.put_together([path]) for path in (files.links, files.genes))
    genes, info = genes.set_index("gene"), io.read_json(files.summary)
    prepared = io.read_h5mu(files.prepared[0], leave_out=("layers",))
    names, words = loci.shown_names(genes), []
    with io.atomic(Path(snakemake.output.figures)) as folder:
        folder.mkdir()
        chosen = loci.chosen_genes(links, loci.by_name(p.show_genes, genes))
        file_names = io.file_names(chosen)
        for gene in chosen:
            of_gene = links[links["gene"] == gene]
            if of_gene.empty:
                why = (
                    info["reason"] or "no coordinates, no peak near by, or not among the genes of every model"
                )
                words.append(f"{gene}: no locus ({why}).")
                figure = style.notice(words[-1])
            else:
                figure = locus.locus_figure(
                    names[gene],
                    of_gene,
                    loci.neighbours(genes, of_gene).rename(index=names),
                    loci.accessibility(prepared.mod[info["source"]], of_gene["peak"].to_numpy()),
                    loci.expression(prepared, files.imputed[0], info["source"], info["target"], gene),
                    q=info["q"],
                    about=f"{snakemake.wildcards.dataset}, {gene}"
                    if names[gene] != gene
                    else snakemake.wildcards.dataset,
                )
                words.append(locus.locus_words(names[gene], of_gene, info["q"]))
            style.save(figure, folder / f"{file_names[gene]}.svg")
        if not words:
            words = [f"No locus is drawn: {info['reason'] or 'no gene has a peak near by'}."]
            style.save(style.notice(words[0]), folder / "none.svg")
    io.write_text(snakemake.output.numbers, phrases.caption(words, p.about))
