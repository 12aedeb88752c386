"""p-values are uniform without links, q-values keep their promise, scores find planted links."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import false_discovery_control, kstest
from sklearn.metrics import average_precision_score

from jamie.regulation import collect, links
from jamie.regulation.links import Null, Window, by_gene, judge

N_CHROMOSOMES = 4


def genome(n_genes: int, n_peaks: int, rng) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Genes and peaks at random on four chromosomes of 5 Mb."""
    tables = []
    for kind, n in (("gene", n_genes), ("peak", n_peaks)):
        start = rng.integers(0, 5_000_000, n)
        chrom = np.char.add("chr", rng.integers(1, N_CHROMOSOMES + 1, n).astype(str))
        table = pd.DataFrame({"chrom": chrom, "start": start, "end": start + 500})
        tables.append(table.set_index(np.char.add(f"{kind}_", np.arange(n).astype(str))))
    tables[0]["strand"] = rng.choice(["+", "-"], n_genes)
    return tuple(tables)


def p_of(values, window, null) -> np.ndarray:
    p = np.empty(len(window.gene))
    for gene, pairs in by_gene(window):
        p[pairs] = null.p_values(values[gene], window.genes["chrom"].iloc[gene], window.peak[pairs])
    return p


@pytest.fixture(scope="module")
def planted():
    """A window, values of every pair of which a tenth of the near pairs is raised, and which these are."""
    rng = np.random.default_rng(0)
    genes, peaks = genome(150, 1200, rng)
    open_share = rng.beta(1, 5, len(peaks))
    window = Window.of(genes, peaks, 200_000)
    values = rng.normal(size=(150, 1200)) * (0.2 + open_share)  # the more open, the larger by chance
    linked = (np.abs(window.distance_bp) < 40_000) & (rng.random(len(window.gene)) < 0.4)
    at = window.gene[linked], window.peak[linked]
    values[at] += 2 * (0.2 + open_share[at[1]])
    return window, values, open_share, linked


def test_window_has_every_pair_with_its_distance_by_strand():
    genes = pd.DataFrame(
        {"chrom": ["1", "1"], "start": [1000, 1000], "end": [2000, 2000], "strand": ["+", "-"]},
        index=["plus", "minus"],
    )
    peaks = pd.DataFrame({"chrom": ["1", "1", "2"], "start": [400, 1990, 400], "end": [600, 2010, 600]})
    peaks.index = ["left", "right", "elsewhere"]
    table = Window.of(genes, peaks, 2000).table().set_index(["gene", "peak"])
    # TSS 1000 on +, 1999 on -; centres 500 and 2000
    assert table["distance_bp"].to_dict() == {
        ("plus", "left"): -500,
        ("plus", "right"): 1000,
        ("minus", "left"): 1499,
        ("minus", "right"): -1,
    }
    assert table["tss_bp"].to_dict()["minus", "left"] == 1999
    assert table["in_gene_body"].to_dict() == {key: key[1] == "right" for key in table.index}


def test_without_links_p_values_are_uniform_also_in_their_tail(planted):
    window, _, open_share, _ = planted
    rng = np.random.default_rng(1)
    below = []
    for _ in range(8):
        values = rng.normal(size=(150, 1200)) * (0.2 + open_share)
        p = p_of(values, window, Null.of(window.peaks, open_share))
        below.append([(p <= level).mean() for level in (0.5, 0.1, 0.01)])
    mean, n = np.mean(below, axis=0), 8 * len(p)
    for found, level in zip(mean, (0.5, 0.1, 0.01), strict=True):
        # 0.001: ranks among some 900 peaks are not quite continuous
        assert abs(found - level) < 5 * np.sqrt(level * (1 - level) / n) + 0.001


def test_matching_on_accessibility_is_what_makes_them_uniform(planted):
    window, _, open_share, _ = planted
    values = np.random.default_rng(1).normal(size=(150, 1200)) * (0.2 + open_share)
    wide = open_share[window.peak] > np.quantile(open_share, 0.8)
    matched = p_of(values, window, Null.of(window.peaks, open_share))[wide]
    unmatched = p_of(values, window, Null.of(window.peaks, np.ones(1200)))[wide]
    assert (unmatched <= 0.05).mean() > 0.06
    assert (matched <= 0.05).mean() < (unmatched <= 0.05).mean()


def test_a_link_has_the_same_p_whichever_genes_are_asked_for(planted):
    window, values, open_share, _ = planted
    null, some = Null.of(window.peaks, open_share), [3, 70, 149]
    part = Window.of(window.genes.iloc[some], window.peaks, 200_000)
    everyone = p_of(values, window, null)
    np.testing.assert_array_equal(p_of(values[some], part, null), everyone[np.isin(window.gene, some)])


def test_p_is_the_rank_among_peaks_on_other_chromosomes():
    peaks = pd.DataFrame({"chrom": ["a"] * 2 + ["b"] * 300, "start": 0, "end": 1})
    null = Null.of(peaks, np.full(302, 0.5))
    values = np.concatenate([[250.5, 10_000], np.arange(300)])
    p = null.p_values(values, "a", np.array([0, 1]))
    np.testing.assert_allclose(p, [(1 + 49) / 301, 1 / 301])  # 251 to 299 are larger


def test_peaks_without_a_place_are_in_no_null():
    peaks = pd.DataFrame({"chrom": ["a"] * 2 + ["b"] * 300 + [""] * 50, "start": 0, "end": 1})
    null = Null.of(peaks, np.full(352, 0.5))
    values = np.concatenate([[250.5, 10_000], np.arange(300), np.full(50, 1e6)])
    np.testing.assert_allclose(null.p_values(values, "a", np.array([0, 1])), [(1 + 49) / 301, 1 / 301])


def test_of_heavy_tailed_values_p_is_no_smaller_than_it_says():
    rng, n = np.random.default_rng(0), 3_000
    chrom = np.array(["a"] * 20 + ["b"] * n)
    null = Null.of(pd.DataFrame({"chrom": chrom, "start": 0, "end": 1}), rng.random(n + 20) + 0.1)
    assert null.peak_class.max() == 9
    p = np.array([null.p_values(rng.standard_t(1.5, n + 20), "a", np.arange(20)) for _ in range(3_000)])
    for level in (0.001, 0.005, 0.02):
        # four standard errors; a value that did not join its class would give 0.0015 at 0.001
        assert abs((p <= level).mean() - level) < 4 * np.sqrt(level / p.size)


def test_a_value_joins_its_class_and_is_scaled_with_it_against_others():
    chrom = np.array(["a"] + ["b"] * 600)
    values = np.concatenate([[6.0], np.ones(299), [7.0], 2 * np.ones(299), [9.0]])
    null = Null(chrom, np.concatenate([[0], np.repeat([0, 1], 300)]))
    p = null.p_values(values, "a", np.array([0]))
    # its class: 7 is larger. It is 6 / sqrt((299 + 49 + 36) / 301) = 5.31 rms, the 9 of the others 4.41
    np.testing.assert_allclose(p, (1 + 1) / 601)
    values[0] = 4.5  # 4.5 / sqrt((299 + 49 + 20.25) / 301) = 4.07 rms
    np.testing.assert_allclose(null.p_values(values, "a", np.array([0])), (1 + 2) / 601)


def test_z_is_the_distance_from_the_mean_of_matched_peaks():
    peaks = pd.DataFrame({"chrom": ["a"] + ["b"] * 400, "start": 0, "end": 1})
    values = np.concatenate([[7.0], np.tile([1.0, 3.0], 200)])
    z = Null.of(peaks, np.full(401, 0.5)).z_scores(values, "a", np.array([0]))
    np.testing.assert_allclose(z, [(7 - 2) / 1])


def nothing_linked(n_cells: int, n_genes: int = 60, n_peaks: int = 6_000):
    """Genes and peaks sorted along a genome, half of it one chromosome; their values are independent.

    Most peaks are open in few cells, so that many are open in as many. Returns the window, |r| of every gene
    and peak, and the share of cells in which each peak is open.
    """
    rng = np.random.default_rng(n_cells)
    chrom = np.array(["chr1", *(f"chr{i}" for i in range(2, 12))])
    tables = []
    for n in (n_genes, n_peaks):
        place = np.sort(rng.choice(len(chrom), n, p=[0.5, *[0.05] * 10]))
        start = np.concatenate([np.sort(rng.integers(0, 20_000_000, (place == i).sum())) for i in range(11)])
        table = pd.DataFrame({"chrom": chrom[place], "start": start, "end": start + 500, "strand": "+"})
        tables.append(table.set_index(pd.Index([f"{n}_{i}" for i in range(n)])))
    rates = 10 ** rng.uniform(-3, -0.5, n_peaks)
    x = sparse.csc_matrix(rng.random((n_cells, n_peaks)) < rates)
    y = rng.gamma(1.0, size=(n_cells, n_genes))
    values = np.abs(links.measured_correlation(y, x))
    return Window.of(*tables, 2_000_000), values, np.asarray(x.mean(axis=0)).ravel()


@pytest.mark.parametrize("n_cells", [40, 300, 500, 2_000])
def test_where_nothing_is_linked_p_is_uniform_and_no_link_is_found_however_many_ties(n_cells):
    window, values, open_share = nothing_linked(n_cells)
    assert len(np.unique(open_share)) < len(open_share) / 3
    p = p_of(values, window, Null.of(window.peaks, open_share))
    judged = np.isfinite(p)
    np.testing.assert_array_equal(judged, open_share[window.peak] > 0)
    assert judged.sum() > 10_000
    # pairs of one peak or gene are not independent, so that a test of uniformity takes one in twenty
    assert kstest(p[judged][::20], "uniform").pvalue > 0.001
    assert (p[judged] <= 0.001).mean() <= 0.0015
    pairs = pd.DataFrame({"p_value": p, "distance_bp": window.distance_bp})
    pairs = pairs.assign(gene=window.gene, neighbourhood=window.peak)
    pairs = pairs.assign(chrom=window.genes["chrom"].to_numpy()[window.gene], p_correlation=np.nan)
    found = collect.judged(pairs)
    assert (found[["q_value", "q_set"]] <= 0.1).sum().sum() == 0
    assert found["q_value"].notna().sum() == judged.sum()


def test_classes_reach_over_chromosomes_and_do_not_hang_on_the_order_of_the_file():
    window, _, open_share = nothing_linked(40)
    null = Null.of(window.peaks, open_share)
    assert (null.peak_class[open_share == 0] == links.NOT_MATCHED).all()
    for chrom in np.unique(null.chrom):
        n = np.bincount(null.peak_class[null.elsewhere(chrom)])
        assert (n >= links.MIN_MATCHED).all() and len(n) == null.peak_class.max() + 1 > 3
    order = np.random.default_rng(0).permutation(len(open_share))
    shuffled = Null.of(window.peaks.iloc[order], open_share[order])
    np.testing.assert_array_equal(shuffled.peak_class, null.peak_class[order])


def test_genes_of_a_chromosome_that_leaves_too_few_peaks_elsewhere_have_no_p():
    peaks = pd.DataFrame({"chrom": ["a"] * 500 + ["b"] * (links.MIN_MATCHED - 1), "start": 0, "end": 1})
    open_share = np.random.default_rng(0).uniform(0.1, 1, len(peaks))
    null, values = Null.of(peaks, open_share), np.random.default_rng(1).normal(size=len(peaks))
    asked = np.array([3, 550])
    assert (
        np.isnan(null.p_values(values, "a", asked)).all()
        and np.isnan(null.z_scores(values, "a", asked)).all()
    )
    assert np.isfinite(null.p_values(values, "b", asked)).all()


def test_where_no_peak_is_open_no_pair_has_a_p():
    peaks = pd.DataFrame({"chrom": ["a"] * 300 + ["b"] * 300, "start": 0, "end": 1})
    null = Null.of(peaks, np.zeros(600))
    assert np.isnan(null.p_values(np.zeros(600), "a", np.arange(5))).all()


def test_few_peaks_elsewhere_are_said():
    peaks = pd.DataFrame({"chrom": ["chr1"] * 900 + ["chr2"] * 199})
    assert links.why_no_null(peaks).startswith("199 peaks are not on chr1")
    assert links.why_no_null(pd.concat([peaks, peaks])) == ""


def test_q_keeps_its_promise_and_distance_helps(planted):
    window, values, open_share, linked = planted
    p = p_of(values, window, Null.of(window.peaks, open_share))
    chrom = window.genes["chrom"].to_numpy(str)[window.gene]
    q, score = judge(p, window.distance_bp, chrom)
    found = q <= 0.1
    assert (~linked[found]).mean() <= 0.15
    assert found.sum() > (false_discovery_control(p) <= 0.1).sum() + 20
    assert average_precision_score(linked, score) > average_precision_score(linked, -p) + 0.05
    assert ((score >= 0) & (score <= 1)).all()


def test_a_pairs_own_chromosome_has_no_say_in_its_weight(planted):
    window, values, open_share, _ = planted
    p = p_of(values, window, Null.of(window.peaks, open_share))
    chrom = window.genes["chrom"].to_numpy(str)[window.gene]
    own = chrom == "chr1"
    other = p.copy()
    other[own] = np.random.default_rng(0).permutation(other[own])
    _, score = judge(p, window.distance_bp, chrom)
    _, changed = judge(other, window.distance_bp, chrom)
    kept = own & (other == p)
    assert kept.any()
    np.testing.assert_allclose(changed[kept], score[kept])


def test_measured_correlation_is_pearsons_and_zero_for_a_constant():
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=(30, 3)), rng.normal(size=(30, 4))
    y[:, 2], x[:, 3] = 1.0, 0.0
    found = links.measured_correlation(y, x)
    np.testing.assert_allclose(found[:2, :3], np.corrcoef(y.T, x.T)[:2, 3:6], atol=1e-5)
    assert (found[2] == 0).all() and (found[:, 3] == 0).all()


def test_permuted_cells_tell_a_correlation_from_none():
    rng = np.random.default_rng(0)
    genes, peaks = genome(2, 2, rng)
    peaks["chrom"] = genes["chrom"] = "chr1"
    window = Window.of(genes, peaks, 10_000_000)
    driver = rng.normal(size=200)
    y = np.column_stack([driver + rng.normal(size=200), rng.normal(size=200)])
    x = np.column_stack([driver, rng.normal(size=200)])
    p = links.permuted_p(y, x, window, rng)
    strong = (window.gene == 0) & (window.peak == 0)
    assert p[strong] == 1 / (1 + links.PERMUTATIONS) and (p[~strong] > 0.01).all()


def test_permuted_p_counts_the_permutations_with_as_strong_a_correlation(monkeypatch):
    monkeypatch.setattr(links, "PERMUTATIONS", 30)
    rng = np.random.default_rng(0)
    genes, peaks = genome(5, 40, rng)
    window = Window.of(genes, peaks, 10_000_000)
    y, x = rng.normal(size=(60, 5)), sparse.random(60, 40, 0.05, "csr", rng=rng)
    x = sparse.csr_matrix(x.multiply(np.arange(40) != window.peak[3]))  # closed in every cell
    y[:, 0] = np.arange(60) == 7  # in one cell: where the peak is closed in it, r is the same in every order
    p = links.permuted_p(y, x, window, np.random.default_rng(1))
    order = np.random.default_rng(1)
    r = links.measured_correlation(y, x)[window.gene, window.peak].astype(float)
    as_large = 0
    for _ in range(30):
        found = links.measured_correlation(y[order.permutation(60)], x)[window.gene, window.peak]
        as_large = as_large + (np.abs(found) >= np.abs(r) - 1e-6)
    np.testing.assert_array_equal(p, (1 + as_large) / 31)
    assert p[3] == 1 and len(np.unique(p)) > 10


def test_no_pairs_and_no_measured_values_stay_so():
    columns = ["gene", "neighbourhood", "distance_bp", "chrom", "p_value", "p_correlation"]
    empty = collect.judged(pd.DataFrame(columns=columns))
    assert empty.empty and {"q_value", "rank_score", "q_correlation"} <= set(empty.columns)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"distance_bp": rng.integers(-9, 9, 60), "chrom": ["1", "2"] * 30, "gene": "A"})
    table["neighbourhood"] = np.arange(60)
    found = collect.judged(table.assign(p_value=rng.random(60), p_correlation=np.nan))
    assert found["q_value"].notna().all() and found["q_correlation"].isna().all()


def test_bedpe_has_the_peak_and_the_tss(tmp_path):
    row = {
        "set": "A:1",
        "q_set": 0.03,
        "weight": 0.8,
        "gene": "A",
        "peak": "chr1:5-9",
        "chrom": "chr1",
        "start": 5,
        "end": 9,
        "tss_bp": 40,
        "strand": "-",
    }
    links.write_bedpe(
        tmp_path / "x.bedpe", pd.DataFrame([row | {"rank_score": 0.5, "attribution": 0.1, "q_value": 0.02}])
    )
    head, line = (tmp_path / "x.bedpe").read_text().splitlines()
    assert head.startswith("#chrom1\tstart1\tend1\tchrom2")
    assert line.split("\t") == [
        "chr1",
        "5",
        "9",
        "chr1",
        "40",
        "41",
        "A|chr1:5-9",
        "500",
        ".",
        "-",
        "0.1",
        "0.02",
        "A:1",
        "0.03",
        "0.8",
    ]


def test_arrays_hold_each_listed_pair_and_each_group(tmp_path):
    import anndata

    table = pd.DataFrame({"target": ["g2", "g1", "g1"], "source": ["p1", "p1", "p2"]})
    collect.write_arrays(
        tmp_path / "a.h5ad", table.assign(attribution=[0.1, 0.2, 0.3], **{"L2/3": [1.0, 2.0, 3.0]})
    )
    found = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert found.obs_names.tolist() == ["g1", "g2"] and found.var_names.tolist() == ["p1", "p2"]
    np.testing.assert_allclose(found.X.toarray(), [[0.2, 0.3], [0.1, 0]], rtol=1e-6)
    np.testing.assert_allclose(found.layers["L2|3"].toarray(), [[2, 3], [1, 0]])
