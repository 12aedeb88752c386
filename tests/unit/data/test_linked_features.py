"""Which feature of one modality says something about which of the other."""

import anndata
import numpy as np
import pandas as pd
import pytest

from jamie import contract as c
from jamie.data import linked

GENES = pd.DataFrame(
    {
        "chrom": ["chr1", "chr1", "chr2"],
        "start": [100_000, 300_000, 100_000],
        "end": [110_000, 320_000, 120_000],
        "strand": ["+", "-", "."],
    },
    index=["A", "B", "C"],
)


def features(kind, names, **columns):
    adata = anndata.AnnData(
        np.zeros((1, len(names)), dtype=np.float32), var=pd.DataFrame(columns, index=list(names))
    )
    adata.uns[c.KIND] = kind
    return adata


def of(genes):
    return features(c.RNA, genes.index, **{name: genes[name].tolist() for name in genes})


def pairs(found):
    return set(zip(found.table["first"], found.table["second"], strict=True))


def weights(found):
    return dict(zip(found.table["second"], found.table["weight"].round(4), strict=True))


def peaks(*names):
    return features(c.ATAC, names)


def test_a_peak_counts_in_a_gene_and_before_it_and_less_with_distance():
    found = linked.find(
        of(GENES),
        peaks(
            *("chr1:104990-105010", "chr1:98000-98002", "chr1:87990-88010", "chr1:119989-120009"),
            *("chr1:321990-322000", "chr1:47000-47002", "chr2:104000-104002", "chr3:5-9"),
        ),
    )
    assert weights(found) == {
        "chr1:104990-105010": 1.0,  # in the body of A
        "chr1:98000-98002": 1.0,  # 2 kb before A
        "chr1:87990-88010": np.round(np.exp(-1), 4),  # 10 kb before the promoter of A
        "chr1:119989-120009": np.round(np.exp(-1), 4),  # 10 kb behind A
        "chr1:321990-322000": 1.0,  # before B, which is read from its end
        "chr2:104000-104002": 1.0,
    }
    assert "50 kb" in found.how and found.not_linked == ()


def test_before_a_gene_whose_strand_is_not_known_is_on_both_sides():
    found = linked.find(of(GENES), peaks("chr2:98500-98502", "chr2:121500-121502"))
    assert weights(found) == {"chr2:98500-98502": 1.0, "chr2:121500-121502": 1.0}
    minus = linked.find(of(GENES.assign(strand="-")), peaks("chr2:98500-98502", "chr2:121500-121502"))
    assert weights(minus)["chr2:98500-98502"] < 1 == weights(minus)["chr2:121500-121502"]


def test_links_are_in_the_order_of_the_genome():
    at = [f"chr{k}:{s}-{s + 2}" for k, s in ((2, 104_000), (1, 310_000), (1, 105_000), (1, 101_000))]
    found = linked.find(of(GENES.iloc[::-1]), peaks(*at))
    assert found.table["first"].tolist() == ["A", "A", "B", "C"]
    assert found.table["second"].tolist() == [at[3], at[2], at[1], at[0]]


def test_chromosomes_may_be_named_otherwise_and_the_order_of_modalities_is_free():
    found = linked.find(peaks("1:104990-105010"), of(GENES))
    assert pairs(found) == {("1:104990-105010", "A")}
    assert list(found.table) == list(linked.COLUMNS)


def test_genes_of_a_file_take_the_place_of_those_of_the_data():
    rna = features(c.RNA, ["ENSG1", "ENSG2", "ENSG3", "ENSG4"])
    genes = GENES.set_index(pd.Index(["ENSG1", "ENSG2", "ENSG3"]))
    found = linked.find(rna, peaks("chr1:104990-105010"), genes)
    assert pairs(found) == {("ENSG1", "chr1:104990-105010")}
    assert found.why == {
        "genes without coordinates": ("ENSG4",),
        "genes with nothing in or within 50 kb of them": ("ENSG2", "ENSG3"),
    }


def test_methylation_counts_in_the_body_and_before_it_alone_and_against_the_gene():
    sites = features(c.METHYLATION, ["chr1:104990-105010", "chr1:98000-98002", "chr1:97000-97002"])
    found = linked.find(of(GENES), sites)
    assert weights(found) == {"chr1:104990-105010": -1.0, "chr1:98000-98002": -1.0}
    assert found.not_linked == ("B", "C")


@pytest.mark.parametrize("kind, sign", [(c.METHYLATION, -1.0), (c.ATAC, 1.0)])
def test_sites_that_are_named_as_genes_are_these_genes_wherever_they_lie(kind, sign):
    sites = features(
        kind, ["A", "b", "x"], **{name: [*GENES[name][:2], GENES[name].iloc[0]] for name in GENES}
    )
    found = linked.find(of(GENES.iloc[:2]), sites)
    assert pairs(found) == {("A", "A"), ("B", "b")}
    assert set(found.table["weight"]) == {sign} and found.how == "features of the same name"


def test_proteins_and_their_genes_by_symbol_and_by_name():
    names = ["CD3E", "CD3G", "IL3RA", "KLRG1", "HLA-E", "NOTCH1", "PECAM1"]
    antibodies = [
        "cd3.1",
        "cd3.2",
        "CD123 (IL3RA)",
        "klrg1",
        "hla.e",
        "Notch-1",
        "CD19",
        "IgG1",
        "CD45RA",
        "folate",
    ]
    for rna in (
        features(c.RNA, names),
        features(c.RNA, [f"ENSG{i}" for i in range(len(names))], gene_symbols=names),
    ):
        found = linked.find(rna, features(c.PROTEIN, antibodies))
        symbol = dict(zip(rna.var_names, names, strict=True))
        assert {(symbol[gene], protein) for gene, protein in pairs(found)} == {
            *(("CD3E", "cd3.1"), ("CD3G", "cd3.1"), ("CD3E", "cd3.2"), ("CD3G", "cd3.2")),
            *(("IL3RA", "CD123 (IL3RA)"), ("KLRG1", "klrg1"), ("HLA-E", "hla.e"), ("NOTCH1", "Notch-1")),
        }
    assert found.why == {
        linked.NOT_MEASURED: ("CD19",),
        linked.UNKNOWN: ("folate",),
        linked.UNTOLD: ("CD45RA",),
        linked.CONTROL: ("IgG1",),
    }
    assert found.not_linked == ("CD19", "folate", "CD45RA", "IgG1") and found.notes == ()


def test_symbols_of_a_file_of_genes_name_those_that_have_ids_alone():
    rna = features(c.RNA, ["ENSG1", "ENSG2"])
    genes = GENES.iloc[:2].set_index(rna.var_names).assign(symbol=["CD19", "MS4A1"])
    assert pairs(linked.find(rna, features(c.PROTEIN, ["CD20"]), genes)) == {("ENSG2", "CD20")}


def test_mouse_genes_are_found_by_the_antibodies_of_either_species_and_that_is_said():
    rna = features(c.RNA, ["Cd3e", "Itgam", "Adgre1", "Ly6g", "Thy1", "H2-Aa", "Ptprc"])
    panel = ["CD3", "CD11b", "F4/80", "Ly-6G", "CD90.2", "I-A/I-E", "CD45.2", "CD45R/B220"]
    found = linked.find(rna, features(c.PROTEIN, panel))
    expected = zip(rna.var_names, panel, strict=False)
    assert pairs(found) == set(expected) and found.not_linked == ("CD45R/B220",)
    assert "mouse" in found.notes[0] and "Cd3e" in found.notes[0]


def test_equal_names_link_whatever_the_kinds_and_another_case_is_said():
    found = linked.find(features(c.CONTINUOUS, ["a", "b", "c"]), features(c.PROTEIN, ["b", "c"]))
    assert pairs(found) == {("b", "b"), ("c", "c")} and found.notes == () and found.not_linked == ()
    found = linked.find(features(c.RNA, ["Cd3e", "Sox2"]), features(c.CONTINUOUS, ["CD3E", "SOX2", "X"]))
    assert pairs(found) == {("Cd3e", "CD3E"), ("Sox2", "SOX2")}
    assert "Cd3e and CD3E" in found.notes[0] and "two species" in found.notes[0]


def test_of_several_features_of_one_symbol_the_first_is_linked():
    rna = features(c.RNA, ["ENSG1", "ENSG2", "CD4"], symbol=["CD19", "CD19", "MS4A1"])
    found = linked.find(rna, features(c.PROTEIN, ["CD19", "CD4"]))
    assert pairs(found) == {("ENSG1", "CD19"), ("CD4", "CD4")}


def test_without_coordinates_and_names_nothing_is_linked_and_the_reason_is_told():
    found = linked.find(features(c.RNA, ["A", "B"]), features(c.ATAC, ["p1", "p2"]))
    assert found.table.empty and found.n == 0
    assert "no features are linked" in found.reason and "without known pairs is never used" in found.reason
    assert "genes and the sites have no coordinates" in found.notes[0]


def test_links_of_fewer_than_ten_features_are_not_used():
    names = [f"G{i}" for i in range(10)]
    few = linked.find(features(c.RNA, names[:9]), features(c.CONTINUOUS, names))
    enough = linked.find(features(c.RNA, names), features(c.CONTINUOUS, names))
    assert few.n == 9 and "only 9 features are linked" in few.reason
    assert enough.n == 10 and enough.reason == ""
