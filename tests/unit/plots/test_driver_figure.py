"""Drivers of imputed features: which targets are shown, what the bars say, and that nothing overlaps."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from jamie.plots import drivers, style
from shared.figures import outside, overlaps

PEAK = "chr{}:127493021-127493921"
EPHYS = "upstroke-to-downstroke ratio, short square {}"


def table(shares, sources=None, sd=0.0, effect=1.0):
    """target -> shares of its sources, the best first; ``sources``: target -> their names."""
    parts = []
    for target, values in shares.items():
        names = (sources or {}).get(target, [f"{target}_{i}" for i in range(len(values))])
        part = {
            "target": target,
            "source": names,
            "source_label": names,
            "rank": np.arange(1, len(values) + 1),
        }
        parts.append(pd.DataFrame(part | {"attribution": values, "attribution_sd": sd, "effect": effect}))
        parts[-1] = parts[-1].assign(place=np.nan, distance_bp=np.nan)  # as an empty cell is read
    return pd.concat(parts, ignore_index=True)


def many(n, target="GENE{}", source=PEAK, n_sources=20, sd=0.01):
    """Made-up drivers of ``n`` targets, their sources drawn from 60."""
    rng = np.random.default_rng(0)
    shares = {target.format(i): np.sort(rng.beta(1, 15, n_sources))[::-1] for i in range(n)}
    sources = {name: [source.format(j) for j in rng.permutation(60)[:n_sources]] for name in shares}
    found = table(shares, sources, sd)
    return found.assign(effect=rng.normal(size=len(found)))


def draw(found, **options):
    return drivers.drivers_figure(found, source="atac", target="rna", about="mouse", **options)


def bars(ax):
    return [(round(bar.get_width(), 6), to_hex(bar.get_facecolor()).upper()) for bar in ax.patches]


def titles(figure):
    return [ax.get_title(loc="left") for ax in figure.axes]


def test_targets_are_shown_by_what_their_strongest_sources_carry():
    shares = {"b": [0.2, 0.2], "a": [0.3], "c": [0.25, 0.2], "d": [0.05] * 20}
    found = table(shares)
    # d: 8 bars of 0.05, and no more count, as much as b
    assert drivers.shown_targets(found) == ["c", "b", "d", "a"]
    assert drivers.shown_targets(found.sort_values("source", ascending=False)) == ["c", "d", "b", "a"]


def test_of_targets_with_the_same_strongest_source_one_is_shown_before_a_second():
    shares = {"a": [0.9], "b": [0.8], "c": [0.7], "d": [0.6], "e": [0.5]}
    sources = {"a": ["p"], "b": ["p"], "c": ["p"], "d": ["q"], "e": ["q"]}
    assert drivers.shown_targets(table(shares, sources)) == ["a", "d", "b", "e", "c"]


def test_targets_asked_for_come_first_and_none_twice():
    found = table({f"g{i:02d}": [1 - i / 100] for i in range(30)})
    assert drivers.shown_targets(found) == [f"g{i:02d}" for i in range(drivers.MAX_TARGETS)]
    shown = drivers.shown_targets(found, ["g20", "unknown", "g01", "g20"])
    assert shown == ["g20", "g01", "g00", *(f"g{i:02d}" for i in range(2, drivers.MAX_TARGETS - 1))]
    everyone = [f"g{i:02d}" for i in range(29, -1, -1)]
    assert drivers.shown_targets(found, everyone) == everyone[: drivers.MAX_TARGETS]


def test_bars_are_percent_and_red_where_a_source_raises_the_target():
    found = table({"A": [0.5, 0.25, 0.125, -0.01]}).assign(effect=[0.2, -0.2, 3.0, -4.0])
    figure = draw(found)
    red, blue = drivers.RAISES, drivers.LOWERS
    assert bars(figure.axes[0]) == [(50, red), (25, blue), (12.5, red), (-1, blue)]
    legend = figure.legends[0]
    assert [text.get_text() for text in legend.get_texts()] == ["raises the target", "lowers it"]
    assert [to_hex(patch.get_facecolor()).upper() for patch in legend.get_patches()] == [red, blue]


def test_the_best_source_is_at_the_top_and_all_panels_have_one_scale():
    figure = draw(table({"A": [0.5, 0.25], "B": np.linspace(0.1, 0.01, 20)}, sd=0.1))
    assert titles(figure) == ["A", "B"]
    for ax, n in zip(figure.axes, (2, drivers.N_BARS), strict=True):
        labels = [label.get_text() for label in ax.get_yticklabels()]
        assert labels == [f"{ax.get_title(loc='left')}_{i}" for i in range(n)]
        assert ax.get_ylim()[0] > ax.get_ylim()[1] and len(ax.patches) == n
        assert ax.get_xlim() == pytest.approx((0, 104 * 0.6))


def test_the_headline_names_the_strongest_sources_of_the_first_targets():
    shares = {name: [0.9 - i / 10] for i, name in enumerate("ABCDE")}
    figure = draw(table(shares, {"A": ["p"], "C": ["q"]}), asked=["C"])
    head = [text.get_text().replace("\n", " ") for text in figure.texts]
    assert head[0] == "Strongest ATAC drivers of imputed RNA: q for C, p for A, B_0 for B, D_0 for D"
    assert head[1] == "mouse; all targets; one seed" and titles(figure)[0] == "C"


def test_what_is_left_out_is_said():
    about = draw(many(30)).texts[1].get_text()
    assert about == f"mouse; {drivers.MAX_TARGETS} of 30 targets; bars: mean over seeds, lines: sd"


def test_words_give_the_share_that_the_strongest_carry():
    found = table({"A": [0.05] * 20, "B": [0.5, 0.1], "C": [0.9]}, {"B": ["p", "q"], "C": ["r"]})
    words = drivers.driver_words(found)
    assert words == (
        "The 8 strongest sources of a target carry 60% of its imputed variance "
        "(median of 3 targets; 40% to 90%)."
    )


def test_peaks_near_the_gene_are_told_from_those_elsewhere():
    found = table({"A": [0.3, 0.2, 0.1]}, {"A": ["p", "q", "r"]})
    found = found.assign(place=["cis", "trans", ""], distance_bp=[-12_400.0, np.nan, np.nan])
    (ax,) = draw(found).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["p  cis, -12 kb", "q  trans", "r"]
    assert "Of 2 such sources with a place, 1 are cis, near" in drivers.driver_words(found)
    assert draw(found).texts[0].get_text().endswith("p for A")


def test_a_source_is_called_by_its_label():
    found = table({"A": [0.3, 0.2]}, {"A": ["p", "q"]}).assign(
        source_label=["chr3:5,012,100 (Sst +12 kb)", "q"]
    )
    figure = draw(found)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == [
        "chr3:5,012,100 (Sst +12 kb)",
        "q",
    ]
    assert "chr3:5,012,100 (Sst +12 kb) for A" in figure.texts[0].get_text().replace("\n", " ")


def test_words_name_the_source_that_comes_first_most_often():
    sources = {"A": ["p", "q"], "B": ["q", "p"], "C": ["q", "r"], "D": ["r", "q"]}
    words = drivers.driver_words(table({name: [0.3, 0.2] for name in "ABCD"}, sources))
    assert words.endswith("50% to 50%). q comes first most often, for 2 targets.")


@pytest.mark.parametrize(
    ("n", "target", "source"),
    [
        (1, "A{}", "B{}"),
        (3, "GENE{}", "GENE{}"),
        (12, "GENE{}", "GENE{}"),
        (1, "DENND1B", PEAK),
        (30, "GENE{}", PEAK),
        (1, PEAK, "GENE{}"),
        (12, PEAK, "GENE{}"),
        (5, EPHYS, "GENE{}"),
        (5, "GENE{}", EPHYS),
    ],
)
def test_nothing_overlaps_or_leaves_the_figure(n, target, source):
    figure = draw(many(n, target, source))
    assert overlaps(figure) == [] and outside(figure) == {}


def test_a_long_name_of_a_dataset_overlaps_nothing():
    about = "human_pbmc_multiome_10x_genomics_granulocytes_removed"
    figure = drivers.drivers_figure(many(2, source="P{}"), source="atac", target="rna", about=about)
    assert figure.texts[1].get_text().startswith(about) and overlaps(figure) == [] and outside(figure) == {}


def test_a_table_that_lacks_what_is_drawn_is_refused():
    found = table({"A": [0.5]})
    with pytest.raises(ValueError, match=r"drivers table lacks the column\(s\) effect"):
        draw(found.drop(columns="effect"))
    with pytest.raises(ValueError, match="drivers table holds no rows"):
        draw(found[:0])


def test_equal_tables_give_equal_files(tmp_path):
    for name in "ab":
        style.save(draw(many(2)), tmp_path / f"{name}.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
