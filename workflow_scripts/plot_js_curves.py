"""Jensen-Shannon similarity of measured and imputed distributions, for every method."""

import pandas as pd

from jamie import entry, io
from jamie.evaluation import paired, phrases
from jamie.plots import distributions, style

with entry.job(snakemake):
    paths = snakemake.input.scores
    table = pd.concat([io.read_table(p, dtype={"feature": str}) for p in paths], ignore_index=True)
    part = table[table["cells"] == phrases.strictest_cells(table)] if len(table) else table
    reason = phrases.why_no_scores(part) or phrases.why_no_distances(part)
    if reason:
        figure, words = style.notice(reason), reason
    else:
        ratio = paired.split_ratio(part["cells"].iloc[0], snakemake.params.about["held_out"])
        figure = distributions.js_curves(part, ratio=ratio)
        words = phrases.similarity_in_words(part)
    style.save(figure, snakemake.output.figure)
    io.write_text(snakemake.output.numbers, phrases.caption(words, snakemake.params.about))
