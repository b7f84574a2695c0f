"""The same shell on virtual time: bounds to the millisecond, and a process that is stopped or killed at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import copy_context

import pytest

from netctl.checker.shell import CheckerShell
from netctl.ipc.io import Connection, serve
from netctl.ipc.messages import CheckTarget, CheckTargets, Hello, Verdict, Verdicts
from netctl.model.controller import Checker
from netctl.model.gateway import CheckSettings
from netctl.sim.loop import OWNER, Owner, SimClock, SimLoop
from netctl.sim.streams import FakeStreams

CONTROLLER = "10.1.9.10:7946"


class World:
    """One checker, one controller, and instances that answer, refuse or say nothing."""

    def __init__(self, count: int = 1) -> None:
        self.loop = SimLoop()
        self.clock = SimClock(self.loop)
        self.network = FakeStreams(self.loop)
        self.state = dict.fromkeys((f"10.1.0.{number}:80" for number in range(count)), "answers")
        self.heard: list[tuple[float, Verdict]] = []
        """(ms of virtual time, verdict)."""
        self.checker = Owner("checker")

    async def probe(self, settings: CheckSettings) -> tuple[bool | None, str]:
        """The ``Checks`` port."""
        match self.state[settings.tcp or ""]:
            case "answers":
                await asyncio.sleep(0.001)
                return True, "connected"
            case "refuses":
                return False, "refused"
        await asyncio.sleep(settings.timeout_ms / 1000)
        return False, "no answer"

    def ms(self) -> float:
        return self.loop.now_ns / 1e6

    async def listen(self) -> None:
        async def on_client(connection: Connection) -> None:
            wanted = (CheckTarget("orders", place, tcp=place) for place in self.state)
            await connection.send(CheckTargets("a", tuple(wanted), full=True))
            while (message := await connection.receive()) is not None:
                if isinstance(message, Verdicts):
                    self.heard += [(self.ms(), verdict) for verdict in message.verdicts]

        await serve(self.network, CONTROLLER, Hello("controller", "c1", 1), on_client)

    def start(self) -> None:
        """A checker as a process of its own."""
        self.checker = Owner("checker")
        context = copy_context()
        context.run(OWNER.set, self.checker)

        async def run() -> None:
            settings = Checker("k", "a", "/run/k", (CONTROLLER,))
            own = FakeStreams(self.loop)
            await CheckerShell(settings, self.clock, own, self.network, self, pid=1, log=ignore).run()

        context.run(self.loop.create_task, run())

    def run(self, ms: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(ms / 1000))
        assert self.loop.errors == []


def ignore(level: str, event: str, **fields: object) -> None:
    assert level != "error", (event, fields)


@contextmanager
def new_world(count: int = 1, *, listening: bool = True) -> Iterator[World]:
    world = World(count)
    if listening:
        world.loop.run_until_complete(world.listen())
    yield world
    world.loop.discard()


@pytest.fixture
def world() -> Iterator[World]:
    with new_world() as world:
        yield world


def test_the_worst_case_of_a_refusal_is_400_ms_and_of_silence_800_whatever_the_phase() -> None:
    for state, bound_ms in (("refuses", 400), ("hangs", 800)):
        worst = 0.0
        for phase_ms in range(0, 300, 11):
            with new_world() as world:
                world.start()
                world.run(2000 + phase_ms)
                assert [verdict.passing for _, verdict in world.heard] == [True]
                began, world.state = world.ms(), dict.fromkeys(world.state, state)
                world.run(2000)
                worst = max(worst, world.heard[1][0] - began)
                assert [verdict.passing for _, verdict in world.heard] == [True, False]
        assert bound_ms - 60 < worst <= bound_ms + 1


def test_a_process_that_is_stopped_in_the_midst_of_silence_says_nothing_false(world: World) -> None:
    world.start()
    world.run(2000)
    for stopped_ms in (120, 300, 1000, 5000):
        world.state = dict.fromkeys(world.state, "hangs")
        world.run(200)  # a run is under way
        world.checker.stopped = True
        world.run(stopped_ms)
        world.state = dict.fromkeys(world.state, "answers")
        world.loop.resume(world.checker)
        world.run(3000)
    assert [verdict.passing for _, verdict in world.heard] == [True]


def test_a_checker_that_was_killed_tells_everything_again_after_its_start(world: World) -> None:
    world.start()
    world.run(2000)
    world.checker.end()
    world.run(1000)
    world.state = dict.fromkeys(world.state, "refuses")
    world.start()
    world.run(2000)
    assert [verdict.passing for _, verdict in world.heard] == [True, False]


def test_the_same_history_gives_the_same_verdicts_at_the_same_moments() -> None:
    def history() -> list[tuple[float, Verdict]]:
        with new_world(50) as world:
            world.start()
            world.run(3000)
            world.state |= dict.fromkeys(list(world.state)[::3], "refuses")
            world.run(3000)
            return world.heard

    first = history()
    assert len(first) == 50 + 17
    assert history() == first


def test_a_controller_is_found_within_1_1_s_of_its_return() -> None:
    with new_world(listening=False) as world:
        world.start()
        world.run(30_000)
        back = world.ms()
        world.loop.run_until_complete(world.listen())
        world.run(3000)
    assert world.heard[0][0] - back < 1100 + 700  # and two passes of a target that it has never seen
