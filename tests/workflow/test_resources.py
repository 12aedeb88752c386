"""What rules ask for: memory and time that grow with the input and the attempt, and a benchmark of each."""

import json
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from jamie import registry

ROOT = Path(__file__).parents[2]
TEXT = "\n".join(file.read_text() for file in sorted((ROOT / "rules").glob("*.smk")))
BLOCKS = re.split(r"^(?:rule|use rule \w+ as) (\w+)(?: with)?:$", TEXT, flags=re.MULTILINE)[1:]
RULES = dict(zip(BLOCKS[::2], BLOCKS[1::2], strict=True))
KNN = SimpleNamespace(method="knn", dataset="d")


class Inputs(dict):
    """Inputs of a job, as Snakemake hands them to a function: by name and by number."""

    def __getitem__(self, key):
        return list(self.values())[key] if isinstance(key, int) else super().__getitem__(key)


@pytest.fixture(scope="module")
def resources():
    """What rules/needs.smk and resources.smk define: plain Python, but for the configuration."""
    text = "".join((ROOT / f"rules/{name}.smk").read_text() for name in ("needs", "sizes", "resources"))
    entry = {"reader": "simulate", "options": {"n_cells": 1000}, "correspondence": None}
    names = {"CONFIG": {"datasets": {"d": entry}, "mirror": None}, "__name__": "resources"}
    names["CONFIG"]["methods"] = {name: {"options": {}} for name in ("jamie", "babel")}
    names["spec"] = registry.specs().get  # of a method
    exec(compile(text, "resources.smk", "exec"), names)
    return SimpleNamespace(**names)


def file_of(folder: Path, size_mb: float) -> str:
    path = folder / f"{size_mb}.h5mu"
    with path.open("wb") as file:
        file.truncate(int(size_mb * 2**20))  # sparse: takes no room
    return str(path)


def test_every_rule_has_a_benchmark_and_asks_by_its_own_name(resources):
    for rule, body in RULES.items():
        assert re.search(rf'benchmark:\n        "benchmarks/{rule}[./]', body), rule
        assert re.search(rf'log:\n        "logs/{rule}[./]', body), rule
        assert f'**needs("{rule}"' in body, rule
    assert set(resources.NEEDS) == set(RULES)


def test_benchmark_and_log_of_a_job_have_the_same_name():
    for rule, body in RULES.items():
        log, benchmark = (re.search(rf'"{kind}/(.*)\.(?:log|tsv)"', body) for kind in ("logs", "benchmarks"))
        assert log[1] == benchmark[1], rule


def test_no_memory_or_time_is_fixed():
    assert not re.search(r"(mem_mb|runtime)=\d", TEXT)
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    for rule, given in profile["set-resources"].items():
        assert not {"mem_mb", "runtime"} & set(given), rule


def test_a_rule_asks_for_more_where_it_reads_more(resources, tmp_path):
    for rule, need in resources.NEEDS.items():
        asked = resources.needs(rule)
        small, large = ({name: file_of(tmp_path, mb) for name in need.reads} for mb in (1, 400_000))
        for what, slope in (("mem_mb", need.mb_per_mb), ("runtime", need.s_per_mb)):
            few, many = (asked[what](KNN, files, attempt=1) for files in (small, large))
            assert isinstance(few, int), rule
            assert (many > few) == bool(slope and need.reads), (rule, what)


def test_a_repeated_attempt_asks_for_as_much_again_and_never_for_less_than_snakemake_needs(resources):
    for rule in resources.NEEDS:
        asked = resources.needs(rule)
        kinds = ("mem_mb", "runtime")
        first, second, third = ([asked[kind](KNN, {}, attempt=n) for kind in kinds] for n in (1, 2, 3))
        assert second == [2 * x for x in first] and third == [3 * x for x in first], rule
        assert first[0] >= 400 and first[1] >= 5, rule


def test_files_of_several_fits_count_together_only_where_they_are_in_memory_together(resources, tmp_path):
    need = resources.Need(100, 2, 1, 1, ("prepared",))
    files = {"prepared": [file_of(tmp_path, mb) for mb in (10, 30)]}
    assert resources.of_inputs(need)(KNN, files) == (30, 40)
    assert resources.of_inputs(need._replace(at_once=True))(KNN, files) == (40, 40)


def test_work_that_is_done_several_times_takes_as_long_and_no_more_memory(resources, tmp_path):
    files = {"prepared": file_of(tmp_path, 400_000)}
    once, often = (resources.needs("tune_method", times=n) for n in (1, 12))
    assert once["mem_mb"](KNN, files, attempt=1) == often["mem_mb"](KNN, files, attempt=1)
    assert often["runtime"](KNN, files, attempt=1) == pytest.approx(
        12 * once["runtime"](KNN, files, attempt=1), abs=12
    )


def test_a_simulation_counts_by_its_options(resources, monkeypatch):
    n_mb, _ = resources.of_simulation(KNN, {})
    assert n_mb == pytest.approx(1000 * (800 + 200) * 8e-6)
    options = {"n_cells": 1000, "paired_fraction": 0.5, "rna_depth": 1800}
    monkeypatch.setitem(resources.CONFIG["datasets"]["d"], "options", options)
    assert resources.of_simulation(KNN, {})[0] == pytest.approx(0.75 * 2 * n_mb)


@pytest.fixture()
def given(resources, tmp_path, monkeypatch):
    """A dataset of files in a folder of its own; what of it is made lies in the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "10x/filtered"
    folder.mkdir(parents=True)
    for mb in (1, 2):
        file_of(folder, mb)
    url = {"url": "https://example.org/labels.csv", "sha256": "0" * 64}
    files = {"data": {"path": "10x"}, "labels": url}
    entry = {"reader": "10x", "files": files, "correspondence": {"path": file_of(tmp_path, 4)}}
    monkeypatch.setitem(resources.CONFIG["datasets"], "d", entry)
    return tmp_path


def test_sources_count_wherever_they_are(resources, given, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"labels\.csv is not here yet"):
        resources.of_sources(KNN, {})
    mirror = given / "mirror"
    mirror.mkdir()
    Path(file_of(given, 8)).rename(mirror / "labels.csv")
    monkeypatch.setitem(resources.CONFIG, "mirror", str(mirror))
    assert resources.of_sources(KNN, {}) == (15, 15)
    listed = given / "resources/d/files.json"
    listed.parent.mkdir(parents=True)
    listed.write_text(json.dumps({"data": "10x", "labels": file_of(given, 3)}))
    assert resources.of_sources(KNN, {}) == (6, 6)


def test_a_member_of_a_wheel_in_the_mirror_counts_unpacked(resources, given, monkeypatch):
    labels = {"pypi": "some-data==1.0", "member": "some_data/labels.csv", "sha256": "0" * 64}
    monkeypatch.setitem(resources.CONFIG["datasets"]["d"]["files"], "labels", labels)
    monkeypatch.setitem(resources.CONFIG, "mirror", str(given))
    with zipfile.ZipFile(given / "some_data-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("some_data/labels.csv", b"0" * 2**20)
    assert resources.of_sources(KNN, {}) == (8, 8)


def test_what_is_not_made_yet_counts_by_what_it_is_made_of(resources, given):
    """As soon as a file is there, it counts as it is, and what follows from it by that."""
    sizes_mb = resources.of_inputs(resources.NEEDS["train_jamie"])
    prepared, ingested = given / "prepared.h5mu", given / "results/d/ingested.h5mu"
    inputs = Inputs(prepared=str(prepared))
    with pytest.raises(FileNotFoundError):
        sizes_mb(KNN, inputs)
    Path(file_of(given, 3)).rename(given / "labels.csv")
    resources.CONFIG["datasets"]["d"]["files"]["labels"] = {"path": "labels.csv"}
    made = resources.MADE_PER_MB["prepared"]
    assert sizes_mb(KNN, inputs)[0] == pytest.approx(made * resources.INGESTED_PER_MB * 10)
    ingested.parent.mkdir(parents=True)
    Path(file_of(given, 20)).rename(ingested)
    assert sizes_mb(KNN, inputs)[0] == pytest.approx(made * 20)
    Path(file_of(given, 7)).rename(prepared)
    assert sizes_mb(KNN, inputs)[0] == 7
    chunks = Inputs(drivers=["0.tsv", "1.tsv"], groups=["0.tsv", "1.tsv"])
    both = resources.MADE_PER_MB["drivers"] + resources.MADE_PER_MB["groups"]
    assert resources.of_inputs(resources.NEEDS["collect_attributions"])(KNN, chunks)[0] == both * 20


def test_where_nothing_is_known_the_least_is_asked_and_the_size_left_open(resources, given):
    asked = resources.needs("train_jamie")
    inputs = Inputs(prepared="prepared.h5mu")
    with pytest.raises(FileNotFoundError) as error:
        asked["read_mb"](KNN, inputs)
    assert error.value.filename == "prepared.h5mu"  # of an input: Snakemake writes <TBD>
    for name in ("mem_mb", "runtime"):
        assert asked[name](KNN, inputs, attempt=1) == asked[name](KNN, Inputs(), attempt=1)
    assert asked["work_s"](KNN, inputs) == resources.NEEDS["train_jamie"].s


def test_jobs_that_load_torch_ask_for_what_a_cuda_build_takes(resources, tmp_path):
    assert "fit_torch_method" in resources.WITH_TORCH and "fit_baseline" not in resources.WITH_TORCH
    asked = resources.needs("train_jamie")["mem_mb"]
    files = {"prepared": file_of(tmp_path, 100)}
    before, names = asked(KNN, files, attempt=1), asked.__globals__
    names["CUDA_MB"] += 1000
    try:
        assert asked(KNN, files, attempt=1) - before == 1000 * resources.MORE_MEMORY
    finally:
        names["CUDA_MB"] -= 1000


def test_a_fit_asks_for_a_gpu_unless_its_options_say_cpu(resources):
    for method in ("jamie", "babel"):
        wildcards, options = SimpleNamespace(method=method), resources.CONFIG["methods"][method]["options"]
        assert resources.gpus(wildcards) == 1
        options["device"] = "cuda"
        assert resources.gpus(wildcards) == 1
        options["device"] = "cpu"
        assert resources.gpus(wildcards) == 0


def test_rules_that_fit_with_torch_and_no_others_ask_for_a_gpu():
    asking = {rule for rule, body in RULES.items() if re.search(r"^        gpu=gpus,", body, re.MULTILINE)}
    assert asking == {"train_jamie", "tune_jamie", "fit_torch_method", "tune_torch_method"}
    assert len(re.findall(r"\bgpu=", TEXT)) == len(asking)
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    assert {rule for rule, given in profile["set-resources"].items() if "slurm_partition" in given} == asking


def test_rules_that_run_where_snakemake_was_started_are_listed(resources):
    plain = {rule for rule, body in RULES.items() if "    localrule: True" in body}
    named = re.findall(r"^use rule (\w+) as (\w+) with:", TEXT, re.MULTILINE)
    assert plain | {new for old, new in named if old in plain} == resources.LOCAL
