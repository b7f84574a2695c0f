"""The text of a registry file → its entries, as any registry would give them.

``{version: 1, services: {orders: {instances: {vm5: {address: ..., ports: {...}}}}}}``; version may be left out.
What is wrong with the file's frame is refused with its place; what is wrong with an instance is left to
``names.entries``.
"""

from __future__ import annotations

import json
from difflib import get_close_matches
from typing import Any

from netctl.config.problem import ConfigError, Loc, show_value
from netctl.config.reader import Document, read_document

VERSION = 1


def read_entries(text: str, source: str) -> dict[str, bytes]:
    """Key (``service/instance``) → value (JSON). Raises ConfigError with every problem and its line."""
    document = read_document(text, source)
    if not document.problems:
        if document.data is None:
            document.problems.append(document.problem((), "is empty; a file without services says so: 'services: {}'"))
        entries = _services(document)
    if document.problems:
        raise ConfigError(source, sorted(document.problems))
    return entries


def _services(document: Document) -> dict[str, bytes]:
    top = _mapping(document, (), document.data, ("version", "services"))
    version = top.get("version", VERSION)
    if version != VERSION or isinstance(version, bool):
        document.problems.append(
            document.problem(("version",), "is not known", value=show_value(version), allowed=str(VERSION))
        )
    if top and "services" not in top:
        document.problems.append(document.problem((), "services is missing"))
    entries = {}
    for service, about in _mapping(document, ("services",), top.get("services", {})).items():
        loc: Loc = ("services", service)
        inner = _mapping(document, loc, about, ("instances",))
        if isinstance(about, dict) and "instances" not in about:
            document.problems.append(document.problem(loc, "instances is missing", key=True))
        for name, fields in _mapping(document, (*loc, "instances"), inner.get("instances", {})).items():
            # Characters of every kind survive as escapes, NaN as a word that is no JSON: the entry's reader judges.
            entries[f"{service}/{name}"] = json.dumps(fields, separators=(",", ":")).encode()
    return entries


def _mapping(document: Document, loc: Loc, value: Any, allowed: tuple[str, ...] = ()) -> dict[str, Any]:
    """The mapping at ``loc``; empty, with a problem noted, when it is none. ``allowed``: its keys, () for any."""
    if not isinstance(value, dict):
        if not (loc == () and value is None):
            what = "must be a mapping (KEY: VALUE lines)"
            document.problems.append(document.problem(loc, what, value=show_value(value)))
        return {}
    for key in value:
        if allowed and key not in allowed:
            near = get_close_matches(key, allowed, 1)
            meant = near[0] if near else ""
            document.problems.append(
                document.problem((*loc, key), "unknown key", key=True, allowed=", ".join(allowed), meant=meant)
            )
    return value
