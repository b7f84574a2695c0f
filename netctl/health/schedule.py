"""The checker's side: which target is checked when, and what its runs come to.

Runs of a target begin ``interval_ms`` apart, at a phase that its name decides, so that thousands of targets are spread
evenly and always in the same way. While a change of its verdict is in the making, it is checked three times as
often: one refused connection or one late answer is followed up at once.

A run that got no answer in time while this process itself was held up (stopped, starved of CPU) says nothing about the
target: it is void and repeated.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count

from netctl.health.checks import Verdict
from netctl.ipc.messages import CheckTarget
from netctl.model.clock import MS

_FASTER = 3
TICK_NS = 50 * MS
"""How often ``tick`` is to be called: its lateness is how long this process was held up."""
_TICK_SLACK_NS = 5 * MS
_HELD_UP = 4
"""A run is void when this process was held up for more than this fraction (1/4) of its time to answer."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run that has begun."""

    target: CheckTarget
    serial: int
    began_ns: int
    held_up_ns: int
    """``Lateness.total_ns`` when it began."""


class Lateness:
    """How long this process was held up, from ticks that should come every TICK_NS."""

    def __init__(self, now: int) -> None:
        self._total = 0
        self._due = now + TICK_NS

    def tick(self, now: int) -> None:
        """A tick has come."""
        self._total = self.total_ns(now)
        self._due = now + TICK_NS

    def total_ns(self, now: int) -> int:
        """Since the start, a tick that is overdue at this moment included."""
        return self._total + max(0, now - self._due - _TICK_SLACK_NS)


class _Entry:
    """One target's verdict and next run."""

    def __init__(self, target: CheckTarget, due_ns: int) -> None:
        self.verdict = Verdict(target.rise, target.fall)
        self.due_ns = due_ns
        self.running: Run | None = None

    @property
    def settled(self) -> bool:
        """Whether the last run agreed with the verdict."""
        return self.verdict.passing is not None and self.verdict.passing == (self.verdict.streak > 0)


class Schedule:
    """All targets of a checker. Time is monotonic nanoseconds, given by the caller."""

    def __init__(self, now: int) -> None:
        self._entries: dict[CheckTarget, _Entry] = {}
        self._heap: list[tuple[int, int, CheckTarget]] = []
        self._order = count()
        self._lateness = Lateness(now)
        self.running = 0
        self.runs_total = 0
        """Runs that came to an outcome."""
        self.late_total = 0
        """Runs that were void because this process was held up."""
        self.not_run_total = 0
        """Runs that this host could not make (no descriptor is free, say)."""

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, target: CheckTarget, now: int) -> None:
        """Check this too; harmless when it is there."""
        if target not in self._entries:
            name = f"{target.service}/{target.instance}".encode()
            share = int.from_bytes(blake2b(name, digest_size=4).digest(), "big") / 2**32
            self._entries[target] = _Entry(target, now)
            self._set_due(target, now + int(share * target.interval_ms * MS))

    def remove(self, target: CheckTarget) -> None:
        """Forget it; the outcome of a run that is under way will be passed over."""
        entry = self._entries.pop(target, None)
        if entry is not None and entry.running is not None:
            self.running -= 1

    def verdict(self, target: CheckTarget) -> Verdict | None:
        """What is known of it; None when it is not checked."""
        entry = self._entries.get(target)
        return entry.verdict if entry is not None else None

    def tick(self, now: int) -> None:
        """To be called every TICK_NS."""
        self._lateness.tick(now)

    def next_due(self) -> int | None:
        """When ``begin`` should be called next."""
        while self._heap:
            due_ns, _, target = self._heap[0]
            entry = self._entries.get(target)
            if entry is not None and entry.running is None and entry.due_ns == due_ns:
                return due_ns
            heapq.heappop(self._heap)
        return None

    def begin(self, now: int, most: int) -> list[Run]:
        """The runs to start now, so that no more than ``most`` are under way; those left wait, their time unspent."""
        runs: list[Run] = []
        held_up_ns = self._lateness.total_ns(now)
        while self.running < most and (due_ns := self.next_due()) is not None and due_ns <= now:
            _, _, target = heapq.heappop(self._heap)
            entry = self._entries[target]
            entry.running = Run(target, next(self._order), now, held_up_ns)
            self.running += 1
            runs.append(entry.running)
        return runs

    def ended(self, run: Run, *, passed: bool | None, detail: str, now: int) -> bool:
        """A run's outcome; returns whether the verdict changed. That of a target forgotten meanwhile is passed over."""
        entry = self._entries.get(run.target)
        if entry is None or entry.running is not run:
            return False
        entry.running = None
        self.running -= 1
        timeout_ns = run.target.timeout_ms * MS
        unanswered = passed is False and now - run.began_ns >= timeout_ns
        if unanswered and self._lateness.total_ns(now) - run.held_up_ns > timeout_ns // _HELD_UP:
            self.late_total += 1
            self._set_due(run.target, now)
            return False
        if passed is None:
            self.not_run_total += 1
        self.runs_total += 1
        changed = entry.verdict.ran(passed=passed, detail=detail)
        interval_ns = run.target.interval_ms * MS
        if not entry.settled:
            self._set_due(run.target, max(now, run.began_ns + interval_ns // _FASTER))
        else:
            # On its own grid, also after a delay: what came late all at once is spread again.
            behind = max(0, now - entry.due_ns) // interval_ns
            self._set_due(run.target, entry.due_ns + (behind + 1) * interval_ns)
        return changed

    def _set_due(self, target: CheckTarget, due_ns: int) -> None:
        self._entries[target].due_ns = due_ns
        heapq.heappush(self._heap, (due_ns, next(self._order), target))
