"""The profiles: what they name exists, and Snakemake takes them."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SLURM = ROOT / "profiles/slurm/config.yaml"
RULES = {
    name
    for file in (ROOT / "rules").glob("*.smk")
    for name in re.findall(r"^(?:rule|use rule \w+ as) (\w+)", file.read_text(), re.MULTILINE)
}


def dry_run(folder: Path, profile: str) -> str:
    """Standard output of a dry run with a profile, from an empty folder."""
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "-n"]
    command += ["--workflow-profile", str(ROOT / "profiles" / profile)]
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


@pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_slurm") is None,
    reason="the plugin snakemake-executor-plugin-slurm is not installed",
)
def test_slurm_profile_in_a_dry_run_with_its_plugin(tmp_path):
    plan = dry_run(tmp_path, "slurm")
    train = plan.split("rule train_jamie:")[1].split("rule ")[0]
    # how much memory is asked for is decided when the input is there
    asked = re.search(r"resources: (.*)", train)[1].split(", ")
    assert {"mem_mb=<TBD>", "slurm_partition=gpu", "gpu=1"} <= set(asked)
