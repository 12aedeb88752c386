"""What a lab may have and can be used: it is used, and what was changed for it is said beside the dataset."""

from __future__ import annotations

import json

import mudata
import numpy as np
import pandas as pd
import pytest

from jamie.data.simulate import simulate_multiome
from shared.workflow import snakemake

pytestmark = pytest.mark.e2e

ODD_PEAKS = ["chrUn", "peak_7"]
EMPTY_GENE, EMPTY_CELL = 2, 5


def _odd():
    """Counts beside X, labels of one side, odd names and coordinates, a cell and a gene that hold nothing."""
    mdata, _ = simulate_multiome(n_cells=150, n_genes=60, n_peaks=600, n_types=3, n_chromosomes=3, seed=0)
    rna, atac = (adata.copy() for adata in mdata.mod.values())
    counts = rna.X.toarray().astype(np.float32)
    counts[:, EMPTY_GENE], counts[EMPTY_CELL] = 0, 0
    rna.layers["counts"], rna.X = counts, np.log1p(counts)
    places = rna.var[["chrom", "start", "end", "strand"]]
    rna.var = pd.DataFrame(
        {
            "gene_symbols": rna.var_names,
            "seqnames": "GRCh38_" + places["chrom"],
            "start": places["start"].map("{:,}".format),
            "stop": places["end"].astype(float),
            "Strand": places["strand"].map({"+": 1, "-": -1}),
        }
    ).set_axis([f"ENSG{i:011d}.3" for i in range(rna.n_vars)])
    atac.obs = atac.obs.drop(columns="cell_type")
    atac.var_names = [*ODD_PEAKS, *atac.var_names[2:].str.replace(":", "-")]
    atac.var = atac.var[[]]
    atac.X = atac.X.astype(np.float32)
    return mudata.MuData({"rna": rna, "atac": atac})


@pytest.fixture(scope="module")
def odd_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    _odd().write(folder / "odd.h5mu")
    entry = {
        "reader": "h5mu",
        "files": {"data": {"path": "odd.h5mu"}},
        "modalities": {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}},
        "cell_type": "cell_type",
    }
    run = {"datasets": ["odd"], "methods": ["jamie"], "seeds": [0], "explain": True}
    done = snakemake(folder, "--until", "locate_genes", overlay={"run": run, "datasets": {"odd": entry}})
    assert done.returncode == 0, done.stderr
    return folder / "results" / "odd"


def test_the_counts_are_used_without_what_is_empty(odd_run):
    before, after = _odd()["rna"], mudata.read_h5mu(odd_run / "ingested.h5mu")["rna"]
    kept = before[np.arange(before.n_obs) != EMPTY_CELL, np.arange(before.n_vars) != EMPTY_GENE]
    assert after.obs_names.equals(kept.obs_names) and after.var_names.equals(kept.var_names)
    assert np.array_equal(after.X.toarray(), kept.layers["counts"])


def test_labels_are_those_of_the_paired_cell(odd_run):
    before, after = _odd()["rna"].obs["cell_type"], mudata.read_h5mu(odd_run / "ingested.h5mu")["atac"].obs
    assert after["cell_type"].astype(str).equals(before.astype(str).reindex(after.index))


def test_genes_and_peaks_are_placed_but_for_the_odd_ones(odd_run):
    info = json.loads((odd_run / "explained/coordinates.json").read_text())
    assert info["reason"] == "" and info["missing"] == [] and info["unplaced_peaks"] == len(ODD_PEAKS)
    places = simulate_multiome(n_cells=150, n_genes=60, n_peaks=600, n_types=3, n_chromosomes=3, seed=0)[0][
        "rna"
    ].var
    genes = pd.read_csv(odd_run / "explained/genes.tsv", sep="\t", index_col="symbol")
    columns = ["chrom", "start", "end", "strand"]
    assert (
        genes[columns].values.tolist() == places.loc[genes.index, columns].values.tolist()
        and len(genes) == 59
    )


def test_each_change_is_said(odd_run):
    notices = pd.read_csv(odd_run / "notices.tsv", sep="\t", keep_default_na=False)
    said = dict(zip(notices["modality"] + ": " + notices["what"], notices["examples"], strict=True))
    cell, gene = _odd()["rna"].obs_names[EMPTY_CELL], _odd()["rna"].var_names[EMPTY_GENE]
    assert said["rna: empty (all zero) cells were left out"] == cell
    assert said["rna: empty (all zero) features were left out"] == gene
    assert said["atac: peaks without coordinates that can be read are left out of links"] == ", ".join(
        ODD_PEAKS
    )
    assert any("those in counts were taken" in what for what in said)
    assert "atac: cell_type of paired cells was taken from rna" in said and len(said) == 5
