"""F~ of prepared data, with all that decides whether it is used; its files in the workflow."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from jamie import contract, io
from jamie.data import linked as linked_features
from jamie.data.correspondence import Correspondence, left_out_pairs, without_pairs
from jamie.data.split import training_cells
from jamie.errors import InputError
from jamie.linear.components import FEW_COMPONENTS
from jamie.linear.projection import Projection
from jamie.matching import compare
from jamie.matching.by_features import WIDTHS
from jamie.matching.estimate import estimate
from jamie.matching.linked import LinkedFeatures


@dataclass
class EstimatedCorrespondence:
    """F~ of named cells, and what a fit needs to know of it.

    Attributes
    ----------
    f
        F~: rows and columns sum to 1 at most.
    confidence
        0 to 1; a fit scales F~ by it.
    trusted
        Whether the checks of the estimate itself trust it: this decides where pairs cannot.
    check
        F~ made without the known pairs that `jamie.data.correspondence.left_out_pairs` names: trials with it
        decide whether F~ helps. None: they cannot.
    info
        How it came about, see `jamie.matching.Estimate`.
    """

    f: Correspondence
    confidence: float = 1.0
    trusted: bool = True
    check: Correspondence | None = None
    info: dict = field(default_factory=dict)

    @property
    def beyond_pairs(self) -> bool:
        """Whether it rests on more than known pairs: on links these find of worth, or on no pairs at all."""
        by_links = self.info.get("n_linked", 0) >= linked_features.FEWEST and self.info.get("worth", 0) > 0
        return self.info.get("regime") != "pairs" or by_links

    def align(self, row_names, col_names) -> EstimatedCorrespondence:
        """The same for other cells or another order; see `Correspondence.align`."""
        check = None if self.check is None else self.check.align(row_names, col_names)
        f = self.f.align(row_names, col_names)
        return EstimatedCorrespondence(f, self.confidence, self.trusted, check, self.info)

    def save(self, f, check, info) -> None:
        """Write the two matrices and the account of them to three paths."""
        contract.check_estimated(self.f.matrix, self.info)
        self.f.save(f)
        self.check.save(check)
        io.write_json(info, self.info)

    @classmethod
    def load(cls, f, check, info, names) -> EstimatedCorrespondence:
        """Read what `save` wrote; demands exactly the cells of ``names``, a pair of lists."""
        said = io.read_json(info)
        matrices = Correspondence.load(f, *names), Correspondence.load(check, *names)
        return cls(matrices[0], said["confidence"], said["trusted"], matrices[1], said)


def estimate_prepared(
    mdata,
    known: Correspondence,
    *,
    linked=None,
    method: str = "auto",
    same_group: str | None = None,
    seed: int = 0,
    **options,
) -> EstimatedCorrespondence:
    """F~ of the training cells of prepared data.

    Parameters
    ----------
    mdata
        Prepared MuData; cells whose ``obs["role"]`` is test are left out.
    known
        Known F of all its cells.
    linked
        Table of linked features (first, second, weight); None: what `jamie.data.linked.find` finds.
    same_group
        Column of ``obs`` whose labels restrict matches to cells of one group; None: any cells.
    **options
        Of `jamie.matching.estimate`.

    Returns
    -------
    F~ with all cells as rows and columns; those of held-out cells are empty.
    """
    train = training_cells(mdata, layers=(contract.COUNTS,))
    sides = tuple(train.mod.values())
    names = [a.obs_names for a in sides]
    table = linked_features.find(*sides).table if linked is None else linked
    by_links = LinkedFeatures.of(*sides, table) if method == "auto" else None
    if by_links is not None and len(by_links) >= linked_features.FEWEST:
        n = max(FEW_COMPONENTS, min(WIDTHS[-1], min(map(len, sides)) // 5))  # a fifth of the cells at most
    else:
        n = FEW_COMPONENTS
    x = tuple(Projection.fit(a.X, a.uns[contract.PREPROCESSING]["sd"], n).transform(a.X) for a in sides)
    options |= {"method": method, "seed": seed, "groups": _groups(train, same_group)}
    options |= {"linked": by_links, "labels": compare.labels_of(train)}
    f = known.align(*names).matrix
    result = check = estimate(x, f, **options)
    pairs = left_out_pairs(f, seed)
    # with no pair left out, or none to find a partner for, F~ without the left-out pairs is F~
    if len(pairs) and result.info["regime"] != "known":
        check = estimate(x, without_pairs(f, pairs), chosen=result.chosen, **options)
    everyone = [a.obs_names for a in mdata.mod.values()]
    f, check = (Correspondence(e.matrix, *names).align(*everyone) for e in (result, check))
    return EstimatedCorrespondence(f, result.confidence, result.info["trusted"], check, result.info)


def _groups(mdata, column: str | None):
    """Labels of both modalities, "" where missing."""
    if column is None:
        return None
    for name, adata in mdata.mod.items():
        if column not in adata.obs:
            raise InputError(
                f"`same_group` names a column that {name} does not have",
                expected="a column of obs of both modalities: " + ", ".join(adata.obs.columns),
                found=column,
                change="`same_group` of the dataset",
            )
    columns = (a.obs[column] for a in mdata.mod.values())
    return tuple(np.where(c.isna(), "", c.astype(str)) for c in columns)
