"""Score every method of one dataset, scenario and seed."""

import pandas as pd

from jamie import contract, entry, io, unmade
from jamie.data.correspondence import Correspondence
from jamie.metrics.feature_scores import by_feature
from jamie.metrics.measured import Measured
from jamie.metrics.score import add_win_rates, score_method

with entry.job(snakemake, judges=("run_info", "embedding", "imputed")):
    prepared = io.read_h5mu(snakemake.input.prepared)
    names = [a.obs_names for a in prepared.mod.values()]
    known = Correspondence.load(snakemake.input.known, *names)
    pairs = Correspondence.load(snakemake.input.pairs, *names)
    measured = Measured.of(prepared, pairs)
    by_feature(prepared)
    metrics, features = [], []
    for i, method in enumerate(snakemake.params.methods):
        failed = unmade.read(snakemake.input.embedding[i])  # also where its fit failed, or its tuning
        info = failed or io.read_json(snakemake.input.run_info[i])
        rows, per_feature = score_method(
            prepared,
            pairs,
            known,
            io.read_h5mu(snakemake.input.embedding[i]) if info["embeds"] else None,
            snakemake.input.imputed[i] if info["imputes"] else None,
            dataset=snakemake.wildcards.dataset,
            scenario=snakemake.wildcards.scenario,
            method=method,
            seed=int(snakemake.wildcards.seed),
            status=info["status"],
            reason=unmade.why(failed) if failed else info["reason"],
            measured=measured,
        )
        metrics.append(rows)
        features.append(per_feature)
    table = add_win_rates(pd.concat(metrics, ignore_index=True), pd.concat(features, ignore_index=True))
    contract.check_metrics(table)
    for i, method in enumerate(snakemake.params.methods):
        io.write_table(snakemake.output.metrics[i], table[table["method"] == method])
        io.write_table(snakemake.output.features[i], features[i])
