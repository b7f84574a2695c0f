"""Text → plain data and the place of every key and value.

YAML 1.2 core schema, read from ruamel's parser events (not recursive: depth cannot overflow anything). What a
configuration never needs and attackers do is refused: anchors and aliases, tags, merge keys, further documents, files
over 1 MiB, more than 32 levels.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from netctl.config.problem import Loc, Problem, show_value, where

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
_MAX_DIGITS = 30
_BREAK = re.compile("\r\n|[\n\r]")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(slots=True)
class Document:
    """``data`` is dicts (text keys), lists and scalars. ``problems`` is not empty when something was refused;
    ``fatal`` then says that ``data`` is not worth looking at."""

    source: str
    data: Any = None
    problems: list[Problem] = field(default_factory=list)
    fatal: bool = False
    places: dict[Loc, tuple[int, int]] = field(default_factory=dict)
    """Where each value starts, as (line, column) from 1."""
    key_places: dict[Loc, tuple[int, int]] = field(default_factory=dict)

    def place(self, loc: Loc, *, key: bool = False) -> tuple[int, int]:
        """The place of the value at ``loc`` (or of its key), or of the nearest thing around it that is there."""
        while True:
            found = (self.key_places.get(loc) if key else None) or self.places.get(loc)
            if found or not loc:
                return found or (1, 1)
            loc = loc[:-1]

    def problem(
        self, loc: Loc, what: str, *, key: bool = False, value: str = "", allowed: str = "", meant: str = ""
    ) -> Problem:
        """A problem at ``loc`` of this document."""
        return Problem(*self.place(loc, key=key), where(loc), what, value, allowed, meant, self.source)


@dataclass(slots=True)
class _Open:
    """A mapping or list that is being read; ``key`` is the mapping's key that waits for its value."""

    loc: Loc
    value: dict[str, Any] | list[Any]
    key: str | None = None
    skip: bool = False
    """The waiting key is a duplicate: read its value and forget it."""


def read_document(text: str, source: str) -> Document:
    """Never raises: whatever is wrong with the text is in ``problems``."""
    document = Document(source)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        return _fatal(document, 0, 0, f"is longer than {MAX_BYTES // 1024} KiB")
    yaml = YAML(typ="safe", pure=True)
    try:
        _Builder(document).run(yaml.parse(text.removeprefix("\ufeff")))
    except ReaderError as error:
        before = _BREAK.split(text[: error.position])
        line, column = len(before), len(before[-1]) + 1
        return _fatal(
            document,
            line,
            column,
            f"character {text[error.position : error.position + 1]!a} may not stand in a text",
        )
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        return _fatal(document, line, column, _words(error, text, line, column))
    except (YAMLError, ValueError, RecursionError, AssertionError, IndexError, TypeError, AttributeError) as error:
        # The parser's own stumbles over mangled input.
        return _fatal(
            document, 1, 1, f"is not YAML: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        )
    return document


def _fatal(document: Document, line: int, column: int, what: str) -> Document:
    document.problems.append(Problem(line, column, "", what, source=document.source))
    document.fatal = True
    return document


def _words(error: MarkedYAMLError, text: str, line: int, column: int) -> str:
    lines = _BREAK.split(text)
    before = lines[line - 1][:column] if line <= len(lines) else ""
    if "\t" in before and not before.strip():
        return "a tab indents this line; indent with spaces"
    problem = " ".join(str(error.problem or error.context or "cannot be read").split())
    if len(problem) > 120:
        problem = problem[:117] + "..."
    return f"is not YAML: {problem if problem.isprintable() else ascii(problem)[1:-1]}"


class _RefusedError(Exception):
    def __init__(self, mark: StringMark, what: str) -> None:
        super().__init__(what)
        self.mark = mark


class _Builder:
    def __init__(self, document: Document) -> None:
        self.document = document
        self.stack: list[_Open] = []

    def run(self, events: Iterable[Event]) -> None:
        # One at a time: the parser's effort grows with the square of the depth, and the depth is bounded here.
        try:
            documents = 0
            for event in events:
                if isinstance(event, DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        raise _RefusedError(event.start_mark, "a second document starts here; a file holds one")
                self.take(event)
        except _RefusedError as refusal:
            _fatal(self.document, refusal.mark.line + 1, refusal.mark.column + 1, str(refusal))

    def take(self, event: Event) -> None:
        if isinstance(event, MappingEndEvent | SequenceEndEvent):
            self.stack.pop()
            return
        if not isinstance(event, NodeEvent):
            return
        if isinstance(event, AliasEvent) or event.anchor is not None:
            raise _RefusedError(event.start_mark, "anchors and aliases (& and *) are not allowed; write the value out")
        tag = getattr(event, "ctag", None) or getattr(event, "tag", None)
        if tag is not None and str(tag) not in {"", "None"}:
            raise _RefusedError(event.start_mark, f"tags are not allowed (found {show_value(str(tag))})")
        top = self.stack[-1] if self.stack else None
        if isinstance(top and top.value, dict) and top is not None and top.key is None:
            self.take_key(top, event)
            return
        self.take_value(top, event)

    def take_key(self, top: _Open, event: NodeEvent) -> None:
        if not isinstance(event, ScalarEvent):
            raise _RefusedError(event.start_mark, "a key must be a plain word")
        key = str(event.value)
        loc = (*top.loc, key)
        place = (event.start_mark.line + 1, event.start_mark.column + 1)
        top.key, top.skip = key, key in top.value
        if top.skip:
            first = self.document.key_places[loc][0]
            self.document.problems.append(
                Problem(
                    *place, where(loc), f"duplicate key; it stands in line {first} already", source=self.document.source
                )
            )
        else:
            self.document.key_places[loc] = place

    def take_value(self, top: _Open | None, event: NodeEvent) -> None:
        skip = False
        if top is None:
            loc: Loc = ()
        elif isinstance(top.value, list):
            loc = (*top.loc, len(top.value))
        else:
            loc, skip, top.key = (*top.loc, top.key or ""), top.skip, None
        value: Any = (
            _scalar(event) if isinstance(event, ScalarEvent) else [] if isinstance(event, SequenceStartEvent) else {}
        )
        if not skip:
            self.document.places[loc] = self.place(loc, event)
            if top is None:
                self.document.data = value
            elif isinstance(top.value, list):
                top.value.append(value)
            else:
                top.value[str(loc[-1])] = value
        if isinstance(event, MappingStartEvent | SequenceStartEvent):
            if len(self.stack) >= MAX_DEPTH:
                raise _RefusedError(event.start_mark, f"nested deeper than {MAX_DEPTH} levels")
            # What hangs below a duplicate key is read into the void, under a place that nobody asks for.
            self.stack.append(_Open((*loc, "duplicate") if skip else loc, value))

    def place(self, loc: Loc, event: NodeEvent) -> tuple[int, int]:
        if isinstance(event, ScalarEvent) and not event.value and event.style in {None, ""}:
            # Nothing is written: its mark is at whatever comes next, which would mislead.
            return self.document.place(loc, key=True)
        return (event.start_mark.line + 1, event.start_mark.column + 1)


def _scalar(event: ScalarEvent) -> Any:
    """A plain scalar by the YAML 1.2 core schema; a quoted or block one is always text."""
    text = str(event.value)
    if event.style not in {None, ""}:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if len(text) <= _MAX_DIGITS:
        if _INT.fullmatch(text):
            return int(text, 0 if text.startswith(("0o", "0x")) else 10)
        if _FLOAT.fullmatch(text):
            return float(
                text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").lower().replace(".nan", "nan")
            )
    return text
