"""The configuration: its schema, its defaults, and messages a user can act on."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Mapping
from typing import get_args, get_origin, get_type_hints

from jamie import datasets_table, registry
from jamie.errors import InputError, suggest
from jamie.schema import load_schema, resolve, validator, with_defaults

DEEPEST = 20  # levels of keys
CODE = re.compile(r"<!--|</?script", re.IGNORECASE)  # what ends a script of a page, or begins another
TYPES = {
    int: ("integer", "a whole number"),
    float: ("number", "a number"),
    bool: ("boolean", "true or false"),
    str: ("string", "a word"),
    type(None): ("null", "null"),
}  # type -> its name in a schema, and in words


def check(config: dict) -> dict:
    """Check a configuration and return it with every default filled in.

    Raises
    ------
    InputError
        For an unknown key (with the nearest known one), a wrong type or value, a selection under ``run:``
        that names no catalogue entry, or an option that a method or the simulation does not have.
    """
    _check_plain(config, ())
    schema = load_schema()
    config = copy.deepcopy(dict(config))
    errors = sorted(validator(schema).iter_errors(config), key=lambda e: [str(part) for part in e.path])
    if errors:
        raise _explain(errors[0])
    config, rows = datasets_table.with_rows({"datasets_table": None} | config, schema)
    for name, row in rows.items():
        _check_plain(config["datasets"][name], (row.where,))
    config = with_defaults(config, schema, schema)
    _select_rows(config["run"], rows)
    for name in config["run"]["methods"]:
        _check_known(name, {**registry.specs(), **config["methods"]}, "run: methods")
        config["methods"].setdefault(name, with_defaults({}, schema["$defs"]["method"], schema))
    for name, entry in config["methods"].items():
        entry["base"] = entry["base"] or name
        _check_method(name, entry)
        _check_label(name, entry["label"])
        if config["run"]["deterministic"]:
            _keep_to_cpu(name, entry)
    for name, entry in config["datasets"].items():
        if entry["reader"] == "simulate":
            _check_simulation(name, entry["options"], rows.get(name))
    for kind in ("datasets", "scenarios"):
        for name in config["run"][kind]:
            _check_known(name, config[kind], f"run: {kind}")
    for name in config["run"]["scenarios"]:
        _check_batches(name, config)
    for name in config["run"]["apply"]:
        _check_known(name, config["models"], "run: apply")
    return config


def _explain(error) -> InputError:
    """One sentence about the first error, with the key it is at."""
    for inner in error.context:  # of the alternatives, the one of the value's own type
        if inner.validator == "additionalProperties":
            error = inner
    place = ": ".join(str(p) for p in error.absolute_path) or "the top level"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = sorted(str(key) for key in set(error.instance) - set(known))
        return InputError(
            f"Unknown config key {unknown[0]!r} at {place}",
            expected="one of " + ", ".join(known),
            found=", ".join(unknown),
            change=suggest(unknown[0], known, "remove it (config/README.md lists every key)"),
        )
    if error.validator == "required":
        return InputError(
            f"A config key is missing at {place}",
            expected=error.message,
            found=", ".join(error.instance) or "nothing",
            change=f"add it under {place}",
        )
    return InputError(
        f"The config value at {place} is not valid",
        expected=resolve(error.schema, {}).get("description", str(error.validator_value)).strip(),
        found=f"{error.instance!r} ({error.message})",
        change=f"`{place}` in the config file",
    )


def _check_known(name: str, catalogue: dict, place: str) -> None:
    if name not in catalogue:
        raise InputError(
            f"`{place}` names {name!r}, which is not in the catalogue",
            expected="one of " + ", ".join(catalogue),
            found=name,
            change=suggest(name, catalogue, f"add {name!r} to the catalogue"),
        )


def _check_method(name: str, entry: dict) -> None:
    specs = registry.specs()
    _check_known(entry["base"], specs, f"methods: {name}: base")
    types, place = registry.option_types(entry["base"]), f"methods: {name}: options"
    _check_options(f"Method {name!r}", entry["options"], types, place)
    if entry["pairs"] == "estimated" and not specs[entry["base"]].uses_pairs:
        raise InputError(
            f"Method {name!r} learns from no pair",
            expected="`pairs: estimated` for a method that does",
            found=f"base {entry['base']}",
            change=f"methods: {name}: pairs",
        )
    if entry["pairs"] == "estimated" and specs[entry["base"]].trains:
        raise InputError(
            f"Method {name!r} weighs the estimated correspondence itself",
            expected="its option `estimated`, `auto`, `always` or `never`",
            found="`pairs: estimated`",
            change=f"methods: {name}: pairs",
        )
    specs[entry["base"]].check(entry["options"])


def _check_batches(scenario: str, config: dict) -> None:
    """A scenario of batches is run on datasets that have some."""
    needed = [key for key in ("held_out_by", "known_in") if config["scenarios"][scenario][key] is not None]
    without = [name for name in config["run"]["datasets"] if config["datasets"][name]["batch"] is None]
    if needed and without:
        raise InputError(
            f"Scenario {scenario!r} is about batches, and dataset {without[0]!r} has none",
            expected="`batch` of the dataset: the column of `obs` with the batch",
            found=f"`{needed[0]}` of the scenario, and `batch: null`",
            change=f"`datasets: {without[0]}: batch`, or `run: scenarios`",
        )


def _keep_to_cpu(name: str, entry: dict) -> None:
    """Fix the device of a method that has a choice of it."""
    if "device" not in registry.option_types(entry["base"]):
        return
    if entry["options"].get("device") == "cuda":
        raise InputError(
            f"Method {name!r} is to run on a GPU and to be deterministic",
            expected="one of both: sums of a GPU come in no fixed order",
            found="`device: cuda` with `run: deterministic: true`",
            change=f"`methods: {name}: options: device`, or `run: deterministic`",
        )
    entry["options"]["device"] = "cpu"


def _check_label(name: str, label: str | None) -> None:
    if label is not None and not (label.strip() and label.isprintable()):
        raise InputError(
            f"The label of method {name!r} cannot be shown",
            expected="words in one line",
            found=ascii(label)[:200],
            change=f"`methods: {name}: label`",
        )


def _select_rows(run: dict, rows: dict) -> None:
    """Where `run: datasets` names the table, every row of it is run."""
    if datasets_table.EVERY_ROW in run["datasets"] and not rows:
        raise InputError(
            "`run: datasets` names the table of datasets, and there is none",
            expected="`datasets_table: FILE` in the config",
            found="nothing",
            change="add it, or name datasets",
        )
    chosen = ([*rows] if name == datasets_table.EVERY_ROW else [name] for name in run["datasets"])
    run["datasets"] = list(dict.fromkeys(name for names in chosen for name in names))


def _check_simulation(name: str, options: dict, row: datasets_table.Row | None) -> None:
    from jamie.data.simulate import simulate_multiome

    types = get_type_hints(simulate_multiome, localns={"MuData": object})  # imported in the function
    types.pop("return")
    place = row.column("options") if row else f"datasets: {name}: options"
    _check_options(f"The simulation {name!r}", options, types, place)


def _check_options(what: str, options: dict, types: dict[str, object], place: str) -> None:
    """Every option is known, and of its type."""
    known = list(types)
    for option, value in options.items():
        if option not in known:
            raise InputError(
                f"{what} has no option {option!r}",
                expected="one of " + (", ".join(known) or "no option at all"),
                found=option,
                change=suggest(option, known, f"`{place}`"),
            )
        if not validator(_schema_of(types[option])).is_valid(value):
            raise InputError(
                f"The option {option!r} is of another type",
                expected=_type_in_words(types[option]),
                found=f"{value!r:.200} ({type(value).__name__})",
                change=f"`{place}: {option}`",
            )


def _schema_of(hint) -> dict:
    """The JSON schema of a type."""
    if get_origin(hint) is tuple:
        return {"type": "array", "items": _schema_of(get_args(hint)[0])}
    if get_args(hint):
        return {"anyOf": [_schema_of(part) for part in get_args(hint)]}
    return {"type": TYPES[hint][0]}


def _type_in_words(hint) -> str:
    if get_origin(hint) is tuple:
        return f"a list, each of it {_type_in_words(get_args(hint)[0])}"
    return " or ".join(TYPES[part][1] for part in get_args(hint) or (hint,))


def _check_plain(value, path: tuple[str, ...]) -> None:
    """A config is of mappings with words as keys, lists, words, finite numbers, true, false and null."""
    place, problem = ": ".join(path[:5]) or "the top level", ""
    odd = [key for key in value if not isinstance(key, str)] if isinstance(value, Mapping) else []
    plain = isinstance(value, Mapping | list | tuple) or type(value) in TYPES
    if len(path) > DEEPEST:
        problem = f"The config has more than {DEEPEST} levels of keys at {place}"
    elif odd:
        problem = f"The config key {str(odd[0])!r} at {place} is no word"
    elif isinstance(value, str) and CODE.search(value):  # the report holds the config inside a script
        problem = f"The config value at {place} would be code in the report"
    elif not plain or (isinstance(value, float) and not math.isfinite(value)):
        problem = f"The config value at {place} is not valid"
    if problem:
        found = odd[0] if odd else value
        raise InputError(
            problem,
            expected="keys that are words; values that are words, finite numbers, true, false, null or lists",
            found=f"{found!s:.200} ({type(found).__name__})",
            change=f"`{place}` in the config file (quotes make a word)",
        )
    parts = value.items() if isinstance(value, Mapping) else ()
    for key, part in enumerate(value) if isinstance(value, list | tuple) else parts:
        _check_plain(part, (*path, str(key)))
