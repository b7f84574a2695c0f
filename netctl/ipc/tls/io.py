"""``TlsStreams``: the ``Streams`` port on TCP; a path is ``HOST:PORT`` (``[IPV6]:PORT``)."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from netctl.ipc.tls.certificates import (
    LONGEST_LINE,
    REFUSED,
    WELCOME,
    cloud_of,
    explain_alert,
    explain_verification,
    is_loopback,
    name_of,
    role_of,
    split_address,
)
from netctl.ipc.tls.files.io import Contexts
from netctl.ipc.tls.tcp.io import TcpListener, TcpStream, connected, listening, opened, prepare
from netctl.model.controller import TlsSettings
from netctl.model.errors import EnvironmentLackError
from netctl.model.ports import Listener, Stream

_HANDSHAKE_WITHIN_S = 3.0
_CONNECT_WITHIN_S = 4.0
"""Longer, so that the client hears the listening end's reason."""
_QUIET_S = 60.0
_MOST_NOTES = 1000
_MOST_HANDSHAKES = 64
"""At the same time; more wait in the backlog."""


class TlsStreams:
    """TCP with mutual TLS 1.3; without ``tls`` plain, and on loopback only.

    ``connects_to`` and ``accepts`` are the roles (OU) that the other end's certificate must name. ``on_refused`` is
    told in words of clients that were refused (of each once a minute) and of files that became unusable; ``refused``
    counts by kind.
    Certificate files are read again when they change: for new connections, those that are open stay. While the new
    files cannot be used, the old certificate is.
    """

    def __init__(
        self,
        tls: TlsSettings | None,
        *,
        connects_to: str = "controller",
        accepts: str = "checker",
        on_refused: Callable[[str], None] | None = None,
    ) -> None:
        self._tls = tls
        self._connects_to = connects_to
        self._accepts = accepts
        self._on_refused = on_refused or (lambda _reason: None)
        self._contexts = Contexts(tls, self._on_refused) if tls is not None else None
        self._quiet_until_s: dict[str, float] = {}
        self.refused: Counter[str] = Counter()

    async def listen(self, path: str, on_connect: Callable[[Stream], Awaitable[None]]) -> Listener:
        host, port = self._place(path)
        if self._contexts is not None:
            self._contexts.get(server=True)  # unusable files: say so now
        sock = await listening(path, host, port)
        loop = asyncio.get_running_loop()
        tasks: set[asyncio.Task[None]] = set()
        free = asyncio.Semaphore(_MOST_HANDSHAKES)

        async def accept() -> None:
            while True:
                await free.acquire()
                try:
                    client, address = await loop.sock_accept(sock)
                except OSError:  # the client has left already, or no descriptor is free
                    free.release()
                    await asyncio.sleep(0.01)
                    continue
                task = loop.create_task(talk(client, address[0]))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        async def talk(client: socket.socket, host: str) -> None:
            try:
                stream = await self._welcome(client, host)
            finally:
                free.release()
            if stream is not None:
                await on_connect(stream)

        return TcpListener(loop, sock, loop.create_task(accept()))

    async def connect(self, path: str) -> Stream:
        try:
            host, port = self._place(path)
            context = self._contexts.get(server=False) if self._contexts is not None else None
        except EnvironmentLackError as error:
            raise ConnectionError(f"{error.message}: {error.hint}") from None
        stream: TcpStream | None = None
        try:
            async with asyncio.timeout(_CONNECT_WITHIN_S):
                sock = await connected(host, port)
                stream = await opened(sock, context, server=False)
                self._check_role(await stream.handshake(), self._connects_to)
                await _hear_welcome(stream)
        except TimeoutError:
            _close(stream)
            raise ConnectionError(f"{path}: no answer within {_CONNECT_WITHIN_S:g} s") from None
        except OSError as error:
            _close(stream)
            raise ConnectionError(f"{path}: {self._explain(error)}") from None
        except BaseException:
            _close(stream)
            raise
        return stream

    def _place(self, path: str) -> tuple[str, int]:
        """Raises EnvironmentLackError when it is no address, or one that must not be used without TLS."""
        try:
            host, port = split_address(path)
        except ValueError as error:
            raise EnvironmentLackError(str(error), "write it like 10.1.9.10:7946") from None
        if self._tls is None and not is_loopback(host):
            raise EnvironmentLackError(
                f"{path}: not without TLS", "set `tls` there and here, or use a loopback address"
            )
        return host, port

    async def _welcome(self, sock: socket.socket, host: str) -> TcpStream | None:
        """Handshake with a client; None: refused, and closed."""
        stream: TcpStream | None = None
        try:
            prepare(sock)
            context = self._contexts.get(server=True) if self._contexts is not None else None
            async with asyncio.timeout(_HANDSHAKE_WITHIN_S):
                stream = await opened(sock, context, server=True)
                certificate = await stream.handshake()
                self._check_role(certificate, self._accepts)
                stream.certified_cloud = cloud_of(certificate)
        except _RoleError as error:
            assert stream is not None
            stream.write(REFUSED + str(error).encode()[: LONGEST_LINE - len(REFUSED) - 1] + b"\n")
            self._refuse("role", host, str(error), stream)
        except (TimeoutError, OSError, EnvironmentLackError) as error:
            if stream is None:
                sock.close()
            kind = "files" if isinstance(error, EnvironmentLackError) else "handshake"
            self._refuse(kind, host, self._explain(error), stream)
        else:
            stream.write(WELCOME)
            return stream
        return None

    def _refuse(self, kind: str, host: str, reason: str, stream: TcpStream | None) -> None:
        self.refused[kind] += 1
        note, now_s = f"{host}: {reason}", asyncio.get_running_loop().time()
        if now_s >= self._quiet_until_s.get(note, 0.0):
            if len(self._quiet_until_s) >= _MOST_NOTES:
                self._quiet_until_s.clear()
            self._quiet_until_s[note] = now_s + _QUIET_S
            self._on_refused(note)
        _close(stream)

    def _check_role(self, certificate: Mapping[str, Any] | None, wanted: str) -> None:
        if self._tls is not None and (role := role_of(certificate)) != wanted:
            has = f"is a {role}'s" if role else "names no role"
            raise _RoleError(f"the certificate of {name_of(certificate)} {has} (OU), not a {wanted}'s")

    def _explain(self, error: Exception) -> str:
        if isinstance(error, EnvironmentLackError):
            return f"{error.message}: {error.hint}"
        if isinstance(error, TimeoutError):
            return f"no TLS handshake within {_HANDSHAKE_WITHIN_S:g} s"
        if self._tls is not None and isinstance(error, ssl.SSLCertVerificationError):
            return explain_verification(error.verify_code, error.verify_message, self._tls)
        if self._tls is not None and isinstance(error, ssl.SSLError):
            return explain_alert(error.reason or type(error).__name__, self._tls)
        number = getattr(error, "errno", None)
        return os.strerror(number) if number and number > 0 else str(error)


class _RoleError(ConnectionError):
    """The other end's certificate is good, and not the one of whom we expect."""


async def _hear_welcome(stream: TcpStream) -> None:
    """Read the listening end's word. Raises OSError, in words."""
    line = await stream.read_line()
    if not line:
        raise ConnectionResetError("the other end left without a word: does it expect TLS?")
    if line.startswith(REFUSED):
        raise ConnectionRefusedError(
            f"refused by the other end: {line[len(REFUSED) :].decode(errors='replace').strip()}"
        )
    if line != WELCOME:
        raise ConnectionResetError("the other end is no netctl: is the address right?")


def _close(stream: TcpStream | None) -> None:
    if stream is not None:
        stream.close()
