"""`make verify`: what differs, what is missing and what was added is said, and nothing else."""

import pytest

from jamie import InputError, io
from jamie.data import inputs
from jamie.jobs import checksums
from jamie.report import verify

OURS = "results/cells/paired_50/jamie/seed0"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A folder as a run leaves it: a result, a model, and a list of a file and a folder that were read."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for name, text in {"mine/a.csv": "1\n", "mine/b.csv": "2\n", "one.tsv": "3\n"}.items():
        (tmp_path / name).write_text(text)
    sources = {"rna": {"path": "mine", "url": None}, "labels": {"path": "one.tsv"}}
    read = inputs.account(sources, {"rna": tmp_path / "mine", "labels": tmp_path / "one.tsv"})
    read["atac"] = {"source": {"path": "s3://bucket/atac.h5ad"}, "path": "gone", "files": {}}
    io.write_json("resources/cells/inputs.json", read)
    io.write_text(f"{OURS}/metrics.tsv", "metric\tvalue\n")
    io.write_text(f"{OURS}/model/config.json", "{}\n")
    outputs = ["resources/cells/inputs.json", f"{OURS}/metrics.tsv", f"{OURS}/model"]
    checksums.record(outputs, rule="train_jamie", log="logs/train_jamie/x.log")
    io.write_text(f"{OURS}/checkpoint.pt", "kept beside results by a fit")
    io.write_text("results/report.html", "made after the run")
    return tmp_path


def test_an_untouched_run_is_as_it_was_recorded(run, capsys):
    found = verify.look()
    assert (found.differs, found.missing, found.added) == ([], [], [])
    assert found.elsewhere == ["s3://bucket/atac.h5ad"]
    assert found.n_files == 6  # three results, three inputs
    assert verify.main() == 0 and "6 files, of which 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["one.tsv", "mine/b.csv", f"{OURS}/metrics.tsv", f"{OURS}/model/config.json"]
)
def test_one_changed_byte_is_named(run, name, capsys):
    path = run / name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    found = verify.look()
    assert len(found.differs) == 1 and name in found.differs[0] and "sha256" in found.differs[0]
    assert not found.missing and verify.main() == 1
    assert name in capsys.readouterr().out


@pytest.mark.parametrize(
    "name", ["one.tsv", "mine/a.csv", f"{OURS}/metrics.tsv", f"{OURS}/model/config.json"]
)
def test_what_is_gone_is_missing(run, name):
    (run / name).unlink()
    found = verify.look()
    assert len(found.missing) == 1 and name in found.missing[0] and not found.differs
    assert verify.main() == 1


def test_what_was_put_beside_is_told_and_is_no_difference(run, capsys):
    (run / "mine/c.csv").write_text("4\n")
    io.write_text(f"{OURS}/metrics_better.tsv", "metric\tvalue\n")
    found = verify.look()
    assert [line.split(":")[0].removeprefix(f"{run}/") for line in found.added] == [
        "mine/c.csv",
        f"{OURS}/metrics_better.tsv",
    ]
    assert verify.main() == 0 and "Added" in capsys.readouterr().out


def test_a_folder_without_a_run_cannot_be_verified(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no run to verify"):
        verify.look()
    assert verify.main() == 2 and "checksums/" in capsys.readouterr().err
