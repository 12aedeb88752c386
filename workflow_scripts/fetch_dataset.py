"""Bring the files of a dataset here, or point to where they are."""

from pathlib import Path

from jamie import entry, io
from jamie.data.sources import fetch_all
from jamie.jobs import checksums

with entry.job(snakemake):
    folder = Path(snakemake.output.files).parent
    mirror = Path(snakemake.params.mirror) if snakemake.params.mirror else None
    files = fetch_all(snakemake.params.entry, folder, mirror)
    downloads = [path for path in files.values() if Path(path).is_relative_to(folder)]
    checksums.record(downloads, rule=snakemake.rule, log=snakemake.log[0])
    io.write_json(snakemake.output.files, {role: str(path) for role, path in files.items()})
