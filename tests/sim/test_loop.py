"""The virtual-time loop: time jumps, order is that of setting, the dead stay silent."""

from __future__ import annotations

import asyncio
import signal
import time

import pytest

from netctl.model.clock import SECOND
from netctl.model.ports import ProcessSpec
from netctl.sim.loop import START_NS, SimClock, SimLoop, SimulationError
from netctl.sim.processes import FakeProcesses, Program


def test_an_hour_of_sleep_takes_no_time() -> None:
    loop = SimLoop()
    began = time.monotonic()
    loop.run_until_complete(asyncio.sleep(3600))
    assert loop.now_ns == START_NS + 3600 * SECOND
    assert time.monotonic() - began < 5


def test_timers_of_one_instant_fire_in_the_order_of_setting() -> None:
    loop = SimLoop()
    fired: list[int] = []
    for number in range(50):
        loop.call_at(1001.0, fired.append, number)
    loop.run_until_complete(asyncio.sleep(2))
    assert fired == list(range(50))


def test_the_clock_fires_exactly_at_its_nanosecond() -> None:
    loop = SimLoop()
    clock = SimClock(loop)
    seen: list[int] = []
    for offset in (1, 7, 999_999_999, 123_456_789):
        clock.call_at(START_NS + offset, lambda: seen.append(clock.monotonic_ns() - START_NS))
    loop.run_until_complete(asyncio.sleep(2))
    assert seen == [1, 7, 123_456_789, 999_999_999]


def test_a_timer_between_two_nanoseconds_is_reached() -> None:
    loop = SimLoop()
    fired: list[float] = []
    for tenths in range(1, 10_000):
        loop.call_at(1000 + tenths * 1e-10, fired.append, tenths)
    loop.run_until_complete(asyncio.sleep(1))
    assert fired == list(range(1, 10_000))


def test_stepping_the_wall_clock_moves_no_timer() -> None:
    loop = SimLoop()
    clock = SimClock(loop)
    before = clock.wall()
    clock.step_wall(30)
    assert clock.wall() == pytest.approx(before + 30)
    assert clock.monotonic_ns() == START_NS


def test_a_deadlock_names_who_waits() -> None:
    loop = SimLoop()

    async def waits_for_nothing() -> None:
        await asyncio.Event().wait()

    with pytest.raises(SimulationError, match=r"deadlock.*waits_for_nothing"):
        loop.run_until_complete(waits_for_nothing())


def test_a_loop_that_never_lets_time_pass_is_an_error() -> None:
    loop = SimLoop()

    async def spins() -> None:
        while loop.time() < 2000:
            await asyncio.ensure_future(asyncio.sleep(0))

    with pytest.raises(SimulationError, match="time stands still"):
        loop.run_until_complete(spins())


def test_a_thread_is_refused() -> None:
    loop = SimLoop()
    with pytest.raises(SimulationError, match="wants a thread"):
        loop.run_until_complete(asyncio.to_thread(print))


def _processes(loop: SimLoop, program: Program) -> FakeProcesses:
    return FakeProcesses(loop, lambda spec: program)


def test_a_killed_process_runs_no_finally_clause_and_its_timers_never_fire() -> None:
    loop = SimLoop()
    seen: list[str] = []

    async def program() -> None:
        asyncio.get_running_loop().call_later(2, seen.append, "timer")
        try:
            await asyncio.sleep(10)
        finally:
            seen.append("finally")

    processes = _processes(loop, program)
    process = processes.start(ProcessSpec("p", ("p",), "log"))
    loop.call_later(1, processes.signal, process, signal.SIGKILL)
    loop.run_until_complete(asyncio.sleep(20))
    assert seen == []
    assert not processes.alive(process)


def test_a_stopped_process_does_nothing_until_it_continues_and_then_is_late() -> None:
    loop = SimLoop()
    ticks: list[float] = []

    async def program() -> None:
        while True:
            await asyncio.sleep(1)
            ticks.append(loop.time() - 1000)

    processes = _processes(loop, program)
    process = processes.start(ProcessSpec("p", ("p",), "log"))
    loop.call_later(2.5, processes.signal, process, signal.SIGSTOP)
    loop.call_later(7.25, processes.signal, process, signal.SIGCONT)
    loop.run_until_complete(asyncio.sleep(9))
    assert ticks == pytest.approx([1, 2, 7.25, 8.25])


def test_what_nobody_caught_is_kept_in_words() -> None:
    loop = SimLoop()

    def breaks() -> None:
        raise RuntimeError("broken on purpose")

    loop.call_soon(breaks)
    loop.run_until_complete(asyncio.sleep(1))
    assert "broken on purpose" in loop.errors[0]
