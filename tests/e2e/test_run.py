"""From the shipped config, made small, to the report."""

from __future__ import annotations

import json
import re

import mudata
import numpy as np
import pandas as pd
import pytest
import yaml

from jamie import contract, entry, io
from jamie.data.correspondence import Correspondence
from jamie.evaluation import differences
from jamie.metrics.base import load_metrics
from shared.workflow import ROOT, local_files, snakemake

pytestmark = pytest.mark.e2e

SCENARIO = "results/simulated_multiome/paired_50"


def test_metrics_keep_their_contract_and_name_every_metric(small_run):
    table = pd.read_csv(small_run / "results/metrics.tsv", sep="\t", keep_default_na=False, na_values=[""])
    contract.check_metrics(table)
    assert set(table["metric"]) == set(load_metrics())
    assert set(table["seed"]) == {0, 1}
    held_out = table[(table["scenario"] == "paired_50") & (table["protocol"] == "held_out")]
    assert set(held_out["cells"]) == {"test"}
    assert set(table.loc[table["scenario"] == "paired_50", "cells"]) == {"test", "hidden", "paired"}


def test_estimated_correspondence_keeps_known_pairs_and_has_its_figure(small_run):
    folder = small_run / SCENARIO / "data/seed0"
    known, f = (
        Correspondence.load(folder / name) for name in ("correspondence.npz", "estimated_correspondence.npz")
    )
    info = json.loads((folder / "estimated_correspondence.json").read_text())
    contract.check_estimated(f.matrix, info)
    rows = known.certain_pairs()[:, 0]
    assert info["n_known"] == len(rows) and (f.matrix[rows] != known.matrix[rows]).nnz == 0
    assert f.matrix.nnz > known.matrix.nnz
    figures = small_run / SCENARIO / "figures"
    assert (figures / "estimated_correspondence.svg").stat().st_size > 0
    assert f"{info['confidence']:.2f}" in (figures / "estimated_correspondence.rst").read_text()


@pytest.mark.slow
def test_without_pairs_methods_that_need_them_are_excluded_with_the_reason(run_without_pairs):
    table = pd.read_csv(run_without_pairs / "results/metrics.tsv", sep="\t", keep_default_na=False)
    part = table[(table["scenario"] == "paired_0") & (table["method"] == "cca")]
    assert set(part["status"]) <= {"excluded", "not_applicable"}
    assert "known pairs" in part.loc[part["status"] == "excluded", "reason"].iloc[0]
    jamie = table[(table["scenario"] == "paired_0") & (table["method"] == "jamie")]
    assert (jamie.loc[jamie["metric"] == "foscttm", "status"] == "ok").all()
    figures = run_without_pairs / "results/simulated_multiome/paired_0/figures"
    assert {"scores", "baselines", "embedding"} <= {path.stem for path in figures.glob("*.svg")}


def test_nothing_that_is_held_out_reaches_the_methods(small_run):
    for seed in (0, 1):
        data = small_run / SCENARIO / f"data/seed{seed}"
        known = Correspondence.load(data / "correspondence.npz")
        split = pd.read_csv(data / "split.tsv", sep="\t")
        test = set(split.loc[split["role"] == "test", "cell"])
        rows, cols = known.matrix.nonzero()
        assert len(rows) and not test & (set(known.row_names[rows]) | set(known.col_names[cols]))
    first, second = (
        pd.read_csv(small_run / SCENARIO / f"data/seed{seed}/split.tsv", sep="\t") for seed in (0, 1)
    )
    assert not first["role"].equals(second["role"])


def test_completed_dataset_has_what_each_cell_lacked(small_run):
    completed = io.read_h5mu(small_run / SCENARIO / "jamie/seed0/completed.h5mu")
    raw = io.read_h5mu(small_run / "results/simulated_multiome/ingested.h5mu")
    for name, other in (("rna", "atac"), ("atac", "rna")):
        lacking = set(raw.mod[other].obs_names) - set(raw.mod[name].obs_names)
        whole = completed.mod[f"{name}_completed"]
        imputed = whole[whole.obs["values"] == "imputed"]
        assert set(imputed.obs_names) == lacking and len(lacking) == 30 and whole.n_obs == 240
        assert np.isfinite(imputed.X.data).all() and imputed.layers["native"].data.min() >= 0
        assert whole.var["pearson"].notna().any()
        assert (completed.mod[name].X != raw.mod[name].X).nnz == 0
        # what the workflow does not use is there as well
        assert completed.mod[name].obsm["true_state"].shape == (210, 8)
    assert completed.obsm["X_jamie"].shape[0] == completed.n_obs == 240


def test_groups_are_compared_by_measured_values_and_imputed_ones(small_run):
    folder = small_run / "results/simulated_multiome"
    found = io.read_table(folder / "differences.tsv")
    assert tuple(found.columns) == differences.COLUMNS and set(found["modality"]) == {"rna", "atac"}
    tested = found["p_value"].notna()
    assert tested.any() and (found["q_value"].notna() == tested).all()
    assert (found["reason"].isna() == tested).all()
    assert (found.loc[tested, "ci_low"] < found.loc[tested, "difference"]).all()
    short = io.read_table(folder / "differences_by_group.tsv")
    assert short["tested"].sum() == tested.sum()
    assert f"of {tested.sum():,} differences" in (folder / "differences.rst").read_text()


@pytest.mark.parametrize(
    ("own", "others", "like_it"),
    [
        ("transductive_50", ["paired_50"], "paired_50"),
        # bridge shows other pairs, new_batch holds out other cells
        ("transductive_100", ["bridge", "new_batch", "paired_100"], "paired_100"),
    ],
)
def test_a_scenario_that_holds_nothing_out_is_trusted_as_far_as_one_that_does(tmp_path, own, others, like_it):
    batches = {"batch": "batch", "options": {"batch_effect": 0.5}}
    overlay = {
        "run": {"scenarios": [own, *others], "seeds": [0]},
        "datasets": {"simulated_multiome": batches},
    }
    dry = snakemake(tmp_path, "-n", overlay=overlay)
    assert dry.returncode == 0
    inputs = [
        line
        for line in (dry.stdout + dry.stderr).splitlines()
        if "input:" in line and "feature_scores" in line
    ]
    asked = [line for line in inputs if f"{own}/jamie/seed0/model" in line]
    assert asked and all(f"{like_it}/jamie/seed0/feature_scores.tsv" in line for line in asked)


def test_a_second_run_has_nothing_to_do(small_run):
    overlay = yaml.safe_load((small_run / "overlay.yaml").read_text())
    again = snakemake(small_run, "-n", overlay=overlay)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_report_is_self_contained_and_quotes_the_numbers(small_run):
    overlay = yaml.safe_load((small_run / "overlay.yaml").read_text())
    done = snakemake(small_run, "--report", "results/report.html", overlay=overlay)
    assert done.returncode == 0, done.stderr[-3000:]
    page = (small_run / "results/report.html").read_text()
    assert not re.findall(r'(?:src|href)="https?://[^"]+\.(?:js|css)"', page)
    summary = (small_run / "results/summary.rst").read_text()
    foscttm = re.search(r"FOSCTTM\n.*\n\s+- (0\.\d{3})", summary).group(1)
    assert foscttm in page and "What to distrust" in page


def test_run_info_says_how_it_ran(small_run):
    info = json.loads((small_run / SCENARIO / "jamie/seed1/run_info.json").read_text())
    assert info["seed"] == 1 and info["device"] in ("cpu", "cuda") and info["packages"]["torch"]
    assert (
        info["wall_time_s"] > 0 and info["peak_rss_mb"] > 50 and info["n_cells"] == {"rna": 210, "atac": 210}
    )


def test_every_job_has_a_benchmark_and_stayed_within_the_memory_it_asked_for(small_run):
    benchmarks = sorted((small_run / "benchmarks").rglob("*.tsv"))
    jobs = [path.relative_to(small_run / "benchmarks").with_suffix("") for path in benchmarks]
    logs = [
        path.relative_to(small_run / "logs").with_suffix("") for path in (small_run / "logs").rglob("*.log")
    ]
    assert jobs == sorted(logs) and {"fit_baseline", "score_methods", "write_table"} <= {
        j.parts[0] for j in jobs
    }
    for job in jobs:
        last = (small_run / "logs" / job.parent / f"{job.name}.log").read_text().splitlines()[-1]
        used = json.loads(last.removeprefix(entry.USAGE))
        assert 1.2 * used["peak_mb"] < used["mem_mb"], job


def test_attribution_of_a_dataset_without_enough_peaks_says_why_there_are_no_links(small_run):
    results = small_run / "results/simulated_multiome"
    assert len(io.read_table(results / "drivers.tsv")) == 20 * 80
    for name in ("distance", "truth", "loci"):
        assert "a null needs 200" in (results / f"explained/{name}.rst").read_text(), name
    page = (small_run / "results/summary.rst").read_text()
    assert "Peaks were not linked to genes: " in page


def test_a_saved_model_completes_new_cells_and_refuses_other_features(small_run, tmp_path):
    new = io.read_h5mu(small_run / "results/simulated_multiome/ingested.h5mu")
    mods = {m: a[:100].copy() for m, a in new.mod.items()}
    for a in mods.values():
        a.obs_names = "new_" + a.obs_names
    mudata.MuData(mods).write(tmp_path / "new.h5mu")
    new_cells = {
        "reader": "h5mu",
        "drop_empty": True,
        "files": {"data": {"path": "new.h5mu"}},
        "modalities": {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}},
    }
    other = {"n_cells": 100, "n_genes": 80, "n_peaks": 200, "paired_fraction": 0.5, "seed": 7}
    overlay = {
        "run": {
            "apply": ["atlas"],
            "methods": [],
            "scenarios": [],
            "datasets": ["new_cells", "simulated_multiome"],
        },
        "models": {"atlas": {"path": str(small_run / SCENARIO / "jamie/seed0/model")}},
        "datasets": {"new_cells": new_cells, "simulated_multiome": {"options": other}},
    }
    done = snakemake(tmp_path, "--keep-going", overlay=overlay)
    completed = io.read_h5mu(tmp_path / "results/new_cells/applied/atlas/completed.h5mu")
    assert completed.mod["rna"].obsm["X_jamie"].shape == (100, 32)
    # the peaks of another simulation have other names: clear message, nothing written
    log = (tmp_path / "logs/apply_model/simulated_multiome.atlas.log").read_text()
    assert done.returncode != 0 and "share no feature names with the saved model" in log
    assert not (tmp_path / "results/simulated_multiome/applied/atlas").exists()


@pytest.fixture(scope="module")
def compared_run(tmp_path_factory):
    """Three shares of known pairs, half of the pairs wrong, and three variants of KNN. Returns its folder."""
    folder = tmp_path_factory.mktemp("comparison")
    overlay = {
        "run": {
            "scenarios": ["paired_100", "paired_50", "paired_10", "paired_100_wrong_50"],
            "methods": ["knn", "knn_2", "knn_all", "ceiling"],
            "figures": "comparison",
            "seeds": [3],
        },
        "datasets": {"simulated_multiome": {"options": {"n_cells": 200, "n_genes": 40, "n_peaks": 80}}},
        "methods": {
            "knn_2": {"base": "knn", "label": "two neighbours", "options": {"k": 2}},
            "knn_all": {"base": "knn", "label": "all neighbours", "options": {"k": 999}},
        },
    }
    done = snakemake(folder, overlay=overlay)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.mark.slow
def test_a_run_that_compares_draws_what_compares_and_nothing_else(compared_run):
    figures = {str(path.relative_to(compared_run / "results")) for path in compared_run.rglob("*.svg")}
    scenarios = ("paired_100", "paired_50", "paired_10", "paired_100_wrong_50")
    of_methods = ("ablation", "alignment", "silhouettes", "baselines")
    assert figures == {"simulated_multiome/pairing.svg"} | {
        f"simulated_multiome/{scenario}/figures/{name}.svg" for scenario in scenarios for name in of_methods
    }


@pytest.mark.slow
def test_a_run_without_a_joint_space_says_so_and_is_ranked(compared_run):
    figures = compared_run / "results/simulated_multiome/paired_50/figures"
    assert "Not applicable: no method has both FOSCTTM" in (figures / "alignment.rst").read_text()
    table = pd.read_csv(compared_run / "results/ranking.tsv", sep="\t")
    own = table[table["scenario"] == "paired_50"].set_index("method")
    assert list(own.index[-1:]) == ["ceiling"] and (own.loc["knn", "time_s"] > 0).all()
    assert "two neighbours" in (compared_run / "results/ranking.html").read_text()


@pytest.mark.slow
def test_scenarios_of_a_comparison_share_their_split_and_their_pairs(compared_run):
    folder = compared_run / "results/simulated_multiome"
    splits = {path.read_text() for path in folder.glob("*/data/seed3/split.tsv")}
    assert len(splits) == 1
    pairs = Correspondence.load(folder / "pairs.npz")
    known = {
        path.parts[-4]: Correspondence.load(path).matrix
        for path in folder.glob("*/data/seed3/correspondence.npz")
    }
    assert (known["paired_10"].multiply(known["paired_50"]) != known["paired_10"]).nnz == 0
    assert (known["paired_50"].multiply(known["paired_100"]) != known["paired_50"]).nnz == 0
    wrong = known["paired_100_wrong_50"]
    assert wrong.nnz == known["paired_100"].nnz
    assert wrong.multiply(pairs.matrix).nnz == wrong.nnz - round(wrong.nnz / 2)


@pytest.mark.slow
def test_a_comparison_says_how_many_pairs_are_enough_and_how_many_are_wrong(compared_run):
    table = pd.read_csv(compared_run / "results/simulated_multiome/pairing.tsv", sep="\t")
    assert set(table["method"]) == {"knn", "knn_2", "knn_all"} and set(table["metric"]) == {"pearson"}
    assert (table["n_points"] == 3).all()
    known = Correspondence.load(
        compared_run / "results/simulated_multiome/paired_100/data/seed3/correspondence.npz"
    )
    assert (table["n_pairs_most"] == known.matrix.nnz).all()
    page = (compared_run / "results/summary.rst").read_text()
    caption = (compared_run / "results/simulated_multiome/pairing.rst").read_text().strip()
    assert "(KNN, 1 seed)" in caption and caption in page
    assert page.count(f"{round(known.matrix.nnz / 2)} of the {known.matrix.nnz} shown were wrong") == 1
    captions = {p.parts[-3]: p.read_text() for p in compared_run.rglob("ablation.rst")}
    assert all("two neighbours: " in text for text in captions.values())
    assert {name for name, text in captions.items() if "50% were wrong on purpose" in text} == {
        "paired_100_wrong_50"
    }
    assert "| two neighbours |" in (compared_run / "results/table.md").read_text()


EXAMPLES = sorted({path.stem for path in ROOT.glob("config/examples/*.yaml")} - {"seeds", "own_data"})


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_is_a_valid_run(name, tmp_path):
    example = ROOT / f"config/examples/{name}.yaml"
    mirror = tmp_path / "mirror"  # a dry run asks whether local files are there
    for local in local_files(example):
        (mirror / local.name).parent.mkdir(exist_ok=True)
        (mirror / local.name).touch()
    seeds = ROOT / "config/examples/seeds.yaml"
    done = snakemake(tmp_path, "-n", "--configfile", str(example), str(seeds), "--config", f"mirror={mirror}")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert "seed2" in done.stdout + done.stderr
