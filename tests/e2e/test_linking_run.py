"""Linked features in a run: what they come of, what is wrong with them, and what makes them anew."""

from __future__ import annotations

import mudata
import pytest

from jamie import io
from jamie.data.simulate import simulate_multiome
from jamie.report import verify
from shared.workflow import snakemake

pytestmark = pytest.mark.e2e

ENTRY = {
    "reader": "h5mu",
    "files": {"data": {"path": "bare.h5mu"}},
    "modalities": {"rna": {"kind": "rna"}, "atac": {"kind": "atac"}},
}
GIVEN = {
    "own": {"files": {"data": {"path": "own.h5mu"}}},
    "bare": {},
    "by_file": {"genes": {"path": "genes.bed"}},
    "by_table": {"linked_features": {"path": "links.tsv"}},
    "moved": {"genes": {"path": "moved.bed"}},
    "unknown": {"linked_features": {"path": "unknown.tsv"}},
}


def overlay(**more):
    datasets = {name: ENTRY | given for name, given in GIVEN.items()}
    datasets["by_file"] = datasets["by_file"] | more
    run = {"datasets": list(datasets), "methods": ["jamie"], "seeds": [0], "explain": False}
    return {"run": run, "datasets": datasets}


@pytest.fixture(scope="module")
def linked_run(tmp_path_factory):
    """The folder of a run up to the linked features of all datasets, of which two are wrong."""
    folder = tmp_path_factory.mktemp("linked")
    mdata, _ = simulate_multiome(n_cells=60, n_genes=150, n_peaks=600, n_types=3, seed=0)
    parts = {name: adata.copy() for name, adata in mdata.mod.items()}
    mudata.MuData(parts).write(folder / "own.h5mu")
    genes, peaks = parts["rna"].var.copy(), parts["atac"].var_names
    parts["rna"].var = genes[[]]
    mudata.MuData(parts).write(folder / "bare.h5mu")
    bed = genes.assign(name=genes.index)[["chrom", "start", "end", "name", "strand"]]
    bed.to_csv(folder / "genes.bed", sep="\t", header=False, index=False)
    bed = bed.assign(start=bed["start"] + 400_000, end=bed["end"] + 400_000)
    bed.to_csv(folder / "moved.bed", sep="\t", header=False, index=False)
    (folder / "links.tsv").write_text(
        "".join(f"{gene}\t{peak}\n" for gene, peak in zip(genes.index[:12], peaks, strict=False))
    )
    (folder / "unknown.tsv").write_text(f"{genes.index[0]}\t{peaks[0]}\nCd3e\t{peaks[1]}\n")
    done = snakemake(folder, "--keep-going", "--until", "link_features", overlay=overlay())
    assert done.returncode != 0
    return folder


def account(folder, name):
    return io.read_json(folder / f"results/{name}/linked_features.json")


def test_places_of_the_data_or_of_a_file_of_genes_link_alike(linked_run):
    own, by_file = (account(linked_run, name) for name in ("own", "by_file"))
    assert own == by_file and own["linked"]["rna"] > 100 and own["reason"] == ""
    tables = [linked_run / f"results/{name}/linked_features.tsv" for name in ("own", "by_file")]
    assert tables[0].read_bytes() == tables[1].read_bytes()


def test_a_table_takes_the_place_of_all_that_is_found_and_its_columns_may_be_exchanged(linked_run):
    found = account(linked_run, "by_table")
    assert found["how"] == "the table links.tsv" and found["linked"] == {"rna": 12, "atac": 12}
    first, second = io.read_h5mu(linked_run / "results/by_table/ingested.h5mu", leave_out=("X",)).mod
    assert (first, second) == ("atac", "rna")
    assert "names features of rna first" in found["notes"][0]


def test_where_nothing_links_the_two_it_is_said_and_the_run_goes_on(linked_run):
    found = account(linked_run, "bare")
    assert found["n_links"] == 0 and "no features are linked" in found["reason"]
    log = (linked_run / "logs/link_features/bare.log").read_text()
    assert "No features are linked" in log and "The genes have no coordinates" in log


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("moved", ("do not fit together", "`genes:`")),
        ("unknown", ("unknown.tsv names features that rna does not have", "Cd3e", "`linked_features:`")),
    ],
)
def test_what_is_wrong_is_one_message_before_any_cell_is_split(linked_run, name, words):
    log = (linked_run / f"logs/link_features/{name}.log").read_text()
    assert all(word in log for word in (*words, "expected:", "found:", "change:"))
    assert log.count("\nError: ") == 1 and "Traceback" not in log
    left = {path.name for path in (linked_run / f"results/{name}").iterdir()}
    assert not any("linked" in file for file in left)


def test_what_was_read_is_accounted_for_and_verified(linked_run, monkeypatch):
    monkeypatch.chdir(linked_run)
    accounts = {
        name: io.read_json(f"resources/{name}/linked_inputs.json") for name in ("own", "by_file", "by_table")
    }
    assert {name: list(read) for name, read in accounts.items()} == {
        "own": [],
        "by_file": ["genes"],
        "by_table": ["linked_features"],
    }
    links = linked_run / "links.tsv"
    before = links.read_text()
    assert not any("links.tsv" in line for line in verify.look().differs)
    links.write_text(before + "\n")
    assert any("links.tsv" in line for line in verify.look().differs)
    links.write_text(before)


def test_they_are_made_anew_where_their_sources_change_and_not_where_more_is_explained(linked_run):
    for given, explain, again in (({}, True, False), ({"genes": None}, False, True)):
        changed = overlay(**given)
        changed["run"]["explain"] = explain
        done = snakemake(linked_run, "-n", "results/by_file/linked_features.tsv", overlay=changed)
        assert done.returncode == 0, done.stderr
        assert ("rule link_features" in done.stdout + done.stderr) == again
        assert "rule ingest_dataset" not in done.stdout + done.stderr
