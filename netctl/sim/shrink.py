"""Delta debugging: from a failing schedule to a small one that still fails in the same way.

First ddmin over the faults (Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input"), then shorter
durations, earlier starts and rounder numbers, each kept only when the failure stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from msgspec.structs import replace

from netctl.sim.names.schedule import NamesFault, NamesSchedule
from netctl.sim.schedule import Fault, Schedule

T = TypeVar("T")
S = TypeVar("S", Schedule, NamesSchedule)
F = TypeVar("F", Fault, NamesFault)


def ddmin(items: Sequence[T], fails: Callable[[Sequence[T]], bool]) -> list[T]:
    """A part of ``items`` (in order) that fails and of which no single item can be left out.

    ``fails(items)`` must hold. Deterministic; about n^2 tests at worst, n log n as a rule.
    """
    current = list(items)
    if fails([]):
        return []
    pieces = 2
    while len(current) >= 2:
        size = -(-len(current) // pieces)
        chunks = [current[start : start + size] for start in range(0, len(current), size)]
        smaller = _one_that_fails(chunks, fails)
        if smaller is None:
            if pieces >= len(current):
                break
            pieces = min(len(current), 2 * pieces)
            continue
        pieces = 2 if len(smaller) <= size else max(pieces - 1, 2)
        current = smaller
    return current


def _one_that_fails(chunks: list[list[T]], fails: Callable[[Sequence[T]], bool]) -> list[T] | None:
    """One chunk alone, or all but one, that fails."""
    for chunk in chunks:
        if len(chunks) > 1 and fails(chunk):
            return chunk
    for left_out in range(len(chunks)):
        rest = [item for number, chunk in enumerate(chunks) if number != left_out for item in chunk]
        if len(chunks) > 2 and fails(rest):
            return rest
    return None


def shrink(schedule: S, fails: Callable[[S], bool], progress: Callable[[str], None] = lambda text: None) -> S:
    """The smallest schedule found that ``fails``; ``schedule`` itself must."""

    def with_faults(faults: Sequence[Any]) -> S:
        return replace(schedule, faults=tuple(faults))

    faults: list[Any] = ddmin(schedule.faults, lambda subset: fails(with_faults(subset)))
    progress(f"{len(schedule.faults)} faults shrunk to {len(faults)}")
    place: int
    for place in range(len(faults)):
        simpler = True
        while simpler:
            simpler = False
            for candidate in _simpler(faults[place]):
                attempt = [*faults[:place], candidate, *faults[place + 1 :]]
                if fails(with_faults(attempt)):
                    faults, simpler = attempt, True
                    break
    progress("durations and starts shrunk")
    return with_faults(faults)


def _simpler(fault: F) -> Iterator[F]:
    """Candidates, the boldest first; each strictly smaller, so that shrinking ends."""
    if fault.for_ms >= 200:
        yield replace(fault, for_ms=fault.for_ms // 2)
    if 0 < (rounded := fault.for_ms // 100 * 100) < fault.for_ms:
        yield replace(fault, for_ms=rounded)
    if fault.at_ms:
        yield replace(fault, at_ms=0)
        if fault.at_ms >= 200:
            yield replace(fault, at_ms=fault.at_ms // 2)
        if 0 < (rounded := fault.at_ms // 100 * 100) < fault.at_ms:
            yield replace(fault, at_ms=rounded)
