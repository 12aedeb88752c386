"""Whole runs past the sizes at which libraries take another way, as scanpy does at 8,192 and 10,000 cells."""

from __future__ import annotations

import mudata
import numpy as np
import pytest

from jamie import contract, io
from jamie.data.simulate import simulate_multiome
from shared.workflow import snakemake

pytestmark = pytest.mark.e2e

SMALL = {"n_genes": 60, "n_peaks": 120, "rna_depth": 200, "atac_depth": 60}
SIZES = {"simulated_multiome": (5303, 5302, 10_100), "unequal": (300, 10_100, 10_100)}  # rna, atac, either


@pytest.fixture(scope="module")
def many_cells_run(tmp_path_factory):
    """Datasets of 5,300 cells in either modality, few in both, and of 300 and 10,100. Returns the folder.

    The first is run to its report, the second to its scores and the figure of its completed form.
    """
    folder = tmp_path_factory.mktemp("many_cells")
    mdata, _ = simulate_multiome(n_cells=10_100, seed=1, **SMALL)
    few = {"rna": mdata.mod["rna"][:300].copy(), "atac": mdata.mod["atac"]}
    mudata.MuData(few).write(folder / "unequal.h5mu")
    overlay = {
        "run": {
            "datasets": ["simulated_multiome"],
            "scenarios": ["paired_50"],
            "methods": ["jamie"],
            "seeds": [0],
            "explain": False,
        },
        "datasets": {
            "simulated_multiome": {"options": {"n_cells": 10_100, "paired_fraction": 0.05} | SMALL},
            "unequal": {
                "reader": "h5mu",
                "files": {"data": {"path": "unequal.h5mu"}},
                "modalities": {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}},
                "cell_type": "cell_type",
                "drop_empty": True,
            },
        },
        "methods": {"jamie": {"options": {"max_epochs": 1, "min_steps": 0}}},
    }
    unequal = "results/unequal/paired_50"
    wanted = [f"{unequal}/jamie/seed0/metrics.tsv", f"{unequal}/figures/embedding.svg"]
    for arguments in (["all", *wanted], ["--report", "report.html"]):
        done = snakemake(folder, *arguments, overlay=overlay)
        assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.fixture(scope="module", params=SIZES)
def completed(request, many_cells_run):
    """Name of the dataset, and its completed form."""
    return request.param, io.read_h5mu(
        many_cells_run / f"results/{request.param}/paired_50/jamie/seed0/completed.h5mu"
    )


def test_every_cell_is_placed_grouped_and_completed(completed):
    dataset, found = completed
    n_rna, n_atac, n = SIZES[dataset]
    assert (found.mod["rna"].n_obs, found.mod["atac"].n_obs, found.n_obs) == (n_rna, n_atac, n)
    assert found.obsm["X_umap"].shape == (n, 2) and np.isfinite(found.obsm["X_umap"]).all()
    assert found.obs["leiden"].notna().all() and 1 < found.obs["leiden"].nunique() < 100
    for name, lacking in (("rna", n - n_rna), ("atac", n - n_atac)):
        for key in ("X_umap", "X_umap_joint"):
            assert np.isfinite(found.mod[name].obsm[key]).all()
        whole = found.mod[f"{name}_completed"]
        assert set(whole.obs_names) == set(found.obs_names) and np.isfinite(whole.obsm["X_umap"]).all()
        imputed = whole[whole.obs["values"] == "imputed"]
        assert imputed.n_obs == lacking and not set(imputed.obs_names) & set(found.mod[name].obs_names)
        assert np.isfinite(whole.X.data).all() and np.isfinite(whole.layers["native"].data).all()


def test_neighbours_in_the_latent_space_stay_together_in_the_map_and_the_clusters(completed):
    found = completed[1]
    z, place = found.obsm["X_jamie"], found.obsm["X_umap"]
    cells = np.random.default_rng(0).permutation(len(z))[:300]
    distance = np.linalg.norm(z[cells, None] - z[None], axis=2)
    distance[np.arange(300), cells] = np.inf
    nearest = distance.argmin(axis=1)
    apart = np.linalg.norm(place[cells] - place[nearest], axis=1)
    by_chance = np.linalg.norm(place[cells] - place[np.roll(cells, 1)], axis=1)
    assert np.median(apart) < np.median(by_chance) / 4
    clusters = found.obs["leiden"].to_numpy()
    assert (clusters[cells] == clusters[nearest]).mean() > 0.7


@pytest.mark.parametrize(("dataset", "n_held_out"), [("simulated_multiome", 101), ("unequal", 60)])
def test_scores_and_figures_are_there_for_equal_and_unequal_sizes(many_cells_run, dataset, n_held_out):
    folder = many_cells_run / f"results/{dataset}/paired_50"
    table = io.read_table(folder / "jamie/seed0/metrics.tsv")
    contract.check_metrics(table)
    held_out = table[(table["cells"] == "test") & (table["metric"] == "foscttm")]
    assert held_out["n_cells"].tolist() == [n_held_out]
    assert (held_out["status"] == "ok").all() and (held_out["value"] < 0.5).all()
    assert (folder / "figures/embedding.svg").stat().st_size > 10_000


def test_the_report_of_many_cells_is_one_page_with_their_number(many_cells_run):
    page = (many_cells_run / "report.html").read_text()
    assert "5,303" in page and page.count("figures/") >= 5
