"""Files and folders that are here: a change in them is noticed, and a missing one before anything runs."""

import gzip
import os
import shutil

import numpy as np
import pytest
from scipy import io as scipy_io
from scipy import sparse

from jamie import io
from shared.workflow import snakemake

pytestmark = pytest.mark.e2e

INGESTED = "results/mine/ingested.h5mu"
N_CELLS, N_GENES, N_PEAKS = 40, 20, 10


def write_folder(folder, seed):
    """A folder of Cell Ranger; returns the counts (cells, features)."""
    folder.mkdir()
    counts = np.random.default_rng(seed).poisson(2, (N_CELLS, N_GENES + N_PEAKS)) + 1
    features = [f"E{i}\tg{i}\tGene Expression" for i in range(N_GENES)]
    features += [f"p{i}\tchr1:{i}00-{i}50\tPeaks" for i in range(N_PEAKS)]
    for name, lines in (("features", features), ("barcodes", [f"c{i}" for i in range(N_CELLS)])):
        with gzip.open(folder / f"{name}.tsv.gz", "wt") as f:
            f.writelines(f"{line}\n" for line in lines)
    with gzip.open(folder / "matrix.mtx.gz", "wb") as f:
        scipy_io.mmwrite(f, sparse.coo_matrix(counts.T))
    return counts


def overlay(path):
    dataset = {"reader": "10x_mtx", "files": {"data": {"path": path}}}
    dataset["modalities"] = {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}}
    return {"run": {"datasets": ["mine"], "methods": ["knn"], "seeds": [0]}, "datasets": {"mine": dataset}}


def ingested(folder):
    return io.read_h5mu(folder / INGESTED)["rna"].X.toarray()


def test_a_file_replaced_inside_a_folder_is_noticed_however_old_it_is(tmp_path):
    first = write_folder(tmp_path / "data", 0)
    second = write_folder(tmp_path / "other", 1)
    assert snakemake(tmp_path, INGESTED, overlay=overlay("data")).returncode == 0
    assert np.array_equal(ingested(tmp_path), first[:, :N_GENES])
    os.utime(tmp_path / "data" / "barcodes.tsv.gz")  # touched, and the same
    again = snakemake(tmp_path, INGESTED, "-n", overlay=overlay("data"))
    assert "Nothing to be done" in again.stdout + again.stderr
    new = tmp_path / "other" / "matrix.mtx.gz"
    os.utime(new, (1e9, 1e9))
    shutil.copy2(new, tmp_path / "data" / "matrix.mtx.gz")
    assert snakemake(tmp_path, INGESTED, overlay=overlay("data")).returncode == 0
    assert np.array_equal(ingested(tmp_path), second[:, :N_GENES])
    # a path that is wrong now does not pass because of what is left of a right one
    dry = snakemake(tmp_path, "-n", overlay=overlay("dat"))
    assert dry.returncode != 0 and "there is data" in dry.stdout + dry.stderr


def test_a_missing_file_is_found_by_a_dry_run(tmp_path):
    dry = snakemake(tmp_path, "-n", overlay=overlay("nowhere"))
    text = dry.stdout + dry.stderr
    assert dry.returncode != 0
    for words in ("`datasets.mine.files.data`", "expected: nowhere", "no such file", "path` of the dataset"):
        assert words in text


def test_a_missing_file_that_the_mirror_has_is_none(tmp_path):
    write_folder(tmp_path / "x", 0)
    (tmp_path / "mirror").mkdir()
    (tmp_path / "x").rename(tmp_path / "mirror" / "data")
    config = overlay("elsewhere/data") | {"mirror": "mirror"}
    assert snakemake(tmp_path, "-n", overlay=config).returncode == 0
