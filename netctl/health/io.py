"""Runs health checks for real.

TCP and plain HTTP to an address, of which a checker makes thousands a second, are a few calls on a socket; names and
HTTPS go through asyncio's streams and aiohttp (loaded when first needed).
"""

from __future__ import annotations

import asyncio
import errno
import os
import re
import socket
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from netctl.model.gateway import CheckSettings

if TYPE_CHECKING:
    from aiohttp import ClientSession

_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5]\d\d)(?: ([^\r\n]*))?\r?\n")
_LONGEST_HEAD = 16 * 1024
_OUR_FAULT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
"""This host has run out of something: no run took place."""


class RealChecks:
    """The ``Checks`` port on this host's network."""

    def __init__(self) -> None:
        self._session: ClientSession | None = None

    async def probe(self, settings: CheckSettings) -> tuple[bool | None, str]:
        """One run, bounded by ``timeout_ms`` as a whole (name, connection, answer)."""
        try:
            async with asyncio.timeout(settings.timeout_ms / 1000):
                if settings.http is None:
                    return await _tcp(settings.tcp or "")
                plain = _plain(settings.http)
                return await self._http(settings.http) if plain is None else await _plain_http(*plain)
        except TimeoutError:
            return False, f"no answer within {settings.timeout_ms} ms"
        except OSError as error:
            return None if error.errno in _OUR_FAULT else False, error.strerror or str(error)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _http(self, url: str) -> tuple[bool, str]:
        import aiohttp

        if self._session is None:
            # A fresh connection for each run: a connection kept open says nothing about new ones.
            connector = aiohttp.TCPConnector(force_close=True)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        try:
            async with self._session.get(url, allow_redirects=False) as answer:
                return _judged(answer.status, answer.reason or "")
        except aiohttp.ClientConnectorError as error:
            return False, f"cannot connect: {error.os_error.strerror or error.os_error}"
        except (aiohttp.ClientError, ValueError) as error:
            return False, f"{type(error).__name__}: {error}"


def _judged(status: int, reason: str) -> tuple[bool, str]:
    return 200 <= status <= 399, f"status {status} {reason}".rstrip()


@lru_cache(maxsize=20_000)
def _plain(url: str) -> tuple[str, int, bytes] | None:
    """Address, port and request of a URL that needs neither names nor TLS nor a password; None for any other."""
    try:
        parts = urlsplit(url)
        host = str(ip_address(parts.hostname or ""))
        port = parts.port or 80
    except ValueError:
        return None
    if parts.scheme != "http" or parts.username is not None:
        return None
    path = quote(parts.path or "/", safe="/%!$&'()*+,;=:@~") + (
        f"?{quote(parts.query, safe='/?%!$&()*+,;=:@~')}" * bool(parts.query)
    )
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: netctl\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    return host, port, request.encode("ascii")


async def _plain_http(host: str, port: int, request: bytes) -> tuple[bool, str]:
    """On a fresh connection (one kept open says nothing about new ones), up to the answer's status."""
    loop = asyncio.get_running_loop()
    with _socket(host) as sock:
        if (problem := await _connect(loop, sock, host, port)) is not None:
            return False, problem
        await loop.sock_sendall(sock, request)
        head = b""
        while (answer := _answer(head)) is None:
            data = await loop.sock_recv(sock, 4096)
            if not data:
                return False, "it closed the connection without an answer"
            head += data
        return answer


def _answer(head: bytes) -> tuple[bool, str] | None:
    """What the beginning of an answer says; None: not enough of it is there."""
    if len(head) > _LONGEST_HEAD:
        return False, f"no HTTP answer within {_LONGEST_HEAD} bytes"
    if b"\n" not in head:
        return None
    if (found := _STATUS.match(head)) is None:
        return False, f"no HTTP answer: {head[:40]!r}"
    if found[1].startswith(b"1"):  # informational: the answer comes after it
        _, complete, rest = head.partition(b"\r\n\r\n")
        return _answer(rest) if complete else None
    return _judged(int(found[1]), (found[2] or b"").decode("latin-1").strip())


async def _tcp(target: str) -> tuple[bool, str]:
    host, _, port = target.rpartition(":")
    host = host.strip("[]")
    try:
        ip_address(host)
    except ValueError:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        return True, "connected"
    with _socket(host) as sock:
        problem = await _connect(asyncio.get_running_loop(), sock, host, int(port))
    return problem is None, problem or "connected"


def _socket(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


async def _connect(loop: asyncio.AbstractEventLoop, sock: socket.socket, host: str, port: int) -> str | None:
    """None when connected, else why not."""
    try:
        await loop.sock_connect(sock, (host, port))
    except OSError as error:
        if error.errno in _OUR_FAULT:
            raise
        return f"cannot connect: {os.strerror(error.errno) if error.errno else error}"
    return None
