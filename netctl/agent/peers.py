"""One peer as the agent knows it: the BGP session's state as a table, and the routes it told, fresh and stale.

A session is *unknown* while no speaker has told its state, *idle* while it is not up, *loading* while it is up and
its table is not complete, *complete* after that. Routes are *stale* from the moment their source is in doubt (the
speaker's socket was lost, ExaBGP died, a new session began) until they are told again, swept at Complete, or the bound
is over. The bound runs from that moment, however often the source comes and goes. It waits only while a table is being
loaded that began before it was over, and for no longer than another bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from netctl.agent.stale import Stale
from netctl.ipc.messages import BfdSession, Complete, Routes, SessionState
from netctl.model.clock import SECOND
from netctl.model.errors import PeerError
from netctl.model.gateway import Peer
from netctl.model.prefix import Prefix

Phase = Literal["unknown", "idle", "loading", "complete"]
Input = Literal["lost", "ended", "stopped", "waiting", "came_up", "whole"]
Action = Literal["hold", "drop", "sweep", "nothing"]

# hold: all its routes become stale. drop: they go at once (a fact). sweep: the stale ones go.
SESSION_TABLE: dict[tuple[Phase, Input], tuple[Phase, Action]] = {
    ("unknown", "lost"): ("unknown", "nothing"),
    ("unknown", "ended"): ("idle", "drop"),
    ("unknown", "stopped"): ("idle", "nothing"),
    ("unknown", "waiting"): ("idle", "nothing"),
    ("unknown", "came_up"): ("loading", "hold"),
    ("idle", "lost"): ("unknown", "nothing"),
    # An idle session has dropped its routes already, or holds them stale because our own program was to blame:
    # that it is still not up says nothing new.
    ("idle", "ended"): ("idle", "nothing"),
    ("idle", "stopped"): ("idle", "nothing"),
    ("idle", "waiting"): ("idle", "nothing"),
    ("idle", "came_up"): ("loading", "hold"),
    ("loading", "lost"): ("unknown", "hold"),
    ("loading", "ended"): ("idle", "drop"),
    ("loading", "stopped"): ("idle", "hold"),
    ("loading", "came_up"): ("loading", "hold"),
    ("loading", "whole"): ("complete", "sweep"),
    ("complete", "lost"): ("unknown", "hold"),
    ("complete", "ended"): ("idle", "drop"),
    ("complete", "stopped"): ("idle", "hold"),
    ("complete", "came_up"): ("loading", "hold"),
    ("complete", "whole"): ("complete", "sweep"),
}

FABRIC_RANK = 0
PROVIDER_RANK = 1 << 16  # longer than any AS path, so that every fabric route beats every provider route
STALE_BOUND_S = 120.0
"""How long routes stay whose speaker died and did not come back with a complete table."""
STARTUP_BOUND_S = 60
"""How long, beyond its hold time, a peer may take to tell its first table before adopted routes are given up."""
_INTERNED_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Path:
    """The attributes of a route; many prefixes share one. A lower ``rank`` wins, equal ones share the load."""

    rank: int
    next_hop: bytes
    as_path: tuple[int, ...]
    med: int
    communities: tuple[str, ...]
    origin: str


class PeerState:
    """What is known of one peer. ``bit`` is its place in member masks."""

    def __init__(self, settings: Peer, index: int, stale_bound_s: float, now_ns: int) -> None:
        self.settings = settings
        self.name = settings.name
        self.bit = 1 << index
        self.base_rank = FABRIC_RANK if settings.kind == "fabric" else PROVIDER_RANK
        self.phase: Phase = "unknown"
        self.connected = False
        self.session: SessionState | None = None
        self.bfd: BfdSession | None = None
        self.member_at: str | None = None
        self.member_since_ns = now_ns
        self.decision_us = 0.0
        """How long the last move of its member took, from the decision to the kernel's answer."""
        self.table: dict[Prefix, Path] = {}
        self.stale = Stale(int(stale_bound_s * SECOND))
        self.settled = False
        """It has told its whole table at least once since the agent started, or was given up."""
        self.adopted = False
        """The kernel held routes over this peer when the agent started, and it has not settled yet."""
        self._startup_ns = now_ns + (STARTUP_BOUND_S + settings.hold_time_s) * SECOND
        self._loading_until_ns = 0
        """Until then a table that is being loaded is waited for."""
        self._stale_bound_ns = int(stale_bound_s * SECOND)
        self._interned: dict[tuple[object, ...], Path] = {}

    @property
    def up(self) -> bool:
        """The BGP session is up."""
        return self.phase in {"loading", "complete"}

    @property
    def held(self) -> bool:
        """Not up for a reason of our own, or not known yet: what it told before counts until its bound."""
        return not self.up and (bool(self.stale) or self.adopted)

    @property
    def bfd_down(self) -> bool:
        """BFD says that the path is broken. A session that has never been up says nothing."""
        return self.bfd is not None and self.bfd.state != "up" and (self.bfd.ups > 0 or self.bfd.downs > 0)

    @property
    def deadline_ns(self) -> int | None:
        """When stale routes go, or the wait for a first table ends; None: nothing is waited for."""
        due_ns = self._due_ns
        return None if due_ns is None else max(due_ns, self._loading_until_ns)

    @property
    def _due_ns(self) -> int | None:
        dues = (self.stale.deadline_ns, None if self.settled else self._startup_ns)
        return min((due for due in dues if due is not None), default=None)

    def path(self, prefix: Prefix) -> Path | None:
        """Its path to a prefix, fresh or stale."""
        return self.table.get(prefix) or self.stale.get(prefix)

    def session_changed(self, message: SessionState, now_ns: int) -> Iterator[Prefix] | None:
        """Returns the prefixes whose path from this peer is gone, if any."""
        before = self.session
        what: Input = "ended" if message.fact else "stopped"
        if message.state == "up":
            what = "came_up"
        elif message.sessions == 0:
            what = "waiting"
        self._row(what)  # what must not be said changes nothing
        self.session = message
        same = what == "came_up" and self.up and before is not None and before.sessions == message.sessions
        if same and before != message:
            return None  # the same session with another remark; a speaker that sends all again says it unchanged
        return self._step(what, now_ns)

    def completed(self, _message: Complete, now_ns: int) -> Iterator[Prefix] | None:
        """The whole table was told; returns the stale prefixes that were not told again."""
        return self._step("whole", now_ns)

    def lost(self, now_ns: int) -> None:
        """The speaker's socket closed."""
        self.connected = False
        self.session = None
        self._step("lost", now_ns)

    def deadline_passed(self, now_ns: int) -> Iterator[Prefix] | None:
        """The bound of stale routes is over: they go. So is the wait for a first table, if it is that."""
        if self.deadline_ns is None or now_ns < self.deadline_ns:
            return None
        self.settled = self.settled or now_ns >= self._startup_ns
        return self.stale.take(now_ns)

    def slept(self, gap_ns: int) -> None:
        """Nobody listened to it for that long: it does not count."""
        self.stale.slept(gap_ns)
        self._startup_ns += gap_ns
        self._loading_until_ns += gap_ns

    def learn(self, message: Routes) -> list[Prefix]:
        """Add routes; returns the prefixes whose path differs from before (or was not there)."""
        data, size = message.prefixes, 5 if len(message.next_hop) == 4 else 17
        if len(data) % size or not self.up:
            raise PeerError("routes_malformed" if self.up else "routes_without_session", f"from {self.name}")
        path = self._intern(message)
        table, stale = self.table, self.stale or None
        changed = []
        for start in range(0, len(data), size):
            prefix = data[start : start + size]
            before = table.get(prefix)
            table[prefix] = path
            if stale is not None and (kept := stale.pop(prefix)) is not None and before is None:
                before = kept
            if before is None or before.rank != path.rank:
                changed.append(prefix)
        return changed

    def forget(self, prefix: Prefix) -> bool:
        """Remove its path to one prefix; whether there was one."""
        return (self.table.pop(prefix, None) or self.stale.pop(prefix)) is not None

    def _row(self, what: Input) -> tuple[Phase, Action]:
        row = SESSION_TABLE.get((self.phase, what))
        if row is None:
            raise PeerError("session_out_of_order", f"{self.name}: {what} while {self.phase}")
        return row

    def _step(self, what: Input, now_ns: int) -> Iterator[Prefix] | None:
        self.phase, action = self._row(what)
        if action == "hold":
            self._hold(now_ns)
            in_time = self._due_ns is None or now_ns < self._due_ns
            self._loading_until_ns = now_ns + self._stale_bound_ns if self.phase == "loading" and in_time else 0
        elif action == "sweep":
            return self._give_up_stale()
        elif action == "drop":
            gone, self.table = self.table, {}
            kept = self._give_up_stale()
            return _both(gone, kept) if gone else kept
        return None

    def _hold(self, now_ns: int) -> None:
        self.stale.keep(self.table, now_ns)
        self.table = {}
        self._interned = {}

    def _give_up_stale(self) -> Iterator[Prefix] | None:
        self._loading_until_ns = 0
        self.settled = True
        return self.stale.take()

    def _intern(self, message: Routes) -> Path:
        key = (message.as_path, message.next_hop, message.med, message.communities, message.origin)
        path = self._interned.get(key)
        if path is None:
            if len(self._interned) >= _INTERNED_MAX:
                self._interned = {}
            rank = self.base_rank + min(len(message.as_path), PROVIDER_RANK - 1)
            path = Path(rank, message.next_hop, message.as_path, message.med, message.communities, message.origin)
            self._interned[key] = path
        return path


def _both(first: dict[Prefix, Path], second: Iterator[Prefix] | None) -> Iterator[Prefix]:
    yield from first
    if second is not None:
        yield from second
