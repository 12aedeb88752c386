"""The configuration: its schema, its defaults, and messages a user can act on."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Collection
from pathlib import Path

from jamie import registry
from jamie.errors import InputError, suggest

SCHEMA = Path(__file__).parents[2] / "config" / "schemas" / "config.schema.yaml"


def load_schema() -> dict:
    import yaml

    return yaml.safe_load(SCHEMA.read_text())


def check(config: dict) -> dict:
    """Check a configuration and return it with every default filled in.

    Raises
    ------
    InputError
        For an unknown key (with the nearest known one), a wrong type or value, a selection under ``run:``
        that names no catalogue entry, or an option that a method or the simulation does not have.
    """
    import jsonschema

    schema = load_schema()
    config = copy.deepcopy(dict(config))
    validator = jsonschema.Draft202012Validator(schema)
    errors = sorted(validator.iter_errors(config), key=lambda e: [str(part) for part in e.path])
    if errors:
        raise _explain(errors[0])
    config = with_defaults(config, schema, schema)
    for name in config["run"]["methods"]:
        _check_known(name, {**registry.specs(), **config["methods"]}, "run: methods")
        config["methods"].setdefault(name, {"base": None, "label": None, "options": {}, "tune": True})
    for name, entry in config["methods"].items():
        entry["base"] = entry["base"] or name
        _check_method(name, entry)
    for name, entry in config["datasets"].items():
        if entry["reader"] == "simulate":
            _check_simulation(name, entry["options"])
    for kind in ("datasets", "scenarios"):
        for name in config["run"][kind]:
            _check_known(name, config[kind], f"run: {kind}")
    for name in config["run"]["apply"]:
        _check_known(name, config["models"], "run: apply")
    return config


def with_defaults(value, schema: dict, root: dict):
    """``value`` with the schema's defaults where keys are absent."""
    schema = resolve(schema, root)
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for key, part in schema.get("properties", {}).items():
        part = resolve(part, root)
        if key not in filled and "default" in part:
            filled[key] = copy.deepcopy(part["default"])
        if key in filled:
            filled[key] = with_defaults(filled[key], part, root)
    rest = schema.get("additionalProperties")
    if isinstance(rest, dict):
        for key in filled:
            if key not in schema.get("properties", {}):
                filled[key] = with_defaults(filled[key], rest, root)
    return filled


def resolve(schema: dict, root: dict) -> dict:
    """A part of the schema with its ``$ref`` filled in; keys beside the reference win."""
    if "$ref" not in schema:
        return schema
    return root["$defs"][schema["$ref"].rsplit("/", 1)[1]] | {k: v for k, v in schema.items() if k != "$ref"}


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
    known = specs[entry["base"]].options
    _check_options(f"Method {name!r}", entry["options"], known, f"methods: {name}: options")


def _check_simulation(name: str, options: dict) -> None:
    from jamie.data.simulate import simulate_multiome

    known = inspect.signature(simulate_multiome).parameters
    _check_options(f"The simulation {name!r}", options, known, f"datasets: {name}: options")


def _check_options(what: str, options: dict, known: Collection[str], place: str) -> None:
    for option in map(str, options):
        if option not in known:
            raise InputError(
                f"{what} has no option {option!r}",
                expected="one of " + (", ".join(known) or "no option at all"),
                found=option,
                change=suggest(option, known, f"`{place}`"),
            )
