"""The ranking of methods over everything that was run: a page, and its numbers."""

from pathlib import Path

import pandas as pd

from jamie import entry, io
from jamie.evaluation import phrases, ranking
from jamie.report import ranking_page

with entry.job(snakemake, judges=("run_info",)):
    infos = [
        dict(zip(("dataset", "scenario", "method"), Path(path).parts[-5:-2], strict=True))
        | io.read_json(path)
        for path in snakemake.input.run_info
    ]
    table = ranking.rank_methods(
        io.read_table(snakemake.input.metrics), pd.DataFrame(infos), snakemake.params.held_out
    )
    io.write_table(snakemake.output.table, table)
    io.write_text(snakemake.output.page, ranking_page.ranking_page(table))
    words = ranking_page.in_words(table)
    io.write_text(snakemake.output.numbers, phrases.caption(words, snakemake.params.about))
