"""Runs a file's pydantic model and words its complaints with the help of the model's JSON Schema."""

from __future__ import annotations

from difflib import get_close_matches
from functools import lru_cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from netctl.config.problem import Loc, Problem, show_value
from netctl.config.reader import Document

LATER = "x-not-yet-supported"
"""Schema keyword of a key whose function comes later; its value is what the key may hold until then."""
LATER_WORDS = "x-words-not-yet-supported"
"""Schema keyword: single values of a key whose function comes later."""
NO_KEY = "x-words-no-key"
"""Schema keyword of a mapping's keys: what is wrong with one that is none; without it "is no name"."""

_Model = TypeVar("_Model", bound=BaseModel)

_WANTED = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "list_type": "must be a list (lines that start with '- ')",
    "dict_type": "must be a mapping (KEY: VALUE lines)",
    "model_type": "must be a mapping (KEY: VALUE lines)",
    "none_required": "must be null",
    "missing": "is missing",
    "too_short": "has too few entries",
    "too_long": "has too many entries",
    "string_too_short": "is too short",
    "string_too_long": "is too long",
    "greater_than_equal": "is too small",
    "less_than_equal": "is too large",
    "literal_error": "is not allowed here",
}
"""pydantic's error type → what is wrong, in words."""


@lru_cache
def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}


def check_shape(document: Document, model: type[_Model]) -> tuple[_Model | None, list[tuple[Loc, Problem]]]:
    """The validated file, or None and every problem of shape with its place in the data."""
    try:
        return model.model_validate(document.data), []
    except ValidationError as error:
        errors = error.errors(include_url=False)
    schema = json_schema(model)
    unknown = {item["loc"]: _nearest(schema, item["loc"]) for item in errors if item["type"] == "extra_forbidden"}
    mistyped = {(*loc[:-1], near) for loc, near in unknown.items() if near}
    problems = [
        (item["loc"], _problem(document, schema, item, unknown))
        for item in errors
        if item["type"] != "missing" or item["loc"] not in mistyped  # it is there, under a name with a typo
    ]
    return None, problems


def _problem(document: Document, schema: dict[str, Any], item: Any, unknown: dict[Loc, str]) -> Problem:
    kind, value = item["type"], item["input"]
    loc: Loc = item["loc"]
    if kind == "extra_forbidden":
        near = unknown[loc]
        allowed = "" if near else ", ".join(properties_at(schema, loc[:-1]))
        return document.problem(loc, "unknown key", key=True, value=_short(value), allowed=allowed, meant=near)
    if loc and loc[-1] == "[key]":
        loc = loc[:-1]
        value = str(loc[-1])
        rule = schema_at(schema, loc[:-1]).get("propertyNames", {})
        what = str(rule.get(NO_KEY, "is no name"))
        return document.problem(loc, what, key=True, value=show_value(value), allowed=allowed_at(rule))
    node = schema_at(schema, loc)
    what = _WANTED.get(kind, "is not allowed here")
    if kind == "value_error":
        what = str(item["ctx"]["error"])
    allowed = allowed_at(node)
    if (rule := _later_rule(schema, loc)) is not None:
        what, allowed = "is not yet supported", rule
    elif isinstance(value, str) and value in node.get(LATER_WORDS, ()):
        what = "is not yet supported"
    elif kind == "int_type" and isinstance(value, str) and value.isdecimal():
        what = "must be a whole number; take the quotes away"
    elif kind == "string_type" and isinstance(value, int | float) and not isinstance(value, bool):
        what = "must be a text; put it in quotes"
    elif kind == "missing":
        return document.problem(loc, what, key=True, allowed=allowed)
    shown = show_value(value)
    return document.problem(loc, what, value="" if shown in what else shown, allowed=allowed)


def _short(value: object) -> str:
    return "" if isinstance(value, dict | list) else show_value(value)


def _later_rule(schema: dict[str, Any], loc: Loc) -> str | None:
    """What a not yet supported key may hold, when ``loc`` is at or below one."""
    for length in range(1, len(loc) + 1):
        node = schema_at(schema, loc[:length])
        if LATER in node:
            return f"{node[LATER]}, or leave it out"
    return None


def _nearest(schema: dict[str, Any], loc: Loc) -> str:
    key, known = str(loc[-1]), properties_at(schema, loc[:-1])
    return nearest(key, known)


def nearest(word: str, known: list[str]) -> str:
    """The known word that was probably meant, or ""."""
    simple = {name.replace("_", "").replace("-", "").lower(): name for name in known}
    matches = get_close_matches(word.replace("_", "").replace("-", "").lower(), simple, n=1, cutoff=0.6)
    return simple[matches[0]] if matches and simple[matches[0]] != word else ""


def properties_at(schema: dict[str, Any], loc: Loc) -> list[str]:
    """The keys that the mapping at ``loc`` may have."""
    return list(schema_at(schema, loc).get("properties", ()))


def schema_at(schema: dict[str, Any], loc: Loc) -> dict[str, Any]:
    """The schema of the value at ``loc``; empty when the schema says nothing about it."""
    node = _resolve(schema, schema)
    for part in loc:
        if isinstance(part, int):
            node = node.get("items", {})
        else:
            node = node.get("properties", {}).get(part) or node.get("additionalProperties") or {}
        node = _resolve(schema, node)
    return node


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    """Follow ``$ref``, ``X | null`` and ``X`` or a single word, keeping what stands beside them."""
    while True:
        if "$ref" in node:
            rest = {key: value for key, value in node.items() if key != "$ref"}
            node = {**schema["$defs"][node["$ref"].rpartition("/")[2]], **rest}
            continue
        choices = [choice for choice in node.get("anyOf", ()) if choice.get("type") != "null" and "const" not in choice]
        if len(choices) != 1:
            return node
        rest = {key: value for key, value in node.items() if key != "anyOf"}
        node = {**choices[0], **rest}


def allowed_at(node: dict[str, Any]) -> str:
    """What a value may be, in words."""
    words = ""
    if "x-allowed" in node:
        words = str(node["x-allowed"])
    elif "enum" in node or "const" in node:
        words = ", ".join(map(_word, node.get("enum") or [node["const"]]))
    elif "minimum" in node and "maximum" in node:
        words = f"{node['minimum']} to {node['maximum']}"
    elif "properties" in node:
        words = "the keys " + ", ".join(node["properties"])
    elif node.get("minItems") == 1:
        words = "at least one entry"
    elif node.get("type") == "boolean":
        words = "true, false"
    return words


def _word(value: object) -> str:
    return value if isinstance(value, str) else show_value(value)
