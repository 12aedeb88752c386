"""The benchmarks run, their tables have the form that is promised, and their sums are right."""

import argparse
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import cases
import costs
import floor
import numpy as np
import pandas as pd
import pytest
import quality
import scaling
import stages
import unlike

from jamie import JAMIE, io
from jamie.data.correspondence import choose_known, from_names
from jamie.metrics.score import score_method

HERE = Path(__file__).parent
TINY = {"n_genes": 40, "n_peaks": 80, "max_epochs": 1, "threads": 1}


def run(script: str, *words: str) -> subprocess.CompletedProcess:
    command = [sys.executable, HERE / script, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)


@pytest.mark.slow
def test_short_form_of_the_scaling_benchmark_prints_its_tables_and_draws_them(tmp_path):
    options = [word for key, value in TINY.items() for word in (f"--{key.replace('_', '-')}", str(value))]
    words = (
        "--sizes",
        "100",
        "200",
        "--stages",
        "preprocess",
        "fit",
        "--repeats",
        "1",
        "--work",
        str(tmp_path),
    )
    result = run("scaling.py", *words, *options)
    assert result.returncode == 0, result.stderr
    facts, head, *body = result.stdout.splitlines()
    assert "cores, 1 in use, device cpu" in facts and "40 genes, 80 peaks" in facts
    assert head.split()[:4] == ["stage", "n_cells", "seconds", "peak_mb"]
    assert [line.split()[:2] for line in body[:4]] == [
        [stage, size] for size in ("100", "200") for stage in ("preprocess", "fit")
    ]
    assert body[5].split() == ["stage", "slope_time", "slope_memory"]
    assert [line.split()[0] for line in body[6:]] == ["preprocess", "fit"]

    table = io.read_table(tmp_path / "scaling.tsv")
    assert (table["seconds"] > 0).all()
    assert table["peak_mb"].between(100, 4_000).all()  # MB, not kB: torch alone takes more than the first
    assert table["met"].isna().all()  # the targets are for more features
    fits = table[table["stage"] == "fit"]
    assert fits["n_steps"].tolist() == [1, 2] and (fits["share_of_floor"] < 1).all()
    assert np.isfinite(io.read_table(tmp_path / "slopes.tsv")["slope_time"]).all()
    assert {"scaling.png", "scaling.svg"} <= {path.name for path in tmp_path.iterdir()}


def test_every_stage_finds_what_the_one_before_it_left(tmp_path, one_torch_thread):
    given = TINY | {"n_cells": 120, "work": tmp_path, "known": 0.5, "device": "cpu", "precision": "float32"}
    found = {}
    for name in ("simulate", "preprocess", "project", "fit", "embed", "impute"):
        stage = stages.Stage(argparse.Namespace(**given))
        found[name] = stages.STAGES[name](stage)
        assert stage.seconds > 0, name
    assert found["fit"]["n_steps"] == 1 and 0 <= found["fit"]["foscttm"] <= 1
    cells = stages.cells_of(stage.path("prepared"))
    assert {m: a.n_obs for m, a in cells.mod.items()} == {"rna": 120, "atac": 120}


def test_code_that_changes_gives_intermediate_results_another_name(tmp_path, monkeypatch):
    stage = stages.Stage(argparse.Namespace(n_cells=10, work=tmp_path, n_genes=1, n_peaks=2))
    before = [stage.path(what) for what in ("raw", "prepared", "input")]
    monkeypatch.setitem(stages.CODE, "prepared", ("data/preprocess.py",))
    after = [stage.path(what) for what in ("raw", "prepared", "input")]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, False]


def test_slopes_are_the_powers_of_the_number_of_cells():
    sizes = np.array([1_000, 3_000, 10_000])
    table = pd.DataFrame({"stage": "a", "n_cells": sizes, "seconds": 1e-6 * sizes**1.5, "peak_mb": 700.0})
    table = pd.concat([table, table.iloc[:1].assign(stage="b")])
    trend = scaling.slopes(table).set_index("stage")
    assert trend.loc["a"].tolist() == pytest.approx([1.5, 0], abs=1e-9)
    assert trend.loc["b"].isna().all()


def test_a_target_is_met_by_time_and_memory_together():
    rows = [
        ("fit", 10_000, 60, 3_000),
        ("fit", 10_000, 61, 10),
        ("fit", 100_000, 10, 12_001),
        ("embed", 10_000, 1, 1),
    ]
    rows.append(("fit (mixed)", 100_000, 1, 1))
    table = pd.DataFrame(rows, columns=["stage", "n_cells", "seconds", "peak_mb"])
    assert scaling.with_targets(table, (2_000, 20_000))["met"].tolist() == ["yes", "no", "no", "", "yes"]
    assert (scaling.with_targets(table, (500, 20_000))["met"] == "").all()


def test_operations_of_a_step_are_those_of_its_weights_and_batch():
    """A weight in use costs 4 to 6 operations per cell that passes it, in training; few pass it twice."""
    model = JAMIE(device="cpu", max_epochs=0, min_steps=0, progress=False, folds=0)
    options = model.options
    widths = [options.components(1_000), *options.hidden_layers]
    encoder = sum(a * b for a, b in itertools.pairwise(widths)) + 2 * widths[-1] * options.n_latent
    weights = 2 * (
        2 * encoder - widths[-1] * options.n_latent
    )  # a decoder has one head, and there are two VAEs
    assert 4 < floor.flops_of_step() / (weights * options.batch_size) < 20


def test_targets_are_compared_with_the_mean_over_seeds():
    rows = [("foscttm", "", s, v) for s, v in enumerate((0.14, 0.16))]
    rows += [("pearson", "rna", 0, 0.6), ("pearson", "methylation", 0, 0.59)]
    table = pd.DataFrame(rows, columns=["metric", "modality", "seed", "value"])
    table = table.assign(dataset="scgem", scenario="paired_100")
    empty = ("scgem", "transductive_75")
    found = quality.against_targets(table, [("scgem", "paired_100"), empty])
    assert found["reached"].tolist()[:3] == pytest.approx([0.15, 0.6, 0.59])
    assert found["met"].tolist() == ["no", "yes", "no", "-"]
    assert found["sd"].iloc[0] == pytest.approx(np.sqrt(2) * 0.01)
    assert found["cells"].tolist() == ["test", "test", "test", "hidden"]


def test_the_spread_over_seeds_is_a_target_of_its_own():
    table = pd.DataFrame({"metric": "foscttm", "modality": "", "seed": [0, 1], "value": [0.1, 0.2]})
    table = table.assign(dataset="scgem", scenario="transductive_0")
    found = quality.against_targets(table, [("scgem", "transductive_0")]).set_index("metric")
    assert found["met"].to_dict() == {"foscttm": "yes", "foscttm spread": "no"}


@pytest.mark.parametrize(("held_out", "cells"), [(0.2, "test"), (0.0, "hidden")])
def test_scores_are_those_of_the_workflow(
    raw_multiome, small_options, tmp_path, one_torch_thread, held_out, cells
):
    from jamie.methods.base import write_embedding, write_imputed

    pairs = from_names(raw_multiome)
    prepared, known = cases.prepare(raw_multiome, pairs, {}, held_out=held_out, known_pairs=0.5, seed=3)
    model, seconds = cases.fit(prepared, known, small_options, seed=3)
    found = cases.scores(prepared, pairs, known, model, cells)
    write_embedding(tmp_path / "e.h5mu", prepared, model.embed(prepared), "jamie")
    both = (("rna", "atac"), ("atac", "rna"))
    write_imputed(tmp_path / "i.h5mu", prepared, {ends: model.imputer(prepared, *ends) for ends in both})
    run = {"dataset": "d", "scenario": "s", "method": "jamie", "seed": 3}
    table, _ = score_method(
        prepared, pairs, known, io.read_h5mu(tmp_path / "e.h5mu"), tmp_path / "i.h5mu", **run
    )
    table = table[table["cells"] == cells].set_index(["metric", "modality"])["value"]
    assert set(found) == {("foscttm", ""), ("lta", ""), ("pearson", "rna"), ("pearson", "atac")}
    for key, value in found.items():
        assert value == pytest.approx(table[key], rel=1e-6), key
    assert seconds > 0


@pytest.mark.slow
def test_settings_are_compared_on_small_parts_of_a_dataset(tmp_path):
    words = ["--cells", "60", "--seeds", "0", "--set", "max_epochs=1,min_steps=1"]
    result = run("choose_settings.py", str(tmp_path), "simulated_multiome", *words)
    assert result.returncode == 0, result.stderr
    head, default, short = (line.split("\t") for line in result.stdout.splitlines())
    assert head == ["setting", "foscttm", "lta", "pearson rna", "pearson atac", "fit_s"]
    assert default[0] == "(default)" and short[0] == "max_epochs=1,min_steps=1"
    assert float(default[1]) < 0.3 < float(short[1])  # one step has learned nothing


@pytest.mark.slow
def test_numbers_of_components_are_compared_where_there_are_enough_pairs(tmp_path):
    words = ["--methods", "ridge", "--pairs", "25", "60", "9999", "--components", "10", "100", "--seeds", "0"]
    result = run("choose_components.py", str(tmp_path), "simulated_multiome", *words)
    assert result.returncode == 0, result.stderr
    head, *lines = (line.split("\t") for line in result.stdout.splitlines())
    assert head == ["dataset", "method", "pairs", "10", "100", "rule"]
    assert [(line[2], line[5]) for line in lines] == [("25", "10"), ("60", "10")]
    for line in lines:  # a hundred are too many for so few pairs
        assert 0.1 < float(line[4]) < float(line[3]) < 0.3


def test_pairs_of_a_case_are_those_the_rule_would_show(raw_multiome):
    pairs = from_names(raw_multiome)
    _, known = cases.prepare(raw_multiome, pairs, {}, held_out=0.0, known_pairs=0.25, seed=2)
    wanted = choose_known(pairs, *(np.ones(n, dtype=bool) for n in pairs.matrix.shape), 0.25, 2)
    assert (known.matrix != wanted.matrix).nnz == 0 and known.matrix.nnz == round(0.25 * pairs.matrix.nnz)


def test_every_target_is_of_a_scenario_and_modality_of_the_catalogue():
    catalogue = cases.catalogue()
    for (dataset, scenario), targets in quality.TARGETS.items():
        assert scenario in catalogue["scenarios"]
        assert {modality for _, modality in targets} <= {"", *catalogue["datasets"][dataset]["modalities"]}


def test_a_folder_without_the_files_is_refused_with_the_role_that_is_missing(tmp_path):
    (tmp_path / "scgem.h5mu").write_text("something else")
    result = run("quality.py", str(tmp_path), "--datasets", "scgem")
    assert result.returncode == 1
    assert "holds no file with the sha256 that config.yaml gives for scgem: data" in result.stderr


def made_up_run(folder: Path) -> Path:
    """Two jobs of one rule and one of another, as a run leaves them."""
    jobs = {
        "fit_baseline/d.s.knn.0": (
            12.5,
            {"cpu_s": 10.0, "peak_mb": 1000.0, "mem_mb": 2000, "runtime": 5, "read_mb": 50},
        ),
        "fit_baseline/d.s.cca.0": (
            7.5,
            {"cpu_s": 5.5, "peak_mb": 600.0, "mem_mb": 2000, "runtime": 5, "read_mb": 50},
        ),
        "write_table": (
            600.0,
            {"cpu_s": 300.0, "peak_mb": 100.0, "mem_mb": 500, "runtime": 11, "read_mb": 50},
        ),
    }
    for job, (seconds, used) in jobs.items():
        for kind, suffix in (("benchmarks", "tsv"), ("logs", "log")):
            (folder / kind / job).parent.mkdir(parents=True, exist_ok=True)
            text = f"s\tmax_rss\n{seconds}\tNA\n" if suffix == "tsv" else f"hello\nUsed: {json.dumps(used)}\n"
            (folder / kind / f"{job}.{suffix}").write_text(text)
    return folder


def test_costs_of_a_run_are_added_up_by_rule(tmp_path):
    jobs = costs.read_jobs(made_up_run(tmp_path))
    rules = costs.per_rule(jobs, pd.Series({"fit_baseline": 4.0})).set_index("rule")
    assert list(rules.index) == ["write_table", "fit_baseline"]  # most CPU time first
    fits = rules.loc["fit_baseline"]
    assert fits[["jobs", "cpu_s", "imports_s", "most_cpu_s", "wall_s"]].tolist() == [2, 15.5, 4, 10, 20]
    assert fits[["read_mb", "peak_mb", "asked_mb", "asked_min"]].tolist() == [50, 1000, 2000, 5]


def test_a_rule_that_asks_for_too_little_or_too_much_is_marked_but_not_for_the_least_there_is(tmp_path):
    jobs = costs.read_jobs(made_up_run(tmp_path))
    rules = costs.per_rule(jobs, pd.Series(dtype=float)).set_index("rule")
    # 2000 / 600 is too much, 500 / 100 and 5 min / 12.5 s the least there is, 11 min / 600 s too little
    assert rules["asked/seen mb"].to_dict() == {"fit_baseline": "2.0-3.3 !", "write_table": "5.0-5.0"}
    assert rules["asked/seen time"].to_dict() == {"fit_baseline": "24.0-40.0", "write_table": "1.1-1.1 !"}
    assert "(!): write_table, fit_baseline." in costs.in_words(rules.reset_index(), None)


def test_rows_of_the_table_of_needs_are_fitted_to_the_costliest_job_of_each_run():
    def jobs(read_mb, extra_mb=0.0):
        used = {"read_mb": read_mb, "peak_mb": 200 + 3 * read_mb - extra_mb, "cpu_s": 5.0 + 0.1 * read_mb}
        return {"rule": "fit_baseline", **used}

    runs = [pd.DataFrame([jobs(mb), jobs(mb, extra_mb=100)]) for mb in (1, 600, 2000)]
    (row,) = costs.fitted(runs).to_dict("records")
    assert row == {"rule": "fit_baseline", "runs": 3, "mb": 200, "mb_per_mb": 3, "s": 5, "s_per_mb": 0.1}
    (row,) = costs.fitted(runs[:1]).to_dict("records")
    assert row["mb"] + row["mb_per_mb"] == pytest.approx(203, abs=1)


def test_slopes_are_exponents_of_the_number_of_cells(tmp_path):
    jobs = costs.read_jobs(made_up_run(tmp_path))
    more = jobs.assign(cpu_s=jobs["cpu_s"] * [100, 100, 0.01], peak_mb=jobs["peak_mb"] * 10)
    more = pd.concat([more, more.tail(1).assign(rule="quick")])  # in the second run alone, and short
    table = costs.slopes(jobs, more, 10)
    rows = {
        row[0]: row[1:] for row in ([x.strip() for x in line.split("|")[1:-1]] for line in table.splitlines())
    }
    assert list(rows)[2:] == ["all", "fit_baseline", "write_table"]
    assert rows["fit_baseline"] == ["16", "1550", "2.00", "1000", "10000", "1.00"]
    assert rows["write_table"][:3] == ["300", "3", "-2.00"]


def test_start_up_is_imports_and_what_snakemake_itself_uses(tmp_path):
    rules = costs.per_rule(costs.read_jobs(made_up_run(tmp_path)), pd.Series({"fit_baseline": 4.0}))
    words = costs.in_words(rules, {"wall_s": 600.0, "cpu_s": 335.5, "n_cores": 2})
    assert "3 jobs: 316 CPU s" in words and "10.0 min on 2 cores, 336 CPU s in all" in words.replace(
        "\n", " "
    )
    assert "imports 4 CPU s, Snakemake itself 20 CPU s, 7% of all CPU time" in words


def test_a_run_that_is_there_is_read_and_written_as_a_table(tmp_path):
    result = run("costs.py", "--read", str(made_up_run(tmp_path)))
    assert result.returncode == 0, result.stderr
    head, rule, first, *_ = result.stdout.splitlines()
    assert [x.strip() for x in head.split("|")][1:4] == ["rule", "jobs", "cpu_s"] and set(rule) <= set("|-: ")
    assert [x.strip() for x in first.split("|")][1:6] == ["write_table", "1", "300.0", "-", "300.0"]
    assert (tmp_path / "costs.md").read_text().strip() == result.stdout.strip()
    assert io.read_table(tmp_path / "jobs.tsv")["cpu_s"].sum() == 315.5
    (tmp_path / "logs/write_table.log").write_text("nothing\n")
    result = run("costs.py", "--read", str(tmp_path))
    assert result.returncode == 1 and "The log of write_table does not end" in result.stderr


def test_imports_are_counted_wherever_they_stand(tmp_path):
    script = tmp_path / "tmpab1.fit_baseline.py"
    script.write_text("def work():\n    import pandas\nwork()\nsum(range(5_000_000))\n")
    settings = {"IMPORTS_FILE": str(tmp_path / costs.IMPORTS), "PYTHONPATH": str(HERE / "imports")}
    subprocess.run([sys.executable, script], env=os.environ | settings, check=True)
    (line,) = map(json.loads, (tmp_path / costs.IMPORTS).read_text().splitlines())
    assert 0 < line["import_s"] < line["cpu_s"]
    assert costs.read_imports(tmp_path).to_dict() == pytest.approx({"fit_baseline": line["import_s"]})


@pytest.mark.slow
def test_shares_of_cells_called_unlike_are_of_the_type_left_out_and_of_others():
    mdata, pairs, n_top = cases.dataset("simulated_multiome", ".")
    frequent = mdata.mod["rna"].obs["cell_type"].value_counts().index[0]
    for modality, n, new, ordinary in unlike.shares(mdata, pairs, n_top, frequent, 0):
        assert n == (mdata.mod[modality].obs["cell_type"] == frequent).sum()
        assert ordinary < 0.12 and new > 2 * ordinary
