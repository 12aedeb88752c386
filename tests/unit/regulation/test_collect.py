"""Chunks put together: q-values and scores of all pairs, sparse arrays, and numbers in words."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control

from jamie import io
from jamie.regulation import collect, enrichment
from jamie.regulation.pairs import no_links

ACCOUNT = {"missing": [], "n_targets": 60, "reason": ""}  # as of `find_genes`


def pairs(p, distance_bp=500, chroms=("chr1", "chr2")):
    """Pairs with these p-values, their chromosomes in turn."""
    p = np.asarray(p, dtype=float)
    table = pd.DataFrame({"p_value": p, "p_correlation": p[::-1], "distance_bp": distance_bp})
    return table.assign(chrom=np.resize(chroms, len(p)), gene="A", neighbourhood=np.arange(len(p)))


def near_table(**changed):
    """As of `near_enrichment`; what is asked about is in the last row."""
    row = {"n_significant": 9, "odds_ratio": 9.0, "ci_low": 8.0, "ci_high": 10.0, "reason": ""}
    rows = [
        row | {"statistic": enrichment.MEASURED, "cut": enrichment.TOP},
        row | {"statistic": enrichment.IMPUTED, "cut": "q <= 0.1"},
        row | {"statistic": enrichment.IMPUTED, "cut": enrichment.TOP} | changed,
    ]
    return pd.DataFrame(rows)


def test_chunks_are_put_together_whether_empty_or_not(tmp_path):
    one = no_links()
    one.loc[0, ["gene", "peak", "chrom", "p_value"]] = ["A", "chr1:1-9", "chr1", 0.5]
    tables = [no_links(), one, no_links(), one.assign(gene="B", p_value=0.25)]
    paths = [tmp_path / f"{i}.tsv" for i in range(4)]
    for path, table in zip(paths, tables, strict=True):
        io.write_table(path, table)
    found = collect.put_together(paths)
    assert found["gene"].tolist() == ["A", "B"] and found.index.tolist() == [0, 1]
    assert found["p_value"].tolist() == [0.5, 0.25] and found["p_value"].dtype == float
    empty = collect.put_together(paths[:1])
    assert empty.empty and empty.columns.tolist() == no_links().columns.tolist()


@pytest.mark.parametrize("name", ["7", "007", "1e5", "NA", "None", "nan"])  # nan is a gene of the fruit fly
def test_names_stay_text_whatever_they_look_like(tmp_path, name):
    table = pd.DataFrame({"gene": [name], "peak": ["3"], "chrom": ["2"], "strand": ["+"], "start": [4]})
    io.write_table(tmp_path / "x.tsv", table)
    found = collect.put_together([tmp_path / "x.tsv"])
    assert found[["gene", "peak", "chrom", "strand"]].values.tolist() == [[name, "3", "2", "+"]]
    assert found["start"].dtype == np.int64


def test_of_an_empty_table_all_columns_are_judged():
    found = collect.judged(no_links())
    assert found.empty
    assert found.columns.tolist()[len(no_links().columns) :] == [
        "q_value",
        "q_unweighted",
        "rank_score",
        "q_correlation",
        "q_correlation_unweighted",
        "rank_score_correlation",
        "set",
        "q_set",
        "weight",
        "in_credible_set",
    ]


def test_at_one_distance_q_is_benjamini_hochbergs_and_rises_with_p():
    p = np.concatenate([np.geomspace(1e-4, 1e-2, 20), np.linspace(0.02, 1, 60)])
    p = np.random.default_rng(0).permutation(p)
    found = collect.judged(pairs(p)).sort_values("p_value")
    np.testing.assert_allclose(found["q_value"], false_discovery_control(np.sort(p)))
    assert found["q_value"].is_monotonic_increasing and found["q_value"].iloc[0] < 0.05
    np.testing.assert_allclose(found["q_unweighted"], found["q_value"])
    for _, own in found.groupby("chrom"):  # what a p is worth is learned on the other chromosomes
        assert own["rank_score"].is_monotonic_decreasing


def test_of_equal_p_the_nearer_pair_has_the_smaller_q_and_larger_score():
    rng = np.random.default_rng(0)
    near = np.arange(2000) < 400
    p = np.where(near & (rng.random(2000) < 0.5), rng.uniform(1e-4, 0.01, 2000), rng.random(2000))
    p[[0, 1998]] = 0.004  # both on chr1
    found = collect.judged(pairs(p, np.where(near, 1_000, 90_000) + rng.integers(0, 99, 2000)))
    assert 5 * found["q_value"][0] < found["q_value"][1998]
    assert found["q_unweighted"][0] == found["q_unweighted"][1998]
    assert found["rank_score"][0] > found["rank_score"][1998] + 0.3


def test_the_measured_correlation_is_judged_by_its_own_p():
    p = np.linspace(0.001, 1, 60)
    found, turned = collect.judged(pairs(p)), collect.judged(pairs(p[::-1]))
    for measured, name in (("q_correlation", "q_value"), ("rank_score_correlation", "rank_score")):
        np.testing.assert_array_equal(found[measured], turned[name])
        assert not np.allclose(found[measured], found[name])
    np.testing.assert_array_equal(found["q_correlation_unweighted"], turned["q_unweighted"])


def test_pairs_without_a_p_value_are_not_judged_and_change_nothing_for_the_others():
    whole = pairs(np.linspace(0.001, 1, 60))
    some = whole.assign(p_value=whole["p_value"].where(np.arange(60) % 3 > 0))
    found, kept = collect.judged(some), collect.judged(whole[np.arange(60) % 3 > 0])
    columns = ["q_value", "rank_score", "q_unweighted"]
    assert found.loc[some["p_value"].isna(), columns].isna().all(axis=None)
    pd.testing.assert_frame_equal(found.loc[some["p_value"].notna(), columns], kept[columns])


def test_links_found_where_there_are_none_are_said_beside_those_found():
    words = collect.in_words(linked(n_moved_pairs=2_310, n_moved_links=3, n_moved_sets=1))
    assert "the same procedure finds 1 set, and 3 of 2,310 pairs one by one." in words
    assert "moved" not in collect.in_words(linked())
    moved = collect.judged(pairs(np.full(40, 1e-6)))
    assert collect.summary_of_moved(moved, 0.1) == {
        "n_moved_pairs": 40,
        "n_moved_links": 40,
        "n_moved_sets": 40,
    }


def test_pairs_that_could_not_be_judged_are_said():
    assert " 7 pairs could not be judged: their peak is open in none" in collect.in_words(
        linked(n_without_p=7)
    )


@pytest.mark.parametrize("n", [1, 60])
def test_pairs_on_one_chromosome_alone_are_judged(n):
    found = collect.judged(pairs(np.linspace(0.001, 1, n), chroms=("chr1",)))
    np.testing.assert_allclose(found["q_unweighted"], false_discovery_control(found["p_value"]))
    assert found[["q_value", "rank_score"]].notna().all(axis=None)


def test_the_summary_counts_links_and_their_genes():
    table = pd.DataFrame({"gene": list("aabbc"), "q_value": [0.1, 0.05, 0.1001, 0.01, np.nan]})
    table["p_value"] = table["q_value"] / 2
    table = table.assign(set=["a:1", "a:1", "b:2", "b:1", ""], q_set=[0.1, 0.1, 0.2, 0.01, np.nan])
    table = table.assign(weight=[0.4, 0.6, 1, 1, np.nan], in_credible_set=[True, True, True, True, False])
    found = collect.summary(table.assign(effect=[1.0, -1.0, 1.0, 2.0, 1.0]), 0.1)
    assert found == {
        "q": 0.1,
        "n_pairs": 5,
        "n_without_p": 1,
        "n_genes": 3,
        "n_links": 3,
        "n_sets": 2,
        "n_sets_of_one": 1,
        "n_members": 3,
        "n_linked_genes": 2,
        "n_positive": 1,  # a:1 lowers: its heaviest member does
    }
    assert set(collect.summary(collect.judged(no_links()), 0.1).values()) == {0.1, 0}


def test_arrays_come_back_as_they_were_listed(tmp_path):
    rng = np.random.default_rng(0)
    target, source = (part.ravel() for part in np.meshgrid(np.arange(9), np.arange(12)))
    listed = rng.permutation(len(target))[:40]
    groups = pd.DataFrame({"target": target[listed].astype(str), "source": source[listed].astype(str)})
    names = ["attribution", "L2/3 IT", "Sst", "L2|3 IT"]
    groups[names] = rng.normal(size=(40, 4)).astype(np.float32)
    groups.loc[0, names] = 0  # a listed pair is stored whatever its value
    collect.write_arrays(tmp_path / "a.h5ad", groups)
    found = anndata.read_h5ad(tmp_path / "a.h5ad")
    layers = found.uns["groups"].set_index("group")["layer"]
    assert set(found.layers) - {None} == set(layers) and layers.index.tolist() == names[1:]
    assert layers["Sst"] == "Sst" and layers["L2/3 IT"] == "L2|3 IT"
    rows, cols = found.obs_names.get_indexer(groups["target"]), found.var_names.get_indexer(groups["source"])
    for name in names:
        matrix = found.X if name == "attribution" else found.layers[layers[name]]
        assert matrix.format == "csr" and matrix.dtype == np.float32 and matrix.nnz == 40
        np.testing.assert_array_equal(np.asarray(matrix[rows, cols]).ravel(), groups[name])
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5ad"]


def test_why_there_are_no_links_is_said_in_short():
    found = ACCOUNT | {"reason": "the peaks have no coordinates"}
    assert collect.in_short(found, None) == "Peaks were not linked to genes: the peaks have no coordinates."


def linked(**changed):
    counts = {"q": 0.1, "n_pairs": 2_400, "n_genes": 58, "n_links": 1_030, "n_linked_genes": 41}
    counts |= {"n_positive": 24, "n_without_p": 0, "n_moved_pairs": 0, "n_moved_links": 0, "n_moved_sets": 0}
    counts |= {"n_sets": 310, "n_sets_of_one": 212, "n_members": 520}
    return ACCOUNT | counts | changed


def test_links_near_their_genes_are_said_in_short():
    words = collect.in_short(
        linked(), near_table(n_significant=1_200, odds_ratio=3.25, ci_low=1.04, ci_high=9.96)
    )
    assert words.startswith(collect.in_words(linked()))
    assert "the 1,200 strongest pairs lie within 10 kb" in words
    assert "with odds 3.2 times (95 % interval 1.0 to 10.0) those of other pairs. An attribution" in words


def test_links_that_may_not_lie_near_their_genes_are_not_to_be_trusted():
    words = collect.in_short(linked(), near_table(odds_ratio=1.3, ci_low=0.7, ci_high=2.4))
    assert (
        "1.3 times (95 % interval 0.7 to 2.4) those of other pairs, so the links are not to be trusted."
        in words
    )


def test_odds_that_cannot_be_given_have_their_reason():
    near = near_table(odds_ratio=np.nan, ci_low=np.nan, ci_high=np.nan, reason="every pair is chosen")
    words = collect.in_short(linked(), near)
    assert words.endswith(
        "2,400 pairs are linked. Whether links lie near their genes cannot be said: every pair is chosen."
    )


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ([], ""),
        (["Xist"], " 1 of 60 genes have no coordinates (Xist)."),
        (list("abc"), " 3 of 60 genes have no coordinates (a, b, c)."),
        (list("abcd"), " 4 of 60 genes have no coordinates (a, b, c, ...)."),
    ],
)
def test_links_are_counted_in_words(missing, words):
    counted = (
        "310 sets of peaks that open together, 212 of one peak, are linked to 41 of 58 genes (q ≤ 0.1); 24 "
        "of them raise expression. Judged one by one, 1,030 of 2,400 pairs are linked."
    )
    assert collect.in_words(linked(missing=missing)) == counted + words


def test_where_nothing_is_linked_nothing_is_said_of_it():
    words = collect.in_words(linked(n_sets=0, n_sets_of_one=0, n_links=0, n_linked_genes=0, n_positive=0))
    assert words == (
        "No set of peaks that open together is linked to any of 58 genes (q ≤ 0.1). Judged one by one, 0 of "
        "2,400 pairs are linked."
    )


def test_what_was_not_done_keeps_its_reason(tmp_path):
    io.write_table(tmp_path / "x.tsv", collect.not_done("links need ATAC and RNA"))
    assert (tmp_path / "x.tsv").read_text() == "not_done_because\nlinks need ATAC and RNA\n"


def test_without_distance_q_knows_none():
    table = collect.judged(pairs(np.linspace(0.001, 1, 200), np.arange(200) * 100))
    found = collect.without_distance(table)
    assert not np.allclose(table["q_value"], table["q_unweighted"])
    np.testing.assert_array_equal(found["q_value"], table["q_unweighted"])
    np.testing.assert_array_equal(found["q_correlation"], table["q_correlation_unweighted"])


def test_known_pairs_are_those_with_the_same_gene_and_peak():
    table = pd.DataFrame({"gene": list("abab"), "peak": list("ppqq"), "effect": 1.0})
    known = pd.DataFrame({"peak": ["q", "p", "q"], "gene": ["a", "b", "z"]})
    assert collect.among(table, known).tolist() == [False, True, True, False]
