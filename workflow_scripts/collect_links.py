"""Put the chunks together: links of peaks and genes with q-values and scores."""

from jamie import entry, io
from jamie.regulation import collect, links

with entry.job(snakemake):
    out, q = snakemake.output, snakemake.params.q
    pairs = collect.judged(collect.put_together(snakemake.input.links))
    io.write_table(out.links, pairs)
    io.write_table(out.strongest, collect.strongest(pairs, q))
    links.write_bedpe(out.bedpe, pairs[pairs["q_value"] <= q])
    io.write_json(out.summary, io.read_json(snakemake.input.info) | collect.summary(pairs, q))
