"""Whether links can be looked for is decided before any fit, with the reason; a wrong annotation stops."""

import anndata
import numpy as np
import pandas as pd
import pytest
from mudata import MuData

from jamie import contract as c
from jamie.data.genome import place_features
from jamie.errors import InputError
from jamie.regulation.coordinates import GENE_COLUMNS, direction, find_genes

KINDS = {"rna": {"kind": c.RNA}, "atac": {"kind": c.ATAC}}


def dataset(n_genes=150, n_peaks=450, kinds=(c.RNA, c.ATAC), rna_var=True, atac_var=True) -> MuData:
    """Two modalities without a cell that matters; genes and peaks lie on four chromosomes."""
    genes, peaks = place_features(n_genes, n_peaks, 4, np.random.default_rng(0))
    mods = {}
    for name, var, kind, placed in (
        ("rna", genes, kinds[0], rna_var),
        ("atac", peaks, kinds[1], atac_var),
    ):
        var = var.set_axis([f"{name}_{i}" for i in range(len(var))])
        adata = anndata.AnnData(np.ones((2, len(var)), dtype=np.float32), var=var if placed else var[[]])
        adata.uns[c.KIND] = kind
        mods[name] = adata
    return MuData(mods)


def bed(folder, mdata, by=0, skip=0, rename=str):
    """The genes as a BED, moved by ``by`` bp."""
    var = mdata.mod["rna"].var
    table = pd.DataFrame(
        {"chrom": var["chrom"].map(rename), "start": var["start"] + by, "end": var["end"] + by}
    ).assign(name=var.index, strand=var["strand"])
    path = folder / "genes.bed"
    table.iloc[skip:].to_csv(path, sep="\t", header=False, index=False)
    return path


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        ({"rna": c.RNA, "atac": c.ATAC}, ("atac", "rna")),
        ({"meth": c.METHYLATION, "rna": c.RNA}, ("meth", "rna")),
        ({"ephys": c.CONTINUOUS, "rna": c.RNA}, ("rna", "ephys")),
        ({"atac": c.ATAC, "adt": c.PROTEIN}, ("atac", "adt")),
    ],
)
def test_what_regulates_explains_the_other(kinds, expected):
    assert direction({name: {"kind": kind} for name, kind in kinds.items()}) == expected


def test_the_source_may_be_asked_for():
    assert direction(KINDS, "rna") == ("rna", "atac")
    with pytest.raises(InputError, match=r"(?s)no modality 'adt'.*rna or atac.*explain: source"):
        direction(KINDS, "adt")


def test_genes_have_their_own_coordinates_or_those_of_a_file(tmp_path):
    mdata = dataset()
    own, info = find_genes(mdata, "atac", "rna", 500_000)
    assert info["reason"] == "" and info["missing"] == [] and info["n_targets"] == 150
    bare = dataset(rna_var=False)
    # chromosomes of the file are named without chr, and it lacks the first two genes
    path = bed(tmp_path, mdata, skip=2, rename=lambda name: name.removeprefix("chr"))
    found, info = find_genes(bare, "atac", "rna", 500_000, path)
    assert info["missing"] == ["rna_0", "rna_1"]
    pd.testing.assert_frame_equal(found, own.iloc[2:], check_dtype=False, check_names=False)


def test_genes_keep_their_other_names(tmp_path):
    mdata = dataset()
    path = bed(tmp_path, mdata)
    ids = [f"ENSG{i:05d}" for i in range(150)]
    mdata.mod["rna"].var_names = ids
    gtf = pd.read_csv(path, sep="\t", header=None, names=["chrom", "start", "end", "name", "strand"])
    gtf["attributes"] = [
        f'gene_id "{one}.3"; gene_name "{name}";' for one, name in zip(ids, gtf["name"], strict=True)
    ]
    gtf = gtf.assign(source="x", feature="gene", start=gtf["start"] + 1, score=".", frame=".")
    order = ["chrom", "source", "feature", "start", "end", "score", "strand", "frame", "attributes"]
    path = tmp_path / "genes.gtf"
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in gtf[order].values))
    found, _ = find_genes(mdata, "atac", "rna", 500_000, path)
    assert list(found.index) == ids and found["symbol"].tolist() == [f"rna_{i}" for i in range(150)]
    assert found["gene_id"].tolist() == [f"{one}.3" for one in ids]
    own = mdata.mod["rna"].var
    own["gene_id"], own["symbol"] = ids[::-1], np.nan
    found, _ = find_genes(mdata, "atac", "rna", 500_000)
    assert found["gene_id"].tolist() == ids[::-1] and found["symbol"].tolist() == ids
    assert set(find_genes(dataset(), "atac", "rna", 500_000)[0]["gene_id"]) == {""}


def test_genes_to_show_do_not_matter_where_there_are_no_loci():
    genes, info = find_genes(dataset(kinds=(c.RNA, c.PROTEIN)), "atac", "rna", 500_000, asked=["nobody"])
    assert genes.empty and "links need ATAC and RNA" in info["reason"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"atac_var": False}, "peaks have no coordinates"),
        ({"rna_var": False}, "`genes:`"),
        ({"kinds": (c.CONTINUOUS, c.ATAC)}, "links need ATAC and RNA, these are atac and continuous"),
        ({"n_peaks": 150}, "peaks"),  # of too few elsewhere there is no null
    ],
)
def test_why_there_are_no_links_is_said(changes, words):
    genes, info = find_genes(dataset(**changes), "atac", "rna", 500_000)
    assert words in info["reason"] and genes.empty and list(genes) == list(GENE_COLUMNS)


def test_an_unknown_gene_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"(?s)'rna_1500' \(nearest: rna_100, .*`show_genes`"):
        find_genes(dataset(), "atac", "rna", 500_000, asked=["rna_3", "rna_1500"])


def test_an_annotation_of_another_genome_stops(tmp_path):
    mdata = dataset()
    with pytest.raises(InputError, match=r"(?s)another genome build.*by chance"):
        find_genes(mdata, "atac", "rna", 500_000, bed(tmp_path, mdata, by=123_456))
    with pytest.raises(InputError, match="share no chromosome"):
        find_genes(
            mdata, "atac", "rna", 500_000, bed(tmp_path, mdata, rename=lambda name: f"scaffold_{name}")
        )


def test_a_gene_may_lack_its_strand_but_not_its_place():
    mdata = dataset()
    var = mdata.mod["rna"].var
    var["strand"] = var["strand"].astype(object).where(var.index != "rna_5")
    var["start"] = var["start"].where(var.index != "rna_7")
    genes, info = find_genes(mdata, "atac", "rna", 500_000, asked=["rna_7"])
    assert info["missing"] == ["rna_7"] and genes.loc["rna_5", "strand"] == "."
    assert len(genes) == 149 and genes["start"].dtype == np.int64
    var["chrom"] = np.nan
    assert "`genes:`" in find_genes(mdata, "atac", "rna", 500_000)[1]["reason"]


def test_the_same_facts_get_the_same_links_however_they_are_written(tmp_path):
    mdata = dataset()
    own, _ = find_genes(mdata, "atac", "rna", 500_000)
    var = mdata.mod["rna"].var
    written = pd.DataFrame(
        {
            "seqnames": "GRCh38_" + var["chrom"],
            "chromStart": var["start"].map("{:,}".format),
            "chromEnd": var["end"].astype(float),
            "Strand": var["strand"].map({"+": 1, "-": -1}),
        }
    )
    mdata.mod["rna"].var = written
    found, info = find_genes(mdata, "atac", "rna", 500_000)
    pd.testing.assert_frame_equal(found, own, check_dtype=False)
    assert info["missing"] == [] and info["reason"] == ""
    table = written.rename(columns={"seqnames": "chrom"}).assign(name=written.index)
    table["Strand"] = var["strand"].map({"+": "plus", "-": "minus"})
    table.to_csv(tmp_path / "genes.tsv", sep="\t", index=False)
    found, _ = find_genes(dataset(rna_var=False), "atac", "rna", 500_000, tmp_path / "genes.tsv")
    pd.testing.assert_frame_equal(found, own, check_dtype=False)


@pytest.mark.parametrize("column", ["gene_symbols", "gene_name", "feature_name"])
def test_genes_are_found_by_the_symbols_beside_their_ids(tmp_path, column):
    mdata, bare = dataset(), dataset(rna_var=False)
    own, _ = find_genes(mdata, "atac", "rna", 500_000)
    rna = bare.mod["rna"]
    rna.var[column] = rna.var_names
    rna.var_names = [f"ENSG{i:011d}" for i in range(rna.n_vars)]
    found, info = find_genes(bare, "atac", "rna", 500_000, bed(tmp_path, mdata), asked=["rna_3"])
    assert info["missing"] == [] and found["symbol"].tolist() == own.index.tolist()
    assert found.index.equals(rna.var_names) and found["start"].tolist() == own["start"].tolist()


def test_genes_are_found_with_their_genome_in_front_and_by_ids_of_another_version(tmp_path):
    mdata, bare = dataset(), dataset(rna_var=False)
    path = bed(tmp_path, mdata)
    bare.mod["rna"].var_names = [f"GRCh38_{name}" for name in bare.mod["rna"].var_names]
    found, info = find_genes(bare, "atac", "rna", 500_000, path)
    assert info["missing"] == [] and found.index[0] == "GRCh38_rna_0" and found["symbol"].iloc[0] == "rna_0"
    path.write_text(path.read_text().replace("rna_", "ENSG0000000000"))
    ids = [f"ENSG0000000000{i}.12" for i in range(150)]
    rna = dataset(rna_var=False)
    rna.mod["rna"].var["gene_ids"] = ids
    assert find_genes(rna, "atac", "rna", 500_000, path)[1]["missing"] == []
    rna.mod["rna"].var = rna.mod["rna"].var[[]].set_axis(ids)
    assert find_genes(rna, "atac", "rna", 500_000, path)[1]["missing"] == []


def test_peaks_without_a_place_are_left_out_and_counted():
    mdata = dataset()
    own, _ = find_genes(mdata, "atac", "rna", 500_000)
    peaks = mdata.mod["atac"].var
    peaks["chrom"] = peaks["chrom"].astype(object)
    peaks.loc[["atac_3", "atac_7"], ["chrom", "start", "end"]] = ["", 0, 0]
    found, info = find_genes(mdata, "atac", "rna", 500_000)
    assert info["unplaced_peaks"] == 2 and info["reason"] == "" and found.equals(own)


def test_genes_without_any_strand_have_no_tss(tmp_path):
    mdata = dataset()
    path = bed(tmp_path, mdata)
    del mdata.mod["rna"].var["strand"]
    genes, info = find_genes(mdata, "atac", "rna", 500_000)
    assert genes.empty and "no gene has a strand" in info["reason"] and "`genes:`" in info["reason"]
    assert len(find_genes(mdata, "atac", "rna", 500_000, path)[0]) == 150


def test_gene_activities_are_called_so():
    mdata = dataset(atac_var=False)
    mdata.mod["atac"] = mdata.mod["atac"][:, :150].copy()
    mdata.mod["atac"].var_names = mdata.mod["rna"].var_names
    _, info = find_genes(mdata, "atac", "rna", 500_000)
    assert "gene activities" in info["reason"]


def test_an_annotation_that_names_none_of_the_genes_stops(tmp_path):
    mdata = dataset()
    path = bed(tmp_path, mdata)
    path.write_text(path.read_text().replace("rna_", "ENSG000"))
    with pytest.raises(InputError, match=r"(?s)None of the genes.*such as rna_0, rna_1, rna_2.*`genes:`"):
        find_genes(mdata, "atac", "rna", 500_000, path)


def test_no_peak_within_the_window_is_said():
    mdata = dataset()
    mdata.mod["rna"] = mdata.mod["rna"][:, [0, 75, 149]].copy()
    genes, info = find_genes(mdata, "atac", "rna", 1)
    assert genes.empty and info["reason"] == "no peak lies within 1 bp of a TSS"
    assert len(find_genes(mdata, "atac", "rna", 500_000)[0]) == 3
