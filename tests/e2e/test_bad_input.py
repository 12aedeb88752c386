"""What a user can get wrong: one clear message, before heavy work, and nothing left behind."""

from __future__ import annotations

import hashlib

import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from jamie.data.simulate import simulate_multiome
from shared.workflow import snakemake

pytestmark = pytest.mark.e2e

MODALITIES = {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}}


def _good():
    mdata, _ = simulate_multiome(n_cells=60, n_genes=40, n_peaks=80, n_types=3, seed=0)
    return {m: a.copy() for m, a in mdata.mod.items()}


def _negative(mods):
    mods["rna"].X.data[0] = -1


def _infinite(mods):
    mods["rna"].X = mods["rna"].X.astype(np.float32)
    mods["rna"].X.data[0] = np.inf


def _not_a_number(mods):
    mods["rna"].X = mods["rna"].X.astype(np.float32)
    mods["rna"].X.data[0] = np.nan


def _zero_cell(mods):
    values = mods["rna"].X.tolil()
    values[3] = 0
    mods["rna"].X = sparse.csr_matrix(values)


def _zero_feature(mods):
    values = mods["atac"].X.tolil()
    values[:, 5] = 0
    mods["atac"].X = sparse.csr_matrix(values)


def _duplicate_cells(mods):
    names = mods["rna"].obs_names.to_numpy().copy()
    names[1] = names[0]
    mods["rna"].obs_names = names


def _few_cells(mods):
    mods["rna"] = mods["rna"][:10].copy()


def _empty(mods):
    mods["atac"] = mods["atac"][:, :0].copy()


def _no_label(mods):
    for adata in mods.values():
        adata.obs["cell_type"] = ""


def _log_values(mods):
    mods["rna"].X = mods["rna"].X.astype(np.float32).log1p()


# what is wrong with the data -> a word of the message
DATA = {
    "negative": (_negative, "negative"),
    "infinite": (_infinite, "Inf"),
    "not_a_number": (_not_a_number, "NaN"),
    "zero_cell": (_zero_cell, "empty cells"),
    "zero_feature": (_zero_feature, "empty features"),
    "duplicate_cells": (_duplicate_cells, "duplicate"),
    "few_cells": (_few_cells, "20 cells"),
    "empty": (_empty, "empty"),
    "no_label": (_no_label, "label"),
    "log_values": (_log_values, "counts"),
}


@pytest.fixture(scope="module")
def bad_run(tmp_path_factory):
    """One run over all of them; jobs that fail do not stop the others."""
    folder = tmp_path_factory.mktemp("bad")
    datasets = {}
    for name, (spoil, _) in DATA.items():
        mods = _good()
        spoil(mods)
        mudata.MuData(mods).write(folder / f"{name}.h5mu")
        datasets[name] = {"files": {"data": {"path": f"{name}.h5mu"}}, "modalities": MODALITIES}
        datasets[name]["drop_empty"] = False
    good = folder / "good.h5mu"
    mudata.MuData(_good()).write(good)
    (folder / "truncated.h5mu").write_bytes(good.read_bytes()[:5000])
    cells = _good()["rna"].obs_names
    pd.DataFrame({"a": cells[:2], "b": cells[:2], "confidence": [0.5, 1.5]}).to_csv(
        folder / "outside.tsv", sep="\t", index=False
    )
    pd.DataFrame({"a": [cells[0], cells[1]], "b": [cells[1], "nobody"]}).to_csv(
        folder / "unknown.tsv", sep="\t", index=False
    )
    plain = {"modalities": MODALITIES, "files": {"data": {"path": "good.h5mu"}}}
    wrong = hashlib.sha256(b"another file").hexdigest()
    datasets |= {
        "truncated": plain | {"files": {"data": {"path": "truncated.h5mu"}}},
        "wrong_sha": plain | {"files": {"data": {"path": "good.h5mu", "sha256": wrong}}},
        "down": plain | {"files": {"data": {"url": "http://127.0.0.1:9/data.h5mu", "sha256": wrong}}},
        "outside": plain | {"correspondence": {"path": "outside.tsv"}},
        "unknown": plain | {"correspondence": {"path": "unknown.tsv"}},
        "wrong_kind": plain | {"modalities": {"rna": {"kind": "rna"}, "atac": {"kind": "methylation"}}},
    }
    for entry in datasets.values():
        entry |= {"reader": "h5mu", "cell_type": "cell_type"}
    overlay = {"run": {"datasets": list(datasets), "methods": ["knn"], "seeds": [0]}, "datasets": datasets}
    done = snakemake(folder, "--keep-going", "--until", "ingest_dataset", overlay=overlay)
    assert done.returncode != 0
    return folder


MESSAGES = {name: word for name, (_, word) in DATA.items()} | {
    "truncated": "cannot be read",
    "wrong_sha": "sha256",
    "down": "mirror",
    "outside": "[0, 1]",
    "unknown": "nobody",
    "wrong_kind": "methylation",
}


@pytest.mark.parametrize("name", MESSAGES)
def test_message_says_what_was_expected_found_and_to_change(bad_run, name):
    logs = [bad_run / f"logs/{rule}/{name}.log" for rule in ("fetch_dataset", "ingest_dataset")]
    text = "".join(log.read_text() for log in logs if log.exists())
    assert MESSAGES[name].lower() in text.lower()
    assert text.count("\nError: ") == 1 and "Traceback" not in text
    assert all(word in text for word in ("expected:", "found:", "change:"))


@pytest.mark.parametrize("name", MESSAGES)
def test_nothing_half_written_is_left(bad_run, name):
    left = [p for p in (bad_run / "results" / name).glob("**/*") if p.is_file()]
    assert left == []
    parts = [p for p in (bad_run / "resources" / name).glob("**/*") if p.is_file() and p.name != "files.json"]
    assert parts == []


@pytest.mark.parametrize(
    ("overlay", "words"),
    [
        ({"run": {"sedes": [0]}}, ["'sedes'", "did you mean 'seeds'"]),
        ({"run": {"datasets": ["simulated_multiom"]}}, ["did you mean 'simulated_multiome'"]),
        ({"methods": {"knn": {"options": {"kk": 3}}}}, ["no option 'kk'"]),
        ({"run": {"seeds": ["one"]}}, ["run: seeds"]),
    ],
)
def test_config_errors_stop_before_any_job(tmp_path, overlay, words):
    done = snakemake(tmp_path, overlay=overlay)
    text = done.stdout + done.stderr
    assert done.returncode != 0 and not (tmp_path / "results").exists()
    assert all(word in text for word in words)
