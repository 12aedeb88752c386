"""Features of cell types: bars, words and headlines call a peak by its place and nearest gene."""

import numpy as np
import pandas as pd
import pytest

from jamie.plots import markers
from shared.figures import outside, overlaps

LABELS = [f"chr3:5,{i:03d},100 (Sst {12 - i:+d} kb)" for i in range(10)]


def table(types=("Sst", "Pvalb")):
    rows = [
        {"cell_type": name, "rank": i + 1, "feature": f"chr3:{5_000_000 + 1_000 * i}-{i}", "label": label}
        for name in types
        for i, label in enumerate(LABELS)
    ]
    found = pd.DataFrame(rows).assign(modality="atac", sd_over_cells=0.1, mean_difference=1.0)
    return found.assign(attribution=1 / found["rank"], knockout_lta=-0.01 / found["rank"])


def test_bars_and_the_headline_carry_labels_and_nothing_overlaps():
    figure = markers.markers_figure(table(), modality="atac", about="mouse")
    for ax in figure.axes:
        assert [label.get_text() for label in ax.get_yticklabels()] == LABELS
    head = figure.texts[0].get_text().replace("\n", " ")
    assert f"{LABELS[0]} for Sst, {LABELS[0]} for Pvalb" in head
    assert overlaps(figure) == [] and outside(figure) == {}


def test_words_call_peaks_by_their_labels():
    words = markers.marker_words(table())
    assert f"feature, {LABELS[0]} (mean attribution 1.00)" in words
    assert f"one at a time, {LABELS[0]} changes" in words


def test_rows_of_the_swarm_carry_labels():
    rng = np.random.default_rng(0)
    cells = pd.concat([table(("Sst",)).query("rank <= 4")] * 30, ignore_index=True)
    cells = cells.assign(attribution=rng.normal(size=len(cells)), value=rng.normal(size=len(cells)))
    figure = markers.beeswarm_figure(cells.assign(is_own=rng.random(len(cells)) < 0.5), modality="atac")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == LABELS[:4]
    assert LABELS[0] in figure.texts[0].get_text().replace("\n", " ")


def test_a_table_without_labels_is_refused():
    with pytest.raises(ValueError, match=r"lacks the column\(s\) label"):
        markers.markers_figure(table().drop(columns="label"), modality="atac")
