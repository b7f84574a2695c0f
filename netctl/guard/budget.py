"""``Budget``: how many ready endpoints may go from one cluster without health's corroboration.

Sliding windows over minutes of the wall clock. A window of w seconds sums the present minute and those that reach into
the w seconds before it, so that no w seconds, wherever they begin, see more than the limit.

Tokens are debited in portions: ``debit`` gives the debits to store (compare and swap) before anything is removed;
once they are stored ``debited`` fills the reserve, from which ``take`` pays without a write. What is left of the
reserve ends with its minute. Nothing is ever refunded: not by a crash, not by a clock that steps back.

Give ``minute`` as the wall clock at the program's start plus the monotonic time since, so that the wall clock's steps
cannot pass for time. A minute that lies before one that was seen counts as that one; when it is more than an hour
before it, one of the two clocks was wrong: then what was debited "later" is moved back with it, the latest to now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from netctl.guard.state import GuardState

PORTION = 10
MINUTE_S = 60
PATIENCE_MINUTES = 60


@dataclass(frozen=True, slots=True)
class Usage:
    """One window, as shown to people: ``used`` of ``limit`` ready endpoints in ``window_s`` seconds."""

    window_s: int
    used: int
    limit: int


class Budget:
    """``limits``: (window in seconds, count); the limit in force is max(count, 1 % of ``catalog``)."""

    def __init__(self, limits: Sequence[tuple[int, int]], portion: int = PORTION) -> None:
        self.catalog = 0
        """How many instances the catalog has now."""
        self._limits = tuple(sorted(limits))
        self._portion = portion
        self._debits: dict[int, int] = {}
        self._reserve = 0
        self._minute = 0
        """The latest minute seen; the reserve is of this one."""

    # --- what is stored ----------------------------------------------------------------------------------------

    def load(self, state: GuardState, minute: int) -> None:
        """Take over what is stored: on start and whenever another one wrote it. What this one knows of stays.

        A damaged state counts as if the limits had been used to the brim until just before: of each window no more is
        left than of the shortest, one minute's worth. (Who knows that nothing happened deletes what is stored.)
        """
        debits = self._worst(minute) if state.damaged else _not_later(state.debits, minute)
        for when, tokens in debits.items():
            self._debits[when] = max(self._debits.get(when, 0), tokens)
        self._at(minute)

    def _worst(self, minute: int) -> dict[int, int]:
        worst: dict[int, int] = {}
        spent = 0
        for (window_s, _), (_, count) in zip(self._limits, self._limits[1:], strict=False):
            beyond = self._limit(count) - self._limit(self._limits[0][1]) - spent
            if beyond > 0:
                worst[minute - _minutes(window_s)] = beyond
                spent += beyond
        return worst

    def debit(self, number: int, minute: int, *, approved: bool = False) -> dict[int, int] | None:
        """The debits to store so that ``number`` can be taken after ``debited``; None: over a limit.

        ``approved``: an operator wants it, whatever the limits say; it is debited all the same.
        """
        minute = self._at(minute)
        lacking = number - self._reserve
        room = self.room(minute) - self._reserve
        if lacking <= 0:
            return dict(self._debits)
        if lacking > room and not approved:
            return None
        portion = max(lacking, min(self._portion, room))
        return {**self._debits, minute: self._debits.get(minute, 0) + portion}

    def debited(self, debits: Mapping[int, int], minute: int) -> None:
        """``debits`` (what ``debit`` gave) is stored."""
        minute = self._at(minute)
        fresh = debits.get(minute, 0) - self._debits.get(minute, 0)
        for when, tokens in debits.items():
            self._debits[when] = max(self._debits.get(when, 0), tokens)
        self._at(minute)
        self._reserve += max(fresh, 0)

    def debits(self, minute: int) -> dict[int, int]:
        """What is to be stored when something else in the state changes."""
        self._at(minute)
        return dict(self._debits)

    # --- spending ----------------------------------------------------------------------------------------------

    def take(self, number: int, minute: int) -> bool:
        """Spend from what is debited already; False: ``debit`` first."""
        self._at(minute)
        if number > self._reserve:
            return False
        self._reserve -= number
        return True

    def room(self, minute: int) -> int:
        """How many could go now, the reserve included."""
        minute = self._at(minute)
        free = min((self._limit(count) - self._used(window_s, minute) for window_s, count in self._limits), default=0)
        return max(free, 0) + self._reserve

    def usage(self, minute: int) -> tuple[Usage, ...]:
        """Every window, the shortest first; the reserve counts as used."""
        minute = self._at(minute)
        return tuple(
            Usage(window_s, self._used(window_s, minute), self._limit(count)) for window_s, count in self._limits
        )

    def _limit(self, count: int) -> int:
        return max(count, self.catalog // 100)

    def _used(self, window_s: int, minute: int) -> int:
        since = minute - _minutes(window_s)
        return sum(tokens for when, tokens in self._debits.items() if since < when)

    def _at(self, minute: int) -> int:
        """Settle what the clock says: the minute that counts. The reserve of another minute is lost."""
        latest = max(self._minute, *self._debits, 0) if self._debits else self._minute
        if latest - minute > PATIENCE_MINUTES:
            self._debits = _not_later(self._debits, minute)
        else:
            minute = max(minute, latest)
        if minute != self._minute:
            self._minute, self._reserve = minute, 0
            oldest = minute - _minutes(self._limits[-1][0]) if self._limits else minute
            for when in [when for when in self._debits if when <= oldest]:
                del self._debits[when]
        return minute


def _minutes(window_s: int) -> int:
    """How many minutes, the present one included, reach into any ``window_s`` seconds that end now."""
    return -(-window_s // MINUTE_S) + 1


def _not_later(debits: Mapping[int, int], minute: int) -> dict[int, int]:
    """Debits of a clock that was far ahead, moved back with it; others as they are."""
    ahead = max(debits, default=minute) - minute
    if ahead <= PATIENCE_MINUTES:
        return dict(debits)
    moved: dict[int, int] = {}
    for when, tokens in debits.items():
        at = when - ahead if when > minute else when
        moved[at] = moved.get(at, 0) + tokens
    return moved
