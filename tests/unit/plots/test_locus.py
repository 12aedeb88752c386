"""A gene's locus: what the figure says, that upstream follows the strand, and that nothing overlaps."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import PathPatch
from matplotlib.text import Text

from jamie.plots import locus
from shared.figures import outside, overlaps, texts

TYPES = ["CD14 monocytes", "CD4 naive T", "Memory B", "NK", "Plasmacytoid dendritic cells"]
TSS = 197_744_000


def locus_data(n=25, types=TYPES, strand="-", linked=(3, 9, 14), spread=400_000, tss=TSS, seed=0):
    """Links, gene models, open shares and expression of a made-up DENND1B; a peak lies 1.2 kb upstream."""
    rng = np.random.default_rng(seed)
    centre = np.sort(rng.integers(tss - spread, tss + spread, n))
    upstream = 1 if strand == "-" else -1
    if len(linked):
        centre[list(linked)] = tss + upstream * np.array([1_200, 38_000, -95_000])[: len(linked)]
    half = rng.integers(200, 500, n)
    start, end = centre - half, centre + half
    is_linked = np.isin(np.arange(n), linked)
    links = pd.DataFrame(
        {
            "peak": [f"chr1:{a}-{b}" for a, b in zip(start, end, strict=True)],
            "peak_label": [f"chr1:{c:,}" for c in centre],
            "chrom": "chr1",
            "start": start,
            "end": end,
            "tss_bp": tss,
            "strand": strand,
            "distance_bp": (centre - tss) * -upstream,
            "attribution": np.where(is_linked, 0.1, rng.uniform(-0.01, 0.05, n)),
            "effect": np.where(rng.random(n) < 0.3, -0.2, 0.4),
            "q_set": np.where(is_linked, 0.01, 0.6),
            "in_credible_set": True,
            "rank_score": np.where(is_linked, 0.6, rng.uniform(0.02, 0.3, n)),
        }
    )
    if len(linked):
        links.loc[linked[0], ["attribution", "effect", "rank_score"]] = (0.31, 0.5, 0.92)
    if len(linked) > 2:
        links.loc[linked[2], "effect"] = -0.4
    genes = {
        "DENND1B": (tss - 280_000, tss + 1, strand) if strand == "-" else (tss, tss + 280_000, strand),
        "CRB1": (tss - 350_000, tss - 295_000, "+"),
        "C1orf53": (tss + 100_000, tss + 128_000, "+"),
        "LHX9": (tss + 140_000, tss + 157_000, "+"),
        "NEK7": (tss + 250_000, tss + 420_000, "+"),
        "MIR181A1HG": (tss - 60_000, tss - 20_000, "-"),
    }
    models = pd.DataFrame.from_dict(genes, orient="index", columns=["start", "end", "strand"])
    accessibility = pd.DataFrame(
        rng.beta(1, 8, (n, len(types))) + 0.3 * is_linked[:, None] * rng.random(len(types)),
        index=links["peak"],
        columns=types,
    )
    return links, models.assign(chrom="chr1"), accessibility, expression_of(types)


def expression_of(types, n=80):
    rng = np.random.default_rng(1)
    parts = []
    for i, name in enumerate(types):
        mean = 0.3 + 0.4 * (i % 5)
        measured = np.where(rng.random(n) < 0.4, 0, np.maximum(rng.normal(mean + 0.4, 0.5, n), 0))
        for source, value in (("measured", measured), ("imputed", rng.normal(mean, 0.2, n))):
            parts.append(pd.DataFrame({"cell_type": name, "source": source, "value": value}))
    return pd.concat(parts, ignore_index=True)


def draw(**options):
    return locus.locus_figure("DENND1B", *locus_data(**options), about="PBMC")


def panel(figure, i):
    """0 links, 1 accessibility, 2 peaks, 3 genes, 4 expression."""
    return figure.axes[i]


def arcs(figure):
    return [patch for patch in panel(figure, 0).patches if isinstance(patch, PathPatch)]


def colliding(figure):
    """Pairs of visible texts whose boxes overlap, tick labels and legends included."""
    figure.draw_without_rendering()
    found = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    boxes = [(t.get_text(), t.get_window_extent()) for t in found]
    return [
        (a, b)
        for i, (a, box) in enumerate(boxes)
        for b, other in boxes[:i]
        if min(box.x1, other.x1) - max(box.x0, other.x0) > 1
        and min(box.y1, other.y1) - max(box.y0, other.y0) > 1
    ]


def crowded(**options):
    """The example with 30 more genes about the TSS."""
    links, genes, accessibility, expression = locus_data(**options)
    start = TSS - 60_000 + 5_000 * np.arange(30)
    more = {"start": start, "end": start + 25_000, "strand": "+", "chrom": "chr1"}
    genes = pd.concat([genes, pd.DataFrame(more, index=[f"GENE{i}" for i in range(30)])])
    return links, genes, accessibility, expression


@pytest.fixture(scope="module")
def figure():
    return draw()


@pytest.mark.parametrize("strand", ["+", "-"])
def test_the_headline_counts_links_and_upstream_follows_the_strand(strand):
    head = "DENND1B: 3 of 25 peaks are linked (q ≤ 0.1); strongest 1.2 kb"
    links, *rest = locus_data(strand=strand)
    assert f"{head} upstream of the TSS" in texts(locus.locus_figure("DENND1B", links, *rest))
    turned = links.assign(strand={"+": "-", "-": "+"}[strand])
    assert f"{head} downstream of the TSS" in texts(locus.locus_figure("DENND1B", turned, *rest))
    unknown = links.assign(strand=".")
    assert f"{head} from the TSS" in texts(locus.locus_figure("DENND1B", unknown, *rest))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"linked": (3,)}, "DENND1B: 1 of 25 peaks is linked (q ≤ 0.1), 1.2 kb upstream of the TSS"),
        (
            {"n": 1, "linked": (0,)},
            "DENND1B: its only peak is linked (q ≤ 0.1); it lies 1.2 kb upstream of the TSS",
        ),
    ],
)
def test_the_headline_of_one_link(options, message):
    assert message in texts(draw(**options))


def test_without_a_link_the_headline_says_where_the_strongest_peak_lies():
    links, *rest = locus_data(linked=())
    links.loc[7, ["start", "end", "rank_score"]] = (TSS - 40_300, TSS - 39_700, 0.45)
    found = texts(locus.locus_figure("DENND1B", links, *rest, q=0.05))
    assert (
        "DENND1B: no peak of 25 is linked at q ≤ 0.05; the strongest lies 40.0 kb downstream of the TSS"
        in found
    )
    links.loc[7, ["start", "end"]] = (TSS, TSS + 1)
    assert locus.locus_words("DENND1B", links).startswith(
        "Of 25 peaks within the window of DENND1B, none is linked to it (q ≤ 0.1); the strongest, "
    )
    assert "lies over the TSS, yet adds nothing to it." in locus.locus_words("DENND1B", links)


def test_the_caption_quotes_the_strongest_link():
    links = locus_data()[0]
    peak = links["peak_label"][3]
    assert locus.locus_words("DENND1B", links) == (
        "Of 25 peaks within the window of DENND1B, 3 are linked to it (q ≤ 0.1); "
        f"the strongest, {peak}, lies 1.2 kb upstream of the TSS, "
        "carries 31 % of the variance of its imputed expression and raises it."
    )
    links.loc[3, "effect"] = -0.5
    assert locus.locus_words("DENND1B", links).endswith("and lowers it.")
    assert locus.locus_words("DENND1B", links[:0]) == "No peak lies within the window of DENND1B."


@pytest.mark.parametrize(
    ("bp", "words"),
    [(0, "0 bp"), (999, "999 bp"), (1200, "1.2 kb"), (140_400, "140 kb"), (999_900, "1.0 Mb")],
)
def test_lengths_have_units(bp, words):
    assert locus._length(bp) == words


def test_every_peak_has_an_arc_as_high_as_its_score_and_links_lie_on_top(figure):
    links = locus_data()[0]
    drawn = arcs(figure)
    assert len(drawn) == 25
    centre = (links["start"] + links["end"]) // 2
    top = dict(zip(centre, links["rank_score"], strict=True))
    for arc in drawn:
        first, *control, last = arc.get_path().vertices
        assert first.tolist() == [TSS, 0] and last[1] == 0
        assert [y * 0.75 for _, y in control] == pytest.approx([top[last[0]]] * 2)
    thick = {arc.get_path().vertices[-1, 0] for arc in drawn if arc.get_linewidth() > 2}
    assert thick == set(centre[links["q_set"] <= 0.1])
    thin = [arc.get_zorder() for arc in drawn if arc.get_linewidth() < 2]
    assert max(thin) < min(arc.get_zorder() for arc in drawn if arc.get_linewidth() > 2)


def test_an_arc_is_red_where_opening_raises_and_blue_where_it_lowers(figure):
    links = locus_data()[0]
    color = {arc.get_path().vertices[-1, 0]: arc.get_edgecolor() for arc in arcs(figure)}
    centre = (links["start"] + links["end"]) // 2
    strong, lowering = color[centre[3]], color[centre[14]]
    assert strong[0] > 2 * strong[2] and lowering[2] > lowering[0]
    assert "attribution (share of imputed\nvariance), signed by effect" in texts(figure)
    assert {"31 %\nlowers", "0", "31 %\nraises"} <= set(texts(figure))


def test_a_negative_share_has_the_colour_of_none_and_noise_does_not_look_strong():
    links, *rest = locus_data(linked=())
    links = links.assign(attribution=np.where(np.arange(25) == 4, 0.004, -0.01), effect=1.0)
    figure = locus.locus_figure("DENND1B", links, *rest)
    middle = locus.SIGNED(0.5)[:3]
    assert sum(arc.get_edgecolor()[:3] == pytest.approx(middle, abs=0.01) for arc in arcs(figure)) == 24
    assert "0.4 %\nraises" in texts(figure)


def test_the_view_is_narrowed_to_the_links_or_says_that_it_is_not(figure):
    links = locus_data()[0]
    low, high = panel(figure, 0).get_xlim()
    linked = links[links["q_set"] <= 0.1]
    assert low < linked["start"].min() and linked["end"].max() < high and high - low < 180_000
    n = int((~((links["start"] + links["end"]) // 2).between(low, high)).sum())
    about = next(text for text in texts(figure) if text.startswith("PBMC; "))
    assert f"in view: the linked peaks and the TSS ({n} of 25 peaks outside)" in about
    assert all(panel(figure, i).get_xlim() == (low, high) for i in range(4))
    wide = draw(linked=())
    low, high = panel(wide, 0).get_xlim()
    links = locus_data(linked=())[0]
    assert low < links["start"].min() and high > links["end"].max()
    assert any("PBMC; in view: all peaks of the window" in text for text in texts(wide))


def test_positions_are_in_kb_in_a_narrow_view_and_in_mb_in_a_wide_one(figure):
    assert panel(figure, 3).get_xlabel() == "position on chr1 (kb)" and "197,700" in texts(figure)
    wide = draw(linked=())
    assert panel(wide, 3).get_xlabel() == "position on chr1 (Mb)" and "197.6" in texts(wide)


def test_bars_are_the_open_shares_on_one_scale(figure):
    links, _, accessibility, _ = locus_data()
    ax = panel(figure, 1)
    scale = float(ax.get_title(loc="left").split()[-1])
    low, high = ax.get_xlim()
    seen = ((links["start"] + links["end"]) // 2).between(low, high).to_numpy()
    assert scale - 0.1 < accessibility[seen].to_numpy().max() <= scale
    rows = [c for c in ax.containers if len(c) == 25]
    assert len(rows) == 5
    for i, row in enumerate(rows):
        bars = {bar.get_x() + bar.get_width() / 2: bar for bar in row}
        for j, x in enumerate((links["start"] + links["end"]) / 2):
            bar = min(bars.items(), key=lambda item: abs(item[0] - x))[1]
            assert bar.get_height() / 0.85 * scale == pytest.approx(accessibility.iloc[j, i])
            assert bar.get_y() == 4 - i
    assert [label.get_text() for label in ax.get_yticklabels()] == TYPES


def test_peaks_have_their_true_extent_but_stay_visible():
    links, *rest = locus_data()
    links.loc[9, ["start", "end"]] = (TSS + 30_000, TSS + 42_000)
    links.loc[3, ["start", "end"]] = (TSS + 1_200, TSS + 1_210)
    figure = locus.locus_figure("DENND1B", links, *rest)
    (boxes,) = [c for c in panel(figure, 2).containers if len(c) == 25]
    widths = sorted(bar.get_width() for bar in boxes)
    low, high = panel(figure, 2).get_xlim()
    assert widths[-1] == 12_000 and widths[0] == pytest.approx(0.005 * (high - low))
    assert any("peaks drawn at least" in text for text in texts(figure))


def test_expression_stands_beside_each_type(figure):
    ax = panel(figure, 4)
    assert len(ax.collections) == 10 and ax.get_xlabel() == "expression (log-normalised)"
    assert {"measured", "imputed by JAMIE", "mean"} <= set(texts(figure))
    expression = locus_data()[3]
    means = expression.groupby(["source", "cell_type"])["value"].mean()
    drawn = [line.get_xdata()[0] for line in ax.lines]
    assert drawn == pytest.approx([means[s, t] for s in ("measured", "imputed") for t in TYPES])
    middle = [y + 0.42 for y in (4, 3, 2, 1, 0)]
    extents = [c.get_paths()[0].get_extents() for c in ax.collections]
    assert [e.y0 for e in extents[:5]] == pytest.approx(middle)  # measured above, imputed below
    assert [e.y1 for e in extents[5:]] == pytest.approx(middle)
    box, beside = panel(figure, 1).get_position(), ax.get_position()
    assert (box.y0, box.y1, panel(figure, 1).get_ylim()) == (beside.y0, beside.y1, ax.get_ylim())


@pytest.mark.parametrize("gone", ["measured", "imputed"])
def test_a_missing_source_is_said(gone):
    links, genes, accessibility, expression = locus_data()
    rows = expression[expression["source"] != gone]
    figure = locus.locus_figure("DENND1B", links, genes, accessibility, rows)
    assert len([c for c in panel(figure, 4).collections if len(c.get_paths())]) >= 5
    assert {"measured": "measured: no values", "imputed": "imputed by JAMIE: no values"}[gone] in texts(
        figure
    )
    assert colliding(figure) == [] and overlaps(figure) == [] and outside(figure) == {}


def test_few_or_constant_cells_are_points():
    links, genes, accessibility, expression = locus_data(types=["all cells"])
    few = expression.groupby("source").head(3)
    ax = panel(locus.locus_figure("DENND1B", links, genes, accessibility, few), 4)
    assert [len(c.get_offsets()) for c in ax.collections] == [3, 3]
    constant = expression.assign(value=0.0)
    ax = panel(locus.locus_figure("DENND1B", links, genes, accessibility, constant), 4)
    assert [len(c.get_offsets()) for c in ax.collections] == [80, 80]


def test_the_gene_is_bold_and_only_genes_in_view_are_drawn(figure):
    labels = {t.get_text(): t for t in panel(figure, 3).texts}
    assert set(labels) == {"DENND1B", "MIR181A1HG"}
    assert labels["DENND1B"].get_fontweight() == "bold" and labels["MIR181A1HG"].get_fontweight() == "normal"
    markers = {line.get_marker() for line in panel(figure, 3).lines} - {"None", ""}
    assert markers == {"<"}
    links, genes, accessibility, expression = locus_data()
    genes.loc["MIR181A1HG", "chrom"] = "chr2"
    other = locus.locus_figure("DENND1B", links, genes, accessibility, expression)
    assert [t.get_text() for t in panel(other, 3).texts] == ["DENND1B"]


def test_genes_without_room_are_counted():
    data = crowded()
    figure = locus.locus_figure("DENND1B", *data)
    low, high = panel(figure, 3).get_xlim()
    n_seen = int(((data[1]["end"] > low) & (data[1]["start"] < high)).sum())
    n_drawn = len(panel(figure, 3).texts)
    assert 4 < n_drawn < n_seen
    assert f"genes\n+ {n_seen - n_drawn} more genes" in texts(figure)
    assert "DENND1B" in {t.get_text() for t in panel(figure, 3).texts}
    assert colliding(figure) == [] and overlaps(figure) == [] and outside(figure) == {}


def test_of_many_types_the_largest_are_drawn_in_their_order():
    types = [f"type {i:02d}" for i in range(14)]
    links, genes, accessibility, expression = locus_data(types=types)
    small = expression["cell_type"].isin(["type 03", "type 08"])
    rows = expression.drop(expression.index[small & (expression.index % 2 == 0)])
    rows = rows.astype({"cell_type": "category"})
    figure = locus.locus_figure("DENND1B", links, genes, accessibility, rows)
    shown = [label.get_text() for label in panel(figure, 1).get_yticklabels()]
    assert shown == [name for name in types if name not in ("type 03", "type 08")]
    assert any("the 12 largest of 14 cell types" in text for text in texts(figure))
    assert colliding(figure) == [] and overlaps(figure) == [] and outside(figure) == {}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"strand": "+"},
        {"linked": ()},
        {"types": ["all cells"]},
        {"n": 1, "linked": ()},
        {"n": 1, "linked": (0,)},
        {"types": TYPES[:2], "spread": 5_000, "linked": ()},
        {"tss": 1_500, "spread": 1_000, "linked": (), "strand": "+"},
    ],
)
def test_the_figure_overlaps_nothing(options):
    figure = draw(**options)
    assert colliding(figure) == []
    assert overlaps(figure) == []
    assert outside(figure) == {}


def test_long_words_are_wrapped():
    data = locus_data()
    figure = locus.locus_figure("DENND1B", *data, about="a long name of a dataset and how it was made, " * 4)
    assert colliding(figure) == [] and overlaps(figure) == [] and outside(figure) == {}


def test_without_peaks_there_is_a_notice():
    links, *rest = locus_data()
    found = texts(locus.locus_figure("DENND1B", links[:0], *rest))
    assert found == ["DENND1B: no peak lies within the window, so there is nothing to link."]


def test_values_that_are_not_known_do_not_stop_it():
    links, genes, accessibility, expression = locus_data(linked=())
    links = links.assign(q_set=np.nan, rank_score=np.nan)
    figure = locus.locus_figure("DENND1B", links, genes, accessibility[3:], expression)
    assert any(text.startswith("DENND1B: no peak of 25 is linked") for text in texts(figure))
    with pytest.raises(ValueError, match=r"links of a gene table lacks the column\(s\) rank_score"):
        locus.locus_figure("DENND1B", links.drop(columns="rank_score"), genes, accessibility, expression)
