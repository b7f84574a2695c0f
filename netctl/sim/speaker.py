"""A modelled speaker: the real socket protocol towards the agent, a modelled session towards the provider.

It keeps what a speaker keeps: the peer's table, the last set of announcements (which outlives the agent), the count
of sessions. Its death is the death of ExaBGP and relay together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import count
from typing import Literal

from netctl.ipc.io import Connection, serve
from netctl.ipc.messages import (
    Announce,
    BgpState,
    Complete,
    Hello,
    Message,
    ResetSession,
    Routes,
    SessionState,
    Shutdown,
    Withdrawn,
)
from netctl.model.clock import SECOND, Timer
from netctl.model.gateway import Gateway, Peer
from netctl.model.ports import Ports
from netctl.model.prefix import Prefix, parse_address
from netctl.sim.bgp import BgpHalf, BgpLink, EndOfRib, Update

RECONNECT_S = 1.0
QUIET_NS = 2 * SECOND
"""Silence after which a table counts as complete, for providers that send no End-of-RIB."""


class SimSpeaker:
    """One peer's speaker; ``run`` is the program."""

    def __init__(self, gateway: Gateway, peer: Peer, ports: Ports, place: BgpLink) -> None:
        self.name = f"speaker-{peer.name}"
        self._gateway = gateway
        self._peer = peer
        self._ports = ports
        self._place = place
        self._next_hop = parse_address(peer.address)
        self._state: BgpState = "connecting"
        self._reason = ""
        self._sessions = 0
        self._since = ports.clock.wall()
        self._half: BgpHalf | None = None
        self._table: dict[Prefix, tuple[int, ...]] = {}
        self.up_since_ns = 0
        self.complete_since_ns: int | None = None
        self._quiet: Timer | None = None
        self._desired: set[Prefix] = set()
        self._announced: set[Prefix] = set()
        self._clients: dict[int, asyncio.Queue[Message]] = {}
        self._client_numbers = count()
        self._over = asyncio.Event()
        self._stop = False

    async def run(self) -> None:
        path = f"{self._gateway.runtime_dir}/speaker-{self._peer.name}.sock"
        hello = Hello("speaker", self._peer.name, 0)
        server = await serve(self._ports.streams, path, hello, self._client)
        while not self._stop:
            self._over.clear()
            try:
                self._half = await self._place.connect(self)
            except ConnectionError as error:
                if self._reason != str(error):
                    self._changed("connecting", str(error))
            else:
                self._sessions += 1
                self.up_since_ns = self._ports.clock.monotonic_ns()
                self._changed("up", "")
                self._wait_for_quiet()
                self._announced = set()
                self._update()
                self._half.send(EndOfRib())
                await self._over.wait()
            await asyncio.sleep(RECONNECT_S * (0.75 + self._place.random.random() / 4))
        server.close()

    # --- the provider's side ---

    def message(self, message: Update | EndOfRib) -> None:
        if isinstance(message, EndOfRib):
            self._completed("end_of_rib")
            return
        self._wait_for_quiet()
        gone = [prefix for prefix in message.withdrawn if self._table.pop(prefix, None) is not None]
        if gone:
            self._tell(Withdrawn(b"".join(gone)))
        fresh = {prefix: path for prefix, path in message.announced if self._gateway.asn not in path}
        self._table |= fresh
        for routes in _grouped(fresh, self._next_hop):
            self._tell(routes)

    def _wait_for_quiet(self) -> None:
        if self._quiet is not None:
            self._quiet.cancel()
        if self.complete_since_ns is None:
            clock = self._ports.clock
            self._quiet = clock.call_at(clock.monotonic_ns() + QUIET_NS, lambda: self._completed("quiet"))

    def _completed(self, by: Literal["end_of_rib", "quiet"]) -> None:
        if self._half is not None and self.complete_since_ns is None:
            self.complete_since_ns = self._ports.clock.monotonic_ns()
            self._tell(Complete(len(self._table), by))

    def closed(self, reason: str) -> None:
        self._half = None
        self._table.clear()
        self.complete_since_ns = None
        self._changed("down", reason)
        self._over.set()

    @property
    def learned(self) -> frozenset[Prefix]:
        """What the peer's session of now has taught, for the invariants."""
        return frozenset(self._table)

    @property
    def up(self) -> bool:
        return self._half is not None

    @property
    def has_been_up(self) -> bool:
        return self._sessions > 0

    # --- the agent's side ---

    async def _client(self, connection: Connection) -> None:
        number, queue = next(self._client_numbers), asyncio.Queue[Message]()
        self._clients[number] = queue
        queue.put_nowait(self._session_state())
        for routes in _grouped(self._table, self._next_hop):
            queue.put_nowait(routes)
        if self.complete_since_ns is not None:
            queue.put_nowait(Complete(len(self._table)))
        sender = asyncio.create_task(_send_all(connection, queue))
        try:
            while (message := await connection.receive()) is not None:
                self._told(message)
        finally:
            sender.cancel()
            del self._clients[number]

    def _told(self, message: Message) -> None:
        if isinstance(message, Announce):
            self._desired = {route.prefix for route in message.routes}
            self._update()
        elif isinstance(message, ResetSession | Shutdown):
            self._stop = self._stop or isinstance(message, Shutdown)
            if self._half is not None:
                self._half.close(message.reason)
                self.closed(message.reason)
            self._over.set()

    def _update(self) -> None:
        """Bring the provider from what it was told to what it should know."""
        if self._half is not None:
            path = (self._gateway.asn,)
            fresh = tuple((prefix, path) for prefix in sorted(self._desired - self._announced))
            gone = tuple(sorted(self._announced - self._desired))
            if fresh or gone:
                self._half.send(Update(fresh, gone))
            self._announced = set(self._desired)

    def _changed(self, state: BgpState, reason: str) -> None:
        self._state, self._reason, self._since = state, reason, self._ports.clock.wall()
        self._tell(self._session_state())

    def _session_state(self) -> SessionState:
        up_ns = self.up_since_ns if self._state == "up" else 0
        return SessionState(self._state, self._sessions, self._since, self._reason, up_ns=up_ns)

    def _tell(self, message: Message) -> None:
        for queue in self._clients.values():
            queue.put_nowait(message)


async def _send_all(connection: Connection, queue: asyncio.Queue[Message]) -> None:
    while True:
        await connection.send(await queue.get())


def _grouped(table: dict[Prefix, tuple[int, ...]], next_hop: bytes) -> Iterator[Routes]:
    by_path: dict[tuple[int, ...], list[Prefix]] = {}
    for prefix, path in table.items():
        by_path.setdefault(path, []).append(prefix)
    for path, prefixes in by_path.items():
        yield Routes(next_hop, path, b"".join(prefixes))
