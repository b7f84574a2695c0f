"""Sockets, streams and listeners of TCP."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from netctl.ipc.io import UnixStream
from netctl.model.errors import EnvironmentLackError

_LONGEST_LINE = 1024
_BUFFER = 256 * 1024
"""Of the kernel, each way: ``drain`` is to notice a slow reader, not after the megabytes that Linux would take."""
_DEAD_AFTER_MS = 3000
"""A peer that acknowledges nothing for so long is gone (TCP_USER_TIMEOUT, tcp(7))."""


class TcpStream:
    """One end of a TCP connection, with TLS or without. Made by ``opened``.

    TLS runs in memory between us and a plain asyncio stream: asyncio's own sends no alert when it refuses a certificate
    (so the other end would not learn why), and says that its queue is short when it holds megabytes.
    """

    def __init__(self, plain: UnixStream, context: ssl.SSLContext | None, *, server: bool) -> None:
        self._plain = plain
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server) if context is not None else None
        self._rest = b""
        self.certified_cloud = ""
        """What the other end's certificate says of its cloud."""

    async def handshake(self) -> Mapping[str, Any] | None:
        """The other end's certificate; None without TLS. Raises OSError, after the other end has been told why."""
        if self._tls is None:
            return None
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                if not await self._receive():
                    raise ConnectionResetError("the other end left in the TLS handshake: does it speak TLS?") from None
            else:
                return self._tls.getpeercert()
            finally:
                self._flush()

    async def read_line(self) -> bytes:
        """One line, or what there is at the end of the stream. Raises OSError: TLS's too, which says why."""
        line = b""
        while b"\n" not in line and len(line) < _LONGEST_LINE and (data := await self._read()):
            line += data
        line, newline, self._rest = line.partition(b"\n")
        return line + newline

    async def read(self) -> bytes:
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        try:
            return await self._read()
        except OSError:
            return b""

    async def _read(self) -> bytes:
        if self._tls is None:
            return await self._plain.read()
        while True:
            try:
                return self._tls.read(_BUFFER)
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLWantReadError:
                self._flush()  # TLS's own answers, to a change of keys say
                if not await self._receive():
                    return b""

    def write(self, data: bytes) -> None:
        if self._tls is None:
            self._plain.write(data)
        elif data:
            with suppress(ssl.SSLError):  # it is closed
                self._tls.write(data)
            self._flush()

    async def drain(self) -> None:
        await self._plain.drain()

    def close(self) -> None:
        if self._tls is not None:
            with suppress(OSError, ValueError):  # it wants to hear the other's goodbye, too
                self._tls.unwrap()
            self._flush()
        self._plain.close()

    async def _receive(self) -> bool:
        """Whether something more came from the other end."""
        data = await self._plain.read()
        self._in.write(data)
        return bool(data)

    def _flush(self) -> None:
        if self._out.pending:
            self._plain.write(self._out.read())


def prepare(sock: socket.socket) -> None:
    """A dead peer is noticed within 3 s, whether something is under way or not."""
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MS)


async def listening(path: str, host: str, port: int) -> socket.socket:
    """Raises EnvironmentLackError when ``host`` is not this host's, or the port is taken."""
    try:
        family, _, _, _, address = (
            await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        )[0]
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)  # inherited by accepted ones
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            sock.bind(address)
            sock.listen(128)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise EnvironmentLackError(
                f"{path}: another program listens there", f"see who: ss -ltnp 'sport = :{port}'"
            ) from None
        raise EnvironmentLackError(f"cannot listen at {path}: {error.strerror}", "is it this host's address?") from None
    return sock


async def connected(host: str, port: int) -> socket.socket:
    """Raises OSError."""
    loop = asyncio.get_running_loop()
    family, _, _, _, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        prepare(sock)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        await loop.sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def opened(sock: socket.socket, context: ssl.SSLContext | None, *, server: bool) -> TcpStream:
    """The stream on a connected socket; its handshake comes next."""
    reader, writer = await asyncio.open_connection(sock=sock, limit=_BUFFER)
    return TcpStream(UnixStream(reader, writer), context, server=server)


class TcpListener:
    """A listening socket and the task that accepts at it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sock: socket.socket, task: asyncio.Task[None]) -> None:
        self._loop = loop
        self._sock = sock
        self._task = task

    def close(self) -> None:
        if self._sock.fileno() < 0:
            return
        with suppress(RuntimeError):  # the loop may be closed already
            self._loop.remove_reader(self._sock)  # now: the descriptor's number may soon be another's
            self._task.cancel()
        self._sock.close()
