"""Put the chunks together: drivers, links with q-values and scores, attributions as sparse arrays."""

import pandas as pd

from jamie import entry, io
from jamie.regulation import collect, links

with entry.job(snakemake):
    files, out = snakemake.input, snakemake.output
    text = {"dtype": {name: str for name in ("gene", "peak", "target", "source", "chrom", "strand")}}
    drivers, pairs, groups = (
        pd.concat([io.read_table(path, **text) for path in paths], ignore_index=True)
        for paths in (files.drivers, files.links, files.groups)
    )
    pairs = collect.judged(pairs)
    info = io.read_json(files.info)
    io.write_table(out.drivers, drivers)
    io.write_table(out.links, pairs)
    links.write_bedpe(out.bedpe, pairs[pairs["q_value"] <= snakemake.params.q])
    collect.write_arrays(out.arrays, groups)
    io.write_json(out.summary, info | collect.summary(pairs, snakemake.params.q))
