"""A whole run, with its report, on data whose names are markup, paths and formulas: shown as they are."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from jamie import io
from jamie.data.simulate import simulate_multiome
from shared.workflow import snakemake

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

GENES = [
    "../../../x",
    "a/b",
    "<script>alert(1)</script>",
    ".. include:: SECRET",
    "$\\foo{$",
    "`x <javascript:alert(1)>`_",
    "con",
    "x" * 300,
]
TYPES = ["<b>T</b> |x| *cell*_", ".. raw:: html", "$a^$ T/B #1, {{ config }}"]
FOUND = Path("results/hostile")


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory):
    """The folder of a run whose genes to show and cell types have such names."""
    folder = tmp_path_factory.mktemp("parent") / "run"
    folder.mkdir()
    (folder / "SECRET").write_text("read in")
    options = {"n_cells": 260, "n_genes": 100, "n_peaks": 700, "n_types": len(TYPES), "seed": 0}
    mdata, _ = simulate_multiome(**options)
    modalities = {name: adata.copy() for name, adata in mdata.mod.items()}
    genes = modalities["rna"].var_names
    renamed = dict(zip(genes[: len(GENES)], GENES, strict=True))
    modalities["rna"].var_names = [renamed.get(name, name) for name in genes]
    for adata in modalities.values():
        adata.obs["cell_type"] = adata.obs["cell_type"].cat.rename_categories(TYPES)
    io.together(modalities).write(folder / "hostile.h5mu")
    entry = {
        "description": "<b>odd</b>\n\n.. include:: SECRET\n",
        "reader": "h5mu",
        "files": {"data": {"path": "hostile.h5mu"}},
        "modalities": {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}},
        "cell_type": "cell_type",
        "show_genes": [gene for gene in GENES if "<script" not in gene],  # that the config may not hold
    }
    overlay = {
        "run": {
            "datasets": ["hostile"],
            "scenarios": ["paired_100"],
            "methods": ["jamie", "odd", "floor_mean"],
            "seeds": [0],
            "explain": True,
        },
        "datasets": {"hostile": entry},
        "methods": {
            "jamie": {"options": {"max_epochs": 8, "estimated": "never", "folds": 0}},
            "odd": {"base": "knn", "label": "<i>odd</i> |y| `z`_"},
        },
        "explain": {"n_cells": 150, "chunks": 1},
    }
    done = snakemake(folder, "--report", "report.html", "--report-after-run", overlay=overlay)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_files_are_written_where_they_belong(hostile_run):
    assert [path.name for path in hostile_run.parent.iterdir()] == ["run"]
    (loci,) = hostile_run.glob("results/hostile/**/loci")
    names = [path.name for path in loci.iterdir()]
    assert set(names) >= {f"{name}.svg" for gene, name in io.file_names(GENES).items() if "<" not in gene}
    assert not [path for path in hostile_run.rglob("*") if path.name in ("x", "x.svg", "b.svg")]


def test_the_report_shows_names_and_runs_and_reads_none(hostile_run):
    texts = [(hostile_run / "report.html").read_text()]
    texts += [
        base64.b64decode(part).decode(errors="replace") for part in re.findall(r"base64,([\w+/=]+)", texts[0])
    ]
    texts += [path.read_text() for path in hostile_run.glob("results/**/*.html")]
    pages = [text for text in texts if text.lstrip().startswith("<")]  # the others: tables
    assert len(pages) > 10
    for text in pages:
        assert "<script>alert" not in text and "read in" not in text and 'href="javascript:' not in text
        assert "<b>T</b>" not in text
    assert any("&lt;i&gt;odd&lt;/i&gt;" in text for text in pages[1:])
