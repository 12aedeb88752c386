"""Variants of one method against the first of them, for the strictest group of cells there is."""

from jamie import entry, io
from jamie.evaluation import phrases, roles
from jamie.plots import ablation, style

with entry.job(snakemake):
    table = io.read_tables(snakemake.input.metrics)
    wanted, p = snakemake.wildcards, snakemake.params
    variants, held_out = p.variants, p.about["held_out"]
    part = table[table["cells"] == phrases.strictest_cells(table)]
    found = ablation.differences(part, variants, held_out)
    if len(found):
        case = roles.case_words(part["protocol"].iloc[0], part["cells"].iloc[0], part["seed"].nunique())
        about = f"{wanted.dataset}, {wanted.scenario}: {case}"
        figure = ablation.ablation_panels(part, variants=variants, held_out=held_out, about=about)
        words = ablation.in_words(found, variants, phrases.cells_in_words(part))
    else:
        words = "Not applicable: no variant has a score in this scenario."
        figure = style.notice(words)
    style.save(figure, snakemake.output.figure)
    io.write_text(snakemake.output.numbers, phrases.caption(words, p.about))
