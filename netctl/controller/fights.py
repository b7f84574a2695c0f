"""Repairs are made at once, but not in a fight: where somebody changes the same objects again and again, netctl repairs
them at a slow pace and says who it is, instead of rewriting at full speed against a program that does the same."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from netctl.model.clock import SECOND

REPAIRS = 10
"""So many repairs of one service within ``WINDOW_NS`` are made at once."""
WINDOW_NS = 60 * SECOND
PACE_NS = 10 * SECOND
"""The pause between repairs after that."""


@dataclass(slots=True)
class _Fight:
    repairs_ns: deque[int] = field(default_factory=deque)
    by: str = ""


class Fights:
    """Repairs of what somebody else changed, by service."""

    def __init__(self) -> None:
        self._fights: dict[str, _Fight] = {}

    def changed(self, service: str, by: str) -> None:
        """Somebody else, ``by`` (may be ""), changed one of the service's objects."""
        fight = self._fights.setdefault(service, _Fight())
        fight.by = by or fight.by

    def may_repair(self, service: str, now_ns: int) -> int:
        """0: repair now (and it is counted); else the monotonic time at which the next repair may be made."""
        fight = self._fights.setdefault(service, _Fight())
        self._forget_old(fight, now_ns)
        if len(fight.repairs_ns) >= REPAIRS and now_ns < fight.repairs_ns[-1] + PACE_NS:
            return fight.repairs_ns[-1] + PACE_NS
        fight.repairs_ns.append(now_ns)
        return 0

    def reason(self, service: str, now_ns: int) -> str:
        """In words, while the service's repairs are slowed down; else ""."""
        fight = self._fights.get(service)
        if fight is None:
            return ""
        self._forget_old(fight, now_ns)
        if not fight.repairs_ns:
            del self._fights[service]
        if len(fight.repairs_ns) < REPAIRS:
            return ""
        by = f"({fight.by}) " if fight.by else ""
        return (
            f"somebody else {by}keeps changing it: repaired {len(fight.repairs_ns)} times in the last minute, "
            f"now once in {PACE_NS // SECOND} s until they stop"
        )

    @staticmethod
    def _forget_old(fight: _Fight, now_ns: int) -> None:
        while fight.repairs_ns and fight.repairs_ns[0] <= now_ns - WINDOW_NS:
            fight.repairs_ns.popleft()

    def services(self) -> list[str]:
        """Those whose objects somebody changed lately."""
        return sorted(self._fights)
