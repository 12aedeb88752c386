"""Linked features: which feature of one modality says something about which of the other.

====================  =====================================================================================
RNA, ATAC             a gene and the peaks on it: 1 in the gene's body and 2 kb before it, less and less up to
                      50 kb away (gene activity; the decay as in Granja et al., Nat. Genet. 53, 403-411, 2021)
RNA, protein          a protein and its gene: by antibodies.tsv, else by the same name
RNA, methylation      a gene and the sites in its body and 2 kb before it, with a negative sign
any                   features of the same name, also where those of ATAC or methylation are named as genes;
                      the dataset's own table, which replaces all this (`jamie.data.linked_table`)
====================  =====================================================================================
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from jamie import contract as c
from jamie.data import antibodies, places

COLUMNS = ("first", "second", "weight")
FEWEST = 10  # linked features of the narrower modality, or links say nothing
UPSTREAM_BP, REACH_BP, DECAY_BP = 2_000, 50_000, 10_000
NOT_MEASURED = "their genes are not measured"
UNKNOWN = "no gene that is measured has their name"
UNTOLD = "no gene's counts tell of them (isoforms, sugars)"
CONTROL = "controls"
MOST = (
    0.5  # of the sites' names that are names of genes, so that they are genes; of the names in another case
)


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
    why
        Why features of the narrower kind (proteins, genes) have no link: reason -> their names.
    notes
        What else should be known, in sentences without their full stop.
    """

    table: pd.DataFrame
    how: str
    why: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def not_linked(self) -> tuple[str, ...]:
        """The features of the narrower kind without a link, by name."""
        return tuple(name for names in self.why.values() for name in names)

    @property
    def n(self) -> int:
        """Linked features of the modality that has fewer of them: columns that can be held together."""
        return int(self.table[["first", "second"]].nunique().min())

    @property
    def reason(self) -> str:
        """Why links are not used; "" where they are."""
        if self.n >= FEWEST:
            return ""
        found = f"only {self.n} features are linked" if self.n else "no features are linked"
        return (
            f"{found}, and fewer than {FEWEST} say nothing: cells are matched by geometry and known pairs, "
            "which without known pairs is never used"
        )


@dataclass(frozen=True)
class Symbols:
    """What features are called, names and symbols alike, by the same in capital letters.

    Attributes
    ----------
    feature
        In capital letters -> the feature of that name, or else the first of that symbol.
    written
        In capital letters -> as it is written in the data.
    """

    feature: dict[str, str]
    written: dict[str, str]

    @classmethod
    def of(cls, adata, genes: pd.DataFrame | None = None) -> Symbols:
        """Of the features of a modality; ``genes`` as of `find`."""
        names = pd.Series(places.without_genome(adata.var_names)[0], index=adata.var_names)
        told = [names, places.other_names(adata.var, places.SYMBOL).dropna()]
        told += [genes["symbol"].dropna()] if genes is not None and "symbol" in genes else []
        feature: dict[str, str] = {}
        written: dict[str, str] = {}
        for symbols in told:
            for name, symbol in symbols.astype(str).items():
                feature.setdefault(symbol.upper(), name)
                written.setdefault(symbol.upper(), symbol)
        return cls(feature, written)


def find(first, second, genes: pd.DataFrame | None = None) -> Linked:
    """Linked features of two modalities.

    Parameters
    ----------
    first, second
        AnnData, of which ``var``, ``var_names`` and ``uns["kind"]`` are read.
    genes
        Of features of RNA, as index: chrom, start, end (bp, 0-based half-open), strand, maybe symbol; None:
        where ``var`` places them.
    """
    kinds = [adata.uns.get(c.KIND) for adata in (first, second)]
    if c.RNA not in kinds:
        return _by_name(first, second, Symbols.of(first))
    rna, other = (first, second) if kinds[0] == c.RNA else (second, first)
    symbols = Symbols.of(rna, genes)
    finder = {c.ATAC: _by_place, c.PROTEIN: _by_protein, c.METHYLATION: _by_place}
    kind = other.uns.get(c.KIND)
    found = finder[kind](rna, other, symbols, genes) if kind in finder else _by_name(rna, other, symbols)
    if kinds[0] == c.RNA:
        return found
    table = found.table.rename(columns={"first": "second", "second": "first"})[list(COLUMNS)]
    return Linked(table, found.how, found.why, found.notes)


def _by_place(rna, sites, symbols: Symbols, genes: pd.DataFrame | None) -> Linked:
    """Genes and the peaks or sites on and near them; by name where the sites are genes, or have no place."""
    methylation = sites.uns.get(c.KIND) == c.METHYLATION
    sign, reach = (-1.0, 0) if methylation else (1.0, REACH_BP)
    named = sum(name.upper() in symbols.feature for name in sites.var_names) >= MOST * sites.n_vars
    genes = _placed_genes(rna.var) if genes is None else genes
    where = places.place(sites.var, sites.var_names)
    where = where[places.is_placed(where)]
    if named or genes.empty or where.empty:
        found = _by_name(rna, sites, symbols, sign)
        missing = [what for what, part in (("genes", genes), ("sites", where)) if part.empty]
        lacking = f"the {' and the '.join(missing)} have no coordinates, so only equal names link them"
        return found if named or not missing else Linked(found.table, found.how, found.why, (lacking,))
    genes = genes.assign(chrom=places.named_as(genes["chrom"], where["chrom"]))
    gene, site, weight = near(genes, where, reach)
    table = pd.DataFrame({"first": genes.index[gene], "second": where.index[site], "weight": sign * weight})
    within = "in them or 2 kb before them" if methylation else f"in or within {REACH_BP // 1000} kb of them"
    linked, placed = set(table["first"]), set(genes.index)
    lone = [name for name in rna.var_names if name not in linked]
    why = {
        "genes without coordinates": tuple(name for name in lone if name not in placed),
        f"genes with nothing {within}": tuple(name for name in lone if name in placed),
    }
    how = f"genes and the {'sites' if methylation else 'peaks'} {within}"
    return Linked(table, how, _some(why))


def near(genes: pd.DataFrame, sites: pd.DataFrame, reach_bp: int = REACH_BP):
    """Sites whose centre lies in a gene, 2 kb before it, or within ``reach_bp`` of that.

    Before a gene is on either side of one whose strand is not known.

    Returns
    -------
    gene, site : int (n,)
        Rows, in the order of the genome.
    weight : float (n,)
        1 in the gene and before it, ``exp(-distance / 10 kb)`` outside.
    """
    import bioframe

    chrom, strand = genes["chrom"].astype(str).to_numpy(), genes["strand"].to_numpy()
    start = genes["start"].to_numpy() - np.where(strand == "-", 0, UPSTREAM_BP)
    end = genes["end"].to_numpy() + np.where(strand == "+", 0, UPSTREAM_BP)
    centre = ((sites["start"] + sites["end"]) // 2).to_numpy()
    around = pd.DataFrame({"chrom": chrom, "start": np.maximum(start - reach_bp, 0), "end": end + reach_bp})
    points = pd.DataFrame(
        {"chrom": sites["chrom"].astype(str).to_numpy(), "start": centre, "end": centre + 1}
    )
    pairs = bioframe.overlap(around, points, how="inner", return_input=False, return_index=True)
    gene, site = (pairs[column].to_numpy(int) for column in ("index", "index_"))
    order = np.lexsort([centre[site], gene, start[gene], chrom[gene]])
    gene, site = gene[order], site[order]
    away = np.maximum(np.maximum(start[gene] - centre[site], centre[site] + 1 - end[gene]), 0)
    return gene, site, np.exp(-away / DECAY_BP)


def _placed_genes(var: pd.DataFrame) -> pd.DataFrame:
    where = places.place(var)
    where["strand"] = places.strands(places.column(var, places.STRAND), var.index)
    return where[places.is_placed(where)]


def _by_protein(rna, protein, symbols: Symbols, _) -> Linked:
    """Proteins and their genes."""
    spelled: dict[str, list[str]] = {}
    for symbol in symbols.feature:
        spelled.setdefault(antibodies.plain(symbol), []).append(symbol)
    alone = {plain: found[0] for plain, found in spelled.items() if len(found) == 1}
    links, used = [], []
    why: dict[str, list[str]] = {reason: [] for reason in (NOT_MEASURED, UNKNOWN, UNTOLD, CONTROL)}
    for name in protein.var_names:
        meant = () if antibodies.is_control(name) else antibodies.genes_of(name)
        if meant == ():
            why[CONTROL if antibodies.is_control(name) else UNTOLD].append(name)
            continue
        found = [symbol for symbol in meant or () if symbol in symbols.feature]
        found = found or _called_the_same(name, symbols, alone)
        links += [(feature, name, 1.0) for feature in dict.fromkeys(map(symbols.feature.get, found))]
        used += found
        if not found:
            why[NOT_MEASURED if meant else UNKNOWN].append(name)
    table = pd.DataFrame(links, columns=list(COLUMNS)).astype({"weight": float})
    other_case = [symbols.written[symbol] for symbol in used if symbols.written[symbol] != symbol]
    notes = ()
    if len(other_case) > MOST * len(used):
        notes = (
            f"genes are written as those of mouse or rat ({other_case[0]}), and were found whatever the case",
        )
    return Linked(table, "proteins and their genes", _some(why), notes)


def _called_the_same(name: str, symbols: Symbols, alone: dict[str, str]) -> list[str]:
    """The symbol that is the name of a protein, whatever separates its letters; none if there is none."""
    for text in antibodies.tries(name):
        symbol = text.upper() if text.upper() in symbols.feature else alone.get(antibodies.plain(text))
        if symbol:
            return [symbol]
    return []


def _by_name(first, second, symbols: Symbols, sign: float = 1.0) -> Linked:
    """Features that are called the same, whatever the case."""
    other = Symbols.of(second)
    shared = [symbol for symbol in symbols.feature if symbol in other.feature]
    links = [(symbols.feature[symbol], other.feature[symbol], sign) for symbol in shared]
    table = pd.DataFrame(links, columns=list(COLUMNS)).astype({"weight": float})
    table = table.drop_duplicates(["first", "second"], ignore_index=True)
    narrow = min((first, second), key=lambda adata: adata.n_vars)
    linked = set(table["first"]) | set(table["second"])
    lone = tuple(name for name in narrow.var_names if name not in linked)
    written = [(symbols.written[symbol], other.written[symbol]) for symbol in shared]
    apart = [" and ".join(pair) for pair in written if pair[0] != pair[1]]
    notes = ()
    if len(apart) > MOST * len(written):
        notes = (
            f"{len(apart):,} names are the same but for their case ({apart[0]}): "
            "if these are two species, their genes are taken for the same",
        )
    return Linked(table, "features of the same name", _some({"no feature of the same name": lone}), notes)


def _some(why) -> dict[str, tuple[str, ...]]:
    return {reason: tuple(names) for reason, names in why.items() if names}
