"""What a job wrote is noticed when it is no longer so."""

import hashlib
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from jamie import InputError, entry, io
from jamie.jobs import checksums


class Input(dict):
    """Inputs of a job by name, as attributes too."""

    __getattr__ = dict.__getitem__


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """A file and a folder of two, with records; the working folder is theirs."""
    monkeypatch.chdir(tmp_path)
    Path("results/d/model").mkdir(parents=True)
    for name in ("a.tsv", "model/config.json", "model/weights.safetensors"):
        Path("results/d", name).write_bytes(bytes(range(256)) * 4)
    outputs = [Path("results/d/a.tsv"), Path("results/d/model")]
    checksums.record(outputs, rule="train", log="logs/train.log")
    return outputs


def spoilt(content: bytes) -> dict[str, bytes]:
    """Ways in which a file is spoilt."""
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    half = len(content) // 2
    return {"zeroed": content[:half] + bytes(half), "cut": content[:half], "flipped": flipped, "emptied": b""}


def test_a_record_says_size_time_and_sha256_of_every_file(outputs):
    (first, file), (second, folder) = checksums.recorded()
    content = bytes(range(256)) * 4
    about = {"size": 1024, "sha256": hashlib.sha256(content).hexdigest()}
    about["mtime_ns"] = os.stat("results/d/a.tsv").st_mtime_ns
    assert [first, second] == outputs
    assert file == {"rule": "train", "log": "logs/train.log", "files": {"results/d/a.tsv": about}}
    assert set(folder["files"]) == {"results/d/model/config.json", "results/d/model/weights.safetensors"}


def test_nothing_differs_from_what_was_written_nor_where_only_the_time_does(outputs):
    os.utime("results/d/a.tsv", (0, 0))
    Path("results/d/model", ".snakemake_timestamp").touch()
    assert checksums.verify(outputs) == []


@pytest.mark.parametrize("kind", ["zeroed", "cut", "flipped", "emptied"])
@pytest.mark.parametrize("name", ["results/d/a.tsv", "results/d/model/weights.safetensors"])
def test_each_kind_of_damage_is_noticed_though_the_time_is_as_it_was(outputs, name, kind):
    before = os.stat(name)
    Path(name).write_bytes(spoilt(Path(name).read_bytes())[kind])
    os.utime(name, ns=(before.st_atime_ns, before.st_mtime_ns))
    (difference,) = checksums.verify(outputs)
    assert difference.path == Path(name) and difference.rule == "train"


def test_a_file_that_is_missing_from_a_folder_is_noticed(outputs):
    Path("results/d/model/config.json").unlink()
    (difference,) = checksums.verify(outputs)
    assert difference.found == "no such file" and difference.output == Path("results/d/model")


def test_a_record_that_is_spoilt_is_noticed(outputs):
    record = checksums.record_path("results/d/a.tsv")
    for content in spoilt(record.read_bytes()).values():
        record.write_bytes(content)
        (difference,) = checksums.verify(["results/d/a.tsv"])
        assert difference.output == Path("results/d/a.tsv")


def test_the_error_names_file_rule_and_remedy(outputs):
    Path("results/d/model/config.json").write_text("{}")
    with pytest.raises(InputError) as error:
        checksums.check(outputs)
    assert "results/d/model/config.json" in error.value.problem and "train" in error.value.problem
    assert "1,024 bytes" in error.value.expected and "logs/train.log" in error.value.expected
    assert error.value.found.startswith("2 bytes, sha256 ")
    assert "rm -r results/d/model;" in error.value.change
    assert error.value.change.endswith("rm checksums/results/d/model.json")


def test_a_file_without_a_record_and_one_outside_are_taken_as_they_are(outputs, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "raw.tsv"
    outside.write_text("raw")
    Path("own.tsv").write_text("own")
    assert checksums.verify([outside, "own.tsv"]) == []


def test_a_path_and_its_absolute_form_have_one_record(outputs):
    assert checksums.record_path(outputs[0].absolute()) == checksums.record_path(outputs[0])


def test_what_is_written_anew_has_a_new_record(outputs):
    Path("results/d/a.tsv").write_text("anew")
    checksums.record(outputs[:1], rule="train", log="logs/train.log")
    assert checksums.verify(outputs) == []
    Path("results/d/a.tsv").unlink()
    checksums.record(outputs[:1], rule="train", log="logs/train.log")
    assert [path for path, _ in checksums.recorded()] == outputs[1:]


def job(**given) -> SimpleNamespace:
    """What Snakemake gives to a script."""
    return SimpleNamespace(rule="copy", log=["job.log"], resources={}, **given)


def test_a_job_records_its_outputs_and_refuses_spoilt_inputs_before_it_reads(outputs, quiet_logging):
    with entry.job(job(input=["results/d/a.tsv"], output=["b.tsv"])):
        io.write_text("b.tsv", "made of a")
    assert {str(path): about["rule"] for path, about in checksums.recorded()}["b.tsv"] == "copy"
    Path("b.tsv").write_text("")
    reached = []
    with pytest.raises(SystemExit), entry.job(job(input=["b.tsv"], output=[])):
        reached.append(True)
    assert not reached and "b.tsv is not as rule copy wrote it" in Path("job.log").read_text()


def test_a_job_that_fails_leaves_no_record_of_what_it_would_have_written(outputs, quiet_logging):
    with pytest.raises(ValueError), entry.job(job(input=[], output=["results/d/a.tsv"])):
        raise ValueError
    assert [path for path, _ in checksums.recorded()] == outputs[1:]


def test_a_download_that_was_spoilt_is_fetched_anew_by_deleting_its_list_too(outputs):
    io.write_json("files.json", {"rna": "results/d/a.tsv", "atac": "own.tsv"})
    Path("own.tsv").write_text("a file of the user")
    dataset = {"files": {"rna": {"url": "http://host/a.tsv"}, "atac": {"path": "own.tsv"}}}
    job = SimpleNamespace(input=Input(files="files.json"), params=SimpleNamespace(entry=dataset))
    assert entry.fetched(job) == {"rna": Path("results/d/a.tsv"), "atac": Path("own.tsv")}
    Path("results/d/a.tsv").write_text("")
    with pytest.raises(InputError, match=r"rm results/d/a\.tsv files\.json;"):
        entry.fetched(job)
