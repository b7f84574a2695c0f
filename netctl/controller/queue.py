"""Which services of a cluster are to be looked at, now or later, and which are at work."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

PARALLEL = 16
"""Services of one cluster that are written at the same time."""


class Queue:
    """Serial within a service: what is ``busy`` is looked at again only once it is done."""

    def __init__(self) -> None:
        self.busy: set[str] = set()
        """Services of which a write, or the reading of an object, is under way."""
        self.later: dict[str, int] = {}
        """Service → monotonic time of the next try."""
        self._dirty: dict[str, bool] = {}
        """Services to look at → whether only because somebody else changed their objects."""
        self._settled: set[str] = set()

    def mark(self, service: str, *, drift: bool = False) -> None:
        """Look at it now. ``drift``: because somebody else changed its objects."""
        self.later.pop(service, None)
        self._dirty[service] = drift and self._dirty.get(service, True)

    def pop(self, service: str) -> bool:
        """Begin to look at it; returns whether drift is the only reason."""
        return self._dirty.pop(service)

    def next(self, limit: int) -> list[str]:
        """Up to ``limit`` services to look at now."""
        return list(islice((service for service in self._dirty if service not in self.busy), limit))

    @property
    def full(self) -> bool:
        return len(self.busy) >= PARALLEL

    @property
    def waits(self) -> bool:
        """Whether there is something to look at, now or later."""
        return bool(self._dirty or self.later)

    def ripen(self, now_ns: int) -> None:
        """What was to be tried later may be due now."""
        for service in [service for service, due_ns in self.later.items() if due_ns <= now_ns]:
            self.mark(service)

    def settled(self, service: str) -> bool:
        """Nothing has happened in the cluster since it was as it was wanted then."""
        return service in self._settled

    def settle(self, service: str, *, settled: bool) -> None:
        """``settled``: it is as wanted; else something about it has happened."""
        (self._settled.add if settled else self._settled.discard)(service)

    def forget(self) -> None:
        """Another one leads: nothing is to be done here."""
        self._dirty.clear()
        self.later.clear()

    def pending(self, also: Collection[str] = ()) -> set[str]:
        """All services that are not known to be as they should."""
        return {*self._dirty, *self.busy, *self.later, *also}
