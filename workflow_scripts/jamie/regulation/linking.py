"""Linked features of a dataset: by its own table, its file of genes, or what its features are called."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from jamie import contract as c
from jamie.data import linked_table, places
from jamie.data.findings import Finding
from jamie.data.linked import COLUMNS, MOST, Linked, find
from jamie.errors import InputError
from jamie.regulation import annotation, coordinates, genome_build

log = logging.getLogger(__name__)

NONE = "none"  # of `linked_features:`, where nothing is to be linked


def of_dataset(mdata, entry: dict, files: dict[str, Path]) -> Linked:
    """Linked features as the config asks for them: ``entry`` of the dataset, ``files`` by their keys."""
    if entry["linked_features"] == NONE:
        return Linked(pd.DataFrame(columns=list(COLUMNS)), f"no features, as `linked_features: {NONE}` says")
    return link(mdata, files.get("genes"), files.get("linked_features"))


def link(mdata, genes_file: Path | None = None, table_file: Path | None = None) -> Linked:
    """Which features of the two modalities are linked.

    Parameters
    ----------
    mdata
        The ingested dataset, of which ``var`` and ``uns`` are read.
    genes_file
        BED or GTF; None: the coordinates and symbols that the genes have in ``var``.
    table_file
        The dataset's own links, in place of all others.

    Raises
    ------
    InputError
        A file that cannot be read or does not fit the features; a file of genes that names none of those of
        the data, shares no chromosome with the peaks or sites, or is of another genome than the peaks.
    """
    first, second = mdata.mod.values()
    if table_file is not None:
        found = linked_table.read(table_file, first, second, tuple(mdata.mod))
        unused = ("`genes:` is not used, as `linked_features:` is given",) if genes_file else ()
        return replace(found, notes=found.notes + unused)
    rna = [adata for adata in (first, second) if adata.uns[c.KIND] == c.RNA]
    if len(rna) != 1:
        found = find(first, second)
        unused = ("`genes:` is not used, as not one modality alone is RNA",) if genes_file else ()
        return replace(found, notes=found.notes + unused)
    other = second if first is rna[0] else first
    genes, notes = _genes(rna[0], other, genes_file)
    found = find(first, second, genes)
    return replace(found, notes=found.notes + tuple(notes))


def _genes(rna, other, genes_file: Path | None) -> tuple[pd.DataFrame, list[str]]:
    """Where the genes lie, on chromosomes named as those of peaks or sites, and what is odd about that."""
    genes, _ = coordinates.placed_genes(rna, genes_file)
    notes = _other_case(genes) if genes_file else []
    sites = places.place(other.var, other.var_names)
    sites = sites[places.is_placed(sites)]
    if other.uns[c.KIND] not in (c.ATAC, c.METHYLATION) or sites.empty or genes.empty:
        return genes, notes
    try:
        genes = annotation.match_chromosomes(genes, sites)
        if other.uns[c.KIND] == c.ATAC:
            build = genome_build.check_build(genes, sites)
            if notes and build["z"] < genome_build.LEAST_Z:
                raise _other_species(notes[0], build)
    except InputError as error:
        if genes_file:
            raise
        notes.append(f"{error.problem}: {error.found}; a BED or GTF as `genes:` may place them rightly")
    return genes, notes


def _other_species(note: str, build: dict) -> InputError:
    near = f"{build['near_share']:.1%} of {build['n_genes']:,} TSSs have a peak within 10 kb"
    return InputError(
        "`genes:` may be of another species: genes and peaks do not fit together",
        expected="symbols as in the data, or TSSs that are nearer to peaks than by chance",
        found=f"{note} {near}, by chance {build['chance_share']:.1%}",
        change="`genes:` of the dataset, to an annotation of its species and build",
    )


def _other_case(genes: pd.DataFrame) -> list[str]:
    """Whether most genes are in the file in another case alone, as those of mouse among human genes."""
    own, symbol = genes.index.to_series().astype(str), genes["symbol"].astype(str)
    apart = (own != symbol) & (own.str.casefold() == symbol.str.casefold())
    if apart.mean() <= MOST:
        return []
    return [
        f"genes are in `genes:` in another case alone ({own[apart].iloc[0]}, there {symbol[apart].iloc[0]}): "
        "is it of the same species?"
    ]


def account(linked: Linked, modalities: tuple[str, str]) -> dict:
    """The content of ``linked_features.json``: how features are linked, how many, which are not and why."""
    n = linked.table[["first", "second"]].nunique()
    return {
        "how": linked.how,
        "n_links": len(linked.table),
        "linked": dict(zip(modalities, map(int, n), strict=True)),
        "not_linked": list(linked.not_linked),
        "why": {reason: list(names) for reason, names in linked.why.items()},
        "reason": linked.reason,
        "notes": list(linked.notes),
    }


def findings_of(linked: Linked) -> list[Finding]:
    """What should be known of the links, as notices."""
    return as_notices(filter(None, (linked.reason, *linked.notes)))


def as_notices(sentences: Iterable[str]) -> list[Finding]:
    """Sentences about links, as ``reason`` and ``notes`` of `account`."""
    return [Finding(c.NOTICE, f"linked features: {sentence}", "") for sentence in sentences]


def speak(linked: Linked) -> None:
    """Log how features are linked; warn where they are too few, or something is odd."""
    n = linked.table[["first", "second"]].nunique()
    log.info("Linked: %s; %d and %d features, %d links", linked.how, *n, len(linked.table))
    for sentence in filter(None, (linked.reason, *linked.notes)):
        log.warning("%s", sentence[0].upper() + sentence[1:])
