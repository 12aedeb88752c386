"""Scores against the number of known pairs, and how many are enough."""

from jamie import entry, io
from jamie.contract import HIDDEN, TEST
from jamie.data.correspondence import Correspondence
from jamie.evaluation import paired, phrases, planner, roles
from jamie.plots import pairing, style

with entry.job(snakemake):
    p, wanted = snakemake.params, snakemake.wildcards
    metrics = io.read_tables(snakemake.input.metrics)
    known = [Correspondence.load(path) for path in snakemake.input.known]
    n_pairs = {name: len(f.best_pairs()) for name, f in zip(p.known, known, strict=True)}
    held_out = p.scenarios[p.known[0]]["held_out"]
    ratio = paired.split_ratio(TEST if held_out else HIDDEN, held_out)
    curves = planner.curves(metrics, n_pairs, held_out > 0)
    knees = planner.knees(curves, ratio)
    io.write_table(snakemake.output.table, knees)
    shares = {name: p.scenarios[name]["wrong_pairs"] for name in p.wrong}
    wrong = planner.curves(metrics, shares, held_out > 0).rename(columns={"n_pairs": "wrong"})
    shown = p.shown[0]
    words = planner.in_words(knees, shown)
    if (knees["method"] == shown).any():
        figure = pairing.pairing_curves(
            curves,
            wrong,
            shown=shown,
            message=f"{roles.label(shown)}: {planner.answer(knees, shown)}",
            about=planner.context(curves, wanted.dataset, held_out > 0),
            **planner.marks(knees, shown),
        )
    else:
        figure = style.notice(words)
    style.save(figure, snakemake.output.figure)
    io.write_text(snakemake.output.numbers, phrases.caption(words, p.about))
