"""A checker on real sockets: what its controllers hear, how fast, and what they do not hear."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from netctl.checker.shell import CheckerShell
from netctl.health.io import RealChecks
from netctl.ipc.io import UnixStreams, connect
from netctl.ipc.messages import CheckTarget, CheckTargets, Complete, Hello, Reply, Request
from netctl.ipc.tls.io import TlsStreams
from netctl.lab.pki import Pki
from netctl.model.controller import Checker, TlsSettings
from netctl.model.io import SystemClock
from tests.checker.rig import Controller, Web, free_address, targets, until

PLAIN = TlsStreams(None)


@asynccontextmanager
async def checker(folder: Path, *controllers: str, tls: TlsSettings | None = None) -> AsyncIterator[CheckerShell]:
    """A running one, of cloud a."""
    checks = RealChecks()
    settings = Checker("a-checker", "a", str(folder), controllers, tls)

    def log(level: str, event: str, **fields: object) -> None:
        assert level != "error", (event, fields)

    shell = CheckerShell(settings, SystemClock(), UnixStreams(), TlsStreams(tls), checks, pid=1, log=log)
    task = asyncio.ensure_future(shell.run())
    try:
        yield shell
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await checks.close()


async def asked(folder: Path, verb: str = "status") -> Reply:
    connection = await connect(UnixStreams(), f"{folder}/checker.sock", Hello("cli", "", 2))
    await connection.send(Request(verb))
    reply = await connection.receive()
    connection.close()
    assert isinstance(reply, Reply)
    return reply


def vm(place: str, name: str = "vm1", **settings: Any) -> CheckTarget:
    return CheckTarget("orders", name, tcp=place, **settings)


def page(place: str, name: str = "vm1", **settings: Any) -> CheckTarget:
    return CheckTarget("orders", name, http=f"http://{place}/healthz", **settings)


async def test_a_server_that_dies_is_failing_within_half_a_second_and_passing_when_it_is_back(tmp_path: Path) -> None:
    async with (
        Web() as web,
        Controller(PLAIN, free_address(), targets(page(web.place))) as controller,
        checker(tmp_path, controller.address),
    ):
        _, verdict = await controller.verdict(passing=True)
        assert (verdict.service, verdict.instance, verdict.for_target) == ("orders", "vm1", web.place)
        assert verdict.detail == "status 200 X"
        died = time.monotonic()
        await web.die()
        heard, verdict = await controller.verdict(passing=False)
        assert heard - died < 0.6  # 0.4 s at most by the schedule
        assert verdict.detail == "cannot connect: Connection refused"
        back = time.monotonic()
        await web.start()
        heard, _ = await controller.verdict(passing=True, after=back)
        assert heard - back < 0.6
        assert controller.clouds == ["a"]


async def test_a_server_that_hangs_is_failing_within_a_second(tmp_path: Path) -> None:
    async with (
        Web() as web,
        Controller(PLAIN, free_address(), targets(page(web.place))) as controller,
        checker(tmp_path, controller.address),
    ):
        await controller.verdict(passing=True)
        hung = time.monotonic()
        web.hangs = True
        heard, verdict = await controller.verdict(passing=False)
        assert heard - hung < 1.0  # 0.8 s at most by the schedule
        assert verdict.detail == "no answer within 250 ms"


async def test_a_server_that_answers_500_is_failing_and_tcp_does_not_mind(tmp_path: Path) -> None:
    async with (
        Web() as web,
        Controller(PLAIN, free_address(), targets(page(web.place), vm(web.place, "vm2"))) as controller,
        checker(tmp_path, controller.address),
    ):
        web.status = 500
        _, verdict = await controller.verdict(passing=False)
        assert verdict.detail == "status 500 X"
        await controller.verdict(passing=True, name="vm2")


async def test_only_changes_are_told_and_each_second_a_sign_of_life(tmp_path: Path) -> None:
    async with (
        Web() as web,
        Controller(PLAIN, free_address(), targets(page(web.place, interval_ms=20))) as controller,
        checker(tmp_path, controller.address),
    ):
        await controller.verdict(passing=True)
        before = controller.signs_of_life
        await controller.until(lambda: controller.signs_of_life >= before + 2, within_s=4)
        assert web.requests > 20
        assert len(controller.verdicts) == 1


async def test_after_a_reconnection_everything_is_told_again(tmp_path: Path) -> None:
    address = free_address()
    async with Web() as web, checker(tmp_path, address):
        async with Controller(PLAIN, address, targets(page(web.place))) as first:
            await first.verdict(passing=True)
        runs = web.requests
        await until(lambda: web.requests > runs + 1)  # nobody is connected, and it is checked
        async with Controller(PLAIN, address, targets(page(web.place))) as second:
            began = time.monotonic()
            heard, _ = await second.verdict(passing=True)
            assert heard - began < 1.5  # at once after a pause of a second at most


async def test_two_controllers_hear_of_their_own_targets(tmp_path: Path) -> None:
    async with (
        Web() as web,
        Controller(PLAIN, free_address(), targets(page(web.place), page(web.place, "vm2"))) as one,
        Controller(PLAIN, free_address(), targets(page(web.place, "vm2"))) as other,
        checker(tmp_path, one.address, other.address) as shell,
    ):
        await one.verdict(passing=True)
        await one.verdict(passing=True, name="vm2")
        await other.verdict(passing=True, name="vm2")
        assert shell.core.status()["targets"] == 2
        died = time.monotonic()
        await web.die()
        for controller in (one, other):
            heard, _ = await controller.verdict(passing=False, name="vm2")
            assert heard - died < 0.6
        assert {verdict.instance for _, verdict in other.verdicts} == {"vm2"}
        await web.start()


async def test_targets_are_added_moved_and_removed_one_by_one(tmp_path: Path) -> None:
    async with (
        Web() as web,
        Web() as elsewhere,
        Controller(PLAIN, free_address(), targets(page(web.place))) as controller,
        checker(tmp_path, controller.address) as shell,
    ):
        await controller.verdict(passing=True)
        await controller.tell(CheckTargets("a", (page(web.place, "vm2"),)))
        await controller.verdict(passing=True, name="vm2")
        await controller.tell(CheckTargets("a", (page(elsewhere.place),), removed=(("orders", "vm2"),)))
        await controller.until(lambda: controller.verdicts[-1][1].for_target == elsewhere.place)
        assert shell.core.status()["targets"] == 1
        runs = web.requests
        seen = elsewhere.requests
        await until(lambda: elsewhere.requests > seen + 2)
        assert web.requests <= runs + 1  # one may have been under way


async def test_a_stuck_controller_does_not_delay_the_other(tmp_path: Path) -> None:
    stuck = free_address()

    async def say_nothing(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    server = await asyncio.start_server(say_nothing, *stuck.split(":"))
    async with (
        Web() as web,
        Controller(PLAIN, free_address(), targets(page(web.place))) as controller,
        checker(tmp_path, stuck, controller.address),
    ):
        await controller.verdict(passing=True)
        died = time.monotonic()
        await web.die()
        heard, _ = await controller.verdict(passing=False)
        assert heard - died < 0.6
        await web.start()
    server.close()


@pytest.mark.parametrize(
    ("message", "program", "words"),
    [
        (targets(cloud="b"), "controller", "it wants cloud 'b' checked, this is 'a''s checker"),
        (targets(vm("127.0.0.1:1", rise=0)), "controller", "bad_target: orders/vm1"),
        (Complete(0), "controller", "unexpected_message: Complete"),
        (targets(), "agent", "no_controller: agent listens there"),
    ],
)
async def test_what_is_no_controller_of_this_cloud_is_left_and_the_reason_is_shown(
    tmp_path: Path, message: Any, program: str, words: str
) -> None:
    async with (
        Controller(PLAIN, free_address(), message, program) as controller,
        checker(tmp_path, controller.address) as shell,
    ):
        seen = shell.core.controllers[controller.address]
        await until(lambda: words in seen.reason)
        assert not seen.connected
        assert shell.core.status()["targets"] == 0


async def test_status_and_metrics_say_who_is_connected_and_what_fails(tmp_path: Path) -> None:
    away = free_address()
    async with (
        Web() as web,
        Controller(PLAIN, free_address(), targets(page(web.place), vm(free_address(), "vm2"))) as controller,
        checker(tmp_path, controller.address, away) as shell,
    ):
        await controller.verdict(passing=True)
        _, verdict = await controller.verdict(passing=False, name="vm2")
        body = (await asked(tmp_path)).body
        assert (body["checker"], body["cloud"], body["pid"], body["targets"]) == ("a-checker", "a", 1, 2)
        here, there = body["controllers"]
        assert (here["address"], here["connected"], here["reason"]) == (controller.address, True, "")
        assert (there["address"], there["connected"], there["reason"]) == (away, False, "Connection refused")
        assert body["failing"] == [
            {
                "service": "orders",
                "instance": "vm2",
                "target": verdict.for_target,
                "detail": "cannot connect: Connection refused",
            }
        ]
        assert body["runs_total"] >= 4
        text = (await asked(tmp_path, "metrics")).body["text"]
        assert 'netctl_checker_failing{cloud="a"} 1.0' in text
        refused = await asked(tmp_path, "explain")
        assert "does not know 'explain'" in refused.error
        assert "status, metrics" in refused.hint
        assert shell.metrics().startswith("# HELP")


async def test_with_tls_verdicts_arrive_and_a_wrong_certificate_is_named_until_it_is_renewed(tmp_path: Path) -> None:
    pki = Pki(tmp_path / "pki")
    theirs, ours = pki.issue("c1", role="controller"), pki.issue("a-checker", role="checker", expired=True)
    server = TlsStreams(TlsSettings(pki.ca_file, theirs.cert_file, theirs.key_file))
    tls = TlsSettings(pki.ca_file, ours.cert_file, ours.key_file)
    async with (
        Web() as web,
        Controller(server, free_address(), targets(page(web.place))) as controller,
        checker(tmp_path, controller.address, tls=tls) as shell,
    ):
        seen = shell.core.controllers[controller.address]
        await until(lambda: f"{ours.cert_file} has expired: renew it" in seen.reason)
        pki.issue("a-checker", role="checker")
        await controller.verdict(passing=True)
        assert seen.identity == "c1"


async def test_a_thousand_targets_are_checked_a_second(tmp_path: Path) -> None:
    async with Web() as web:
        many = targets(*(vm(web.place, f"vm{number}") for number in range(300)))
        async with (
            Controller(PLAIN, free_address(), many) as controller,
            checker(tmp_path, controller.address) as shell,
        ):
            await controller.until(lambda: len(controller.verdicts) == 300)
            before, began = shell.core.schedule.runs_total, time.monotonic()
            await until(lambda: shell.core.schedule.runs_total >= before + 1000)
            assert time.monotonic() - began < 3  # 1 s when nothing else runs: 300 every 300 ms
            assert all(verdict.passing for _, verdict in controller.verdicts)
