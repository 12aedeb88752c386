"""Found links against the true ones of the simulation."""

import pandas as pd

from jamie import entry, io
from jamie.evaluation import phrases
from jamie.plots import link_words, style
from jamie.plots import links as figures
from jamie.regulation import collect, enrichment

with entry.job(snakemake):
    table, truth = (collect.put_together([snakemake.input[name]]) for name in ("links", "truth"))
    info = io.read_json(snakemake.input.summary)
    known = collect.among(table, truth)
    reason = info["reason"] or (
        "" if 0 < known.sum() < len(known) else "no pair, or every pair, is a true link"
    )
    if reason:
        words = f"Found and true links cannot be compared: {reason}."
        figure = style.notice(words)
        areas = calibration = collect.not_done(reason)
    else:
        curve, areas = enrichment.precision_recall(table, known)
        calibration = enrichment.calibration(table, known)
        sets = enrichment.set_calibration(table, known)
        about = f"{snakemake.wildcards.dataset}, {len(table):,} pairs, {known.sum():,} of them true links"
        figure = figures.truth_figure(curve, areas, calibration, about=about)
        words = f"{link_words.truth_words(areas, calibration)} {link_words.set_words(sets)}"
        calibration = pd.concat([calibration, sets], ignore_index=True)
    io.write_table(snakemake.output.areas, areas)
    io.write_table(snakemake.output.calibration, calibration)
    style.save(figure, snakemake.output.figure)
    io.write_text(snakemake.output.numbers, phrases.caption(f"{words}\n", snakemake.params.about))
