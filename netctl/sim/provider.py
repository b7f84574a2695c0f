"""A modelled provider: netctl's own BFD, a modelled BGP, and a forwarding table of its own.

It behaves as routing daemons do: BFD Down (and AdminDown) drops the BGP session at once, a lost session takes its
prefixes along, what one gateway announces reaches the others a moment later, a restart forgets everything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random

from netctl.bfd.session import PORT, Change, Session, Sessions, State
from netctl.model.clock import MS, SECOND, Timer
from netctl.model.gateway import BfdSettings
from netctl.model.ports import Datagrams, Endpoint
from netctl.model.prefix import Prefix
from netctl.sim.bgp import BgpHalf, BgpLink, EndOfRib, Update
from netctl.sim.loop import SimLoop, hold
from netctl.sim.network import FakeNetwork, SimLink

PROPAGATION_MS = (1.0, 15.0)
"""From a change to the update that tells another gateway."""
HOLD_OFF_NS = 1 * SECOND
"""How long a provider takes no new session after it has dropped one (an error wait)."""
Path = tuple[int, ...]


@dataclass
class Neighbour:
    """One gateway as the provider sees it."""

    provider: SimProvider
    gateway: str
    place: BgpLink
    bfd: Session
    half: BgpHalf | None = None
    refuses_until_ns: int = 0
    learned: dict[Prefix, Path] = field(default_factory=dict)
    told: dict[Prefix, Path] = field(default_factory=dict)
    tells_at_ns: int | None = None

    def accept(self, half: BgpHalf) -> Neighbour | None:
        if self.half is not None or self.provider.now_ns < self.refuses_until_ns:
            return None
        self.half = half
        self.told = {}
        self.provider.session_opened(self)
        return self

    def message(self, message: Update | EndOfRib) -> None:
        if isinstance(message, Update):
            for prefix in message.withdrawn:
                self.learned.pop(prefix, None)
            self.learned.update(message.announced)
            self.provider.learned_something(self)

    def closed(self, reason: str) -> None:
        self.half = None
        self.learned.clear()
        self.provider.learned_something(self)

    def drop(self, reason: str) -> None:
        if self.half is not None:
            self.half.close(reason)
            self.refuses_until_ns = self.provider.now_ns + HOLD_OFF_NS
            self.closed(reason)


class SimProvider:
    """One provider's routing daemon; ``program`` runs it, an instance is one life of it."""

    def __init__(
        self,
        name: str,
        asn: int,
        places: dict[str, BgpLink],
        *,
        network: FakeNetwork,
        loop: SimLoop,
        random: Random,
        bfd: BfdSettings,
    ) -> None:
        self.name = name
        self.asn = asn
        self.sends_end_of_rib = name == "pa"
        """BIRD always does, FRR only to those who advertise graceful restart: here pa is like BIRD, pb like FRR."""
        self.alive = False
        self._places = places
        self._network = network
        self._loop = loop
        self._random = random
        self._bfd = bfd
        self._sessions = Sessions(random.random)
        self._senders: dict[str, Datagrams] = {}
        self._timer: Timer | None = None
        self._timer_ns = 0
        self.neighbours: dict[str, Neighbour] = {}
        self.on_change: Callable[[str], None] = lambda what: None
        """Called after each change of forwarding or of a session."""

    @property
    def now_ns(self) -> int:
        return self._loop.now_ns

    async def program(self) -> None:
        self.alive = True
        hold(self._died)
        for gateway, place in self._places.items():
            self._start_neighbour(gateway, place)
        self._work()
        await asyncio.Event().wait()

    def lookup(self, prefix: Prefix) -> str | None:
        """The gateway to which packets for exactly this prefix go."""
        for neighbour in self.neighbours.values():
            if self.alive and prefix in neighbour.learned:
                return neighbour.gateway
        return None

    def _died(self) -> None:
        self.alive = False
        for neighbour in self.neighbours.values():
            neighbour.learned.clear()
            neighbour.half = None

    def _start_neighbour(self, gateway: str, place: BgpLink) -> None:
        link: SimLink = place.link
        mine, theirs = link.end_of(self.name), link.other_end(self.name)
        bfd = Session(
            gateway,
            theirs.address,
            mine.interface,
            discriminator=self._random.randrange(1, 1 << 32),
            interval_ms=self._bfd.interval_ms,
            multiplier=self._bfd.multiplier,
        )
        neighbour = Neighbour(self, gateway, place, bfd)
        self.neighbours[gateway] = neighbour
        receiver = self._network.open(Endpoint(mine.address, PORT, interface=mine.interface))
        receiver.on_readable(partial(self._receive, receiver))
        self._senders[gateway] = self._network.open(Endpoint(mine.address, 0, interface=mine.interface))
        self._sessions.add(bfd, self.now_ns)
        place.listen(neighbour.accept)

    # --- BFD ---

    def _receive(self, socket: Datagrams) -> None:
        for packet in socket.receive():
            change = self._sessions.receive(packet.data, packet.ttl, packet.source, packet.interface, self.now_ns)
            if change is not None:
                self._bfd_changed(change)
        self._work()

    def _due(self) -> None:
        self._timer = None
        for change in self._sessions.handle_timer(self.now_ns):
            self._bfd_changed(change)
        self._work()

    def _work(self) -> None:
        for session, packet in self._sessions.take_packets():
            self._senders[session.name].send(packet, session.address, PORT)
        due_ns = self._sessions.next_timer()
        if due_ns is not None and (self._timer is None or due_ns < self._timer_ns):
            if self._timer is not None:
                self._timer.cancel()
            self._timer_ns = due_ns
            self._timer = self._loop.call_at(due_ns / SECOND, self._due)

    def _bfd_changed(self, change: Change) -> None:
        if change.old is State.UP:
            self.neighbours[change.session.name].drop(f"BFD session down ({change.cause})")
        self.on_change(f"BFD of {change.session.name} {change.new.name} ({change.cause})")

    # --- BGP ---

    def session_opened(self, neighbour: Neighbour) -> None:
        self._tell_soon(neighbour, first=True)
        self.on_change(f"BGP session of {neighbour.gateway} up")

    def learned_something(self, source: Neighbour) -> None:
        for neighbour in self.neighbours.values():
            if neighbour is not source:
                self._tell_soon(neighbour)
        self.on_change(f"{len(source.learned)} prefixes of {source.gateway}")

    def _tell_soon(self, neighbour: Neighbour, first: bool = False) -> None:
        delay_ns = int(self._random.uniform(*PROPAGATION_MS) * MS)
        half = neighbour.half
        if half is not None and (first or neighbour.tells_at_ns is None):
            neighbour.tells_at_ns = self.now_ns + delay_ns
            self._loop.call_at(neighbour.tells_at_ns / SECOND, self._tell, neighbour, half, first)

    def _tell(self, neighbour: Neighbour, half: BgpHalf, first: bool) -> None:
        """Bring a gateway from what it was told to what the others announce now."""
        neighbour.tells_at_ns = None
        if neighbour.half is not half:
            return
        wanted = {
            prefix: (self.asn, *path)
            for other in self.neighbours.values()
            if other is not neighbour
            for prefix, path in other.learned.items()
        }
        fresh = tuple((prefix, path) for prefix, path in wanted.items() if neighbour.told.get(prefix) != path)
        gone = tuple(prefix for prefix in neighbour.told if prefix not in wanted)
        neighbour.told = wanted
        if fresh or gone:
            half.send(Update(fresh, gone))
        if first and self.sends_end_of_rib:
            half.send(EndOfRib())
