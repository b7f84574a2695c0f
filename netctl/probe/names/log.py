"""What became of every lookup and visit, and for how long all has been well. Pure."""

from __future__ import annotations

from array import array
from typing import Generic, TypeVar

from netctl.probe.names.spec import Answer, Ending, Series

E = TypeVar("E", Answer, Ending)


class Log(Generic[E]):
    """One lookup's or visit's: endings are few and different, so each is kept once."""

    def __init__(self, started_ns: int) -> None:
        self._started_ns = started_ns
        self._table: dict[E, int] = {}
        self._begun = array("q")
        self._took = array("l")
        self._ended = array("l")

    def __len__(self) -> int:
        return len(self._begun)

    def begin(self, at_ns: int) -> int:
        """The number of the one that begins now."""
        self._begun.append((at_ns - self._started_ns) // 1000)
        self._took.append(-1)
        self._ended.append(-1)
        return len(self._begun) - 1

    def end(self, number: int, at_ns: int, ending: E) -> None:
        """Only the first ending counts."""
        if self._ended[number] < 0:
            self._ended[number] = self._table.setdefault(ending, len(self._table))
            self._took[number] = (at_ns - self._started_ns) // 1000 - self._begun[number]

    @property
    def table(self) -> tuple[E, ...]:
        return tuple(self._table)

    def series(self) -> Series:
        """Those that have ended."""
        rows = [n for n, ended in enumerate(self._ended) if ended >= 0]
        return Series(
            tuple(self._begun[n] for n in rows),
            tuple(self._took[n] for n in rows),
            tuple(self._ended[n] for n in rows),
        )


class WellWatch:
    """For how long every lookup and visit has gone well; ``patience_ns`` is how long one may take before it counts as
    one that does not."""

    def __init__(self, count: int, now_ns: int, patience_ns: int) -> None:
        self._patience_ns = patience_ns
        self._under_way: list[dict[int, int]] = [{} for _ in range(count)]
        self._bad_ns = [now_ns] * count

    def began(self, which: int, number: int, at_ns: int) -> None:
        self._under_way[which][number] = at_ns

    def ended(self, which: int, number: int, at_ns: int, well: bool) -> None:
        begun_ns = self._under_way[which].pop(number, at_ns)
        if not well or at_ns - begun_ns > self._patience_ns:
            self._bad_ns[which] = at_ns

    def unwell(self, now_ns: int) -> list[int]:
        """Those that wait too long now, or failed within the patience."""
        found = []
        for which, under_way in enumerate(self._under_way):
            oldest = next(iter(under_way.values()), now_ns)
            if now_ns - oldest > self._patience_ns:
                self._bad_ns[which] = now_ns
            if now_ns - self._bad_ns[which] <= self._patience_ns:
                found.append(which)
        return found

    def well_ns(self, now_ns: int) -> int:
        """Since when nothing went wrong. Ask ``unwell`` first."""
        return max(0, now_ns - max(self._bad_ns, default=now_ns))
