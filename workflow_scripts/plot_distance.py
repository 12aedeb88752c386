"""Links against the distance to the gene: imputed and measured, over the matched null."""

from jamie import entry, io
from jamie.evaluation import phrases
from jamie.plots import link_words, style
from jamie.plots import links as figures
from jamie.regulation import collect, enrichment

with entry.job(snakemake):
    info = io.read_json(snakemake.input.summary)
    table = collect.put_together([snakemake.input.links])
    if info["reason"]:
        words = f"Links of peaks and genes were not looked for: {info['reason']}."
        figure = style.notice(words)
        profile = near = collect.not_done(info["reason"])
    else:
        profile = enrichment.distance_profile(table)
        near = enrichment.near_enrichment(collect.without_distance(table), info["q"], tie_break="attribution")
        about = f"{snakemake.wildcards.dataset}, {info['n_pairs']:,} pairs of {info['n_genes']:,} genes"
        figure = figures.distance_figure(profile, near, about=about)
        words = f"{collect.in_words(info)} {link_words.distance_words(profile, near)}"
    io.write_table(snakemake.output.near, near)
    io.write_table(snakemake.output.profile, profile)
    style.save(figure, snakemake.output.figure)
    io.write_text(snakemake.output.numbers, phrases.caption(f"{words}\n", snakemake.params.about))
