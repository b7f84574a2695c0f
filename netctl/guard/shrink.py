"""``ShrinkGuard``: what a source no longer lists goes only for a reason.

Of one service, over all clouds: an instance that was served and is listed no more is *missing*. It goes

- when checks have called it failing for long (corroborated), or an operator approved it, or its address and a port are
  listed under another name (a rename: nothing that is served is lost, and nothing may be served twice);
- else when it is little: the maximum served within the window, less what would remain, is at most
  max(1, max_shrink x that maximum), and something that can serve remains.

Otherwise everything that went missing in this event is held: it stays as it was last known.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from netctl.guard.hold import Hold, HoldKind, hold_id
from netctl.model.clock import SECOND
from netctl.model.errors import UsageError
from netctl.model.naming import Instance

WINDOW_NS = 600 * SECOND


@dataclass(frozen=True, slots=True)
class Verdict:
    """``effective``: what to serve (listed and held, by name), the next ``served``. ``gone``: what was served and may
    go now. ``hold``: what is held of this service, or None."""

    effective: dict[str, Instance]
    gone: frozenset[str]
    hold: Hold | None


class _Peak:
    """The maximum of a number over a sliding window: the present value, and past ones with the time they ended."""

    __slots__ = ("_now", "_past")

    def __init__(self) -> None:
        self._now = 0
        self._past: deque[tuple[int, int]] = deque()

    def note(self, value: int, now_ns: int) -> None:
        if value < self._now:
            while self._past and self._past[-1][1] <= self._now:
                self._past.pop()
            self._past.append((now_ns, self._now))
        self._now = value

    def within(self, window_ns: int, now_ns: int) -> int:
        while self._past and self._past[0][0] <= now_ns - window_ns:
            self._past.popleft()
        return max(self._now, self._past[0][1]) if self._past else self._now

    def restart(self, value: int) -> None:
        """Forget what was."""
        self._now = value
        self._past.clear()


@dataclass(slots=True)
class _Service:
    peak: _Peak = field(default_factory=_Peak)
    hold: Hold | None = None
    approved: frozenset[str] = frozenset()


class ShrinkGuard:
    """Judges one service at a time; the costs are those of that service.

    It remembers per service: the window's maximum, the hold, what was approved. A controller that becomes the writer
    starts with a new one, gives it what is stored (``restore``), and takes as ``served`` what the clusters serve.
    """

    def __init__(self, max_shrink: float, window_ns: int = WINDOW_NS) -> None:
        self._max_shrink = max_shrink
        self._window_ns = window_ns
        self._services: dict[str, _Service] = {}

    def judge(
        self,
        service: str,
        listed: Mapping[str, Instance],
        served: Mapping[str, Instance],
        dead: Collection[str],
        *,
        unfit: Collection[str] = (),
        removable: bool,
        now_ns: int,
        now_wall: float = 0.0,
    ) -> Verdict:
        """``listed``: what the sources say; ``served``: what is served (the last ``effective``, or what the clusters
        hold), both by instance name. ``dead``: names that checks have called failing for so long that it corroborates;
        ``unfit``: those that fail now, and so cannot serve. ``removable`` False (not every source was listed, not every
        cluster read): nothing goes. ``now_ns`` monotonic, ``now_wall`` for the hold's date."""
        state = self._services.setdefault(service, _Service())
        state.peak.note(len(served), now_ns)
        missing = frozenset(served.keys() - listed.keys())
        wanted_gone = removable and not state.approved.isdisjoint(missing)
        hold: Hold | None
        if not removable:
            held, hold = missing, state.hold
        elif missing:
            free = self._free(state, listed, served, missing, dead)
            old = frozenset(state.hold.instances) & missing - free if state.hold else frozenset()
            held, hold = old, _shrunk(state.hold, old)
            fresh = missing - free - old
            if fresh:
                remain = [*listed.values(), *(served[name] for name in old)]
                peak = state.peak.within(self._window_ns, now_ns)
                leaving = [served[name] for name in fresh]
                if objection := self._objection(
                    leaving, remain, {*dead, *unfit}, peak, served=len(served), held=len(old)
                ):
                    held = old | fresh
                    hold = _hold(service, held, *objection, state.hold.since_wall if state.hold else now_wall)
            state.approved = state.approved & missing - free
        else:
            held, hold = missing, None
            state.approved = frozenset()
        effective = {**listed, **{name: served[name] for name in sorted(held)}}
        state.hold = hold
        if wanted_gone:
            state.peak.restart(len(effective))
        else:
            state.peak.note(len(effective), now_ns)
        if removable and not effective:
            del self._services[service]
        return Verdict(effective, frozenset(missing - held), hold)

    @staticmethod
    def _free(
        state: _Service,
        listed: Mapping[str, Instance],
        served: Mapping[str, Instance],
        missing: Collection[str],
        dead: Collection[str],
    ) -> frozenset[str]:
        """The missing ones that need no room: failing, approved, renamed."""
        taken = sockets(listed.values())
        return frozenset(
            name
            for name in missing
            if name in dead or name in state.approved or not taken.isdisjoint(sockets([served[name]]))
        )

    def _objection(
        self,
        fresh: Collection[Instance],
        remain: Collection[Instance],
        unfit: Collection[str],
        peak: int,
        *,
        served: int,
        held: int,
    ) -> tuple[HoldKind, str] | None:
        """Why ``fresh`` may not go; None: it may. ``peak``: the most that were served within the window. ``held``: how
        many of those that remain do so because they are held already."""
        listed = len(remain) - held
        news = f"{len(fresh) + held} of {served} instances no longer listed, which would leave"
        able = any(instance.healthy and instance.name not in unfit for instance in remain)
        if not remain or (not able and any(instance.healthy for instance in fresh)):
            left = f"{listed} that cannot serve" if listed else "none"
            means = "when checks have called them failing for a minute, or when approved"
            return "last", f"{news} {left}: the last ones go only {means}"
        allowed = max(1.0, self._max_shrink * peak) + 1e-9
        if peak - len(remain) <= allowed:
            return None
        return "shrink", (
            f"{news} {listed} of {peak} within {self._window_ns // SECOND // 60} min: "
            f"at most {int(allowed)} may go ({self._max_shrink:.0%}) until checks call them failing for a minute"
        )

    def approve(self, hold_id: str) -> Hold:
        """Let those very instances go once; judge the service again to have it done. Returns the hold as it was.

        When they go the window's maximum starts anew: what an operator wanted is not held against what goes after it.
        Raises UsageError when there is no such hold.
        """
        for state in self._services.values():
            if state.hold is not None and state.hold.id == hold_id:
                hold = state.hold
                state.approved |= frozenset(hold.instances)
                state.hold = None
                return hold
        raise UsageError(f"there is no hold {hold_id!r}", "`netctl holds list` shows those that there are")

    def holds(self) -> tuple[Hold, ...]:
        """All holds, by service."""
        return tuple(state.hold for _, state in sorted(self._services.items()) if state.hold is not None)

    def approved(self) -> dict[str, tuple[str, ...]]:
        """Service → the instances that were approved and have not gone yet."""
        return {service: tuple(sorted(s.approved)) for service, s in sorted(self._services.items()) if s.approved}

    def restore(self, holds: Iterable[Hold], approved: Mapping[str, Collection[str]]) -> None:
        """Take over what was stored (by several clusters: call it for each), before anything is removable."""
        for hold in holds:
            state = self._services.setdefault(hold.service, _Service())
            if state.hold is None or state.hold.instances == hold.instances:
                state.hold = hold  # what is stored is older: its date counts, and nothing has to be written
            elif names := frozenset(hold.instances) - frozenset(state.hold.instances):
                since_wall = min(state.hold.since_wall, hold.since_wall)
                both = names | frozenset(state.hold.instances)
                state.hold = _hold(hold.service, both, hold.kind, hold.reason, since_wall)
        for service, instances in approved.items():
            state = self._services.setdefault(service, _Service())
            state.approved |= frozenset(instances)


def sockets(instances: Iterable[Instance]) -> set[tuple[str, int]]:
    """(address, port number) of all of them."""
    return {(instance.address, number) for instance in instances for _, number in instance.ports}


def _hold(service: str, names: Collection[str], kind: HoldKind, reason: str, since_wall: float) -> Hold:
    return Hold(hold_id(service, names), service, kind, tuple(sorted(names)), reason, since_wall)


def _shrunk(hold: Hold | None, held: Collection[str]) -> Hold | None:
    """A hold of which some instances are back or gone keeps its name: approving it covers no more than was seen."""
    if hold is None or not held:
        return None
    return hold if len(held) == len(hold.instances) else replace(hold, instances=tuple(sorted(held)))
