"""The checker as a process: signals, stops, and a place that is taken."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import msgspec
import pytest

from netctl.ipc.tls.io import TlsStreams
from netctl.model.controller import Checker
from tests.checker.rig import Controller, Web, free_address, targets
from tests.checker.test_shell import asked, page, vm

PROGRAM = """
import ctypes, signal, sys
import msgspec
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
from netctl.checker.io import run_checker
from netctl.model.controller import Checker
from netctl.model.errors import NetctlError
try:
    run_checker(msgspec.json.decode(sys.argv[1], type=Checker))
except NetctlError as error:
    sys.exit(f"{error.message} ({error.hint})")
"""


@asynccontextmanager
async def program(settings: Checker) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, msgspec.json.encode(settings).decode(), stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def said(process: asyncio.subprocess.Process, word: str) -> str:
    """The first line of its log that has this word."""
    assert process.stderr is not None
    async with asyncio.timeout(15):
        while line := (await process.stderr.readline()).decode():
            if word in line:
                return line
    pytest.fail(f"it never said {word!r}")


async def test_a_checker_that_was_stopped_for_two_seconds_calls_nobody_failing(tmp_path: Path) -> None:
    async with Web() as web:
        many = (page(web.place, f"vm{number}") for number in range(100))
        async with Controller(TlsStreams(None), free_address(), targets(*many)) as controller:
            settings = Checker("k", "a", str(tmp_path), (controller.address,))
            async with program(settings) as process:
                await controller.until(lambda: len(controller.verdicts) >= 100)
                for _ in range(2):
                    process.send_signal(signal.SIGSTOP)
                    await asyncio.sleep(2)
                    process.send_signal(signal.SIGCONT)
                    signs, runs = controller.signs_of_life, web.requests
                    await controller.until(lambda signs=signs: controller.signs_of_life > signs + 1)  # type: ignore[misc]
                    assert web.requests > runs + 100
                assert [one for _, one in controller.verdicts if not one.passing] == []


async def test_it_leaves_on_sigterm_and_logs_json(tmp_path: Path) -> None:
    async with program(Checker("k", "a", str(tmp_path / "made"), (free_address(),))) as process:
        line = msgspec.json.decode(await said(process, "no controller"))
        assert (line["program"], line["name"], line["reason"]) == ("checker", "k", "Connection refused")
        process.send_signal(signal.SIGTERM)
        await said(process, "stopped")
        assert await asyncio.wait_for(process.wait(), 10) == 0


async def test_a_second_checker_in_the_same_place_is_refused_in_words(tmp_path: Path) -> None:
    settings = Checker("k", "a", str(tmp_path), (free_address(),))
    async with program(settings) as first:
        await said(first, "no controller")
        async with program(settings) as second:
            assert "another program listens there" in await said(second, "checker.sock")
            assert await asyncio.wait_for(second.wait(), 10) == 1
        assert first.returncode is None


async def test_metrics_are_served_where_the_file_says(tmp_path: Path) -> None:
    listen = free_address()
    async with program(Checker("k", "a", str(tmp_path), (free_address(),), metrics_listen=listen)) as process:
        await said(process, "no controller")
        reader, writer = await asyncio.open_connection(*listen.split(":"))
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert b'netctl_checker_targets{cloud="a"} 0.0' in await asyncio.wait_for(reader.read(), 10)
        writer.close()


@contextmanager
def full_backlog() -> Iterator[str]:
    """A listener whose backlog is full: connections to it hang, as they do to a host that is gone."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def test_a_thousand_hung_targets_hold_up_no_verdict_on_the_others(tmp_path: Path) -> None:
    with full_backlog() as hung:
        many = [vm(hung, f"gone{number}", interval_ms=1000) for number in range(1500)]
        async with (
            Web() as web,
            Controller(TlsStreams(None), free_address(), targets(page(web.place), *many)) as controller,
            program(Checker("k", "a", str(tmp_path), (controller.address,))),
        ):
            await controller.verdict(passing=True)
            await controller.until(lambda: len(controller.verdicts) == 1501, within_s=30)
            died = time.monotonic()
            await web.die()
            heard, _ = await controller.verdict(passing=False)
            assert heard - died < 2
            body = (await asked(tmp_path)).body
            assert (body["targets"], len(body["failing"]), body["not_run_total"]) == (1501, 1501, 0)
            await web.start()
