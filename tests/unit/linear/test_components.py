"""How many components: by cells, by pairs, and the same for every method."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from jamie import registry
from jamie.data.correspondence import Correspondence
from jamie.linear.components import n_components
from jamie.methods import base

SPECS = registry.specs()


@pytest.mark.parametrize(("n_cells", "expected"), [(40, 30), (1_999, 30), (2_000, 100), (10**6, 100)])
def test_without_pairs_cells_decide(n_cells, expected):
    assert n_components(n_cells) == n_components(n_cells, 0) == expected


@pytest.mark.parametrize(
    ("n_cells", "n_pairs", "expected"),
    [
        (300, 1, 10),  # never fewer than 10 for want of pairs
        (300, 62, 10),
        (300, 90, 15),
        (300, 179, 29),
        (300, 180, 30),
        (300, 300, 30),  # as many as the cells allow
        (5_000, 180, 30),
        (5_000, 600, 100),
        (5_000, 5_000, 100),
    ],
)
def test_few_pairs_allow_few_components(n_cells, n_pairs, expected):
    assert n_components(n_cells, n_pairs) == expected


def test_it_never_falls_with_more_pairs_or_cells():
    for n_cells in (100, 3_000):
        found = [n_components(n_cells, n) for n in range(1, 700)]
        assert found == sorted(found)


def test_methods_ask_with_the_smaller_modality_and_their_pairs():
    names = [np.array([f"{m}{i}" for i in range(n)]) for m, n in (("a", 3_000), ("b", 2_500))]
    diagonal = sparse.csr_matrix((np.ones(300), (np.arange(300), np.arange(300))), (3_000, 2_500))
    known = Correspondence(diagonal, *names)
    train = SimpleNamespace(mod={n[0][0]: SimpleNamespace(n_obs=len(n)) for n in names})
    assert base.n_components(train, known, None) == 50
    assert base.n_components(train, None, None) == 100
    assert base.n_components(train, known, 7) == 7


def test_every_method_that_uses_components_leaves_their_number_to_the_rule():
    having = {name: spec for name, spec in SPECS.items() if "n_components" in spec.options}
    assert {"jamie", "cca", "ridge", "kernel_ridge", "nlma", "lma", "knn", "mmd_ma", "unioncom"} <= set(
        having
    )
    assert {spec.options["n_components"] for spec in having.values()} == {None}
