"""Which links of a regulatory element and a gene are known: read from files, marked among pairs."""

from __future__ import annotations

from pathlib import Path

import bioframe
import numpy as np
import pandas as pd

from jamie.data import places
from jamie.data.genome import tss_position
from jamie.errors import InputError
from jamie.regulation.annotation import (
    not_understood,
    read_columns,
    read_lines,
    understood,
    with_places,
    without_version,
)

LINKS_EXPECTED = "a TSV with a header of gene and either peak or chrom, start, end; or BEDPE without a header"
TSS_SLACK_BP = 2_000
ALIASES = {
    "chrom": places.CHROM,
    "start": places.START,
    "end": places.END,
    "gene": ("gene", "gene_name", "symbol", "gene_symbol", "target_gene", "targetgene", "measuredgenesymbol"),
    "peak": ("peak",),
    "regulated": ("regulated",),
}


def read_known_links(path: Path) -> pd.DataFrame:
    """Known links of a TSV with a header, or of BEDPE without one (`LINKS_EXPECTED`), plain or gzipped.

    Of a table with a column ``regulated``, as of CRISPR screens, only the rows where it is true.

    Returns
    -------
    Columns: chrom, start, end (int64, bp) of the regulatory element; gene (missing where not named). Of BEDPE
    also chrom_2, start_2, end_2, the other anchor; its column 7 is taken for the gene.

    Raises
    ------
    InputError
        The file is of another format, or half of its rows have no place.
    """
    lines = list(read_lines(path, LINKS_EXPECTED, "known_links"))
    first = next((i for i, line in enumerate(lines) if not line.startswith("#")), 0)
    with understood(path, LINKS_EXPECTED, "known_links"):
        for i in (first, max(first - 1, 0)):  # the header may be the last comment
            header = _header(lines[i])
            if "gene" in header and ("peak" in header or {"chrom", "start", "end"} <= set(header)):
                return _from_tsv(lines[i + 1 :], header, path)
        return _from_bedpe([line for line in lines if not line.startswith("#")] or lines, path)


def _header(line):
    names = {alias: name for name, aliases in ALIASES.items() for alias in aliases}
    columns = [column.strip(' "\r').casefold() for column in line.lstrip("#").rstrip("\n").split("\t")]
    return [names.get(column, column) for column in columns]


def _from_tsv(rows, header, path):
    if not rows:
        raise not_understood(path, LINKS_EXPECTED, "a header and no rows", "known_links")
    first = {header.index(name): name for name in ALIASES if name in header}  # two aliases may share a name
    wanted = sorted(first)
    table = read_columns(rows, [first[place] for place in wanted], usecols=wanted)
    if "regulated" in table:
        table = table[table["regulated"].str.casefold().isin(["true", "1", "yes"])]
    table = with_places(table, path, LINKS_EXPECTED, "known_links")
    table["gene"] = table["gene"].where(~table["gene"].isin(["", "."]))
    return table[["chrom", "start", "end", "gene"]].reset_index(drop=True)


def _from_bedpe(rows, path):
    n_columns = rows[0].count("\t") + 1
    if n_columns < 6:
        raise not_understood(path, LINKS_EXPECTED, f"a first line {rows[0].strip()[:100]!r}", "known_links")
    names = ["chrom", "start", "end", "chrom_2", "start_2", "end_2", "gene"][: min(n_columns, 7)]
    table = read_columns(rows, names, usecols=range(len(names))).reindex(columns=[*names[:6], "gene"])
    for columns in (names[:3], names[3:6]):
        table = with_places(table, path, LINKS_EXPECTED, "known_links", columns)
    return table.assign(gene=table["gene"].where(~table["gene"].isin(["", "."])))


def check_known(known: pd.DataFrame, genes: pd.DataFrame, peaks: pd.DataFrame) -> None:
    """`InputError` if no known link has a gene of ``genes``, or none lies on a chromosome of ``peaks``."""
    elements = elements_of(known, genes)
    if elements.empty:
        raise InputError(
            "None of the known links is of a gene of the data",
            expected=f"genes by symbol or gene id, such as {_some(genes.index)}, or anchors at their TSS",
            found=f"genes such as {some}" if (some := _some(known["gene"])) else "no names of genes",
            change="`known_links:` of the dataset",
        )
    if not places.named_as(elements["chrom"], peaks["chrom"]).isin(peaks["chrom"]).any():
        raise InputError(
            "Known links and peaks share no chromosome",
            expected=f"chromosomes such as {_some(peaks['chrom'])}",
            found=_some(elements["chrom"]),
            change="`known_links:` of the dataset",
        )


def _some(names):
    """The first few of names, as text; "" if there are none."""
    return ", ".join(map(str, names.dropna().unique()[:3]))


def mark_known(
    links: pd.DataFrame, known: pd.DataFrame, genes: pd.DataFrame, tss_slack_bp: int = TSS_SLACK_BP
) -> np.ndarray:
    """Whether a known element that overlaps the peak of a link is known for the gene of the link.

    A known gene is recognised by its name in the data, symbol or gene_id, whatever the case. Where BEDPE
    names no gene, or in no row one of ``genes``, an anchor is the element of the genes whose TSS the other
    overlaps.

    Parameters
    ----------
    links
        gene (an index of ``genes``), and chrom, start, end of the peak, bp.
    known
        From `read_known_links`.
    genes
        From `locate_genes`.
    tss_slack_bp
        By which a TSS is widened to either side.

    Returns
    -------
    bool (n_links,)
    """
    elements = elements_of(known, genes, tss_slack_bp)
    peaks = links[["gene", "chrom", "start", "end"]].reset_index(drop=True)
    marked = np.zeros(len(links), dtype=bool)
    if len(elements) and len(peaks):
        peaks = peaks.astype({"gene": str, "chrom": str})
        elements = elements.assign(chrom=places.named_as(elements["chrom"], peaks["chrom"])).astype(
            {"gene": str}
        )
        hits = bioframe.overlap(peaks, elements, how="inner", on=["gene"], return_index=True)
        marked[hits["index"].to_numpy(int)] = True
    return marked


def elements_of(known: pd.DataFrame, genes: pd.DataFrame, tss_slack_bp: int = TSS_SLACK_BP) -> pd.DataFrame:
    """Elements known for one of ``genes`` (see `mark_known`): chrom, start, end, gene as in the index.

    Of two anchors either may be the element.
    """
    names = {}
    for column in (genes.get("gene_id"), genes.get("symbol"), genes.index):  # the last wins
        if column is not None:
            pairs = zip(without_version(column).str.casefold(), genes.index, strict=True)
            names |= {key: gene for key, gene in pairs if not pd.isna(key)}
    gene = pd.Series(without_version(known["gene"]), index=known.index).str.casefold().map(names)
    by_tss = known["gene"].isna() | gene.isna().all()
    return _at_genes(known.assign(gene=gene), by_tss, genes, tss_slack_bp).dropna(subset="gene")


def _at_genes(known, by_tss, genes, tss_slack_bp):
    first = known[["chrom", "start", "end", "gene"]]
    if "chrom_2" not in known:
        return first
    second = known[["chrom_2", "start_2", "end_2", "gene"]].set_axis(first.columns, axis=1)
    elements = [first[~by_tss], second[~by_tss]]
    tss = tss_position(genes)
    at_tss = {"start": np.maximum(tss - tss_slack_bp, 0), "end": tss + tss_slack_bp + 1, "gene": genes.index}
    for one, other in ((first, second), (second, first)):
        promoters = pd.DataFrame(
            {"chrom": places.named_as(genes["chrom"], other["chrom"]).to_numpy()} | at_tss
        )
        hits = bioframe.overlap(other[by_tss], promoters, how="inner", return_index=True)
        elements.append(one.loc[hits["index"]].assign(gene=hits["gene_"].to_numpy()))
    return pd.concat(elements, ignore_index=True)
