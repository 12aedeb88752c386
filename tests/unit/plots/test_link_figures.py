"""Figures of peak-gene links: the message follows the numbers, and nothing overlaps."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from scipy.special import expit
from scipy.stats import false_discovery_control, norm

from jamie.plots import link_words, palette, style
from jamie.plots import links as figures
from jamie.regulation import enrichment

NULL_SIZE = 20_000  # matched peaks: enough for q to reach its levels


def example(n=4000, n_true=150, strength=5.0, measured=True, seed=0):
    """Pairs whose true links lie near the gene; returns links and which are true."""
    rng = np.random.default_rng(seed)
    wide = rng.integers(-500_000, 500_001, n)
    distance = np.where(rng.random(n) < 0.2, rng.laplace(scale=25_000, size=n).astype(int), wide)
    nearness = np.exp(-np.abs(distance) / 20_000) + 0.001
    true = np.zeros(n, dtype=bool)
    true[rng.choice(n, n_true, replace=False, p=nearness / nearness.sum())] = True
    imputed, plain = (rng.normal(size=n) + strength * share * true for share in (1, 0.6))
    p, p_plain = (np.round(1 + NULL_SIZE * norm.sf(z)) / (NULL_SIZE + 1) for z in (imputed, plain))
    table = pd.DataFrame(
        {
            "distance_bp": distance.clip(-500_000, 500_000),
            "in_gene_body": (distance > 0) & (distance < rng.integers(1_000, 80_000, n)),
            "attribution": np.exp(imputed - 6),
            "p_value": p,
            "q_value": false_discovery_control(p),
            "rank_score": expit(imputed * strength - strength**2 / 2 + np.log(nearness / 10)),
            "correlation": plain / 20,
            "rank_score_correlation": expit(plain * strength - strength**2 / 2 + np.log(nearness / 10)),
            "p_correlation": p_plain,
            "q_correlation": false_discovery_control(p_plain),
            "signac_z": plain + rng.normal(scale=0.3, size=n),
        }
    )
    if not measured:
        columns = ["correlation", "rank_score_correlation", "p_correlation", "q_correlation", "signac_z"]
        table[columns] = np.nan
    return table, true


CASES = {
    "links": example(),
    "nothing": example(strength=0.0),
    "no pairs": example(measured=False),
    "few": example(n=200, n_true=10),
}


def drawn(table, true):
    """All three figures and their captions."""
    profile, near = enrichment.distance_profile(table), enrichment.near_enrichment(table)
    curve, summary = enrichment.precision_recall(table, true)
    calibration, known = enrichment.calibration(table, true), enrichment.known_enrichment(table, true)
    return {
        "distance": (
            figures.distance_figure(profile, near, about="x"),
            link_words.distance_words(profile, near),
        ),
        "truth": (
            figures.truth_figure(curve, summary, calibration, about="x"),
            link_words.truth_words(summary, calibration),
        ),
        "known": (figures.known_figure(known, about="x"), link_words.known_words(known)),
    }


@pytest.fixture(scope="module")
def all_cases():
    return {case: drawn(*pairs) for case, pairs in CASES.items()}


def texts(figure):
    figure.draw_without_rendering()
    return [t for t in figure.findobj(Text) if t.get_text() and t.get_visible()]


def said(figure):
    return "\n".join(t.get_text() for t in texts(figure))


def in_view(text):
    """Ticks beyond the limits of an axis are kept by matplotlib but not drawn."""
    axes = text.axes
    return axes is None or text not in [
        tick.label1
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    ]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", ["distance", "truth", "known"])
def test_no_text_overlaps_another_or_leaves_the_figure(all_cases, case, name):
    figure = all_cases[case][name][0]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts(figure) if in_view(t)]
    overlapping = [
        (a, b)
        for i, (a, box) in enumerate(boxes)
        for b, other in boxes[:i]
        if min(box.x1, other.x1) - max(box.x0, other.x0) > 1
        and min(box.y1, other.y1) - max(box.y0, other.y0) > 1
    ]
    assert overlapping == []
    whole = figure.bbox
    assert all(box.x0 >= -1 and box.x1 <= whole.x1 + 1 and box.y1 <= whole.y1 + 1 for _, box in boxes)


def test_headline_gives_the_folds_near_the_gene(all_cases):
    profile = enrichment.distance_profile(CASES["links"][0]).set_index(["statistic", "bin"])["fold"]
    imputed, measured = (profile[s, "< 10 kb"] for s in ("imputed", "measured"))
    message = f"Pairs with p ≤ 0.01 crowd near the gene: {imputed:.0f} × chance within 10 kb"
    figure, words = all_cases["links"]["distance"]
    assert f"{message} (measured: {measured:.0f} ×)" in said(figure)
    assert f"imputed {imputed:.0f} × (95 % interval" in words and "; measured, q ≤ 0.1, " in words
    assert "no link" not in words


def test_nothing_significant_is_said(all_cases):
    figure, words = all_cases["nothing"]["distance"]
    assert "Pairs with p ≤ 0.01 do not crowd near the gene" in said(figure)
    assert "\nWithout their distance, no imputed link reaches q ≤ 0.1" in said(figure)
    assert said(figure).count("no pair at q ≤ 0.1 without distance") == 2
    assert "imputed, no pair at q ≤ 0.1 without distance" in words
    figure, words = all_cases["nothing"]["truth"]
    assert "No imputed link is significant, up to q = 0.2" in said(figure)
    assert said(figure).count("no link") == 6 and "no link at q ≤ 0.05" in words
    assert "Known links are no more frequent among the top" in said(all_cases["nothing"]["known"][0])


def test_absent_measured_values_are_said(all_cases):
    for figure, words in all_cases["no pairs"].values():
        assert "measured values: not shown, no cells are known to be pairs" in said(figure)
        assert words.endswith("Measured values: not shown, no cells are known to be pairs.")
    for figure, words in all_cases["links"].values():
        assert "not shown" not in said(figure) + words


def test_links_that_exceed_chance_everywhere_do_not_crowd():
    rows = [("imputed", name, 1000, 50, 10.0, 5.0, 3.7, 6.5) for name in enrichment.DISTANCE_BINS]
    columns = ["statistic", "bin", "n_links", "n_below", "expected", "fold", "ci_low", "ci_high"]
    profile, near = pd.DataFrame(rows, columns=columns), enrichment.near_enrichment(CASES["no pairs"][0])
    found = said(figures.distance_figure(profile, near))
    assert "exceed chance near and far: 5.0 × chance within 10 kb, 5.0 × at 200-500 kb" in found
    empty = profile.assign(n_links=profile["n_links"].mask(profile["bin"] == "< 10 kb", 0))
    assert "No pair is nearer than 10 kb" in said(figures.distance_figure(empty, near))


def test_truth_ranks_by_area_and_names_the_points(all_cases):
    table, true = CASES["links"]
    summary = enrichment.precision_recall(table, true)[1].set_index("statistic")["auprc"]
    calibration = enrichment.calibration(table, true)
    best = summary["imputed, with distance"]
    figure, words = all_cases["links"]["truth"]
    assert f"True links are ranked best by imputed values with distance: AUPRC {best:.3f}" in said(figure)
    labels = [t.get_text() for t in figure.legends[0].get_texts()]
    areas = [float(label.split()[0]) for label in labels]
    assert labels[0].endswith("imputed, with distance") and labels[-1].endswith("chance")
    assert areas[:-1] == sorted(areas[:-1], reverse=True) and len(labels) == 7
    for n in calibration["n_significant"]:
        assert f"{n:,}" in said(figure) and f" of {n:,} (" in words


def test_truth_says_whether_q_is_kept():
    table, true = CASES["links"]
    curve, summary = enrichment.precision_recall(table, true)
    kept = enrichment.calibration(table, true)
    broken = enrichment.calibration(table, ~true)
    assert "false no more often than q promises" in said(figures.truth_figure(curve, summary, kept))
    assert "false more often than q promises" in said(figures.truth_figure(curve, summary, broken))


def test_colors_are_fixed(all_cases):
    jamie = palette.method_color("jamie", ["jamie"])
    lines = all_cases["links"]["known"][0].axes[0].lines
    assert [line.get_color() for line in lines[:2]] == [jamie, "#0072B2"]
    assert all_cases["no pairs"]["known"][0].axes[0].lines[0].get_color() == jamie


def test_known_links_are_counted(all_cases):
    figure, words = all_cases["links"]["known"]
    assert "Known links are more frequent among the top" in said(figure)
    assert words.startswith("Of 4,000 pairs, 150 are known as links; among the strongest: imputed, ")


def test_figures_refuse_empty_tables():
    empty = enrichment.distance_profile(CASES["links"][0]).iloc[:0]
    with pytest.raises(ValueError, match="distance profile table holds no rows"):
        figures.distance_figure(empty, empty)


def test_equal_figures_are_equal_files(tmp_path):
    known = enrichment.known_enrichment(*CASES["few"])
    for name in ("a.svg", "b.svg"):
        style.save(figures.known_figure(known), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
