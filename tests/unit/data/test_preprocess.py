"""Preprocessing: what each kind becomes, the way back, and that nothing is learned from held-out cells."""

import mudata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import sparse

from jamie import contract, io
from jamie.contract import ATAC, CONTINUOUS, KINDS, METHYLATION, PROTEIN, RNA
from jamie.data import preprocess
from jamie.errors import InputError
from jamie.io import together

N, P = 80, 40
EVERY = np.ones(N, dtype=bool)
TRAIN = np.arange(N) % 4 != 0


def raw(kind: str, seed: int = 0, n: int = N, p: int = P) -> AnnData:
    """Raw values of one modality; a tenth of the values is missing where the kind allows that."""
    rng = np.random.default_rng(seed)
    rate = rng.lognormal(0, 1, p) * rng.lognormal(0, 0.5, (n, p)) * rng.lognormal(0, 0.4, (n, 1))
    scale = {RNA: 2, ATAC: 0.5, PROTEIN: 5}
    if kind in scale:
        values = sparse.csr_matrix(rng.poisson(rate * scale[kind]), dtype=np.float32)
    else:
        values = rng.beta(1, 2, (n, p)) if kind == METHYLATION else 100 + 7 * rng.normal(size=(n, p))
        values[rng.random((n, p)) < 0.1] = np.nan
    adata = AnnData(values)
    adata.obs_names, adata.var_names = [f"c{i}" for i in range(n)], [f"{kind}_{j}" for j in range(p)]
    adata.uns["kind"], adata.uns["values"] = kind, "counts"
    return adata


def dense(matrix) -> np.ndarray:
    return matrix.toarray() if sparse.issparse(matrix) else np.asarray(matrix)


def prepared_pair() -> mudata.MuData:
    parts = {"rna": raw(RNA), "ephys": raw(CONTINUOUS)}
    parts["rna"].var["chrom"] = "chr1"
    mdata = together(parts)
    return preprocess.prepare(mdata, {0: TRAIN, 1: TRAIN}, {"rna": 20})


# --- there and back


@pytest.mark.parametrize("kind", KINDS)
def test_invert_undoes_apply(kind):
    adata = raw(kind)
    state = preprocess.fit(adata, TRAIN)
    result = preprocess.apply(adata, state)
    size = result.obs["size"] if kind in contract.COUNT_KINDS else None
    back = preprocess.invert(result.X, state, size=size)
    truth = dense(adata[:, state["features"]].X)
    measured = ~np.isnan(truth)
    assert measured.mean() > 0.85
    np.testing.assert_allclose(back[measured], truth[measured], rtol=1e-5, atol=1e-5)
    # what was not measured comes back as the mean of the training cells
    mean = np.broadcast_to(np.nanmean(truth[TRAIN], axis=0), truth.shape)
    np.testing.assert_allclose(back[~measured], mean[~measured], rtol=1e-5)


@pytest.mark.parametrize("kind", contract.COUNT_KINDS)
def test_without_a_size_counts_are_those_of_a_median_training_cell(kind):
    adata = raw(kind)
    state = preprocess.fit(adata, TRAIN)
    result = preprocess.apply(adata, state)
    at_median = preprocess.invert(result.X, state)
    truth = dense(adata.X) * (state["size"] / result.obs["size"].to_numpy())[:, None]
    np.testing.assert_allclose(at_median, truth, rtol=1e-5, atol=1e-5)
    assert state["size"] == pytest.approx(np.median(result.obs["size"][TRAIN]))


@pytest.mark.parametrize("kind", [*contract.COUNT_KINDS, METHYLATION])
def test_invert_keeps_to_possible_values(kind):
    adata = raw(kind)
    state = preprocess.fit(adata, EVERY)
    low = preprocess.invert(np.full((3, P), -2.0), state)
    assert (low == 0).all()
    if kind == METHYLATION:
        assert (preprocess.invert(np.full((3, P), 1.7), state) == 1).all()


# --- each kind against its definition


def test_rna_is_scanpys_normalisation():
    import scanpy as sc

    adata = raw(RNA)
    wanted = adata.copy()
    sc.pp.normalize_total(wanted, target_sum=float(np.median(np.asarray(adata.X.sum(axis=1)))))
    sc.pp.log1p(wanted)
    result = preprocess.apply(adata, preprocess.fit(adata, EVERY))
    np.testing.assert_allclose(dense(result.X), dense(wanted.X), rtol=1e-5)


def test_rna_keeps_the_genes_scanpy_finds_most_variable():
    import scanpy as sc

    adata = raw(RNA, n=300, p=400)
    train = np.arange(300) % 3 != 0
    state = preprocess.fit(adata, train, n_top_features=50)
    reference = adata[train].copy()
    sc.pp.normalize_total(reference, target_sum=float(np.median(np.asarray(reference.X.sum(axis=1)))))
    sc.pp.log1p(reference)
    sc.pp.highly_variable_genes(reference, n_top_genes=50)
    wanted = reference.var_names[reference.var["highly_variable"]]
    assert len(state["features"]) == 50
    assert state["features"].tolist() == wanted.tolist()


def test_atac_is_muons_tfidf():
    import muon

    adata = raw(ATAC)
    wanted = adata.copy()
    muon.atac.pp.tfidf(wanted, log_tf=True, log_idf=True, scale_factor=1e4)
    result = preprocess.apply(adata, preprocess.fit(adata, EVERY))
    np.testing.assert_allclose(dense(result.X), dense(wanted.X), rtol=1e-5)


def test_atac_keeps_the_most_accessible_peaks_of_the_training_cells():
    adata = raw(ATAC)
    state = preprocess.fit(adata, TRAIN, n_top_features=10)
    n_open = (dense(adata.X)[TRAIN] > 0).sum(axis=0)
    kept = adata.var_names.isin(state["features"])
    assert kept.sum() == 10
    assert n_open[kept].min() >= n_open[~kept].max()


def test_protein_is_muons_clr_within_each_cell():
    import muon

    adata = raw(PROTEIN)
    wanted = muon.prot.pp.clr(adata.copy(), inplace=False, axis=1)
    result = preprocess.apply(adata, preprocess.fit(adata, TRAIN))
    np.testing.assert_allclose(dense(result.X), dense(wanted.X), rtol=1e-5)
    # each cell stands alone: the others change nothing
    alone = preprocess.apply(adata[:1].copy(), preprocess.fit(adata, TRAIN))
    np.testing.assert_array_equal(dense(alone.X), dense(result.X)[:1])


def test_methylation_is_taken_as_it_is_and_continuous_is_scaled():
    adata = raw(METHYLATION)
    result = preprocess.apply(adata, preprocess.fit(adata, TRAIN))
    measured = ~np.isnan(adata.X)
    np.testing.assert_allclose(result.X[measured], adata.X[measured], rtol=1e-6)

    adata = raw(CONTINUOUS)
    result = preprocess.apply(adata, preprocess.fit(adata, TRAIN))
    measured = ~np.isnan(adata.X)
    scores = np.ma.array(result.X, mask=~measured)[TRAIN]
    np.testing.assert_allclose(scores.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scores.std(axis=0), 1, rtol=1e-5)


@pytest.mark.parametrize("kind", contract.COUNT_KINDS)
def test_normalised_values_are_left_alone_both_ways(kind):
    adata = raw(kind)
    adata.X = sparse.csr_matrix(adata.X).log1p()
    adata.uns["values"] = "normalised"
    state = preprocess.fit(adata, TRAIN)
    result = preprocess.apply(adata, state)
    kept = dense(adata[:, state["features"]].X)
    np.testing.assert_array_equal(dense(result.X), kept)
    np.testing.assert_array_equal(preprocess.invert(result.X, state), kept)
    assert contract.COUNTS not in result.layers and "size" not in result.obs


# --- statistics of training cells only


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_learned_from_held_out_cells(kind):
    adata = raw(kind)
    changed = adata.copy()
    values = dense(adata.X).copy()
    rng = np.random.default_rng(1)
    noise = rng.random(values[~TRAIN].shape)
    values[~TRAIN] = np.floor(500 * noise) if kind in contract.COUNT_KINDS else noise
    values[np.flatnonzero(~TRAIN)[0]] = 0
    changed.X = sparse.csr_matrix(values) if sparse.issparse(adata.X) else values
    n_top = 15 if kind in (RNA, ATAC) else None
    states = [preprocess.fit(a, TRAIN, n_top) for a in (adata, changed)]
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        np.testing.assert_array_equal(value, states[1][key], err_msg=key)
    results = [preprocess.apply(a, states[0]) for a in (adata, changed)]
    np.testing.assert_array_equal(dense(results[0].X)[TRAIN], dense(results[1].X)[TRAIN])
    assert not np.array_equal(dense(results[0].X)[~TRAIN], dense(results[1].X)[~TRAIN])


@pytest.mark.parametrize("kind", KINDS)
def test_mean_and_sd_are_those_of_the_training_cells(kind):
    adata = raw(kind)
    state = preprocess.fit(adata, TRAIN)
    result = preprocess.apply(adata, state)
    train = dense(result.X)[TRAIN].astype(float)
    np.testing.assert_allclose(result.var["mean"], train.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(result.var["sd"], train.std(axis=0), rtol=1e-5)


# --- shapes, types, missing values


@pytest.mark.parametrize("kind", KINDS)
def test_sparse_counts_stay_sparse_and_all_is_float32_and_finite(kind):
    adata = raw(kind)
    result = preprocess.apply(adata, preprocess.fit(adata, TRAIN))
    values = result.X.data if sparse.issparse(result.X) else result.X
    assert sparse.issparse(result.X) == (kind in contract.COUNT_KINDS)
    assert values.dtype == np.float32 and np.isfinite(values).all()
    if kind in contract.COUNT_KINDS:
        assert result.X.nnz == adata.X.nnz
        assert (result.layers["counts"] != adata.X).nnz == 0


@pytest.mark.parametrize("kind", contract.COUNT_KINDS)
@pytest.mark.parametrize("form", ["dense", "uint8", "csc"])
def test_counts_may_come_dense_or_of_any_integer_type(kind, form):
    adata = raw(kind)
    other = adata.copy()
    other.X = {
        "dense": adata.X.toarray(),
        "uint8": adata.X.astype(np.uint8),
        "csc": sparse.csc_matrix(adata.X),
    }[form]
    assert dense(adata.X).max() < 256
    results = [preprocess.apply(a, preprocess.fit(a, TRAIN, 20)) for a in (adata, other)]
    assert sparse.issparse(results[1].X) and results[1].X.format == "csr"
    assert results[0].var_names.tolist() == results[1].var_names.tolist()
    np.testing.assert_array_equal(dense(results[0].X), dense(results[1].X))


@pytest.mark.parametrize("kind", [METHYLATION, CONTINUOUS])
def test_missing_values_are_marked_and_take_the_training_mean(kind):
    adata = raw(kind)
    result = preprocess.apply(adata, preprocess.fit(adata, TRAIN))
    missing = np.isnan(adata.X)
    marks = result.layers[contract.MISSING]
    assert sparse.issparse(marks) and marks.dtype == bool
    np.testing.assert_array_equal(marks.toarray(), missing)
    rows, columns = np.nonzero(missing)
    center = np.nanmean(adata.X[TRAIN], axis=0) if kind == METHYLATION else np.zeros(P)
    np.testing.assert_allclose(result.X[rows, columns], center[columns], atol=1e-6)


@pytest.mark.parametrize("kind", contract.COUNT_KINDS)
def test_values_counts_and_raw_data_share_no_memory(kind):
    adata = raw(kind)
    result = preprocess.apply(adata, preprocess.fit(adata, TRAIN))
    matrices = [adata.X, result.X, result.layers[contract.COUNTS]]
    for i, first in enumerate(matrices):
        for second in matrices[i + 1 :]:
            for part in ("data", "indices", "indptr"):
                assert not np.shares_memory(getattr(first, part), getattr(second, part)), part


def test_complete_data_have_no_marks_of_missing_values():
    adata = raw(CONTINUOUS)
    adata.X = np.nan_to_num(adata.X, nan=100.0)
    assert contract.MISSING not in preprocess.apply(adata, preprocess.fit(adata, TRAIN)).layers


@pytest.mark.parametrize("kind", KINDS)
def test_features_constant_in_the_training_cells_are_left_out(kind):
    adata = raw(kind)
    values = dense(adata.X).copy()
    values[TRAIN, 3] = 0
    if kind in (METHYLATION, CONTINUOUS):
        values[TRAIN, 5] = 0.7
        values[TRAIN, 8] = np.nan  # measured in held-out cells only
    adata.X = sparse.csr_matrix(values) if sparse.issparse(adata.X) else values
    state = preprocess.fit(adata, TRAIN)
    left_out = {f"{kind}_3"} | ({f"{kind}_5", f"{kind}_8"} if kind in (METHYLATION, CONTINUOUS) else set())
    assert set(adata.var_names) - set(state["features"]) == left_out
    assert (state["sd"] > 0).all()
    assert preprocess.apply(adata, state).shape == (N, P - len(left_out))


def test_a_constant_feature_takes_no_place_among_the_most_accessible():
    # cells of equal depth; the first peak is open in all of them, to the same degree
    rest = np.random.default_rng(0).permuted(np.tile([3, 2, 1, 0, 0], (N, 1)), axis=1)
    adata = AnnData(sparse.csr_matrix(np.column_stack([np.full(N, 4), rest]), dtype=np.float32))
    adata.uns["kind"] = ATAC
    state = preprocess.fit(adata, EVERY, n_top_features=2)
    assert len(state["features"]) == 2
    assert "0" not in state["features"]


@pytest.mark.parametrize("kind", [METHYLATION, CONTINUOUS])
@pytest.mark.parametrize("value", [0.1, 0.3, 1 / 3, 0.7])
def test_a_constant_that_is_missing_in_some_cells_is_left_out_too(kind, value):
    adata = raw(kind)
    adata.X[:, 4] = value
    adata.X[::5, 4] = np.nan
    assert f"{kind}_4" not in preprocess.fit(adata, TRAIN)["features"]


@pytest.mark.parametrize("kind", [METHYLATION, CONTINUOUS])
def test_values_with_gaps_may_come_sparse(kind):
    adata = raw(kind)
    other = adata.copy()
    other.X = sparse.csr_matrix(adata.X)
    results = [preprocess.apply(a, preprocess.fit(a, TRAIN)) for a in (adata, other)]
    np.testing.assert_array_equal(results[0].X, results[1].X)
    marks = [result.layers[contract.MISSING].toarray() for result in results]
    np.testing.assert_array_equal(marks[0], marks[1])


def test_no_varying_feature_is_an_input_error():
    adata = raw(CONTINUOUS)
    adata.X = np.ones((N, P))
    with pytest.raises(InputError, match="No feature of the continuous modality varies"):
        preprocess.fit(adata, TRAIN)


# --- new data


@pytest.mark.parametrize("kind", KINDS)
def test_features_that_new_data_lack_take_the_training_mean(kind):
    adata = raw(kind)
    state = preprocess.fit(adata, TRAIN)
    whole = preprocess.apply(adata, state)
    fewer = adata[:, ::-1][:, :-3].copy()  # another order, without the first three features
    result = preprocess.apply(fewer, state)
    assert result.var_names.tolist() == state["features"].tolist()
    lacking = ~np.isin(state["features"], fewer.var_names)
    assert lacking.sum() == 3
    np.testing.assert_allclose(
        dense(result.X)[:, lacking], np.tile(state["mean"][lacking], (N, 1)), rtol=1e-5
    )
    if kind in contract.COUNT_KINDS:
        assert (dense(result.layers["counts"])[:, lacking] == 0).all()
    else:  # counts are also scaled by the size of the cell, which lost three features
        np.testing.assert_array_equal(dense(result.X)[:, ~lacking], dense(whole.X)[:, ~lacking])
    assert np.isfinite(dense(result.X)).all()


def test_features_unknown_to_the_model_are_passed_over():
    adata = raw(CONTINUOUS)
    state = preprocess.fit(adata[:, :10].copy(), TRAIN)
    np.testing.assert_array_equal(
        preprocess.apply(adata, state).X, preprocess.apply(adata[:, :10].copy(), state).X
    )


def test_data_that_share_no_feature_are_an_input_error():
    state = preprocess.fit(raw(RNA), TRAIN)
    other = raw(RNA)
    other.var_names = [f"ENSG{j}" for j in range(P)]
    with pytest.raises(InputError, match="share no feature names") as caught:
        preprocess.apply(other, state)
    assert "ENSG0" in caught.value.found and "rna_0" in caught.value.expected


# --- prepared.h5mu


def test_prepared_data_keep_their_contract_and_survive_the_file(tmp_path):
    prepared = prepared_pair()
    contract.check_prepared(prepared)
    io.write_h5mu(tmp_path / "prepared.h5mu", prepared)
    again = io.read_h5mu(tmp_path / "prepared.h5mu")
    contract.check_prepared(again)
    assert list(again.mod) == ["rna", "ephys"]
    for name, before in prepared.mod.items():
        after = again.mod[name]
        assert after.obs_names.tolist() == before.obs_names.tolist()
        assert (after.obs["role"] == np.where(TRAIN, "train", "test")).all()
        np.testing.assert_array_equal(dense(after.X), dense(before.X))
        pd.testing.assert_frame_equal(after.var, before.var, check_dtype=False, check_categorical=False)
        for layer in before.layers:
            np.testing.assert_array_equal(dense(after.layers[layer]), dense(before.layers[layer]))
        states = before.uns["preprocessing"], after.uns["preprocessing"]
        assert states[0].keys() == states[1].keys()
        for key, value in states[0].items():
            np.testing.assert_array_equal(np.asarray(value), np.asarray(states[1][key]), err_msg=key)


def test_a_state_from_a_file_does_what_it_did_before(tmp_path):
    prepared = prepared_pair()
    io.write_h5mu(tmp_path / "prepared.h5mu", prepared)
    again = io.read_h5mu(tmp_path / "prepared.h5mu")
    for name, kind in (("rna", RNA), ("ephys", CONTINUOUS)):
        state = again.mod[name].uns["preprocessing"]
        result = preprocess.apply(raw(kind), state)
        np.testing.assert_array_equal(dense(result.X), dense(prepared.mod[name].X))
        np.testing.assert_array_equal(
            preprocess.invert(result.X, state),
            preprocess.invert(result.X, prepared.mod[name].uns["preprocessing"]),
        )


def test_the_number_of_features_to_keep_is_asked_for_by_modality():
    prepared = prepared_pair()
    assert prepared.mod["rna"].n_vars == 20
    assert prepared.mod["ephys"].n_vars == P
    assert prepared.mod["rna"].var["chrom"].eq("chr1").all()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: m.mod["ephys"].X.__setitem__((0, 0), np.nan), "finite float32 X in ephys"),
        (lambda m: m.mod["rna"].uns.pop("preprocessing"), r"uns\['preprocessing'\]"),
        (lambda m: m.mod["rna"].uns.update(kind="gex"), r"uns\['kind'\]"),
        (lambda m: m.mod["rna"].obs.drop(columns="role", inplace=True), r"obs\['role'\]"),
    ],
)
def test_a_broken_prepared_file_is_refused(spoil, message):
    prepared = prepared_pair()
    spoil(prepared)
    with pytest.raises(InputError, match=message):
        contract.check_prepared(prepared)
