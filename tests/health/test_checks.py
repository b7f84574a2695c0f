"""Rise and fall, and the real runs against a server on loopback."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from aiohttp import web

from netctl.health.checks import Verdict
from netctl.health.io import RealChecks
from netctl.model.gateway import CheckSettings


def runs(verdict: Verdict, pattern: str) -> str:
    """Feed ``+``/``-`` and note the verdict after each as ``?``, ``+`` or ``-``."""
    seen = ""
    for sign in pattern:
        verdict.ran(passed=sign == "+", detail=sign)
        seen += "?" if verdict.passing is None else "+" if verdict.passing else "-"
    return seen


def test_a_check_is_unknown_until_rise_passes_or_fall_failures_in_a_row() -> None:
    assert runs(Verdict(2, 3), "+-+-++") == "?????+"
    assert runs(Verdict(2, 3), "--+---") == "?????-"


def test_a_passing_check_survives_fewer_than_fall_failures_in_a_row() -> None:
    assert runs(Verdict(2, 3), "++--+--+---") == "?+++++++++-"


def test_a_failing_check_needs_rise_passes_in_a_row() -> None:
    assert runs(Verdict(2, 1), "-+-++") == "----+"


def test_only_a_change_of_verdict_is_reported() -> None:
    verdict = Verdict(1, 1)
    assert [verdict.ran(passed=p, detail="") for p in (True, True, False, False, True)] == [
        True,
        False,
        True,
        False,
        True,
    ]


@pytest.fixture
async def server() -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        if request.match_info["status"] == "slow":
            await asyncio.Event().wait()
        return web.Response(status=int(request.match_info["status"]), headers={"Location": "/200"})

    app = web.Application()
    app.router.add_get("/{status}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    yield f"127.0.0.1:{port}"
    await runner.cleanup()


def http(url: str, timeout_ms: int = 2000) -> CheckSettings:
    return CheckSettings("web", url, None, timeout_ms=timeout_ms)


@pytest.mark.parametrize(("status", "passes"), [(200, True), (204, True), (399, True), (404, False), (503, False)])
async def test_http_passes_from_200_to_399(server: str, status: int, passes: bool) -> None:
    checks = RealChecks()
    passed, detail = await checks.probe(http(f"http://{server}/{status}"))
    await checks.close()
    assert passed is passes
    assert str(status) in detail


async def test_a_redirect_passes_and_is_not_followed(server: str) -> None:
    checks = RealChecks()
    assert (await checks.probe(http(f"http://{server}/302")))[1].startswith("status 302")
    await checks.close()


async def test_a_slow_answer_fails_in_bounded_time_and_says_so(server: str) -> None:
    checks = RealChecks()
    began = asyncio.get_running_loop().time()
    passed, detail = await checks.probe(http(f"http://{server}/slow", timeout_ms=100))
    await checks.close()
    assert (passed, detail) == (False, "no answer within 100 ms")
    assert asyncio.get_running_loop().time() - began < 2


async def test_tcp_passes_when_somebody_listens_and_says_refused_when_nobody_does(server: str) -> None:
    checks = RealChecks()
    assert await checks.probe(CheckSettings("t", None, server)) == (True, "connected")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    passed, detail = await checks.probe(CheckSettings("t", None, f"127.0.0.1:{port}"))
    assert not passed
    assert "refused" in detail.lower() or "Connect call failed" in detail


async def test_http_to_nobody_names_the_cause(server: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    checks = RealChecks()
    passed, detail = await checks.probe(http(f"http://127.0.0.1:{port}/"))
    await checks.close()
    assert not passed
    assert detail.startswith("cannot connect")


class RawServer:
    """Answers every connection with the same bytes, in the given pieces, or closes when there are none."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces
        self.requests: list[bytes] = []

    async def __aenter__(self) -> str:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            for piece in self._pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0.01)  # so that it is a packet of its own
            writer.close()

        self._server = await asyncio.start_server(answer, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()


@pytest.mark.parametrize(
    ("pieces", "outcome"),
    [
        ([b"HTTP/1.1 2", b"00 OK\r\n", b"\r\n"], (True, "status 200 OK")),
        ([b"HTTP/1.0 503\r\n\r\n"], (False, "status 503")),
        (
            [b"HTTP/1.1 100 Continue\r\nX: y\r\n", b"\r\nHTTP/1.1 204 No Content\r\n\r\n"],
            (True, "status 204 No Content"),
        ),
        ([], (False, "it closed the connection without an answer")),
        ([b"HTTP/1.1 200 OK"], (False, "it closed the connection without an answer")),
        ([b"SSH-2.0-OpenSSH_9.2\r\n"], (False, "no HTTP answer: b'SSH-2.0-OpenSSH_9.2\\r\\n'")),
        ([b"HTTP/2 200\r\n\r\n"], (False, "no HTTP answer: b'HTTP/2 200\\r\\n\\r\\n'")),
        ([b"x" * 20_000], (False, "no HTTP answer within 16384 bytes")),
    ],
)
async def test_an_answer_is_judged_by_its_status_line_however_it_comes(
    pieces: list[bytes], outcome: tuple[bool, str]
) -> None:
    async with RawServer(*pieces) as url:
        assert await RealChecks().probe(http(f"{url}/")) == outcome


async def test_the_request_names_host_path_and_query() -> None:
    server = RawServer(b"HTTP/1.1 200 OK\r\n\r\n")
    async with server as url:
        await RealChecks().probe(http(f"{url}/a b/ü?x=1&y=ä%20"))
    head = server.requests[0].decode("ascii")
    assert head.startswith("GET /a%20b/%C3%BC?x=1&y=%C3%A4%20 HTTP/1.1\r\n")
    assert f"\r\nHost: {url.removeprefix('http://')}\r\n" in head
    assert "\r\nConnection: close\r\n" in head


async def test_a_name_is_resolved(server: str) -> None:
    checks = RealChecks()
    port = server.rpartition(":")[2]
    assert await checks.probe(http(f"http://localhost:{port}/200")) == (True, "status 200 OK")
    assert await checks.probe(CheckSettings("t", None, f"localhost:{port}", timeout_ms=2000)) == (True, "connected")
    await checks.close()


async def test_a_run_for_which_this_host_has_no_descriptor_left_is_no_failure(server: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")), hard))  # noqa: PTH208
    taken = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.dup(0))
        assert await RealChecks().probe(CheckSettings("t", None, server)) == (None, "Too many open files")
        assert await RealChecks().probe(http(f"http://{server}/200")) == (None, "Too many open files")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)
