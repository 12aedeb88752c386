"""A finished run as an RO-Crate: metadata, the configuration as merged, and a copy of the workflow."""

from pathlib import Path

import yaml

from jamie import entry, io
from jamie.data.inputs import contents
from jamie.jobs import checksums
from jamie.report import crate

with entry.job(snakemake):
    p, output = snakemake.params, snakemake.output
    top = Path(output.metadata).parent
    results, ended_ns = {}, 0
    for path, record in checksums.recorded():
        if path.is_relative_to(top) and crate.of_this_run(path, p.config):
            for name, about in record["files"].items():
                results[str(Path(name).relative_to(top))] = about
                ended_ns = max(ended_ns, about["mtime_ns"])
    if (top / "report.html").exists():
        results["report.html"] = contents(top / "report.html")[""]
    listed = {Path(path).parent.name: path for path in snakemake.input.inputs}
    read = [(name, io.read_json(path)) for name, path in listed.items()]
    for path in (*snakemake.input.annotation, *snakemake.input.linked):
        read.append((Path(path).parent.name, io.read_json(path)))
    identifiers = {"code digest": p.code}
    if commit := crate.commit_of(Path(p.source)):
        identifiers["git commit"] = commit
    metadata = crate.describe(
        datasets={name: p.config["datasets"][name]["description"] for name in p.config["run"]["datasets"]},
        results=results,
        inputs=read,
        versions=entry.versions(),
        identifiers=identifiers,
        ended_ns=ended_ns,
    )
    with io.atomic(output.workflow) as temporary:
        crate.copy_workflow(Path(p.source), temporary)
    io.write_text(output.config, yaml.safe_dump(crate.without_paths(p.config), sort_keys=False))
    io.write_json(output.metadata, metadata.metadata.generate())
