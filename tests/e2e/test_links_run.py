"""Which peaks drive a gene: from the config to links, figures and the report; and what stops such a run."""

from __future__ import annotations

import json

import anndata
import numpy as np
import pytest

from jamie import io
from shared.workflow import snakemake

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

FOUND = "results/simulated_multiome"
SIMULATION = {"n_cells": 260, "n_genes": 100, "n_peaks": 700, "n_types": 4}


def overlay(**dataset) -> dict:
    return {
        "run": {
            "methods": ["jamie", "floor_mean"],
            "scenarios": ["paired_100"],
            "seeds": [0, 1],
            "figures": "comparison",
        },
        "datasets": {"simulated_multiome": {"options": SIMULATION, **dataset}},
        "methods": {"jamie": {"options": {"max_epochs": 12, "estimated": "never"}}},
        "explain": {"n_cells": 150, "chunks": 2, "q": 0.2},
    }


def places(folder):
    """A BED of the simulated genes, from the simulated dataset."""
    genes = io.read_h5mu(folder / "resources/simulated_multiome/simulated.h5mu").mod["rna"].var
    return genes.assign(name=genes.index)[["chrom", "start", "end", "name", "strand"]]


@pytest.fixture(scope="module")
def simulated_run(tmp_path_factory):
    """A folder with the simulated dataset alone."""
    folder = tmp_path_factory.mktemp("links")
    done = snakemake(folder, "resources/simulated_multiome/simulated.h5mu", overlay=overlay())
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture(scope="module")
def links_run(simulated_run):
    """The whole run: a BED that lacks one gene, half of the true links known, a locus asked for."""
    places(simulated_run).iloc[1:].to_csv(simulated_run / "genes.bed", sep="\t", header=False, index=False)
    truth = io.read_table(simulated_run / "resources/simulated_multiome/true_links.tsv")
    truth.iloc[::2].to_csv(simulated_run / "known.tsv", sep="\t", index=False)
    given = {
        "genes": {"path": "genes.bed"},
        "known_links": {"path": "known.tsv"},
        "show_genes": [places(simulated_run).index[50]],
    }
    done = snakemake(simulated_run, overlay=overlay(**given))
    assert done.returncode == 0, done.stderr[-4000:]
    return simulated_run


def test_every_pair_within_the_window_is_judged(links_run):
    table = io.read_table(links_run / FOUND / "links.tsv")
    assert (table["distance_bp"].abs() <= 500_000).all() and not table.duplicated(["gene", "peak"]).any()
    for column in ("p_value", "q_value", "rank_score", "p_correlation", "p_permuted", "attribution_sd"):
        assert table[column].between(0, 1).all(), column
    assert (table["q_value"] >= table["p_value"].min()).all() and (table["attribution_sd"] > 0).any()
    assert table.groupby("gene")["rank"].agg(lambda rank: sorted(rank) == list(range(1, len(rank) + 1))).all()
    summary = json.loads((links_run / FOUND / "explained/summary.json").read_text())
    assert summary["n_pairs"] == len(table) and summary["missing"] == [places(links_run).index[0]]
    assert summary["n_links"] == (table["q_value"] <= 0.2).sum()
    assert summary["n_moved_pairs"] > 500 and summary["n_moved_links"] <= 5
    bedpe = (links_run / FOUND / "links.bedpe").read_text().splitlines()
    assert bedpe[0].startswith("#chrom1\t") and len(bedpe) == 1 + summary["n_members"]
    page = (links_run / FOUND / "explained/strongest_links.html").read_text()
    surest = table.sort_values(["q_set", "rank_score"], ascending=[True, False]).iloc[0]
    assert "linked (q ≤ 0.2)" in page and surest["peak_label"] in page


def test_peaks_are_in_sets_and_carry_their_nearest_gene(links_run):
    table = io.read_table(links_run / FOUND / "links.tsv")
    by_set = table.groupby("set")
    np.testing.assert_allclose(by_set["weight"].sum(), 1)
    assert by_set["q_set"].nunique().eq(1).all() and by_set["gene"].nunique().eq(1).all()
    assert by_set.size().max() > 1 and by_set["in_credible_set"].any().all()
    drivers = io.read_table(links_run / FOUND / "drivers.tsv")
    genes = set(places(links_run).index)
    for found, label in ((table, "peak_label"), (drivers, "source_label")):
        assert set(found["nearest_gene"]) <= genes
        assert found[label].str.fullmatch(r"chr\d:[\d,]+ \(gene_\d+ [+-][\d.]+ [km]?bp?\)").all()
    markers = io.read_table(links_run / FOUND / "explained/markers_atac.tsv")
    assert markers["label"].str.contains(r" \(gene_\d+ [+-]").all()


def test_attributions_of_all_pairs_and_drivers_are_kept_sparse_and_by_cell_type(links_run):
    found = anndata.read_h5ad(links_run / FOUND / "attributions.h5ad")
    drivers = io.read_table(links_run / FOUND / "drivers.tsv")
    links = io.read_table(links_run / FOUND / "links.tsv")
    assert set(found.layers) - {None} == {f"type_{name}" for name in "abcd"}
    assert drivers.groupby("target")["rank"].max().eq(20).all()
    for table, (target, source) in ((drivers, ("target", "source")), (links, ("gene", "peak"))):
        rows, cols = found.obs_names.get_indexer(table[target]), found.var_names.get_indexer(table[source])
        np.testing.assert_allclose(
            np.asarray(found.X[rows, cols]).ravel(), table["attribution"], rtol=1e-4, atol=1e-7
        )


def test_every_figure_is_there_and_says_what_it_must(links_run):
    explained = links_run / FOUND / "explained"
    for name in ("distance", "truth", "known_links", "drivers", "markers_rna", "beeswarm_atac"):
        assert (explained / f"{name}.svg").stat().st_size > 5_000, name
    areas = io.read_table(explained / "areas.tsv").set_index("statistic")["auprc"]
    assert areas["imputed, with distance"] > 2 * io.read_table(explained / "areas.tsv")["base_rate"][0]
    asked = places(links_run).index[50]
    assert (explained / f"loci/{asked}.svg").exists() and len(list((explained / "loci").glob("*.svg"))) <= 11
    known = io.read_table(explained / "known_links.tsv")
    truth = io.read_table(links_run / "known.tsv")
    assert 0 < known["n_known_links"].iloc[0] <= len(truth)
    page = (links_run / "results/summary.rst").read_text()
    assert "What drives the imputation" in page and "pairs are linked" in page


def test_a_second_run_has_nothing_to_do(links_run):
    again = snakemake(links_run, "-n", "--configfile", "overlay.yaml")
    assert "Nothing to be done" in again.stdout + again.stderr


# what is given -> words of the message
WRONG = {
    "another genome": (
        lambda genes: {"genes": genes.assign(start=genes["start"] + 400_000, end=genes["end"] + 400_000)},
        ("do not fit together", "genes:"),
    ),
    "no chromosome": (
        lambda genes: {"genes": genes.assign(chrom="scaffold_9")},
        ("share no chromosome", "scaffold_9"),
    ),
    "unknown gene": (lambda genes: {"show_genes": ["gene_0501"]}, ("nearest: gene_05", "show_genes")),
    "known links": (lambda genes: {"known_links": genes}, ("is not understood", "known_links:")),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_annotation_stops_with_what_was_found(simulated_run, name):
    given, words = WRONG[name]
    wrong = given(places(simulated_run))
    for key in {"genes", "known_links"} & set(wrong):
        wrong[key].to_csv(simulated_run / "wrong.bed", sep="\t", header=False, index=False)
        wrong[key] = {"path": "wrong.bed"}
    target = f"{FOUND}/explained/genes.tsv"
    (simulated_run / target).unlink(missing_ok=True)
    done = snakemake(simulated_run, target, overlay=overlay(**wrong))
    log = (simulated_run / "logs/locate_genes/simulated_multiome.log").read_text()
    assert done.returncode != 0 and all(word in log for word in words), log
    assert not (simulated_run / target).exists()
