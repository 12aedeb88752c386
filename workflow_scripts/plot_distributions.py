"""Measured and imputed values of a few features, by cell type."""

from jamie import entry, io
from jamie.data.correspondence import Correspondence
from jamie.evaluation import phrases, roles
from jamie.plots import distributions, style
from jamie.plots.chosen import choose_features, measured_beside_imputed

with entry.job(snakemake):
    scores = io.read_table(snakemake.input.scores[0], dtype={"feature": str})
    method = scores["method"].iloc[0] if len(scores) else ""
    reason = phrases.why_no_scores(scores)
    if reason:
        figure, words = style.notice(reason), reason
    else:
        scores = scores[scores["cells"] == phrases.strictest_cells(scores)]
        prepared = io.read_h5mu(snakemake.input.prepared[0])
        chosen = choose_features(scores, snakemake.params.show_features)
        values, group_name = measured_beside_imputed(
            prepared,
            Correspondence.load(snakemake.input.pairs),
            Correspondence.load(snakemake.input.known[0]),
            snakemake.input.imputed[0],
            scores,
            chosen,
        )
        figure = distributions.measured_and_imputed(values, method=method, group_name=group_name)
        named = {roles.label(m): ", ".join(names) for m, names in chosen.items()}
        words = f"On {phrases.cells_in_words(scores)}, first seed. " + "; ".join(
            f"{m}: {names}" for m, names in named.items()
        )
    style.save(figure, snakemake.output.figure)
    io.write_text(snakemake.output.numbers, phrases.caption(words, snakemake.params.about))
