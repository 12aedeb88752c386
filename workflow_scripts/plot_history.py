"""Loss curves of every seed."""

import pandas as pd

from jamie import entry, io
from jamie.evaluation import phrases
from jamie.plots import history, style

with entry.job(snakemake):
    tables = []
    for path, seed in zip(snakemake.input.history, snakemake.params.seeds, strict=True):
        tables.append(io.read_table(path).assign(seed=seed))
    infos = [io.read_json(path) for path in snakemake.input.run_info]
    style.save(history.loss_curves(pd.concat(tables, ignore_index=True)), snakemake.output.figure)
    epochs = ", ".join(str(i["n_epochs"]) for i in infos)
    seconds = ", ".join(f"{i['fit_s']:.0f}" for i in infos)
    deltas = ", ".join(f"{i['delta']:.2f}" for i in infos)
    watched = sum(infos[0]["n_validation"]) > 0
    words = (
        f"Seeds {', '.join(map(str, snakemake.params.seeds))}: {epochs} epochs in {seconds} s on "
        f"{infos[0]['device']}; learned delta {deltas}. "
    )
    words += (
        "Dashed: cells kept out of the fit to watch it." if watched else "No validation cells were kept out."
    )
    io.write_text(snakemake.output.numbers, phrases.caption(words, snakemake.params.about))
