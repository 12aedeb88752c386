"""What antibodies bind, by the names that panels give them."""

import re
from importlib import resources

import pytest

from jamie.data import antibodies

CD3 = ("CD3E", "CD3D", "CD3G")


@pytest.mark.parametrize(
    "name, genes",
    [
        *((name, CD3) for name in ("CD3", "cd3", "cd3.1", "CD3-2", "CD3.UCHT1", "Hu.CD3_UCHT1", "ADT_CD3")),
        *((name, CD3) for name in ("CD3-TotalSeqB", "CD3_TotalC", "CD3 (UCHT1)", "CD3-CTCATTGTAACTCCT")),
        *((name, CD3) for name in ("anti-human CD3", "A0034 anti-human CD3")),
        *((name, ("IL3RA",)) for name in ("CD123", "(CD123)", "IL3RA (CD123)", "CD123 (IL3RA)")),
        ("CD3:SK7|CD3E|AHS0033|pAbO", ("CD3E",)),
        ("CD31", ("PECAM1",)),  # and not CD3.1
        ("CD41", ("ITGA2B",)),
        ("cd4.1", ("CD4",)),
        ("CD26.2", ("DPP4",)),
        *((name, ("HLA-DRA",)) for name in ("HLA-DR", "hla.dr", "HLA-DR-TotalSeqC")),
        *((name, ("TRAC", "TRBC1", "TRBC2")) for name in ("TCRα/β", "TCR alpha/beta", "tcrab", "TCR-ab")),
        ("TCR Vα7.2", ("TRAV1-2",)),
        ("HuMs.integrin.b7", ("ITGB7",)),
        ("FcεRIα", ("FCER1A",)),
        ("CD119 (IFN-γ R α chain)", ("IFNGR1",)),
        ("lox.1", ("OLR1",)),  # LOX is another gene
        ("CD40 ligand", ("CD40LG",)),
        ("CD200 Receptor", ("CD200R1",)),
        ("CD137L", ("TNFSF9",)),
        ("4.1BB", ("TNFRSF9",)),
        ("CD11a/CD18 (LFA-1)", ("ITGAL", "ITGB2")),
        ("cd66a.c.e", ("CEACAM1", "CEACAM6", "CEACAM5")),
        ("IgM", ("IGHM",)),
        ("anti-human IgG Fc", ("IGHG1", "IGHG2", "IGHG3", "IGHG4")),
        ("CD11b", ("ITGAM",)),
        ("F4/80", ("ADGRE1",)),
        ("Ly-6G", ("LY6G",)),
        ("CD90.2", ("THY1",)),
        ("I-A/I-E", ("H2-AA", "H2-AB1", "H2-EB1")),
        ("CD45.2", ("PTPRC",)),
        ("CD16/32", ("FCGR3", "FCGR2B")),
        ("NK-1.1", ("KLRB1C",)),
        *((name, ()) for name in ("CD45RA", "cd45ro", "CD45R/B220", "B220 (CD45R)", "CD45RA-HI100", "CD15")),
        *((name, None) for name in ("folate", "cadherin", "CD62", "CD158", "CD85", "TCR", "KLRG1", "CD3 L")),
    ],
)
def test_genes_of_an_antibody(name, genes):
    assert antibodies.genes_of(name) == genes
    assert not antibodies.is_control(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "IgG1",
            "Mouse IgG1",
            "Rat-IgG2a",
            "rIgG2b",
            "IgG2b_control",
            "Armenian Hamster IgG",
            "Arm.ham.IgG.iso",
        ),
        *(
            "Mouse IgG1, κ isotype Ctrl",
            "isotype_RTK4530",
            "Rat IgM",
            "IgG2a kappa",
            "MouseIgG2bkappaisotype",
        ),
        *("Hashtag1", "HTO_A", "B0251 anti-human Hashtag 1", "unmapped", "Streptavidin-PE"),
    ],
)
def test_controls_bind_nothing_of_the_cells(name):
    assert antibodies.is_control(name)


def test_names_that_differ_in_how_they_are_written_are_one():
    assert antibodies.plain("TCR γ/δ") == antibodies.plain("TCR gamma-delta") == "tcrgd"
    assert antibodies.plain("CD3.1") != antibodies.plain("CD31")
    assert antibodies.plain("PD-1") == antibodies.plain("PD1")


def test_table_names_each_antibody_once_in_each_part_with_symbols_of_genes():
    lines = resources.files("jamie.data").joinpath("antibodies.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")][1:]
    assert all(len(row) == 2 for row in rows) and len(rows) > 500
    mouse = next(i for i, line in enumerate(lines) if line.startswith("# Mouse"))
    for part in (lines[:mouse], lines[mouse:]):
        names = [antibodies.plain(line.split("\t")[0]) for line in part if "\t" in line]
        assert len(names) == len(set(names))
    symbols = {gene for _, genes in rows for gene in genes.split(",")} - {"-"}
    assert all(re.fullmatch(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)?", symbol) for symbol in symbols)
