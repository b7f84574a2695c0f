"""``Streams`` in memory: unix sockets with backpressure, whose ends die with the process that holds them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context

from netctl.model.errors import EnvironmentLackError
from netctl.model.ports import Listener, Stream
from netctl.sim.loop import SimLoop, hold

READ_SIZE = 256 * 1024
QUEUE_SIZE = 208 * 1024
"""Bytes that one direction takes before ``drain`` waits (net.core.wmem_default)."""
MAX_PATH = 103
"""Longest path in bytes: sockaddr_un's 107 without the suffix of the file that is renamed into place."""


class _Pipe:
    """One direction."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.writer_gone = False
        self.reader_gone = False
        self._waiting: list[asyncio.Future[None]] = []

    def wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def changed(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future


class FakeStream:
    """One end."""

    def __init__(self, incoming: _Pipe, outgoing: _Pipe) -> None:
        self._in = incoming
        self._out = outgoing
        self._closed = False
        self._let_go: Callable[[], None] = lambda: None

    def held(self) -> FakeStream:
        """Bind this end's life to the process that runs now."""
        self._let_go = hold(self._died)
        return self

    async def read(self) -> bytes:
        while not self._in.data and not self._in.writer_gone and not self._closed:
            await self._in.changed()
        if self._closed:
            return b""
        data = bytes(self._in.data[:READ_SIZE])
        del self._in.data[:READ_SIZE]
        self._in.wake()
        return data

    def write(self, data: bytes) -> None:
        if not self._closed and not self._out.reader_gone:
            self._out.data += data
            self._out.wake()

    async def drain(self) -> None:
        while len(self._out.data) > QUEUE_SIZE and not self._out.reader_gone and not self._closed:
            await self._out.changed()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._let_go()
            self._hang_up()

    def _died(self) -> None:
        """What the kernel has not taken yet dies with the process."""
        del self._out.data[QUEUE_SIZE:]
        self._closed = True
        self._hang_up()

    def _hang_up(self) -> None:
        self._out.writer_gone = True
        self._in.reader_gone = True
        self._in.data.clear()
        self._in.wake()
        self._out.wake()


class _FakeListener:
    def __init__(self, streams: FakeStreams, path: str, on_connect: Callable[[Stream], Awaitable[None]]) -> None:
        self.on_connect = on_connect
        self.context: Context = copy_context()
        self._streams = streams
        self._path = path
        self._let_go = hold(self._stop)

    def close(self) -> None:
        self._let_go()
        self._stop()

    def _stop(self) -> None:
        if self._streams.listeners.get(self._path) is self:
            del self._streams.listeners[self._path]


class FakeStreams:
    """One host's unix sockets. A connection to a stopped process waits in its backlog, as it does in a kernel."""

    def __init__(self, loop: SimLoop) -> None:
        self._loop = loop
        self.listeners: dict[str, _FakeListener] = {}

    async def listen(self, path: str, on_connect: Callable[[Stream], Awaitable[None]]) -> Listener:
        if len(path.encode()) > MAX_PATH:
            raise EnvironmentLackError(f"{path}: too long for a unix socket", "choose a shorter runtime_dir")
        if path in self.listeners:
            raise EnvironmentLackError(f"{path}: another program listens there", "end it first")
        listener = _FakeListener(self, path, on_connect)
        self.listeners[path] = listener
        return listener

    async def connect(self, path: str) -> Stream:
        listener = self.listeners.get(path)
        if listener is None:
            raise ConnectionError(f"{path}: nobody listens")
        there, back = _Pipe(), _Pipe()
        far = FakeStream(there, back)
        listener.context.copy().run(self._accept, listener, far)
        return FakeStream(back, there).held()

    def _accept(self, listener: _FakeListener, far: FakeStream) -> None:
        far.held()

        async def serve() -> None:
            await listener.on_connect(far)

        self._loop.create_task(serve())
