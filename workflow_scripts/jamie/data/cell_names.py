"""Names of cells that should be equal and are not: what would make those of two modalities match."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

FIRST_PART, LAST_PART = r"^[^\W_]+[\W_]+", r"[\W_]+[^\W_]+$"  # with the separator beside it
BUT_LAST, BUT_FIRST = r"^.*[\W_]+", r"[\W_]+.*$"
PART_PATTERNS = rf"({LAST_PART})", rf"({FIRST_PART})"
BARCODE = r"([ACGTN]{8,})"
FEW_CELLS, FEW_SHARE = 3, 0.1  # fewer matches (cells; share of the smaller side) are chance
NEARLY = 0.9  # of the most matches: a simpler rule that reaches it is told
MOST_SAMPLES = 50

Change = Callable[[pd.Series], pd.Series]


@dataclass(frozen=True)
class Rule:
    """What would make names equal, in words that follow "if", how many cells it joins, and examples.

    ``alike``: names would differ in nothing but case, separators or white space, or their barcodes are equal;
    else equal keys may be chance, as those of cells that are numbered within samples.
    """

    words: str
    n_cells: int
    examples: list[tuple[str, str]]
    alike: bool


def _same(names: pd.Series) -> pd.Series:
    return names


def _casefold(names: pd.Series) -> pd.Series:
    return names.str.casefold()


def _without(pattern: str) -> Change:
    return lambda names: names.str.replace(pattern, "", regex=True)


def _barcode(names: pd.Series) -> pd.Series:
    return names.str.upper().str.extract(BARCODE, expand=False).fillna("")


def _reverse_complement(names: pd.Series) -> pd.Series:
    table = str.maketrans("ACGT", "TGCA")
    return _barcode(names).str.translate(table).str[::-1]


def _sorted_parts(names: pd.Series) -> pd.Series:
    return names.str.split(r"[\W_]+", regex=True).map(lambda parts: " ".join(sorted(parts)))


def _alike(names: pd.Series) -> pd.Series:
    """Without what separators and case tell apart."""
    return names.str.strip().str.casefold().str.replace(r"[\W_]+", "_", regex=True)


def _rules(first: str, second: str) -> Iterator[tuple[str, Change, Change, bool]]:
    """Words, the change of the first and of the second side, whether keys are alike; simple ones first."""
    space, separators = _without(r"^\s+|\s+$"), _without(r"[\W_]+")
    yield "names had no white space around them", space, space, True
    yield "upper and lower case were the same", _casefold, _casefold, True
    yield "separators were the same", separators, separators, True
    yield "case and separators were the same", _alike, _alike, True
    parts = (
        ("had no suffix (what follows the last separator)", LAST_PART),
        ("had no prefix (what precedes the first separator)", FIRST_PART),
        ("were only what follows the last separator", BUT_LAST),
        ("were only what precedes the first separator", BUT_FIRST),
    )
    for words, pattern in parts:
        cut = _without(pattern)
        yield f"names of {first} {words}", cut, _same, False
        yield f"names of {second} {words}", _same, cut, False
        yield f"all names {words}", cut, cut, False
    yield "the parts of a name stood in the same order", _sorted_parts, _sorted_parts, False
    yield "names were the barcodes alone", _barcode, _barcode, True
    yield f"barcodes of {second} were reverse-complemented", _barcode, _reverse_complement, True


def rule_that_matches(first: pd.Index, second: pd.Index, names: tuple[str, str]) -> Rule | None:
    """The simplest change of names after which most cells of one side are cells of the other.

    Parameters
    ----------
    first, second
        Names of cells that have no partner so far, each once.
    names
        Those of the modalities, for words.

    Returns
    -------
    None where no rule joins more than a few. Names that a rule makes equal within a side do not count.
    """
    sides = [pd.Series(np.asarray(side, dtype=str)) for side in (first, second)]
    tried = []
    for words, *changes, alike in _rules(*names):
        keys = [change(side) for change, side in zip(changes, sides, strict=True)]
        tried.append((words, *_joined(keys), alike))
        if not alike:
            keys = [_alike(key) for key in keys]
            tried.append((f"{words}, and case and separators were the same", *_joined(keys), alike))
    most = max(len(rows) for _, rows, _, _ in tried)
    if most < max(FEW_CELLS, FEW_SHARE * min(map(len, sides))):
        return None
    words, rows, cols, alike = next(one for one in tried if len(one[1]) >= NEARLY * most)
    joined = sides[0].iloc[rows], sides[1].iloc[cols]
    examples = list(zip(*(side.iloc[:3] for side in joined), strict=True))
    return Rule(words + _exchanged(*joined, names), len(rows), examples, alike or _are_barcodes(joined[0]))


def _joined(keys: list[pd.Series]) -> tuple[np.ndarray, np.ndarray]:
    """Places of the keys that each side has exactly once and both have: int (n,), int (n,)."""
    once = [key[~key.duplicated(keep=False) & (key != "")] for key in keys]
    place = pd.Index(once[1]).get_indexer(pd.Index(once[0]))
    found = place >= 0
    return once[0].index.to_numpy()[found], once[1].index.to_numpy()[place[found]]


def _exchanged(first: pd.Series, second: pd.Series, names: tuple[str, str]) -> str:
    """Which samples of one side are which of the other, if names that belong together say it; else empty."""
    for pattern in PART_PATTERNS:
        parts = [side.str.extract(pattern, expand=False).to_numpy() for side in (first, second)]
        table = pd.crosstab(*parts)
        same_words = set(table.index) == set(table.columns) and 2 <= len(table) <= MOST_SAMPLES
        if same_words and (table.to_numpy() > 0).sum() == len(
            table
        ):  # one of each side for each of the other
            other = table.idxmax(axis=1)
            moved = [f"{a} of {names[0]} is {b} of {names[1]}" for a, b in other.items() if a != b]
            return f" ({', '.join(moved[:4])})" if moved else ""
    return ""


def _are_barcodes(names: pd.Series) -> bool:
    return bool((_barcode(names) != "").all())


def sample_part(names: pd.Index, smallest: int) -> pd.Series | None:
    """What tells the sample in names like ``x-1`` or ``A_x``: str (n,) such as "-1" or "A_"; None without.

    It is the first or the last part, if it has 2 to 50 different values and each of them ``smallest`` cells.
    """
    text = pd.Series(np.asarray(names, dtype=str))
    for pattern in PART_PATTERNS:
        part = text.str.extract(pattern, expand=False)
        sizes = part.value_counts()
        if part.notna().all() and 2 <= len(sizes) <= MOST_SAMPLES and sizes.min() >= smallest:
            return part
    return None
