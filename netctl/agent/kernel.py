"""The pace of the kernel's side: what to look at, what to write, and when to try again what was refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from netctl.fib.plan import Fib
from netctl.model.clock import MS, SECOND
from netctl.model.routing import DeleteRoutes, KernelEvent, KernelOp, KernelState, OpFailed, PutGroup, PutRoutes

Look = Literal["dump", "nexthops"]

_RETRY_NS = (100 * MS, 200 * MS, 500 * MS, SECOND, 2 * SECOND, 5 * SECOND)


class KernelSide:
    """Wraps the FIB. ``retry_ns`` is when to call ``retry``."""

    def __init__(self) -> None:
        self.fib = Fib()
        self.retry_ns: int | None = None
        self.operations: Counter[str] = Counter()
        """Routes and groups written, by kind."""
        self.refused_total: Counter[str] = Counter()
        """Refused by the kernel, by its words."""
        self._avoided: frozenset[int] = frozenset()
        self._rounds = 0
        self._noted: set[tuple[type[KernelOp], int]] = set()

    @property
    def wants(self) -> Look | None:
        """What has to be looked at before more is written."""
        if self.fib.wants_dump:
            return "dump"
        return "nexthops" if self.fib.wants_nexthops else None

    def looked(self, state: KernelState, look: Look) -> None:
        if look == "dump":
            self.fib.adopt(state)
        else:
            self.fib.observe(state)

    def changed(self, event: KernelEvent) -> None:
        self.fib.event(event)

    def members_changed(self) -> None:
        """Liveness made or moved a member: groups that wait for one may be written now."""
        self.fib.wants_nexthops = True

    def avoid(self, member: int) -> None:
        """A fact: what this member leads to is gone. Until every route has moved, groups do without it."""
        self._avoided |= {member}
        self.fib.avoid(self._avoided)

    def moved(self) -> bool:
        """Nothing is left to move: no member has to be avoided any more. Returns whether one was."""
        avoided, self._avoided = self._avoided, frozenset()
        self.fib.avoid(self._avoided)
        return bool(avoided)

    def take(self, limit: int) -> list[KernelOp]:
        """The next operations, counted as done unless ``applied`` says otherwise."""
        ops = self.fib.pending_ops(limit)
        for op in ops:
            kind, number = _counted(op)
            self.operations[kind] += number
        return ops

    def applied(self, failures: Sequence[OpFailed], now_ns: int) -> list[OpFailed]:
        """Take the outcome; returns the refusals that are worth a line in the log: each reason once, until all is
        well again."""
        if not failures:
            if self._rounds and self.retry_ns is None and not self.fib.counts().refused:
                self._rounds = 0
                self._noted.clear()
            return []
        fresh = []
        for failure in failures:
            self.fib.failed(failure)
            self.refused_total[failure.message] += max(1, len(failure.prefixes))
            if (reason := (type(failure.op), failure.errno)) not in self._noted:
                self._noted.add(reason)
                fresh.append(failure)
        if self.retry_ns is None:
            self.retry_ns = now_ns + _RETRY_NS[min(self._rounds, len(_RETRY_NS) - 1)]
            self._rounds += 1
        return fresh

    def retry(self, now_ns: int) -> None:
        """Try again what was refused, if it is time."""
        if self.retry_ns is not None and now_ns >= self.retry_ns:
            self.retry_ns = None
            self.fib.retry()

    def view(self) -> dict[str, Any]:
        """For people: counts, totals and whether nothing is left to do."""
        counts = self.fib.counts()
        return {
            **asdict(counts),
            "routes": counts.programmed,
            "settled": self.fib.settled,
            "operations": dict(self.operations),
            "refused_total": dict(self.refused_total),
        }


def _counted(op: KernelOp) -> tuple[str, int]:
    if isinstance(op, PutRoutes | DeleteRoutes):
        return ("put_route" if isinstance(op, PutRoutes) else "delete_route"), len(op.prefixes)
    return ("put_group" if isinstance(op, PutGroup) else "delete_group"), 1
