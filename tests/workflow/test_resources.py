"""What rules ask for: memory and time that grow with the input and the attempt, and a benchmark of each."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from jamie import registry

ROOT = Path(__file__).parents[2]
TEXT = "\n".join(file.read_text() for file in sorted((ROOT / "rules").glob("*.smk")))
BLOCKS = re.split(r"^(?:rule|use rule \w+ as) (\w+)(?: with)?:$", TEXT, flags=re.MULTILINE)[1:]
RULES = dict(zip(BLOCKS[::2], BLOCKS[1::2], strict=True))
KNN = SimpleNamespace(method="knn")


@pytest.fixture(scope="module")
def resources():
    """What rules/needs.smk and resources.smk define: plain Python, but for the configuration."""
    text = "".join((ROOT / f"rules/{name}.smk").read_text() for name in ("needs", "resources"))
    names = {"CONFIG": {"datasets": {"d": {"options": {"n_cells": 1000}}}}, "__name__": "resources"}
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
        assert first[0] >= 400 and first[1] >= 10, rule


def test_files_of_several_fits_count_together_only_where_they_are_in_memory_together(resources, tmp_path):
    need = resources.Need(100, 2, 1, 1, ("prepared",))
    files = {"prepared": [file_of(tmp_path, mb) for mb in (10, 30)]}
    assert resources.of_inputs(need)(None, files) == (30, 40)
    assert resources.of_inputs(need._replace(at_once=True))(None, files) == (40, 40)


def test_work_that_is_done_several_times_takes_as_long_and_no_more_memory(resources, tmp_path):
    files = {"prepared": file_of(tmp_path, 400_000)}
    once, often = (resources.needs("tune_method", times=n) for n in (1, 12))
    assert once["mem_mb"](KNN, files, attempt=1) == often["mem_mb"](KNN, files, attempt=1)
    assert often["runtime"](KNN, files, attempt=1) == pytest.approx(
        12 * once["runtime"](KNN, files, attempt=1), abs=12
    )


def test_a_simulation_counts_by_its_options(resources):
    wildcards = SimpleNamespace(dataset="d")
    n_mb, _ = resources.of_simulation(wildcards, {})
    assert n_mb == pytest.approx(1000 * (800 + 200) * 8e-6)
    resources.CONFIG["datasets"]["d"]["options"] = {
        "n_cells": 1000,
        "paired_fraction": 0.5,
        "rna_depth": 1800,
    }
    assert resources.of_simulation(wildcards, {})[0] == pytest.approx(0.75 * 2 * n_mb)


def test_sources_count_wherever_they_are(resources, tmp_path):
    folder = tmp_path / "10x/filtered"
    folder.mkdir(parents=True)
    for mb in (1, 2):
        file_of(folder, mb)
    listed = tmp_path / "files.json"
    listed.write_text(json.dumps({"data": str(folder.parent), "labels": file_of(tmp_path, 3)}))

    class Inputs(dict):
        __getattr__ = dict.__getitem__

    assert resources.of_sources(None, Inputs(files=str(listed)))[0] == 6
    assert resources.of_sources(None, Inputs(simulation=file_of(tmp_path, 5)))[0] == 5
    with pytest.raises(FileNotFoundError):  # to Snakemake: to be determined
        resources.of_sources(None, Inputs(files=str(tmp_path / "none.json")))


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
