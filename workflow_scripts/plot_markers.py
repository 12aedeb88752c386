"""What separates the cell types: features that drive each type's log-odds, and their knock-out."""

import pandas as pd

from jamie import JAMIE, entry, io
from jamie.data.split import training_cells
from jamie.evaluation import phrases, roles
from jamie.metrics.alignment import MIN_CELLS
from jamie.metrics.feature_scores import cell_types
from jamie.plots import markers as figures
from jamie.plots import style
from jamie.regulation import annotation, collect, markers
from jamie.regulation.knock_out import knock_out

FIGURES = figures.markers_figure, figures.beeswarm_figure
NO_LABELS = "No training cell of this modality has a label, so nothing separates its cell types.\n"

with entry.job(snakemake):
    entry.use_threads(snakemake.threads)
    out, modality = snakemake.output, snakemake.wildcards.modality
    model = JAMIE.load(snakemake.input.model[0])
    prepared = io.read_h5mu(snakemake.input.prepared[0], leave_out=("layers",))
    train = training_cells(prepared, layers=False)
    labels = cell_types(train.mod[modality])
    if (labels != "").any():
        classifier = markers.fit_classifier(model.embed(train)[modality], labels)
        found = markers.type_attributions(model, prepared, modality, classifier)
        top = pd.unique(markers.marker_table(found).query("rank <= 10")["feature"])
        enough = all((cell_types(adata) != "").sum() >= MIN_CELLS for adata in train.mod.values())
        knocked_out = knock_out(model, prepared, modality, top) if enough else None
        table, cells = markers.marker_table(found, knocked_out), markers.cell_table(found)
        genes = collect.put_together([snakemake.input.genes]).set_index("gene")
        table, cells = (
            annotation.with_labels(one, "feature", prepared.mod[modality].var, genes, "label")
            for one in (table, cells)
        )
        about = f"{snakemake.wildcards.dataset}, training cells of the first seed"
        drawn = [
            draw(one, modality=modality, about=about)
            for draw, one in zip(FIGURES, (table, cells), strict=True)
        ]
        words = (
            f"{figures.marker_words(table)} Attributions of a cell sum to the difference of the log-odds "
            f"with an error of {found.cell_error:.1%}.\n"
        )
    else:
        table, words = pd.DataFrame(columns=[*markers.MARKER_COLUMNS, "nearest_gene", "label"]), NO_LABELS
        drawn = [style.notice(f"{roles.label(modality)}: {NO_LABELS}")] * len(FIGURES)
    for figure, path in zip(drawn, (out.figure, out.beeswarm), strict=True):
        style.save(figure, path)
    io.write_table(out.markers, table)
    io.write_text(out.numbers, phrases.caption(words, snakemake.params.about))
