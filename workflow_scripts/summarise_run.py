"""The first page of the report, in plain words."""

import pandas as pd

from jamie import entry, io, unmade
from jamie.data import findings
from jamie.data.correspondence import Correspondence
from jamie.evaluation import planner
from jamie.plots.drivers import driver_words
from jamie.regulation import collect, linking
from jamie.report import failures, first_page

with entry.job(snakemake, judges=("run_info", "checked", "drivers", "links", "near")):
    p = snakemake.params
    noticed = [findings.from_table(io.read_table(path)) for path in snakemake.input.findings]
    for found, path in zip(noticed, snakemake.input.linked, strict=False):  # none, where nothing is estimated
        found += linking.as_notices(io.read_json(path)["notes"])
    facts = {}
    for i, run in enumerate((dataset, scenario) for dataset in p.datasets for scenario in p.scenarios):
        split = io.read_table(snakemake.input.split[i], dtype=str)
        known = Correspondence.load(snakemake.input.known[i])
        place = list(p.datasets).index(run[0])
        pairs = Correspondence.load(snakemake.input.pairs[place])
        facts[run] = first_page.Facts.of(split, known, pairs)
        facts[run].findings = noticed[place]
    infos = {path: io.read_json(path) for path in snakemake.input.run_info if not unmade.read(path)}
    for (dataset, scenario), fact in facts.items():
        # not where a path starts: a module of another workflow may have a prefix, and a storage has its own
        shown = [f"results/{dataset}/{scenario}/{method}/" for method in p.shown]
        fact.estimates = [info["estimated"] for path, info in infos.items() if any(s in path for s in shown)]
        own = (path for path in snakemake.input.checked if any(s in path for s in shown))
        checked = [io.read_table(path) for path in own if not unmade.read(path)]
        fact.values = pd.concat(checked) if checked else None
    tables = zip(p.datasets, snakemake.input.pairing, strict=False)  # none, where that was not tried
    enough = {d: planner.in_words(io.read_table(path), [*p.shown, *p.bases][0]) for d, path in tables}
    tables = zip(p.datasets, snakemake.input.drivers, strict=False)  # none, where nothing is explained
    explained, failed = {}, set()
    for dataset, path in tables:
        if record := unmade.read(path):
            failed.add(dataset)
            explained[dataset] = failures.words(record)
        else:
            explained[dataset] = driver_words(collect.put_together([path]))
    tables = zip(p.with_peaks, snakemake.input.links, snakemake.input.near, strict=True)
    for dataset, info, near in tables:
        if dataset not in failed:
            explained[dataset] += " " + collect.in_short(io.read_json(info), io.read_table(near))
    page = first_page.first_page(
        io.read_table(snakemake.input.metrics),
        facts,
        datasets=p.datasets,
        scenarios=p.scenarios,
        seeds=p.seeds,
        shown=p.shown,
        infos=list(infos.values()),
        leaking=first_page.leaking(infos),
        enough=enough,
        explained=explained,
    )
    io.write_text(snakemake.output.page, page)
