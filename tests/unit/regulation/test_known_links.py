"""Known links are read from every format and marked among the pairs, from either anchor."""

import pandas as pd
import pytest

from jamie.errors import InputError
from jamie.regulation.known_links import check_known, mark_known, read_known_links
from shared.genes import table, write

TSV = {
    "positions": "gene\tchr\tstart\tstop\tscore\nA\tchr1\t100\t200\t3\n\tchr2\t5\t9\t1\n",
    "comment header": "## a note\n#chrom\tchromStart\tchromEnd\tname\tTargetGene\n"
    "chr1\t100\t200\tx\tA\nchr2\t5\t9\ty\t.\n",
    "colon": "peak\tsymbol\nchr1:100-200\tA\nchr2:5-9\t\n",
    "quoted": '"gene"\t"peak"\n"A"\t"chr1:100-200"\n""\t"chr2:5-9"\n',
    "dashes": "target_gene\tscore\tpeak\nA\t2\tchr1-100-200\n.\t2\tchr2-5-9\n",
    "screen": "chrom\tchromStart\tchromEnd\tmeasuredGeneSymbol\tRegulated\n"
    "chr1\t100\t200\tA\tTRUE\nchr1\t100\t200\tB\tFALSE\nchr2\t5\t9\t\tTRUE\n",
}


@pytest.mark.parametrize("name", ["x", "x.gz"])
@pytest.mark.parametrize("text", TSV.values(), ids=TSV.keys())
def test_known_links_of_a_table(text, name, tmp_path):
    known = read_known_links(write(tmp_path, text, name))
    assert list(known.columns) == ["chrom", "start", "end", "gene"]
    assert known[["chrom", "start", "end"]].values.tolist() == [["chr1", 100, 200], ["chr2", 5, 9]]
    assert known["gene"].iloc[0] == "A" and pd.isna(known["gene"].iloc[1])


def test_a_known_link_without_a_place_is_left_out_and_counted(tmp_path, caplog):
    text = "gene\tseqnames\tstart\tend\nA\tchr1\t1e+02\t2,000\nB\tchr1\tNA\t5\nC\tchr2\t5\t9\n"
    known = read_known_links(write(tmp_path, text))
    assert known[["chrom", "start", "end", "gene"]].values.tolist() == [
        ["chr1", 100, 2000, "A"],
        ["chr2", 5, 9, "C"],
    ]
    bedpe = "chr1\t1\t2\tchr1\t50\t60\nchr1\t1\t2\tchr1\t60\t50\nchr1\t3\t4\tchr2\t5\t6\n"
    known = read_known_links(write(tmp_path, bedpe))
    assert known["start"].tolist() == [1, 3] and known["start_2"].tolist() == [50, 5]
    assert caplog.text.count("1 rows without a place are left out") == 2


def test_known_links_of_bedpe(tmp_path):
    six = "#chrom1\tstart1\nchr1\t1\t2\tchr1\t50\t60\n"
    known = read_known_links(write(tmp_path, six))
    places = ["chrom", "start", "end", "chrom_2", "start_2", "end_2"]
    assert list(known.columns) == [*places, "gene"] and known["gene"].isna().all()
    assert known[places].values.tolist() == [["chr1", 1, 2, "chr1", 50, 60]]
    ten = "chr1\t1\t2\tchr1\t50\t60\tA\t9\t+\t-\nchr1\t1\t2\tchr2\t50\t60\t.\t9\t+\t-\n"
    known = read_known_links(write(tmp_path, ten))
    assert known["gene"].iloc[0] == "A" and pd.isna(known["gene"].iloc[1])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "no lines"),
        ("# a\n", "# a"),
        ("gene\tscore\nA\t1\n", "gene"),
        ("gene\tpeak\n", "no rows"),
        ("gene\tpeak\nA\tpeak_1\n", "peak_1"),
        ("chr1\t1\t2\tA\n", "chr1"),
        ("chr1\t1\t2\tchr1\t9\t5\n", "chr1 1 2 chr1 9 5"),
    ],
)
def test_other_tables_of_links_are_named(text, found, tmp_path):
    with pytest.raises(InputError) as error:
        read_known_links(write(tmp_path, text))
    assert (
        found in error.value.found
        and "`known_links:`" in error.value.change
        and "BEDPE" in error.value.expected
    )


GENES = table(
    [
        ("Plus", "chr1", 10_000, 20_000, "+", "ENSG1.2", "PLUS1"),
        ("Minus", "chr1", 60_000, 90_001, "-", None, "Minus"),  # TSS at 90,000
    ],
    "chrom start end strand gene_id symbol",
)


def links(*rows):
    return pd.DataFrame(rows, columns=["gene", "chrom", "start", "end"], index=[7] * len(rows))


def known_links(rows, columns="chrom start end gene"):
    return pd.DataFrame(rows, columns=columns.split())


def test_a_link_is_known_if_element_and_gene_fit():
    asked = links(
        ("Plus", "chr1", 90, 100),  # touches
        ("Plus", "chr1", 90, 101),
        ("Plus", "chr1", 200, 210),  # touches
        ("Minus", "chr1", 150, 160),  # another gene
        ("Plus", "chr2", 150, 160),  # another chromosome
        ("Plus", "chr1", 150, 160),
    )
    wanted = [False, True, False, False, False, True]
    for chrom in ("chr1", "1"):
        assert mark_known(asked, known_links([(chrom, 100, 200, "Plus")]), GENES).tolist() == wanted


@pytest.mark.parametrize("name", ["Plus", "PLUS", "plus1", "ENSG1", "ENSG1.7"])
def test_a_known_gene_goes_by_any_of_its_names(name):
    asked = links(("Plus", "chr1", 100, 200), ("Minus", "chr1", 100, 200))
    assert mark_known(asked, known_links([("chr1", 100, 200, name)]), GENES).tolist() == [True, False]
    assert not mark_known(asked, known_links([("chr1", 100, 200, "Other")]), GENES).any()


def test_nothing_known_marks_nothing():
    asked = links(("Plus", "chr1", 100, 200))
    assert mark_known(asked, known_links([("chr1", 100, 200, None)]), GENES).tolist() == [False]
    assert mark_known(asked[:0], known_links([("chr1", 100, 200, "Plus")]), GENES).shape == (0,)


ANCHORS = "chrom start end chrom_2 start_2 end_2 gene"


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    ("gene", "start", "end", "is_known"),
    [
        ("Plus", 7_900, 8_000, False),  # 10,000 - 2,000: touches
        ("Plus", 7_900, 8_001, True),
        ("Plus", 12_000, 12_100, True),
        ("Plus", 12_001, 12_100, False),
        ("Minus", 92_000, 92_100, True),
        ("Minus", 92_001, 92_100, False),
        ("Minus", 60_000, 60_100, False),  # the end of the gene, on this strand
    ],
)
def test_the_other_anchor_at_a_tss_gives_the_gene(gene, start, end, is_known, swapped):
    row = ["chr1", 500, 600, "1", start, end]
    known = known_links([[*(row[3:] + row[:3] if swapped else row), None]], ANCHORS)
    assert mark_known(links((gene, "chr1", 550, 560)), known, GENES).tolist() == [is_known]
    other = {"Plus": "Minus", "Minus": "Plus"}[gene]
    assert not mark_known(links((other, "chr1", 550, 560)), known, GENES).any()


def test_the_slack_is_asked_for():
    known = known_links([["chr1", 500, 600, "chr1", 10_001, 10_050, None]], ANCHORS)
    asked = links(("Plus", "chr1", 550, 560))
    assert [mark_known(asked, known, GENES, slack).tolist() for slack in (0, 1)] == [[False], [True]]


def test_a_name_in_bedpe_counts_if_it_is_of_a_gene():
    named = ["chr1", 500, 600, "chr1", 9_990, 10_010, "Minus"]
    asked = links(("Plus", "chr1", 550, 560), ("Minus", "chr1", 550, 560), ("Minus", "chr1", 10_000, 10_005))
    assert mark_known(asked, known_links([named], ANCHORS), GENES).tolist() == [False, True, True]
    loop = [*named[:6], "loop_1"]  # no row names a gene: column 7 is something else
    assert mark_known(asked, known_links([loop], ANCHORS), GENES).tolist() == [True, False, False]
    far = [
        "chr1",
        0,
        1,
        "chr1",
        2,
        3,
        "Minus",
    ]  # here names are genes, and loop_1 is one that is not measured
    assert mark_known(asked, known_links([loop, far], ANCHORS), GENES).tolist() == [False, False, False]


@pytest.mark.parametrize("rows", [[("chr1", 100, 200, "Plus")], []])
def test_where_no_pair_is_judged_none_is_known(rows):
    assert mark_known(links(), known_links(rows), GENES.iloc[:0]).tolist() == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ("chr1", 100, 200, "Other"),
            r"(?s)of a gene of the data.*such as Plus, Minus.*such as Other.*`known_links:`",
        ),
        (("chr1", 100, 200, None), r"(?s)of a gene of the data.*no names of genes"),
        (("NC_1", 100, 200, "Plus"), r"(?s)share no chromosome.*such as chr1.*NC_1.*`known_links:`"),
    ],
)
def test_known_links_of_other_genes_or_chromosomes_stop(row, message):
    peaks = links(("Plus", "chr1", 10_000, 10_100))
    with pytest.raises(InputError, match=message):
        check_known(known_links([row]), GENES, peaks)
    check_known(known_links([row, ("1", 1, 2, "ENSG1")]), GENES, peaks)  # nothing but one has to fit


def test_a_loop_that_ends_at_a_tss_fits():
    loop = ["chr1", 500, 600, "1", 9_990, 10_010, None]
    check_known(known_links([loop], ANCHORS), GENES, links(("Plus", "chr1", 550, 560)))
