"""The one exception a user is meant to read."""


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
