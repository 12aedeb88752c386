"""Each kind of unusable data is refused with a message that says what, where and what to change."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jamie.data import checks
from jamie.errors import InputError
from jamie.io import together
from jamie.linear import blocks

N = 24


def modality(kind="rna", values="counts", n=N, p=5, matrix=None):
    rng = np.random.default_rng(0)
    if matrix is None:
        measured = kind in ("continuous", "methylation")
        matrix = rng.random((n, p)) if measured else sparse.csr_matrix(rng.integers(1, 9, (n, p)))
    matrix = matrix.astype(np.float32)
    adata = anndata.AnnData(
        matrix,
        obs=pd.DataFrame({"cell_type": ["a", "b"] * (n // 2)}, index=[f"cell{i}" for i in range(n)]),
        var=pd.DataFrame(index=[f"{kind}{j}" for j in range(p)]),
    )
    adata.uns.update(kind=kind, values=values)
    return adata


def dataset(first=None, second=None):
    return together(
        {
            "one": modality() if first is None else first,
            "two": modality("continuous", p=6) if second is None else second,
        }
    )


def refused(mdata, *, labels=True):
    with pytest.raises(InputError) as error:
        checks.check_dataset(mdata, "mine", labels=labels)
    assert "mine" in error.value.change or "file" in error.value.change
    return str(error.value)


@pytest.mark.parametrize("kind", ["rna", "atac", "protein", "methylation", "continuous"])
def test_sound_data_pass(kind):
    mdata = dataset(modality(kind))
    before = mdata["one"].X.copy()
    checks.check_dataset(mdata, "mine", labels=True)
    assert abs(mdata["one"].X - before).sum() == 0


def test_too_few_cells_or_no_feature():
    assert "18 cells x 5" in refused(dataset(modality(n=18)))
    assert "one is empty" in refused(dataset(modality(n=0)))
    assert "24 cells x 0" in refused(dataset(modality(p=0)))
    checks.check_dataset(dataset(modality(n=20)), "mine", labels=True)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("axis", "name"), [("obs_names", "cell7"), ("var_names", "rna2")])
def test_repeated_names(axis, name):
    adata = modality()
    names = getattr(adata, axis).to_numpy().copy()
    names[1] = name
    setattr(adata, axis, names)
    message = refused(dataset(adata))
    assert f"1: {name}" in message and "more than once" in message


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray])
def test_counts_must_be_finite(bad, form):
    matrix = np.ones((N, 5))
    matrix[3, 2] = bad
    message = refused(dataset(modality(matrix=form(matrix))))
    assert "1 such values" in message and "cell3" in message and "rna2" in message


def test_sparse_place_is_right_with_empty_rows():
    matrix = np.zeros((N, 5))
    matrix[[2, 9], [1, 4]] = [3, -2]
    message = refused(dataset(modality(matrix=sparse.csr_matrix(matrix))))
    assert "-2 (cell cell9, feature rna4)" in message and "negative" in message


def test_nan_is_a_missing_measurement_but_inf_is_not():
    second = modality("continuous")
    second.X[3, 2] = np.nan
    checks.check_dataset(dataset(second=second), "mine", labels=True)
    second.X[4, 1] = -np.inf
    assert "-inf (cell cell4, feature continuous1)" in refused(dataset(second=second))


@pytest.mark.parametrize("kind", ["methylation", "continuous"])
@pytest.mark.parametrize(("place", "name"), [(np.s_[5, :], "cell5"), (np.s_[:, 3], "{kind}3")])
def test_a_cell_or_feature_that_was_not_measured_is_listed_and_dropped(place, name, kind, caplog):
    second, name = modality(kind), name.format(kind=kind)
    second.X[place] = np.nan
    mdata = dataset(second=second)
    assert f"1: {name}" in refused(mdata)
    kept = checks.drop_empty(mdata)
    assert kept["two"].shape in ((N - 1, 5), (N, 4)) and kept["one"].shape == (N, 5)
    assert name not in [*kept["two"].obs_names, *kept["two"].var_names]
    assert f"were left out (1: {name})" in caplog.text
    checks.check_dataset(kept, "mine", labels=True)


@pytest.mark.parametrize(("value", "word"), [(-1, "negative"), (0.5, "not whole")])
def test_no_counts(value, word):
    adata = modality("atac")
    adata.X[2, 1] = value
    message = refused(dataset(adata))
    assert word in message and "cell2" in message and "modalities.one.layer" in message
    adata.uns["values"] = "normalised"
    checks.check_dataset(dataset(adata), "mine", labels=True)


def test_normalised_must_be_finite_only():
    adata = modality(values="normalised", matrix=np.zeros((N, 5)))
    checks.check_dataset(dataset(adata), "mine", labels=True)
    adata.X[1, 1] = np.nan
    assert "not finite" in refused(dataset(adata))


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_methylation_range(value):
    second = modality("methylation")
    second.X[0, 0], second.X[0, 1] = value, np.nan
    message = refused(dataset(second=second))
    assert f"{value:g} (cell cell0" in message and "[0, 1]" in message


@pytest.mark.parametrize("block_values", [blocks.BLOCK_VALUES, 12])
def test_empty_cells_and_features_are_listed_and_dropped(caplog, monkeypatch, block_values):
    monkeypatch.setattr(blocks, "BLOCK_VALUES", block_values)
    matrix = np.ones((N, 5))
    matrix[[4, 6]] = 0
    matrix[:, 3] = 0
    mdata = dataset(modality(matrix=sparse.csr_matrix(matrix)))
    message = refused(mdata)
    assert (
        "empty cells, 2: cell4, cell6; empty features, 1: rna3" in message and "drop_empty: false" in message
    )
    kept = checks.drop_empty(mdata)
    assert kept["one"].shape == (N - 2, 4) and kept["two"].shape == (N, 6)
    assert "cell4" not in kept["one"].obs_names and sparse.issparse(kept["one"].X)
    assert list(kept.mod) == ["one", "two"] and kept["one"].uns["kind"] == "rna"
    assert "one: empty (all zero) cells were left out (2: cell4, cell6)" in caplog.text
    assert "one: empty (all zero) features were left out (1: rna3)" in caplog.text
    assert mdata["one"].shape == (N, 5)
    checks.check_dataset(kept, "mine", labels=True)


def test_explicit_zeros_are_no_counts():
    adata = modality()
    adata.X.data[:5] = 0
    assert "1: cell0" in refused(dataset(adata))


def test_zero_is_a_value_of_what_is_measured(caplog):
    second = modality("continuous")
    second.X[0] = 0
    mdata = dataset(second=second)
    assert checks.drop_empty(mdata) is mdata and not caplog.text


def test_of_normalised_values_empty_cells_and_features_are_dropped():
    matrix = np.random.default_rng(0).random((N, 5))
    matrix[3], matrix[:, 2] = 0, 0
    mdata = dataset(modality(values="normalised", matrix=matrix))
    checks.check_dataset(mdata, "mine", labels=True)
    assert checks.drop_empty(mdata)["one"].shape == (N - 1, 4)


@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray])
def test_counts_as_continuous(form):
    counts = np.random.default_rng(0).poisson(0.3, (N, 5))
    message = refused(dataset(modality("continuous", matrix=form(counts))))
    assert "looks like counts" in message and "kind" in message


@pytest.mark.parametrize(
    "matrix",
    [np.eye(N, 5), np.random.default_rng(0).poisson(5, (N, 5)), -2.0 * np.eye(N, 5), 1.5 * np.eye(N, 5)],
)
def test_other_continuous_data_pass(matrix):
    assert checks.check_not_counts(matrix, "one", "modalities.one") is None


def test_a_missing_label_is_no_error():
    adata = modality()
    adata.obs["cell_type"] = pd.Categorical([None, *["a"] * (N - 1)])
    checks.check_dataset(dataset(adata), "mine", labels=True)


@pytest.mark.parametrize(
    ("values", "found", "change"),
    [
        (np.linspace(0, 100, N * 5), "percent", "divide them by 100"),
        (np.linspace(-8, 8, N * 5), "M-values", "2^M / (1 + 2^M)"),
        (np.linspace(0, 1000, N * 5), "such values", "the file"),
    ],
)
def test_methylation_on_another_scale_is_called_by_its_name(values, found, change):
    with pytest.raises(InputError) as error:
        checks.check_dataset(
            dataset(second=modality("methylation", matrix=values.reshape(N, 5))), "mine", labels=True
        )
    assert found in error.value.found and change in error.value.change
    assert "`datasets.mine.modalities.two.kind: continuous`" in error.value.change


def test_what_is_no_count_is_called_by_its_name():
    counts = np.random.default_rng(0).poisson(2, (N, 5)) + 1
    for values, name in (
        (np.log1p(counts), "log1p of whole numbers"),
        (counts / 7, "logarithms, ratios or TF-IDF"),
    ):
        assert name in refused(dataset(modality("atac", matrix=values)))


def test_missing_batch():
    adata = modality()
    adata.obs["batch"] = pd.Categorical(["x"] * (N - 1) + [None])
    assert "1: cell23" in refused(dataset(adata))


def test_readable_names_the_file(tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(b"12345")
    with pytest.raises(InputError, match="5 bytes of text") as error, checks.readable(path, "a form"):
        raise OSError("broken")
    assert error.value.found.endswith("OSError: broken") and "truncated" not in error.value.change


def test_any_error_of_a_library_is_about_the_file_and_own_ones_are_not(tmp_path):
    path = tmp_path / "x.h5"
    path.write_bytes(b"12345")
    with pytest.raises(InputError, match="AttributeError"), checks.readable(path, "a form"):
        _ = pd.Series([1]).str
    namespace = {"__name__": "jamie.data.anything"}
    exec("def fail(): raise RuntimeError('own')", namespace)
    with pytest.raises(RuntimeError, match="own"), checks.readable(path, "a form"):
        namespace["fail"]()
