"""What drives each imputed feature, and how far its attributions agree with slower estimators."""

from jamie import entry, io
from jamie.evaluation import phrases
from jamie.plots import drivers, style
from jamie.regulation import agreed, collect

with entry.job(snakemake):
    table = collect.put_together([snakemake.input.drivers])
    info, checked = io.read_json(snakemake.input.info), io.read_table(snakemake.input.checks)
    figure = drivers.drivers_figure(
        table,
        source=info["source"],
        target=info["target"],
        asked=snakemake.params.show_genes,
        about=snakemake.wildcards.dataset,
    )
    style.save(figure, snakemake.output.figure)
    words = f"{drivers.driver_words(table)} {agreed.in_words(checked)}\n"
    io.write_text(snakemake.output.numbers, phrases.caption(words, snakemake.params.about))
