"""The ablation: which variants are compared, their differences to the reference, and the figure."""

import numpy as np
import pandas as pd
import pytest

from jamie.contract import METRIC_COLUMNS
from jamie.evaluation import roles
from jamie.evaluation.comparisons import variants
from jamie.plots import ablation, style
from shared.figures import outside, overlaps, texts

NAMES = ["as_written", "mended", "same", "jamie"]


def method(base: str, **options) -> dict:
    return {"base": base, "label": None, "options": options}


CATALOGUE = {
    "a": method("jamie", preset="paper"),
    "b": method("jamie", preset="paper", dropout=0.6),
    "b_again": method("jamie", preset="paper", dropout=0.6),
    "c": method("jamie"),
    "knn": method("knn"),
    "knn_9": method("knn", k=9),
    "knn_20": method("knn", k=20),
}


@pytest.mark.parametrize(
    ("names", "compared"),
    [
        (["c", "a", "b", "knn"], ["c", "a", "b"]),
        (["a", "b", "knn", "knn_9"], []),
        (["a", "b", "b_again"], []),  # equal options are one variant
        (["knn", "a", "knn_9", "b", "c", "knn_20"], ["knn", "knn_9", "knn_20"]),
    ],
)
def test_variants_are_methods_of_one_base_with_other_options(names, compared):
    assert variants(names, CATALOGUE) == compared


def metric_rows(values: dict) -> pd.DataFrame:
    """metrics.tsv of {(metric, modality): {method: values by seed}}."""
    rows = [
        {"metric": metric, "modality": modality or np.nan, "method": name, "seed": seed, "value": value}
        for (metric, modality), methods in values.items()
        for name, of_seeds in methods.items()
        for seed, value in enumerate(of_seeds)
    ]
    table = pd.DataFrame(rows).assign(dataset="toy", scenario="paired_100", protocol="held_out", cells="test")
    table["status"] = np.where(table["value"].notna(), "ok", "failed")
    return table.assign(n_cells=50, n_features=9, reason="").reindex(columns=list(METRIC_COLUMNS))


VALUES = {
    ("foscttm", ""): {
        "as_written": [0.30, 0.20, 0.25],
        "mended": [0.28, 0.18, 0.24],  # lower in each seed: -0.02, -0.02, -0.01
        "same": [0.20, 0.30, 0.26],  # +0.0033 with a standard error of 0.058
        "jamie": [0.10, np.nan, 0.051],  # of two seeds: -0.20, -0.199
    },
    ("pearson", "rna"): {
        "as_written": [0.3, 0.3, 0.3],
        "mended": [0.2, 0.2, 0.15],  # -0.1, -0.1, -0.15: 7 standard errors, and 4.3 are needed
        "same": [0.3, 0.3, 0.3],
        "jamie": [0.5, 0.4, 0.5],
    },
    ("lta", ""): {"as_written": [0.5, 0.6, 0.7], "jamie": [0.9, 0.9, 0.9]},
    ("lta", "rna"): {"as_written": [0.1], "jamie": [0.1]},
    ("r2", "rna"): {"as_written": [0.1], "jamie": [0.1]},
}


@pytest.fixture
def table():
    return ablation.differences(metric_rows(VALUES), NAMES, 0.0)


def test_differences_are_taken_seed_by_seed(table):
    own = table[table["metric"] == "foscttm"].set_index("method")
    assert own["difference"].round(4).to_dict() == {
        "as_written": 0,
        "mended": -0.0167,
        "same": 0.0033,
        "jamie": -0.1995,
    }
    reach = 4.30265 * np.std([0.02, 0.02, 0.01], ddof=1) / 3**0.5
    assert own.loc["mended", "high"] - own.loc["mended", "difference"] == pytest.approx(reach, rel=1e-5)
    assert own["n_seeds"].to_dict() == {"as_written": 3, "mended": 3, "same": 3, "jamie": 2}
    assert own["verdict"].to_dict() == {"as_written": "", "mended": "better", "same": "", "jamie": "better"}


def test_better_and_worse_follow_the_direction_of_the_score(table):
    own = table[table["metric"] == "pearson"].set_index("method")
    assert own["verdict"].to_dict() == {"as_written": "", "mended": "worse", "same": "", "jamie": "better"}
    assert set(zip(table["metric"], table["modality"], strict=True)) == {
        ("foscttm", ""),
        ("pearson", "rna"),
        ("lta", ""),
    }


def test_one_seed_gives_a_difference_and_no_verdict():
    rows = metric_rows(VALUES)
    found = ablation.differences(rows[rows["seed"] == 0], NAMES, 0.0)
    assert (found["verdict"] == "").all()
    one = found[(found["metric"] == "foscttm") & (found["method"] == "jamie")]
    assert one["difference"].item() == pytest.approx(-0.2) and np.isinf(one["high"].item())


def test_few_seeds_need_a_larger_difference():
    """Four standard errors: beyond Student's t of 5 seeds (2.8), within that of 3 (4.3)."""
    gaps = {3: [0.1, 0.1, 0.2], 5: [0.06, 0.1, 0.1, 0.1, 0.14]}
    for n, gap in gaps.items():
        values = {("lta", ""): {"a": [0.5] * n, "b": [0.5 + g for g in gap]}}
        found = ablation.differences(metric_rows(values), ["a", "b"], 0.0).iloc[1]
        assert found["difference"] / (np.std(gap, ddof=1) / n**0.5) > 3.9
        assert found["verdict"] == ("better" if n == 5 else "")


def test_splits_that_share_cells_need_a_larger_difference_and_one_seed_is_said():
    found = ablation.differences(metric_rows(VALUES), NAMES, 0.2)
    own = found[(found["metric"] == "foscttm")].set_index("method")
    assert (
        own.loc["mended", "verdict"] == ""
    )  # 5 standard errors of 3 seeds: better only without shared cells
    rows = metric_rows(VALUES)
    one = ablation.differences(rows[rows["seed"] == 0], NAMES, 0.2)
    assert (
        ablation.headline(one, NAMES) == "One seed cannot tell whether a variant is better than “as_written”"
    )


def test_a_variant_without_scores_has_none(table):
    own = table[(table["metric"] == "lta") & (table["method"] == "mended")]
    assert own["n_seeds"].item() == 0 and np.isnan(own["difference"].item()) and own["verdict"].item() == ""


def test_the_caption_names_what_changes(table):
    text = ablation.in_words(table, NAMES, "held-out cells")
    assert text.startswith("On held-out cells; 3 seeds. as\\_written: FOSCTTM 0.250 ± 0.050,") or (
        text.startswith("On held-out cells; 3 seeds. as_written: FOSCTTM 0.250 ± 0.050,")
    )
    assert "mended: FOSCTTM -0.017 (better), Pearson r, RNA -0.117 (worse)" in text
    assert "same: no difference that can be told" in text


@pytest.fixture
def figure(monkeypatch):
    monkeypatch.setattr(roles, "_LABELS", dict(roles._LABELS))
    roles.add_labels({"as_written": "reference as written", "jamie": "our default"})
    return ablation.ablation_panels(metric_rows(VALUES), variants=NAMES, held_out=0.0, about="toy, 3 seeds")


def test_the_figure_has_a_row_per_variant_by_its_label(figure):
    assert [ax.get_title(loc="left") for ax in figure.axes] == [
        "FOSCTTM",
        "label transfer accuracy",
        "Pearson r\nimputed RNA",
    ]
    rows = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert rows == ["reference as written", "mended", "same", "our default"]
    found = texts(figure)
    assert "our default: better than “reference as written” in 3 of 3 scores" in found
    assert found.count("reference") == 3 and found.count("n/a") == 2


def test_the_figure_marks_differences_by_colour_and_weight(figure):
    figure.draw_without_rendering()
    notes = {t.get_text(): (t.get_color(), t.get_weight()) for t in figure.axes[0].texts}
    assert notes["−0.017"] == notes["−0.200"] == (ablation.BETTER_COLOR, "bold")
    assert notes["+0.003"] == (style.GREY, "normal")
    worse = {t.get_text(): t.get_color() for t in figure.axes[2].texts}
    assert worse["−0.117"] == ablation.WORSE_COLOR and worse["+0.167"] == ablation.BETTER_COLOR


def test_the_figure_draws_every_seed(figure):
    dots = [np.sort(c.get_offsets()[:, 0]) for c in figure.axes[0].collections if len(c.get_offsets()) == 3]
    np.testing.assert_allclose(dots[0], [0.20, 0.25, 0.30])
    (mean, _, (bar,)) = figure.axes[0].containers[0]
    assert mean.get_xdata()[0] == pytest.approx(0.25)
    assert bar.get_segments()[0][:, 0] == pytest.approx([0.20, 0.30])


def test_the_figure_overlaps_nothing(figure):
    assert overlaps(figure) == []
    assert outside(figure) == {}


def test_the_figure_needs_a_score():
    with pytest.raises(ValueError, match="No variant has a score"):
        ablation.ablation_panels(metric_rows(VALUES), variants=["other"], held_out=0.0)
