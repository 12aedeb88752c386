"""Put the chunks together: links of peaks and genes with q-values and scores."""

from jamie import entry, io
from jamie.regulation import collect, fine_mapping, links
from jamie.report.links_page import links_page

with entry.job(snakemake):
    out, q = snakemake.output, snakemake.params.q
    pairs = collect.judged(collect.put_together(snakemake.input.links))
    io.write_table(out.links, pairs)
    links.write_bedpe(out.bedpe, pairs[fine_mapping.linked(pairs, q)])
    info = io.read_json(snakemake.input.info)
    moved = collect.judged(collect.put_together(snakemake.input.moved))
    io.write_json(out.summary, info | collect.summary(pairs, q) | collect.summary_of_moved(moved, q))
    io.write_text(out.page, links_page(pairs, q, info["reason"]))
