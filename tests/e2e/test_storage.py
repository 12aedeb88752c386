"""Small runs whose files lie elsewhere: in a bucket, behind http, on a disk of the node."""

import hashlib
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from jamie import io
from jamie.jobs import checksums
from shared.workflow import ROOT, TINY, snakemake

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
BUCKET = "s3://my-bucket/my-run"  # as the profile ships it
KEYS = {"SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "test", "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "test"}


def plugin(name: str):
    module = f"snakemake_storage_plugin_{name}"
    return pytest.mark.skipif(find_spec(module) is None, reason=f"{module} is not installed")


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """A dataset as one file, of the simulator."""
    folder = tmp_path_factory.mktemp("cells")
    done = snakemake(folder, "resources/simulated_multiome/simulated.h5mu", overlay=TINY)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "resources/simulated_multiome/simulated.h5mu"


def config(path: str, cells: Path, **source) -> dict:
    """Two methods on a dataset whose one file is at ``path``."""
    digest = hashlib.sha256(cells.read_bytes()).hexdigest()
    return {
        "run": TINY["run"] | {"datasets": ["stored"]},
        "datasets": {
            "stored": {
                "reader": "h5mu",
                "files": {"data": {"path": path, "sha256": digest} | source},
                "modalities": {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}},
                "cell_type": "cell_type",
            }
        },
        "methods": TINY["methods"],
    }


@pytest.fixture
def bucket(monkeypatch):
    """A client of an S3 server on this machine, whose address and keys are in the environment."""
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("moto.server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    for name, value in (KEYS | {"SNAKEMAKE_STORAGE_S3_ENDPOINT_URL": url}).items():
        monkeypatch.setenv(name, value)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}
        yield boto3.client("s3", endpoint_url=url, **keys)
    finally:
        server.terminate()
        server.wait()


def profile(name: str) -> tuple[str, str]:
    return "--workflow-profile", str(ROOT / "profiles" / name)


@plugin("s3")
def test_inputs_and_results_in_a_bucket(bucket, cells, tmp_path):
    bucket.create_bucket(Bucket="inputs")
    bucket.upload_file(str(cells), "inputs", "cells.h5mu")
    overlay = config("s3://inputs/cells.h5mu", cells)
    done = snakemake(tmp_path, *profile("s3"), overlay=overlay)
    assert done.returncode == 0, done.stderr[-4000:]
    keys = {item["Key"] for item in bucket.list_objects_v2(Bucket="my-bucket")["Contents"]}
    model = "my-run/results/stored/paired_50/jamie/seed0/model"
    assert {
        "my-run/results/metrics.tsv",
        "my-run/results/ranking.html",
        f"{model}/weights.safetensors",
    } <= keys
    # what is here are copies of the storage and the list of what was fetched
    assert not (tmp_path / "results").exists()
    assert io.read_json(tmp_path / "resources/stored/files.json") == {"data": "s3://inputs/cells.h5mu"}
    again = snakemake(tmp_path, *profile("s3"), "-n", overlay=overlay)
    assert "Nothing to be done" in again.stdout + again.stderr
    (tmp_path / "results").symlink_to(".snakemake/storage/s3/my-bucket/my-run/results")
    done = snakemake(tmp_path, *profile("s3"), "--report", "report.html", overlay=overlay)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / "report.html").stat().st_size > 100_000


@plugin("s3")
def test_a_file_in_a_bucket_is_held_against_its_checksum(bucket, cells, tmp_path):
    bucket.create_bucket(Bucket="inputs")
    bucket.upload_file(str(cells), "inputs", "cells.h5mu")
    overlay = config("s3://inputs/cells.h5mu", cells, sha256="0" * 64)
    done = snakemake(tmp_path, "results/stored/ingested.h5mu", overlay=overlay)
    assert done.returncode != 0
    assert "s3://inputs/cells.h5mu is not the file that `files.data` names" in done.stdout + done.stderr


@plugin("http")
def test_an_input_behind_http(cells, tmp_path):
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(cells.parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        host = f"http://127.0.0.1:{server.server_port}"
        address, overlay = f"{host}/{cells.name}", config(f"{host}/{cells.name}", cells)
        for key in ("linked_features", "known_links"):  # the last for others, which do not run
            (cells.parent / f"{key}.tsv").write_text("gene_01\tchr1:0-1\n")
            overlay["datasets"]["stored"][key] = {"path": f"{host}/{key}.tsv"}
        done = snakemake(tmp_path, "results/stored/ingested.h5mu", overlay=overlay)
        refused = snakemake(tmp_path, "results/stored/linked_features.tsv", overlay=overlay)
    finally:
        server.shutdown()
    assert done.returncode == 0, done.stderr[-4000:]
    read = io.read_json(tmp_path / "resources/stored/inputs.json")["data"]
    assert read["source"]["path"] == address
    assert read["files"][""]["sha256"] == hashlib.sha256(cells.read_bytes()).hexdigest()
    log = (tmp_path / "logs/link_features/stored.log").read_text()
    assert refused.returncode != 0 and "linked_features.tsv names features that atac does not have" in log


@plugin("fs")
@pytest.mark.skipif(shutil.which("rsync") is None, reason="the plugin copies with rsync, which is not here")
def test_jobs_work_on_a_disk_of_the_node(cells, tmp_path, monkeypatch):
    scratch, run = tmp_path / "scratch", tmp_path / "run"
    scratch.mkdir()
    run.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    overlay = config(str(cells), cells)
    overlay["run"]["methods"] = ["floor_mean"]
    done = snakemake(run, *profile("scratch"), "results/metrics.tsv", overlay=overlay)
    assert done.returncode == 0, done.stderr[-4000:]
    assert (run / "results/metrics.tsv").stat().st_size > 1000
    worked = [line for line in (done.stdout + done.stderr).splitlines() if str(scratch / "jamie") in line]
    assert worked or list((scratch / "jamie").rglob("*"))


def test_an_address_without_its_plugin_ends_a_dry_run(cells, tmp_path):
    done = snakemake(tmp_path, "-n", overlay=config("nowhere://a/cells.h5mu", cells))
    assert done.returncode != 0 and "nowhere://a/cells.h5mu" in done.stdout + done.stderr


def test_two_runs_on_other_numbers_of_cores_in_other_folders_are_the_same(cells, tmp_path, monkeypatch):
    """Byte for byte, but for times and memory."""
    found = []
    for folder, cores in ((tmp_path / "one", "1"), (tmp_path / "a/b/c d", "2")):
        folder.mkdir(parents=True)
        overlay = folder / "overlay.yaml"
        overlay.write_text(yaml.safe_dump(config(str(cells), cells)))
        command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", cores]
        env = {key: value for key, value in os.environ.items() if not key.endswith("_NUM_THREADS")}
        done = subprocess.run(
            [*command, "--configfile", str(overlay)],
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:]
        monkeypatch.chdir(folder)
        records = dict(checksums.recorded())
        found.append({name: about["sha256"] for r in records.values() for name, about in r["files"].items()})
    one, two = found
    assert one.keys() == two.keys()
    timed = {"run_info.json", "ranking.tsv", "ranking.html", "ranking.rst", "summary.rst"}
    differing = {name for name in one if one[name] != two[name]}
    assert {Path(name).name for name in differing} <= timed
    assert any(name.endswith("weights.safetensors") for name in one)
