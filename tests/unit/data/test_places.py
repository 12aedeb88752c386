"""Places, strands and names of features are read however they are written; what has no place is marked."""

import numpy as np
import pandas as pd
import pytest

from jamie.data import places


def placed(table, names=None):
    found = places.place(table, names)
    assert found["start"].dtype == found["end"].dtype == np.int64
    return found.values.tolist()


NOWHERE = ["", 0, 0]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("chr1:100-200", ["chr1", 100, 200]),
        ("chr1-100-200", ["chr1", 100, 200]),
        ("chr1_100_200", ["chr1", 100, 200]),
        ("chr1.100.200", ["chr1", 100, 200]),
        ("chr1:100..200", ["chr1", 100, 200]),
        ("chr1:100-200:-", ["chr1", 100, 200]),
        ("chr1:100-200(+)", ["chr1", 100, 200]),
        ("1:100-200", ["1", 100, 200]),
        ("chr1_GL45_random_7_9", ["chr1_GL45_random", 7, 9]),
        ("GL000194.1:1-2", ["GL000194.1", 1, 2]),
        ("KI270728.1-100-200", ["KI270728.1", 100, 200]),
        ("chr1:1e+05-100500", ["chr1", 100_000, 100_500]),
        ("chr1-1.5e+05-150500", ["chr1", 150_000, 150_500]),
        ("chr1:1,000-2,000", ["chr1", 1000, 2000]),
        ("GRCh38_chr1:5-9", ["chr1", 5, 9]),
        ("hg38_chr1-5-9", ["chr1", 5, 9]),
        ("mm10___chr1:5-9", ["chr1", 5, 9]),
        ("chrUn", NOWHERE),
        ("chr1:200-100", NOWHERE),
        ("chr1:1.000-2.000", NOWHERE),  # thousands, or decimals?
        ("HLA-DRA", NOWHERE),
        ("nan", NOWHERE),
    ],
)
def test_a_name_says_where_a_peak_lies(name, place):
    assert placed(pd.DataFrame(index=[name]), [name]) == [place]


@pytest.mark.parametrize(
    "columns",
    [
        ("chrom", "start", "end"),
        ("seqnames", "start", "end"),
        ("Chromosome", "Start", "End"),
        ("chr", "chromStart", "chromEnd"),
        ("#chrom", "chrom_start", "chrom_end"),
        ("seqid", "begin", "stop"),
        ("chromosome_name", "start_position", "end_position"),
    ],
)
@pytest.mark.parametrize(
    "values",
    [
        ([100_000, 5], [100_500, 9]),
        ([100_000.0, 5.0], [100_500.0, 9.0]),
        (["1e+05", "5"], ["100,500", "9"]),
        (["100000.0", " 5 "], ["100500", "9.0"]),
        (pd.array([100_000, 5], dtype="Int64"), pd.array([100_500, 9], dtype="Int64")),
        (pd.Categorical(["100000", "5"]), pd.Categorical(["100500", "9"])),
    ],
    ids=["int", "float", "exponent", "text", "nullable", "categories"],
)
def test_columns_of_any_usual_name_and_type(columns, values):
    table = pd.DataFrame(dict(zip(columns, (["chr1", "chr2"], *values), strict=True)))
    assert placed(table) == [["chr1", 100_000, 100_500], ["chr2", 5, 9]]


@pytest.mark.parametrize("column", ["interval", "peak", "Region", "coordinates"])
def test_one_column_of_intervals(column):
    table = pd.DataFrame({column: ["chr1:5-9", "NA"]}, index=["p0", "p1"])
    assert placed(table, table.index) == [["chr1", 5, 9], NOWHERE]


@pytest.mark.parametrize(
    ("chrom", "start", "end"),
    [
        (None, 5, 9),
        ("", 5, 9),
        ("NA", 5, 9),
        ("chr1", np.nan, 9),
        ("chr1", -5, 9),
        ("chr1", 9, 9),
        ("chr1", 5.5, 9),
    ],
)
def test_what_has_no_place_leaves_the_others_whole_numbers(chrom, start, end):
    table = pd.DataFrame({"chrom": ["chr1", chrom], "start": [5, start], "end": [16_777_217, end]})
    assert placed(table) == [["chr1", 5, 16_777_217], NOWHERE]
    assert places.is_placed(places.place(table)).tolist() == [True, False]


def test_a_name_places_what_the_columns_do_not():
    table = pd.DataFrame({"chrom": ["chr1", None], "start": [5, np.nan], "end": [9, np.nan]})
    assert placed(table, ["chr7:1-2", "chr8:1-2"]) == [["chr1", 5, 9], ["chr8", 1, 2]]


def test_chromosomes_that_are_numbers_are_no_floats():
    table = pd.DataFrame({"chrom": [1, np.nan, 22], "start": 5, "end": 9})
    assert placed(table) == [["1", 5, 9], NOWHERE, ["22", 5, 9]]


def test_a_width_tells_whether_both_ends_are_counted():
    table = pd.DataFrame({"seqnames": ["chr1"] * 2, "start": [6, 11], "end": [9, 20], "width": [4, 10]})
    assert placed(table) == [["chr1", 5, 9], ["chr1", 10, 20]]
    assert placed(table.assign(width=[3, 9])) == [["chr1", 6, 9], ["chr1", 11, 20]]


def test_two_genomes_stay_apart():
    names = ["GRCh38_chr1:5-9", "mm10_chr1:5-9"]
    assert [row[0] for row in placed(pd.DataFrame(index=names), names)] == ["GRCh38_chr1", "mm10_chr1"]


def test_a_gene_that_looks_as_if_a_genome_stood_in_front_is_left_alone():
    names = ["ACTB", "DM1-AS", "TP53"]
    assert places.without_genome(pd.Index(names))[0].tolist() == names


@pytest.mark.parametrize(
    ("given", "strands"),
    [
        ([1, -1, 1], "+-+"),
        ([1.0, -1.0, np.nan], "+-."),
        (["+1", "-1", "0"], "+-."),
        (["plus", "Minus", "*"], "+-."),
        (["forward", "reverse", None], "+-."),
        (pd.Categorical(["+", "-", "."]), "+-."),
        (["+", "\u2212", ""], "+-."),
    ],
)
def test_strands(given, strands):
    assert "".join(places.strands(pd.Series(given), pd.RangeIndex(3))) == strands


def test_the_other_names_of_genes():
    var = pd.DataFrame({"gene_ids": ["ENSG1", ""], "Gene_Symbol": ["ACTB", "nan"]}, index=["a", "b"])
    assert places.other_names(var, places.SYMBOL).fillna("-").tolist() == ["ACTB", "-"]
    assert places.other_names(var, places.GENE_ID).fillna("-").tolist() == ["ENSG1", "-"]
    assert places.other_names(var[[]], places.SYMBOL).isna().all()
