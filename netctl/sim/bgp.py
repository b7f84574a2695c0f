"""BGP between a modelled speaker and a modelled provider: sessions over a link that stalls, loses and resets.

What matters to netctl is when each side believes what, so a session is a reliable, ordered wire (TCP: nothing passes
while one way is cut, what was sent arrives after it returns), keepalives, a hold timer at each end, and a close that a
dead process's kernel still sends.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from random import Random
from typing import Protocol

from netctl.model.clock import MS, SECOND, Timer
from netctl.model.prefix import Prefix
from netctl.sim.loop import SimLoop, hold, world_context
from netctl.sim.network import SimLink

RTO_NS = 200 * MS
"""TCP's least retransmission timeout (TCP_RTO_MIN of Linux); doubles up to ``RTO_MAX_NS``."""
RTO_MAX_NS = 3_200 * MS
HANDSHAKE_NS = 20 * MS


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Nothing but a sign of life."""


@dataclass(frozen=True, slots=True)
class Update:
    """Announced prefixes with their AS path, and withdrawn ones."""

    announced: tuple[tuple[Prefix, tuple[int, ...]], ...] = ()
    withdrawn: tuple[Prefix, ...] = ()


@dataclass(frozen=True, slots=True)
class EndOfRib:
    """The table was sent."""


@dataclass(frozen=True, slots=True)
class Close:
    """NOTIFICATION, FIN or RST: the other end is gone, and why."""

    reason: str


BgpMessage = Keepalive | Update | EndOfRib | Close


class Handler(Protocol):
    """Whoever holds one end of a session."""

    def message(self, message: Update | EndOfRib) -> None:
        """The other end said this."""

    def closed(self, reason: str) -> None:
        """The session is over, not by our own ``close``."""


class BgpLink:
    """The place of BGP sessions on one link: who listens, and whether TCP passes."""

    def __init__(self, loop: SimLoop, seed: int, link: SimLink, hold_ns: int) -> None:
        self.loop = loop
        self.link = link
        self.hold_ns = hold_ns
        self.silenced = 0
        """How many faults let everything but BGP pass now."""
        self.random = Random(f"{seed}/bgp/{link.name}")
        self._accept: Callable[[BgpHalf], Handler | None] | None = None
        self._accept_context: Context = Context()

    @property
    def passes(self) -> bool:
        return self.link.open and not self.silenced

    def delay_ns(self) -> int:
        """One segment's way, with the retransmissions that the link's loss costs it."""
        loss = max(way.loss for way in self.link.ways)
        delay, rto = MS + int(self.random.random() * MS), RTO_NS
        while self.random.random() < loss and rto < RTO_MAX_NS:
            delay += rto
            rto *= 2
        return delay

    def listen(self, accept: Callable[[BgpHalf], Handler | None]) -> None:
        """Accept sessions from now on until the process ends; ``accept`` returns None to reject."""
        self._accept = accept
        self._accept_context = copy_context()

        def stop() -> None:
            self._accept = None

        hold(stop)

    async def connect(self, handler: Handler) -> BgpHalf:
        """Open a session. Raises ConnectionError."""
        await asyncio.sleep((HANDSHAKE_NS + 2 * self.delay_ns()) / SECOND)
        if not self.passes:
            raise ConnectionError("connection timed out")
        if self._accept is None:
            raise ConnectionError("connection refused")
        near, far = BgpHalf(self), BgpHalf(self)
        near.join(far)
        theirs = self._accept_context.copy().run(far.taken_by, self._accept)
        if theirs is None:
            raise ConnectionError("rejected: the peer still holds the old session")
        near.take(handler)
        return near


class BgpHalf:
    """One end of one session."""

    def __init__(self, place: BgpLink) -> None:
        self.closed = False
        self._place = place
        self._loop = place.loop
        self._other = self
        self._handler: Handler | None = None
        self._context: Context = Context()
        self._heard_ns = place.loop.now_ns
        self._timers: list[Timer] = []
        self._sent: deque[BgpMessage] = deque()
        self._sending = False
        self._rto_ns = RTO_NS
        self._let_go: Callable[[], None] = lambda: None

    def join(self, other: BgpHalf) -> None:
        self._other, other._other = other, self

    def taken_by(self, accept: Callable[[BgpHalf], Handler | None]) -> Handler | None:
        handler = accept(self)
        if handler is not None:
            self.take(handler)
        return handler

    def take(self, handler: Handler) -> None:
        """Bind this end to the process that runs now and start its timers."""
        self._handler = handler
        self._context = copy_context()
        self._let_go = hold(lambda: self._shut("connection reset: the process ended"))
        self._heard_ns = self._loop.now_ns
        self._keepalive()
        self._check_hold()

    def send(self, message: BgpMessage) -> None:
        if not self.closed:
            self._push(message)

    def close(self, reason: str) -> None:
        """End the session from here, telling the other end."""
        if not self.closed:
            self._let_go()
            self._shut(reason)

    def _shut(self, reason: str) -> None:
        self.closed = True
        for timer in self._timers:
            timer.cancel()
        self._push(Close(reason))

    # --- timers of this end, in its process ---

    def _keepalive(self) -> None:
        if not self.closed:
            self._push(Keepalive())
            self._timers[:1] = [self._at(self._loop.now_ns + self._place.hold_ns // 3, self._keepalive)]

    def _check_hold(self) -> None:
        if self.closed:
            return
        expiry = self._heard_ns + self._place.hold_ns
        if self._loop.now_ns >= expiry:
            self._ended("hold timer expired")
            return
        self._timers[1:] = [self._at(expiry, self._check_hold)]

    def _at(self, when_ns: int, callback: Callable[[], None]) -> Timer:
        return self._loop.call_at_ns(when_ns, callback, context=self._context)

    def _ended(self, reason: str) -> None:
        self.close(reason)
        if self._handler is not None:
            self._handler.closed(reason)

    # --- the wire: the world's, it goes on when the process has died ---

    def _push(self, message: BgpMessage) -> None:
        self._sent.append(message)
        if not self._sending:
            self._sending = True
            self._transmit()

    def _transmit(self) -> None:
        if self._place.passes:
            self._rto_ns = RTO_NS
            wait_ns, then = self._place.delay_ns(), self._arrive
        else:
            wait_ns, then = self._rto_ns, self._transmit
            self._rto_ns = min(2 * self._rto_ns, RTO_MAX_NS)
        self._loop.call_at_ns(self._loop.now_ns + wait_ns, then, context=world_context())

    def _arrive(self) -> None:
        if not self._place.passes:
            self._transmit()
            return
        messages, self._sent = self._sent, deque()
        self._sending = False
        for message in messages:
            self._loop.call_soon(self._other._receive, message, context=self._other._context)

    def _receive(self, message: BgpMessage) -> None:
        if self.closed:
            return
        self._heard_ns = self._loop.now_ns
        if isinstance(message, Close):
            self._let_go()
            self.closed = True
            for timer in self._timers:
                timer.cancel()
            if self._handler is not None:
                self._handler.closed(message.reason)
        elif self._handler is not None and not isinstance(message, Keepalive):
            self._handler.message(message)
