"""Which cells stand for what in differences between groups, and the whole table of a small dataset."""

import numpy as np
import pandas as pd
import pytest

from jamie import JAMIE
from jamie import contract as c
from jamie.data import preprocess
from jamie.data.correspondence import Correspondence, from_names
from jamie.data.simulate import simulate_multiome
from jamie.data.split import split_cells
from jamie.evaluation import grouped
from jamie.evaluation.differences import COLUMNS, Cells, compare

N_TYPES = 2


@pytest.fixture(scope="module")
def prepared():
    """160 cells of two types: 112 in both modalities, 22 of them held out, 24 in each modality alone."""
    mdata, _ = simulate_multiome(160, N_TYPES, 30, 60, paired_fraction=0.7, rna_depth=400, seed=5)
    return preprocess.prepare(mdata, split_cells(from_names(mdata), 0.2, 0))


@pytest.fixture(scope="module")
def model(prepared):
    train = {m: a[a.obs[c.ROLE] == c.TRAIN] for m, a in prepared.mod.items()}
    known = from_names(prepared).align(*(a.obs_names for a in train.values()))
    known = known.align(*(a.obs_names for a in prepared.mod.values()))
    options = {"max_epochs": 2, "min_steps": 10, "hidden_layers": (16,), "n_latent": 6, "folds": 4}
    return JAMIE(seed=0, device="cpu", progress=False, **options).fit(prepared, known)


def names(prepared, modality, rows):
    return prepared.mod[modality].obs_names[rows].tolist()


def types(prepared):
    return {m: a.obs[c.CELL_TYPE] for m, a in prepared.mod.items()}


@pytest.mark.parametrize(("source", "target"), [("rna", "atac"), ("atac", "rna")])
def test_every_cell_has_one_part(prepared, model, source, target):
    rows = grouped.Rows.of(prepared, from_names(prepared), model.crossfit_, source, target)
    assert names(prepared, source, rows.left_out[:, 0]) == names(prepared, target, rows.left_out[:, 1])
    role = prepared.mod[target].obs[c.ROLE]
    assert len(rows.left_out) == 90 and (role.iloc[rows.left_out[:, 1]] == c.TRAIN).all()
    both = set(prepared.mod["rna"].obs_names) & set(prepared.mod["atac"].obs_names)
    assert set(names(prepared, source, rows.lacking)) == set(prepared.mod[source].obs_names) - both
    held_out = set(prepared.mod[target].obs_names[role == c.TEST])
    assert len(held_out) == 22  # measured, and imputed by the model alone, which has seen the others
    assert set(names(prepared, target, rows.alone)) == set(prepared.mod[target].obs_names) - both | held_out


def test_pairs_that_are_not_true_count_as_measured_alone(prepared, model):
    true = from_names(prepared)
    rna, atac = (prepared.mod[m].obs_names for m in ("rna", "atac"))
    swapped = true.align(rna, atac).matrix.tolil()
    first, second = grouped.Rows.of(prepared, true, model.crossfit_, "rna", "atac").left_out[:2]
    swapped[first[0], first[1]] = swapped[second[0], second[1]] = 0
    swapped[first[0], second[1]] = swapped[second[0], first[1]] = 1
    other = Correspondence(swapped.tocsr(), rna, atac)
    rows = grouped.Rows.of(prepared, other, model.crossfit_, "rna", "atac")
    assert len(rows.left_out) == 88 and {first[1], second[1]} <= set(rows.alone)
    assert rows.kept.sum() == 88 and not set(rows.left_out[:, 1]) & {first[1], second[1]}


@pytest.mark.parametrize("values", [16_000_000, 4_000])
def test_the_table_is_that_of_each_modality_whatever_its_blocks(values, prepared, model, monkeypatch):
    monkeypatch.setattr(grouped, "BLOCK_VALUES", values)
    pairs = from_names(prepared)
    found = grouped.table(model, prepared, pairs, model.crossfit_, types(prepared), clusters=False)
    assert tuple(found.columns) == COLUMNS and found["modality"].unique().tolist() == ["atac", "rna"]
    rows = grouped.Rows.of(prepared, pairs, model.crossfit_, "atac", "rna")
    rna = prepared.mod["rna"]
    at = rows.left_out[:, 1]
    label = {m: labels.astype(str).to_numpy() for m, labels in types(prepared).items()}
    x, crossfit = rna.X.toarray(), model.crossfit_
    wanted = compare(
        Cells(label["rna"][at], label["atac"][rows.lacking], label["rna"][rows.alone]),
        x[at],
        crossfit.imputed("rna"),
        crossfit.imputed_alone("rna")[rows.imputed],
        x[rows.alone],
        zeros=True,
    )
    wanted["feature"] = model.feature_names("rna")[wanted["feature"]]
    own = (
        found[found["modality"] == "rna"]
        .set_index(["group", "feature"])
        .loc[pd.MultiIndex.from_frame(wanted[["group", "feature"]])]
    )
    for column in ("difference", "ci_low", "p_value", "difference_measured", "n_measured", "n_imputed"):
        np.testing.assert_allclose(
            own[column].astype(float), wanted[column].astype(float), rtol=1e-5, atol=1e-6
        )
    assert own["reason"].tolist() == wanted["reason"].tolist() and own["p_value"].notna().any()


def test_cells_without_a_label_take_no_part(prepared, model):
    some = types(prepared)
    some["rna"] = some["rna"].astype(object).where(np.arange(len(some["rna"])) >= 10)
    pairs = from_names(prepared)
    with_all, without = (
        grouped.table(model, prepared, pairs, model.crossfit_, labels, clusters=False)
        for labels in (types(prepared), some)
    )
    counted = [
        t[t["modality"] == "rna"].groupby("group")["n_measured"].max().sum() for t in (with_all, without)
    ]
    assert counted[0] - counted[1] == 10


def test_clusters_of_the_same_values_are_not_tested(prepared, model):
    found = grouped.table(
        model, prepared, from_names(prepared), model.crossfit_, types(prepared), clusters=True
    )
    assert found["difference"].notna().all() and (found["reason"] == grouped.OF_THESE).all()
    assert found[[name for name in found if name.startswith(("p_", "q_", "ci_"))]].isna().all().all()
    words = grouped.in_words(grouped.by_group(found), True)
    assert "neither interval nor p-value" in words


def test_the_short_table_counts_what_the_long_one_holds():
    base = {"modality": "rna", "n_measured": 30, "n_imputed": 5, "ci_low": 0.0, "ci_low_measured": 0.0}
    rows = [
        ("a", "x", 1.0, 0.9, 1.0, 0.001, 0.004, 0.3),
        ("a", "y", 2.0, 0.9, 1.0, 0.002, 0.004, 0.01),
        ("a", "z", -1.0, 0.9, 1.0, 0.01, 0.05, 0.01),
        ("a", "w", 1.0, 0.9, 1.0, 0.5, 0.6, 0.6),
        ("a", "v", 1.0, np.nan, np.nan, np.nan, np.nan, np.nan),
    ]
    columns = ("group", "feature", "difference", "ci_high", "ci_high_measured", "p_value", "q_value")
    whole = pd.DataFrame(rows, columns=[*columns, "q_value_measured"]).assign(**base)
    (short,) = grouped.by_group(whole).to_dict("records")
    counts = {"features": 5, "tested": 4, "differ": 3, "differ_measured": 2, "strongest": "x, y"}
    assert {name: short[name] for name in counts} == counts and short["width"] == pytest.approx(0.9)
    words = grouped.in_words(grouped.by_group(whole), False)
    assert "1 cell types: 3 of 4 differences" in words and "measured values alone it is 2" in words


def test_no_groups_are_said_to_be_none():
    assert "none are compared" in grouped.in_words(pd.DataFrame(), False)
