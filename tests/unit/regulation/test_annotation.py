"""Genes are read from every format and found by name, another genome stops."""

import logging

import mudata
import numpy as np
import pandas as pd
import pytest

from jamie.data.genome import place_features, tss_position
from jamie.errors import InputError
from jamie.regulation.annotation import (
    check_asked,
    in_gene_body,
    locate_genes,
    match_chromosomes,
    nearest_genes,
    read_genes,
    signed_length,
    with_labels,
)
from jamie.regulation.genome_build import check_build
from shared.genes import table, write

BED5 = "chr1\t100\t200\tPlus\t+\nchr2\t300\t900\tMinus\t-\n"
BED6 = "track name=x\n#note\nchr1\t100\t200\tPlus\t0\t+\nchr2\t300\t900\tMinus\t0\t-\n"
GTF = """#!genome-build GRCm38
chr1\tHAVANA\tgene\t101\t200\t.\t+\t.\tgene_id "ENSMUSG01.2"; gene_type "x"; gene_name "Plus"; note "no #1";
chr1\tHAVANA\ttranscript\t101\t200\t.\t+\t.\tgene_id "ENSMUSG01.2"; gene_name "Plus";
chr2\tHAVANA\tgene\t301\t900\t.\t-\t.\tgene_id "ENSMUSG02.7"; gene_name "Minus";
"""
GFF = """##gff-version 3
chr1\te\tgene\t101\t200\t.\t+\t.\tID=gene:ENSMUSG01;Name=Plus;biotype=x;gene_id=ENSMUSG01.2
chr2\te\tncRNA_gene\t301\t900\t.\t-\t.\tID=gene:ENSMUSG02;Name=Minus;gene_id=ENSMUSG02.7
chr2\te\texon\t301\t900\t.\t-\t.\tName=Minus
"""


def annotation_of(**genes):
    """name -> (gene_id, start), all on chr1 and +."""
    rows = [(name, "chr1", start, start + 50, "+", gene_id) for name, (gene_id, start) in genes.items()]
    return table(rows, "chrom start end strand gene_id")


@pytest.mark.parametrize("name", ["x", "x.gz"])
@pytest.mark.parametrize("text", [BED5, BED6, GTF, GFF], ids=["bed5", "bed6", "gtf", "gff"])
def test_every_format_gives_the_same_genes(text, name, tmp_path):
    genes = read_genes(write(tmp_path, text, name))
    assert list(genes.index) == ["Plus", "Minus"]
    assert list(genes.columns) == ["chrom", "start", "end", "strand", "gene_id"]
    assert genes[["chrom", "start", "end", "strand"]].values.tolist() == [
        ["chr1", 100, 200, "+"],
        ["chr2", 300, 900, "-"],
    ]
    assert tss_position(genes).tolist() == [100, 899]
    if text in (GTF, GFF):
        assert list(genes["gene_id"]) == ["ENSMUSG01.2", "ENSMUSG02.7"]
    else:
        assert genes["gene_id"].isna().all()


def test_a_gene_without_a_name_goes_by_its_id(tmp_path):
    gtf = 'chr1\ta\tgene\t1\t5\t.\t+\t.\tgene_id "ENSG05.1"; gene_type "x";\n'
    assert list(read_genes(write(tmp_path, gtf)).index) == ["ENSG05.1"]
    bed = read_genes(write(tmp_path, "chr1\t0\t5\tENSG05.1\t0\t+\nchr1\t0\t5\tnan\t0\t+\n"))
    assert list(bed.index) == ["ENSG05.1", "nan"]
    assert bed["gene_id"].iloc[0] == "ENSG05.1" and pd.isna(bed["gene_id"].iloc[1])


@pytest.mark.parametrize(
    ("plus", "minus"), [("1", "-1"), ("+1", "-1"), ("plus", "minus"), ("forward", "reverse"), ("+", "\u2212")]
)
@pytest.mark.parametrize("text", [BED5, BED6, GTF, GFF], ids=["bed5", "bed6", "gtf", "gff"])
def test_strands_are_read_however_they_are_written(text, plus, minus, tmp_path):
    rewritten = text.replace("\t+", f"\t{plus}").replace("\t-", f"\t{minus}")
    assert tss_position(read_genes(write(tmp_path, rewritten))).tolist() == [100, 899]


def test_a_gene_without_a_place_is_left_out_and_counted(tmp_path, caplog):
    rows = ["chr1\t100\t200\tA\t+", "chr1\t9\t9\tB\t+", "chr2\t1e+05\t100,500\tC\t-", "chr2\tx\t9\tD\t-"]
    rows.append("chr3\t5\t9\tE\t-")
    genes = read_genes(write(tmp_path, "\n".join(rows)))
    assert list(genes.index) == ["A", "C", "E"] and genes.loc["C", ["start", "end"]].tolist() == [
        100_000,
        100_500,
    ]
    assert "2 rows without a place are left out: chr1 9 9 B + ; chr2 x 9 D -" in caplog.text


def test_the_first_line_may_be_of_a_gene_without_a_place_and_lines_end_as_on_windows(tmp_path):
    (tmp_path / "x").write_bytes(
        "\ufeffchrUn\tNA\tNA\tA\t+\r\nchr1\t5\t9\tB\t-\r\n1\t5\t9\tC\t+\r\n".encode()
    )
    genes = read_genes(tmp_path / "x")
    assert list(genes.index) == ["B", "C"] and genes["chrom"].tolist() == ["chr1", "1"]


def test_a_table_with_a_header_says_which_column_is_which(tmp_path):
    header = "Gene stable ID\tGene name\tChromosome\tGene start\tGene end\tStrand\n"
    header = header.replace("Gene stable ID", "ensembl_gene_id").replace("Gene name", "gene_name")
    text = header + "ENSG1\tPlus\tchr1\t100\t200\t1\nENSG2\t\tchr2\t300\t900\t-1\n"
    genes = read_genes(write(tmp_path, text))
    assert list(genes.index) == ["Plus", "ENSG2"] and tss_position(genes).tolist() == [100, 899]
    assert list(genes["gene_id"]) == ["ENSG1", "ENSG2"]


def test_of_several_rows_the_longest_on_a_standard_chromosome(tmp_path, caplog):
    rows = [
        "chr6_alt\t0\t9000\tA\t+",
        "chr6\t10\t20\tA\t+",
        "chr6\t5\t30\tA\t-",
        "chrX\t0\t25\tA\t-",
        "chr7\t1\t2\tB\t+",
    ]
    with caplog.at_level(logging.INFO):
        genes = read_genes(write(tmp_path, "\n".join(rows)))
    assert genes.loc["A", ["chrom", "start", "end", "strand"]].tolist() == ["chr6", 5, 30, "-"]
    assert list(genes.index) == ["A", "B"] and "3 rows dropped" in caplog.text


def test_a_strand_may_be_missing_but_not_all(tmp_path):
    genes = read_genes(write(tmp_path, "chr1\t1\t9\tA\t.\nchr1\t1\t9\tB\t-\n"))
    assert list(genes["strand"]) == [".", "-"]
    for without in ("chr1\t1\t9\tA\t0\n", "chr1\t1\t9\tA\n", "chr1\t1\t9\tA\t0\t.\n"):
        with pytest.raises(InputError, match=r"(?s)no gene with a strand.*`genes:`"):
            read_genes(write(tmp_path, without))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "no lines"),
        (b"# only\n", "first line ''"),
        (b"gene,chrom\nA,chr1\n", "gene,chrom"),
        (b"chr1\t5\t9\n", "chr1"),
        (b"chr1\t5\t9\tA\t+\nchr1\t9\t9\tB\t+\n", "chr1 9 9 B"),
        (b"chr1\t5\t9\tA\t+\nchr1\tx\t9\tB\t+\n", "chr1 x 9 B"),
        (b"chr1\t5\t9\tA\t+\nchr1\n", "chr1"),
        (b"chr1\ta\texon\t1\t5\t.\t+\t.\tx\n", "only features exon"),
        (b"\xff\xfe\x00", "decode"),
        (b"\x1f\x8b\x08broken", ""),
    ],
)
def test_what_is_not_understood_is_named(content, found, tmp_path):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_genes(tmp_path / "x")
    assert "BED" in error.value.expected and found in error.value.found and "`genes:`" in error.value.change


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        read_genes(tmp_path / "absent.bed")


def test_genes_are_located_by_symbol_then_id_then_any_case():
    known = annotation_of(
        Actb=("ENSMUSG1.3", 0),
        Sox2=("ENSMUSG2.1", 100),
        SOX2=(None, 200),
        Gapdh=(None, 300),
        ACTB=(None, 400),
    )
    asked = ["GAPDH", "ENSMUSG2.9", "SOX2", "sox2", "absent", "Actb", "ENSMUSG1"]
    genes, missing = locate_genes(asked, known)
    assert missing == ["sox2", "absent"]  # sox2 could be either
    assert list(genes.index) == ["GAPDH", "ENSMUSG2.9", "SOX2", "Actb", "ENSMUSG1"]
    assert list(genes["start"]) == [300, 100, 200, 0, 0]
    assert list(genes["symbol"]) == ["Gapdh", "Sox2", "SOX2", "Actb", "Actb"]


def test_case_is_not_ignored_where_it_tells_two_genes_of_the_data_apart():
    genes, missing = locate_genes(["TP53", "Tp53"], annotation_of(tp53=(None, 0)))
    assert genes.empty and missing == ["TP53", "Tp53"]


def test_only_an_ensembl_id_has_a_version():
    known = annotation_of(**{"RP11-3.7": ("AL01.2", 0)})
    assert locate_genes(["RP11-3.1", "AL01.9", "RP11-3"], known)[0].empty


@pytest.mark.parametrize(
    ("genes", "peaks", "renamed"),
    [
        (["1", "X", "MT"], ["chr1", "chrX", "chrM"], ["chr1", "chrX", "chrM"]),
        (["chr1", "chrM", "chr9"], ["1", "MT", "2"], ["1", "MT", "chr9"]),
        (["chr1", "M"], ["chr1", "chrM"], ["chr1", "chrM"]),
    ],
)
def test_chromosomes_are_named_as_in_the_peaks(genes, peaks, renamed, caplog):
    genes, peaks = (
        pd.DataFrame({"chrom": chrom, "start": 0, "end": 9, "strand": "+"}) for chrom in (genes, peaks)
    )
    with caplog.at_level(logging.INFO):
        assert list(match_chromosomes(genes, peaks)["chrom"]) == renamed
    assert "renamed" in caplog.text and list(genes["chrom"]) != renamed


def test_no_shared_chromosome_is_an_error():
    genes, peaks = (
        pd.DataFrame({"chrom": [chrom], "start": 0, "end": 9}) for chrom in ("chr1", "scaffold_7")
    )
    with pytest.raises(InputError, match=r"(?s)chr1.*scaffold_7.*`genes:`"):
        match_chromosomes(genes, peaks)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("n_genes", "n_peaks"), [(60, 150), (120, 300), (200, 5_000)])
def test_small_and_dense_data_pass(n_genes, n_peaks, seed):
    genes, peaks = place_features(n_genes, n_peaks, 4, np.random.default_rng(seed))
    found = check_build(genes, peaks)
    assert found["near_share"] > found["chance_share"] and found["n_within_reach"] == n_genes


def moved(genes, seed):
    """Genes at random places of the same chromosomes."""
    length = genes["end"] - genes["start"]
    start = np.random.default_rng(seed).integers(0, genes["end"].max() - length.max(), len(genes))
    return genes.assign(start=start, end=start + length)


def test_moved_genes_stop_if_there_are_enough(caplog):
    genes, peaks = place_features(300, 900, 4, np.random.default_rng(0))
    right = check_build(genes, peaks)
    assert right["judged"] and right["z"] > 5 and right["n_genes"] == 300
    with pytest.raises(InputError, match=r"(?s)another genome build.*by chance.*`genes:`"):
        check_build(moved(genes, 0), peaks)
    assert not caplog.text
    few = check_build(moved(genes[:90], 1), peaks)
    assert not few["judged"] and few["z"] < 2 and "Too few" in caplog.text


@pytest.mark.parametrize("step_bp", [5_000, 30_000_000])
def test_peaks_everywhere_or_hardly_anywhere_tell_nothing(step_bp, caplog):
    genes, _ = place_features(300, 900, 4, np.random.default_rng(0))
    start = np.arange(0, genes["end"].max() + 1, step_bp)
    peaks = pd.concat(
        [pd.DataFrame({"chrom": f"chr{i}", "start": start, "end": start + 500}) for i in (1, 2, 3, 4)]
    )
    assert not check_build(genes, peaks)["judged"] and "Too few" in caplog.text


def test_a_short_chromosome_is_not_moved_onto_itself():
    tss = [
        10_000,
        40_000,
        100_000,
        150_000,
    ]  # of 200,000 bp, so that 2 of 4 are near a peak a third further on
    rows = [(f"chr{i}{t}", f"chr{i}", t, 200_000, "+") for i in range(30) for t in tss]
    genes = table(rows)
    found = check_build(genes, genes.assign(end=genes["start"] + 2))
    assert found["judged"] and (found["near_share"], found["chance_share"]) == (1, 0.5)


def test_shares_are_counted_by_hand():
    rows = [
        ("a", "chr1", 50_000, 60_000, "+"),
        ("b", "chr1", 400_000, 510_001, "-"),
        ("c", "chr2", 0, 9, "+"),
    ]
    rows += [("d", "chr1", 700_000, 900_000, "+")]
    peaks = [
        ("p", "chr1", 59_999, 60_001),
        ("q", "chr1", 520_000, 520_002),
        ("r", "chr1", 5_900_001, 5_900_100),
    ]
    found = check_build(table(rows), table(peaks, "chrom start end"))
    # a is 10,000 bp from p, b (its TSS 510,000) 10,001 from q, d 179,999 from q; c has no peak there
    assert (found["n_genes"], found["n_within_reach"], found["n_beyond"]) == (3, 3, 1)
    assert found["near_share"] == pytest.approx(1 / 3)


def test_peaks_out_of_reach_of_every_gene_stop():
    genes = table([("a", "chr1", 1_000, 2_000, "+"), ("b", "chr2", 1_000, 2_000, "-")])
    far, near = (table([("p", "chr1", 501_000 + by, 501_002 + by)], "chrom start end") for by in (0, -1))
    assert check_build(genes, near)["n_within_reach"] == 1
    with pytest.raises(InputError, match="0 have one within 500,000 bp"):
        check_build(genes, far)


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("data", "right", "wrong", "n_located"),
    [
        ("mop_snareseq_mm10_dev.h5mu", "mm10", "hg38", 1_674),
        ("muscadet_multiome_hg38.h5mu", "hg38", None, 291),
    ],
)
def test_real_data_and_annotations(real, data, right, wrong, n_located):
    mdata = mudata.read_h5mu(real(data))
    peaks = mdata["atac"].var[["chrom", "start", "end"]].astype({"start": int, "end": int})
    genes, missing = locate_genes(mdata["rna"].var_names, read_genes(real(f"genes_{right}.bed.gz")))
    assert len(genes) >= n_located and len(genes) + len(missing) == mdata["rna"].n_vars
    found = check_build(match_chromosomes(genes, peaks), peaks)
    assert found["judged"] and found["z"] > 4
    if wrong:
        genes, _ = locate_genes(mdata["rna"].var_names, read_genes(real(f"genes_{wrong}.bed.gz")))
        assert len(genes) > 1_000
        with pytest.raises(InputError, match="another genome build"):
            check_build(match_chromosomes(genes, peaks), peaks)


def test_unknown_genes_are_answered_with_the_nearest():
    check_asked(["Sox2"], pd.Index(["Sox2", "Sox9"]))
    with pytest.raises(InputError) as error:
        check_asked(["Sox2", "SOX9", "qqq"], ["Sox2", "Sox9", "Sox10", "Sox11", "Sox12", "Actb"])
    found = error.value.found
    assert found.startswith("'SOX9' (nearest: Sox9, ") and found.count("Sox") == 3
    assert found.endswith("'qqq'") and "'Sox2'" not in found and "show_genes" in error.value.change


@pytest.mark.parametrize(
    ("chrom", "start", "end", "inside"),
    [
        ("chr1", 90, 100, False),  # touches the start
        ("chr1", 90, 101, True),
        ("chr1", 199, 210, True),
        ("chr1", 200, 210, False),  # touches the end
        ("chr1", 120, 130, True),
        ("chr1", 50, 300, True),
        ("chr2", 120, 130, False),
    ],
)
def test_in_gene_body(chrom, start, end, inside):
    genes = table([("z", "chr9", 0, 1_000, "+"), ("a", "chr1", 100, 200, "-")])
    peaks = table([("p", chrom, start, end), ("q", "chr9", 5, 6)], "chrom start end")
    assert in_gene_body(genes, peaks, np.array([1, 0, 1]), np.array([0, 1, 1])).tolist() == [
        inside,
        True,
        False,
    ]


def places():
    genes = table(
        [
            ("g1", "1", 10_000, 20_000, "+", "Sst"),
            ("g2", "1", 10_000, 50_001, "-", "Vip"),
            ("g3", "2", 500, 900, "+", "Lamp5"),
        ],
        "chrom start end strand symbol",
    )
    peaks = table(
        [
            ("a", "1", 21_900, 22_100),  # 12 kb after Sst's start at 10,000, 28 kb after Vip's at 50,000
            ("b", "1", 51_100, 51_300),  # 1.2 kb before Vip's start, as Vip lies on the other strand
            ("c", "1", 100, 300),
            ("d", "2", 5_000_000, 5_000_002),
            ("e", "3", 100, 300),
        ],
        "chrom start end",
    )
    return genes, peaks


def test_a_peak_is_called_by_its_place_and_its_nearest_gene():
    genes, peaks = places()
    asked = pd.DataFrame({"source": ["b", "a", "c", "d", "e", "unplaced", "b"]})
    peaks = pd.concat([peaks, table([("unplaced", "", 0, 0)], "chrom start end")])
    found = with_labels(asked, "source", peaks, genes, "label")
    assert found["label"].tolist() == [
        "1:51,200 (Vip -1.2 kb)",
        "1:22,000 (Sst +12 kb)",
        "1:200 (Sst -9.8 kb)",
        "2:5,000,001 (Lamp5 +5.0 Mb)",
        "3:200",
        "unplaced",
        "1:51,200 (Vip -1.2 kb)",
    ]
    assert found["nearest_gene"].tolist() == ["Vip", "Sst", "Sst", "Lamp5", "", "", "Vip"]
    assert found["source"].equals(asked["source"])


def test_without_places_of_genes_or_peaks_a_feature_is_called_by_its_name():
    genes, peaks = places()
    asked = pd.DataFrame({"feature": ["a", "Sst"]})
    for given in ((peaks, genes.iloc[:0]), (peaks[[]], genes), (peaks.iloc[2:], genes)):
        found = with_labels(asked, "feature", *given, "label")
        assert found["label"].tolist() == ["a", "Sst"] and found["nearest_gene"].tolist() == ["", ""]


def test_the_nearest_gene_is_that_of_a_search_through_all():
    genes, peaks = place_features(60, 400, 3, np.random.default_rng(0))
    found = nearest_genes(peaks, genes)
    tss, centre = tss_position(genes), (peaks["start"] + peaks["end"]) // 2
    for name, at in centre.items():
        on = (genes["chrom"] == peaks["chrom"][name]).to_numpy()
        distance = np.abs(tss - at)[on]
        assert abs(found["bp"][name]) == distance.min()
        assert found["nearest_gene"][name] == genes.index[on][distance.argmin()]


@pytest.mark.parametrize(
    ("bp", "words"),
    [
        (0, "+0 bp"),
        (-850, "-850 bp"),
        (1_234, "+1.2 kb"),
        (-12_400, "-12 kb"),
        (140_000, "+140 kb"),
        (-1.2e6, "-1.2 Mb"),
    ],
)
def test_signed_lengths_have_units(bp, words):
    assert signed_length(bp) == words
