"""The relay's shell: moves lines, messages and deadlines between ExaBGP, ``decide.Speaker`` and the clients."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from netctl.ipc.io import Connection, Server
from netctl.ipc.messages import ALIVE_S, Hello, Message, Routes, Withdrawn
from netctl.model.clock import SECOND, Clock, Timer
from netctl.model.gateway import Gateway, Peer
from netctl.model.ports import Streams
from netctl.speaker.decide import Speaker
from netctl.speaker.effects import Command, Configure, Diagnose, Effect, Tell

QUEUE_LIMIT = 8 << 20
"""Bytes of messages that may wait for one client."""
_MESSAGE_COST = 500


class Exabgp(Protocol):
    """ExaBGP's side: ``netctl.speaker.io.ExabgpPipes``, or a fake in the simulator."""

    def start(self, on_lines: Callable[[list[bytes] | None], None]) -> None: ...

    def send(self, lines: tuple[str, ...]) -> None: ...

    def configure(self, passive: bool, alternate: bool) -> None: ...

    def answers_arp(self) -> bool | None: ...


class _Client:
    """One connected client and what waits for it."""

    def __init__(self, connection: Connection, snapshot: Iterator[Message]) -> None:
        self.connection = connection
        self._snapshot = snapshot
        self._queue: deque[Message] = deque()
        self._size = 0
        self._wake = asyncio.Event()

    def tell(self, message: Message) -> bool:
        """Queue a message; False when the client has fallen too far behind: it has to connect again."""
        self._size += _cost(message)
        if self._size > QUEUE_LIMIT:
            self._queue.clear()
            return False
        self._queue.append(message)
        self._wake.set()
        return True

    async def send_all(self) -> None:
        """Send the table as it was on connecting, then everything since, in order, until cancelled."""
        for message in self._snapshot:
            await self.connection.send(message)
        while True:
            while self._queue:
                message = self._queue.popleft()
                self._size -= _cost(message)
                await self.connection.send(message)
            self._wake.clear()
            await self._wake.wait()


def _cost(message: Message) -> int:
    return _MESSAGE_COST + (len(message.prefixes) if isinstance(message, Routes | Withdrawn) else 0)


class RelayShell:
    """Serves ``speaker-PEER.sock`` until ExaBGP is gone."""

    def __init__(
        self,
        gateway: Gateway,
        peer: Peer,
        *,
        clock: Clock,
        streams: Streams,
        exabgp: Exabgp,
        pid: int,
        listening: Callable[[], None] = lambda: None,
    ) -> None:
        """``listening`` is called when the socket is ours."""
        self.core = Speaker(gateway, peer)
        self.cut_off = 0
        """Clients disconnected because they were too slow."""
        self._path = f"{gateway.runtime_dir}/speaker-{peer.name}.sock"
        self._hello = Hello("speaker", peer.name, pid, alive_s=ALIVE_S)
        self._clock = clock
        self._streams = streams
        self._exabgp = exabgp
        self._listening = listening
        self._server = Server()
        self._clients: set[_Client] = set()
        self._timer: Timer | None = None
        self._counting: Timer | None = None
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        """Until ExaBGP's end or ``stop``. Raises EnvironmentLackError when the socket cannot be had."""
        await self._server.start(self._streams, self._path, self._hello, self._serve)
        try:
            self._listening()
            self._exabgp.start(self._lines)
            self._perform(self.core.start(*self._times()))
            self._arm_timer()  # an ExaBGP that has given its peer up answers nothing
            self._count()
            await self._stopped.wait()
        finally:
            for timer in (self._timer, self._counting):
                if timer is not None:
                    timer.cancel()
            self._server.close()

    def stop(self) -> None:
        """Make ``run`` return."""
        self._stopped.set()

    def _times(self) -> tuple[int, float]:
        return self._clock.monotonic_ns(), self._clock.wall()

    def _lines(self, lines: list[bytes] | None) -> None:
        if lines is None:
            self.stop()
            return
        now, wall = self._times()
        for line in lines:
            self._perform(self.core.line(line, now, wall))
        self._arm_timer()

    async def _serve(self, connection: Connection) -> None:
        client = _Client(connection, self.core.snapshot())
        self._clients.add(client)
        sender = asyncio.create_task(client.send_all())
        try:
            while (message := await connection.receive()) is not None:
                self._perform(self.core.message(message, *self._times()))
                self._arm_timer()
        finally:
            self._clients.discard(client)
            sender.cancel()

    def _tick(self) -> None:
        self._timer = None
        self._perform(self.core.handle_timer(*self._times()))
        self._arm_timer()

    def _arm_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        due = self.core.next_timer()
        self._timer = None if due is None else self._clock.call_at(due, self._tick)

    def _count(self) -> None:
        self._perform(self.core.sign_of_life({f"socket_refused{{reason={r}}}": n for r, n in self._refused()}))
        self._counting = self._clock.call_at(self._clock.monotonic_ns() + SECOND, self._count)

    def _refused(self) -> list[tuple[str, float]]:
        refused = [(reason, float(count)) for reason, count in sorted(self._server.refused.items())]
        return [*refused, ("too_slow", float(self.cut_off))]

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Tell(message):
                    for client in [client for client in self._clients if not client.tell(message)]:
                        self._cut_off(client)
                case Command(lines):
                    self._exabgp.send(lines)
                case Configure(passive, alternate):
                    self._exabgp.configure(passive, alternate)
                case Diagnose():
                    self._perform(self.core.diagnosis(self._exabgp.answers_arp(), self._clock.wall()))

    def _cut_off(self, client: _Client) -> None:
        self.cut_off += 1
        self._clients.discard(client)
        client.connection.close()
