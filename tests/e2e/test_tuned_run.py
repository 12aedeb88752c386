"""A run in which methods choose their settings: what was chosen is what was run, and the table says it."""

from __future__ import annotations

import json

import pytest
import yaml

from jamie import io
from shared.workflow import snakemake

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

TUNED = {"jamie": "dropout", "knn": "n_components"}
RUNS = "results/simulated_multiome/paired_50"


@pytest.fixture(scope="module")
def tuned_run(tmp_path_factory):
    """Two trials for each of two methods, and a variant that is not tuned. Returns its folder."""
    folder = tmp_path_factory.mktemp("tuned")
    overlay = {
        "run": {
            "methods": ["jamie", "knn", "knn_paper"],
            "seeds": [0],
            "figures": "comparison",
            "explain": False,
            "tune": True,
            "trials": 2,
        },
        "datasets": {"simulated_multiome": {"options": {"n_cells": 160, "n_genes": 60, "n_peaks": 120}}},
        "methods": {"jamie": {"options": {"max_epochs": 3, "learning_rate": 1e-3, "estimated": "never"}}},
    }
    done = snakemake(folder, overlay=overlay)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def info_of(folder, method: str) -> dict:
    return json.loads((folder / f"{RUNS}/{method}/seed0/run_info.json").read_text())


def test_what_was_chosen_was_run(tuned_run):
    table = io.read_table(tuned_run / "results/settings.tsv", dtype={"default": str, "chosen": str})
    assert set(table["method"]) == set(TUNED) and (table["n_trials"] == 2).all()
    assert (table["score_chosen"] >= table["score_default"]).all() and table["reason"].isna().all()
    for method, setting in TUNED.items():
        info, rows = info_of(tuned_run, method), table[table["method"] == method].set_index("setting")
        assert setting in rows.index
        for name, written in rows["chosen"].items():
            assert json.loads(written) == info["tuned"]["chosen"][name] == info["options"][name]
        trials = io.read_table(tuned_run / f"{RUNS}/{method}/seed0/trials.tsv", dtype={setting: str})
        assert trials["score"].max() == pytest.approx(info["tuned"]["score_chosen"])
        assert json.loads(rows.loc[setting, "default"]) == json.loads(trials[setting][0])


def test_what_is_given_or_not_to_be_tuned_stays(tuned_run):
    assert info_of(tuned_run, "knn_paper")["tuned"] is None
    assert info_of(tuned_run, "knn_paper")["options"]["k"] == 5
    jamie = info_of(tuned_run, "jamie")
    assert jamie["options"]["learning_rate"] == 1e-3 and "learning_rate" not in jamie["tuned"]["chosen"]


def test_the_first_page_says_so_and_a_second_run_has_nothing_to_do(tuned_run):
    page = (tuned_run / "results/summary.rst").read_text()
    assert "2 trials for each method" in page and "No setting was tuned" not in page
    overlay = yaml.safe_load((tuned_run / "overlay.yaml").read_text())
    again = snakemake(tuned_run, "-n", overlay=overlay)
    assert "Nothing to be done" in again.stdout + again.stderr


def test_without_tuning_nothing_of_it_is_asked_for(tmp_path):
    dry = snakemake(tmp_path, "-n", overlay={"run": {"seeds": [0]}})
    text = dry.stdout + dry.stderr
    assert dry.returncode == 0 and "tuning.json" not in text and "settings.tsv" not in text
