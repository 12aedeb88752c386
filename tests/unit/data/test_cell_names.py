"""Names of cells that differ between modalities by a rule: the rule is told."""

import numpy as np
import pandas as pd
import pytest

from jamie.data.cell_names import rule_that_matches, sample_part

MODALITIES = ("rna", "atac")


def barcodes(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT"), 16)) for _ in range(n)]


CELLS = barcodes(100)
REVERSED = [cell.translate(str.maketrans("ACGT", "TGCA"))[::-1] for cell in CELLS]


SUFFIX = "had no suffix (what follows the last separator)"
PREFIX = "had no prefix (what precedes the first separator)"


def named(form: str, cells=CELLS) -> list[str]:
    return [form.replace("x", cell) for cell in cells]


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (named("A_x-1"), named("A#x-1"), "separators were the same"),
        (named("x-1"), CELLS, f"names of rna {SUFFIX}"),
        (CELLS, named("atac_x"), f"names of atac {PREFIX}"),
        (named("rna:x"), named("atac:x"), f"all names {PREFIX}"),
        ([cell.lower() for cell in CELLS], CELLS, "upper and lower case were the same"),
        (named(" x"), CELLS, "names had no white space around them"),
        (named("s1_x"), named("x_s1"), "the parts of a name stood in the same order"),
        (named("GSM1_run2_x"), CELLS, "names of rna were only what follows the last separator"),
        (named("a1x2"), named("z9x7"), "names were the barcodes alone"),
        (CELLS, REVERSED, "barcodes of atac were reverse-complemented"),
    ],
)
def test_the_rule_is_told(first, second, words):
    rule = rule_that_matches(pd.Index(first), pd.Index(second), MODALITIES)
    assert rule.words == words and rule.n_cells == 100 and len(rule.examples) == 3
    place = {name: k for k, name in enumerate(first)}, {name: k for k, name in enumerate(second)}
    assert all(place[0][one] == place[1][other] for one, other in rule.examples)


def test_a_rule_may_need_case_and_separators_besides():
    first, second = [f"A_{x}-1" for x in CELLS], [x.lower() for x in CELLS]
    rule = rule_that_matches(pd.Index(first), pd.Index(second), MODALITIES)
    assert rule.n_cells == 100


def test_samples_in_another_order_are_named():
    first = [f"{x}-{1 + k % 2}" for k, x in enumerate(CELLS)]
    second = [f"{x}-{2 - k % 2}" for k, x in enumerate(CELLS)]
    rule = rule_that_matches(pd.Index(first), pd.Index(second), MODALITIES)
    assert "-1 of rna is -2 of atac" in rule.words and "-2 of rna is -1 of atac" in rule.words
    assert rule.n_cells == 100 and rule.alike


@pytest.mark.parametrize("names", [CELLS, [f"p2_{k}" for k in range(100)]])
def test_other_cells_have_no_rule_or_one_that_may_be_chance(names):
    others = barcodes(100, seed=1) if names is CELLS else [f"p1_{k}" for k in range(100)]
    rule = rule_that_matches(pd.Index(names), pd.Index(others), MODALITIES)
    assert rule is None or not rule.alike


def test_names_that_a_rule_makes_equal_within_a_side_do_not_count():
    first = [f"{x}-{k}" for x in CELLS[:10] for k in range(5)]
    assert rule_that_matches(pd.Index(first), pd.Index(CELLS[:10]), MODALITIES) is None


def test_samples_are_told_from_a_suffix_or_a_prefix():
    assert sample_part(pd.Index([f"x{k}-{k % 2}" for k in range(40)]), 20).unique().tolist() == ["-0", "-1"]
    assert sample_part(pd.Index([f"A{k % 2}_x{k}" for k in range(40)]), 20).unique().tolist() == [
        "A0_",
        "A1_",
    ]
    assert sample_part(pd.Index([f"x{k}-{k % 2}" for k in range(40)]), 21) is None
    assert sample_part(pd.Index(CELLS), 1) is None
