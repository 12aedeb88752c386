"""What of a run can be compared: scenarios that differ in their pairs, variants that differ in their options.

No heavy imports: the rules ask this before anything runs.
"""

from __future__ import annotations

MIN_COMPARED = 3  # two points are no curve, and two variants are a line of the scores figure


def pairing_series(names: list[str], scenarios: dict[str, dict]) -> tuple[list[str], list[str]]:
    """Scenarios that differ only in how many pairs are known, and only in how many of these are wrong.

    Of several such series the first wins that holds cells out, or else the longest one.

    Parameters
    ----------
    names
        The scenarios that are run.
    scenarios
        Their config entries.

    Returns
    -------
    known
        By rising share of known pairs, none of them wrong; empty if there are fewer than three.
    wrong
        By rising share of wrong pairs, at the largest share of known pairs and beginning with none wrong;
        empty if no such scenario has a wrong pair.
    """
    series: dict[tuple, list[str]] = {}
    for name in names:
        series.setdefault(_apart_from_pairs(scenarios[name]), []).append(name)
    best: tuple[list[str], list[str]] = ([], [])
    for members in series.values():
        right = _one_each([n for n in members if not scenarios[n]["wrong_pairs"]], "known_pairs", scenarios)
        if len(right) < MIN_COMPARED:
            continue
        most = scenarios[right[-1]]["known_pairs"]
        wrong = _one_each(
            [n for n in members if scenarios[n]["known_pairs"] == most], "wrong_pairs", scenarios
        )
        found = right, wrong if len(wrong) > 1 else []
        if not best[0] or _rank(found, scenarios) > _rank(best, scenarios):
            best = found
    return best


def variants(names: list[str], methods: dict[str, dict]) -> list[str]:
    """Methods of one base that differ in their options, in the order of the run: the first is the reference.

    Empty where no base has three of them. Of several bases, the one that is listed first.
    """
    by_base: dict[str, list[str]] = {}
    for name in names:
        by_base.setdefault(methods[name]["base"], []).append(name)
    for members in by_base.values():
        options = [methods[name]["options"] for name in members]
        distinct = [name for i, name in enumerate(members) if options[i] not in options[:i]]
        if len(distinct) >= MIN_COMPARED:
            return distinct
    return []


def _apart_from_pairs(entry: dict) -> tuple:
    """Everything a scenario says but its shares of known and of wrong pairs."""
    return tuple(sorted((k, repr(v)) for k, v in entry.items() if k not in ("known_pairs", "wrong_pairs")))


def _one_each(names: list[str], key: str, scenarios: dict[str, dict]) -> list[str]:
    """One scenario for each value of ``key``, by rising value."""
    by_value: dict[float, str] = {}
    for name in names:
        by_value.setdefault(scenarios[name][key], name)
    return [by_value[value] for value in sorted(by_value)]


def _rank(found: tuple[list[str], list[str]], scenarios: dict[str, dict]) -> tuple[bool, int]:
    return scenarios[found[0][0]]["held_out"] > 0, len(found[0])
