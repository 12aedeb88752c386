"""Found links against a file of known ones."""

from jamie import entry, io
from jamie.evaluation import phrases
from jamie.plots import link_words, style
from jamie.plots import links as figures
from jamie.regulation import collect, enrichment, known_links

with entry.job(snakemake):
    table, genes = (collect.put_together([snakemake.input[name]]) for name in ("links", "genes"))
    info = io.read_json(snakemake.input.summary)
    elements = known_links.read_known_links(entry.fetched(snakemake)["known_links"])
    known = known_links.mark_known(table, elements, genes.set_index("gene"))
    reason = info["reason"]
    if not reason and not 0 < known.sum() < len(known):
        reason = f"{known.sum():,} of {len(known):,} pairs are among the {len(elements):,} known links"
    if reason:
        words = f"Found and known links cannot be compared: {reason}."
        figure = style.notice(words)
        found = collect.not_done(reason)
    else:
        found = enrichment.known_enrichment(table, known, tie_break="attribution")
        about = f"{snakemake.wildcards.dataset}, {known.sum():,} of {len(table):,} pairs are known links"
        figure = figures.known_figure(found, about=about)
        words = link_words.known_words(found)
    io.write_table(snakemake.output.table, found)
    style.save(figure, snakemake.output.figure)
    io.write_text(snakemake.output.numbers, phrases.caption(f"{words}\n", snakemake.params.about))
