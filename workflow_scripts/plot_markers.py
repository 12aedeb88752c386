"""What separates the cell types: features that drive each type's log-odds, and their knock-out."""

import pandas as pd

from jamie import JAMIE, entry, io
from jamie.data.split import training_cells
from jamie.evaluation import phrases
from jamie.metrics.feature_scores import cell_types
from jamie.plots import markers as figures
from jamie.plots import style
from jamie.regulation import annotation, collect, markers
from jamie.regulation.knock_out import knock_out

with entry.job(snakemake):
    entry.use_threads(snakemake.threads)
    out, modality = snakemake.output, snakemake.wildcards.modality
    model = JAMIE.load(snakemake.input.model[0])
    prepared = io.read_h5mu(snakemake.input.prepared[0], leave_out=("layers",))
    train = training_cells(prepared, layers=False)
    labels = cell_types(train.mod[modality])
    classifier = markers.fit_classifier(model.embed(train)[modality], labels)
    found = markers.type_attributions(model, prepared, modality, classifier)
    top = pd.unique(markers.marker_table(found).query("rank <= 10")["feature"])
    table = markers.marker_table(found, knock_out(model, prepared, modality, top))
    cells = markers.cell_table(found)
    genes = collect.put_together([snakemake.input.genes]).set_index("gene")
    table, cells = (
        annotation.with_labels(one, "feature", prepared.mod[modality].var, genes, "label")
        for one in (table, cells)
    )
    about = f"{snakemake.wildcards.dataset}, training cells of the first seed"
    style.save(figures.markers_figure(table, modality=modality, about=about), out.figure)
    style.save(figures.beeswarm_figure(cells, modality=modality, about=about), out.beeswarm)
    io.write_table(out.markers, table)
    words = (
        f"{figures.marker_words(table)} Attributions of a cell sum to the difference of the log-odds with an "
        f"error of {found.cell_error:.1%}.\n"
    )
    io.write_text(out.numbers, phrases.caption(words, snakemake.params.about))
