"""What does not fit together is said, each kind with its severity; data that fit give nothing."""

import numpy as np
import pandas as pd
import pytest

from jamie import contract as c
from jamie import io
from jamie.data import correspondence, findings, fit_together, notices
from jamie.data.correspondence import Correspondence
from jamie.data.simulate import simulate_multiome
from jamie.errors import InputError
from jamie.io import together


@pytest.fixture(scope="module")
def good():
    """400 cells of two samples, named as Cell Ranger does, all with both modalities."""
    mdata, _ = simulate_multiome(n_cells=400, n_types=3, n_genes=60, n_peaks=150, paired_fraction=1, seed=3)
    sample = np.where(np.arange(400) < 200, "1", "2")
    cells, parts = mdata["rna"].obs_names, {}
    for name, adata in mdata.mod.items():
        parts[name] = adata = adata[cells].copy()
        adata.obs["batch"] = pd.Categorical(np.where(sample == "1", "young", "old"))
        adata.obs_names = [f"{k % 200:03d}-{s}" for k, s in zip(range(400), sample, strict=True)]
        adata.uns |= {"values": "counts"}
    return parts


def ask(modalities, needs_pairs=True, pairs=None):
    mdata = together({name: adata.copy() for name, adata in modalities.items()})
    from_file = pairs is not None
    pairs = correspondence.from_names(mdata) if pairs is None else pairs
    return fit_together.compare(mdata, pairs, "mine", needs_pairs=needs_pairs, from_file=from_file)


def changed(modalities, **new):
    """With another name, label or order of the second modality's cells: column or "names" -> values."""
    first, second = modalities
    other = modalities[second].copy()
    for what, values in new.items():
        if what == "names":
            other.obs_names = values
        else:
            other.obs[what] = pd.Categorical(values)
    return {first: modalities[first], second: other}


def test_good_data_give_nothing(good, raw_multiome):
    assert ask(good) == []
    assert ask({name: a.copy() for name, a in raw_multiome.mod.items()}) == []


def test_no_shared_name_is_refused_with_the_rule_that_would_help(good):
    (found,) = ask(changed(good, names=[f"{k % 200:03d}#{1 + k // 200}" for k in range(400)]))
    assert found.severity == c.REFUSED and "0 of 400 and 400" in found.found
    assert "000-1, 001-1, 002-1 and 397 more" in found.found and "000#1, 001#1, 002#1" in found.found
    assert "400 cells would match if separators were the same (000-1 and 000#1" in found.change
    assert "hold cells out or show pairs" in found.expected and "datasets.mine.correspondence" in found.change


def test_without_a_scenario_that_needs_pairs_names_may_differ(good):
    names = [f"{k % 200:03d}#{1 + k // 200}" for k in range(400)]
    (found,) = ask(changed(good, names=names), needs_pairs=False)
    assert found.severity == c.WARNING and "separators" in found.change
    assert ask(changed(good, names=[f"other{k}x" for k in range(400)]), needs_pairs=False) == []
    (found,) = ask(changed(good, names=[f"other{k}x" for k in range(400)]))
    assert found.severity == c.REFUSED and "transductive_0" in found.change


def test_some_cells_with_nearly_equal_names_are_a_warning(good):
    second = good["atac"].obs_names.to_numpy().copy()
    second[:200] = [name.replace("-", "_") for name in second[:200]]
    (found,) = ask(changed(good, names=second))
    assert found.severity == c.WARNING and "200 are shared, and 200 more would be" in found.found


def test_cells_that_are_features_are_refused(good):
    transposed = good["atac"].T.copy()
    transposed.uns = good["atac"].uns
    (found,) = ask({"rna": good["rna"], "atac": transposed})
    assert found.severity == c.REFUSED and found.problem == "atac has its cells in columns"
    assert "400 of 400 cells of rna" in found.found and "transpose atac" in found.change
    both = {name: a.T.copy() for name, a in good.items()}
    (found,) = ask(both)
    assert found.severity == c.REFUSED and "transpose both files" in found.change


def test_labels_without_a_common_word_are_refused(good):
    labels = good["rna"].obs["cell_type"].astype(str)
    (found,) = ask(changed(good, cell_type=[f"ATAC {label}!" for label in labels]))
    assert found.severity == c.REFUSED and "no name in common" in found.problem
    assert "cell_type: null" in found.change
    (found,) = ask(changed(good, cell_type=[label.upper() for label in labels]))
    assert "3 would be the same if upper and lower case were the same" in found.found
    assert ask(changed(good, cell_type=[None] * 400)) == []


@pytest.mark.parametrize("column", ["cell_type", "batch"])
def test_pairs_that_disagree_are_a_warning_if_some_and_refused_if_most_do(good, column):
    labels = good["rna"].obs[column].astype(str).to_numpy()
    swap = dict(zip(np.unique(labels), np.roll(np.unique(labels), 1), strict=True))
    for share, severity in ((0.05, c.WARNING), (0.9, c.REFUSED)):
        n = round(share * 400)
        other = np.append([swap[label] for label in labels[:n]], labels[n:])
        found = [f for f in ask(changed(good, **{column: other})) if "differ" in f.problem]
        assert [f.severity for f in found] == [severity]
        assert f"{n} of 400 pairs" in found[0].found
        assert f"000-1 is {labels[0]} in rna and {other[0]} in atac" in found[0].found


def test_exchanged_suffixes_are_refused_by_their_batches(good):
    names = [name[:-1] + {"1": "2", "2": "1"}[name[-1]] for name in good["atac"].obs_names]
    found = ask(changed(good, names=names))
    (batch,) = (f for f in found if "batch" in f.problem)
    assert batch.severity == c.REFUSED and "400 of 400" in batch.found and "-1" in batch.change


def test_a_sample_column_that_is_not_the_batch_is_compared_too(good):
    parts = {}
    for name, adata in good.items():
        parts[name] = adata.copy()
        parts[name].obs["sample"] = parts[name].obs.pop("batch")
    assert ask(parts) == []
    names = [name[:-1] + {"1": "2", "2": "1"}[name[-1]] for name in good["atac"].obs_names]
    (found,) = (f for f in ask(changed(parts, names=names)) if "sample" in f.problem)
    assert found.severity == c.WARNING and "400 of 400" in found.found


def test_the_exchanged_sample_is_named(good):
    parts = {name: adata[np.arange(400) % 200 >= 60].copy() for name, adata in good.items()}
    batch = parts["atac"].obs["batch"].astype(str).to_numpy()
    wrong = np.where(np.arange(len(batch)) < 140, "old", batch)
    (found,) = (f for f in ask(changed(parts, batch=wrong)) if "batch" in f.problem)
    assert "most of those named -1" in found.found


def test_batches_that_are_called_otherwise_in_each_modality_are_no_mistake(good):
    labels = good["rna"].obs["batch"].astype(str)
    assert ask(changed(good, batch=[f"atac_{label}" for label in labels])) == []


def test_pairs_of_strangers_are_a_warning(good):
    order = np.random.default_rng(0).permutation(400)
    plain = {}
    for name, adata in good.items():
        plain[name] = adata.copy()
        plain[name].obs = adata.obs[[]].copy()
    (found,) = ask(changed(plain, names=good["atac"].obs_names[order]))
    assert found.severity == c.WARNING and "no more alike than cells drawn at random" in found.problem
    assert "of 400 pairs depth r = " in found.found


def test_strangers_of_one_sample_are_a_warning_that_names_it(good):
    names = good["atac"].obs_names.to_numpy().copy()
    names[200:] = names[200:][np.random.default_rng(0).permutation(200)]
    plain = {}
    for name, adata in good.items():
        plain[name] = adata.copy()
        plain[name].obs = adata.obs[[]].copy()
    (found,) = ask(changed(plain, names=names))
    assert found.severity == c.WARNING and "rna and atac of -2 are no more alike" in found.problem


def test_a_correspondence_without_a_pair_is_refused_where_pairs_are_needed(good):
    a, b = good.values()
    none = Correspondence(np.zeros((400, 400)), a.obs_names, b.obs_names)
    (found,) = ask(good, pairs=none)
    assert found.severity == c.REFUSED and "correspondence" in found.change
    assert ask(good, pairs=none, needs_pairs=False) == []


def test_pairs_in_doubt_may_differ_in_their_labels(good):
    """Only what is said to be one cell must have one label."""
    a, b = good.values()
    shifted = Correspondence(np.roll(np.eye(400), 1, axis=1) * 0.5, a.obs_names, b.obs_names)
    assert [f for f in ask(good, pairs=shifted) if "differ" in f.problem] == []
    certain = Correspondence(np.roll(np.eye(400), 1, axis=1), a.obs_names, b.obs_names)
    assert [f for f in ask(good, pairs=certain) if "cell type" in f.problem]


def test_findings_survive_a_file_and_stop_at_what_is_refused(tmp_path, caplog):
    told = [findings.Finding(s, f"a {s}", "this", "that", "a key") for s in (c.WARNING, c.REFUSED, c.REFUSED)]
    told.append(findings.Finding(c.NOTICE, "a notice", ""))
    path = tmp_path / "findings.tsv"
    io.write_table(path, findings.to_table(told))
    assert findings.from_table(io.read_table(path)) == told
    io.write_table(path, findings.to_table([]))
    assert findings.from_table(io.read_table(path)) == []
    with pytest.raises(InputError, match="a refused") as error:
        findings.speak(told)
    assert error.value.change == "a key"
    assert [r.getMessage().split(":")[0] for r in caplog.records] == ["Warning", "Refused"]


def test_notices_are_findings_with_a_few_examples(tmp_path):
    with notices.collected() as noticed:
        notices.note("rna", "empty features were left out", [f"gene{k}" for k in range(1200)])
        notices.note("", "f.tsv was read", n=0)
        notices.note("atac", "values were read as missing", n=1500)
    io.write_table(tmp_path / "notices.tsv", notices.table(noticed))
    told = findings.of_notices(io.read_table(tmp_path / "notices.tsv"))
    assert [f.sentence() for f in told] == [
        "rna: empty features were left out (1,200: gene0, gene1, gene2, ...).",
        "f.tsv was read.",
        "atac: values were read as missing (1,500).",
    ]
    assert {f.severity for f in told} == {c.NOTICE}
