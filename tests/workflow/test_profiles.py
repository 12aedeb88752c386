"""The profiles: what they name exists, and Snakemake takes them."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from shared.workflow import local_files

ROOT = Path(__file__).parents[2]
SLURM = ROOT / "profiles/slurm/config.yaml"
RULES = {
    name
    for file in (ROOT / "rules").glob("*.smk")
    for name in re.findall(r"^(?:rule|use rule \w+ as) (\w+)", file.read_text(), re.MULTILINE)
}


def dry_run(folder: Path, profile: str, *more: str) -> str:
    """Standard output of a dry run with a profile, from a folder without results."""
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "-n"]
    command += ["--workflow-profile", str(ROOT / "profiles" / profile), *more]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_default_profile_in_a_dry_run(tmp_path):
    assert "rule train_jamie:" in dry_run(tmp_path, "default")


def test_slurm_profile_is_yaml_that_names_rules_of_the_workflow():
    """Without the executor's plugin this is all that can be said of it."""
    profile = yaml.safe_load(SLURM.read_text())
    assert profile["executor"] == "slurm"
    assert "train_jamie" in profile["set-resources"]
    assert set(profile["set-resources"]) <= RULES
    # all that the default profile says about failures holds here, too
    default = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
    assert {key: profile[key] for key in ("rerun-incomplete", "keep-going")} == {
        key: default[key] for key in ("rerun-incomplete", "keep-going")
    }


def test_every_entry_of_the_slurm_profile_has_a_comment():
    lines = SLURM.read_text().splitlines()
    for i, line in enumerate(lines):
        if re.match(r"[a-z]", line):
            above = next((x for x in reversed(lines[:i]) if not re.match(r"[a-z]", x)), "")
            assert above.startswith("#"), line


needs_slurm_plugin = pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
    reason="the plugin snakemake-executor-plugin-slurm is not installed",
)


@needs_slurm_plugin
def test_slurm_profile_in_a_dry_run_with_its_plugin(tmp_path):
    plan = dry_run(tmp_path, "slurm")
    train = plan.split("rule train_jamie:")[1].split("rule ")[0]
    asked = re.search(r"resources: (.*)", train)[1].split(", ")
    assert {"slurm_partition=gpu", "gpu=1", "runtime=5"} <= set(asked)
    assert re.search(r"mem_mb=\d{3,4}$", next(x for x in asked if x.startswith("mem_mb=")))


def test_jobs_that_go_together_are_rules_of_the_workflow():
    profile = yaml.safe_load(SLURM.read_text())
    assert set(profile["groups"]) <= RULES
    assert set(profile["group-components"]) <= set(profile["groups"].values())
    # they run one after another, so that memory is that of the largest, and time that of all
    assert profile["cores"] == 1
    # and all in the same partition
    partitions = {rule: given["slurm_partition"] for rule, given in profile["set-resources"].items()}
    named = {(name, partitions.get(rule, "cpu")) for rule, name in profile["groups"].items()}
    assert len(named) == len(dict(named))


def submitted(plan: str) -> tuple[int, int]:
    """How many jobs of a dry run are submitted, as Snakemake groups them, and how many there are in all."""
    rules = "".join(file.read_text() for file in (ROOT / "rules").glob("*.smk"))
    bodies = re.findall(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", rules, re.MULTILINE | re.DOTALL)
    local = {"all"} | {name for name, body in bodies if "localrule: True" in body}  # `all` makes nothing
    local |= {new for old, new in re.findall(r"^use rule (\w+) as (\w+) with:", rules, re.M) if old in local}
    alone = [rule for rule in re.findall(r"^rule (\w+):", plan, re.MULTILINE) if rule not in local]
    members = re.findall(r"^ +rule (\w+):", plan, re.MULTILINE)
    return len(re.findall(r"Group job ", plan)) + len(alone), len(alone) + len(members)


@needs_slurm_plugin
@pytest.mark.parametrize(("config", "most"), [(None, 20), ("benchmark", 80)])
def test_few_jobs_are_submitted(tmp_path, config, most):
    more = []
    if config:
        path = ROOT / f"config/examples/{config}.yaml"
        for file in local_files(path):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        more = ["--configfile", str(path)]
    n_submitted, n_jobs = submitted(dry_run(tmp_path, "slurm", *more))
    assert n_submitted <= most and n_jobs > 4 * n_submitted
