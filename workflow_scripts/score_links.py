"""Attributions of a chunk of targets: what drives each and, for genes, the links to peaks near by."""

from functools import partial

import numpy as np
import pandas as pd

from jamie import JAMIE, entry, io
from jamie.data.correspondence import Correspondence
from jamie.regulation import annotation, collect, fine_mapping, pairs
from jamie.regulation.attribution import Influence


def load(model, prepared, influence, known) -> pairs.Fit:
    mdata = io.read_h5mu(prepared, leave_out=("layers",))
    cells = [a.obs_names for a in mdata.mod.values()]
    return pairs.Fit(model, mdata, Influence.load(influence), Correspondence.load(known, *cells))


with entry.job(snakemake):
    entry.use_threads(snakemake.threads)
    files = snakemake.input
    info, genes = io.read_json(files.info), collect.put_together([files.genes])
    genes = genes.set_index("gene")
    models = [JAMIE.load(path) for path in files.model]
    sources, targets = (pairs.known_to_all(models, info[side]) for side in ("source", "target"))
    chunk, n_chunks = int(snakemake.wildcards.chunk), snakemake.params.n_chunks
    ordered = pairs.along_genome(targets, genes)
    targets = np.array_split(ordered, n_chunks)[chunk]
    first, *others = zip(models, files.prepared, files.influence, files.known, strict=True)
    fit = load(*first)  # needed more than once; the others one after the other
    fits = [lambda: fit, *(partial(load, *one) for one in others)]
    peaks = fit.prepared.mod[info["source"]].var.loc[sources]
    near = None if genes.empty else fine_mapping.near_peaks(peaks)
    pooled = pairs.pool(fits, targets, sources, near)
    drivers = pairs.drivers(pooled)
    drivers = drivers.assign(place="", distance_bp=np.nan)
    links, moved = pairs.no_links(), pairs.no_links(pairs.MOVED_COLUMNS)
    located = genes[genes.index.isin(targets)].loc[[t for t in targets if t in genes.index]]
    if len(located):
        own, window_bp = pairs.some_targets(pooled, located.index), snakemake.params.window_bp
        drivers = pairs.with_places(drivers, located, peaks, window_bp)
        links = pairs.link_table(own, located, peaks, window_bp)
        moved = pairs.moved_table(own, genes, peaks, window_bp)
    drivers = annotation.with_labels(drivers, "source", peaks, genes, "source_label")
    links = annotation.with_labels(links, "peak", peaks, genes, "peak_label")
    wanted = pd.concat(
        [drivers[["target", "source"]], links[["gene", "peak"]].set_axis(["target", "source"], axis=1)]
    )
    wanted = wanted.drop_duplicates().sort_values(["target", "source"])
    groups = pairs.by_group(fit, wanted["target"].to_numpy(), wanted["source"].to_numpy())
    share = pooled.share[
        pd.Index(pooled.targets).get_indexer(groups["target"]),
        pd.Index(sources).get_indexer(groups["source"]),
    ]
    groups.insert(2, "attribution", share)
    io.write_table(snakemake.output.drivers, drivers)
    io.write_table(snakemake.output.links, links)
    io.write_table(snakemake.output.moved, moved)
    io.write_table(snakemake.output.groups, groups)
