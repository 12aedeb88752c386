"""Imputed means in native units against measured ones, and how many values their intervals hold."""

import pandas as pd

from jamie import entry, io
from jamie.evaluation import calibration, phrases
from jamie.plots import style, values

with entry.job(snakemake):
    seeds = snakemake.params.seeds
    groups, features = (
        pd.concat([io.read_table(path).assign(seed=seed) for path, seed in zip(paths, seeds, strict=True)])
        for paths in (snakemake.input.groups, snakemake.input.features)
    )
    style.save(values.values_as_measured(groups, features), snakemake.output.figure)
    words = calibration.in_words(groups)
    io.write_text(snakemake.output.numbers, phrases.caption(words, snakemake.params.about))
