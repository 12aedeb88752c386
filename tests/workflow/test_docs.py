"""The documents say what is true: their commands run, their example works, what they name exists."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml

from jamie import config, contract
from jamie.data import sources
from jamie.data.readers import READERS
from jamie.report import describe
from shared.workflow import PARTS, checked_out, fenced, local_files

ROOT = Path(__file__).parents[2]
DOCS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "config/README.md")
EXAMPLES = sorted((ROOT / "config/examples").glob("*.yaml"))


def read(name: str) -> str:
    return (ROOT / name).read_text()


def code_words(name: str) -> list[str]:
    """Everything between single backticks, outside fenced blocks."""
    text = re.sub(r"^ *```.*?^ *```", "", read(name), flags=re.MULTILINE | re.DOTALL)
    return re.findall(r"`([^`\n]+)`", text)


def first_column(name: str, head: str) -> list[str]:
    """Words in backticks in the first column of the table whose first heading is ``head``."""
    rows = re.search(rf"^ *\| {head} \|.*\n((?: *\|.*\n)+)", read(name), re.MULTILINE)[1].splitlines()
    return [word for row in rows for word in re.findall(r"`([^`]+)`", row.split("|")[1])]


def merged(*overlays: dict) -> dict:
    """config.yaml with overlays, merged as Snakemake does: maps are joined, all else is replaced."""
    from snakemake.utils import update_config

    whole = yaml.safe_load(read("config/config.yaml"))
    for overlay in overlays:
        update_config(whole, overlay)
    return whole


COMMANDS = [
    (name, line)
    for name in ("README.md", "CONTRIBUTING.md")
    for block in fenced(read(name), "bash")
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """A copy of the repository whose .venv is this Python's environment, taken to be installed."""
    folder = checked_out(tmp_path_factory.mktemp("checkout"))
    for example in (folder / "config/examples").glob("*.yaml"):  # dry runs look for local files
        for local in local_files(example):
            (folder / local).parent.mkdir(parents=True, exist_ok=True)
            (folder / local).touch()
    return folder


def as_run_here(command: str) -> list[str]:
    """The command, with what takes long (or needs a network) as a dry run of make or of Snakemake."""
    words = shlex.split(command)
    if words[:3] == ["git", "clone", "URL"]:
        return ["sh", "-c", command.replace("URL", shlex.quote(str(ROOT)), 1)]
    if words[0] == ".venv/bin/python" and words[1].startswith("tests/benchmarks/"):
        return [*words[:2], "--help"]
    assert words[0] == "make", f"no way is known to try {command!r}"
    if words[1] == "docs":
        return words
    if words[1] != "report":
        return ["make", "--dry-run", *words[1:]]
    settings = [word for word in words[1:] if not word.startswith("ARGS=")]
    given = [word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")]
    return ["make", *settings, f"ARGS={' '.join(['-n', *given])}"]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_commands_in_the_documents_run(name, command, checkout):
    env = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "CONFIG", "ARGS")}
    words = as_run_here(command)
    result = subprocess.run(words, cwd=checkout, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{name}: {command}\n{result.stdout}\n{result.stderr}"
    if words[:2] == ["make", "report"]:
        assert "rule train_jamie:" in result.stdout
        assert not (checkout / "results").exists()
    if words == ["make", "docs"]:
        assert (checkout / "config/README.md").read_text() == read("config/README.md")


def test_documents_hold_commands():
    assert {"make report", "make test"} <= {command for _, command in COMMANDS}


def test_python_example_works(tmp_path, monkeypatch, one_torch_thread):
    (code,) = fenced(read("README.md"), "python")
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(compile(code, "README.md", "exec"), names)
    mdata, latent = names["mdata"], names["latent"]
    assert {m: z.shape for m, z in latent.items()} == {m: (a.n_obs, 32) for m, a in mdata.mod.items()}
    assert names["atac"].shape == names["counts"].shape == (mdata["rna"].n_obs, len(names["peaks"]))
    assert set(names["peaks"]) <= set(mdata["atac"].var_names)
    assert names["counts"].min() >= 0
    again = names["again"].embed(mdata)
    for m in latent:
        np.testing.assert_array_equal(again[m], latent[m])


def test_config_readme_is_generated():
    assert read("config/README.md") == describe.page(), "run `make docs`"


def keys_of(value) -> set[str]:
    if not isinstance(value, dict):
        return set()
    return set(value).union(*(keys_of(part) for part in value.values()))


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_config_keys_in_the_documents_exist(name):
    known = {part for key in first_column("config/README.md", "key") for part in key.split(".")}
    written = [word for word in code_words(name) if re.match(r"[a-z_]+:( |$)", word)]
    assert written
    used = set().union(*(keys_of(yaml.safe_load(word)) for word in written))
    assert used <= known, f"{name}: {sorted(used - known)} are no config keys"


def test_tables_of_formats_and_kinds_are_complete():
    assert set(first_column("README.md", "`reader`")) == set(READERS) - {"patchseq_rda"}
    assert set(first_column("README.md", "`kind`")) == set(contract.KINDS)


def anchors(text: str) -> set[str]:
    heads = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("name", DOCS)
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)]+)\)", read(name)):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), f"{name}: {target}"
        assert not anchor or anchor in anchors(file.read_text()), f"{name}: {target}"


@pytest.mark.parametrize("name", DOCS)
def test_paths_in_the_documents_exist(name):
    for word in code_words(name):
        top = word.split("/")[0]
        if "/" in word and not re.search(r"[*{ ]|NAME", word) and top in (*PARTS, "jamie"):
            folder = ROOT / "workflow_scripts" if top == "jamie" else ROOT
            assert (folder / word).exists(), f"{name}: {word}"


def test_table_of_examples_is_complete():
    rows = re.findall(r"^\| \[(\w+\.yaml)\]\(config/examples/\1\)", read("README.md"), re.MULTILINE)
    assert sorted(rows) == [path.name for path in EXAMPLES]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_a_valid_overlay(path):
    overlay = yaml.safe_load(path.read_text())
    checked = config.check(merged(overlay))
    three = ("seeds", "pairing_sweep", "ablation", "benchmark", "tuned", "cis_regulation", "wrong_pairs")
    seeds = 5 if path.stem == "unpaired" else 3 if path.stem in three else 1
    assert checked["run"]["seeds"] == list(range(seeds))
    with_datasets = ("own_data", "cis_regulation", "wrong_pairs", "whole_genome", "hundred_thousand")
    more = {"ablation": {"methods"}, "many_datasets": {"datasets_table"}, "unpaired": {"datasets", "methods"}}
    more |= {name: {"datasets"} for name in with_datasets}
    assert set(overlay) == {"run"} | more.get(path.stem, set())


def test_seeds_go_on_top_of_another_example():
    first, second = (yaml.safe_load(read(f"config/examples/{n}.yaml")) for n in ("patchseq_m1", "seeds"))
    run = config.check(merged(first, second))["run"]
    assert run["seeds"] == [0, 1, 2]
    assert run["datasets"] == ["patchseq_m1"]


def test_commented_keys_of_the_template_are_valid():
    """Whoever removes a `#` in the template gets a key that exists."""
    text = re.sub(
        r"^( *)# (?=[a-z_]+:( |$)|  [a-z]+: )", r"\1", read("config/examples/own_data.yaml"), flags=re.M
    )
    dataset = config.check(merged(yaml.safe_load(text)))["datasets"]["my_data"]
    assert dataset["modalities"]["rna"]["n_top_features"] == 3000
    assert dataset["drop_empty"] is False
    assert dataset["show_features"] == {"rna": ["Sst", "Pvalb"]}
    given = {key: dataset[key]["path"] for key in sources.BESIDE}
    assert given == {
        "correspondence": "data/my_pairs.tsv",
        "genes": "data/genes.bed.gz",
        "known_links": "data/known_links.tsv",
        "linked_features": "data/my_links.tsv",
    }
    assert dataset["show_genes"] == ["Sst"]


def test_every_fault_in_the_table_is_tried_by_tests_that_exist():
    lines = read("docs/faults.md").splitlines()
    rows = [line for line in lines if line.startswith("| ") and not line.startswith("| fault |")]
    known = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"`(test_\w+)`", row.split("|")[-2])
        assert named and set(named) <= known, row
