"""The relay's shell with a fake ExaBGP: clients that are slow, leave, or send garbage."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio

from netctl.ipc.io import UnixStreams
from netctl.ipc.messages import ALIVE_S, Announce, AnnouncedRoute, Arm, Complete, Counters, Routes, SessionState
from netctl.model.clock import FakeClock
from netctl.model.errors import EnvironmentLackError
from netctl.model.io import SystemClock
from netctl.model.prefix import parse_prefix
from netctl.speaker.retry import RETRY_NS
from netctl.speaker.shell import QUEUE_LIMIT, RelayShell


class FakeExabgp:
    def __init__(self) -> None:
        self.commands: list[str] = []
        self.started = asyncio.Event()
        self.give: Callable[[list[bytes] | None], None]

    def start(self, on_lines: Callable[[list[bytes] | None], None]) -> None:
        self.give = on_lines
        self.started.set()

    def send(self, lines: tuple[str, ...]) -> None:
        self.commands += lines

    def configure(self, passive: bool, alternate: bool) -> None:
        self.commands.append("reload")

    def answers_arp(self) -> bool | None:
        return None

    def state(self, state: str) -> None:
        self.give([json.dumps({"type": "state", "neighbor": {"state": state}}).encode()])

    def announce(self, second: int, count: int, med: int) -> None:
        texts = [f"{second}.{i >> 8 & 255}.{i & 255}.0/24" for i in range(count)]
        body = {"attribute": {"med": med}, "announce": {"ipv4 unicast": {"10.0.1.2": texts}}}
        self.give([json.dumps({"type": "update", "neighbor": {"message": {"update": body}}}).encode()])


@pytest.fixture
def exabgp() -> FakeExabgp:
    return FakeExabgp()


@pytest_asyncio.fixture
async def shell(gateway: Any, exabgp: FakeExabgp) -> AsyncIterator[RelayShell]:
    peer = gateway.peers[0]
    shell = RelayShell(gateway, peer, clock=SystemClock(), streams=UnixStreams(), exabgp=exabgp, pid=1)
    running = asyncio.create_task(shell.run())
    await asyncio.wait_for(exabgp.started.wait(), 5)
    yield shell
    shell.stop()
    await running


async def test_a_client_gets_everything_in_order(
    shell: RelayShell, exabgp: FakeExabgp, client_of: Any, gateway: Any
) -> None:
    exabgp.state("up")
    exabgp.announce(20, 5000, 1)
    client = await client_of(gateway)
    exabgp.announce(20, 10, 2)
    exabgp.give([b'{"type": "update", "neighbor": {"message": {"eor": {"afi": "ipv4", "safi": "unicast"}}}}'])
    await client.until(lambda c: c.complete is not None)
    kinds = [type(message) for message in client.messages if not isinstance(message, Counters)]
    assert kinds == [SessionState, Routes, Routes, Routes, Complete]
    assert [client.table[f"20.0.{i}.0/24"].med for i in (0, 9, 10)] == [2, 2, 1]
    await client.connection.send(Announce(1, (AnnouncedRoute(parse_prefix("10.1.0.0/16")),)))
    await client.until(lambda _: any("10.1.0.0/16" in command for command in exabgp.commands))


async def test_garbage_on_the_socket_ends_that_client_alone_and_is_counted(
    shell: RelayShell, exabgp: FakeExabgp, client_of: Any, gateway: Any
) -> None:
    good, confused = await client_of(gateway), await client_of(gateway)
    stream = await UnixStreams().connect(f"{gateway.runtime_dir}/speaker-pa.sock")
    stream.write(b"\x00\x00\x00\x05hello")
    await confused.connection.send(Arm(1, ()))
    await confused.until(lambda c: c.ended)
    await good.until(lambda c: c.counters.get("socket_refused{reason=frame_undecodable}") == 1)
    assert good.counters["socket_refused{reason=unexpected_message}"] == 1
    exabgp.state("up")
    await good.until(lambda c: c.session.state == "up")


async def test_a_client_that_does_not_read_is_cut_off_at_the_limit(
    shell: RelayShell, exabgp: FakeExabgp, client_of: Any, gateway: Any
) -> None:
    exabgp.state("up")
    stuck = await client_of(gateway)
    await stuck.until(lambda c: c.session.state == "up")
    stuck.task.cancel()
    for med in range(QUEUE_LIMIT // (60_000 * 5) + 8):
        exabgp.announce(20, 60_000, med + 1)
        await asyncio.sleep(0)
    assert shell.cut_off == 1
    again = await client_of(gateway)
    await again.until(lambda c: len(c.table) == 60_000)


async def test_an_exabgp_that_answers_nothing_is_told_to_try_again(gateway: Any, exabgp: FakeExabgp) -> None:
    clock = FakeClock()
    shell = RelayShell(gateway, gateway.peers[0], clock=clock, streams=UnixStreams(), exabgp=exabgp, pid=1)
    running = asyncio.create_task(shell.run())
    await asyncio.wait_for(exabgp.started.wait(), 5)
    clock.advance(RETRY_NS)
    assert exabgp.commands[-1] == "reload"
    shell.stop()
    await running


async def test_exabgps_end_is_the_relays(gateway: Any, exabgp: FakeExabgp, client_of: Any) -> None:
    peer = gateway.peers[0]
    shell = RelayShell(gateway, peer, clock=SystemClock(), streams=UnixStreams(), exabgp=exabgp, pid=1)
    running = asyncio.create_task(shell.run())
    client = await client_of(gateway)
    exabgp.give(None)
    await asyncio.wait_for(running, 5)
    await client.until(lambda c: c.ended)
    with pytest.raises(ConnectionError):
        await UnixStreams().connect(f"{gateway.runtime_dir}/speaker-pa.sock")


async def test_a_client_hears_a_sign_of_life_as_often_as_hello_promises_although_nothing_happens(
    shell: RelayShell, client_of: Any, gateway: Any
) -> None:
    client = await client_of(gateway)
    assert client.connection.peer_hello.alive_s == ALIVE_S

    def told() -> list[Counters]:
        return [message for message in client.messages if isinstance(message, Counters)]

    await client.until(lambda _: len(told()) == 3)
    assert told()[1] == told()[2]


async def test_the_relay_says_that_the_socket_is_its_own_only_once_it_is(gateway: Any, exabgp: FakeExabgp) -> None:
    held: list[str] = []
    clock, streams = SystemClock(), UnixStreams()

    def make(name: str) -> RelayShell:
        return RelayShell(
            gateway,
            gateway.peers[0],
            clock=clock,
            streams=streams,
            exabgp=exabgp,
            pid=1,
            listening=lambda: held.append(name),
        )

    first = make("first")
    running = asyncio.create_task(first.run())
    await asyncio.wait_for(exabgp.started.wait(), 5)
    with pytest.raises(EnvironmentLackError):
        await make("second").run()
    assert held == ["first"]
    first.stop()
    await running
