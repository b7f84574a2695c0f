"""Whatever becomes of a valid file: no traceback, places that exist, and the schema says the same as the reader."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from netctl.config import KINDS, ConfigError, check_file, parse_checker, parse_controller, parse_gateway
from netctl.config.reader import Document, read_document
from netctl.config.shape import check_shape
from netctl.model.controller import Checker, Controller
from netctl.model.gateway import Gateway
from tests.config.conftest import CHECKER, CONTROLLER, VALID

TEXTS = {"gateway": VALID, "controller": CONTROLLER, "checker": CHECKER}
MODELS = {"gateway": Gateway, "controller": Controller, "checker": Checker}
each_kind = pytest.mark.parametrize("kind", TEXTS)


def parse(kind: str, text: str) -> Any:
    if kind == "gateway":
        return parse_gateway(text, "f")
    if kind == "controller":
        return parse_controller(text, "f", folder="/etc/netctl", hostname="host1")
    return parse_checker(text, "f", folder="/etc/netctl")


# --- as much of JSON Schema (draft 2020-12) as the schemas use; an unknown keyword is an error --------

NOTES = {"$schema", "$defs", "title", "description", "default"}
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "null": type(None),
    "boolean": bool,
}


Rule = Callable[[Any, Any, dict[str, Any], dict[str, Any]], bool]


def accepts(schema: dict[str, Any], value: Any, root: dict[str, Any] | None = None) -> bool:
    """Whether the schema accepts the value."""
    root = schema if root is None else root
    for key, rule in schema.items():
        if key in NOTES or key.startswith("x-"):
            continue
        assert key in RULES, f"the schema uses {key!r}, which this test does not know"
        kind, holds = RULES[key]
        if _is(value, kind) and not holds(rule, value, schema, root):
            return False
    return True


def _is(value: Any, kind: str) -> bool:
    return kind == "any" or (
        isinstance(value, TYPES[kind]) and not (kind in {"integer", "number"} and isinstance(value, bool))
    )


def _same(a: Any, b: Any) -> bool:
    return type(a) is type(b) and bool(a == b)


def _others(rule: Any, value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any]) -> bool:
    others = [inner for key, inner in value.items() if key not in schema.get("properties", {})]
    return not others if rule is False else all(accepts(rule, inner, root) for inner in others)


RULES: dict[str, tuple[str, Rule]] = {
    "$ref": ("any", lambda rule, value, _, root: accepts(root["$defs"][rule.rpartition("/")[2]], value, root)),
    "type": ("any", lambda rule, value, *_: _is(value, rule)),
    "anyOf": ("any", lambda rule, value, _, root: any(accepts(choice, value, root) for choice in rule)),
    "not": ("any", lambda rule, value, _, root: not accepts(rule, value, root)),
    "const": ("any", lambda rule, value, *_: _same(value, rule)),
    "enum": ("any", lambda rule, value, *_: any(_same(value, choice) for choice in rule)),
    "minimum": ("number", lambda rule, value, *_: value >= rule),
    "maximum": ("number", lambda rule, value, *_: value <= rule),
    "pattern": ("string", lambda rule, value, *_: re.search(rule, value) is not None),
    "maxLength": ("string", lambda rule, value, *_: len(value) <= rule),
    "minItems": ("array", lambda rule, value, *_: len(value) >= rule),
    "maxItems": ("array", lambda rule, value, *_: len(value) <= rule),
    "items": ("array", lambda rule, value, _, root: all(accepts(rule, item, root) for item in value)),
    "minProperties": ("object", lambda rule, value, *_: len(value) >= rule),
    "required": ("object", lambda rule, value, *_: all(name in value for name in rule)),
    "properties": (
        "object",
        lambda rule, value, _, root: all(
            accepts(rule[key], inner, root) for key, inner in value.items() if key in rule
        ),
    ),
    "propertyNames": ("object", lambda rule, value, _, root: all(accepts(rule, name, root) for name in value)),
    "additionalProperties": ("object", _others),
}
"""Keyword → the type of value it speaks about, and whether (rule, value, schema around it, root schema) holds."""


# --- mutations -----------------------------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, 2, 3, -1, 255, 256, 257, 23456, 65536, 2**32 - 1, 2**32, 1.0, 0.5, float("nan")]),
    st.sampled_from(
        ["", "pa", "any", "ipv4", "10.0.0.1", "010.0.0.1", "224.0.0.1", "10.2.0.0/16", "10.2.0.1/16", "::/0"]
    ),
    st.sampled_from(
        [
            "a:1",
            "h:65536",
            "http://x",
            "http://x:0/",
            "https://[::1]:80/a?b",
            "path:any",
            "peer:pa",
            "auto",
            "none",
            "5m",
            "0s",
            "http://h:1",
            "/vm/",
            "orders",
            "~/x",
        ]
    ),
    st.sampled_from(["/run", "run", "gw-pa\n", "a/b", "..", "-a", "a" * 33, "\u00e4", "provider", "fabric", "1"]),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
)


def places(data: Any, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to every value."""
    inner = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [here, *(place for key, value in inner for place in places(value, (*here, key)))]


KEYS = ["mtu", "listen", "families", "local6", "tcp", "zzz", "when", "gateways"]
KEYS += ["http", "check", "cloud", "context", "consul", "etcd", "file", "tls", "type", "5m"]


@st.composite
def changed_data(draw: st.DrawFn, text: str) -> Any:
    """A valid file's data with one to three values replaced, keys added or entries removed."""
    data = copy.deepcopy(read_document(text, "f").data)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places(data)[1:] or [()]))
        if not place:
            break
        holder = data
        for part in place[:-1]:
            holder = holder[part]
        action = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
        if action == "replace":
            holder[place[-1]] = draw(VALUES)
        elif action == "remove":
            del holder[place[-1]]
        elif isinstance(holder, dict):
            holder[draw(st.sampled_from(KEYS))] = draw(VALUES)
    return data


often = settings(suppress_health_check=[HealthCheck.too_slow], max_examples=300, deadline=None)


@each_kind
@often
@given(choice=st.data())
def test_the_schema_accepts_exactly_what_the_reader_takes_for_well_shaped(kind: str, choice: st.DataObject) -> None:
    data = choice.draw(changed_data(TEXTS[kind]))
    if "\n" in repr(data) or "\\n" in repr(data):  # Python's $ matches before a last line break, JSON Schema's does not
        return
    shaped, _ = check_shape(Document("f", data), KINDS[kind].model)
    assert accepts(KINDS[kind].schema(), data) == (shaped is not None), data


@each_kind
@often
@given(choice=st.data())
def test_changed_characters_never_cause_a_traceback_and_places_stay_within_the_file(
    kind: str, choice: st.DataObject
) -> None:
    text = TEXTS[kind]
    for _ in range(choice.draw(st.integers(1, 4))):
        start = choice.draw(st.integers(0, len(text)))
        end = min(len(text), start + choice.draw(st.integers(0, 12)))
        patch = choice.draw(
            st.sampled_from([*"\t\n&*!|>%@`\"'{}[],:?-#~", "<<: ", "- ", "? ", "---\n", "!!x ", "\x00"])
            | st.text(max_size=4)
        )
        text = text[:start] + patch + text[end:]
    problems = KINDS[kind].check(read_document(text, "f"))[1]
    check_file(text, "f")
    rows = re.split("\r\n|[\n\r]", text)  # the line breaks of YAML 1.2
    for problem in problems:
        assert "\n" not in str(problem)
        assert str(problem).isprintable()
        assert problem.line <= len(rows)
        assert problem.column == 0 or problem.column <= len(rows[problem.line - 1]) + 1
    if problems:
        with pytest.raises(ConfigError):
            parse(kind, text)
    else:
        assert isinstance(parse(kind, text), MODELS[kind])


@each_kind
@often
@given(choice=st.data())
def test_changed_data_never_causes_a_traceback(kind: str, choice: st.DataObject) -> None:
    data = choice.draw(changed_data(TEXTS[kind]))
    file, problems = KINDS[kind].check(Document("f", data))
    assert (file is None) == bool(problems)
    assert all(str(problem).isprintable() for problem in problems)


@each_kind
@often
@given(data=VALUES)
def test_any_data_at_all_is_answered_with_problems(kind: str, data: Any) -> None:
    document = Document("f", data)
    assert check_shape(document, KINDS[kind].model)[0] is None
    assert KINDS[kind].rules(document) is not None


def test_the_schema_is_closed_at_every_level_and_names_every_key() -> None:
    for kind, count in (("gateway", 6), ("controller", 11), ("checker", 2)):
        schema = KINDS[kind].schema()
        objects = [schema, *schema["$defs"].values()]
        assert len(objects) == count
        assert all(node["additionalProperties"] is False for node in objects)
    schema = KINDS["gateway"].schema()
    assert {"probe_address", "md5_file", "listen", "mtu", "families", "local6", "address6"} <= set(
        schema["$defs"]["PeerFile"]["properties"]
    )


@each_kind
def test_a_valid_file_written_anew_by_another_yaml_writer_is_still_valid(kind: str, tmp_path: Any) -> None:
    path = tmp_path / "f.yaml"
    YAML(typ="safe", pure=True).dump(read_document(TEXTS[kind], "f").data, path)
    assert check_file(path.read_text(), "f") == (kind, [])
