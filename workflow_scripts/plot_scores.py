"""Scores of all methods, beside floors and reference, for the strictest group of cells there is."""

from jamie import entry, io
from jamie.evaluation import phrases
from jamie.metrics.base import load_metrics
from jamie.plots import scores, style

with entry.job(snakemake):
    table = io.read_tables(snakemake.input.metrics)
    cells = phrases.strictest_cells(table)
    part = table[table["cells"] == cells]
    protocol = part["protocol"].iloc[0]
    better = {name: metric.better for name, metric in load_metrics().items()}
    held_out = snakemake.params.about["held_out"]
    figure = scores.score_panels(table, protocol=protocol, cells=cells, held_out=held_out, better=better)
    style.save(figure, snakemake.output.figure)
    words = phrases.scores_in_words(part, snakemake.params.shown)
    io.write_text(snakemake.output.numbers, phrases.caption(words, snakemake.params.about))
