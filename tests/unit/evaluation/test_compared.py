"""Figures that compare all methods: alignment, silhouettes by cell type, and features against each method."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_rgb
from mudata import MuData
from sklearn.metrics import silhouette_samples

from jamie.contract import embedding_key
from jamie.data.correspondence import from_names
from jamie.evaluation import roles
from jamie.metrics.base import NotApplicable
from jamie.metrics.score import score_types
from jamie.metrics.structure import silhouette, silhouette_by_type
from jamie.plots import alignment, baselines, palette, silhouettes
from shared.figures import feature_table, metric_table, outside, overlaps, texts

# --- alignment


def scored(values: dict) -> pd.DataFrame:
    """metrics.tsv of {method: (FOSCTTM by seed, label transfer by seed)}."""
    parts = []
    for method, both in values.items():
        for metric, of_seeds in zip(alignment.SCORES, both, strict=True):
            part = pd.DataFrame({"seed": range(len(of_seeds)), "value": of_seeds})
            parts.append(part.assign(method=method, metric=metric, modality="", status="ok", reason=""))
    run = {"dataset": "toy", "scenario": "paired", "protocol": "held_out", "cells": "test"}
    return pd.concat(parts, ignore_index=True).assign(**run, n_cells=9, n_features=0)


VALUES = {
    "ceiling": ([0, 0], [1, 1]),
    "cca": ([0.1, 0.3], [0.6, 0.8]),
    "jamie": ([0.1, 0.1], [0.9, 0.9]),
    "unioncom": ([0.4, 0.4], [0.3, 0.3]),
}


def test_alignment_means_by_hand_best_first_and_controls_last():
    table = alignment.alignment_scores(scored(VALUES))
    assert list(table.index) == ["jamie", "cca", "unioncom", "ceiling"]
    assert table.loc["cca"].tolist() == pytest.approx([0.2, 0.7, 0.02**0.5, 0.02**0.5])


def test_alignment_draws_a_point_and_two_bars_for_each_method():
    figure = alignment.alignment_scatter(scored(VALUES), held_out=0.2)
    points = {}
    for container in figure.axes[0].containers:
        mean, _, bars = container
        points[mean.get_marker()] = mean, bars
    mean, bars = points[palette.method_marker("cca", VALUES)]
    assert (mean.get_xdata()[0], mean.get_ydata()[0]) == (pytest.approx(0.2), pytest.approx(0.7))
    assert bars[0].get_segments()[0][:, 0] == pytest.approx([0.2 - 0.02**0.5, 0.2 + 0.02**0.5])
    assert bars[1].get_segments()[0][:, 1] == pytest.approx([0.7 - 0.02**0.5, 0.7 + 0.02**0.5])
    filled = {m: points[palette.method_marker(m, VALUES)][0].get_markerfacecolor() for m in VALUES}
    assert filled["unioncom"] == "white" and filled["jamie"] == "#D55E00"
    red, green, blue = to_rgb(filled["ceiling"])
    assert red == green == blue


THREE = {
    "cca": ([0.15, 0.26, 0.20], [0.70, 0.81, 0.74]),
    "jamie": ([0.10, 0.20, 0.15], [0.80, 0.90, 0.85]),
    "unioncom": ([0.4, 0.41, 0.39], [0.3, 0.32, 0.3]),
}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({}, "JAMIE is best on both scores"),
        (
            {"cca": ([0.15, 0.26, 0.20], [0.80, 0.89, 0.845])},
            "Best, or not told from the best: FOSCTTM JAMIE; label transfer JAMIE and CCA",
        ),
        (
            {"cca": ([0.05, 0.14, 0.10], [0.70, 0.81, 0.74])},
            "Best, or not told from the best: FOSCTTM CCA; label transfer JAMIE",
        ),
    ],
)
def test_alignment_message_says_who_is_best_as_far_as_the_seeds_tell(changed, message):
    found = texts(alignment.alignment_scatter(scored(THREE | changed), held_out=0.2))
    assert message in found
    assert "0.400   0.307   UnionCom (no pairs)" in found


def test_alignment_message_of_one_seed_or_one_method():
    one = scored({m: (foscttm[:1], lta[:1]) for m, (foscttm, lta) in THREE.items()})
    assert alignment.headline(one, 0.2) == "One seed cannot tell which method aligns best"
    alone = scored({"jamie": THREE["jamie"], "ceiling": ([0] * 3, [1] * 3)})
    assert alignment.headline(alone, 0.2) == "JAMIE is the only method with both scores"


def test_alignment_says_why_a_method_is_missing():
    whole = pd.concat(
        [
            scored(VALUES),
            scored({"knn": ([np.nan], [np.nan])}).assign(status="not_applicable", reason="does not embed"),
        ]
    )
    missing = alignment.left_out(whole, alignment.alignment_scores(whole))
    assert missing == {"knn": "does not embed"}
    found = texts(alignment.alignment_scatter(whole, missing, held_out=0.2))
    assert any("not shown: KNN (does not embed)" in text for text in found)
    assert "JAMIE 0.100 ± 0.000 and 0.900 ± 0.000" in alignment.in_words(whole, missing, "held-out cells")


def test_alignment_without_labels_is_not_applicable():
    table = scored(VALUES)
    none = table["metric"] == "lta"
    table.loc[none, ["value", "status", "reason"]] = np.nan, "not_applicable", "no labels"
    assert alignment.why_no_alignment(table).endswith("(no labels).")
    with pytest.raises(ValueError, match="no labels"):
        alignment.alignment_scatter(table, held_out=0.2)


def test_alignment_overlaps_nothing():
    figure = alignment.alignment_scatter(
        metric_table(), {"knn": "method does not embed"}, held_out=0.2, about="toy"
    )
    assert overlaps(figure) == [] and outside(figure) == {}


# --- silhouettes


def test_silhouette_by_type_is_that_of_scikit_learn_and_its_mean_the_score():
    rng = np.random.default_rng(0)
    latents = rng.normal(size=(30, 3)), rng.normal(size=(20, 3))
    labels = rng.choice(["a", "b", "c", ""], 30), rng.choice(["a", "b"], 20)
    table = silhouette_by_type(latents, labels).set_index("type")
    z, names = np.concatenate(latents), np.concatenate(labels)
    widths = silhouette_samples(z[names != ""], names[names != ""])
    for name in "abc":
        assert table.loc[name, "silhouette"] == pytest.approx(widths[names[names != ""] == name].mean())
        assert table.loc[name, "n_cells"] == (names == name).sum()
    overall = np.average(table["silhouette"], weights=table["n_cells"])
    assert overall == pytest.approx(silhouette(latents, labels))


def test_silhouette_by_type_by_hand():
    # on a line, a at 0, 0, 0 and b at 10, 10, 8: widths 1 for a; for b (10 - 1) / 10 twice and (8 - 2) / 8
    latents = np.array([[0.0], [0.0], [0.0]]), np.array([[10.0], [10.0], [8.0]])
    table = silhouette_by_type(latents, (["a"] * 3, ["b"] * 3))
    assert table["silhouette"].tolist() == pytest.approx([1.0, (0.9 + 0.9 + 0.75) / 3])
    with pytest.raises(NotApplicable, match="fewer than two labels"):
        silhouette_by_type(latents, (["a"] * 3, ["a"] * 3))


def test_types_are_scored_on_the_cells_of_the_group():
    names = np.array([f"c{i}" for i in range(20)])
    role = np.where(np.arange(20) < 8, "test", "train")
    values = np.arange(20, dtype=np.float32)[:, None]
    mods = {}
    for m in ("rna", "adt"):
        obs = pd.DataFrame({"role": role, "cell_type": np.tile(["a", "b"], 10)}, index=names)
        mods[m] = AnnData(values, obs=obs, obsm={embedding_key("cca"): values % 2})
    mdata = MuData(mods)
    pairs = from_names(mdata)
    train = MuData({m: a[role == "train"].copy() for m, a in mods.items()})
    known = from_names(train)
    own = {"method": "cca", "embedding": mdata}
    table = score_types(mdata, pairs, known, cells="test", **own)
    assert table["n_cells"].tolist() == [8, 8] and table["silhouette"].tolist() == [1, 1]
    assert score_types(mdata, pairs, known, cells="paired", **own)["n_cells"].tolist() == [12, 12]


def silhouette_table(types=("t2", "t10"), methods=("cca", "jamie", "ceiling"), seeds=(0, 1)):
    rows = [
        (name, 0.1 * i + 0.2 * j + 0.02 * seed - 0.1, 3 + i, method, seed)
        for i, name in enumerate(types)
        for j, method in enumerate(methods)
        for seed in seeds
    ]
    return pd.DataFrame(rows, columns=silhouettes.COLUMNS)


def test_silhouettes_are_means_over_seeds_with_all_cells_on_top():
    means, n_cells = silhouettes.type_means(silhouette_table())
    assert list(means.index) == ["all cells", "t2", "t10"] and list(means.columns) == [
        "jamie",
        "cca",
        "ceiling",
    ]
    assert means.loc["t2", "jamie"] == pytest.approx(0.11)
    assert means.loc["all cells", "jamie"] == pytest.approx((3 * 0.11 + 4 * 0.21) / 7)
    assert n_cells.to_dict() == {"all cells": 7, "t2": 3, "t10": 4}


def test_silhouette_map_prints_values_and_why_there_are_none():
    figure = silhouettes.silhouette_map(
        silhouette_table(), {"unioncom": "too many cells"}, ratio=0.0, about="toy"
    )
    found = texts(figure)
    assert {"0.11", "0.21", "\N{MINUS SIGN}0.09", "t10  (4)", "UnionCom (no pairs)"} <= set(found)
    assert found.count("n/a") == 3  # a column: all cells and two types
    assert any("n/a: UnionCom (no pairs) (too many cells)" in text for text in found)
    assert "Best over all cells: JAMIE (0.17); alone best for 2 of 2 types" in found
    bold = [t.get_text() for t in figure.axes[0].texts if t.get_weight() == "bold"]
    assert bold == ["0.17", "0.11", "0.21"]


def test_silhouettes_say_which_methods_the_seeds_cannot_tell_apart():
    table = silhouette_table(methods=("cca", "jamie"), seeds=(0, 1, 2))
    noise = np.random.default_rng(0).normal(0, 0.3, len(table))
    table = table.assign(silhouette=table["silhouette"] + noise)
    level = silhouettes.level_methods(table, 0.25)
    assert all(set(methods) == {"jamie", "cca"} for methods in level.values())
    words = silhouettes.headline(silhouettes.type_means(table)[0], level)
    assert ", not told from " in words and words.endswith("alone best for 0 of 2 types")
    one = table[table["seed"] == 0]
    words = silhouettes.headline(silhouettes.type_means(one)[0], silhouettes.level_methods(one, 0.25))
    assert words.endswith("one seed cannot tell it from others")


def test_silhouette_map_is_centred_at_zero():
    figure = silhouettes.silhouette_map(silhouette_table(), ratio=0.0)
    low, high = figure.axes[1].get_ylim()
    assert low == -high == pytest.approx(-0.5)


@pytest.mark.parametrize("n_types", [2, 30])
def test_silhouette_map_overlaps_nothing(n_types):
    methods = ("jamie", "cca", "nlma", "lma", "babel", "mmd_ma", "unioncom", "floor_shuffled", "ceiling")
    table = silhouette_table([f"L{i} intratelencephalic" for i in range(n_types)], methods)
    figure = silhouettes.silhouette_map(table, ratio=0.25, about="toy")
    assert outside(figure) == {}
    bar = figure.axes[1].get_tightbbox()
    assert bar.y0 >= figure.texts[-1].get_window_extent().y1 - 1
    boxes = [t.get_window_extent() for t in figure.axes[0].get_yticklabels()]
    assert all(a.y0 >= b.y1 - 1 for a, b in pairwise(boxes))


def test_silhouette_caption_names_the_lowest_type():
    text = silhouettes.in_words(
        *silhouettes.type_means(silhouette_table()), "held-out cells", {"lma": "too few"}
    )
    assert "2 cell types, 7 cells" in text and "JAMIE 0.167 (lowest 0.110, t2)" in text
    assert text.endswith("Not shown: LMA: too few.")


# --- features against each method


def test_baselines_count_features_after_averaging_seeds():
    table = feature_table(seeds=(0, 1))
    table = table[table["feature"].isin([f"ephys_{i}" for i in range(5)])]
    table = table[table["method"].isin(("jamie", "knn"))].sort_values(["method", "seed", "feature"])
    table["pearson"] = [0.5, 0.5, 0.5, 0.5, 0.1, 0.7, 0.7, 0.7, 0.7, 0.1] + [0.55] * 5 + [0.45] * 5
    found = baselines.comparisons(table.assign(auroc=np.nan), "jamie", 0.25)
    assert found.iloc[0].tolist()[:6] == ["ephys", "pearson", "knn", 4, 1, 5] and len(found) == 1
    # means over features by seed 0.42 and 0.58 against 0.55 and 0.45: -0.13 and 0.13
    words = "+0.000 (-2.023 to 2.023): cannot tell"
    assert found["words"].item() == words
    assert f"KNN 4 of 5, mean {words}" in baselines.in_words(table, "jamie", 0.25)
    assert "4 of 5 higher\ncannot tell" in texts(baselines.baseline_panels(table, ratio=0.25))


def test_baselines_have_a_column_per_method_and_a_row_per_score_and_modality():
    table = feature_table()
    figure = baselines.baseline_panels(table, ratio=0.25)
    others = ["jamie_paper", "cca", "knn", "nlma", "ridge"]
    assert len(figure.axes) == 4 * len(others)
    assert [ax.get_xlabel() for ax in figure.axes[-5:]] == [roles.label(m) for m in others]
    assert any(
        "is better in 10 and worse in 0 of 10 comparisons with 5 other methods" in " ".join(text.split())
        for text in texts(figure)
    )
    assert overlaps(figure) == [] and outside(figure) == {}


def test_baselines_need_two_methods():
    table = feature_table(seeds=(0,))
    alone = table[table["method"].isin(("jamie", "floor_mean", "ceiling"))]
    assert baselines.why_no_baselines(alone, "jamie") == "Not applicable: only JAMIE imputes here."
    with pytest.raises(ValueError, match="only JAMIE"):
        baselines.baseline_panels(alone, ratio=0.25)
    assert "UnionCom (no pairs) has no scores" in baselines.why_no_baselines(table, "unioncom")
    bare = table.assign(pearson=np.nan, auroc=np.nan)
    assert "no method has scores" in baselines.why_no_baselines(bare, None)
