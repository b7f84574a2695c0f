"""The relay's decisions: ExaBGP's events and clients' messages in, effects out. No I/O, no clock.

The session's states are down, connecting (there is TCP) and up, and each of ExaBGP's events is accepted in each of
them, because a helper may start at any moment of a session (``_handlers`` is the table). ``retry`` has what is done
about a session that is not there.

A table is complete at End-of-RIB, or when the new session has been quiet for long enough: FRR sends End-of-RIB only to
those who advertise graceful restart, and we do not: a peer would keep our routes, and blackhole them, when this
gateway dies.

Too many prefixes: what is beyond ``max_prefixes`` is refused, counted and shown, and the session stays, because
losing a provider over a few routes more is the greater harm. At twice the limit something is wrong at the other end:
Cease/Maximum Number of Prefixes Reached (RFC 4486), and a hold-off.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

import msgspec

from netctl.bgp import events as exa
from netctl.bgp import reasons
from netctl.bgp.announce import Announcer
from netctl.bgp.exabgp_json import Reader
from netctl.bgp.table import Delta, Table
from netctl.ipc.messages import Announce, Complete, Counters, Message, ResetSession, SessionState, Shutdown
from netctl.model.clock import SECOND
from netctl.model.errors import PeerError
from netctl.model.gateway import Gateway, Peer
from netctl.model.prefix import parse_address
from netctl.speaker import feed
from netctl.speaker.effects import Command, Effect, Tell
from netctl.speaker.retry import Retry

QUIET_NS = 2 * SECOND
STOP_WITHIN_NS = 2 * SECOND


class Speaker:
    """One peer. ``now`` is monotonic nanoseconds, ``wall`` seconds since the epoch, for people."""

    def __init__(self, gateway: Gateway, peer: Peer) -> None:
        self.peer = peer
        self._own_asn = gateway.asn
        self._reader = Reader()
        self._announcer = Announcer(peer.address, peer.local)
        self.table = Table(gateway.asn, parse_address(peer.address), peer.max_prefixes)
        self.session = SessionState("down", 0, 0.0, "starting")
        self.complete: Complete | None = None
        self._bad_lines = 0
        self._shell_counters: dict[str, float] = {}
        self._note: exa.Notified | None = None
        self._opened: exa.Opened | None = None
        self._reset_reason = ""
        self._resumed = False
        self._stopping = False
        self._retry = Retry(peer.listen)
        self._quiet_at: int | None = None
        self._stop_at: int | None = None
        self._handlers: dict[type[exa.Event], Callable[[Any, int, float], list[Effect]]] = {
            exa.Connected: self._connected,
            exa.Opened: self._opened_by_peer,
            exa.Up: self._up,
            exa.Down: self._down,
            exa.Notified: self._notified,
            exa.Updated: self._updated,
            exa.EndOfRib: self._end_of_rib,
            exa.Refresh: self._refresh,
            exa.Neighbours: self._neighbours,
            exa.Told: self._told,
            exa.Stopping: self._exabgp_stops,
        }

    # --- what comes in ----------------------------------------------------------------------------------------------

    def start(self, now: int, wall: float) -> list[Effect]:
        """Ask ExaBGP what it has, in case that it runs for longer than we do."""
        self.session = SessionState("down", 0, wall, "starting")
        self._retry.lost(now)
        return [Command(("show adj-rib out", "show neighbor json"))]

    def line(self, line: bytes, now: int, wall: float) -> list[Effect]:
        """One line of ExaBGP's. Garbage is counted and changes nothing."""
        try:
            event = self._reader.read(line)
        except PeerError:
            self._bad_lines += 1
            return []
        return self._handlers[type(event)](event, now, wall) if event is not None else []

    def message(self, message: Message, now: int, wall: float) -> list[Effect]:
        """One message of a client's. Raises PeerError (``unexpected_message``)."""
        match message:
            case Announce():
                if any(len(route.prefix) != 5 or route.prefix[0] > 32 for route in message.routes):
                    raise PeerError("unexpected_message", "an announced prefix is no IPv4 key")
                self._announcer.want(message.routes)
                return self._announcements()
            case ResetSession():
                if self.session.state == "up":
                    self._reset_reason = message.reason or "asked for"
                    return [self._teardown(4)]
                return self._retry.now(now)
            case Shutdown():
                self._stopping = True
                self._stop_at = now + STOP_WITHIN_NS
                self._announcer.want(())
                self._reset_reason = message.reason or "asked to stop"
                lines = self._announcements()
                return [*lines, self._teardown(2) if self.session.state == "up" else Command(("shutdown",))]
            case _:
                raise PeerError("unexpected_message", type(message).__name__)

    def diagnosis(self, answers_arp: bool | None, wall: float) -> list[Effect]:
        """What the kernel shows about a connection that is not there."""
        if self.session.state != "down" or self._retry.held_off:
            return []
        return self._say(reasons.no_connection(self.peer, answers_arp), wall)

    def next_timer(self) -> int | None:
        """The earliest deadline, or None."""
        return min(filter(None, (self._quiet_at, self._stop_at, self._retry.next_timer())), default=None)

    def handle_timer(self, now: int, wall: float) -> list[Effect]:
        """Do what has become due."""
        effects: list[Effect] = []
        if self._quiet_at is not None and now >= self._quiet_at:
            effects += self._quiet()
        effects += self._retry.handle_timer(now)
        if self._stop_at is not None and now >= self._stop_at:
            self._stop_at = None
            effects.append(Command(("shutdown",)))
        return effects

    def snapshot(self) -> Iterator[Message]:
        """Everything that a new client has to know."""
        return feed.snapshot(self.session, self.table, self.complete, self.counters())

    def counters(self) -> dict[str, float]:
        """Cumulative since the start of this process, but for the gauges ``bgp_prefixes`` and ``bgp_announced``."""
        values = {f"bgp_discarded{{reason={reason}}}": float(n) for reason, n in sorted(self.table.discarded.items())}
        values |= self._shell_counters
        values["exabgp_lines_discarded"] = float(self._bad_lines)
        values["bgp_prefixes"] = float(len(self.table))
        values["bgp_announced"] = float(len(self._announcer))
        return values

    def sign_of_life(self, more: dict[str, float]) -> list[Effect]:
        """Once a second: the counters for the clients, the shell's own (``more``) included."""
        self._shell_counters = more
        return [Tell(Counters(self.counters()))]

    # --- the session ------------------------------------------------------------------------------------------------

    def _connected(self, event: exa.Connected, now: int, wall: float) -> list[Effect]:
        if self.session.state != "down":
            return []
        self._opened = self._note = None
        self._retry.connected()
        # An old reason stays: in a loop of refused OPENs it is what people need to read.
        return self._become(SessionState("connecting", self.session.sessions, wall, self.session.reason))

    def _opened_by_peer(self, event: exa.Opened, now: int, wall: float) -> list[Effect]:
        self._opened = event
        return []

    def _notified(self, event: exa.Notified, now: int, wall: float) -> list[Effect]:
        self._note = event  # Down follows
        return []

    def _told(self, event: exa.Told, now: int, wall: float) -> list[Effect]:
        self._announcer.told(event.prefix)
        return []

    def _neighbours(self, event: exa.Neighbours, now: int, wall: float) -> list[Effect]:
        missed_up = event.established and self.session.state != "up" and not self._retry.held_off
        return self._resume(event.router_id, now, wall) if missed_up else []

    def _exabgp_stops(self, event: exa.Stopping, now: int, wall: float) -> list[Effect]:
        self._stopping = True
        return []

    def _up(self, event: exa.Up, now: int, wall: float) -> list[Effect]:
        if self._retry.held_off:
            return [self._teardown(1)]
        return self._went_up(self._opened.router_id if self._opened else "", now, wall, since_ns=now)

    def _went_up(self, router_id: str, now: int, wall: float, since_ns: int) -> list[Effect]:
        self.table.clear()
        self.complete = None
        self._resumed = False
        self._retry.connected()
        self._quiet_at = now + QUIET_NS
        state = SessionState("up", self.session.sessions + 1, wall, "", remote_router_id=router_id, up_ns=since_ns)
        return [*self._become(state), *self._announcements()]

    def _resume(self, router_id: str, now: int, wall: float) -> list[Effect]:
        """We started into an established session: its routes have to be sent again."""
        effects = self._went_up(router_id, now, wall, since_ns=0)
        self._resumed = True
        return [*effects, Command((f"neighbor {self.peer.address} announce route-refresh ipv4 unicast",))]

    def _down(self, event: exa.Down, now: int, wall: float) -> list[Effect]:
        if self._retry.held_off:
            reason = self.session.reason
        elif self._reset_reason:
            reason = f"reset by us: {self._reset_reason}"
        elif self._note is not None:
            says = self._opened.asn if self._opened else None
            reason = reasons.explain(self._note, self.peer, self._own_asn, says)
        else:
            reason = reasons.lost(event.reason, self.peer, self._opened is not None or self.session.state == "up")
        too_many = self.table.overflowed
        self.table.clear()
        self.complete = None
        self._quiet_at = None
        self._retry.lost(now, refused=self._note is not None and self._note.code == 2)
        self._reset_reason, self._note, self._opened = "", None, None
        effects = self._become(SessionState("down", self.session.sessions, wall, reason, fact=not self._stopping))
        if self._stopping:
            return [*effects, Command(("shutdown",))]
        return [*effects, *(self._retry.hold_off(now) if too_many else self._retry.hold_on())]

    def _become(self, state: SessionState) -> list[Effect]:
        self.session = state
        return [Tell(state)]

    def _say(self, reason: str, wall: float) -> list[Effect]:
        if self.session.reason == reason:
            return []
        return self._become(msgspec.structs.replace(self.session, since_wall=wall, reason=reason))

    def _teardown(self, subcode: int) -> Command:
        return Command((f"neighbor {self.peer.address} teardown {subcode}",))

    def _announcements(self) -> list[Effect]:
        lines = self._announcer.lines(up=self.session.state == "up")
        return [Command(tuple(lines))] if lines else []

    # --- the table --------------------------------------------------------------------------------------------------

    def _updated(self, update: exa.Updated, now: int, wall: float) -> list[Effect]:
        effects: list[Effect] = []
        if self._retry.held_off:
            return []
        if self.session.state != "up":  # a session that was up before we started
            effects += self._resume("", now, wall)
        if self._quiet_at is not None:
            self._quiet_at = now + QUIET_NS
        refused_before = len(self.table.refused)
        effects += self._tell(self.table.apply(update))
        if len(self.table.refused) != refused_before:
            effects += self._over_limit(wall)
        return effects

    def _over_limit(self, wall: float) -> list[Effect]:
        limit = self.peer.max_prefixes
        if not self.table.refused:
            return self._say("", wall)
        if self.table.overflowed:
            if self._reset_reason:
                return []
            self._reset_reason = f"the peer announces at least {2 * limit} prefixes, max_prefixes is {limit}"
            return [self._teardown(1)]
        return self._say(f"the peer announces more than max_prefixes ({limit}); those beyond it are refused", wall)

    def _end_of_rib(self, event: exa.EndOfRib, now: int, wall: float) -> list[Effect]:
        return [] if self._resumed else self._completed("end_of_rib")  # it may belong to what was sent before

    def _refresh(self, event: exa.Refresh, now: int, wall: float) -> list[Effect]:
        if event.mark == "begin":
            self.table.begin_refresh()
            return []
        return [*self._tell(self.table.end_refresh()), *self._completed("end_of_rib")]

    def _quiet(self) -> list[Effect]:
        if self._resumed:
            # No end of a refresh: the peer cannot refresh (or not yet), and what came may be anything. An incomplete
            # table that counts as complete would have good routes swept, so: a new session.
            self._quiet_at = None
            self._reset_reason = "the peer did not send its routes again"
            return [self._teardown(4)]
        return self._completed("quiet")

    def _completed(self, by: Literal["end_of_rib", "quiet"]) -> list[Effect]:
        if self.session.state != "up" or self.complete is not None:
            return []
        self._quiet_at = None
        self.complete = Complete(len(self.table), by)
        return [Tell(self.complete)]

    def _tell(self, delta: Delta) -> list[Effect]:
        return [Tell(message) for message in feed.changes(self.table.next_hop, delta)]
