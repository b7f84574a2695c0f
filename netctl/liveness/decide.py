# long because: whoever follows a Down from the packet to the kernel finds all of the deciding in one file
"""The core: where each peer's member belongs, given what BFD, the kernel and the agent say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address
from typing import Any

from netctl.bfd.session import Change, Session, Sessions, State
from netctl.ipc.messages import Arm, Armed, ArmedSession, BfdSession, Counters, MemberPointed, Shutdown
from netctl.liveness.events import (
    Adopt,
    Arrived,
    Asked,
    Effect,
    Event,
    Exit,
    Joined,
    Point,
    Pointed,
    Send,
    Stop,
    Tell,
    Tick,
)
from netctl.liveness.report import DIAGNOSTICS, STATES, counters
from netctl.model.clock import MS, SECOND
from netctl.model.gateway import Gateway, Peer
from netctl.model.routing import KernelEvent, PutMember, Via

_NEVER = 1 << 63
_RETRY_NS = SECOND
_HANDSHAKE_NS = 4 * SECOND  # Down, Init, Up at a packet a second each, and one lost


class Path:
    """One peer: its session, where its member points, what is armed for it."""

    def __init__(self, peer: Peer, session: Session | None, armed: ArmedSession) -> None:
        self.peer = peer
        self.via = Via(IPv4Address(peer.address).packed, peer.interface)
        self.session = session
        self.armed = armed
        self.failed = False  # the path failed and has not been Up since
        self.doubted_until_ns = _NEVER  # a neighbour lost us by our own silence: failed only if not Up again by then
        self.forgiving_until_ns = 0  # after a silence of our own, while neighbours may still find it out
        self.up_since_ns = _NEVER
        self.since_wall = 0.0
        self.down_ns = 0
        self.at = peer.name
        self.missing = True  # the kernel has no such member
        self.refused: set[str] = set()  # where the kernel would not let it point, until the next retry
        self.told: tuple[int, int] = (0, 0)

    @property
    def neighbours_patience_ns(self) -> int:
        """How long the neighbour waits for our packets, about."""
        return 0 if self.session is None else self.session.multiplier * self.session.interval_us * 1000

    @property
    def away(self) -> bool:
        return self.at != self.peer.name

    @property
    def up(self) -> bool:
        return self.session is not None and self.session.state is State.UP

    @property
    def lost(self) -> bool:
        """It was Up and is not: as opposed to one of which nothing is known yet."""
        return self.session is not None and self.session.ups > 0 and not self.up

    @property
    def home_at_ns(self) -> int:
        """When an alive path's member may come home."""
        downs = self.session.downs if self.session is not None else 0
        if self.armed.restore == "now" and self.armed.downs in {-1, downs}:
            return self.up_since_ns
        return min(_NEVER, self.up_since_ns + self.armed.restore_after_ms * MS)


class Liveness:
    """``handle(event, now_ns)`` → effects, ``Point`` first. ``jitter`` gives [0, 1), ``wall`` seconds for people."""

    def __init__(
        self,
        gateway: Gateway,
        jitter: Callable[[], float],
        discriminators: Iterable[int],
        wall: Callable[[], float],
        now_ns: int,
    ) -> None:
        self.sessions = Sessions(jitter)
        self.counts: Counter[str] = Counter()
        self.generation = 0
        self._wall = wall
        self._armed_by_agent = False
        self._paths: dict[str, Path] = {}
        self._stop_at_ns = _NEVER
        self._retry_at_ns = _NEVER
        self._wait_until_ns = _NEVER
        self._report_at_ns = now_ns + SECOND
        for peer, discriminator in zip(gateway.peers, discriminators, strict=False):
            session = None
            if peer.bfd is not None:
                session = Session(
                    peer.name,
                    peer.address,
                    peer.interface,
                    discriminator=discriminator,
                    interval_ms=peer.bfd.interval_ms,
                    multiplier=peer.bfd.multiplier,
                )
                self.sessions.add(session, now_ns)
            path = Path(peer, session, ArmedSession(peer=peer.name, survivors=default_survivors(gateway, peer)))
            path.since_wall = wall()
            self._paths[peer.name] = path
        self._gap_ns = min((p.neighbours_patience_ns for p in self._paths.values() if p.session), default=0) // 2
        self._handlers: dict[type, Callable[[Any, int], Sequence[Effect]]] = {
            Arrived: self._arrived,
            Tick: self._tick,
            Adopt: self._adopt,
            Joined: self._joined,
            Asked: self._asked,
            Pointed: self._pointed,
            KernelEvent: self._kernel,
            Stop: self._stop,
        }

    def handle(self, event: Event, now_ns: int) -> Sequence[Effect]:
        """What has to be done about ``event``."""
        return self._handlers[type(event)](event, now_ns)

    def next_timer(self) -> int:
        """When the next ``Tick`` is due."""
        bfd_ns = self.sessions.next_timer()
        return min(
            self._wait_until_ns,
            self._report_at_ns,
            self._retry_at_ns,
            self._stop_at_ns,
            _NEVER if bfd_ns is None else bfd_ns,
        )

    # --- what BFD says -----------------------------------------------------------------------------------------------

    def _arrived(self, event: Arrived, now_ns: int) -> Sequence[Effect]:
        self._note_own_gap(now_ns)
        changes: list[Change] = []
        for one in event.datagrams:
            change = self.sessions.receive(one.data, one.ttl, one.source, one.interface, now_ns)
            if change is not None:
                changes.append(change)
        return self._changed(changes, now_ns) if changes else self._sends()

    def _tick(self, _: Tick, now_ns: int) -> Sequence[Effect]:
        self._note_own_gap(now_ns)
        changes = self.sessions.handle_timer(now_ns)
        overdue = changes or now_ns >= min(self._wait_until_ns, self._retry_at_ns)
        effects = self._overdue(changes, now_ns) if overdue else self._sends()
        if now_ns >= self._report_at_ns:
            self._report_at_ns = now_ns + SECOND
            effects += self._report()
        if now_ns >= self._stop_at_ns:
            self.sessions.admin_down(now_ns)
            effects += [*self._sends(), Exit()]
        return effects

    def _overdue(self, changes: Sequence[Change], now_ns: int) -> list[Effect]:
        """Not an ordinary tick: somebody is silent, or something has been waited for."""
        if now_ns >= self._retry_at_ns:
            self._retry_at_ns = _NEVER
            for path in self._paths.values():
                path.refused.clear()
        for path in self._paths.values():
            if now_ns >= path.doubted_until_ns:
                path.failed, path.doubted_until_ns = True, _NEVER
        return self._changed(changes, now_ns)

    def _note_own_gap(self, now_ns: int) -> None:
        """Having been stopped, we were silent: a neighbour that says Down about now speaks of us, not of the path."""
        due_ns = self.sessions.next_timer()
        if due_ns is None or now_ns - due_ns < self._gap_ns:
            return
        for path in self._paths.values():
            if (now_ns - due_ns) * 2 > path.neighbours_patience_ns:
                path.forgiving_until_ns = now_ns + path.neighbours_patience_ns

    def _changed(self, changes: Sequence[Change], now_ns: int) -> list[Effect]:
        """Take the changes over, then point members, then send, then tell: the kernel comes first."""
        for change in changes:
            path = self._paths[change.session.name]
            path.since_wall = self._wall()
            path.up_since_ns = now_ns if change.new is State.UP else _NEVER
            path.down_ns = now_ns if change.new is State.DOWN else path.down_ns
            if change.new is State.UP:
                path.failed, path.doubted_until_ns = False, _NEVER
            elif change.failure and change.cause == "neighbor_down" and now_ns < path.forgiving_until_ns:
                path.doubted_until_ns = now_ns + _HANDSHAKE_NS
            elif change.failure:
                path.failed = True
        told = [self._told(self._paths[change.session.name], change.session) for change in changes]
        return [*self._points(now_ns), *self._sends(), *told]

    def _sends(self) -> list[Effect]:
        return [Send(session.name, data) for session, data in self.sessions.take_packets()]

    # --- where members belong ----------------------------------------------------------------------------------------

    def _target(self, path: Path, now_ns: int) -> str:
        """Whose address the member should hold; where it is (``path.at``) whenever nothing better is known."""
        home = path.peer.name
        if path.session is None or (not path.failed and not path.away):
            return home
        if path.up and now_ns >= path.home_at_ns:
            return home
        if path.away and path.at in path.armed.survivors and not self._paths[path.at].lost:
            return path.at
        usable = [name for name in path.armed.survivors if name not in path.refused and self._usable(self._paths[name])]
        # One that has come back but is not restored yet carries traffic only when there is no other.
        solid = [name for name in usable if not self._paths[name].away]
        if usable:
            return (solid or usable)[0]
        return home if path.up else path.at

    def _usable(self, survivor: Path) -> bool:
        """Whether a member may be pointed there: Up; or without BFD, if it was the agent who named it."""
        return self._armed_by_agent if survivor.session is None else survivor.up

    def _points(self, now_ns: int) -> list[Point]:
        points: list[Point] = []
        if self._stop_at_ns != _NEVER:
            return points  # our own AdminDown is no news about any path
        for path in self._paths.values():
            at = self._target(path, now_ns)
            if (at != path.at or path.missing) and at not in path.refused:
                points.append(Point(path.peer.name, at, PutMember(path.peer.member_id, self._paths[at].via)))
        waiting = [p.home_at_ns for p in self._paths.values() if p.away and p.up and p.home_at_ns > now_ns]
        self._wait_until_ns = min([*waiting, *(path.doubted_until_ns for path in self._paths.values())], default=_NEVER)
        return points

    def _pointed(self, event: Pointed, now_ns: int) -> Sequence[Effect]:
        path = self._paths[event.peer]
        if event.refused is not None:
            self.counts[f"member_refused{{peer={event.peer}}}"] += 1
            path.refused.add(event.at)
            self._retry_at_ns = min(self._retry_at_ns, now_ns + _RETRY_NS)
            return [point for point in self._points(now_ns) if point.peer == event.peer]
        path.at = event.at
        path.missing = False
        path.refused.discard(event.at)
        self.counts[f"member_pointed{{peer={event.peer}}}"] += 1
        return [Tell(self._member(path, event.took_ns / 1000))]

    def _adopt(self, event: Adopt, now_ns: int) -> Sequence[Effect]:
        """A member that exists stays where it points; one that points nowhere we know, or is missing, comes home."""
        owners = {path.via: name for name, path in self._paths.items()}
        for path in self._paths.values():
            via = event.members.get(path.peer.member_id)
            if via in owners:
                path.at = owners[via]
                path.missing = False
        return self._points(now_ns)

    def _kernel(self, event: KernelEvent, now_ns: int) -> Sequence[Effect]:
        """A lost carrier takes nexthops along without a word, so a link's change makes its members doubtful."""
        link = event.link
        on_link = {name for name, path in self._paths.items() if link and path.via.interface == link.name}
        for path in self._paths.values():
            if link is not None and link.up:
                path.refused -= on_link
            elif event.kind == "overrun":  # a link's return may be among what was lost: the kernel is asked anew
                path.missing = True
                path.refused.clear()
            elif event.nexthop == path.peer.member_id:
                path.missing = True
            elif path.at in on_link:
                path.missing = True
                path.refused |= on_link  # the kernel would say so; asked again when the link is back
        return self._points(now_ns)

    # --- what clients say and hear -----------------------------------------------------------------------------------

    def _joined(self, event: Joined, _: int) -> Sequence[Effect]:
        told: list[Effect] = [
            Tell(_session_message(path, path.session), event.client)
            for path in self._paths.values()
            if path.session is not None
        ]
        told += [Tell(self._member(path), event.client) for path in self._paths.values() if not path.missing]
        told.append(Tell(Counters(values=self._counters()), event.client))
        return told

    def _asked(self, event: Asked, now_ns: int) -> Sequence[Effect]:
        if isinstance(event.message, Arm):
            return self._arm(event.message, event.client, now_ns)
        if isinstance(event.message, Shutdown):
            return self._stop(Stop(), now_ns)
        self.counts["socket_unexpected_message"] += 1
        return []

    def _arm(self, arm: Arm, client: int, now_ns: int) -> Sequence[Effect]:
        names = {name for session in arm.sessions for name in (session.peer, *session.survivors)}
        error = ""
        if arm.generation < self.generation:
            error = f"generation {arm.generation} is older than {self.generation}, which is armed"
        elif unknown := sorted(names - self._paths.keys()):
            error = f"no such peer: {', '.join(unknown)}"
        elif any(session.peer in session.survivors for session in arm.sessions):
            error = "a peer cannot survive itself"
        if error:
            self.counts["arms_refused"] += 1
            return [Tell(Armed(generation=self.generation, error=error), client)]
        self.generation = arm.generation
        self._armed_by_agent = True
        by_name = {session.peer: session for session in arm.sessions}
        for name, path in self._paths.items():
            path.armed = by_name.get(name, ArmedSession(peer=name, survivors=()))
        return [*self._points(now_ns), Tell(Armed(generation=arm.generation), client)]

    def _stop(self, _: Stop, now_ns: int) -> Sequence[Effect]:
        """AdminDown now and once more an interval later, in case the first is lost."""
        if self._stop_at_ns != _NEVER:
            return []
        intervals = [path.session.interval_us * 1000 for path in self._paths.values() if path.session is not None]
        self._stop_at_ns = now_ns + max(intervals, default=0)
        self._wait_until_ns = self._retry_at_ns = _NEVER
        return self._changed(self.sessions.admin_down(now_ns), now_ns)

    def _report(self) -> list[Effect]:
        """Once a second: sessions whose timers were negotiated anew, and the counters, which are the sign of life."""
        told: list[Effect] = [
            self._told(path, session)
            for path in self._paths.values()
            if (session := path.session) is not None and path.told != (session.detection_ns, session.transmit_ns)
        ]
        return [*told, Tell(Counters(values=self._counters()))]

    def _told(self, path: Path, session: Session) -> Tell:
        path.told = (session.detection_ns, session.transmit_ns)
        return Tell(_session_message(path, session))

    def _member(self, path: Path, decision_us: float = 0.0) -> MemberPointed:
        return MemberPointed(
            peer=path.peer.name, at=path.at, generation=self.generation, decision_us=round(decision_us, 1)
        )

    def _counters(self) -> dict[str, float]:
        each = [path.session for path in self._paths.values() if path.session is not None]
        return counters(self.sessions, each, self.counts)


def _session_message(path: Path, session: Session) -> BfdSession:
    return BfdSession(
        peer=session.name,
        state=STATES[session.state],
        diagnostic=DIAGNOSTICS[session.diagnostic],
        remote_state=STATES[session.remote_state],
        since_wall=path.since_wall,
        ups=session.ups,
        downs=session.downs,
        detection_ms=session.detection_ns / 1e6,
        interval_ms=session.transmit_ns / 1e6,
        down_ns=path.down_ns,
    )


def default_survivors(gateway: Gateway, peer: Peer) -> tuple[str, ...]:
    """Until the agent arms: the others of the same kind, beginning after the peer itself so that load spreads."""
    same = [other.name for other in gateway.peers if other.kind == peer.kind]
    start = same.index(peer.name)
    return (*same[start + 1 :], *same[:start])
