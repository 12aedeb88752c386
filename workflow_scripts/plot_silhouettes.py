"""Silhouette of each cell type in the joint space of each method, for the strictest group of cells."""

import pandas as pd

from jamie import entry, io, unmade
from jamie.data.correspondence import Correspondence
from jamie.evaluation import paired, phrases, roles
from jamie.metrics.base import NotApplicable
from jamie.metrics.score import score_types
from jamie.plots import silhouettes, style

with entry.job(snakemake, judges=("run_info", "embedding")):
    given, p, wanted = snakemake.input, snakemake.params, snakemake.wildcards
    table = io.read_tables(given.metrics)
    part = table[table["cells"] == phrases.strictest_cells(table)]
    cells, protocol = part["cells"].iloc[0], part["protocol"].iloc[0]
    pairs = Correspondence.load(given.pairs)
    found, missing = [], {}
    for i, seed in enumerate(p.seeds):
        prepared = io.read_h5mu(given.prepared[i], leave_out=("X", "layers"))
        known = Correspondence.load(given.known[i])
        for j, method in enumerate(p.methods):
            file = j * len(p.seeds) + i
            failed = unmade.read(given.embedding[file])
            info = failed or io.read_json(given.run_info[file])
            try:
                if not info["embeds"]:
                    why = f"failed: {info['reason']}" if failed else info["reason"]
                    raise NotApplicable(why or "has no joint space")
                embedding = io.read_h5mu(given.embedding[file])
                own = score_types(prepared, pairs, known, embedding, method=method, cells=cells)
                found.append(own.assign(method=method, seed=seed))
            except NotApplicable as why:
                missing[method] = str(why)
    missing = {m: why for m, why in missing.items() if all((t["method"] != m).all() for t in found)}
    if found:
        silhouette = pd.concat(found, ignore_index=True)
        about = f"{wanted.dataset}, {wanted.scenario}: {roles.case_words(protocol, cells, len(p.seeds))}"
        figure = silhouettes.silhouette_map(
            silhouette, missing, ratio=paired.split_ratio(cells, p.about["held_out"]), about=about
        )
        means, n_cells = silhouettes.type_means(silhouette)
        words = silhouettes.in_words(means, n_cells, phrases.cells_in_words(part), missing)
    else:
        reasons = "; ".join(dict.fromkeys(missing.values())) or "no method has a joint space"
        words = f"Not applicable: {reasons}."
        figure = style.notice(words)
    style.save(figure, snakemake.output.figure)
    io.write_text(snakemake.output.numbers, phrases.caption(words, p.about))
