"""Captions quote the right numbers; figures show the features they should."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from mudata import MuData
from scipy import sparse

from jamie import contract, io
from jamie.contract import ALL, FEATURE_SCORE_COLUMNS, HIDDEN, PAIRED, TEST
from jamie.data.correspondence import Correspondence, from_names
from jamie.errors import InputError
from jamie.evaluation import phrases
from jamie.plots import chosen
from shared.pages import GOOD, RUN, problems_of, table

# --- captions


@pytest.mark.parametrize(
    ("wrong", "words"), [(0, "Text.\n"), (0.25, "Text. Of the pairs shown, 25% were wrong on purpose.\n")]
)
def test_captions_warn_of_wrong_pairs(wrong, words):
    assert phrases.caption("Text.\n", {"wrong_pairs": wrong}) == words


def features(wins: int, losses: int, modality: str = "rna", cells: str = TEST) -> pd.DataFrame:
    """Two seeds of per-feature scores where JAMIE beats KNN on some features and loses on others."""
    rows = []
    for seed in (0, 1):
        for j in range(wins + losses):
            for method in ("jamie", "knn"):
                better = (method == "jamie") == (j < wins)
                rows.append(
                    {"method": method, "seed": seed, "feature": f"g{j}", "pearson": 0.4 + 0.1 * better}
                )
    frame = pd.DataFrame(rows).assign(modality=modality, cells=cells, auroc=np.nan, **RUN)
    return frame.reindex(columns=list(FEATURE_SCORE_COLUMNS))


def test_wins_are_counted_by_modality_and_said_to_be_no_test():
    text = phrases.wins_in_words(pd.concat([features(9, 1), features(2, 2, "atac")]), "jamie", "knn", 0.25)
    assert text.startswith("On held-out cells, mean of 2 seeds.")
    assert "RNA, Pearson r: JAMIE is higher on 9 and lower on 1 features (90%, 90% to 90% by seed)" in text
    assert "ATAC, Pearson r: JAMIE is higher on 2 and lower on 2 features (50%, 50% to 50% by seed)" in text
    assert "their mean differs by +0.080 (equal in all seeds): cannot tell" in text and "p =" not in text
    assert not problems_of(text)


def test_seeds_are_averaged_before_features_are_counted():
    table = features(1, 0)
    table.loc[(table["method"] == "jamie") & (table["seed"] == 1), "pearson"] = 0.2  # mean 0.35 against 0.4
    assert "JAMIE is higher on 0 and lower on 1 features" in phrases.wins_in_words(
        table, "jamie", "knn", 0.25
    )


def test_the_spread_of_wins_over_seeds_is_given_and_one_seed_has_none():
    table = features(3, 1)
    lost = (table["method"] == "jamie") & (table["seed"] == 1) & (table["feature"] != "g0")
    table.loc[lost, "pearson"] = 0.35
    text = phrases.wins_in_words(table, "jamie", "knn", 0.25)
    # means over seeds: 0.5 for g0, 0.425 for g1 and g2, 0.375 for g3 (knn 0.4, 0.4, 0.4, 0.5)
    assert "higher on 3 and lower on 1 features (75%, 25% to 75% by seed); their mean" in text
    one = phrases.wins_in_words(table[table["seed"] == 0], "jamie", "knn", 0.25)
    assert "(75%); their mean differs by" in one and "(one seed): cannot tell" in one


def test_similarity_is_quoted_with_its_spread_over_seeds():
    table = features(2, 0).assign(js_distance=0.25)
    table.loc[table["seed"] == 1, "js_distance"] = 0.35
    text = phrases.similarity_in_words(table)
    assert "2 seeds. RNA: JAMIE 0.700 ± 0.071, KNN 0.700 ± 0.071." in text
    assert "RNA: JAMIE 0.750, KNN 0.750." in phrases.similarity_in_words(table[table["seed"] == 0])


def test_why_a_figure_has_nothing_to_show():
    full = features(2, 1)
    assert phrases.why_no_scores(full) == ""
    assert phrases.why_no_comparison(full, "jamie", "knn") == ""
    assert (
        phrases.why_no_comparison(full, "jamie", "cca")
        == "Not applicable: CCA was not run or has no scores here."
    )
    empty = full.assign(pearson=np.nan)
    assert phrases.why_no_scores(empty).startswith("Not applicable: there is no cell")
    assert phrases.why_no_comparison(empty, "jamie", "cca") == phrases.why_no_scores(empty)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        (TEST, "held-out cells"),
        (HIDDEN, "whose pair was hidden"),
        (PAIRED, "with their pair"),
        (ALL, "all cells"),
    ],
)
def test_the_caption_of_scores_quotes_the_method_shown(cells, words):
    text = phrases.scores_in_words(table(GOOD, cells), ["jamie"])
    assert words in text.split(";")[0]
    assert (
        "2 seeds. JAMIE: FOSCTTM 0.120 ± 0.028; Pearson r, RNA 0.510 ± 0.014; "
        "R² (median), RNA 0.260 ± 0.014; Pearson r within types, RNA 0.210 ± 0.014." in text
    )
    assert not problems_of(text)


def test_the_caption_of_scores_without_a_method_shown_or_a_score():
    assert phrases.scores_in_words(table(GOOD), []).endswith("2 seeds.\n")
    failed = table(GOOD).assign(status="failed", value=np.nan)
    assert phrases.scores_in_words(failed, ["jamie"]).endswith("JAMIE: no score applies.\n")


# --- which features are shown


def of_one_run(pearson: dict, modality: str = "rna") -> pd.DataFrame:
    rows = pd.DataFrame({"feature": list(pearson), "pearson": list(pearson.values())})
    return rows.assign(modality=modality, cells=TEST).reindex(columns=list(FEATURE_SCORE_COLUMNS))


def test_the_best_the_median_and_the_worst_are_shown():
    scores = of_one_run({"a": 0.3, "b": np.nan, "c": 0.9, "d": -0.1, "e": 0.5, "f": 0.2})
    assert chosen.choose_features(scores, {}) == {"rna": ["c", "a", "d"]}
    assert chosen.choose_features(of_one_run({"a": 0.1, "b": 0.2}), {}) == {"rna": ["b", "a"]}


def test_features_asked_for_are_shown_in_their_order_and_others_chosen():
    scores = pd.concat([of_one_run({"a": 0.3, "b": 0.1, "c": 0.9}), of_one_run({"p": 0.2}, "atac")])
    assert chosen.choose_features(scores, {"rna": ["b", "a"]}) == {"rna": ["b", "a"], "atac": ["p"]}


def test_an_unknown_feature_is_refused_with_the_nearest_names():
    scores = of_one_run({"Pvalb": 0.3, "Sst": 0.1, "Vip": 0.9})
    with pytest.raises(InputError, match="'Pvalbb' of rna cannot be shown") as caught:
        chosen.choose_features(scores, {"rna": ["Pvalbb"]})
    assert caught.value.change == "`show_features: rna`; near are Pvalb"


def test_measured_values_stand_beside_the_imputed_ones_of_the_same_cell(tmp_path):
    rng = np.random.default_rng(0)
    names = np.array([f"c{i}" for i in range(12)])
    order = rng.permutation(12)
    values = rng.poisson(2, (12, 4)).astype(np.float32)
    rna = AnnData(sparse.csr_matrix(values), obs=pd.DataFrame(index=names))
    ephys = AnnData(values[order] + 100, obs=pd.DataFrame(index=names[order]))
    for adata, prefix in ((rna, "g"), (ephys, "e")):
        adata.var_names = [f"{prefix}{j}" for j in range(4)]
        adata.obs["role"] = np.where(adata.obs_names.isin(names[:5]), "test", "train")
        adata.obs["cell_type"] = np.where(adata.obs_names.isin(names[:2]), "A", "B")
    # imputed from ephys: the truth plus a tenth; from RNA: minus
    ephys.obsm["imputed_rna"] = values[order] + np.float32(0.1)
    rna.obsm["imputed_ephys"] = values + np.float32(99.9)
    mdata = MuData({"rna": rna, "ephys": ephys})
    io.write_h5mu(tmp_path / "imputed.h5mu", mdata)
    pairs = from_names(mdata)
    known = Correspondence(sparse.csr_matrix(pairs.matrix.shape), pairs.row_names, pairs.col_names)
    scores = pd.concat([of_one_run({"g2": 0.25, "g0": 0.5}), of_one_run({"e3": 0.75}, "ephys")])
    table, group = chosen.measured_beside_imputed(
        mdata, pairs, known, tmp_path / "imputed.h5mu", scores, {"rna": ["g2", "g0"], "ephys": ["e3"]}
    )
    assert group == "cell type"
    assert len(table) == 3 * 2 * 5  # features x kinds x held-out cells
    for feature, column, shift, r in (
        ("g2", values[:5, 2], 0.1, 0.25),
        ("e3", values[:5, 3] + 100, -0.1, 0.75),
    ):
        part = table[table["feature"] == feature]
        measured, imputed = (
            part[part["kind"] == kind]["value"].to_numpy() for kind in ("measured", "imputed")
        )
        np.testing.assert_array_equal(np.sort(measured), np.sort(column))
        np.testing.assert_allclose(imputed - measured, shift, atol=1e-4)
        assert (part["r"] == r).all() and (part["group"] == "A").sum() == 2 * 2


# --- metrics.tsv


def test_a_table_that_breaks_its_contract_is_refused():
    fine = table(GOOD)
    contract.check_metrics(fine)
    contract.check_metrics(fine.assign(status="failed", reason="it stopped", value=np.nan))
    for broken, message in (
        (fine.drop(columns="reason"), "columns"),
        (fine.assign(status="done"), "status ok / not_applicable"),
        (fine.assign(value=np.nan), "a finite value"),
        (fine.assign(status="failed", value=np.nan), "a reason in every row"),
    ):
        with pytest.raises(InputError, match=message):
            contract.check_metrics(broken)
