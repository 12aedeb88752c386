"""JAMIE against KNN, feature by feature."""

import pandas as pd

from jamie import entry, io
from jamie.evaluation import paired, phrases
from jamie.plots import features, style

with entry.job(snakemake):
    paths = snakemake.input.scores
    table = pd.concat([io.read_table(p, dtype={"feature": str}) for p in paths], ignore_index=True)
    shown = snakemake.params.shown[0]
    reason = phrases.why_no_comparison(table, shown, "knn")
    if reason:
        figure, words = style.notice(reason), reason
    else:
        part = table[table["cells"] == phrases.strictest_cells(table)]
        figure = features.win_scatter(part, method=shown, against="knn")
        ratio = paired.split_ratio(part["cells"].iloc[0], snakemake.params.about["held_out"])
        words = phrases.wins_in_words(part, shown, "knn", ratio)
    style.save(figure, snakemake.output.figure)
    io.write_text(snakemake.output.numbers, phrases.caption(words, snakemake.params.about))
