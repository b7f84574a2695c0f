# long because: whoever follows a Down from the packet to the kernel finds all of BFD in one file
"""BFD sessions: from a packet's bytes to a change of state. See the room's rules in ``netctl.bfd``."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from heapq import heappop, heappush
from itertools import count
from typing import Literal

PORT = 3784
"""Destination port of single-hop control packets (RFC 5881 4)."""

DISCARDS = {
    "ttl": "RFC 5881 5: TTL is not 255, so the packet may have crossed a router",
    "truncated": "RFC 5880 6.8.6: shorter than the mandatory section of 24 bytes",
    "version": "RFC 5880 6.8.6: version is not 1",
    "length": "RFC 5880 6.8.6: Length is below 24, or below 26 with the A bit",
    "payload": "RFC 5880 6.8.6: Length is more than what arrived",
    "multiplier": "RFC 5880 6.8.6: Detect Mult is zero",
    "multipoint": "RFC 5880 6.8.6: the M bit is set",
    "my_discriminator": "RFC 5880 6.8.6: My Discriminator is zero",
    "your_discriminator": "RFC 5880 6.8.6: Your Discriminator names no session",
    "your_discriminator_zero": "RFC 5880 6.8.6: Your Discriminator is zero in state Init or Up",
    "no_session": "RFC 5880 6.8.6: Your Discriminator is zero and nobody expects packets from this source",
    "source": "RFC 5881 3: the session belongs to another pair of addresses or another interface",
    "authentication": "RFC 5880 6.8.6: the A bit is set and no authentication is in use",
    "admin_down": "RFC 5880 6.8.6: the session is AdminDown",
}
"""Each reason to discard a packet and the clause that asks for it, in the order of the checks."""

POLL, FINAL, CONTROL_PLANE_INDEPENDENT, AUTHENTICATED, DEMAND, MULTIPOINT = 0x20, 0x10, 0x08, 0x04, 0x02, 0x01
_PACKET = struct.Struct(">BBBBIIIII")
_SLOW_US = 1_000_000  # RFC 5880 6.8.3: not less than one second while not Up
_NEVER = 1 << 63


class State(IntEnum):
    """RFC 5880 4.1, Sta."""

    ADMIN_DOWN = 0
    DOWN = 1
    INIT = 2
    UP = 3


class Diagnostic(IntEnum):
    """RFC 5880 4.1, Diag: the codes that this end sends."""

    NONE = 0
    EXPIRED = 1
    NEIGHBOR_DOWN = 3
    ADMIN_DOWN = 7


Event = Literal["got_admin_down", "got_down", "got_init", "got_up", "expired", "admin_down"]
Cause = Literal["handshake", "expired", "neighbor_down", "neighbor_admin_down", "admin_down"]

TRANSITIONS: dict[tuple[State, Event], State] = {
    # RFC 5880 6.2 and 6.8.6. A pair that is missing must not happen: AdminDown hears nothing and has no deadline.
    (State.DOWN, "got_admin_down"): State.DOWN,
    (State.DOWN, "got_down"): State.INIT,
    (State.DOWN, "got_init"): State.UP,
    (State.DOWN, "got_up"): State.DOWN,
    (State.DOWN, "expired"): State.DOWN,
    (State.INIT, "got_admin_down"): State.DOWN,
    (State.INIT, "got_down"): State.INIT,
    (State.INIT, "got_init"): State.UP,
    (State.INIT, "got_up"): State.UP,
    (State.INIT, "expired"): State.DOWN,
    (State.UP, "got_admin_down"): State.DOWN,
    (State.UP, "got_down"): State.DOWN,
    (State.UP, "got_init"): State.UP,
    (State.UP, "got_up"): State.UP,
    (State.UP, "expired"): State.DOWN,
    (State.DOWN, "admin_down"): State.ADMIN_DOWN,
    (State.INIT, "admin_down"): State.ADMIN_DOWN,
    (State.UP, "admin_down"): State.ADMIN_DOWN,
}
_GOT: tuple[Event, ...] = ("got_admin_down", "got_down", "got_init", "got_up")
_WHY: dict[Event, tuple[Cause, Diagnostic]] = {
    "got_admin_down": ("neighbor_admin_down", Diagnostic.NEIGHBOR_DOWN),
    "got_down": ("neighbor_down", Diagnostic.NEIGHBOR_DOWN),
    "expired": ("expired", Diagnostic.EXPIRED),
    "admin_down": ("admin_down", Diagnostic.ADMIN_DOWN),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One session's state changed. ``failure``: the path failed while Up, as opposed to somebody's decision."""

    session: Session
    old: State
    new: State
    cause: Cause

    @property
    def failure(self) -> bool:
        return self.old is State.UP and self.cause in {"expired", "neighbor_down"}


class Session:
    """One session's variables (RFC 5880 6.8.1) and its step. Times are monotonic nanoseconds."""

    def __init__(
        self, name: str, address: str, interface: str, *, discriminator: int, interval_ms: int, multiplier: int
    ) -> None:
        self.name = name
        self.address = address
        self.interface = interface
        self.discriminator = discriminator
        self.interval_us = interval_ms * 1000
        self.multiplier = multiplier
        self.state = State.DOWN
        self.diagnostic = Diagnostic.NONE
        self.polling = False
        self.ups = 0
        self.downs = 0
        self.received = 0
        self.sent = 0
        self.next_send_ns = 0
        self.queued_ns = _NEVER  # where this session's earliest entry in the heap is
        self._packet: bytes | None = None
        self.forget_remote()

    def forget_remote(self) -> None:
        """RFC 5880 6.8.1: nothing is known of the other end (at first, and after a detection time of silence)."""
        self.remote_discriminator = 0
        self.remote_state = State.DOWN
        self.remote_diagnostic = 0
        self.remote_flags = 0
        self.remote_multiplier = 0
        self.remote_min_rx_us = 1
        self.remote_min_tx_us = 0
        self.detection_ns = 0
        self.expires_ns = _NEVER
        self._packet = None

    @property
    def min_tx_us(self) -> int:
        """Desired Min TX Interval: at least a second while not Up (6.8.3)."""
        return self.interval_us if self.state is State.UP else max(self.interval_us, _SLOW_US)

    @property
    def transmit_ns(self) -> int:
        """The negotiated transmit interval before jitter (6.8.2)."""
        return max(self.min_tx_us, self.remote_min_rx_us) * 1000

    @property
    def silent(self) -> bool:
        """6.8.7: the other end wants no periodic packets (Required Min RX zero, or demand mode while both are Up)."""
        if self.remote_min_rx_us == 0:
            return True
        demand = self.remote_flags & DEMAND and self.state is State.UP and self.remote_state is State.UP
        return bool(demand) and not self.polling

    @property
    def deadline_ns(self) -> int:
        return min(self.expires_ns, _NEVER if self.silent else self.next_send_ns)

    def packet(self, final: bool = False) -> bytes:
        """The control packet of this moment; ``final`` answers a poll (never P and F in one packet, 6.5)."""
        if final:
            return self._build(FINAL)
        if self._packet is None:
            self._packet = self._build(POLL if self.polling else 0)
        return self._packet

    def _build(self, flags: int) -> bytes:
        # C: this process is not the control plane and survives its restart (RFC 5882 4.3). Echo is not supported: 0.
        return _PACKET.pack(
            1 << 5 | self.diagnostic,
            self.state << 6 | CONTROL_PLANE_INDEPENDENT | flags,
            self.multiplier,
            _PACKET.size,
            self.discriminator,
            self.remote_discriminator,
            self.min_tx_us,
            self.interval_us,
            0,
        )

    def negotiate(self, discriminator: int, multiplier: int, min_tx_us: int, min_rx_us: int) -> bool:
        """Take over what the other end announces; True when packets have to be sent more often than before."""
        before_ns = self.transmit_ns if self.remote_min_rx_us else _NEVER
        if discriminator != self.remote_discriminator:
            self.remote_discriminator = discriminator
            self._packet = None
        self.remote_multiplier = multiplier
        self.remote_min_tx_us = min_tx_us
        self.remote_min_rx_us = min_rx_us
        self.detection_ns = multiplier * max(self.interval_us, min_tx_us) * 1000  # 6.8.4
        return min_rx_us != 0 and self.transmit_ns < before_ns

    def end_poll(self) -> None:
        self.polling = False
        self._packet = None

    def step(self, event: Event) -> Change | None:
        """One step of the table; the caller sends at once when the state changed."""
        old, new = self.state, TRANSITIONS[self.state, event]
        if new is old:
            return None
        cause: Cause = "handshake"
        self.state = new
        if new is State.UP:
            self.ups += 1
            self.diagnostic = Diagnostic.NONE
        elif event in _WHY:
            cause, self.diagnostic = _WHY[event]
            self.downs += old is State.UP
        # Up brings a shorter transmit interval: announced with a poll (6.8.3). Leaving Up needs no agreement on the
        # longer one: the neighbour's detection of us ends with the state that the same packet carries.
        self.polling = new is State.UP
        self._packet = None
        return Change(self, old, new, cause)


class Sessions:
    """All sessions of a node: which packet belongs to which, and who is due next."""

    def __init__(self, jitter: Callable[[], float]) -> None:
        self.discarded: Counter[str] = Counter()
        self.own_gaps = 0
        self._jitter = jitter
        self._by_discriminator: dict[int, Session] = {}
        self._by_source: dict[str, list[Session]] = {}
        self._heap: list[tuple[int, int, Session]] = []
        self._order = count()
        self._packets: list[tuple[Session, bytes]] = []

    def add(self, session: Session, now_ns: int) -> None:
        """Start a session; ``discriminator`` must be unique and not zero. The first packet is due at once."""
        self._by_discriminator[session.discriminator] = session
        self._by_source.setdefault(session.address, []).append(session)
        session.next_send_ns = now_ns
        self._queue(session)

    def take_packets(self) -> list[tuple[Session, bytes]]:
        """What has to be sent now, in order."""
        packets, self._packets = self._packets, []
        return packets

    def receive(self, data: bytes, ttl: int, source: str, interface: str, now_ns: int) -> Change | None:
        """One datagram that arrived at the BFD port. Never raises; what is discarded is counted and changes nothing."""
        reason = _framing_fault(data, ttl) or _content_fault(data)
        if reason:
            return self._discard(reason)
        first, flags, multiplier, _, mine, yours, min_tx_us, min_rx_us, _ = _PACKET.unpack_from(data)
        session = self._find(yours, flags >> 6, source, interface)
        if isinstance(session, str):
            return self._discard(session)
        if flags & AUTHENTICATED or session.state is State.ADMIN_DOWN:
            return self._discard("authentication" if flags & AUTHENTICATED else "admin_down")
        session.received += 1
        session.remote_diagnostic = first & 31
        session.remote_flags = flags
        more_often = session.negotiate(mine, multiplier, min_tx_us, min_rx_us)
        return self._accept(session, flags, more_often, now_ns)

    def _find(self, yours: int, state: int, source: str, interface: str) -> Session | str:
        """The packet's session, or the reason to discard it."""
        if yours:
            session = self._by_discriminator.get(yours)
            if session is None:
                return "your_discriminator"
            return session if session.address == source and _same(session.interface, interface) else "source"
        if state > State.DOWN:
            return "your_discriminator_zero"
        for session in self._by_source.get(source, ()):
            if _same(session.interface, interface):
                return session
        return "no_session"

    def _accept(self, session: Session, flags: int, more_often: bool, now_ns: int) -> Change | None:
        """The second half of 6.8.6: the packet counts."""
        session.remote_state = State(flags >> 6)
        session.expires_ns = now_ns + session.detection_ns
        if flags & FINAL and session.polling:
            session.end_poll()
        change = session.step(_GOT[flags >> 6])
        if flags & POLL:
            self._send(session, session.packet(final=True))
        if change is not None:
            self._send_now(session, now_ns)
        elif more_often:
            session.next_send_ns = min(session.next_send_ns, now_ns + self._jittered_ns(session))
        self._queue(session)
        return change

    def admin_down(self, now_ns: int) -> list[Change]:
        """Tell every neighbour that this end stops by decision (6.8.16)."""
        changes = []
        for session in self._by_discriminator.values():
            if session.state is not State.ADMIN_DOWN and (change := session.step("admin_down")) is not None:
                session.expires_ns = _NEVER
                changes.append(change)
            self._send_now(session, now_ns)
        return changes

    def next_timer(self) -> int | None:
        """When to call ``handle_timer``, at the latest."""
        return self._heap[0][0] if self._heap else None

    def handle_timer(self, now_ns: int) -> list[Change]:
        """Send what is due, and declare Down who was silent. The caller has read its sockets empty before."""
        changes: list[Change] = []
        if not self._heap or self._heap[0][0] > now_ns:
            return changes
        self._forgive_own_gap(now_ns, now_ns - self._heap[0][0])
        while self._heap and self._heap[0][0] <= now_ns:
            due_ns, _, session = heappop(self._heap)
            if due_ns != session.queued_ns:
                continue  # superseded by an earlier entry
            session.queued_ns = _NEVER
            if session.expires_ns <= now_ns:
                change = session.step("expired")
                session.forget_remote()
                if change is not None:
                    changes.append(change)
                    session.next_send_ns = now_ns
            if session.next_send_ns <= now_ns and not session.silent:
                self._send_now(session, now_ns)
            self._queue(session)
        return changes

    def _forgive_own_gap(self, now_ns: int, late_ns: int) -> None:
        """A timer this late means that we were stopped, and the silence may be ours: everyone gets a new chance."""
        if late_ns < 1_000_000:  # the ordinary case, whatever the number of sessions
            return
        for session in self._by_discriminator.values():
            if session.expires_ns != _NEVER and late_ns * 2 > session.detection_ns:
                session.expires_ns = max(session.expires_ns, now_ns + session.detection_ns)
                self.own_gaps += 1

    def _discard(self, reason: str) -> Change | None:
        self.discarded[reason] += 1
        return None

    def _send(self, session: Session, packet: bytes) -> None:
        session.sent += 1
        self._packets.append((session, packet))

    def _send_now(self, session: Session, now_ns: int) -> None:
        self._send(session, session.packet())
        session.next_send_ns = now_ns + self._jittered_ns(session)

    def _jittered_ns(self, session: Session) -> int:
        """6.8.7: 75-100 % of the interval, 75-90 % when a single lost packet is a detection time."""
        spread = 0.25 if session.multiplier > 1 else 0.15
        return int(session.transmit_ns * (0.75 + spread * self._jitter()))

    def _queue(self, session: Session) -> None:
        deadline_ns = session.deadline_ns
        if deadline_ns < session.queued_ns:
            session.queued_ns = deadline_ns
            heappush(self._heap, (deadline_ns, next(self._order), session))


def _framing_fault(data: bytes, ttl: int) -> str:
    """The first checks of the ladder: those that need no field beyond Length. Empty when there is no fault."""
    if ttl != 255:
        return "ttl"
    if len(data) < _PACKET.size:
        return "truncated"
    if data[0] >> 5 != 1:
        return "version"
    if data[3] < (26 if data[1] & AUTHENTICATED else 24):
        return "length"
    return "payload" if data[3] > len(data) else ""


def _content_fault(data: bytes) -> str:
    """The checks between Length and the choice of a session."""
    if not data[2]:
        return "multiplier"
    if data[1] & MULTIPOINT:
        return "multipoint"
    return "" if any(data[4:8]) else "my_discriminator"


def _same(expected: str, actual: str) -> bool:
    return not expected or not actual or expected == actual
