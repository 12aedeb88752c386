"""A table of datasets: one that is added computes only what is new; each has a report of its own."""

from __future__ import annotations

import re

import pandas as pd
import pytest

from shared.workflow import snakemake

pytestmark = pytest.mark.e2e

GATHER = {"collect_scores", "rank_methods", "summarise_run", "write_table", "all"}  # everything there is
SUM_UP = {"collect_scores_of_dataset", "rank_methods_of_dataset", "summarise_dataset", "report_dataset"}
OVERLAY = {
    "datasets_table": "samples.tsv",
    "run": {
        "datasets": ["datasets_table"],
        "methods": ["cca", "floor_mean"],
        "seeds": [0],
        "figures": "comparison",
        "explain": False,
    },
    "datasets": {"simulated_multiome": {"options": {"n_cells": 120, "n_genes": 40, "n_peaks": 80}}},
}


def with_rows(folder, *names: str) -> None:
    rows = [f"{name}\tsimulated_multiome\t{seed}" for seed, name in enumerate(names)]
    (folder / "samples.tsv").write_text("\n".join(["name\tlike\toptions.seed", *rows]) + "\n")


def planned(folder, *names: str) -> set[tuple[str, str]]:
    """Rule and dataset ("": of all of them) of each job that a run of these datasets would do."""
    with_rows(folder, *names)
    done = snakemake(folder, "-n", overlay=OVERLAY)
    assert done.returncode == 0, done.stderr[-3000:]
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", done.stdout, re.MULTILINE)
    return {(rule, "".join(re.findall(r"wildcards: dataset=(\w+)", said))) for rule, said in jobs}


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A folder in which one dataset was run, then a second beside it; what the second run had planned."""
    folder = tmp_path_factory.mktemp("many")
    for names in (["donor_a"], ["donor_a", "donor_b"]):
        plan = planned(folder, *names)
        done = snakemake(folder, overlay=OVERLAY)
        assert done.returncode == 0, done.stderr[-4000:]
    return folder, plan


def test_a_dataset_beside_the_first_computes_what_is_new_and_what_sums_up(two):
    _, plan = two
    assert {rule for rule, dataset in plan if dataset == ""} == GATHER
    assert {rule for rule, dataset in plan if dataset == "donor_a"} == SUM_UP
    new = {rule for rule, dataset in plan if dataset == "donor_b"}
    assert {"ingest_dataset", "fit_baseline", "plot_alignment"} <= new


def test_a_third_leaves_the_others_alone_and_without_it_there_is_nothing_to_do(two):
    folder, _ = two
    plan = planned(folder, "donor_a", "donor_b", "donor_c")
    assert {rule for rule, dataset in plan if dataset == ""} == GATHER
    assert {dataset for _, dataset in plan} == {"", "donor_c"}
    with_rows(folder, "donor_a", "donor_b")
    done = snakemake(folder, "-n", overlay=OVERLAY)
    assert "Nothing to be done" in done.stdout + done.stderr


def test_each_dataset_has_its_own_first_page_ranking_and_report(two):
    folder, _ = two
    both = pd.read_csv(folder / "results/metrics.tsv", sep="\t")
    assert set(both["dataset"]) == {"donor_a", "donor_b"}
    for name, other in (("donor_a", "donor_b"), ("donor_b", "donor_a")):
        own = folder / "results" / name
        assert set(pd.read_csv(own / "metrics.tsv", sep="\t")["dataset"]) == {name}
        assert other not in (own / "ranking.html").read_text() + (own / "summary.rst").read_text()
        page = (own / "report.html").read_text()
        assert f"{name}/ranking.html" in page and f"{name}/paired_50/figures/alignment.svg" in page
        assert f"results/{other}/" not in page and "results/ranking.html" not in page


def test_the_report_of_all_has_the_figures_of_each_and_one_ranking(two):
    folder, _ = two
    done = snakemake(folder, "--report", "all.html", overlay=OVERLAY)
    assert done.returncode == 0, done.stderr[-3000:]
    page = (folder / "all.html").read_text()
    for name in ("donor_a", "donor_b"):
        assert f"{name}/paired_50/figures/alignment.svg" in page and f"{name}/ranking.html" not in page
    assert "results/ranking.html" in page


def test_a_file_that_is_not_there_is_told_with_the_row_that_names_it(tmp_path):
    (tmp_path / "samples.tsv").write_text(
        "name\treader\tfiles.data\tmodalities.rna.kind\tmodalities.atac.kind\na\th5mu\tnone.h5mu\trna\tatac\n"
    )
    done = snakemake(tmp_path, "-n", overlay=OVERLAY)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert "none.h5mu" in said and "a, row 2 of samples.tsv" in said
