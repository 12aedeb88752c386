"""Names with control characters stop at ingest; roles and downloads stay in their folder."""

import gzip
import itertools

import anndata
import numpy as np
import pandas as pd
import pytest

from jamie.data import readers, sources
from jamie.errors import InputError
from jamie.regulation.annotation import read_genes

N = 6
BAD = ("a\nb", "a\n\n.. raw:: html\n\n   <script>", "a\tb", "a\rb", "\x1b[2J", "a\u2028b", "a\x85b")
FINE = (
    "T cell (CD4+), naïve/resting #1",
    "<b>",
    "$x$",
    "`x`",
    ".. include:: FILE",
    "../../../x",
    "細胞",
)


def written(folder, **names):
    """An .h5ad of ``N`` cells whose names are those of a test, and its config entry."""
    obs = pd.DataFrame({"type": ["t", "u"] * 3, "donor": ["d"] * N}, index=[f"c{i}" for i in range(N)])
    var = pd.DataFrame({"symbol": ["s0", "s1"]}, index=["g0", "g1"])
    for place, name in names.items():
        if place in ("cells", "features"):
            table = obs if place == "cells" else var
            table.index = [name, *table.index[1:]]
        else:
            table = obs if place in obs else var
            table[place] = [name, *table[place][1:]]
    adata = anndata.AnnData(np.arange(N * 2.0).reshape(N, 2) + 1, obs=obs, var=var)
    adata.write(folder / "rna.h5ad")
    adata.write(folder / "adt.h5ad")
    spec = {"source": None, "layer": None, "values": "counts"}
    entry = {
        "reader": "h5ad",
        "files": {},
        "modalities": {"rna": {"kind": "rna", **spec}, "adt": {"kind": "protein", **spec}},
        "cell_type": "type",
        "batch": "donor",
        "correspondence": None,
    }
    return entry, {"rna": folder / "rna.h5ad", "adt": folder / "adt.h5ad"}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(
    ("place", "what", "key"),
    [
        ("cells", "cell", "names of cells (obs)"),
        ("features", "feature", "names of features (var)"),
        ("symbol", "feature", "var['symbol']"),
        ("type", "cell type", "obs['type']"),
        ("donor", "batch", "obs['donor']"),
    ],
)
def test_control_characters_in_names_are_refused_with_file_key_and_example(tmp_path, name, place, what, key):
    entry, files = written(tmp_path, **{place: name})
    with pytest.raises(InputError) as caught:
        readers.read(entry, files)
    assert caught.value.problem == f"{files['rna']} names a {what} with control characters"
    assert key in caught.value.found and ascii(name) in caught.value.found
    assert key in caught.value.change and str(files["rna"]) in caught.value.change


@pytest.mark.parametrize(
    ("place", "name"),
    [
        *itertools.product(["cells", "features", "symbol", "type", "donor"], FINE),
        ("cells", "nan"),  # of a label it says that there is none
        ("features", "nan"),
    ],
)
def test_any_other_name_is_read_as_it_is(tmp_path, name, place):
    entry, files = written(tmp_path, **{place: name})
    rna = readers.read(entry, files).mod["rna"]
    found = {
        "cells": rna.obs_names,
        "features": rna.var_names,
        "symbol": rna.var["symbol"],
        "type": rna.obs["cell_type"],
        "donor": rna.obs["batch"],
    }
    assert found[place][0] == name


def test_control_characters_in_an_annotation_are_refused(tmp_path):
    with gzip.open(tmp_path / "genes.bed.gz", "wt") as file:
        file.write("chr1\t5\t9\tA\t0\t+\nchr1\t5\t9\tB\x0b.. raw:: html\t0\t+\n")
    with pytest.raises(InputError, match="names a gene with control characters"):
        read_genes(tmp_path / "genes.bed.gz")


@pytest.mark.parametrize("role", ["../../x", "/tmp/x", "a/b", "", ".", "a\n", "x" * 61])
def test_a_role_stays_inside_its_folder(tmp_path, role):
    url = {"url": "http://127.0.0.1:9/x.h5ad", "sha256": "0" * 64}
    folder = tmp_path / "resources" / "mine"
    with pytest.raises(InputError, match="is not a plain word"):
        sources.fetch_all({"files": {role: url, "data": url}}, folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "end", ["..", ".hidden", "%2e%2e", "a%00b", "a%0ab", "files.json", "annotation.json", "x" * 201]
)
def test_a_download_has_a_name_that_can_be_kept(tmp_path, end):
    source = {"url": f"http://127.0.0.1:9/data/{end}", "sha256": "0" * 64}
    with pytest.raises(InputError, match="does not end in a file name"):
        sources.fetch(source, tmp_path / "mine")
    assert list(tmp_path.iterdir()) == []


def test_an_escaped_path_in_an_address_is_no_path(tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "x").write_text("")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    source = {"url": "http://127.0.0.1:9/data/..%2f..%2f..%2fx", "sha256": empty}
    assert sources.fetch(source, tmp_path / "mine", mirror=mirror) == mirror / "x"
