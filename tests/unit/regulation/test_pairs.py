"""Attributions of several fits are put together as means; a pair's p-value is its own."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jamie import JAMIE
from jamie.data.correspondence import Correspondence, from_names
from jamie.linear.blocks import dense
from jamie.regulation import fine_mapping, links, pairs
from jamie.regulation.attribution import Explained, measure_influence

pytestmark = pytest.mark.usefixtures("one_torch_thread")
WINDOW_BP = 2_000_000


@pytest.fixture(scope="module")
def fits(raw_multiome, prepared_multiome, small_options):
    """Two seeds, each as the function that `pool` calls."""
    known = from_names(raw_multiome)
    found = []
    for seed in (0, 1):
        model = JAMIE(seed=seed, progress=False, **small_options | {"max_epochs": 15}).fit(prepared_multiome)
        influence = measure_influence(model, prepared_multiome, "atac", "rna")
        found.append(pairs.Fit(model, prepared_multiome, influence, known))
    return [lambda fit=fit: fit for fit in found]


@pytest.fixture(scope="module")
def names(fits):
    models = [fit().model for fit in fits]
    return tuple(pairs.known_to_all(models, modality) for modality in ("rna", "atac"))


@pytest.fixture(scope="module")
def pooled(fits, names):
    return pairs.pool(fits, *names)


@pytest.fixture(scope="module")
def places(prepared_multiome, names):
    genes, peaks = (prepared_multiome.mod[m].var.loc[n] for m, n in zip(("rna", "atac"), names, strict=True))
    return genes[["chrom", "start", "end", "strand"]], peaks


@pytest.fixture(autouse=True)
def few_elsewhere(monkeypatch):
    """A null of the few peaks there are."""
    monkeypatch.setattr(links, "MIN_ELSEWHERE", 20)
    monkeypatch.setattr(links, "PERMUTATIONS", 20)


def test_pooled_is_the_mean_of_the_fits(fits, names, pooled):
    shares = []
    for load in fits:
        fit = load()
        explained = Explained(fit.model, fit.prepared, fit.influence)
        rows = pd.Index(explained.targets).get_indexer(names[0])
        cols = pd.Index(explained.sources).get_indexer(names[1])
        shares.append(explained.shares(rows)[:, cols])
    np.testing.assert_allclose(pooled.share, np.mean(shares, axis=0), atol=1e-6)
    np.testing.assert_allclose(pooled.share_sd, np.std(shares, axis=0), atol=1e-6)
    alone = pairs.pool(fits[:1], *names)
    np.testing.assert_allclose(alone.share, shares[0], atol=1e-6)
    assert not alone.share_sd.any() and pooled.share_sd.any()


def test_a_feature_that_one_model_lacks_is_left_out():
    class Model:
        def __init__(self, *names):
            self.names = names

        def feature_names(self, modality):
            return np.array(self.names)

    assert list(pairs.known_to_all([Model("c", "a", "b"), Model("b", "c", "d")], "rna")) == ["c", "b"]


def test_drivers_are_the_largest_shares_best_first(pooled):
    table = pairs.drivers(pooled)
    assert len(table) == 20 * len(pooled.targets)
    for i, (target, own) in enumerate(table.groupby("target", sort=False)):
        assert target == pooled.targets[i] and list(own["rank"]) == list(range(1, 21))
        np.testing.assert_allclose(own["attribution"], np.sort(pooled.share[i])[::-1][:20])


def test_genes_are_moved_to_where_others_lie_and_judged_as_if_they_lay_there(pooled, places, few_matched):
    genes, peaks = places
    table = pairs.moved_table(pooled, genes, peaks, WINDOW_BP)
    assert tuple(table.columns) == pairs.MOVED_COLUMNS and len(table)
    along = genes.sort_values(["chrom", "start"], kind="stable")
    half = len(along) // 2
    null = links.Null.of(peaks, pooled.open_share)
    for name, own in list(table.groupby("gene"))[::7]:
        there = along.iloc[along.index.get_loc(name) - half]
        centre = (peaks["start"] + peaks["end"]).loc[own["peak"]].to_numpy() // 2
        tss = there["end"] - 1 if there["strand"] == "-" else there["start"]
        np.testing.assert_array_equal(np.abs(centre - tss), np.abs(own["distance_bp"]))
        assert (own["chrom"] == there["chrom"]).all()
        values = pooled.specific[list(pooled.targets).index(name)]
        p = null.p_values(values, there["chrom"], peaks.index.get_indexer(own["peak"]))
        np.testing.assert_array_equal(own["p_value"], p)
    some = genes.index[[3, 20]]
    few = pairs.moved_table(pairs.some_targets(pooled, some), genes, peaks, WINDOW_BP)
    pd.testing.assert_frame_equal(
        few.reset_index(drop=True), table[table["gene"].isin(some)].reset_index(drop=True)
    )


def test_a_gene_that_stays_near_its_place_is_not_moved(pooled, places):
    genes, peaks = places
    table = pairs.moved_table(pooled, genes.assign(chrom="chr1", start=5, end=9), peaks, WINDOW_BP)
    assert table.empty and tuple(table.columns) == pairs.MOVED_COLUMNS


def test_drivers_are_cis_or_trans_as_seen_from_the_gene():
    genes = pd.DataFrame(
        {"chrom": ["1", "1"], "start": [1_000, 1_000], "end": [2_000, 2_000], "strand": ["+", "-"]},
        index=["plus", "minus"],
    )
    peaks = pd.DataFrame(
        {"chrom": ["1", "1", "2", ""], "start": [400, 90_000, 400, 0], "end": [600, 90_200, 600, 0]},
        index=["near", "far", "other", "nowhere"],
    )
    asked = [("plus", "near"), ("minus", "near"), ("plus", "far"), ("plus", "other"), ("unplaced", "near")]
    asked.append(("plus", "nowhere"))
    found = pairs.with_places(pd.DataFrame(asked, columns=["target", "source"]), genes, peaks, 10_000)
    assert found["place"].tolist() == ["cis", "cis", "trans", "trans", "", ""]
    # TSS 1000 on +, 1999 on -; centres 500 and 90,100
    np.testing.assert_array_equal(found["distance_bp"], [-500, 1_499, 89_100, np.nan, np.nan, np.nan])


def test_a_pair_has_the_same_p_whichever_other_genes_are_asked_for(pooled, places):
    genes, peaks = places
    every = pairs.link_table(pooled, genes, peaks, WINDOW_BP)
    few = genes.index[[5, 20, 41]]
    some = pairs.link_table(pairs.some_targets(pooled, few), genes.loc[few], peaks, WINDOW_BP)
    assert set(some["gene"]) == set(few)
    both = some.merge(every, on=["gene", "peak"], suffixes=("", "_all"))
    assert len(both) == len(some)
    for name in ("p_value", "p_correlation", "signac_z", "attribution", "rank"):
        np.testing.assert_allclose(both[name], both[f"{name}_all"], atol=1e-7)


def test_a_window_without_peaks_has_no_row_and_no_window_at_all_an_empty_table(pooled, places):
    genes, peaks = places
    far = genes.copy()
    far.loc[far.index[0], ["start", "end"]] = [900_000_000, 900_001_000]
    table = pairs.link_table(pooled, far, peaks, WINDOW_BP)
    assert far.index[0] not in set(table["gene"]) and far.index[1] in set(table["gene"])
    nowhere = far.assign(chrom="chrZ")
    empty = pairs.link_table(pooled, nowhere, peaks, WINDOW_BP)
    assert len(empty) == 0 and set(pairs.LINK_COLUMNS) == set(empty.columns) == set(table.columns)


@pytest.fixture
def few_matched(monkeypatch):
    """These data are small: a null of few peaks is enough."""
    monkeypatch.setattr("jamie.regulation.links.MIN_MATCHED", 10)


def test_a_gene_whose_values_do_not_vary_is_linked_to_nothing(fits, names, places, monkeypatch, few_matched):
    constant = names[0][7]

    def without(self, targets):
        values = original(self, targets)
        values[:, np.asarray(self.targets)[targets] == constant] = 0
        return values

    original = Explained.values
    monkeypatch.setattr(Explained, "values", without)
    table = pairs.link_table(pairs.pool(fits, *names), *places, WINDOW_BP)
    own = table[table["gene"] == constant]
    assert len(own) and (own["p_value"] == 1).all() and (own["attribution"] == 0).all()
    assert table["p_value"].between(0, 1).all() and table["effect"].notna().all()


def test_where_few_pairs_are_known_nothing_measured_is_said(fits, names, places, few_matched):
    fit = with_pairs(fits[0](), pairs.MIN_PAIRS - 1)
    table = pairs.link_table(pairs.pool([lambda: fit], *names), *places, WINDOW_BP)
    assert table[["correlation", "p_correlation", "p_permuted", "signac_z"]].isna().all(axis=None)
    assert table["p_value"].notna().all()


def test_groups_have_the_mean_over_their_cells(fits, names):
    fit = fits[0]()
    target, sources = names[0][3], names[1][[2, 40]]
    table = pairs.by_group(fit, np.array([target] * 2), sources)
    explained = Explained(fit.model, fit.prepared, fit.influence)
    row, cols = (
        list(explained.targets).index(target),
        [list(explained.sources).index(name) for name in sources],
    )
    phi = explained.attributions(row, np.array(cols))
    for group in np.unique(fit.influence.group):
        expected = phi[fit.influence.group == group].mean(axis=0)
        np.testing.assert_allclose(table[group], expected, rtol=1e-4, atol=1e-7)


def test_targets_follow_the_genome_and_none_is_lost():
    genes = pd.DataFrame({"chrom": ["chr2", "chr1", "chr1"], "start": [5, 90, 10]}, index=["x", "y", "z"])
    assert list(pairs.along_genome(np.array(["a", "x", "y", "z"]), genes)) == ["z", "y", "x", "a"]
    assert list(pairs.along_genome(np.array(["b", "a"]), genes.iloc[:0])) == ["b", "a"]


def pooled_of(fits, targets, sources):
    return pairs.pool([lambda one=one: one for one in fits], np.array(targets), np.array(sources))


def with_pairs(fit, n):
    """The same fit that knows ``n`` pairs only."""
    known = sparse.lil_matrix(fit.known.matrix.shape)
    for row, col in fit.known.best_pairs()[:n]:
        known[row, col] = 1
    return replace(fit, known=Correspondence(known, fit.known.row_names, fit.known.col_names))


def test_measured_correlation_is_over_the_cells_of_known_pairs(fits):
    fit = fits[0]()
    source, known = fit.model.feature_names("atac")[11], with_pairs(fit, 25)
    pooled = pooled_of([known], ["gene_07"], [source])
    rna, atac = fit.prepared.mod["rna"], fit.prepared.mod["atac"]
    cells = known.known.row_names[known.known.best_pairs()[:, 0]]  # equal names are the same cell
    values = [dense(a[cells, name].X).ravel() for a, name in ((rna, "gene_07"), (atac, source))]
    assert len(cells) == 25 and pooled.measured_r[0, 0] == pytest.approx(np.corrcoef(*values)[0, 1], abs=1e-5)


def test_fits_that_know_too_few_pairs_have_no_say_in_the_measured_correlation(fits):
    fit = fits[0]()
    targets, sources = ["gene_01", "gene_02"], fit.model.feature_names("atac")[:3]
    few, enough = with_pairs(fit, pairs.MIN_PAIRS - 1), with_pairs(fit, pairs.MIN_PAIRS)
    together, alone = (pooled_of(fits, targets, sources) for fits in ([few, enough], [enough]))
    np.testing.assert_array_equal(together.measured_r, alone.measured_r)
    assert len(together.pairs_of_first[0]) == pairs.MIN_PAIRS
    assert pooled_of([few], targets, sources).measured_r is None


def test_drivers_of_a_small_table_by_hand():
    share, none = np.array([[0.1, 0.6, 0.3], [0.5, -0.2, 0.5]]), np.zeros((2, 3))
    effect, names = np.array([[1, 2, 3], [4, 5, 6]]), np.array(["p0", "p1", "p2"])
    pooled = pairs.Pooled(
        np.array(["g0", "g1"]), names, share, none, none, effect, none, None, np.ones(3), None
    )
    found = pairs.drivers(pooled)
    assert found["source"].tolist() == ["p1", "p2", "p0", "p0", "p2", "p1"]
    assert found["rank"].tolist() == [1, 2, 3] * 2 and found["effect"].tolist() == [2, 3, 1, 4, 6, 5]
    assert found["attribution"].tolist() == [0.6, 0.3, 0.1, 0.5, 0.5, -0.2]
    assert found["correlation"].isna().all() and found["target"].tolist() == ["g0"] * 3 + ["g1"] * 3


def test_source_features_that_open_together_are_seen_by_the_model(fits):
    fit = fits[0]()
    explained = Explained(fit.model, fit.prepared, fit.influence)
    first, second = np.array([3, 10, 77]), np.array([5, 11, 3])
    projection, atac = fit.model.projections["atac"], fit.prepared.mod["atac"]
    scores = projection.transform(atac.X[atac.obs_names.get_indexer(fit.influence.cells)])
    seen = scores @ projection.components  # of each cell, but for scale and mean
    expected = [np.corrcoef(seen[:, i], seen[:, j])[0, 1] for i, j in zip(first, second, strict=True)]
    np.testing.assert_allclose(explained.open_together(first, second), expected, atol=1e-4)


def test_pooled_sets_are_those_of_the_mean_over_fits_and_every_pair_says_its_set(fits, names, places):
    genes, peaks = places
    near = fine_mapping.near_peaks(peaks, 10_000_000)
    found = pairs.pool(fits, *names, near)
    r = [Explained(f.model, f.prepared, f.influence).open_together(*near) for f in (load() for load in fits)]
    expected = fine_mapping.sets_of(len(peaks), *near, np.mean(r, axis=0))
    np.testing.assert_array_equal(found.neighbourhood, expected)
    assert 10 < len(set(expected)) < len(peaks)
    table = pairs.link_table(found, genes, peaks, WINDOW_BP)
    np.testing.assert_array_equal(table["neighbourhood"], expected[peaks.index.get_indexer(table["peak"])])
    alone = pairs.link_table(pairs.pool(fits, *names), genes, peaks, WINDOW_BP)
    assert alone.groupby("neighbourhood")["peak"].nunique().eq(1).all()
