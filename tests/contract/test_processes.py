"""What every ``Processes`` promises, on this machine's and on the simulator's."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from netctl.model.errors import EnvironmentLackError
from netctl.model.io import RealProcesses
from netctl.model.ports import Processes, ProcessId, ProcessSpec
from netctl.sim.loop import SimLoop
from netctl.sim.processes import FakeProcesses, Program


def find_program(spec: ProcessSpec) -> Program | None:
    programs: dict[str, Callable[[], Awaitable[None]]] = {
        "sleep": lambda: asyncio.sleep(3600),
        "true": lambda: asyncio.sleep(0),
    }
    program = programs.get(spec.argv[0])
    if program is None:
        return None

    async def run() -> None:
        await program()

    return run


@dataclass
class ProcessesHarness:
    loop: asyncio.AbstractEventLoop
    processes: Processes
    log: str

    def spec(self, *argv: str) -> ProcessSpec:
        return ProcessSpec("it", argv, self.log)

    def run(self, scenario: Awaitable[None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(20):
                await scenario

        self.loop.run_until_complete(bounded())

    async def ended(self, process: ProcessId) -> None:
        gone = asyncio.Event()
        self.processes.on_exit(process, gone.set)
        await gone.wait()


@pytest.fixture(params=["real", "fake"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ProcessesHarness]:
    loop: asyncio.AbstractEventLoop
    if request.param == "real":
        loop = asyncio.new_event_loop()
        processes: Processes = RealProcesses()
    else:
        loop = SimLoop()
        processes = FakeProcesses(loop, find_program)
    yield ProcessesHarness(loop, processes, str(tmp_path / "log"))
    loop.close()


def test_a_killed_process_is_not_alive_and_its_watchers_are_told(harness: ProcessesHarness) -> None:
    async def scenario() -> None:
        process = harness.processes.start(harness.spec("sleep", "3600"))
        assert harness.processes.alive(process)
        assert harness.processes.signal(process, signal.SIGKILL)
        await harness.ended(process)
        assert not harness.processes.alive(process)
        assert not harness.processes.signal(process, signal.SIGKILL)

    harness.run(scenario())


def test_a_process_that_ends_by_itself_tells_its_watchers(harness: ProcessesHarness) -> None:
    async def scenario() -> None:
        process = harness.processes.start(harness.spec("true"))
        await harness.ended(process)
        assert not harness.processes.alive(process)

    harness.run(scenario())


def test_watching_a_process_that_is_gone_calls_back(harness: ProcessesHarness) -> None:
    async def scenario() -> None:
        process = harness.processes.start(harness.spec("true"))
        await harness.ended(process)
        await harness.ended(process)

    harness.run(scenario())


def test_a_stopped_process_is_alive_and_can_be_killed(harness: ProcessesHarness) -> None:
    async def scenario() -> None:
        process = harness.processes.start(harness.spec("sleep", "3600"))
        assert harness.processes.signal(process, signal.SIGSTOP)
        assert harness.processes.alive(process)
        assert harness.processes.signal(process, signal.SIGKILL)
        await harness.ended(process)

    harness.run(scenario())


def test_sigterm_ends_a_process(harness: ProcessesHarness) -> None:
    async def scenario() -> None:
        process = harness.processes.start(harness.spec("sleep", "3600"))
        assert harness.processes.signal(process, signal.SIGTERM)
        await harness.ended(process)
        assert not harness.processes.alive(process)

    harness.run(scenario())


def test_a_process_of_the_same_pid_that_started_at_another_time_is_never_meant(harness: ProcessesHarness) -> None:
    async def scenario() -> None:
        process = harness.processes.start(harness.spec("sleep", "3600"))
        other = ProcessId(process.pid, process.started + 1)
        assert not harness.processes.alive(other)
        assert not harness.processes.signal(other, signal.SIGKILL)
        assert harness.processes.alive(process)
        assert harness.processes.signal(process, signal.SIGKILL)
        await harness.ended(process)

    harness.run(scenario())


def test_a_missing_program_is_named(harness: ProcessesHarness) -> None:
    async def scenario() -> None:
        with pytest.raises(EnvironmentLackError, match="no-such-program"):
            harness.processes.start(harness.spec("no-such-program"))

    harness.run(scenario())
