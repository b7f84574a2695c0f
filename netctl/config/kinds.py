"""All kinds of configuration files, and which one a text is."""

from __future__ import annotations

from typing import Any

from netctl.config.checker import CHECKER
from netctl.config.controller import CONTROLLER
from netctl.config.gateway import GATEWAY
from netctl.config.kind import Kind, version_problem
from netctl.config.problem import Problem
from netctl.config.reader import read_document

KINDS: dict[str, Kind[Any]] = {kind.noun: kind for kind in (GATEWAY, CONTROLLER, CHECKER)}
"""Noun → kind."""


def check_file(text: str, source: str) -> tuple[str, list[Problem]]:
    """Which kind of file it is ("" when it is none at all) and every problem of it. Never raises."""
    document = read_document(text, source)
    if document.fatal:
        return "", document.problems
    if not isinstance(document.data, dict) and (refusal := version_problem(document, "netctl file")) is not None:
        return "", [refusal]
    kind = max(KINDS.values(), key=lambda kind: _likeness(kind, document.data))
    return kind.noun, kind.check(document)[1]


def _likeness(kind: Kind[Any], data: dict[str, Any]) -> tuple[bool, int]:
    """How much a file's keys look like that kind's: first whether it names itself (``gateway: ga1``), then how many it
    has of those that only this kind has."""
    others = {key for other in KINDS.values() if other is not kind for key in other.model.model_fields}
    own = set(kind.model.model_fields) - others
    return kind.noun in own and kind.noun in data, len(own & data.keys())
