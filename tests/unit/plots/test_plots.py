"""Figures of the report: what they say, that nothing overlaps, and that equal figures are equal files."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from jamie import registry
from jamie.evaluation import roles
from jamie.plots import distributions, features, history, palette, scores, style, umap
from shared.figures import (
    CONTROLS,
    EMBED_ONLY,
    METHODS,
    N_FEATURES,
    feature_table,
    metric_table,
    outside,
    overlaps,
    texts,
)

TYPES = [
    "L2/3 IT intratelencephalic",
    "L4/5 IT intratelencephalic",
    "L5 ET extratelencephalic",
    "L5/6 near-projecting",
    "L6 CT corticothalamic",
    "Pvalb basket interneuron",
    "Sst Martinotti interneuron",
    "Vip interneuron",
    "Lamp5 neurogliaform",
]


def cells(n, types=TYPES, seed=0):
    """UMAP of n cells of each modality: raw tables per modality, and the joint one."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(scale=6, size=(len(types), 2))
    group = rng.integers(len(types), size=n)
    role = np.where(rng.random(n) < 0.2, "test", "train")
    raw, joint = {}, []
    for i, modality in enumerate(N_FEATURES):
        xy = rng.permutation(centres)[group] + rng.normal(size=(n, 2)) * (1 + i)
        raw[modality] = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "group": np.array(types)[group]})
        xy = centres[group] + rng.normal(size=(n, 2))
        joint.append(raw[modality].assign(x=xy[:, 0], y=xy[:, 1], modality=modality, role=role))
    return raw, pd.concat(joint, ignore_index=True)


def loss_history(n_epochs=700, seeds=(0, 1, 2)):
    rng = np.random.default_rng(0)
    start = {"kl": 0.4, "combination": 2.0, "reconstruction": 1.0, "alignment": 0.6, "contrastive": 5.0}
    parts = []
    for seed in seeds:
        for term, value in start.items():
            for prefix, floor in (("", 0.01), ("validation_", 0.05)):
                epoch = np.arange(1, n_epochs - 60 * seed)
                decay = (
                    value * (np.exp(-epoch / 90) + floor) * np.exp(rng.normal(scale=0.05, size=len(epoch)))
                )
                weight = 0.032 / (1 + np.exp(-(epoch - 250) / 50)) if term == "kl" else 1.0
                parts.append(
                    pd.DataFrame(
                        {
                            "epoch": epoch,
                            "term": prefix + term,
                            "value": decay,
                            "weight": weight,
                            "seed": seed,
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True)


def measured_table(types=TYPES, n=1200, per_modality=3):
    rng = np.random.default_rng(0)
    group = rng.choice(len(types), p=np.arange(1, len(types) + 1) / sum(range(1, len(types) + 1)), size=n)
    parts = []
    names = {
        "rna": ["Gad1", "Slc17a7", "Pvalb", "Sst", "Vip", "Lamp5"],
        "ephys": ["AP width", "AHP", "rheobase"],
    }
    for modality, features_of in names.items():
        for i, name in enumerate(features_of[:per_modality]):
            mean = rng.normal(size=len(types))[group]
            measured = mean + rng.normal(scale=0.7, size=n)
            if modality == "rna":
                measured = np.maximum(measured, -0.2)
            for kind, value in (
                ("measured", measured),
                ("imputed", 0.8 * mean + rng.normal(scale=0.3, size=n)),
            ):
                columns = {
                    "modality": modality,
                    "feature": name,
                    "group": np.array(types)[group],
                    "kind": kind,
                }
                parts.append(pd.DataFrame({**columns, "value": value, "r": 0.7 - 0.1 * i}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture(scope="module")
def umap_figure():
    return umap.umap_panels(*cells(400), group_name="cell type", title="Both modalities meet")


@pytest.fixture(scope="module")
def score_figure():
    return scores.score_panels(metric_table(), protocol="held_out", cells="test", held_out=0.2)


def test_colors_are_distinct_stable_and_grey_for_controls():
    names = [*METHODS, *EMBED_ONLY, "babel", "lma", "own_idea", "other_idea"]
    colors = {palette.method_color(m, names) for m in names}
    assert len(colors) == len(names)
    assert palette.method_color("jamie", ["jamie"]) == palette.method_color("jamie", names) == "#D55E00"
    for control in CONTROLS:
        r, g, b = matplotlib.colors.to_rgb(palette.method_color(control, names))
        assert r == g == b
    assert palette.modality_color("rna", ["rna"]) == palette.modality_color("rna", ["atac", "rna"])
    assert palette.modality_color("rna", ["rna"]) != palette.modality_color("ephys", ["rna"])


@pytest.mark.parametrize("n", [2, 8, 9, 20, 54])
def test_group_colors_do_not_repeat(n):
    groups = [str(i) for i in range(n)]
    assert len(set(palette.group_colors(groups).values())) == n
    assert (set(palette.group_colors(groups).values()) <= set(palette.OKABE_ITO)) == (n <= 8)


def test_labels_are_words_and_unknown_names_stay():
    assert [roles.label(n) for n in ("rna", "adt", "foscttm", "knn", "unioncom", "ceiling", "my_method")] == [
        "RNA",
        "ADT (protein)",
        "FOSCTTM",
        "KNN",
        "UnionCom (no pairs)",
        "reference: truth",
        "my_method",
    ]


def test_labels_come_from_the_registry_and_mark_what_uses_no_pairs(monkeypatch):
    for name, spec in registry.specs().items():
        marked = not spec.uses_pairs and not spec.control
        assert roles.label(name) == spec.label + (" (no pairs)" if marked else "")
        assert roles.uses_pairs(name) != marked and roles.is_control(name) == bool(spec.control)
    assert roles.label("mmd_ma") == registry.marked("MMD-MA (no pairs)", registry.specs()["mmd_ma"])
    monkeypatch.setattr(roles, "_LABELS", dict(roles._LABELS))
    monkeypatch.setattr(roles, "_NO_PAIRS", set())
    roles.add_labels({"mmd_ma_rbf": "MMD-MA, rbf (no pairs)"}, ["mmd_ma_rbf"])
    assert roles.label("mmd_ma_rbf") == "MMD-MA, rbf (no pairs)"
    assert not roles.uses_pairs("mmd_ma_rbf") and roles.uses_pairs("another")


def test_points_differ_in_shape_and_are_open_without_pairs():
    names = [*METHODS, *EMBED_ONLY, "babel", "lma", "own_idea", "other_idea"]
    points = {m: palette.method_points(m, names) for m in names}
    assert len({p["marker"] for p in points.values()}) == len(names)
    assert [m for m in names if points[m]["markerfacecolor"] == "white"] == ["unioncom", "mmd_ma"]
    assert points["jamie"]["markerfacecolor"] == points["jamie"]["color"] == "#D55E00"


def test_orders():
    assert roles.order_methods(["ceiling", "cca", "jamie_paper", "floor_mean", "jamie"]) == [
        "jamie",
        "jamie_paper",
        "cca",
        "ceiling",
        "floor_mean",
    ]
    assert style.natural_order(["10", "2", "1"]) == ["1", "2", "10"]


def test_equal_figures_are_equal_files(tmp_path):
    for name in ("a.svg", "b.svg", "a.png", "b.png"):
        style.save(umap.umap_panels(*cells(60), group_name="cell type", title="x"), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "a.svg", "b.png", "b.svg"]
    with pytest.raises(ValueError, match=r"\.svg or \.png"):
        style.save(Figure(), tmp_path / "a.jpg")


@pytest.mark.parametrize(("n", "pictures"), [(2000, False), (2001, True)])
def test_many_points_become_one_picture_in_an_svg(tmp_path, n, pictures):
    figure = Figure()
    style.scatter(figure.add_subplot(), np.arange(n), np.arange(n))
    style.save(figure, tmp_path / "points.svg")
    assert ("<image" in (tmp_path / "points.svg").read_text()) == pictures


def test_drawing_leaves_settings_alone():
    before = dict(matplotlib.rcParams)
    style.notice("No labels.")
    assert dict(matplotlib.rcParams) == before


def test_notice_says_its_text():
    assert texts(style.notice("No labels, so no label transfer.")) == ["No labels, so no label transfer."]


def test_umap_names_everything_once(umap_figure):
    found = texts(umap_figure)
    titles = {"RNA alone (400 cells)", "electrophysiology alone (400 cells)", "Both modalities meet"}
    assert titles | {"Joint latent space, by cell type", "held-out, RNA", "training"} <= set(found)
    for i, name in enumerate(sorted(TYPES, key=str.lower), start=1):
        assert found.count(f"{i}  {name}") == 1
    assert len(umap_figure.axes) == 5


def test_umap_without_held_out_cells_has_no_third_panel():
    raw, joint = cells(60)
    figure = umap.umap_panels(raw, joint.assign(role="train"), group_name="cell type", title="x")
    assert len(figure.axes) == 4
    assert overlaps(figure) == []


@pytest.mark.parametrize(
    "types", [TYPES, [str(i) for i in range(31)], [f"{t} {i}" for t in TYPES for i in range(3)]]
)
@pytest.mark.parametrize("roles", [True, False])
def test_umap_overlaps_nothing(types, roles):
    raw, joint = cells(300, types)
    if not roles:
        joint["role"] = "train"
    figure = umap.umap_panels(raw, joint, group_name="cell type", title="x")
    assert overlaps(figure) == []
    assert outside(figure) == {}


def test_umap_hides_no_modality():
    _, joint = cells(300)
    figure = Figure()
    ax = figure.add_subplot()
    umap._draw_modalities(ax, joint)
    colors = ax.collections[0].get_facecolor()[:, 0]
    halves = [np.unique(half, return_counts=True)[1] for half in np.array_split(colors, 2)]
    assert all(counts.min() > 120 for counts in halves)  # of 300 in each half; 0 if drawn one after the other


def test_umap_refuses_what_it_cannot_draw():
    raw, joint = cells(30)
    bare = {m: t.assign(group=np.nan) for m, t in raw.items()}
    with pytest.raises(ValueError, match="No cell has a cell type"):
        umap.umap_panels(bare, joint.assign(group=np.nan), group_name="cell type", title="x")
    with pytest.raises(ValueError, match=r"lacks the column\(s\) role"):
        umap.umap_panels(raw, joint.drop(columns="role"), group_name="cell type", title="x")
    raw["rna"].loc[:3, "group"] = np.nan
    assert "not labelled" in texts(umap.umap_panels(raw, joint, group_name="cell type", title="x"))


def test_loss_curves_pair_validation_with_its_term():
    figure = history.loss_curves(loss_history(n_epochs=300))
    panels = {ax.get_title(loc="left"): ax for ax in figure.axes if ax.get_title(loc="left")}
    assert list(panels) == ["KL divergence", "combination", "reconstruction", "alignment", "contrastive"]
    lines = panels["combination"].lines
    assert len(lines) == 2 * (3 + 1)
    assert {line.get_linestyle() for line in lines} == {"-", "--"}
    means = [line for line in lines if line.get_linewidth() > 1]
    assert max(means[0].get_xdata()) == 179  # where the first seed stops
    weights = [ax for ax in figure.axes if ax.get_ylabel() == "weight"]
    assert len(weights) == 1  # only the annealed one
    assert "Training ran for 179 to 299 epochs" in texts(figure)
    assert outside(figure) == {}
    from_zero = loss_history(n_epochs=91, seeds=(0,))
    from_zero["epoch"] -= 1  # as in history.tsv: epochs 0 to 89 are 90 epochs
    assert "Training ran for 90 epochs" in texts(history.loss_curves(from_zero))


@pytest.mark.parametrize(("values", "scale"), [([90, 2], "log"), ([29, 1], "linear"), ([90, -1], "linear")])
def test_loss_axis_is_logarithmic_only_where_it_can_and_helps(values, scale):
    table = pd.DataFrame({"epoch": [1, 2], "term": "kl", "value": values, "weight": 1.0, "seed": 0})
    assert history.loss_curves(table).axes[0].get_yscale() == scale


def test_loss_curves_refuse_an_empty_history():
    with pytest.raises(ValueError, match="no rows"):
        history.loss_curves(loss_history(n_epochs=300).iloc[:0])
    with pytest.raises(ValueError, match="no finite loss"):
        history.loss_curves(loss_history(n_epochs=300).assign(value=np.nan))


def test_cells_of_two_modalities_are_not_counted_as_twice_as_many():
    table = metric_table()
    of_both = table["metric"].ne("foscttm") & table["modality"].fillna("").eq("")
    assert of_both.any()
    figure = scores.score_panels(
        table.assign(n_cells=table["n_cells"] * (1 + of_both)),
        protocol="held_out",
        cells="test",
        held_out=0.2,
    )
    assert "held-out cells, 3 seeds, n = 242 cells" in texts(figure)


def test_scores_show_all_panels_methods_and_controls(score_figure):
    found = texts(score_figure)
    assert len(score_figure.axes) == 14
    assert {"FOSCTTM", "Pearson r\nimputed RNA", "R² (median)\nimputed electrophysiology"} <= set(found)
    assert "Pearson r within types\nimputed RNA" in found
    assert found.count("JAMIE") == 4  # once a row of panels
    assert found.count("reference: truth") == 14
    assert found.count("floor: feature mean") == 10
    assert found.count("← better") == 3  # FOSCTTM and two Jensen-Shannon distances
    assert found.count("better →") == 11
    assert "JAMIE is best on 14, not told from the best on 0, worse on 0 of 14 scores" in found
    assert "held-out cells, 3 seeds, n = 242 cells" in found
    rows = [t.get_text() for t in score_figure.axes[0].get_yticklabels()]
    assert rows == [
        "JAMIE",
        "jamie_paper",
        "CCA",
        "KNN",
        "MMD-MA (no pairs)",
        "NLMA",
        "ridge",
        "UnionCom (no pairs)",
    ]


def test_scores_overlap_nothing(score_figure):
    assert overlaps(score_figure) == []
    assert outside(score_figure) == {}


def test_scores_say_what_is_missing(score_figure):
    found = texts(score_figure)
    assert found.count("n/a") == 2 * 10
    assert found.count("n/a: 1 of 3 seeds") == 10
    assert found.count(" ◂ -3.4") == 2  # R2 of CCA, left of its panels


def test_scores_draw_mean_and_seeds():
    table = metric_table()
    table = table[(table["metric"] == "lta") & (table["method"] == "knn")].assign(value=[0.2, 0.4, 0.9])
    ax = scores.score_panels(table, protocol="held_out", cells="test", held_out=0.2).axes[0]
    dots = next(c for c in ax.collections if isinstance(c, PathCollection)).get_offsets()[:, 0]
    assert sorted(dots) == [0.2, 0.4, 0.9]
    (mean, _, (bar,)) = ax.containers[0]
    assert mean.get_xdata()[0] == pytest.approx(0.5)
    assert bar.get_segments()[0][:, 0] == pytest.approx([0.5 - 0.130**0.5, 0.5 + 0.130**0.5])


def test_scores_message_counts_by_direction():
    table = metric_table()
    table = table[table["metric"].isin(("foscttm", "lta", "silhouette"))]
    table = table.assign(
        value=table["value"].mask((table["method"] == "jamie") & (table["metric"] == "foscttm"), 0.49)
    )
    figure = scores.score_panels(table, protocol="held_out", cells="test", held_out=0.2)
    assert "JAMIE is best on 2, not told from the best on 0, worse on 1 of 3 scores" in texts(figure)
    figure = scores.score_panels(
        table, protocol="held_out", cells="test", held_out=0.2, better={"foscttm": "higher"}
    )
    assert "JAMIE is best on 0, not told from the best on 1, worse on 0 of 1 score" in texts(figure)


def test_scores_refuse_what_they_cannot_draw():
    table = metric_table(seeds=(0,))
    with pytest.raises(ValueError, match="no scores for protocol transductive, cells all"):
        scores.score_panels(table, protocol="transductive", cells="all", held_out=0.0)
    with pytest.raises(ValueError, match="more than one dataset"):
        two = pd.concat([table, table.assign(dataset="scgem")])
        scores.score_panels(two, protocol="held_out", cells="test", held_out=0.2)
    with pytest.raises(ValueError, match="No method has a score"):
        bad = table.assign(status="failed", value=np.nan, reason="memory")
        scores.score_panels(bad, protocol="held_out", cells="test", held_out=0.2)


def test_scores_say_what_one_seed_cannot_tell_and_how_many_cells_each_score_is_of():
    one = metric_table(seeds=(0,))
    one = one.assign(n_cells=one["n_cells"].mask(one["metric"] == "pearson", 200))
    found = texts(scores.score_panels(one, protocol="held_out", cells="test", held_out=0.2))
    assert "Scores of all methods; one seed cannot tell whether JAMIE is better" in found
    assert "held-out cells, 1 seed, n = 200 to 242 cells" in found


def test_win_scatter_counts_features_after_averaging_seeds():
    table = feature_table(seeds=(0, 1))
    table = table[table["feature"].isin([f"ephys_{i}" for i in range(5)])]
    table = table[table["method"].isin(("jamie", "knn"))].sort_values(["method", "seed", "feature"])
    table["pearson"] = [0.5, 0.5, 0.5, 0.5, 0.1, 0.7, 0.7, 0.7, 0.7, 0.1] + [0.55] * 5 + [0.45] * 5
    found = texts(features.win_scatter(table))
    assert "Features on which JAMIE is higher than KNN (Pearson r):\n4 of 5 (electrophysiology)" in found
    assert {"JAMIE higher: 4", "KNN higher: 1"} <= set(found)
    assert "Pearson r, imputed electrophysiology\nn = 5 features" in found


def test_win_scatter_has_a_panel_per_modality_and_score():
    figure = features.win_scatter(feature_table(), against="ridge")
    assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in figure.axes] == [
        ("ridge: Pearson r", "JAMIE: Pearson r"),
        ("ridge: AUROC", "JAMIE: AUROC"),
    ] * 2
    assert overlaps(figure) == []
    assert outside(figure) == {}


def test_win_scatter_refuses_methods_without_imputation():
    table = feature_table(seeds=(0,))
    with pytest.raises(ValueError, match="no imputation scores of UnionCom"):
        features.win_scatter(table, against="unioncom")
    with pytest.raises(ValueError, match="more than one cells"):
        features.win_scatter(pd.concat([table, table.assign(cells="all", held_out=0.0)]))


def test_distributions_pair_measured_with_imputed():
    figure = distributions.measured_and_imputed(measured_table(n=400))
    assert len(figure.axes) == 6
    found = texts(figure)
    assert {"Gad1, RNA\nr = 0.70", "measured", "imputed by JAMIE", "median"} <= set(found)
    assert all(found.count(name) == 2 for name in TYPES)  # once a row of panels
    assert overlaps(figure) == []
    assert outside(figure) == {}


def test_distributions_refuse_what_they_cannot_draw():
    table = measured_table(n=100)
    with pytest.raises(ValueError, match="one is missing"):
        distributions.measured_and_imputed(table[table["kind"] == "measured"])
    with pytest.raises(ValueError, match="one is missing"):
        distributions.measured_and_imputed(table.assign(group=None))
    with pytest.raises(ValueError, match="At most 6 features"):
        many = [table[table["feature"] == "Gad1"].assign(feature=f"g{i}") for i in range(7)]
        distributions.measured_and_imputed(pd.concat(many))


def test_distributions_draw_few_or_constant_values_as_points():
    rows = [("rna", "Sst", g, k, v) for g in "ab" for k in ("measured", "imputed") for v in (0.0, 0.0, 0.0)]
    table = pd.DataFrame(rows, columns=["modality", "feature", "group", "kind", "value"])
    ax = distributions.measured_and_imputed(table).axes[0]
    assert [len(c.get_offsets()) for c in ax.collections] == [3, 3, 3, 3]


def test_js_curves_fall_and_name_the_mean():
    figure = distributions.js_curves(feature_table(), ratio=0.25)
    assert len(figure.axes) == 2
    for ax in figure.axes:
        assert len(ax.lines) == len(METHODS) + len(CONTROLS)
        assert all((np.diff(line.get_ydata()) <= 0).all() for line in ax.lines)
    table = feature_table()
    jamie = table[(table["method"] == "jamie") & (table["modality"] == "rna")]
    found = texts(figure)
    sd = jamie.groupby("seed")["js_distance"].mean().std()
    assert f"{1 - jamie['js_distance'].mean():.3f} ± {sd:.3f}  JAMIE" in found
    assert found.count("mean similarity ± sd over seeds") == 2
    one = texts(distributions.js_curves(table[table["seed"] == 0], ratio=0.25))
    assert one.count("mean similarity") == 2 and not any("±" in text for text in one)
    assert "Closest to the measured distributions: JAMIE, for RNA and electrophysiology" in found
    assert "Imputed distributions against measured ones" in one  # one seed cannot tell who is closest
    assert overlaps(figure) == []
    assert outside(figure) == {}


def test_js_curves_need_distances():
    with pytest.raises(ValueError, match="No feature has a Jensen-Shannon distance"):
        distributions.js_curves(feature_table(seeds=(0,)).assign(js_distance=np.nan), ratio=0.25)
