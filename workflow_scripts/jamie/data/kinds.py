"""The kind of each modality, told by the data, by a model, or by the modality's name."""

from __future__ import annotations

from jamie import contract as c
from jamie import io
from jamie.data import checks, counts
from jamie.errors import InputError

NAMES_OF_KINDS = {
    "rna": c.RNA,
    "gex": c.RNA,
    "atac": c.ATAC,
    "adt": c.PROTEIN,
    "prot": c.PROTEIN,
    "protein": c.PROTEIN,
    "methylation": c.METHYLATION,
    "ephys": c.CONTINUOUS,
    "continuous": c.CONTINUOUS,
}


def with_kind(adata, name: str, state: dict | None = None):
    """A new AnnData of the same values with ``uns["kind"]`` and ``uns["values"]``, told by state or name.

    Counts with fractions are rounded (`jamie.data.counts.rounded`).

    Raises
    ------
    InputError
        The kind is not known, or its values are others: logarithms where counts are expected, say.
    """
    kind = adata.uns.get(c.KIND) or (state or {}).get("kind") or NAMES_OF_KINDS.get(name.lower())
    if kind not in c.KINDS:
        raise InputError(
            f"The kind of modality {name!r} is not known",
            expected=f"mdata.mod[{name!r}].uns['kind'] to be one of {', '.join(c.KINDS)}",
            found=repr(kind),
            change=f"mdata.mod[{name!r}].uns['kind'] = 'rna' (or another kind)",
        )
    adata = io.around(adata)
    adata.uns[c.KIND] = kind
    adata.uns.setdefault("values", (state or {}).get("values", "counts"))
    if counts.is_counts_kind(kind, adata.uns["values"]):
        adata.X = counts.rounded(adata.X, name)
    _check_values(adata, name)
    return adata


def _check_values(adata, name: str) -> None:
    """As in the workflow, with what to change in Python."""
    try:
        checks.check_values(adata, name, name)
    except InputError as error:
        modality = f"mdata.mod[{name!r}]"
        change = f"{modality}.X, or {modality}.uns['kind']"
        if adata.uns[c.KIND] in c.COUNT_KINDS:
            there = ", ".join(counts.beside(adata))
            change = f"{modality}.X to raw counts" + (f" (there are some in {there})" if there else "")
            change += f", or {modality}.uns['values'] = 'normalised'"
        raise InputError(error.problem, expected=error.expected, found=error.found, change=change) from error
