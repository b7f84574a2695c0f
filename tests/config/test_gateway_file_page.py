"""docs/gateway-file.md says of every key what the schema says, and its example is valid."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from netctl.config import check_gateway
from netctl.config.gateway_file import GatewayFile
from netctl.config.shape import LATER, allowed_at, json_schema

PAGE = (Path(__file__).parents[2] / "docs/gateway-file.md").read_text()
SCHEMA = json_schema(GatewayFile)
SECTIONS = {
    "The file": SCHEMA,
    "A peer": SCHEMA["$defs"]["PeerFile"],
    "BFD": SCHEMA["$defs"]["BfdFile"],
    "A remote cloud": SCHEMA["$defs"]["CloudFile"],
    "An announcement": SCHEMA["$defs"]["AnnouncementFile"],
    "A check": SCHEMA["$defs"]["CheckFile"],
}


def rows(title: str) -> list[list[str]]:
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
    return allowed_at(inner) or allowed_at(inner.get("items", {}))


@pytest.mark.parametrize("title", SECTIONS)
def test_the_page_has_every_key_with_its_default_what_is_allowed_and_a_meaning(title: str) -> None:
    shape = SECTIONS[title]
    now = {name: node for name, node in shape["properties"].items() if LATER not in node}
    assert [row[:3] for row in rows(title)] == [
        [f"`{name}`", default(name, node, shape), allowed(node)] for name, node in now.items()
    ]
    assert all(row[3] for row in rows(title))


def test_the_page_has_every_key_for_later_with_its_only_value() -> None:
    wanted = {
        (f"`{name}`", title.lower() if title != "BFD" else title, node[LATER])
        for title, shape in SECTIONS.items()
        for name, node in shape["properties"].items()
        if LATER in node
    }
    assert {tuple(row) for row in rows("Keys for later")} == wanted


def test_the_pages_example_is_valid() -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert check_gateway(example, "example") == []
