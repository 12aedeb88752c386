"""The method shown against each other one, feature by feature."""

import pandas as pd

from jamie import entry, io
from jamie.evaluation import paired, phrases, roles
from jamie.plots import baselines, style

with entry.job(snakemake):
    paths = snakemake.input.scores
    table = pd.concat([io.read_table(p, dtype={"feature": str}) for p in paths], ignore_index=True)
    method = next(iter(snakemake.params.shown or baselines.imputing_methods(table)), None)
    words = baselines.why_no_baselines(table, method)
    if words:
        figure = style.notice(words)
    else:
        part = table[table["cells"] == phrases.strictest_cells(table.dropna(subset=["pearson"]))]
        case = roles.case_words(part["protocol"].iloc[0], part["cells"].iloc[0], part["seed"].nunique())
        about = f"{snakemake.wildcards.dataset}, {snakemake.wildcards.scenario}: {case}"
        ratio = paired.split_ratio(part["cells"].iloc[0], snakemake.params.about["held_out"])
        figure = baselines.baseline_panels(part, ratio=ratio, method=method, about=about)
        words = baselines.in_words(part, method, ratio)
    style.save(figure, snakemake.output.figure)
    io.write_text(snakemake.output.numbers, phrases.caption(words, snakemake.params.about))
