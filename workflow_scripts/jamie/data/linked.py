"""Linked features: which feature of one modality says something about which of the other.

====================  =====================================================================================
RNA, ATAC             a gene and the peaks on it: 1 in the gene's body and 2 kb before it, less and less up to
                      50 kb away (gene activity; the decay as in Granja et al., Nat. Genet. 53, 403-411, 2021)
RNA, protein          a protein and its gene: by antibodies.tsv, else by the same name
RNA, methylation      a gene and the sites in and before it, or of its name, with a negative sign
any                   features of the same name; the dataset's own table, which replaces all this
====================  =====================================================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie.data import places

COLUMNS = ("first", "second", "weight")
UPSTREAM_BP, REACH_BP, DECAY_BP = 2_000, 50_000, 10_000
CLONE = r"[._ -]\d{1,2}$"  # the second antibody against one protein, as cd3.2 or CD45-1
CONTROLS = r"(?i)isotype|(?:^|[._ -])(?:mouse|rat|hamster)?[._ -]?ig[gam]\d?[abc]?(?:[._ -]|kappa|$)|control"


@dataclass(frozen=True)
class Linked:
    """Pairs of linked features.

    Attributes
    ----------
    table
        Columns ``first`` and ``second``: features of either modality; ``weight``, below 0 where one is high
        when the other is low. In the order of the genome where links come from places.
    how
        In words, what links them.
    not_linked
        For each modality the features of the narrower kind (proteins, genes) that have no link, by name.
    """

    table: pd.DataFrame
    how: str
    not_linked: tuple[str, ...] = ()


def find(first, second, genes: pd.DataFrame | None = None) -> Linked:
    """Linked features of two modalities.

    Parameters
    ----------
    first, second
        AnnData, of which ``var``, ``var_names`` and ``uns["kind"]`` are read.
    genes
        Index gene, chrom, start, end (bp, 0-based half-open), strand; None: where ``var`` places them.
    """
    kinds = [adata.uns.get(c.KIND) for adata in (first, second)]
    if c.RNA in kinds:
        rna, other = (first, second) if kinds[0] == c.RNA else (second, first)
        finder = {c.ATAC: _by_place, c.PROTEIN: _by_protein, c.METHYLATION: _by_place}
        kind = other.uns.get(c.KIND)
        found = finder[kind](rna, other, genes) if kind in finder else _by_name(rna, other)
        if kinds[0] != c.RNA:
            names = {"first": "second", "second": "first"}
            found = Linked(found.table.rename(columns=names)[list(COLUMNS)], found.how, found.not_linked)
        return found
    return _by_name(first, second)


def _by_place(rna, sites, genes: pd.DataFrame | None) -> Linked:
    """Genes and the peaks or sites on and near them; by name where either has no place."""
    sign = -1.0 if sites.uns.get(c.KIND) == c.METHYLATION else 1.0
    genes = _placed_genes(rna.var) if genes is None else genes
    where = places.place(sites.var, sites.var_names)
    where = where[places.is_placed(where)]
    if genes.empty or where.empty:
        return _by_name(rna, sites, sign)
    gene, site, weight = near(genes, where)
    table = pd.DataFrame({"first": genes.index[gene], "second": where.index[site], "weight": sign * weight})
    lone = [name for name in rna.var_names if name not in set(table["first"])]
    how = f"genes and what lies in or within {REACH_BP // 1000} kb of them"
    return Linked(table, how, tuple(lone))


def near(genes: pd.DataFrame, sites: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sites whose centre lies in a gene, 2 kb before it, or within 50 kb of that.

    Returns
    -------
    gene, site : int (n,)
        Rows, in the order of the genome.
    weight : float (n,)
        1 in the gene and before it, ``exp(-distance / 10 kb)`` outside.
    """
    minus = (genes["strand"] == "-").to_numpy()
    start = genes["start"].to_numpy() - np.where(minus, 0, UPSTREAM_BP)
    end = genes["end"].to_numpy() + np.where(minus, UPSTREAM_BP, 0)
    centre = ((sites["start"] + sites["end"]) // 2).to_numpy()
    of_gene, of_site = genes["chrom"].astype(str).to_numpy(), sites["chrom"].astype(str).to_numpy()
    found = []
    for chrom in np.unique(of_gene):
        rows, there = np.flatnonzero(of_gene == chrom), np.flatnonzero(of_site == chrom)
        rows, there = rows[np.argsort(start[rows], kind="stable")], there[np.argsort(centre[there])]
        low = np.searchsorted(centre[there], start[rows] - REACH_BP)
        n = np.searchsorted(centre[there], end[rows] + REACH_BP, side="right") - low
        gene = np.repeat(rows, n)
        site = there[np.arange(n.sum()) + np.repeat(low - (np.cumsum(n) - n), n)]
        away = np.maximum(np.maximum(start[gene] - centre[site], centre[site] - end[gene]), 0)
        found.append((gene, site, np.exp(-away / DECAY_BP)))
    return tuple(np.concatenate(parts) for parts in zip(*found, strict=True))


def _placed_genes(var: pd.DataFrame) -> pd.DataFrame:
    where = places.place(var)
    where["strand"] = places.strands(places.column(var, places.STRAND), var.index)
    return where[places.is_placed(where)]


def _by_protein(rna, protein, genes=None) -> Linked:
    """Proteins and their genes."""
    known = antibodies()
    symbols = _symbols(rna)
    links, lone = [], []
    for name in protein.var_names:
        genes_of = [symbols[gene] for gene in genes_of_antibody(name, known) if gene in symbols]
        links += [(gene, name, 1.0) for gene in genes_of]
        lone += [] if genes_of else [name]
    return Linked(pd.DataFrame(links, columns=list(COLUMNS)), "proteins and their genes", tuple(lone))


def antibodies() -> dict[str, tuple[str, ...]]:
    """Plain name of an antibody -> symbols of the genes of what it binds, from antibodies.tsv."""
    with resources.files("jamie.data").joinpath("antibodies.tsv").open() as handle:
        table = pd.read_csv(handle, sep="\t", comment="#", dtype=str)
    return {plain(row.antibody): tuple(row.genes.split(",")) for row in table.itertuples()}


def genes_of_antibody(name: str, known: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Genes, in capital letters, that an antibody's name may mean; none of a control.

    Names come as CD3, cd3.2, CD3-TotalSeqB, CD123 (IL3RA), anti-human CD8a, HLA-DR_TotalC, PTPRC.
    """
    if re.search(CONTROLS, name):
        return ()
    text = re.sub(r"(?i)[._ -]*total(?:seq)?[-_ ]?[abc]\b.*$", "", name)
    text = re.sub(r"(?i)^(?:adt|prot|anti)[._ -]+(?:human|mouse)?[._ -]*", "", text).strip()
    inside = re.search(r"\(([^)]+)\)", text)
    outside = re.sub(r"\([^)]*\)", "", text).strip()
    tries = [outside, re.sub(CLONE, "", outside), *([inside.group(1)] if inside else [])]
    for one in tries:
        if plain(one) in known:
            return tuple(gene.upper() for gene in known[plain(one)])
    return tuple(dict.fromkeys(one.upper() for one in tries if one))


def plain(name: str) -> str:
    """A name in small letters and digits alone."""
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _symbols(rna) -> dict[str, str]:
    """Symbol in capital letters -> the feature of that symbol."""
    others = places.other_names(rna.var, places.SYMBOL)
    names = pd.Series(places.without_genome(rna.var_names)[0], index=rna.var_names)
    found = {}
    for symbols in (others.dropna(), names):
        found |= {str(symbol).upper(): feature for feature, symbol in symbols.items()}
    return found


def _by_name(first, second, sign: float = 1.0) -> Linked:
    symbols = [_symbols(adata) for adata in (first, second)]
    shared = [symbol for symbol in symbols[0] if symbol in symbols[1]]
    table = pd.DataFrame(
        [(symbols[0][s], symbols[1][s], sign) for s in shared], columns=list(COLUMNS)
    ).astype({"weight": float})
    narrow = min((first, second), key=lambda adata: adata.n_vars)
    linked = set(table["first"]) | set(table["second"])
    lone = tuple(name for name in narrow.var_names if name not in linked)
    return Linked(table, "features of the same name", lone)
