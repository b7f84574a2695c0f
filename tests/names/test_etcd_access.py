"""Getting into a real etcd: TLS, user names and passwords, and endpoints that are something else."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from netctl.model.controller import EtcdSource, SourceSettings
from netctl.model.ports import Listed, Lost
from netctl.names.etcd.io import EtcdRegistry
from tests.names.follower import Follower, following
from tests.names.relay import Relay
from tests.real.etcd import RealEtcd
from tests.real.kube import Authority

VM = b'{"address":"10.1.1.10","ports":{"http":80},"cloud":"a"}'


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RealEtcd]:
    with RealEtcd(tmp_path / "etcd") as one:
        yield one


async def first_reason(source: EtcdSource) -> str:
    follower = Follower()
    task = asyncio.ensure_future(EtcdRegistry(SourceSettings("vms", etcd=source)).follow(follower.take))
    try:
        await follower.until(lambda: bool(follower.events))
    finally:
        task.cancel()
    assert isinstance(follower.events[0], Lost), follower.events
    return follower.events[0].reason


async def test_tls_is_verified_both_ways_and_each_failure_says_what_to_look_at(tmp_path: Path) -> None:
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other", "other")
    ca_file = str(ours.ca_file)
    certificate, key = map(str, ours.issue("root"))
    options = ["--cert-file", certificate, "--key-file", key, "--client-cert-auth", "--trusted-ca-file", ca_file]
    with RealEtcd(tmp_path / "etcd", options, "https") as etcd:
        right = EtcdSource((etcd.url,), "/vm/", ca_file, certificate, key)
        async with following(EtcdRegistry(SourceSettings("vms", etcd=right))) as follower:
            await follower.until(lambda: bool(follower.events))
            assert isinstance(follower.events[0], Listed)
        wrong_authority = await first_reason(replace(right, ca_file=str(other.ca_file)))
        assert "certificate that is refused (unable to get local issuer certificate); check ca_file" in wrong_authority
        relay = Relay(etcd.port, "127.0.0.2")  # the certificate is for 127.0.0.1
        await relay.start()
        other_name = await first_reason(replace(right, endpoints=(relay.url.replace("http", "https"),)))
        await relay.stop()
        assert "certificate is not valid for '127.0.0.2'" in other_name
        assert "it wants a certificate that it trusts: cert_file" in await first_reason(
            replace(right, cert_file=None, key_file=None)
        )
        assert f"No such file or directory ({tmp_path}/none" in await first_reason(
            replace(right, ca_file=str(tmp_path / "none"))
        )
        plain = await first_reason(replace(right, endpoints=(etcd.url.replace("https", "http"),)))
        assert "closed the connection" in plain or "HTTP status 400" in plain
    old, old_key = map(str, ours.issue("old", days=-1))
    with RealEtcd(tmp_path / "expired", ["--cert-file", old, "--key-file", old_key], "https") as etcd:
        assert "certificate has expired" in await first_reason(EtcdSource((etcd.url,), "/vm/", ca_file))


async def test_user_name_and_password_are_used_and_each_refusal_is_said(own: RealEtcd, tmp_path: Path) -> None:
    def ctl(*words: str) -> None:
        subprocess.run(["etcdctl", "--endpoints", own.url, *words], check=True, capture_output=True)

    ctl("user", "add", "root:secret")
    ctl("user", "grant-role", "root", "root")
    ctl("role", "add", "reader")
    ctl("role", "grant-permission", "reader", "--prefix=true", "read", "/vm/")
    ctl("user", "add", "netctl:word")
    ctl("user", "grant-role", "netctl", "reader")
    ctl("put", "/vm/orders/vm1", VM.decode())
    ctl("auth", "enable")
    password = tmp_path / "password"
    password.write_text("word\n")
    right = EtcdSource((own.url,), "/vm/", username="netctl", password_file=str(password))
    async with following(EtcdRegistry(SourceSettings("vms", etcd=right))) as follower:
        await follower.until(lambda: bool(follower.events))
        assert follower.values == {"orders/vm1": VM}
        ctl("--user", "root:secret", "put", "/vm/orders/vm2", VM.decode())
        await follower.until(lambda: len(follower.values) == 2)
    assert "grant this user read permission" in await first_reason(replace(right, prefix="/other/"))
    assert "it wants a username" in await first_reason(replace(right, username=None, password_file=None))
    password.write_text("wrong")
    assert "correct username or password_file" in await first_reason(right)
    assert "none cannot be read: No such file" in await first_reason(
        replace(right, password_file=str(tmp_path / "none"))
    )


@pytest.mark.parametrize("status", [b"200 OK", b"404 Not Found"])
async def test_something_else_than_etcd_is_said_to_be_that(status: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        assert "is this etcd's client port" in await first_reason(EtcdSource((url,), "/vm/"))


async def test_a_redirect_does_not_take_the_password_elsewhere(tmp_path: Path) -> None:
    heard: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        heard.append(await request.text())
        return web.json_response({"token": "t"})

    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect(f"/elsewhere{request.path}")

    app = web.Application()
    app.router.add_post("/elsewhere/{path:.*}", elsewhere)
    app.router.add_post("/v3/{path:.*}", redirect)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        (tmp_path / "password").write_text("secret")
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        source = EtcdSource((url,), "/vm/", username="reader", password_file=str(tmp_path / "password"))
        assert "answers with HTTP status 307" in await first_reason(source)
    finally:
        await runner.cleanup()
    assert heard == []
