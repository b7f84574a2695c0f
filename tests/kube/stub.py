"""An API server that does what a test tells it, on a loopback port."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from netctl.kube.io import RealKubeApi, open_kube
from netctl.kube.transport.io import Limits
from netctl.model.controller import ClusterSettings
from tests.real.etcd import free_ports

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
QUICK = Limits(connect_s=1.0, request_s=0.5, lease_s=0.3, list_s=2.0, watch_s=0.1, grace_s=0.1)


class Stub:
    """``requests`` are those that came: (method, path with query, Authorization)."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.requests: list[tuple[str, str, str]] = []

    def write_kubeconfig(self, user: dict[str, object], **cluster: object) -> Path:
        path = self.folder / "kubeconfig"
        content = {
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": self.url, **cluster}}],
            "users": [{"name": "u", "user": user}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        }
        path.write_text(json.dumps(content))
        return path

    def open(self, user: dict[str, object] | None = None, **cluster: object) -> RealKubeApi:
        path = self.write_kubeconfig(user or {"token": "secret"}, **cluster)
        return open_kube(ClusterSettings("a", "a", str(path), "vm"), QUICK)


@asynccontextmanager
async def stub(folder: Path, answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Stub]:
    [port] = free_ports(1)
    served = Stub(f"{'https' if tls else 'http'}://127.0.0.1:{port}", folder)

    async def handle(request: web.Request) -> web.StreamResponse:
        served.requests.append((request.method, request.path_qs, request.headers.get("Authorization", "")))
        return await answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls).start()
    try:
        yield served
    finally:
        await runner.cleanup()


def status(code: int, message: str = "no", **headers: str) -> web.Response:
    return web.json_response({"kind": "Status", "code": code, "message": message}, status=code, headers=headers)
