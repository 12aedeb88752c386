"""A run as an RO-Crate: what its profiles demand, and that no path of the machine is in it."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from jamie.config import check
from jamie.report import crate
from shared.workflow import ROOT

HOSTILE = '<b>"x"</b> & \\ \u2028 日本'
FILE = {"size": 3, "sha256": "a" * 64, "mtime_ns": 1}


@pytest.fixture(scope="module")
def made():
    """The JSON of a crate, by @id."""
    sources = {
        "data": {"path": "/home/someone/private/cells & <types>.h5mu"},
        "labels": {"url": "https://example.org/labels.tsv", "sha256": "c" * 64},
        "genes": {"pypi": "genes==1.0", "member": "genes/genes.bed"},
    }
    accounts = {
        name: {"source": s, "path": "/home/someone", "files": {"": FILE}} for name, s in sources.items()
    }
    accounts["folder"] = {
        "source": {"path": "/home/someone/matrix"},
        "path": "/home/someone/matrix",
        "files": {"barcodes.tsv": FILE, "matrix.mtx": FILE | {"sha256": "b" * 64}},
    }
    metadata = crate.describe(
        datasets={"cells": HOSTILE},
        results={"metrics.tsv": FILE, "cells/explained/loci/a b#c.svg": FILE},
        inputs=[("cells", accounts)],
        versions={"python": "3.12.1", "snakemake": "9.27.1", "torch": "2.13.0+cpu"},
        identifiers={"code digest": "0123456789abcdef", "git commit": "f" * 40},
        ended_ns=1_700_000_000_000_000_000,
    ).metadata.generate()
    text = json.dumps(metadata)
    entities = {entity["@id"]: entity for entity in json.loads(text)["@graph"]}
    assert len(entities) == len(metadata["@graph"])
    return text, entities


def of(reference) -> list[str]:
    return [item["@id"] for item in (reference if isinstance(reference, list) else [reference])]


def test_root_and_descriptor_name_the_profiles(made):
    text, entities = made
    assert of(entities["ro-crate-metadata.json"]["about"]) == ["./"]
    assert "https://w3id.org/ro/crate/1.1" in of(entities["ro-crate-metadata.json"]["conformsTo"])
    root = entities["./"]
    assert of(root["conformsTo"]) == list(crate.PROFILES)
    assert all(entities[url]["@type"] == "CreativeWork" for url in crate.PROFILES)
    assert {"name", "description", "license", "datePublished"} <= set(root)
    assert root["datePublished"] == "2023-11-14T22:13:20+00:00"
    assert crate.CONTEXT in json.loads(text)["@context"]
    assert root["description"].endswith(HOSTILE)


def test_main_workflow_is_one_and_was_run_with_snakemake(made):
    _, entities = made
    (identifier,) = of(entities["./"]["mainEntity"])
    workflow = entities[identifier]
    assert {"File", "SoftwareSourceCode", "ComputationalWorkflow"} == set(workflow["@type"])
    language = entities[of(workflow["programmingLanguage"])[0]]
    assert language["@type"] == "ComputerLanguage" and language["version"] == "9.27.1"
    values = {entities[i]["name"]: entities[i]["value"] for i in of(workflow["identifier"])}
    assert values == {"code digest": "0123456789abcdef", "git commit": "f" * 40}
    needed = {
        entities[i]["name"]: entities[i]["softwareVersion"] for i in of(workflow["softwareRequirements"])
    }
    assert needed["torch"] == "2.13.0+cpu" and needed["python"] == "3.12.1"


def test_the_run_is_an_action_with_everything_it_read_and_wrote(made):
    _, entities = made
    (identifier,) = of(entities["./"]["mentions"])
    action = entities[identifier]
    assert action["@type"] == "CreateAction" and action["endTime"] == entities["./"]["datePublished"]
    assert of(action["instrument"]) == of(entities["./"]["mainEntity"])
    assert [unquote(i) for i in of(action["result"])] == ["cells/explained/loci/a b#c.svg", "metrics.tsv"]
    assert set(of(action["result"])) <= set(of(entities["./"]["hasPart"]))
    read = [entities[i] for i in of(action["object"])]
    assert read[0]["@id"] == crate.CONFIG
    assert {entity["name"]: entity.get("url") for entity in read[1:]} == {
        "cells & <types>.h5mu": None,
        "labels.tsv": "https://example.org/labels.tsv",
        "genes.bed": "https://pypi.org/project/genes/1.0/",
        "matrix/barcodes.tsv": None,
        "matrix/matrix.mtx": None,
    }
    hashed = [*read[1:], *(entities[i] for i in of(action["result"]))]
    assert all(re.fullmatch(r"[0-9a-f]{64}", e["sha256"]) and e["contentSize"] == "3" for e in hashed)


def test_no_path_of_the_machine_is_in_it(made):
    assert "someone" not in made[0] and "/home" not in made[0]


def test_config_of_the_crate_keeps_names_and_no_places():
    config = {
        "mirror": "/home/someone/mirror",
        "datasets": {
            "a": {"files": {"data": {"path": "/home/someone/a.h5mu"}, "b": {"path": "data/b.h5mu"}}}
        },
        "models": [{"path": "~someone/model"}, {"path": "C:\\Users\\someone\\m"}],
        "url": "https://example.org/x",
        "n": 3,
    }
    assert crate.without_paths(config) == {
        "mirror": None,
        "datasets": {"a": {"files": {"data": {"path": "a.h5mu"}, "b": {"path": "data/b.h5mu"}}}},
        "models": [{"path": "model"}, {"path": "m"}],
        "url": "https://example.org/x",
        "n": 3,
    }


def test_results_of_an_earlier_selection_are_not_of_this_run():
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    config["run"] |= {"methods": ["jamie", "cca"], "seeds": [0]}
    config = check(config)
    ours, top = "results/simulated_multiome", "results/metrics.tsv"
    inside = [
        top,
        f"{ours}/pairs.npz",
        f"{ours}/paired_50/cca/seed0/metrics.tsv",
        f"{ours}/explained/links.tsv",
    ]
    outside = ["scgem/pairs.npz", "simulated_multiome/paired_100/data/seed0/split.tsv"]
    outside += [
        f"simulated_multiome/paired_50/{name}" for name in ("knn_paper/seed0/x", "cca/seed1/metrics.tsv")
    ]
    assert all(crate.of_this_run(Path(path), config) for path in inside)
    assert not any(crate.of_this_run(Path("results", path), config) for path in outside)


def test_workflow_is_copied_so_that_it_runs_elsewhere(tmp_path):
    crate.copy_workflow(ROOT, tmp_path / "copy")
    for name in (
        "Snakefile",
        "workflow/Snakefile",
        "rules/common.smk",
        "config/config.yaml",
        "report/workflow.rst",
    ):
        assert (tmp_path / "copy" / name).read_bytes() == (ROOT / name).read_bytes()
    assert (tmp_path / "copy/workflow_scripts/jamie/config.schema.yaml").exists()
    assert not list((tmp_path / "copy").rglob("__pycache__"))


def test_commit_is_that_of_the_workflow_and_of_no_folder_around_it(tmp_path):
    assert crate.commit_of(tmp_path) is None
    assert crate.commit_of(ROOT / "rules") is None
