"""A relay between a registry and its etcd, for what a network does to connections."""

from __future__ import annotations

import asyncio

from tests.real.etcd import free_port


class Relay:
    """A TCP relay to etcd that can end its connections, and swallow what etcd says on those that are open."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._target = port
        self._port = free_port()
        self._host = host
        self.url = f"http://{host}:{self._port}"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._watches: set[asyncio.StreamWriter] = set()
        self._deaf: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self._host, self._port)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    def deafen(self) -> None:
        """Of the connections that are open now, swallow what comes from etcd where a watch is open."""
        self._deaf |= self._watches

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, up_writer}
        await asyncio.gather(self._up(reader, up_writer, writer), self._down(up_reader, writer), return_exceptions=True)
        writer.transport.abort()
        up_writer.transport.abort()
        self._writers -= {writer, up_writer}

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if b"POST /v3/watch" in data:
                self._watches.add(back)
            writer.write(data)

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            if writer not in self._deaf:
                writer.write(data)
