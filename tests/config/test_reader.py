"""Text → data and places: YAML 1.2, and none of its traps."""

from __future__ import annotations

from typing import Any

import pytest

from netctl.config.reader import MAX_DEPTH, read_document


def data(text: str) -> Any:
    document = read_document(text, "f")
    assert not document.problems, document.problems
    return document.data


def refusal(text: str) -> str:
    document = read_document(text, "f")
    assert document.fatal
    assert len(document.problems) == 1
    return str(document.problems[0])


def test_scalars_are_read_by_the_core_schema_of_yaml_1_2() -> None:
    text = "[yes, no, on, 010, 0o10, 0x1f, 1_000, 12:30:45, 1e3, .5, ~, null, True, 2001-01-01, '5', \"x\"]"
    assert data(text) == [
        *("yes", "no", "on", 10, 8, 31, "1_000", "12:30:45", 1000.0, 0.5, None, None, True, "2001-01-01", "5", "x")
    ]


def test_places_are_those_of_keys_and_values_from_one() -> None:
    document = read_document("a: 1\nb:\n  - c: [x, y]\n", "f")
    assert document.place(("a",)) == (1, 4)
    assert document.place(("b", 0, "c"), key=True) == (3, 5)
    assert document.place(("b", 0, "c", 1)) == (3, 12)
    assert document.place(("b", 0, "nothing")) == (3, 5)


def test_a_duplicate_key_keeps_its_first_value_and_is_reported() -> None:
    document = read_document("a: {x: 1}\na: {x: 2, x: 3}\nb: 4\n", "f")
    assert document.data == {"a": {"x": 1}, "b": 4}
    assert str(document.problems[0]) == "f:2:1: a: duplicate key; it stands in line 1 already"
    assert not document.fatal


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n\t- b\n", "f:2:1: a tab indents this line; indent with spaces"),
        ("a: &x [1]\nb: *x\n", "f:1:4: anchors and aliases (& and *) are not allowed; write the value out"),
        ("b: *x\n", "f:1:4: anchors and aliases (& and *) are not allowed; write the value out"),
        ("a: !!str 5\n", "f:1:4: tags are not allowed"),
        ("a: !!python/object:os.system x\n", "f:1:4: tags are not allowed"),
        ("a: 1\n---\nb: 2\n", "f:2:1: a second document starts here; a file holds one"),
        ("? [a, b]\n: 1\n", "f:1:3: a key must be a plain word"),
        ('a: "x\n', "is not YAML"),
        ("a: b: c\n", "f:1:5: is not YAML: mapping values are not allowed here"),
        ("a: \x01\n", "f:1:4: character '\\x01' may not stand in a text"),
        ("[" * 1_000_000, f"nested deeper than {MAX_DEPTH} levels"),  # quadratic where depth is not bounded
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), f"nested deeper than {MAX_DEPTH} levels"),
        ("x" * (1024 * 1024 + 1), "f: is longer than 1024 KiB"),
    ],
)
def test_what_a_configuration_never_needs_is_refused_in_one_line(text: str, said: str) -> None:
    assert said in refusal(text)
    assert "\n" not in refusal(text)


def test_aliases_that_would_grow_to_gigabytes_are_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert refusal("\n".join(lines)).startswith("f:1:5: anchors")


def test_a_number_of_many_digits_stays_a_text() -> None:
    assert data("a: " + "9" * 5000) == {"a": "9" * 5000}


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    assert data("\ufeffversion: 1\n") == {"version": 1}
