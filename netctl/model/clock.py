"""Time as a port: the real clock is in ``netctl.model.io``, the fake one is here and is product code."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from typing import Protocol

MS = 1_000_000
"""Nanoseconds in a millisecond."""
SECOND = 1_000_000_000
"""Nanoseconds in a second."""


class Timer(Protocol):
    """A pending ``call_at``."""

    def cancel(self) -> None:
        """Do not call; harmless when already called or cancelled."""


class Clock(Protocol):
    """Monotonic and wall time, and timers. All deadlines are monotonic nanoseconds."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC in nanoseconds; never steps back."""

    def wall(self) -> float:
        """Seconds since the epoch, for people and logs only; may step."""

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        """Call once at or after ``when_ns``; at once (but not inside this call) when that is in the past."""


class _FakeTimer:
    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeClock:
    """A clock that moves only when told to; timers fire in order of deadline, then of registration."""

    def __init__(self, start_ns: int = 1_000 * SECOND, wall: float = 1_800_000_000.0) -> None:
        self._now = start_ns
        self._wall_offset = wall - start_ns / SECOND
        self._timers: list[tuple[int, int, _FakeTimer]] = []
        self._order = count()

    def monotonic_ns(self) -> int:
        return self._now

    def wall(self) -> float:
        return self._now / SECOND + self._wall_offset

    def call_at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        timer = _FakeTimer(callback)
        heapq.heappush(self._timers, (when_ns, next(self._order), timer))
        return timer

    def next_timer(self) -> int | None:
        """The deadline of the earliest pending timer, or None."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def advance(self, duration_ns: int) -> None:
        """Move forward, firing what becomes due, each at its own deadline."""
        end = self._now + duration_ns
        while (due := self.next_timer()) is not None and due <= end:
            _, _, timer = heapq.heappop(self._timers)
            self._now = max(self._now, due)
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
        self._now = end

    def step_wall(self, seconds: float) -> None:
        """Step the wall clock alone, as NTP or an operator would."""
        self._wall_offset += seconds
