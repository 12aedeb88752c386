"""Where genes lie, and which links between a regulatory element and a gene are known.

Positions are in bp, 0-based half-open, as in BED: intervals that only touch do not overlap.
"""

from __future__ import annotations

import difflib
import gzip
import io
import itertools
import logging
import zlib
from contextlib import contextmanager
from pathlib import Path

import bioframe
import numpy as np
import pandas as pd

from jamie.contract import PEAK_COLUMNS
from jamie.data import places
from jamie.data.genome import signed_distance_bp, tss_position
from jamie.data.names import check_text
from jamie.errors import InputError

log = logging.getLogger(__name__)

HEAD = 20  # lines by which the format is told: the first may be of a gene without a place
BED, GTF = "bed", "gtf"
LEAST_PLACED = 0.5  # of the rows of a file, or it is of another format
STANDARD = r"(?:chr)?(?:\d{1,2}[LR]?|[IVX]{1,5}|[XYZWM]|MT)"
VERSIONED = r"^(ENS[A-Z]*\d+)\.\d+(?:_PAR_Y)?$"  # other names, as RP11-34P13.7, differ after the point
GENE_FEATURES = ("gene", "ncRNA_gene", "pseudogene")  # the last two as in Ensembl's GFF3
SKIPPED = ("##", "track", "browser")
GENES_EXPECTED = (
    "BED with a name and a strand (5 columns, or 6 and more), or GTF/GFF with features of type gene"
)


def read_genes(path: Path) -> pd.DataFrame:
    """Genes of a BED or GTF/GFF file, plain or gzipped.

    Returns
    -------
    Index: unique symbol. Columns: chrom; start, end (int64, bp); strand ("+", "-", or "." if not known);
    gene_id (missing where not known). Of several rows for a symbol the one on a standard chromosome, then the
    longest, is taken.

    Raises
    ------
    InputError
        The file is of another format, half of its rows have no place, or no gene has a strand.
    """
    lines = (line for line in read_lines(path, GENES_EXPECTED, "genes") if not line.startswith("#"))
    head = list(itertools.islice(lines, HEAD))
    lines, forms = itertools.chain(head, lines), [_form(line) for line in head]
    with understood(path, GENES_EXPECTED, "genes"):
        if head and _is_header(_fields(head[0])):
            genes = _from_table(lines)
        elif GTF in forms:
            genes = _from_gtf(lines, path)
        elif BED in forms:
            genes = _from_bed(lines, min(len(_fields(head[forms.index(BED)])), 6))
        else:
            first = head[0].strip() if head else ""
            raise not_understood(path, GENES_EXPECTED, f"a first line {first[:100]!r}", "genes")
    genes = with_places(genes, path, GENES_EXPECTED, "genes")
    genes["strand"] = places.strands(genes["strand"], genes.index)
    if (genes["strand"] == ".").all():
        raise not_understood(path, GENES_EXPECTED, "no gene with a strand of + or -", "genes")
    order = np.lexsort([genes["start"] - genes["end"], ~genes["chrom"].str.fullmatch(STANDARD)])
    kept = np.sort(order[~genes["symbol"].iloc[order].duplicated()])
    if len(kept) < len(genes):
        log.info("%s: %d rows dropped, of symbols with several", Path(path).name, len(genes) - len(kept))
    genes = genes.iloc[kept].set_index("symbol").rename_axis(None)
    for key, names in (("symbol", genes.index), ("gene_id", genes["gene_id"]), ("chrom", genes["chrom"])):
        check_text(names, "gene", path, key)
    return genes


def _fields(line):
    return line.rstrip("\n").split("\t")


def _form(line):
    """What a line of genes is by where it holds positions: `GTF`, `BED` or None."""
    fields = _fields(line)
    if len(fields) >= 9 and all(map(places.is_number, fields[3:5])):
        return GTF
    return BED if len(fields) >= 4 and all(map(places.is_number, fields[1:3])) else None


def with_places(table, path, expected, key, columns=None):
    """Rows that have a place (`places.place`) in ``columns``; `InputError` if half or more have none."""
    names = ["chrom", "start", "end"]
    found = places.place(table if columns is None else table[columns].set_axis(names, axis=1))
    placed = places.is_placed(found)
    if placed.mean() <= LEAST_PLACED:
        row = " ".join(table[~placed].iloc[0].dropna().astype(str))
        raise not_understood(path, f"{expected}, with 0 <= start < end", f"{row[:100]!r}", key)
    if not placed.all():
        some = "; ".join(table[~placed].iloc[:3].fillna("").astype(str).agg(" ".join, axis=1))
        log.warning("%s: %d rows without a place are left out: %s", Path(path).name, (~placed).sum(), some)
    return table.assign(**found.set_axis(columns or names, axis=1))[placed]


def _is_header(fields):
    header = pd.DataFrame(columns=fields)
    return all(places.column(header, names) is not None for names in (places.CHROM, places.START, places.END))


def _from_table(lines):
    table = pd.read_csv(io.StringIO("".join(lines)), sep="\t", dtype=str, keep_default_na=False)
    symbol, gene_id = (places.other_names(table, aliases) for aliases in (places.SYMBOL, places.GENE_ID))
    strand = places.strands(places.column(table, places.STRAND), table.index)
    genes = table.assign(symbol=symbol.fillna(gene_id), gene_id=gene_id, strand=strand)
    return genes.dropna(subset="symbol")


def _from_gtf(lines, path):
    rows, features = [], set()
    for line in lines:  # one at a time: a GTF of a genome takes gigabytes
        feature = "".join(line.split("\t", 3)[2:3])
        features.add(feature)
        if feature in GENE_FEATURES:
            rows.append(line)
    if not rows:
        found = f"only features {', '.join(sorted(features)[:5])}"
        raise not_understood(path, GENES_EXPECTED, found, "genes")
    table = read_columns(rows, "gtf")
    genes = table[["chrom", "start", "end", "strand"]].copy()
    genes["start"] = places.positions(genes["start"]) - 1
    gene_id, *symbols = (
        table["attributes"].str.extract(rf'(?:^|;)\s*{key}[ =]"?([^";]+)', expand=False)
        for key in ("gene_id", "gene_name", "Name", "gene")
    )
    genes["symbol"] = symbols[0].fillna(symbols[1]).fillna(symbols[2]).fillna(gene_id)
    return genes.assign(gene_id=gene_id).dropna(subset="symbol")


def _from_bed(lines, n_columns):
    names = ["chrom", "start", "end", "symbol", "strand"][:n_columns]
    genes = read_columns(lines, names, usecols=[0, 1, 2, 3, n_columns - 1][:n_columns])
    genes = genes.assign(strand=genes.get("strand", "."))
    return genes.assign(gene_id=genes["symbol"].where(genes["symbol"].str.match(r"ENS[A-Z]*G\d+")))


def read_lines(path, expected, key):
    """Lines of a text file, gzipped or not, but for blank ones and those that are certainly comments."""
    found = "no lines"
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with (gzip.open if packed else open)(path, "rt", encoding="utf-8-sig") as file:
            for line in file:
                if line.strip() and not line.startswith(SKIPPED):
                    found = None
                    yield line
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        found = str(error)
    if found:
        raise not_understood(path, expected, found, key)


@contextmanager
def understood(path, expected, key):
    """Turn what pandas raises on rows that do not fit each other into the error for the file."""
    try:
        yield
    except InputError:
        raise
    except (ValueError, KeyError, IndexError) as error:
        raise not_understood(path, expected, f"{type(error).__name__}: {str(error).strip()}", key) from error


def read_columns(lines, schema, **keywords):
    """Text columns, as a gene may be called "nan"."""
    text = io.StringIO("".join(lines))
    return bioframe.read_table(text, schema=schema, dtype=str, keep_default_na=False, **keywords)


def not_understood(path, expected, found, key):
    change = f"`{key}:` of the dataset"
    return InputError(f"{path} is not understood", expected=expected, found=found, change=change)


def locate_genes(
    names, annotation: pd.DataFrame, symbols=None, gene_ids=None
) -> tuple[pd.DataFrame, list[str]]:
    """Find genes by symbol, else by gene_id whatever its version, else by symbol whatever its case.

    Parameters
    ----------
    names
        Unique names, as in the data; a genome in front of them (GRCh38_) is passed over.
    annotation
        From `read_genes`.
    symbols, gene_ids
        What else the data call them, of each name or missing; asked for what a name does not find.

    Returns
    -------
    genes
        Index: the names found, in the order given. Columns: those of ``annotation``, and symbol.
    missing
        The names not found; without its case a name is found only if it is one of a kind on both sides.
    """
    names, known_symbols = pd.Index(names, dtype=object), annotation.index.astype(object)
    known_ids = without_version(annotation["gene_id"])
    asked = [pd.Index(places.without_genome(names)[0], dtype=object)]
    asked += [pd.Index(other, dtype=object) for other in (gene_ids, symbols) if other is not None]
    steps = [(own, known) for own in asked for known in (known_symbols, known_ids)]
    for own in asked:
        any_case = own.str.casefold()
        steps.append((any_case.where(~any_case.duplicated(keep=False)), known_symbols.str.casefold()))
    row = np.full(len(names), -1)
    for own, known in steps:
        own = without_version(own) if known is known_ids else own
        known = pd.Series(np.arange(len(annotation)), index=pd.Index(known, dtype=object))
        known = known[known.index.notna() & ~known.index.duplicated(keep=False)]
        row = np.where(row < 0, known.reindex(own).fillna(-1).to_numpy(int), row)
    genes = annotation.iloc[row[row >= 0]].assign(symbol=known_symbols[row[row >= 0]])
    return genes.set_index(names[row >= 0]), list(names[row < 0])


def without_version(ids):
    return pd.Index(ids, dtype=object).str.replace(VERSIONED, r"\1", regex=True)


def check_asked(asked, names) -> None:
    """Every gene that the user asks to see must be one of ``names``; else `InputError` with the nearest."""
    unknown = [gene for gene in asked if gene not in set(names)]
    if not unknown:
        return
    any_case = {name.casefold(): name for name in names}
    found = []
    for gene in unknown[:5]:
        near = [any_case[one] for one in difflib.get_close_matches(gene.casefold(), any_case, n=3)]
        found.append(repr(gene) + (f" (nearest: {', '.join(near)})" if near else ""))
    raise InputError(
        f"{len(unknown)} of the genes to show are not known",
        expected="genes that the dataset measures and `genes:` locates",
        found=", ".join(found),
        change="`show_genes` of the dataset",
    )


def match_chromosomes(genes: pd.DataFrame, peaks: pd.DataFrame) -> pd.DataFrame:
    """``genes`` with chromosomes named as in ``peaks`` (1 or chr1, MT or chrM); `InputError` if none is."""
    renamed = genes.assign(chrom=places.named_as(genes["chrom"], peaks["chrom"]))
    if not renamed["chrom"].isin(peaks["chrom"]).any():
        ours, theirs = (", ".join(map(str, table["chrom"].unique()[:5])) for table in (genes, peaks))
        raise InputError(
            "Genes and peaks share no chromosome",
            expected="chromosomes of the same names, but for a leading chr",
            found=f"genes on {ours}; peaks on {theirs}",
            change="`genes:` of the dataset",
        )
    changed = pd.DataFrame({"old": genes["chrom"], "new": renamed["chrom"]}).astype(str).query("old != new")
    if len(changed):
        old, new = changed.iloc[0]
        log.info(
            "%d chromosomes of genes renamed as in the peaks, as %s to %s", changed["old"].nunique(), old, new
        )
    return renamed


def in_gene_body(genes: pd.DataFrame, peaks: pd.DataFrame, gene, peak) -> np.ndarray:
    """Whether a peak overlaps the gene body [start, end): bool (n,).

    Parameters
    ----------
    gene, peak
        Int (n,), row numbers in ``genes`` and ``peaks``.
    """
    body = {column: genes[column].to_numpy()[gene] for column in ("chrom", "start", "end")}
    other = {column: peaks[column].to_numpy()[peak] for column in ("chrom", "start", "end")}
    same = np.asarray(body["chrom"] == other["chrom"], dtype=bool)
    return same & (other["start"] < body["end"]) & (other["end"] > body["start"])


def nearest_genes(peaks: pd.DataFrame, genes: pd.DataFrame) -> pd.DataFrame:
    """The gene whose TSS lies nearest to each peak's centre.

    Parameters
    ----------
    peaks, genes
        Indexed by name, with chrom, start, end (bp, 0-based half-open); genes also strand, maybe symbol.

    Returns
    -------
    Index: that of ``peaks``. Columns: nearest_gene, "" where no gene lies on the chromosome; bp from its TSS,
    negative upstream, NaN without a gene.
    """
    names = genes.get("symbol", genes.index.to_series()).to_numpy(str)
    centre = ((peaks["start"] + peaks["end"]) // 2).to_numpy(np.int64)
    tss, strand, on = tss_position(genes), genes["strand"].to_numpy(str), genes["chrom"].to_numpy(str)
    nearest, bp = np.full(len(peaks), "", dtype=object), np.full(len(peaks), np.nan)
    rows_on = pd.Series(range(len(peaks))).groupby(peaks["chrom"].to_numpy(str)).indices
    for chrom, rows in rows_on.items():
        own = np.flatnonzero(on == chrom)
        if not len(own):
            continue
        own = own[np.argsort(tss[own], kind="stable")]
        right = np.searchsorted(tss[own], centre[rows])
        sides = np.clip([right - 1, right], 0, len(own) - 1)
        closer = np.abs(tss[own[sides]] - centre[rows]).argmin(axis=0)
        gene = own[sides[closer, np.arange(len(rows))]]
        nearest[rows] = names[gene]
        bp[rows] = signed_distance_bp(centre[rows], centre[rows], tss[gene], strand[gene])
    return pd.DataFrame({"nearest_gene": nearest, "bp": bp}, index=peaks.index)


def with_labels(table: pd.DataFrame, column: str, peaks: pd.DataFrame, genes: pd.DataFrame, label: str):
    """A table with ``nearest_gene`` and ``label`` of the features in ``column``, for tables and figures.

    A peak is called by its centre and its nearest gene, as ``chr3:5,012,100 (Sst +12 kb)``; a feature without
    a place among ``peaks``, or any where no gene has one, by its name.
    """
    known = peaks[peaks.index.isin(table[column])] if set(PEAK_COLUMNS) <= set(peaks) else peaks.iloc[:0]
    known = known[places.is_placed(known)] if len(known) else known
    if genes.empty or known.empty:
        return table.assign(nearest_gene="", **{label: table[column]})
    near = nearest_genes(known, genes)
    centre = (known["start"] + known["end"]) // 2
    words = [
        f"{chrom}:{at:,}" + (f" ({gene} {signed_length(bp)})" if gene else "")
        for chrom, at, gene, bp in zip(known["chrom"], centre, near["nearest_gene"], near["bp"], strict=True)
    ]
    own = table[column]
    return table.assign(
        nearest_gene=own.map(near["nearest_gene"]).fillna(""),
        **{label: own.map(pd.Series(words, index=known.index, dtype=object)).fillna(own)},
    )


def signed_length(bp: float) -> str:
    """For example ``+850 bp``, ``-1.2 kb``, ``+140 kb``, ``+1.2 Mb``."""
    if abs(bp) < 999.5:
        return f"{bp:+.0f} bp"
    return f"{bp / 1e3:+.{int(abs(bp) < 9_950)}f} kb" if abs(bp) < 999_500 else f"{bp / 1e6:+.1f} Mb"
