"""What is said of native values, intervals and unlikeness on cells that a model has not seen."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jamie import JAMIE
from jamie import contract as c
from jamie.data.correspondence import choose_known, from_names
from jamie.evaluation import calibration
from jamie.model.intervals import EVERYONE, MIN_GROUP
from jamie.plots import values as figure
from shared.figures import texts

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def pairs(prepared_multiome, multiome_roles):
    truth = from_names(prepared_multiome)
    return truth, choose_known(truth, *multiome_roles.values(), fraction=1.0, seed=0)


@pytest.fixture(scope="module")
def model(prepared_multiome, pairs, small_options):
    return JAMIE(seed=0, progress=False, **small_options | {"folds": 3}).fit(prepared_multiome, pairs[1])


@pytest.fixture(scope="module")
def tables(model, prepared_multiome, pairs):
    return calibration.check_values(model, prepared_multiome, *pairs)


def test_the_table_says_what_it_is_by_hand(model, prepared_multiome, tables):
    """Coverage, ratios and unlike cells, computed anew from the model's own functions."""
    groups, features = tables
    row = groups[(groups["modality"] == "atac") & (groups["group"] == EVERYONE)].iloc[0]
    sides = {m: (a.obs["role"] == "test").to_numpy() for m, a in prepared_multiome.mod.items()}
    names = {m: prepared_multiome.mod[m].obs_names[sides[m]] for m in sides}
    order = names["atac"].get_indexer(names["rna"])
    atac = prepared_multiome.mod["atac"][sides["atac"]][order]
    values = model.impute(prepared_multiome, "rna", "atac")[sides["rna"]]
    low, high = model.interval(values, "atac", model.groups(prepared_multiome, "rna")[sides["rna"]])
    x, y = atac.X.toarray(), atac.layers[c.COUNTS].toarray()
    assert row["n_cells"] == len(x) and row["cells"] == c.TEST
    assert row["coverage"] == pytest.approx(((x >= low - 1e-4) & (x <= high + 1e-4)).mean(), abs=1e-3)
    assert row["total_ratio"] == pytest.approx(model.to_native(values, "atac").sum() / y.sum(), rel=1e-3)
    score, threshold = model.unlikeness(prepared_multiome, "rna")
    assert row["unlike"] == pytest.approx((score[sides["rna"]] > threshold).mean())
    of_atac = features[features["modality"] == "atac"].set_index("feature")
    np.testing.assert_allclose(of_atac["measured"], y.mean(axis=0), rtol=1e-6)
    in_training = (prepared_multiome.mod["atac"].obs["role"] == "train").to_numpy()
    mean = prepared_multiome.mod["atac"].layers[c.COUNTS][in_training].toarray().mean(axis=0)
    frequent = y.sum(axis=0) >= calibration.MIN_COUNTS
    assert row["n_features"] == frequent.sum()
    if frequent.any():
        ratio = mean[frequent] / y.mean(axis=0)[frequent]
        assert row["median_ratio_of_mean"] == pytest.approx(np.median(ratio))


def test_cells_whose_pair_was_hidden_are_checked_where_none_is_held_out(raw_multiome, small_options):
    from jamie.data.preprocess import prepare

    everyone = {i: np.ones(a.n_obs, bool) for i, a in enumerate(raw_multiome.mod.values())}
    prepared = prepare(raw_multiome, everyone)
    truth = from_names(prepared)
    known = choose_known(truth, *everyone.values(), fraction=0.5, seed=0)
    model = JAMIE(seed=0, progress=False, **small_options | {"folds": 2}).fit(prepared, known)
    groups, _ = calibration.check_values(model, prepared, truth, known)
    assert set(groups["cells"]) == {c.HIDDEN}
    assert groups["n_cells"].max() == len(truth.best_pairs()) - len(known.best_pairs())
    groups, features = calibration.check_values(model, prepared, truth, truth)  # nothing is hidden
    assert set(groups["status"]) == {c.NOT_APPLICABLE} and features.empty
    assert "not checked" in calibration.in_words(groups) and not calibration.warnings(groups)
    assert figure.values_as_measured(groups.assign(seed=0), features.assign(seed=0)).axes == []


def test_without_calibration_the_table_says_so(prepared_multiome, pairs, small_options):
    model = JAMIE(seed=0, progress=False, **small_options).fit(prepared_multiome, pairs[1])
    groups, _ = calibration.check_values(model, prepared_multiome, *pairs)
    assert set(groups["reason"]) == {"the model is not calibrated"}


def row(**changes) -> dict:
    return {
        "modality": "rna",
        "group": EVERYONE,
        "cells": c.TEST,
        "n_cells": 200,
        "coverage": 0.9,
        "coverage_native": 0.91,
        "total_ratio": 1.01,
        "median_ratio": 0.99,
        "share_close": 0.95,
        "median_ratio_of_mean": 0.97,
        "share_close_of_mean": 0.88,
        "n_features": 300,
        "usable": 0.6,
        "unlike": 0.05,
        "n_pairs": 400,
        "status": c.OK,
        "reason": "",
    } | changes


def test_words_quote_the_numbers_and_ranges():
    by_type = [row(group=g, coverage=v, usable=0.1) for g, v in (("a", 0.86), ("b", 0.93))]
    words = calibration.in_words(pd.DataFrame([row(), *by_type]))
    for part in (
        "hold 90% of",
        "(86% to 93% by group",
        "91%",
        "1.01",
        "0.99",
        "95%",
        "60%",
        "10%",
        "5%",
        "0.97 and 88%",
    ):
        assert part in words, part
    words = calibration.in_words(
        pd.DataFrame([row(total_ratio=np.nan, median_ratio=np.nan, share_close=np.nan)])
    )
    assert "counts" not in words  # of fractions and physical units


def test_rows_quote_the_same_numbers():
    by_type = [row(group=g, coverage=v, usable=0.1) for g, v in (("a", 0.86), ("b", 0.93))]
    (cells,) = calibration.as_rows(pd.DataFrame([row(), *by_type]))
    assert cells == ["RNA", "90%", "86% to 93%", "91%", "1.01", "60%", "10%", "5%"]
    assert len(cells) == len(calibration.HEAD)
    (cells,) = calibration.as_rows(pd.DataFrame([row(total_ratio=np.nan)]))
    assert cells[2] == "n/a" and cells[4] == "no counts"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"coverage": 0.8}, "hold only 80%"),
        ({"coverage_native": 0.7}, "in native units hold only 70%"),
        ({"n_pairs": 12}, "rest on 12 left-out pairs and are wide"),
        ({"unlike": 0.4}, "40% of the cells"),
        (
            {"n_pairs": 0, "usable": np.nan},
            "and are wide; which of its features are imputed better",
        ),
        ({"usable": 0.04}, "Only 4% of the features of RNA"),
    ],
)
def test_what_is_not_as_promised_is_a_warning_and_nothing_else_is(changes, said):
    assert calibration.warnings(pd.DataFrame([row()])) == []
    (words,) = calibration.warnings(pd.DataFrame([row(**changes)]))
    assert said in words


def test_too_few_left_out_pairs_tell_of_no_feature_whether_it_is_usable(
    model, prepared_multiome, pairs, monkeypatch
):
    """As a share it would read 0 %, which is a finding."""
    few = {
        modality: replace(of, n_cells=np.minimum(of.n_cells, MIN_GROUP - 1))
        for modality, of in model.calibration.intervals.items()
    }
    monkeypatch.setattr(model.calibration, "intervals", few)
    groups, _ = calibration.check_values(model, prepared_multiome, *pairs)
    assert groups["usable"].isna().all() and (groups["n_pairs"] < MIN_GROUP).all()
    rows = calibration.as_rows(groups)
    assert [cells[5:7] for cells in rows] == [["n/a", "n/a"]] * len(rows)
    assert "cannot be told from" in calibration.in_words(groups)


def test_the_figure_names_modalities_groups_and_coverage(tables):
    groups, features = (table.assign(seed=0) for table in tables)
    drawn = figure.values_as_measured(groups, features)
    found = texts(drawn)
    said = " ".join(found)
    coverage = groups[groups["group"] == EVERYONE].set_index("modality")["coverage"]
    assert f"hold {coverage['atac']:.0%} of ATAC and {coverage['rna']:.0%} of RNA" in said
    assert {EVERYONE, *groups["group"]} <= set(found)
    assert "measured (counts a cell)" in said and "share of values inside" in said
