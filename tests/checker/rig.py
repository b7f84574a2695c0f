"""A controller and servers for the checker's tests."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable

from netctl.ipc.io import Connection, Server, serve
from netctl.ipc.messages import CheckerCloud, CheckTarget, CheckTargets, Hello, Message, Verdict, Verdicts
from netctl.model.ports import Streams


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return f"127.0.0.1:{taken.getsockname()[1]}"


def targets(*some: CheckTarget, cloud: str = "a") -> CheckTargets:
    return CheckTargets(cloud, some, full=True)


class Controller:
    """Tells every checker that comes its targets, and keeps what it hears, each verdict with its time."""

    def __init__(self, streams: Streams, address: str, message: Message, program: str = "controller") -> None:
        self.streams = streams
        self.address = address
        self.message = message
        self.program = program
        self.clouds: list[str] = []
        self.verdicts: list[tuple[float, Verdict]] = []
        """(monotonic seconds, verdict)."""
        self.signs_of_life = 0
        self.clients: list[Connection] = []
        self._changed = asyncio.Event()
        self._server: Server | None = None

    async def __aenter__(self) -> Controller:
        self._server = await serve(self.streams, self.address, Hello(self.program, "c1", 1), self._client)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()

    async def _client(self, connection: Connection) -> None:
        self.clients.append(connection)
        await connection.send(self.message)
        while (message := await connection.receive()) is not None:
            match message:
                case CheckerCloud():
                    self.clouds.append(message.cloud)
                case Verdicts(verdicts=()):
                    self.signs_of_life += 1
                case Verdicts():
                    self.verdicts += [(time.monotonic(), verdict) for verdict in message.verdicts]
            self._changed.set()
        self.clients.remove(connection)
        self._changed.set()

    async def tell(self, message: Message) -> None:
        for client in self.clients:
            await client.send(message)

    async def until(self, condition: Callable[[], bool], within_s: float = 10.0) -> None:
        """Wait for what is heard to make it true."""
        async with asyncio.timeout(within_s):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def verdict(self, passing: bool, name: str = "vm1", after: float = 0.0) -> tuple[float, Verdict]:
        """The first such verdict that is heard after a moment."""

        def found() -> list[tuple[float, Verdict]]:
            return [
                one for one in self.verdicts if one[0] > after and one[1].instance == name and one[1].passing is passing
            ]

        await self.until(lambda: bool(found()))
        return found()[0]


class Web:
    """An HTTP server that can be made to answer otherwise, hang, and die."""

    def __init__(self) -> None:
        self.status = 200
        self.hangs = False
        self.port = 0
        self.requests = 0
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Web:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.die()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def die(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            self.requests += 1
            if self.hangs:
                await reader.read()
            else:
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % self.status)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def until(condition: Callable[[], bool], within_s: float = 10.0) -> None:
    """Ask again and again."""
    async with asyncio.timeout(within_s):
        while True:
            if condition():
                return
            await asyncio.sleep(0.02)
