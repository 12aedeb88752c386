"""Known against estimated correspondence, first seed; the confidence of every seed in words."""

from jamie import entry, io
from jamie.data.correspondence import Correspondence
from jamie.evaluation import phrases
from jamie.matching import compare
from jamie.plots import correspondence, style

with entry.job(snakemake):
    infos = [io.read_json(path) for path in snakemake.input.info]
    prepared = io.read_h5mu(snakemake.input.prepared[0], leave_out=("X", "layers"))
    names = [a.obs_names for a in prepared.mod.values()]
    pairs = Correspondence.load(snakemake.input.pairs).align(*names)
    known = Correspondence.load(snakemake.input.known[0], *names)
    estimated = Correspondence.load(snakemake.input.estimated[0], *names)
    labels, seen = compare.labels_of(prepared), compare.seen_in(prepared)
    result = compare.compare(estimated, known, pairs, labels, seen)
    if result.n_open == 0:
        figure = style.notice(f"Nothing is estimated here:\n{infos[0]['reason']}.")
    else:
        drawn = correspondence.in_order(estimated, known, pairs, labels, seen)
        figure = correspondence.known_and_estimated(drawn, result, infos[0], modalities=tuple(prepared.mod))
    style.save(figure, snakemake.output.figure)
    words = compare.in_words(result, infos)
    io.write_text(snakemake.output.numbers, phrases.caption(words, snakemake.params.about))
