"""Whether peaks can be linked to genes in a dataset, and where its genes lie: before any heavy work."""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd

from jamie import contract as c
from jamie.data import places
from jamie.data.genome import pairs_in_window
from jamie.errors import InputError
from jamie.regulation import annotation, genome_build
from jamie.regulation.links import why_no_null

log = logging.getLogger(__name__)

MOSTLY_GENES = 0.5  # of the features of ATAC
GENE_COLUMNS = ("chrom", "start", "end", "strand", "symbol", "gene_id")


def direction(modalities: dict[str, dict], wanted: str | None = None) -> tuple[str, str]:
    """Which modality explains which: names of source and target.

    Parameters
    ----------
    modalities
        Name to config entry with ``kind``, two of them.
    wanted
        The source; None: ATAC or methylation beside RNA, else RNA, else the first.
    """
    names = list(modalities)
    if wanted is not None and wanted not in names:
        raise InputError(
            f"The dataset has no modality {wanted!r} to explain the other by",
            expected=" or ".join(names),
            found=repr(wanted),
            change="`explain: source`",
        )
    kinds = {modalities[name]["kind"]: name for name in reversed(names)}
    if wanted is None:
        regulators = [kinds[kind] for kind in (c.ATAC, c.METHYLATION) if kind in kinds and c.RNA in kinds]
        wanted = (regulators or [kinds.get(c.RNA, names[0])])[0]
    return wanted, next(name for name in names if name != wanted)


def find_genes(
    mdata, source: str, target: str, window_bp: int, genes_file: Path | None = None, asked=()
) -> tuple[pd.DataFrame, dict]:
    """Coordinates of the genes, or the reason why no links can be looked for.

    Parameters
    ----------
    mdata
        The ingested dataset.
    source, target
        Peaks and genes, if links are to be found.
    window_bp
        Largest distance of a link, bp.
    genes_file
        BED or GTF; None: the coordinates that the genes have in ``var``.
    asked
        Genes that the user wants to see.

    Returns
    -------
    genes : DataFrame
        Index gene; chrom, start, end (bp, 0-based half-open), strand; symbol; gene_id, "" where not known.
        Empty where there are no links.
    info : dict
        ``reason`` (empty if links are looked for), ``missing`` genes without coordinates, ``unplaced_peaks``
        left out, ``build``: how near to TSSs the peaks are.

    Raises
    ------
    InputError
        An unknown gene is asked for, the annotation shares no chromosome with the peaks, or it is of another
        genome.
    """
    expression, peaks = mdata.mod[target], mdata.mod[source].var
    info = {"reason": "", "missing": [], "unplaced_peaks": 0, "build": {}, "n_targets": expression.n_vars}
    empty = pd.DataFrame(columns=list(GENE_COLUMNS))
    kinds = [mdata.mod[name].uns.get(c.KIND) for name in (source, target)]
    if kinds != [c.ATAC, c.RNA]:
        return empty, info | {"reason": f"links need ATAC and RNA, these are {' and '.join(map(str, kinds))}"}
    symbols = places.other_names(expression.var, places.SYMBOL).dropna()
    annotation.check_asked(asked, [*expression.var_names, *symbols])
    if not set(c.PEAK_COLUMNS) <= set(peaks.columns):
        return empty, info | {"reason": _why_no_place(peaks, expression)}
    placed = places.is_placed(peaks)
    info["unplaced_peaks"], peaks = int((~placed).sum()), peaks[placed]
    genes, missing = placed_genes(expression, genes_file)
    if genes.empty:
        return empty, info | {"reason": "the genes have no coordinates; give a BED or GTF as `genes:`"}
    if (genes["strand"] == ".").all():
        why = "no gene has a strand, so that none has a TSS; give a BED or GTF as `genes:`"
        return empty, info | {"missing": missing, "reason": why}
    for n, what in ((len(missing), "coordinates"), (int((genes["strand"] == ".").sum()), "a strand")):
        if n:
            log.warning("%d of %d genes do not have %s", n, expression.n_vars, what)
    genes = annotation.match_chromosomes(genes, peaks)[list(GENE_COLUMNS)]
    if reason := why_no_null(peaks):
        return empty, info | {"missing": missing, "reason": reason}
    build = genome_build.check_build(genes, peaks)
    _, near, _ = pairs_in_window(genes, peaks, window_bp)
    reason = "" if len(near) else f"no peak lies within {window_bp:,} bp of a TSS"
    return (empty if reason else genes), info | {"missing": missing, "build": build, "reason": reason}


def _why_no_place(peaks, expression) -> str:
    """Why no peak has a place: features that are named as genes are none."""
    genes = set(expression.var_names) | set(places.other_names(expression.var, places.SYMBOL).dropna())
    if peaks.index.isin(genes).mean() >= MOSTLY_GENES:
        return "the features of ATAC are genes (gene activities), not peaks"
    return "the peaks have no coordinates (names like chr1:100-200)"


def placed_genes(expression, genes_file: Path | None) -> tuple[pd.DataFrame, list[str]]:
    """Genes with coordinates, of the file or of ``var``, as of `find_genes`, and the names of the others."""
    names, var = expression.var_names, expression.var
    symbols, gene_ids = (places.other_names(var, aliases) for aliases in (places.SYMBOL, places.GENE_ID))
    if genes_file is None:
        genes = places.place(var)
        genes["strand"] = places.strands(places.column(var, places.STRAND), var.index)
        genes["symbol"], genes["gene_id"] = symbols.where(symbols.notna(), names), gene_ids.fillna("")
        placed = places.is_placed(genes)
        return genes[placed][list(GENE_COLUMNS)], names[~placed].tolist()
    genes, missing = annotation.locate_genes(names, annotation.read_genes(genes_file), symbols, gene_ids)
    if genes.empty:
        raise InputError(
            "None of the genes is in the annotation",
            expected="symbols or gene ids as in the data",
            found=f"genes such as {', '.join(missing[:3])}",
            change="`genes:` of the dataset",
        )
    return genes.fillna({"gene_id": ""}), missing
