"""Runs health checks for real: HTTP by aiohttp (loaded when first needed), TCP by connecting."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from netctl.model.gateway import CheckSettings

if TYPE_CHECKING:
    from aiohttp import ClientSession


class RealChecks:
    """The ``Checks`` port on this host's network."""

    def __init__(self) -> None:
        self._session: ClientSession | None = None

    async def probe(self, settings: CheckSettings) -> tuple[bool, str]:
        """One run, bounded by ``timeout_ms`` as a whole (name, connection, answer)."""
        try:
            async with asyncio.timeout(settings.timeout_ms / 1000):
                if settings.http is not None:
                    return await self._http(settings.http)
                return await _tcp(settings.tcp or "")
        except TimeoutError:
            return False, f"no answer within {settings.timeout_ms} ms"
        except OSError as error:
            return False, error.strerror or str(error)

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
                passed = 200 <= answer.status <= 399
                return passed, f"status {answer.status}" + (f" {answer.reason}" if answer.reason else "")
        except aiohttp.ClientConnectorError as error:
            return False, f"cannot connect: {error.os_error.strerror or error.os_error}"
        except (aiohttp.ClientError, ValueError) as error:
            return False, f"{type(error).__name__}: {error}"


async def _tcp(target: str) -> tuple[bool, str]:
    host, _, port = target.rpartition(":")
    _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True, "connected"
