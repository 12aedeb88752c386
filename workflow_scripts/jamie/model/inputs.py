"""What an estimator is given: the correspondence in its three forms, and data that may be prepared."""

from __future__ import annotations

import numpy as np

from jamie import contract as c
from jamie.data.correspondence import Correspondence, from_names
from jamie.errors import InputError


def as_correspondence(mdata, given) -> Correspondence:
    """F of exactly the cells of ``mdata``: from names, a `Correspondence`, or a matrix in their order."""
    first, second = mdata.mod.values()
    if given is None:
        return from_names(mdata)
    if isinstance(given, Correspondence):
        return given.align(first.obs_names, second.obs_names)
    return Correspondence(given, first.obs_names, second.obs_names)


def check_pairs(f: Correspondence) -> None:
    """Refuse a fit that would know no pair because no name is shared."""
    if f.matrix.nnz:
        return
    first, second = (", ".join(map(str, names[:3])) for names in (f.row_names, f.col_names))
    raise InputError(
        "No cell has the same name in both modalities",
        expected="equal names of cells that were measured in both",
        found=f"names such as {first}; and {second}",
        change="the cell names, or `correspondence=` of `fit`; or `estimated=True`, to match without pairs",
    )


def raw_only(adata):
    """The data as they are, if they are raw: what was prepared already cannot be prepared again."""
    if c.PREPROCESSING in adata.uns:
        raise InputError(
            "The data are prepared with other statistics than the model's",
            expected="raw values, or the prepared data the model was fitted on",
            found="prepared data of another split or dataset",
            change="pass the raw data",
        )
    return adata


def same_state(a: dict, b: dict) -> bool:
    return np.array_equal(np.asarray(a["features"], str), np.asarray(b["features"], str)) and np.allclose(
        a["mean"], b["mean"], rtol=1e-6, atol=1e-9
    )
