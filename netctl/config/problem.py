"""One problem of a configuration file, and the error that carries all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from netctl.model.errors import UsageError

Loc = tuple[str | int, ...]
"""The way to a value: keys and list indices (from 0)."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong and where. ``line`` and ``column`` count from 1; 0: the file as a whole.

    ``value`` is the offending value as text ("" when there is none), ``allowed`` says what may stand there, ``meant``
    is the nearest valid key or name.
    """

    line: int
    column: int
    where: str
    what: str
    value: str = ""
    allowed: str = ""
    meant: str = ""
    source: str = ""

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}:{self.column}" if self.line else self.source
        where = f" {self.where}:" if self.where else ""
        text = f"{place}:{where} {self.what}"
        if self.value:
            text += f" (value {self.value})"
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.meant:
            text += f"; did you mean {self.meant!r}?"
        return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


MAX_SHOWN = 50


def lines(problems: Sequence[Problem]) -> list[str]:
    """One line for each problem, for people: the first fifty, and how many more there are."""
    shown = [str(problem) for problem in problems[:MAX_SHOWN]]
    more = len(problems) - len(shown)
    return [*shown, f"{problems[0].source}: and {more} more problems"] if more else shown


class ConfigError(UsageError):
    """A file that was refused, with every problem found in it, sorted by place."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        head = [] if len(problems) == 1 else [f"{source}: {len(problems)} problems"]
        super().__init__(
            "\n".join(head + lines(problems)),
            "'netctl config schema gateway' (or controller, checker) prints what a file may hold",
        )


def where(loc: Loc) -> str:
    """``("peers", 0, "asn")`` → ``peers[0].asn``."""
    text = ""
    for part in loc:
        text += f"[{part}]" if isinstance(part, int) else f".{show_key(part)}" if text else show_key(part)
    return text


def show_key(key: str) -> str:
    """A key as it may stand in a message."""
    return (key if len(key) <= 40 else key[:37] + "...") or "''"


def show_value(value: object) -> str:
    """A value in at most 60 characters: texts in quotes, YAML's own words for the rest."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
