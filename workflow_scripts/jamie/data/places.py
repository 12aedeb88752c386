"""Where features lie and what else they are called: whatever the column, and however it is written.

Positions are in bp, 0-based half-open. A feature that cannot be placed is on chromosome `UNPLACED`, from 0 to
0, so that the others keep whole numbers.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

UNPLACED = ""
MOST = 0.5  # of the names that have a genome in front, if it is one
CHROM = (
    "chrom",
    "chr",
    "chromosome",
    "seqnames",
    "seqname",
    "seqid",
    "contig",
    "chromosomename",
    "chromname",
)
START = ("start", "chromstart", "startposition", "genestart", "genestartbp", "txstart", "startbp", "begin")
END = ("end", "stop", "chromend", "endposition", "geneend", "geneendbp", "txend", "endbp")
INTERVAL = (
    "interval",
    "peak",
    "peaks",
    "region",
    "regions",
    "coordinates",
    "coordinate",
    "locus",
    "peakname",
)
STRAND = ("strand", "genestrand", "orientation")
SYMBOL = (
    *("symbol", "symbols", "genesymbol", "genesymbols", "genename", "genenames", "featurename"),
    *("geneshortname", "hgncsymbol", "mgisymbol", "externalgenename", "gene", "name"),
)
GENE_ID = (
    "geneid",
    "geneids",
    "ensemblid",
    "ensemblids",
    "ensembl",
    "ensemblgeneid",
    "ensgene",
    "featureid",
    "id",
)
PLUS = ("+", "1", "+1", "plus", "forward", "fwd", "f", "pos", "positive", "sense")
MINUS = ("-", "-1", "\u2212", "\u22121", "minus", "reverse", "rev", "r", "neg", "negative", "antisense")
NO_VALUE = ("", ".", "*", "na", "nan", "none", "null", "<na>", "n/a")

_NUMBER = r"\d+(?:,\d{3})*(?:\.0|\.\d+(?=[eE]))?(?:[eE]\+?\d+)?"
_NAME = rf"^(?P<chrom>.+?)[:_-](?P<start>{_NUMBER})(?:[-_]|\.\.)(?P<end>{_NUMBER})(?:[:(][+-]\)?)?$"
_DOTTED = r"^(?P<chrom>.+?)\.(?P<start>\d+)\.(?P<end>\d+)$"  # as R makes names of columns
_GENOME = (
    r"^((?:GRC[a-z]\d+|hg\d+|mm\d+|rn\d+|danRer\d+|dm\d+|ce\d+|rheMac\d+|panTro\d+|susScr\d+|bosTau\d+|"
    r"galGal\d+|canFam\d+|mRatBN[\d.]+|Rnor_[\d.]+|BDGP\d+|WBcel\d+|T2T-CHM13\w*?|CHM13\w*?)(?:[.-]?p\d+)?)[_-]+(?=.)"
)


def is_number(text: str) -> bool:
    """Whether a text is a position, such as 1000, 1,000 or 1e+03."""
    return re.fullmatch(_NUMBER, text.strip()) is not None


def column(table: pd.DataFrame, names: Sequence[str]) -> pd.Series | None:
    """The column of a table that has the first of these names, whatever its case and punctuation; or None.

    Parameters
    ----------
    names
        In small letters and digits alone, the one that is preferred first.
    """
    plain = [re.sub(r"[^a-z0-9]", "", str(name).casefold()) for name in table.columns]
    found = next((name for name in names if name in plain), None)
    return None if found is None else table.iloc[:, plain.index(found)]


def words(values: pd.Series) -> pd.Series:
    """Text of each value, without spaces around it; missing where there is none, or it says so."""
    text = values.astype(object).where(values.notna()).astype("string").str.strip()
    text = text.str.replace(
        r"^([+-]?\d+)\.0+$", r"\1", regex=True
    )  # whole numbers beside a missing one are floats
    return text.mask(text.str.casefold().isin(NO_VALUE)).astype(object)


def positions(values: pd.Series) -> pd.Series:
    """Numbers of a column of numbers or of text (1000, "1,000", "1e+05"): float, NaN where there is none."""
    if pd.api.types.is_numeric_dtype(values):
        return pd.to_numeric(values, errors="coerce").astype("Float64").astype(float)
    text = values.astype(object).where(values.notna()).astype("string").str.strip()
    text = text.where(text.str.fullmatch(_NUMBER).fillna(False))
    return pd.to_numeric(text.str.replace(",", ""), errors="coerce").astype("Float64").astype(float)


def place(var: pd.DataFrame, names: Iterable | None = None) -> pd.DataFrame:
    """Chromosome, start and end of features.

    Parameters
    ----------
    var
        Table of features (p rows): columns of chromosome, start and end by any of their usual names, or one
        of intervals such as chr1:100-200.
    names
        Of the features, where they are intervals too: they place what the columns do not.

    Returns
    -------
    DataFrame (p rows, indexed as ``var``): chrom (str), start, end (int64). `UNPLACED`, 0, 0 where a feature
    has no chromosome, or no 0 <= start < end in whole numbers. A prefix that names the genome (GRCh38_chr1)
    is left out, unless there are several. Where a column ``width`` says that both ends are counted (R's
    GRanges), starts are moved by one.
    """
    chrom = pd.Series(None, index=var.index, dtype=object)
    start, end = (pd.Series(np.nan, index=var.index) for _ in range(2))
    given = [column(var, aliases) for aliases in (CHROM, START, END)]
    sources = []
    if all(part is not None for part in given):
        sources.append((words(given[0]), _from_zero(*map(positions, given[1:]), column(var, ("width",)))))
    texts = [column(var, (name,)) for name in INTERVAL]
    texts = [text for text in texts if text is not None]
    texts += [] if names is None else [pd.Series(list(names), index=var.index, dtype=object)]
    for own_chrom, (own_start, own_end) in itertools.chain(sources, map(_parts, texts)):
        if chrom.notna().all():
            break
        ok = own_chrom.notna() & (own_start >= 0) & (own_end > own_start)
        ok &= (own_start % 1 == 0) & (own_end % 1 == 0) & np.isfinite(own_end) & chrom.isna()
        chrom, start, end = chrom.mask(ok, own_chrom), start.mask(ok, own_start), end.mask(ok, own_end)
    placed = chrom.notna()
    chrom[placed] = without_genome(chrom[placed])[0]
    table = pd.DataFrame({"chrom": chrom.fillna(UNPLACED).astype(str), "start": start, "end": end})
    return table.fillna(0).astype({"start": np.int64, "end": np.int64})


def is_placed(table: pd.DataFrame) -> np.ndarray:
    """Which rows of `place` have a place: bool (p,)."""
    return (table["chrom"].astype(str) != UNPLACED).to_numpy() & table["chrom"].notna().to_numpy()


def _from_zero(start, end, width):
    """Start and end, 0-based half-open: from 1 with both ends, if ``width`` says that they are so."""
    if width is not None and len(width):
        known = start.notna() & end.notna()
        if known.any() and (positions(width)[known] == (end - start)[known] + 1).all():
            start = start - 1
    return start, end


def _parts(text: pd.Series):
    """Chromosome, and start and end, of intervals such as chr1:100-200; missing where it is none."""
    text = text.astype(object).where(text.notna()).astype("string").str.strip()
    parts = text.str.extract(_NAME)
    other = text.str.extract(_DOTTED)
    parts = parts.where(parts["chrom"].notna(), other)
    return words(parts["chrom"]), (positions(parts["start"]), positions(parts["end"]))


def named_as(chrom, target):
    """Chromosomes in the naming of ``target``; one that it lacks keeps its name."""
    names = {_bare(name): name for name in target.unique()}
    return chrom.astype(str).map({name: names.get(_bare(name), name) for name in chrom.astype(str).unique()})


def _bare(chrom):
    bare = str(chrom)[3:] if str(chrom).lower().startswith("chr") else str(chrom)
    return "MT" if bare == "M" else bare


def strands(values: pd.Series | None, index: pd.Index) -> pd.Series:
    """Strand of each feature, "+" or "-", "." where it has none: from +, 1, plus, forward and their likes."""
    if values is None:
        return pd.Series(".", index=index, dtype=object)
    text = words(values).astype("string").str.casefold()
    found = pd.Series(".", index=index, dtype=object)
    return found.mask(text.isin(PLUS).to_numpy(bool), "+").mask(text.isin(MINUS).to_numpy(bool), "-")


def without_genome(values: pd.Series | pd.Index) -> tuple[np.ndarray, list[str]]:
    """Names without the genome that Cell Ranger puts in front of them, as GRCh38_chr1 or hg38_ACTB.

    Returns
    -------
    names : object (n,)
        As given where more than one genome is named: these tell the cells' species apart.
    genomes
        Those named; none where most names have none in front, as a gene that is called DM1-AS.
    """
    text = pd.Series(np.asarray(values, dtype=object)).astype(str)
    genomes = text.str.extract(_GENOME, flags=re.IGNORECASE, expand=False)
    found = [str(name) for name in genomes.dropna().unique()] if genomes.notna().mean() > MOST else []
    if len(found) == 1:
        text = text.str.replace(_GENOME, "", flags=re.IGNORECASE, regex=True)
    return text.to_numpy(object), found


def other_names(var: pd.DataFrame, aliases: Sequence[str]) -> pd.Series:
    """Symbols or ids in the column of ``var`` that has them; missing where there is none."""
    found = column(var, aliases)
    return pd.Series(None, index=var.index, dtype=object) if found is None else words(found)
