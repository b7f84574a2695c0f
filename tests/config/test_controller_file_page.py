"""docs/controller-file.md says of every key what the schemas say, and its examples are valid."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from netctl.config import KINDS, check_file
from netctl.config.shape import LATER, allowed_at

PAGE = (Path(__file__).parents[2] / "docs/controller-file.md").read_text()
SCHEMA = KINDS["controller"].schema()
SECTIONS = {
    "The file": SCHEMA,
    "A source": SCHEMA["$defs"]["SourceFile"],
    "etcd": SCHEMA["$defs"]["EtcdFile"],
    "A file as a source": SCHEMA["$defs"]["FileSourceFile"],
    "A cluster": SCHEMA["$defs"]["ClusterFile"],
    "DNS": SCHEMA["$defs"]["DnsFile"],
    "Guards": SCHEMA["$defs"]["GuardsFile"],
    "A check": SCHEMA["$defs"]["ServiceCheckFile"],
    "A service": SCHEMA["$defs"]["ServiceFile"],
    "Checkers": SCHEMA["$defs"]["CheckersFile"],
    "TLS": SCHEMA["$defs"]["TlsFile"],
    "The checker file": KINDS["checker"].schema(),
}


def cells(title: str) -> list[list[str]]:
    """The cells of the table under a heading, without its head."""
    section = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def default(name: str, node: dict[str, Any], shape: dict[str, Any]) -> str:
    if name in shape.get("required", ()):
        return "required"
    return "none" if node["default"] is None else json.dumps(node["default"])


def allowed(node: dict[str, Any]) -> str:
    inner = next((n for n in node.get("anyOf", ()) if n.get("type") != "null"), node)
    return allowed_at(node) or allowed_at(inner) or allowed_at(inner.get("items", {}))


@pytest.mark.parametrize("title", SECTIONS)
def test_the_page_has_every_key_with_its_default_what_is_allowed_and_a_meaning(title: str) -> None:
    shape = SECTIONS[title]
    now = {name: node for name, node in shape["properties"].items() if LATER not in node}
    assert [row[:3] for row in cells(title)] == [
        [f"`{name}`", default(name, node, shape), allowed(node)] for name, node in now.items()
    ]
    assert all(row[3] for row in cells(title))


def test_every_mapping_of_both_files_has_a_section() -> None:
    assert {shape["title"] for shape in SECTIONS.values()} == {
        shape["title"] for kind in ("controller", "checker") for shape in (KINDS[kind].schema(), *_defs(kind))
    }


def _defs(kind: str) -> list[dict[str, Any]]:
    return list(KINDS[kind].schema()["$defs"].values())


def test_the_page_has_every_key_for_later_with_its_only_value() -> None:
    wanted = {
        (f"`{name}`", title.lower(), node[LATER])
        for title, shape in SECTIONS.items()
        for name, node in shape["properties"].items()
        if LATER in node
    }
    assert {tuple(row) for row in cells("Keys for later")} == wanted


def test_the_pages_examples_are_valid() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert [check_file(example, "example") for example in examples] == [("controller", []), ("checker", [])]
