"""The one exception a user is meant to read, and what it suggests."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something in the user's data or config is wrong.

    Parameters
    ----------
    problem
        What is wrong, in one short sentence.
    expected, found
        What the workflow needs, and what it saw instead.
    change
        Which config key or file to change, and how.
    """

    def __init__(self, problem: str, *, expected: str, found: str, change: str):
        self.problem, self.expected, self.found, self.change = problem, expected, found, change
        super().__init__(f"{problem}\n  expected: {expected}\n  found:    {found}\n  change:   {change}")

    def __reduce__(self):
        return (_rebuild, (self.problem, self.expected, self.found, self.change))


def _rebuild(problem, expected, found, change):
    return InputError(problem, expected=expected, found=found, change=change)


def suggest(name: str, known: Iterable[str], otherwise: str) -> str:
    """What to change about an unknown name: the nearest known one, or ``otherwise`` if none is near."""
    near = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else otherwise
