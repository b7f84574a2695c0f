"""The modelled BGP: what each side believes, and when."""

from __future__ import annotations

import asyncio
import signal

import pytest

from netctl.model.clock import SECOND
from netctl.model.ports import ProcessSpec
from netctl.sim.bgp import BgpHalf, BgpLink, EndOfRib, Update
from netctl.sim.loop import SimLoop
from netctl.sim.network import End, SimLink
from netctl.sim.processes import FakeProcesses

ENDS = End("g", "eth0", "10.9.0.1"), End("p", "eth0", "10.9.0.2")
HOLD_S = 9


class Recorder:
    def __init__(self, loop: SimLoop) -> None:
        self.loop = loop
        self.heard: list[object] = []
        self.ended: list[tuple[float, str]] = []

    def message(self, message: Update | EndOfRib) -> None:
        self.heard.append(message)

    def closed(self, reason: str) -> None:
        self.ended.append((round(self.loop.time() - 1000, 1), reason))


class Rig:
    def __init__(self) -> None:
        self.loop = SimLoop()
        self.link = SimLink(self.loop, 1, "l", ENDS)
        self.place = BgpLink(self.loop, 1, self.link, HOLD_S * SECOND)
        self.near, self.far = Recorder(self.loop), Recorder(self.loop)
        self.place.listen(self.accept)

    def accept(self, half: BgpHalf) -> Recorder:
        return self.far

    async def open(self) -> BgpHalf:
        return await self.place.connect(self.near)

    def cut(self, by: int) -> None:
        for way in self.link.ways:
            way.cuts += by


def test_a_quiet_session_stays_up_by_keepalives() -> None:
    rig = Rig()

    async def scenario() -> None:
        await rig.open()
        await asyncio.sleep(600)

    rig.loop.run_until_complete(scenario())
    assert rig.near.ended == rig.far.ended == []


def test_what_was_sent_during_a_short_cut_arrives_after_it() -> None:
    rig = Rig()

    async def scenario() -> None:
        half = await rig.open()
        rig.cut(1)
        half.send(EndOfRib())
        await asyncio.sleep(3)
        assert rig.far.heard == []
        rig.cut(-1)
        await asyncio.sleep(5)

    rig.loop.run_until_complete(scenario())
    assert rig.far.heard == [EndOfRib()]
    assert rig.far.ended == []


def test_a_long_cut_ends_the_session_at_both_ends_by_their_hold_timers() -> None:
    rig = Rig()

    async def scenario() -> None:
        await rig.open()
        await asyncio.sleep(20)
        rig.cut(1)
        await asyncio.sleep(20)

    rig.loop.run_until_complete(scenario())
    for side in (rig.near, rig.far):
        ((at, reason),) = side.ended
        assert reason == "hold timer expired"
        assert 20 + HOLD_S * 2 / 3 <= at <= 20 + HOLD_S + 0.1


def test_the_kernel_of_a_killed_process_closes_its_session() -> None:
    rig = Rig()
    processes = FakeProcesses(rig.loop, lambda spec: program)

    async def program() -> None:
        await rig.open()
        await asyncio.Event().wait()

    async def scenario() -> None:
        process = processes.start(ProcessSpec("speaker", ("speaker",), ""))
        await asyncio.sleep(5)
        processes.signal(process, signal.SIGKILL)
        await asyncio.sleep(1)

    rig.loop.run_until_complete(scenario())
    assert rig.far.ended == [(5.0, "connection reset: the process ended")]
    assert rig.near.ended == []


def test_a_stopped_process_loses_its_session_to_the_peers_hold_timer() -> None:
    rig = Rig()
    processes = FakeProcesses(rig.loop, lambda spec: program)

    async def program() -> None:
        await rig.open()
        await asyncio.Event().wait()

    async def scenario() -> None:
        process = processes.start(ProcessSpec("speaker", ("speaker",), ""))
        await asyncio.sleep(5)
        processes.signal(process, signal.SIGSTOP)
        await asyncio.sleep(15)
        assert [reason for _, reason in rig.far.ended] == ["hold timer expired"]
        assert rig.near.ended == []
        processes.signal(process, signal.SIGCONT)
        await asyncio.sleep(1)
        assert len(rig.near.ended) == 1

    rig.loop.run_until_complete(scenario())


def test_connecting_over_a_cut_link_or_to_nobody_fails_in_words() -> None:
    rig = Rig()
    empty = BgpLink(rig.loop, 1, rig.link, HOLD_S * SECOND)

    async def scenario() -> None:
        with pytest.raises(ConnectionError, match="refused"):
            await empty.connect(rig.near)
        rig.cut(1)
        with pytest.raises(ConnectionError, match="timed out"):
            await rig.place.connect(rig.near)

    rig.loop.run_until_complete(scenario())
