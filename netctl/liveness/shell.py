# long because: the way of a Down from the packet to the kernel has the socket and the shell around it in one file
"""The thin shell: UDP sockets, the kernel, clients and one timer around the core."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
import struct
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain, count

from netctl.bfd.session import PORT
from netctl.ipc.io import Connection, Server, serve
from netctl.ipc.messages import ALIVE_S, BfdSession, Hello, MemberPointed, Message
from netctl.liveness.decide import Liveness
from netctl.liveness.events import Adopt, Arrived, Asked, Event, Exit, Joined, Point, Pointed, Send, Stop, Tell, Tick
from netctl.model.clock import MS, SECOND, Timer
from netctl.model.errors import EnvironmentLackError
from netctl.model.gateway import Gateway, Peer
from netctl.model.ports import Datagram, Datagrams, Endpoint, Ports
from netctl.model.routing import KernelEvent

SOCKET = "liveness.sock"
_CS6 = 48  # the class of routing protocols (RFC 2474)
_LATE_NS = 10 * MS  # behind by more than this, no single socket's news is taken for the whole
_QUEUE = 1000  # messages a client may be behind before it is let go
EPHEMERAL_PORTS = range(49152, 65536)
_RECEIVE_LIMIT = 256
_IP_RECVTTL = 12  # linux/in.h; the socket module of Python 3.11 has no name for it
_TTL_DATA = socket.CMSG_SPACE(4)
Log = Callable[[str, Mapping[str, object]], None]


class UdpNetwork:
    """UDP sockets of this network namespace."""

    def open(self, endpoint: Endpoint) -> Datagrams:
        return UdpDatagrams(endpoint)


class UdpDatagrams:
    """One bound UDP socket that reports the TTL of what it receives (IP_RECVTTL)."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._interface = endpoint.interface or ""
        self._errors: Counter[str] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            self._configure(endpoint)
            _bind(self._socket, endpoint)
        except OSError as error:
            self._socket.close()
            raise _bind_error(endpoint, error) from None
        self._port: int = self._socket.getsockname()[1]

    def _configure(self, endpoint: Endpoint) -> None:
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, endpoint.ttl)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, endpoint.dscp << 2)
        self._socket.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
        # As much as the system allows: a flood, or what came while we were stopped, must not push good packets out.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        if endpoint.interface is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, endpoint.interface.encode() + b"\0")

    @property
    def port(self) -> int:
        return self._port

    @property
    def send_errors(self) -> Mapping[str, int]:
        return self._errors

    def send(self, data: bytes, address: str, port: int) -> None:
        try:
            self._socket.sendto(data, (address, port))
        except OSError as error:
            self._errors[errno.errorcode.get(error.errno or 0, str(error.errno))] += 1

    def receive(self) -> list[Datagram]:
        received: list[Datagram] = []
        receive_message = self._socket.recvmsg
        for _ in range(_RECEIVE_LIMIT):
            try:
                data, ancillary, _, (source, source_port) = receive_message(65535, _TTL_DATA)
            except OSError:  # nothing waits; or an error queued by the network, which the kernel forgets once told
                break
            ttl = -1
            for level, kind, value in ancillary:
                if level == socket.IPPROTO_IP and kind == socket.IP_TTL:
                    (ttl,) = struct.unpack("i", value)
            received.append(Datagram(data, source, source_port, ttl, self._interface))
        return received

    def on_readable(self, callback: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), callback)

    def close(self) -> None:
        if self._loop is not None and not self._loop.is_closed() and self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()


def _bind(sock: socket.socket, endpoint: Endpoint) -> None:
    if endpoint.port:
        sock.bind((endpoint.local, endpoint.port))
        return
    start = random.randrange(len(EPHEMERAL_PORTS))
    for port in chain(EPHEMERAL_PORTS[start:], EPHEMERAL_PORTS[:start]):
        try:
            sock.bind((endpoint.local, port))
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, "all are taken")


def _bind_error(endpoint: Endpoint, error: OSError) -> EnvironmentLackError:
    where = f"UDP {endpoint.local}:{endpoint.port or '49152-65535'}"
    if error.errno == errno.EADDRINUSE:
        return EnvironmentLackError(f"{where} is taken by another program", "see who holds it: ss -lunp")
    if error.errno == errno.EADDRNOTAVAIL:
        return EnvironmentLackError(f"{where}: this host has no address {endpoint.local}", "see: ip -4 address")
    if error.errno == errno.ENODEV:
        return EnvironmentLackError(f"{where}: there is no interface {endpoint.interface}", "see: ip -br link")
    return EnvironmentLackError(f"{where}: {error.strerror}", "run as root or with CAP_NET_ADMIN and CAP_NET_RAW")


class LivenessShell:
    """Runs one gateway's liveness on ``ports``.

    ``seed`` makes jitter and discriminators repeatable; ``facts`` are counters known from outside (what the machine
    allowed); ``log`` is called with an event's name and its fields.
    """

    def __init__(
        self,
        gateway: Gateway,
        ports: Ports,
        seed: int | None = None,
        *,
        facts: Mapping[str, int] | None = None,
        log: Log = lambda event, fields: None,
    ) -> None:
        self._gateway = gateway
        self._ports = ports
        self._log = log
        self._random = random.Random(seed)
        self._clients: dict[int, tuple[Connection, asyncio.Queue[Message]]] = {}
        self._client_numbers = count(1)
        self._receivers: dict[tuple[str, str], Datagrams] = {}
        self._senders: dict[str, Datagrams] = {}
        self._addresses = {peer.name: peer.address for peer in gateway.peers}
        self._indexes: dict[str, int] = {}
        self._timer: Timer | None = None
        self._timer_ns = 0
        self._observe_ns = 0
        self._server: Server | None = None
        self._done = asyncio.Event()
        clock = ports.clock
        self._core = Liveness(gateway, self._random.random, self._discriminators(), clock.wall, clock.monotonic_ns())
        self._core.counts.update(facts or {})

    async def run(self) -> None:
        """Until ``stop`` or a Shutdown message. Raises EnvironmentLackError when a port or the socket is taken."""
        hello = Hello(program="liveness", name=self._gateway.name, pid=os.getpid(), alive_s=ALIVE_S)
        try:
            path = f"{self._gateway.runtime_dir}/{SOCKET}"
            self._server = await serve(self._ports.streams, path, hello, self._client)
            for peer in self._gateway.peers:
                self._open(peer)
            self._indexes = {name: link.index for name, link in self._ports.kernel.links().items()}
            self._ports.kernel.watch(self._kernel_event)
            self._turn([Adopt(self._ports.kernel.nexthops().members)])
            await self._done.wait()
        finally:
            self._close()

    def stop(self) -> None:
        """End orderly: AdminDown to every peer, then ``run`` returns."""
        self._turn([Stop()])

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._server is not None:
            self._server.close()
        for endpoint in (*self._receivers.values(), *self._senders.values()):
            endpoint.close()

    def _discriminators(self) -> Iterator[int]:
        """Random, so that a packet meant for an earlier life of this process is not taken for this one's."""
        given: set[int] = set()
        while True:
            number = self._random.randrange(1, 1 << 32)
            if number not in given:
                given.add(number)
                yield number

    # --- BFD packets and time ----------------------------------------------------------------------------------------

    def _open(self, peer: Peer) -> None:
        if peer.bfd is None:
            return
        place = (peer.local, peer.interface)
        if place not in self._receivers:
            receiver = self._ports.network.open(Endpoint(peer.local, PORT, interface=peer.interface, dscp=_CS6))
            self._receivers[place] = receiver
            receiver.on_readable(partial(self._readable, receiver))
        if peer.name not in self._senders:
            endpoint = Endpoint(peer.local, 0, interface=peer.interface, dscp=_CS6)
            self._senders[peer.name] = self._ports.network.open(endpoint)

    def _send(self, effect: Send) -> None:
        sender = self._senders.get(effect.peer)
        if sender is not None:  # else its interface was made anew and the socket is not open yet
            sender.send(effect.data, self._addresses[effect.peer], PORT)

    def _readable(self, receiver: Datagrams) -> None:
        if self._timer is not None and self._ports.clock.monotonic_ns() > self._timer_ns + _LATE_NS:
            self._timer.cancel()
            self._on_timer()
        elif datagrams := receiver.receive():
            self._turn([Arrived(datagrams)])

    def _on_timer(self) -> None:
        """Read everything that has arrived before silence is judged."""
        self._timer = None
        self._observe()
        waiting = [datagram for receiver in self._receivers.values() for datagram in receiver.receive()]
        self._turn([Arrived(waiting), Tick()] if waiting else [Tick()])

    def _schedule(self) -> None:
        due_ns = self._core.next_timer()
        if self._timer is not None:
            if self._timer_ns <= due_ns:
                return
            self._timer.cancel()
        self._timer_ns = due_ns
        self._timer = self._ports.clock.call_at(due_ns, self._on_timer)

    # --- the core's effects ------------------------------------------------------------------------------------------

    def _turn(self, events: Iterable[Event]) -> None:
        """Give the core events and carry out what it wants, the kernel's answers included; then set the timer."""
        queue = deque(events)
        while queue:
            now_ns = self._ports.clock.monotonic_ns()
            effects = self._core.handle(queue.popleft(), now_ns)
            if points := [effect for effect in effects if isinstance(effect, Point)]:
                queue.extendleft(self._point(points, now_ns))
            for effect in effects:
                if isinstance(effect, Send):
                    self._send(effect)
                elif isinstance(effect, Tell):
                    self._tell(effect)
                elif isinstance(effect, Exit):
                    self._done.set()
        self._schedule()

    def _point(self, points: list[Point], decided_ns: int) -> list[Pointed]:
        refusals = {refused.op: refused for refused in self._ports.kernel.apply([point.op for point in points])}
        took_ns = self._ports.clock.monotonic_ns() - decided_ns
        for refused in refusals.values():
            self._log("member refused by the kernel", {"op": str(refused.op), "why": refused.message})
        return [Pointed(point.peer, point.at, refusals.get(point.op), took_ns) for point in points]

    def _kernel_event(self, event: KernelEvent) -> None:
        links = self._ports.kernel.links().values() if event.kind == "overrun" else (event.link,)
        for link in links:
            if link is not None and self._indexes.get(link.name) != link.index:
                self._reopen(link.name)  # an interface made anew: sockets are bound to the old one
                self._indexes[link.name] = link.index
        self._turn([event])

    def _reopen(self, interface: str) -> None:
        for peer in self._gateway.peers:
            if peer.interface == interface:
                for endpoint in (
                    self._receivers.pop((peer.local, interface), None),
                    self._senders.pop(peer.name, None),
                ):
                    if endpoint is not None:
                        endpoint.close()

    # --- clients -----------------------------------------------------------------------------------------------------

    async def _client(self, connection: Connection) -> None:
        number = next(self._client_numbers)
        queue: asyncio.Queue[Message] = asyncio.Queue(_QUEUE)
        self._clients[number] = (connection, queue)
        sender = asyncio.ensure_future(_send_all(connection, queue))
        try:
            self._turn([Joined(number)])
            while (message := await connection.receive()) is not None:
                self._turn([Asked(number, message)])
        finally:
            self._clients.pop(number, None)
            sender.cancel()

    def _tell(self, tell: Tell) -> None:
        if tell.client is None and isinstance(tell.message, BfdSession | MemberPointed):
            message = tell.message
            self._log(type(message).__name__, {name: getattr(message, name) for name in message.__struct_fields__})
        numbers = list(self._clients) if tell.client is None else [tell.client]
        for number in numbers:
            connection, queue = self._clients.get(number, (None, None))
            if connection is None or queue is None:
                continue
            if queue.full():  # it reads no more; it gets the whole state when it comes again
                del self._clients[number]
                self._core.counts["clients_too_slow"] += 1
                connection.close()
            else:
                queue.put_nowait(tell.message)

    def _observe(self) -> None:
        """Once a second: what only the shell can count."""
        now_ns = self._ports.clock.monotonic_ns()
        if now_ns < self._observe_ns:
            return
        self._observe_ns = now_ns + SECOND
        counts = self._core.counts
        if self._server is not None:
            for reason, number in self._server.refused.items():
                counts[f"socket_refused{{reason={reason}}}"] = number
        for peer, sender in self._senders.items():
            for name, number in sender.send_errors.items():
                counts[f"bfd_send_errors{{peer={peer},errno={name}}}"] = number
        self._open_missing()

    def _open_missing(self) -> None:
        for peer in self._gateway.peers:
            try:
                self._open(peer)
            except EnvironmentLackError as error:  # its address may come a moment after the interface
                self._log("BFD socket not open", {"peer": peer.name, "why": error.message})


async def _send_all(connection: Connection, queue: asyncio.Queue[Message]) -> None:
    while True:
        await connection.send(await queue.get())
