"""Serves a program's metrics at ``/metrics``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from netctl.model.errors import EnvironmentLackError


@asynccontextmanager
async def metrics_server(listen: str | None, text: Callable[[], str]) -> AsyncIterator[None]:
    """While entered, ``text()`` is served at ``HOST:PORT``; nothing when ``listen`` is None.

    Raises EnvironmentLackError when the address cannot be had.
    """
    if listen is None:
        yield
        return
    from aiohttp import web

    async def metrics(_request: web.Request) -> web.Response:
        headers = {"Content-Type": "text/plain; version=0.0.4; charset=utf-8"}
        return web.Response(body=text().encode(), headers=headers)

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    host, _, port = listen.rpartition(":")
    try:
        try:
            await web.TCPSite(runner, host.strip("[]") or "127.0.0.1", int(port)).start()
        except OSError as error:
            raise EnvironmentLackError(
                f"metrics_listen {listen}: {error.strerror}", f"see who holds it: ss -ltnp 'sport = :{port}'"
            ) from None
        yield
    finally:
        await runner.cleanup()
