"""What a run brings, whichever world it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Failure:
    """What was broken, when, by what."""

    invariant: str
    at_ms: float
    event: str
    detail: str
    tail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a schedule. ``digest`` names the whole trace; equal schedules give equal digests, always."""

    schedule: Any
    """A Schedule of either world."""
    failure: Failure | None
    digest: str
    events: int
    virtual_s: float
    rest_s: float
    """From the end of the last fault until everything was as it should be."""
