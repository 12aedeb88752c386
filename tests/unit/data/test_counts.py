"""Counts are told from what was made of them, found where they are, and rounded where they have fractions."""

import anndata
import numpy as np
import pytest
from scipy import sparse

from jamie.data import counts, notices
from jamie.errors import InputError

RNG = np.random.default_rng(0)
N, P = 60, 300
GENE = RNG.lognormal(-1, 1.5, P)
COUNTS = RNG.poisson(GENE * RNG.lognormal(0, 0.6, (N, 1))).astype(float)
COUNTS[:, 0] += 30  # some gene is always high
DEPTH = COUNTS.sum(axis=1, keepdims=True)
AMBIENT = RNG.beta(1, 12, P)  # share of each gene's counts that is not the cell's
LENGTH = RNG.lognormal(0, 1, P)

MADE = {
    "log1p of depth": (np.log1p(COUNTS / DEPTH * 1e4), "log1p of values with the same sum"),
    "some genes of that": (np.log1p(COUNTS / DEPTH * 1e4)[:, ::2], "logarithms, ratios or TF-IDF"),
    "log1p": (np.log1p(COUNTS), "log1p of whole numbers"),
    "log2": (np.log2(1 + COUNTS), "log2(1 + x) of whole numbers"),
    "roots": (np.sqrt(COUNTS), "square roots of whole numbers"),
    "per million": (COUNTS / DEPTH * 1e6, "same sum"),
    "some genes per million": ((COUNTS / DEPTH * 1e6)[:, ::2], "multiples of one number"),
    "by length": (COUNTS / DEPTH * 1e6 / LENGTH, "not near whole numbers"),
    "scaled": (COUNTS - COUNTS.mean(axis=0), "negative"),
    "nothing": (np.zeros((N, P)), "all zero"),
}
FRACTIONS = {
    "less ambient": COUNTS * (1 - AMBIENT),
    "less in each": COUNTS * (1 - RNG.beta(1, 15, (N, P))),
    "shared out": np.where(RNG.random((N, P)) < 0.8, COUNTS, COUNTS * RNG.random((N, P))),
}


@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray])
@pytest.mark.parametrize("name", MADE)
def test_what_was_made_of_counts_is_none(name, form):
    values, why = MADE[name]
    values = form(values.astype(np.float32))
    assert why in counts.why_not_fractions(values)
    assert counts.rounded(values, "rna") is values


@pytest.mark.parametrize("form", [sparse.csr_matrix, np.asarray])
@pytest.mark.parametrize("name", FRACTIONS)
def test_counts_with_fractions_are_rounded_and_said(name, form, caplog):
    values = FRACTIONS[name].astype(np.float32)
    given = form(values)
    whole = counts.rounded(given, "rna")
    assert counts.are_counts(whole) and np.array_equal(whole.toarray(), np.rint(values))
    assert whole.data.all() and np.array_equal(
        values, given.toarray() if form is sparse.csr_matrix else given
    )
    n = np.count_nonzero(values != np.floor(values))
    assert f"their sum changes by {np.rint(values).sum() / values.sum() - 1:+.1%}" in caplog.text
    assert f"{n:,}" in caplog.text


def test_counts_are_left_as_they_are(caplog):
    given = sparse.csr_matrix(COUNTS)
    assert counts.are_counts(given) and counts.rounded(given, "rna") is given and not caplog.text


@pytest.mark.parametrize("bad", [-1, np.nan, np.inf, 0.5])
def test_what_no_count_is(bad):
    values = COUNTS.copy()
    values[3, 4] = bad
    assert not counts.are_counts(values)
    assert not counts.are_counts(np.zeros((3, 3))) and not counts.are_counts(None)


def in_layers(x, raw=None, **layers):
    adata = anndata.AnnData(
        None if x is None else x.copy(), layers=layers, shape=None if x is not None else (N, P)
    )
    if raw is not None:
        adata.raw = anndata.AnnData(raw.copy())
    return adata


LOGS = MADE["log1p of depth"][0]


@pytest.mark.parametrize(
    ("adata", "place"),
    [
        (in_layers(COUNTS, other=COUNTS), "X"),
        (in_layers(LOGS, raw=COUNTS, scaled=MADE["scaled"][0]), "raw/X"),
        (in_layers(LOGS, umi=COUNTS), "layers/umi"),
        (in_layers(LOGS, counts=COUNTS, spliced=COUNTS), "layers/counts"),
        (in_layers(None, counts=COUNTS, data=LOGS), "layers/counts"),
        (in_layers(FRACTIONS["less ambient"], raw=COUNTS), "X"),
        (in_layers(LOGS, raw=LOGS), "X"),
    ],
)
def test_counts_are_found_where_they_are(adata, place):
    with notices.collected() as rows:
        assert counts.find(adata, "rna") == place
    assert len(rows) == (place != "X")
    if rows:
        assert (
            rows[0][0] == "rna"
            and f"those in {place.split('/')[0 if 'raw' in place else 1]} were" in rows[0][1]
        )


def test_of_several_layers_of_counts_none_is_guessed():
    with pytest.raises(InputError, match="several other places") as error:
        counts.find(in_layers(LOGS, raw=COUNTS, spliced=COUNTS), "rna")
    assert "spliced, raw" in error.value.found and "`modalities.rna.layer`" in error.value.change
    assert "spliced or raw" in error.value.change and "log1p" in error.value.found
