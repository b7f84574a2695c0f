"""What the relay's core wants done."""

from __future__ import annotations

from dataclasses import dataclass

from netctl.ipc.messages import Message


@dataclass(frozen=True, slots=True)
class Command:
    """Lines for ExaBGP."""

    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tell:
    """A message for every client."""

    message: Message


@dataclass(frozen=True, slots=True)
class Configure:
    """Write the configuration again, then tell ExaBGP to reload; ``passive``: do not connect."""

    passive: bool
    alternate: bool


@dataclass(frozen=True, slots=True)
class Diagnose:
    """Look why there is no TCP connection; ``Speaker.diagnosis`` takes the answer."""


Effect = Command | Tell | Configure | Diagnose
