"""As many jobs with a GPU run at a time as the machine has; where it has none, all that cores allow."""

import os
import subprocess
import sys

import pytest

from shared.workflow import ROOT

# each job goes on once TOGETHER of them run, and writes down how many do
SNAKEFILE = """
import sys
sys.path.insert(0, "{root}/workflow_scripts")
include: "{root}/rules/gpus.smk"
rule all:
    input: expand("done.{{i}}", i=range(4))
rule fit:
    output: "done.{{i}}"
    resources: gpu=1
    shell:
        "touch running.{{wildcards.i}}; "
        "until [ $(ls running.* seen.* 2>/dev/null | wc -l) -ge {together} ]; do sleep 0.05; done; "
        "(ls running.* || true) 2>/dev/null | wc -l > seen.{{wildcards.i}}; "
        "rm running.{{wildcards.i}}; touch {{output}}"
"""


@pytest.mark.parametrize(("n_gpus", "together"), [(0, 4), (1, 1), (2, 2)])
def test_jobs_with_a_gpu_run_as_many_at_a_time_as_there_are(tmp_path, n_gpus, together):
    smi = tmp_path / "bin/nvidia-smi"
    smi.parent.mkdir()
    lines = "".join(f"GPU {i}: NVIDIA H100 (UUID: GPU-{i})\n" for i in range(n_gpus))
    smi.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}END\n")
    smi.chmod(0o755)
    (tmp_path / "Snakefile").write_text(SNAKEFILE.format(root=ROOT, together=together))
    env = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    env["PATH"] = f"{smi.parent}:{env['PATH']}"
    command = [sys.executable, "-m", "snakemake", "--cores", "4"]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    seen = [int(path.read_text()) for path in tmp_path.glob("seen.*")]
    assert len(seen) == 4 and max(seen) <= together
