"""The ranking: scaled scores by hand, the order, and a page that shows every method and no NaN."""

import re

import numpy as np
import pandas as pd
import pytest

from jamie import registry
from jamie.contract import METRIC_COLUMNS
from jamie.evaluation import ranking, roles
from jamie.evaluation.ranking import Scale
from jamie.report import ranking_page

MODALITIES = ("rna", "adt")
TOO_FEW = "needs at least 20 known pairs, the scenario shows 12"


def score(method, metric, modality, values, reason="", **more):
    status = {"status": "excluded" if reason else "ok", "reason": reason, "modality": modality or np.nan}
    run = {"dataset": "toy", "scenario": "paired_50", "protocol": "held_out", "cells": "test"} | more
    table = pd.DataFrame({"value": values, "seed": range(len(values)), "method": method, "metric": metric})
    return table.assign(**run | status).reindex(columns=list(METRIC_COLUMNS))


def scores(method, foscttm=None, lta=None, r=None, **more):
    parts = [("foscttm", "", foscttm), ("lta", "", lta)]
    parts += [("pearson", m, values) for m, values in zip(MODALITIES, r or (None, None), strict=True)]
    return [score(method, metric, modality, v, **more) for metric, modality, v in parts if v is not None]


def excluded(method, cells="test", **more):
    parts = [("foscttm", ""), ("lta", ""), *(("pearson", m) for m in MODALITIES)]
    return [score(method, *part, [np.nan] * 2, TOO_FEW, cells=cells, **more) for part in parts]


@pytest.fixture
def metrics():
    return pd.concat(
        [
            *scores("knn", r=([0.3, 0.3], [0.4, 0.4])),
            *scores("cca", [0.1, 0.1], [0.6, 0.6], ([0.2, 0.2], [0.2, 0.2])),
            *scores("jamie", [0.1, 0.2], [0.8, 0.9], ([0.3001, 0.3002], [0.1, 0.3])),
            *scores("mmd_ma", [0.4, 0.5], [0.2, 0.2], ([0.0, 0.0], [0.0, 0.0])),
            *excluded("ridge"),
            *scores("floor_shuffled", [0.5, 0.5], [0.2, 0.2], ([0.0, 0.0], [-0.1, -0.1])),
            *scores("ceiling", [0.0, 0.0], [0.9, 0.9], ([1.0, 1.0], [1.0, 1.0])),
            *scores("floor_mean", r=([0.0, 0.0], [0.0, 0.0])),
        ],
        ignore_index=True,
    )


def infos_of(metrics, **more):
    runs = metrics[["dataset", "scenario", "method", "seed"]].drop_duplicates()
    cost = {"status": "ok", "fit_s": 2.0 + runs["seed"], "wall_time_s": 99.0, "peak_rss_mb": 512.0}
    return runs.assign(**cost | {"peak_gpu_mb": 0.0} | more)


def ranked(metrics, infos):
    return ranking.rank_methods(metrics, infos, {"paired_50": 0.2})


@pytest.fixture
def table(metrics):
    return ranked(metrics, infos_of(metrics))


def own(table, method, dataset="toy"):
    return table[(table["method"] == method) & (table["dataset"] == dataset)].squeeze()


def test_a_score_is_scaled_from_floor_to_reference():
    assert Scale(0.5, 0.0).of(0.1) == pytest.approx(0.8)  # lower is better
    assert Scale(0.2, 0.9).of(0.55) == pytest.approx(0.5)
    assert Scale(0.2, 0.9).of(0.1) < 0
    assert np.isnan(Scale(0.3, 0.3).of(0.3))


def test_scales_are_those_of_the_run_or_else_chance_and_perfection():
    means = pd.Series({"floor_shuffled": 0.45, "ceiling": 0.02, "jamie": 0.1})
    assert ranking.scale_of("foscttm", means) == Scale(0.45, 0.02)
    nothing = pd.Series(dtype=float)
    assert ranking.scale_of("foscttm", nothing) == Scale(0.5, 0.0)
    assert ranking.scale_of("lta", nothing) == ranking.scale_of("r_2", nothing) == Scale(0.0, 1.0)


def test_scaled_means_by_hand(table):
    jamie = own(table, "jamie")
    assert jamie["foscttm_scaled"] == pytest.approx((0.15 - 0.5) / -0.5)
    assert jamie["lta_scaled"] == pytest.approx((0.85 - 0.2) / 0.7)
    assert jamie["r_2_scaled"] == pytest.approx(0.3 / 1.1)
    assert jamie["alignment"] == pytest.approx((0.7 + 0.65 / 0.7) / 2)
    assert jamie["imputation"] == pytest.approx((0.30015 + 0.3 / 1.1) / 2)
    assert jamie["overall"] == pytest.approx((jamie["alignment"] + jamie["imputation"]) / 2)
    assert own(table, "ceiling")["overall"] == 1 and own(table, "floor_shuffled")["overall"] == 0
    assert (jamie["foscttm_sd"], jamie["n_seeds"]) == (pytest.approx(0.1 / 2**0.5), 2)
    assert (jamie["modality_1"], jamie["modality_2"]) == MODALITIES


def test_an_output_that_a_method_lacks_counts_as_nothing(table):
    knn = own(table, "knn")
    assert np.isnan(knn["alignment"]) and knn["overall"] == pytest.approx(knn["imputation"] / 2)


def test_methods_come_best_first_and_controls_last(table):
    assert list(table["method"]) == [
        *("jamie", "cca", "knn", "mmd_ma", "ridge"),
        *("floor_mean", "floor_shuffled", "ceiling"),
    ]
    assert table["rank"].tolist()[:4] == [1, 2, 3, 4] and table["rank"][4:].isna().all()


def test_equal_methods_share_a_rank(metrics):
    again = metrics[metrics["method"] == "cca"].assign(method="cca_2")
    table = ranked(pd.concat([metrics, again]), infos_of(metrics))
    assert table.set_index("method")["rank"].to_dict() | {"ridge": 0} == pytest.approx(
        {"jamie": 1, "cca": 2, "cca_2": 2, "knn": 4, "mmd_ma": 5, "ridge": 0}
        | dict.fromkeys(("floor_mean", "floor_shuffled", "ceiling"), np.nan),
        nan_ok=True,
    )


def test_an_excluded_method_is_a_row_with_its_reason(table):
    ridge = own(table, "ridge")
    assert (ridge["status"], ridge["reason"], ridge["n_ran"]) == ("excluded", TOO_FEW, 0)
    assert np.isnan(ridge["rank"])


def test_a_method_excluded_in_another_group_of_cells_is_not_dropped():
    found = pd.concat([*scores("jamie", [0.1], [0.8], cells="hidden"), *excluded("ridge", cells="all")])
    table = ranked(found, infos_of(found))
    assert set(table["cells"]) == {"hidden"}
    assert own(table, "ridge")["reason"] == TOO_FEW


def test_costs_are_medians_over_seeds_of_what_ran(metrics):
    infos = infos_of(metrics, peak_gpu_mb=2048.0)
    infos.loc[infos["method"] == "cca", ["fit_s", "peak_gpu_mb"]] = np.nan, 0.0
    infos.loc[infos["method"] == "ridge", "status"] = "excluded"
    found = ranking.costs(infos).set_index("method")
    assert found.loc["jamie"].tolist()[2:] == [2.5, 0.5, 2.0]
    assert found.loc["cca", "time_s"] == 99 and np.isnan(found.loc["cca", "gpu_gb"])
    assert "ridge" not in found.index


def test_over_everything_by_hand(metrics):
    other = metrics.assign(dataset="other")
    other = other[~other["method"].isin(("cca", "ridge"))]
    other = pd.concat(
        [other, *excluded("cca", dataset="other"), *scores("ridge", r=([0.9], [0.9]), dataset="other")]
    )
    whole = pd.concat([metrics, other], ignore_index=True)
    table = ranked(whole, infos_of(whole))
    cca, jamie, knn = (own(table, m, "all") for m in ("cca", "jamie", "knn"))
    assert set(table["dataset"][:5]) == {"all"} and "ceiling" not in set(table["method"][:5])
    assert jamie["alignment"] == pytest.approx(own(table, "jamie")["alignment"])
    assert cca["alignment"] == pytest.approx(own(table, "cca")["alignment"] / 2)  # 0 where it was excluded
    assert (cca["rank"], cca["n_ran"]) == ((2 + 5) / 2, 1)  # the last of five there
    assert np.isnan(knn["alignment"]) and knn["n_ran"] == 2
    page = ranking_page.ranking_page(table)
    assert "CCA [1 of 2 runs]" in page
    assert "Over all datasets: JAMIE first, and first in 2 of 2, told from the others in 0" in page


# --- the page


def fields(page: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    return [[re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td.*?</td>", row)] for row in rows]


def bold(page: str) -> set[str]:
    cells = re.findall(r"<td[^>]*font-weight: bold[^>]*>(.*?)</td>", page)
    return {cell.split(" ± ")[0] for cell in cells}


def test_the_page_shows_every_method_with_its_scores(table):
    page = ranking_page.ranking_page(table)
    rows = {row[1]: row for row in fields(page) if len(row) > 5}
    assert rows["JAMIE"][:6] == [
        *("1", "JAMIE", "0.150 ± 0.071", "0.850 ± 0.071", "0.300 ± 0.000", "0.200 ± 0.141"),
    ]
    assert rows["JAMIE"][8:] == ["2.5", "0.5"]
    assert rows["KNN"][2:5] == ["–", "–", "0.300 ± 0.000"]
    assert rows["ridge"][:4] == ["", "ridge", f"excluded: {TOO_FEW}", ""]
    assert "MMD-MA (no pairs)" in rows and rows["floor: feature mean"][2] == "–"
    assert "held-out cells, 2 seeds" in page
    assert "JAMIE ranked first" in page


@pytest.fixture
def three():
    """Three seeds whose spreads overlap: JAMIE aligns best in each, CCA imputes as well, KNN does not."""
    r = [0.30, 0.40, 0.35], [0.5, 0.4, 0.45]
    parts = [
        *scores("jamie", [0.10, 0.20, 0.15], [0.8, 0.9, 0.85], r),
        *scores("cca", [0.15, 0.26, 0.20], [0.79, 0.89, 0.85], ([0.31, 0.38, 0.35], [0.5, 0.41, 0.44])),
        *scores("knn", r=([0.1, 0.21, 0.15], [0.2, 0.11, 0.15])),
        *scores("floor_shuffled", [0.5] * 3, [0.2] * 3, ([0.0] * 3, [0.0] * 3)),
        *scores("ceiling", [0.0] * 3, [0.9] * 3, ([1.0] * 3, [1.0] * 3)),
    ]
    return pd.concat(parts, ignore_index=True)


def test_level_is_what_the_seeds_cannot_tell_from_the_best(three):
    table = ranked(three, infos_of(three)).set_index("method")
    assert table["level_on"].to_dict() == {
        "jamie": "foscttm, lta, r_1, r_2, alignment, imputation, overall",
        "cca": "lta, r_1, r_2, imputation",
        "knn": "",
        "floor_shuffled": "",
        "ceiling": "",
    }


def test_the_means_of_single_seeds_are_scaled_as_the_means_are(three):
    """Scaled by the same floor and reference, their mean over seeds is the scaled mean."""
    by_seed = [ranked(three[three["seed"] == s], infos_of(three)).set_index("method") for s in range(3)]
    whole = ranked(three, infos_of(three)).set_index("method")
    assert np.mean([t.loc["jamie", "overall"] for t in by_seed]) == pytest.approx(
        whole.loc["jamie", "overall"]
    )


def test_bold_are_the_best_of_a_column_and_what_cannot_be_told_from_it(three):
    table = ranked(three, infos_of(three))
    page = ranking_page.ranking_page(table)
    at = [table.index[table["method"] == m][0] for m in ("jamie", "cca")]
    text = ranking_page._texts(table)
    assert ranking_page._bold(table, text, "r_1") == at
    assert ranking_page._bold(table, text, "foscttm") == at[:1]
    assert "0.150" in bold(page) and "0.203" not in bold(page)
    assert "JAMIE ranked first<" in page  # told from CCA, so nothing is added
    close = three[~three["metric"].isin(("foscttm",))]
    page = ranking_page.ranking_page(ranked(close, infos_of(close)))
    assert "ranked first; the seeds cannot tell it from" in page
    assert "(level)" in ranking_page.in_words(ranked(close, infos_of(close)))


def test_with_one_seed_no_score_is_bold(metrics):
    one = metrics[metrics["seed"] == 0]
    table = ranked(one, infos_of(one))
    assert set(table["level_on"]) == {""}
    page = ranking_page.ranking_page(table)
    assert not {"0.100", "0.800", "0.300"} & bold(page)
    assert "ranked first; with one seed that may be chance" in page


def test_a_method_alone_is_best_of_nothing(metrics):
    one = metrics[metrics["method"] == "cca"]
    page = ranking_page.ranking_page(ranked(one, infos_of(one)))
    assert bold(page) == set() and "CCA ranked first" in page


def test_the_page_prints_no_nan_and_loads_nothing(table, metrics):
    unlabelled = metrics[(metrics["metric"] != "lta") & ~metrics["method"].map(roles.is_control)]
    unlabelled = unlabelled[unlabelled["method"] != "jamie"]
    for shown in (table, ranked(unlabelled, infos_of(unlabelled))):
        page = ranking_page.ranking_page(shown)
        body = page.split("</style>")[1]
        assert not re.search(r"\bnan\b|None|<NA>|inf\b", body, re.IGNORECASE)
        assert not re.search(r"https?://|<script|@import|<link|url\(", page)
    assert "GPU" not in page


def test_gpu_memory_has_a_column_where_a_gpu_was_used(metrics):
    page = ranking_page.ranking_page(ranked(metrics, infos_of(metrics, peak_gpu_mb=3072.0)))
    assert "GPU memory (GB)" in page and "3.0" in page


def test_a_run_in_which_nothing_has_a_score_is_said(metrics):
    none = pd.concat([*excluded("ridge"), *excluded("cca")])
    table = ranked(none, infos_of(none, status="excluded"))
    assert "No method has a score" in ranking_page.ranking_page(table)
    assert table["rank"].isna().all() and set(table["reason"]) == {TOO_FEW}
    assert "no method has a score" in ranking_page.in_words(table)


def test_controls_alone_are_shown_without_a_rank(metrics):
    bare = metrics[metrics["method"].isin(("ceiling", "floor_mean"))]
    bare = pd.concat([bare, bare.assign(dataset="other")])
    table = ranked(bare, infos_of(bare))
    assert len(table) == 4 and table["rank"].isna().all()
    assert "reference: truth" in ranking_page.ranking_page(table)


def test_labels_are_shown_as_they_are(metrics, monkeypatch):
    monkeypatch.setattr(roles, "_LABELS", dict(roles._LABELS))
    roles.add_labels({"cca": "CCA <b> & co"})
    page = ranking_page.ranking_page(ranked(metrics, infos_of(metrics)))
    assert "CCA &lt;b&gt; &amp; co" in page and "&amp;amp;" not in page


def test_the_caption_names_the_first_three(table):
    text = ranking_page.in_words(table)
    jamie = own(table, "jamie")["overall"]
    assert f"toy, paired_50: JAMIE {jamie:.3f}, CCA " in text and "MMD-MA" not in text
    assert registry.specs()["mmd_ma"].label + registry.NO_PAIRS == own(table, "mmd_ma")["label"]
