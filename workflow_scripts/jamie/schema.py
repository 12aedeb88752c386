"""The schema of the configuration: its defaults, and what holds a value to a part of it."""

from __future__ import annotations

import copy
import math
from pathlib import Path

ROOT = Path(__file__).parents[2]  # of the workflow
SCHEMA = Path(__file__).with_name("config.schema.yaml")


def load_schema() -> dict:
    import yaml

    return yaml.safe_load(SCHEMA.read_text())


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


def validator(schema: dict):
    """A validator for which 1.0 is no whole number and infinity no number: nothing computes with them."""
    from jsonschema import Draft202012Validator, validators

    strict = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: type(value) is int,
            "number": lambda _, value: type(value) in (int, float) and math.isfinite(value),
            "array": lambda _, value: isinstance(value, list | tuple),
        }
    )
    return validators.extend(Draft202012Validator, type_checker=strict)(schema)
