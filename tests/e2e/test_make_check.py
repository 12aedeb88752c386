"""`make check`: what the data are, what is wrong with them, what a run takes; nothing is fitted."""

from __future__ import annotations

import re

import mudata
import numpy as np
import pytest

from jamie.data.simulate import simulate_multiome
from shared.workflow import ROOT, snakemake

pytestmark = pytest.mark.e2e

CHECK = re.search(
    r"^check:.*\n\t@\$\(BIN\)/snakemake (.*) \$\(ARGS\)", (ROOT / "Makefile").read_text(), re.M
)[1]


def check(folder, **options):
    return snakemake(folder, *CHECK.split(), **options)


def test_the_default_config_is_found_good(tmp_path):
    done = check(tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    text = (tmp_path / "results/simulated_multiome/check.txt").read_text()
    assert text in done.stdout
    assert re.search(r"^rna +rna +850 +500 +counts: whole numbers from 0 to ", text, re.M)
    assert "Cells in both: 700; 150 in rna alone; 150 in atac alone" in text
    assert "Paired cells: more alike than strangers" in text and "Nothing to find fault with." in text
    assert "cell_type: 6 in rna, 6 in atac; 6 of one name" in text
    assert re.search(
        r"^Linked, to match cells without a known pair: \d+ of \d+,?\d* features of ", text, re.M
    )
    assert re.search(r"^A run as configured: \d+ jobs, about \d+ min of CPU time; the largest, ", text, re.M)
    assert re.search(r"^  train_jamie: 3 x \d+ s, 0\.\d GB$", text, re.M)
    written = {path.name for path in (tmp_path / "results").rglob("*") if path.is_file()}
    assert written == {
        "check.txt",
        "ingested.h5mu",
        "notices.tsv",
        "pairs.npz",
    }  # nothing was split or fitted


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """A multiome whose cells are named otherwise in ATAC, and how its check and its run end."""
    folder = tmp_path_factory.mktemp("broken")
    mdata, _ = simulate_multiome(n_cells=60, n_genes=40, n_peaks=80, n_types=3, seed=0)
    parts = {name: adata.copy() for name, adata in mdata.mod.items()}
    for name, form in (("rna", "{}-1"), ("atac", "{}#1")):
        parts[name].obs_names = [form.format(cell) for cell in parts[name].obs_names]
    mudata.MuData(parts).write(folder / "broken.h5mu")
    entry = {
        "reader": "h5mu",
        "files": {"data": {"path": "broken.h5mu"}},
        "modalities": {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}},
    }
    overlay = {"run": {"datasets": ["broken"], "seeds": [0]}, "datasets": {"broken": entry}}
    return folder, check(folder, overlay=overlay), snakemake(folder, overlay=overlay)


def test_what_is_refused_is_printed_with_all_the_rest_and_fails(broken):
    _, checked, _ = broken
    assert checked.returncode != 0
    assert "refused: No cell of atac has the name of a cell of rna" in checked.stdout
    assert "would match if separators were the same" in checked.stdout
    assert "Cells in both: 0" in checked.stdout and "A run as configured" in checked.stdout
    assert "Traceback" not in checked.stderr


def test_a_run_stops_before_anything_is_split(broken):
    folder, _, run = broken
    assert run.returncode != 0 and "split_cells" not in "".join(p.name for p in (folder / "logs").iterdir())
    text = (folder / "logs/compare_modalities/broken.log").read_text()
    assert text.count("\nError: ") == 1 and "Traceback" not in text
    assert all(word in text for word in ("expected:", "found:", "change:", "datasets.broken.correspondence"))
    assert not (folder / "results/broken/findings.tsv").exists()


def test_a_warning_is_no_stop_and_stands_in_the_findings(tmp_path):
    mdata, _ = simulate_multiome(n_cells=60, n_genes=40, n_peaks=80, n_types=3, paired_fraction=1, seed=0)
    parts = {name: adata.copy() for name, adata in mdata.mod.items()}
    labels = parts["atac"].obs["cell_type"].astype(str).to_numpy()
    labels[:3] = np.where(labels[:3] == labels[-1], labels[labels != labels[-1]][0], labels[-1])
    parts["atac"].obs["cell_type"] = labels
    mudata.MuData(parts).write(tmp_path / "data.h5mu")
    entry = {
        "reader": "h5mu",
        "files": {"data": {"path": "data.h5mu"}},
        "modalities": {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}},
        "cell_type": "cell_type",
    }
    overlay = {"run": {"datasets": ["mine"], "seeds": [0]}, "datasets": {"mine": entry}}
    done = snakemake(tmp_path, "results/mine/findings.tsv", overlay=overlay)
    assert done.returncode == 0, done.stderr[-2000:]
    told = (tmp_path / "results/mine/findings.tsv").read_text()
    assert "warning\tPaired cells of atac and rna differ in their cell type\t3 of 60 pairs (5.0%)" in told
    overlay["run"]["scenarios"] = ["paired_50", "paired_25"]
    again = snakemake(tmp_path, "-n", "results/mine/findings.tsv", overlay=overlay)
    assert "Nothing to be done" in again.stdout  # one more scenario must not set all others in motion


def test_links_that_do_not_fit_are_refused_beside_all_the_rest(tmp_path):
    mdata, _ = simulate_multiome(n_cells=60, n_genes=40, n_peaks=80, n_types=3, paired_fraction=1, seed=0)
    mudata.MuData(mdata.mod).write(tmp_path / "data.h5mu")
    (tmp_path / "links.tsv").write_text("gene\tpeak\ngene_nn\tpeak_nn\n")
    entry = {
        "reader": "h5mu",
        "files": {"data": {"path": "data.h5mu"}},
        "modalities": {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}},
        "linked_features": {"path": "links.tsv"},
    }
    done = check(tmp_path, overlay={"run": {"datasets": ["mine"], "seeds": [0]}, "datasets": {"mine": entry}})
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert re.search(
        r"^refused: links.tsv names features that atac does not have: 1: gene_nn", done.stdout, re.M
    )
    assert "Cells in both: 60" in done.stdout and "A run as configured" in done.stdout
