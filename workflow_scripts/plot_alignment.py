"""FOSCTTM against label transfer accuracy of every method, for the strictest group of cells there is."""

from jamie import entry, io
from jamie.evaluation import phrases, roles
from jamie.plots import alignment, style

with entry.job(snakemake):
    table = io.read_tables(snakemake.input.metrics)
    wanted = snakemake.wildcards
    part = table[table["cells"] == phrases.strictest_cells(table)]
    words = alignment.why_no_alignment(part)
    if words:
        figure = style.notice(words)
    else:
        case = roles.case_words(part["protocol"].iloc[0], part["cells"].iloc[0], part["seed"].nunique())
        missing = alignment.left_out(table, alignment.alignment_scores(part))
        about = f"{wanted.dataset}, {wanted.scenario}: {case}"
        held_out = snakemake.params.about["held_out"]
        figure = alignment.alignment_scatter(part, missing, held_out=held_out, about=about)
        words = alignment.in_words(part, missing, phrases.cells_in_words(part))
    style.save(figure, snakemake.output.figure)
    io.write_text(snakemake.output.numbers, phrases.caption(words, snakemake.params.about))
