"""F~ of prepared data, its comparison with the truth, and its figure."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jamie import contract
from jamie.data.correspondence import Correspondence, choose_known, from_names, left_out_pairs
from jamie.data.split import training_cells
from jamie.errors import InputError
from jamie.matching import compare
from jamie.matching.prepared import EstimatedCorrespondence, estimate_prepared
from jamie.plots import correspondence as plots

ROWS, COLS = [f"r{i}" for i in range(4)], [f"c{i}" for i in range(4)]


def named(matrix):
    return Correspondence(sparse.csr_matrix(matrix, dtype=float), ROWS, COLS)


@pytest.fixture(scope="module")
def estimated(prepared_multiome, multiome_roles):
    pairs = from_names(prepared_multiome)
    known = choose_known(pairs, *multiome_roles.values(), 0.5, seed=0)
    return pairs, known, estimate_prepared(prepared_multiome, known, seed=0)


def test_held_out_cells_stay_empty(prepared_multiome, multiome_roles, estimated):
    _, known, result = estimated
    f = result.f
    assert f.matrix.shape == tuple(a.n_obs for a in prepared_multiome.mod.values())
    rows, cols = multiome_roles.values()
    assert f.matrix[~rows].nnz == 0 and f.matrix[:, ~cols].nnz == 0
    assert (np.diff(f.matrix[rows].indptr) > 0).all()
    assert result.check.matrix[~rows].nnz == 0 and result.check.matrix[:, ~cols].nnz == 0
    contract.check_estimated(f.matrix, result.info)
    certain = known.certain_pairs()
    assert np.array_equal(f.matrix[certain[:, 0]].toarray(), known.matrix[certain[:, 0]].toarray())


def test_files_round_trip(tmp_path, prepared_multiome, estimated):
    paths = [tmp_path / name for name in ("f.npz", "check.npz", "info.json")]
    estimated[-1].save(*paths)
    names = [a.obs_names for a in prepared_multiome.mod.values()]
    again = EstimatedCorrespondence.load(*paths, names)
    for side in ("f", "check"):
        ours, theirs = (getattr(e, side).matrix for e in (estimated[-1], again))
        assert ours.nnz and (ours != theirs).nnz == 0
    assert (again.confidence, again.trusted) == (estimated[-1].confidence, estimated[-1].trusted)
    with pytest.raises(InputError, match="not the cells"):
        EstimatedCorrespondence.load(*paths, [n[::-1] for n in names])


def test_the_check_never_saw_the_pairs_it_is_for(prepared_multiome, multiome_roles):
    """Where trials leave pairs out, the check takes their cells for cells without a partner."""
    pairs = from_names(prepared_multiome)
    known = choose_known(pairs, *multiome_roles.values(), 0.9, seed=0)
    names = [a.obs_names for a in training_cells(prepared_multiome).mod.values()]
    result = estimate_prepared(prepared_multiome, known, seed=0).align(*names)
    rows, cols = left_out_pairs(known.align(*names).matrix, 0).T
    assert len(rows) >= 10
    assert (np.asarray(result.f.matrix[rows, cols]) == 1).all()
    assert (np.asarray(result.check.matrix[rows, cols]) < 1).all()
    assert np.diff(result.check.matrix.indptr)[rows].min() > 1


def test_without_left_out_pairs_the_check_is_the_estimate(prepared_multiome, multiome_roles):
    few = choose_known(from_names(prepared_multiome), *multiome_roles.values(), 0.2, seed=0)
    result = estimate_prepared(prepared_multiome, few, seed=0)
    assert result.f.matrix.nnz and (result.check.matrix != result.f.matrix).nnz == 0


def test_groups_come_from_obs(prepared_multiome, estimated):
    _, known, _ = estimated
    f = estimate_prepared(prepared_multiome, known, seed=0, same_group="cell_type").f
    first, second = (a.obs["cell_type"].astype(str).to_numpy() for a in prepared_multiome.mod.values())
    entries = f.matrix.tocoo()
    assert entries.nnz and (first[entries.row] == second[entries.col]).all()
    with pytest.raises(InputError, match="donor"):
        estimate_prepared(prepared_multiome, known, seed=0, same_group="donor")


@pytest.mark.parametrize(
    "matrix, info",
    [
        ([[0.7, 0.7]], {"confidence": 0.5, "trusted": True, "reason": "r"}),
        ([[0.5, 0.5]], {"confidence": 1.5, "trusted": True, "reason": "r"}),
        ([[0.5, 0.5]], {"confidence": 0.5, "trusted": True, "reason": ""}),
    ],
)
def test_contract_refuses(matrix, info):
    with pytest.raises(InputError, match="contract"):
        contract.check_estimated(sparse.csr_matrix(matrix), info)


@pytest.fixture(scope="module")
def comparison():
    """Cell 0 is known; 1 has 0.6 on its partner, 2 has 0.2 on it, the rest on the other label; 3 nothing."""
    f = named([[1, 0, 0, 0], [0, 0.6, 0.4, 0], [0, 0.8, 0.2, 0], [0, 0, 0, 0]])
    known = named(np.diag([1, 0, 0, 0]))
    labels = np.array(["a", "a", "b", "b"]), np.array(["a", "a", "b", "b"])
    return f, known, named(np.eye(4)), labels, compare.compare(f, known, named(np.eye(4)), labels)


def test_comparison_known_answers(comparison):
    result = comparison[-1]
    assert (result.n_open, result.n_known) == (2, 1)
    assert result.truth == pytest.approx(0.4) and result.truth_chance == pytest.approx(1 / 3)
    assert result.confusion.loc["a"].tolist() == pytest.approx([0.6, 0.4])
    assert result.confusion.loc["b"].tolist() == pytest.approx([0.8, 0.2])
    assert result.same_label == pytest.approx(0.4) and result.same_label_chance == pytest.approx(0.5)
    by_label = result.by_label.set_index("label")
    assert by_label.loc["a", "truth"] == pytest.approx(0.6) and by_label.loc["b", "n_truth"] == 1


def test_comparison_without_labels_or_truth(comparison):
    f, known, _, _, _ = comparison
    result = compare.compare(f, known, known, None)
    assert result.confusion is None and np.isnan(result.same_label) and np.isnan(result.truth)
    assert result.n_open == 2


def test_where_no_pair_is_true_or_known_nothing_is_compared_with_the_truth():
    f, none = named(np.eye(4) / 2), named(np.zeros((4, 4)))
    result = compare.compare(f, none, none, None)
    assert np.isnan(result.truth) and (result.n_open, result.n_known) == (4, 0)


def test_words_quote_the_numbers(comparison):
    info = {"confidence": 0.25, "trusted": False, "trusted_from": 0.6, "notes": ["a note"]}
    info["reason"] = "geometry is ambiguous"
    words = compare.in_words(comparison[-1], [info, {"confidence": 0.5}])
    assert (
        "0.25, 0.50 (trusted from 0.6)" in words
        and "40% of the mass" in words
        and "0.400" in words
        and "a note" in words
    )


def test_entries_have_true_partners_on_the_diagonal(comparison):
    f, known, pairs, labels, _ = comparison
    order = np.array([2, 0, 3, 1])  # of the second modality
    moved = [Correspondence(c.matrix[:, order], ROWS, np.array(COLS)[order]) for c in (f, known, pairs)]
    drawn = plots.in_order(*moved, (labels[0], labels[1][order]), (np.ones(4, bool), np.ones(4, bool)))
    table = drawn.table.sort_values(["y", "x"]).reset_index(drop=True)
    assert table[["y", "x"]].to_numpy().tolist() == [[0, 0], [1, 1], [1, 2], [2, 1], [2, 2]]
    assert table["known"].tolist() == [True, False, False, False, False]
    assert drawn.borders.tolist() == [[1.5, 1.5]]


@pytest.mark.parametrize("trusted", [True, False])
def test_figure_says_what_it_shows(comparison, trusted):
    f, known, pairs, labels, result = comparison
    everything = np.ones(4, bool), np.ones(4, bool)
    info = {"confidence": 0.25, "trusted": trusted, "reason": "r"}
    drawn = plots.in_order(f, known, pairs, labels, everything)
    figure = plots.known_and_estimated(drawn, result, info, modalities=("rna", "ephys"))
    text = " ".join(t.get_text() for t in figure.texts)
    assert "confidence 0.25" in text and "40% of the mass" in text
    assert ("not to be trusted" in text) is not trusted
    axes = {ax.get_title(loc="left"): ax for ax in figure.axes}
    assert axes["Entries of the correspondence"].get_xlabel() == "cell of electrophysiology"
    heat = axes["Estimated mass by label, rows sum to 1"].images[0].get_array()
    np.testing.assert_allclose(heat, [[0.6, 0.4], [0.8, 0.2]], atol=1e-6)
    widths = [bar.get_width() for bar in axes["Mean mass on the true partner"].patches]
    assert widths == pytest.approx([0.6, 0.2])


def test_figure_shows_links_left_out_beside_others_at_random(comparison):
    f, known, pairs, labels, result = comparison
    drawn = plots.in_order(f, known, pairs, labels, (np.ones(4, bool), np.ones(4, bool)))
    own, random = (np.linspace(low, low + 1, 101).tolist() for low in (-0.2, -0.5))
    links = {"n": 1234, "r": 0.3, "r_random": 0.01, "sd_random": 0.02, "own": own, "random": random}
    info = {"confidence": 0.9, "trusted": True, "reason": "r", "links": links}
    figure = plots.known_and_estimated(drawn, result, info, modalities=("rna", "ephys"))
    axes = {ax.get_title(loc="left"): ax for ax in figure.axes}
    title = next(title for title in axes if title.startswith("Evidence: 1,234 linked features"))
    assert "mean 0.300, at random 0.010" in title
    curves = [line.get_xdata()[50] for line in axes[title].lines]
    assert curves == pytest.approx([0.3, 0.0])


def test_many_labels_are_shortened():
    table = pd.DataFrame({"label": [f"t{i}" for i in range(40)], "n_cells": range(40)})
    kept = plots._shortened(table)["label"].tolist()
    assert len(kept) == plots.MAX_LABELS and kept[0] == "t15" and kept[-1] == "t39"
