"""Linked features of a dataset: its own table, its file of genes, what its features are called."""

import logging

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest

from jamie import contract as c
from jamie.data.simulate import simulate_multiome
from jamie.errors import InputError
from jamie.regulation import linking


def features(kind, names, **columns):
    adata = anndata.AnnData(
        np.zeros((1, len(names)), dtype=np.float32), var=pd.DataFrame(columns, index=list(names))
    )
    adata.uns[c.KIND] = kind
    return adata


def dataset(**modalities):
    return mudata.MuData(modalities)


def bed(path, genes, start=0):
    rows = genes.assign(start=genes["start"] + start, end=genes["end"] + start, name=genes.index)
    rows[["chrom", "start", "end", "name", "strand"]].to_csv(path, sep="\t", header=False, index=False)
    return path


@pytest.fixture(scope="module")
def multiome():
    """150 genes and 700 peaks with places, as ingested."""
    mdata, _ = simulate_multiome(n_cells=60, n_genes=150, n_peaks=700, n_types=3, seed=0)
    mdata.mod["rna"].uns[c.KIND], mdata.mod["atac"].uns[c.KIND] = c.RNA, c.ATAC
    return mdata


@pytest.fixture
def unplaced(multiome):
    """The same, whose genes have no places."""
    rna = multiome.mod["rna"].copy()
    rna.var = rna.var[[]]
    return dataset(rna=rna, atac=multiome.mod["atac"])


def test_a_file_of_genes_places_them_as_their_own_coordinates_do(tmp_path, multiome, unplaced):
    own = linking.link(multiome)
    genes = multiome.mod["rna"].var
    by_file = linking.link(unplaced, bed(tmp_path / "genes.bed", genes))
    pd.testing.assert_frame_equal(own.table, by_file.table)
    assert own.n > 100 and own.notes == () and own.reason == ""
    other = linking.link(unplaced, bed(tmp_path / "bare.bed", genes.assign(chrom=genes["chrom"].str[3:])))
    pd.testing.assert_frame_equal(own.table, other.table)


@pytest.mark.parametrize(
    "change, problem",
    [
        (
            lambda genes: genes.assign(start=genes["start"] + 400_000, end=genes["end"] + 400_000),
            "do not fit",
        ),
        (lambda genes: genes.assign(chrom="scaffold_9"), "share no chromosome"),
        (lambda genes: genes.set_index("x" + genes.index), "None of the genes is in the annotation"),
    ],
)
def test_a_file_of_genes_of_another_build_or_species_is_refused(
    tmp_path, multiome, unplaced, change, problem
):
    file = bed(tmp_path / "genes.bed", change(multiome.mod["rna"].var))
    with pytest.raises(InputError, match=problem) as raised:
        linking.link(unplaced, file)
    assert "`genes:`" in raised.value.change


def test_own_coordinates_of_another_build_are_said_and_do_not_stop(multiome):
    rna = multiome.mod["rna"].copy()
    rna.var[["start", "end"]] += 400_000
    found = linking.link(dataset(rna=rna, atac=multiome.mod["atac"]))
    (note,) = found.notes
    assert "do not fit together" in note and "`genes:`" in note


def test_genes_in_the_file_in_another_case_alone_are_said(tmp_path, multiome):
    genes = multiome.mod["rna"].var
    rna = features(c.RNA, [name.capitalize() for name in genes.index])
    found = linking.link(
        dataset(rna=rna, atac=multiome.mod["atac"]),
        bed(tmp_path / "genes.bed", genes.set_index(genes.index.str.upper())),
    )
    (note,) = found.notes
    assert found.n > 100 and "Gene_001, there GENE_001" in note and "species" in note


def test_genes_in_another_case_whose_places_do_not_fit_the_peaks_are_refused(tmp_path, multiome):
    genes = multiome.mod["rna"].var.iloc[:60]  # too few to be judged by their places alone
    moved = genes.assign(start=genes["start"] + 400_000, end=genes["end"] + 400_000)
    rna = features(c.RNA, [name.capitalize() for name in genes.index])
    mdata = dataset(rna=rna, atac=multiome.mod["atac"])
    with pytest.raises(InputError, match="another species") as raised:
        linking.link(mdata, bed(tmp_path / "genes.bed", moved))
    assert "Gene_001, there gene_001" in raised.value.found


def test_ids_of_rna_find_the_proteins_of_their_genes_by_the_symbols_of_a_file(tmp_path):
    (tmp_path / "genes.gtf").write_text(
        'chr1\tx\tgene\t11\t90\t.\t+\t.\tgene_id "ENSG00000156738"; gene_name "MS4A1";\n'
        'chr2\tx\tgene\t11\t90\t.\t-\t.\tgene_id "ENSG00000177455"; gene_name "CD19";\n'
    )
    ids = ["ENSG00000156738.17", "ENSG00000177455"]
    mdata = dataset(rna=features(c.RNA, ids), adt=features(c.PROTEIN, ["CD20", "CD19-1", "IgG1"]))
    assert linking.link(mdata).table.empty
    found = linking.link(mdata, tmp_path / "genes.gtf")
    assert found.table[["first", "second"]].to_numpy().tolist() == [[ids[0], "CD20"], [ids[1], "CD19-1"]]


def test_a_table_takes_the_place_of_everything_and_genes_are_not_used_then(tmp_path, multiome):
    gene, peak = (adata.var_names[0] for adata in multiome.mod.values())
    (tmp_path / "links.tsv").write_text(f"{peak}\t{gene}\t0.5\n")
    found = linking.link(multiome, tmp_path / "no.bed", tmp_path / "links.tsv")
    assert found.table.to_numpy().tolist() == [[gene, peak, 0.5]]
    assert "names features of atac first" in found.notes[0] and "`genes:` is not used" in found.notes[1]


def test_the_config_may_say_that_nothing_is_linked(multiome):
    entry = {"linked_features": "none", "genes": None}
    found = linking.of_dataset(multiome, entry, {})
    assert found.table.empty and "`linked_features: none`" in found.how and found.reason
    by_places = linking.of_dataset(multiome, entry | {"linked_features": None}, {})
    assert by_places.n > 100


def test_genes_are_not_used_without_rna(tmp_path):
    mdata = dataset(a=features(c.PROTEIN, ["x", "y"]), b=features(c.CONTINUOUS, ["y"]))
    found = linking.link(mdata, tmp_path / "no.bed")
    assert len(found.table) == 1 and "`genes:` is not used" in found.notes[0]


def test_the_account_and_the_log_say_what_is_linked_and_why_not(caplog):
    mdata = dataset(rna=features(c.RNA, ["CD19", "A"]), adt=features(c.PROTEIN, ["CD19", "CD4", "IgG1"]))
    found = linking.link(mdata)
    assert linking.account(found, ("rna", "adt")) == {
        "how": "proteins and their genes",
        "n_links": 1,
        "linked": {"rna": 1, "adt": 1},
        "not_linked": ["CD4", "IgG1"],
        "why": {"their genes are not measured": ["CD4"], "controls": ["IgG1"]},
        "reason": found.reason,
        "notes": [],
    }
    with caplog.at_level(logging.INFO):
        linking.speak(found)
    assert caplog.messages[0] == "Linked: proteins and their genes; 1 and 1 features, 1 links"
    assert caplog.messages[1].startswith("Only 1 features are linked")


def test_what_a_page_is_told_of_links():
    proteins = features(c.PROTEIN, ["CD3", "CD19", "IgG1"])
    mdata = dataset(rna=features(c.RNA, ["Cd3e", "Cd19", "x"]), adt=proteins)
    linked = linking.of_dataset(mdata, {"linked_features": None}, {})
    few, case = linking.findings_of(linked)
    assert few.sentence().startswith("linked features: only 2 features are linked")
    assert "those of mouse or rat" in case.sentence()
    assert linking.as_notices(linking.account(linked, ("rna", "adt"))["notes"]) == [case]
    assert case.severity == c.NOTICE
