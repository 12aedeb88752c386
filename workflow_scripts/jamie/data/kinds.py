"""The kind of each modality, told by the data, by a model, or by the modality's name."""

from __future__ import annotations

from jamie import contract as c
from jamie import io
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
    """A new AnnData of the same values with ``uns["kind"]`` and ``uns["values"]``, told by state or name."""
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
    return adata
