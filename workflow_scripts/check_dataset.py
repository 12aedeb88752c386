"""Say what a dataset is, what is wrong with it and what a run of it will take, without fitting anything."""

import sys
from pathlib import Path

from jamie import entry, io
from jamie.data import findings, fit_together
from jamie.data.correspondence import Correspondence
from jamie.errors import InputError
from jamie.regulation import linking
from jamie.report import doctor

with entry.job(snakemake):
    p, name = snakemake.params, snakemake.wildcards.dataset
    mdata = io.read_h5mu(snakemake.input.data)
    pairs = Correspondence.load(snakemake.input.pairs, *(a.obs_names for a in mdata.mod.values()))
    found = findings.of_notices(io.read_table(snakemake.input.notices))
    found += fit_together.compare(mdata, pairs, name, needs_pairs=p.needs_pairs, from_file=p.from_file)
    linked = None
    if p.linked:
        files = entry.fetched(snakemake, "genes", "linked_features") if snakemake.input.get("files") else {}
        try:
            linked = linking.of_dataset(mdata, p.entry, files)
            found += linking.findings_of(linked)
        except InputError as error:
            found.append(findings.of_error(error))
    ingested_mb = Path(snakemake.input.data).stat().st_size / 2**20
    size_mb = {"data": ingested_mb, "prepared": doctor.prepared_mb(mdata, p.entry, ingested_mb)}
    costs = doctor.costs_of(entry.plan(p.snakefile, snakemake.config, name), p.needs, size_mb)
    text = doctor.text(name, p.entry, mdata, pairs, found, costs, linked)
    io.write_text(snakemake.output.text, text)
    sys.stdout.write(f"\n{text}")
    findings.stop(found)
