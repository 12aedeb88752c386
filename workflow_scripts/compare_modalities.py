"""Hold the two modalities against each other, and stop where they do not fit together."""

from jamie import entry, io
from jamie.data import findings, fit_together
from jamie.data.correspondence import Correspondence

with entry.job(snakemake):
    p = snakemake.params
    mdata = io.read_h5mu(snakemake.input.data)
    pairs = Correspondence.load(snakemake.input.pairs, *(a.obs_names for a in mdata.mod.values()))
    found = findings.of_notices(io.read_table(snakemake.input.notices))
    found += fit_together.compare(
        mdata, pairs, snakemake.wildcards.dataset, needs_pairs=p.needs_pairs, from_file=p.from_file
    )
    findings.speak(found)
    io.write_table(snakemake.output.findings, findings.to_table(found))
