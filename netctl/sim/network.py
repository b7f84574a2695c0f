"""``Network`` in memory: hosts joined by links that delay, lose and cut, each direction for itself.

Every link's direction draws from a random stream of its own, derived from the seed and its name: what happens on one
link shifts no dice of another, so a shrunk schedule still shows the same packets elsewhere.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextvars import Context, copy_context
from dataclasses import dataclass
from functools import partial
from random import Random

from netctl.model.clock import MS
from netctl.model.errors import EnvironmentLackError
from netctl.model.ports import Datagram, Datagrams, Endpoint
from netctl.sim.loop import SimLoop, hold, world_context

RECEIVE_LIMIT = 256
SOCKET_BUFFER = 1024
"""Datagrams that wait in one socket before further ones are dropped."""
EPHEMERAL_FIRST, EPHEMERAL_LAST = 49152, 65535
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class End:
    """One end of a link."""

    host: str
    interface: str
    address: str


class Direction:
    """One way along a link."""

    def __init__(self, loop: SimLoop, random: Random, delay_ns: int, jitter_ns: int) -> None:
        self.cuts = 0
        """How many faults cut it now."""
        self.losses: list[float] = []
        """The loss that each of the faults of now wants, 0 to 1."""
        self.lost = 0
        self.carried = 0
        self._loop = loop
        self._random = random
        self._delay_ns = delay_ns
        self._jitter_ns = jitter_ns
        self._last_ns = 0

    @property
    def cut(self) -> bool:
        return self.cuts > 0

    @property
    def loss(self) -> float:
        return max(self.losses, default=0.0)

    def carry(self, deliver: Callable[[], None]) -> None:
        """Deliver after the delay, in order, or lose. Packets already under way arrive in spite of a cut."""
        dice, jitter = self._random.random(), self._random.random()
        if self.cut or dice < self.loss:
            self.lost += 1
            return
        self.carried += 1
        arrival = self._loop.now_ns + self._delay_ns + int(jitter * self._jitter_ns)
        self._last_ns = max(arrival, self._last_ns)
        self._loop.call_at_ns(self._last_ns, deliver, context=world_context())


class SimLink:
    """A point-to-point link; ``ways[0]`` leads from ``ends[0]`` to ``ends[1]``."""

    def __init__(
        self,
        loop: SimLoop,
        seed: int,
        name: str,
        ends: tuple[End, End],
        *,
        delay_ns: int = MS,
        jitter_ns: int = MS // 5,
    ) -> None:
        self.name = name
        self.ends = ends
        self.ways = tuple(Direction(loop, Random(f"{seed}/{name}/{end.host}"), delay_ns, jitter_ns) for end in ends)

    def way_from(self, host: str) -> Direction:
        return self.ways[0 if self.ends[0].host == host else 1]

    def end_of(self, host: str) -> End:
        return self.ends[0 if self.ends[0].host == host else 1]

    def other_end(self, host: str) -> End:
        return self.ends[1 if self.ends[0].host == host else 0]

    @property
    def open(self) -> bool:
        """Whether both ways carry packets."""
        return not (self.ways[0].cut or self.ways[1].cut)


class Wires:
    """All hosts' links and sockets."""

    def __init__(self, loop: SimLoop) -> None:
        self.loop = loop
        self.links: dict[str, SimLink] = {}
        self.sockets: dict[str, list[FakeDatagrams]] = {}

    def add(self, link: SimLink) -> SimLink:
        self.links[link.name] = link
        return link

    def links_of(self, host: str) -> list[SimLink]:
        return [link for link in self.links.values() if host in (link.ends[0].host, link.ends[1].host)]

    def deliver(self, host: str, address: str, port: int, datagram: Datagram) -> None:
        for socket in self.sockets.get(host, ()):
            if socket.wants(address, port, datagram.interface):
                socket.arrived(datagram)
                return


class FakeNetwork:
    """One host's ``Network``."""

    def __init__(self, wires: Wires, host: str) -> None:
        self._wires = wires
        self._host = host

    def open(self, endpoint: Endpoint) -> Datagrams:
        ends = [link.end_of(self._host) for link in self._wires.links_of(self._host)]
        where = f"UDP {endpoint.local}:{endpoint.port or '49152-65535'}"
        if endpoint.local not in {LOOPBACK, "0.0.0.0", *(end.address for end in ends)}:
            raise EnvironmentLackError(f"{where}: this host has no address {endpoint.local}", "see: ip -4 address")
        if endpoint.interface is not None and endpoint.interface not in {"lo", *(end.interface for end in ends)}:
            raise EnvironmentLackError(f"{where}: there is no interface {endpoint.interface}", "see: ip -br link")
        sockets = self._wires.sockets.setdefault(self._host, [])
        taken = {
            socket.port
            for socket in sockets
            if "0.0.0.0" in (endpoint.local, socket.local) or socket.local == endpoint.local
        }
        port = endpoint.port or next(p for p in range(EPHEMERAL_FIRST, EPHEMERAL_LAST + 1) if p not in taken)
        if port in taken:
            raise EnvironmentLackError(f"{where} is taken by another program", "end it first")
        return FakeDatagrams(self._wires, self._host, endpoint, port)


class FakeDatagrams:
    """One bound socket."""

    def __init__(self, wires: Wires, host: str, endpoint: Endpoint, port: int) -> None:
        self.local = endpoint.local
        self._wires = wires
        self._host = host
        self._endpoint = endpoint
        self._port = port
        self._queue: deque[Datagram] = deque()
        self._errors: Counter[str] = Counter()
        self._callback: Callable[[], None] | None = None
        self._context: Context = copy_context()
        self._told = False
        wires.sockets[host].append(self)
        self._let_go = hold(self._gone)

    @property
    def port(self) -> int:
        return self._port

    @property
    def send_errors(self) -> Mapping[str, int]:
        return self._errors

    def send(self, data: bytes, address: str, port: int) -> None:
        wires, endpoint = self._wires, self._endpoint
        local_addresses = {LOOPBACK}
        for link in wires.links_of(self._host):
            mine, other = link.end_of(self._host), link.other_end(self._host)
            local_addresses.add(mine.address)
            if other.address == address and endpoint.interface in (None, mine.interface):
                source = mine.address if self.local == "0.0.0.0" else self.local
                packet = Datagram(data, source, self._port, endpoint.ttl, other.interface)
                link.way_from(self._host).carry(partial(wires.deliver, other.host, address, port, packet))
                return
        if address not in local_addresses:
            self._errors["ENETUNREACH"] += 1
            return
        source = address if self.local == "0.0.0.0" else self.local
        packet = Datagram(data, source, self._port, endpoint.ttl, "lo")
        wires.loop.call_soon(wires.deliver, self._host, address, port, packet, context=world_context())

    def receive(self) -> list[Datagram]:
        count = min(len(self._queue), RECEIVE_LIMIT)
        return [self._queue.popleft() for _ in range(count)]

    def on_readable(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self._context = copy_context()
        self._tell()

    def close(self) -> None:
        self._let_go()
        self._gone()

    def wants(self, address: str, port: int, interface: str) -> bool:
        return (
            port == self._port and self.local in ("0.0.0.0", address) and self._endpoint.interface in (None, interface)
        )

    def arrived(self, datagram: Datagram) -> None:
        if len(self._queue) < SOCKET_BUFFER:
            self._queue.append(datagram)
            self._tell()

    def _tell(self) -> None:
        if self._callback is not None and self._queue and not self._told:
            self._told = True
            self._wires.loop.call_soon(self._readable, context=self._context)

    def _readable(self) -> None:
        self._told = False
        if self._callback is not None and self._queue:
            self._callback()
            self._tell()

    def _gone(self) -> None:
        self._callback = None
        self._queue.clear()
        if self in self._wires.sockets[self._host]:
            self._wires.sockets[self._host].remove(self)
