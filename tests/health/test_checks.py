"""Rise and fall, and the real runs against a server on loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

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
