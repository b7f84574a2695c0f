"""What every ``Clock`` promises: this machine's, the one that tests move, and the simulator's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from netctl.model.clock import MS, SECOND, Clock, FakeClock
from netctl.model.io import SystemClock
from netctl.sim.loop import SimClock, SimLoop

Scenario = Callable[[Clock], None]


@dataclass
class ClockHarness:
    """``begin`` runs where timers may be set; then time passes until a timer set last, 200 ms later, has fired."""

    clock: Clock
    loop: asyncio.AbstractEventLoop | None

    def run(self, begin: Scenario) -> None:
        if self.loop is not None:
            self.loop.run_until_complete(self._on_loop(begin))
            return
        assert isinstance(self.clock, FakeClock)
        begin(self.clock)
        self.clock.advance(200 * MS)

    async def _on_loop(self, begin: Scenario) -> None:
        over = asyncio.Event()
        begin(self.clock)
        self.clock.call_at(self.clock.monotonic_ns() + 200 * MS, over.set)
        async with asyncio.timeout(20):
            await over.wait()


@pytest.fixture(params=["real", "fake", "simulated"])
def harness(request: pytest.FixtureRequest) -> Iterator[ClockHarness]:
    if request.param == "fake":
        yield ClockHarness(FakeClock(), None)
        return
    loop = SimLoop() if request.param == "simulated" else asyncio.new_event_loop()
    yield ClockHarness(SimClock(loop) if isinstance(loop, SimLoop) else SystemClock(), loop)
    loop.close()


def test_a_timer_fires_once_and_not_before_its_deadline(harness: ClockHarness) -> None:
    fired: list[int] = []

    def begin(clock: Clock) -> None:
        deadline = clock.monotonic_ns() + 20 * MS
        clock.call_at(deadline, lambda: fired.append(clock.monotonic_ns() - deadline))

    harness.run(begin)
    (late,) = fired
    assert late >= 0


def test_timers_fire_in_the_order_of_their_deadlines(harness: ClockHarness) -> None:
    fired: list[int] = []

    def begin(clock: Clock) -> None:
        start = clock.monotonic_ns()
        for place in (3, 1, 2):
            clock.call_at(start + place * 20 * MS, lambda place=place: fired.append(place))  # type: ignore[misc]

    harness.run(begin)
    assert fired == [1, 2, 3]


def test_a_deadline_in_the_past_is_called_at_once_but_not_inside_the_call(harness: ClockHarness) -> None:
    fired: list[str] = []

    def begin(clock: Clock) -> None:
        clock.call_at(clock.monotonic_ns() - SECOND, lambda: fired.append("past"))
        clock.call_at(clock.monotonic_ns() + 10 * MS, lambda: fired.append("later"))
        assert fired == []

    harness.run(begin)
    assert fired == ["past", "later"]


def test_a_cancelled_timer_never_fires_and_cancelling_again_is_harmless(harness: ClockHarness) -> None:
    fired: list[str] = []

    def begin(clock: Clock) -> None:
        start = clock.monotonic_ns()
        timer = clock.call_at(start + 20 * MS, lambda: fired.append("never"))
        done = clock.call_at(start + 1 * MS, lambda: fired.append("done"))
        clock.call_at(start + 10 * MS, timer.cancel)
        clock.call_at(start + 30 * MS, done.cancel)
        clock.call_at(start + 40 * MS, timer.cancel)

    harness.run(begin)
    assert fired == ["done"]


def test_a_timer_may_set_the_next_one(harness: ClockHarness) -> None:
    fired: list[int] = []

    def begin(clock: Clock) -> None:
        def tick() -> None:
            fired.append(len(fired))
            if len(fired) < 3:
                clock.call_at(clock.monotonic_ns() + 5 * MS, tick)

        clock.call_at(clock.monotonic_ns() + 5 * MS, tick)

    harness.run(begin)
    assert fired == [0, 1, 2]


def test_both_kinds_of_time_go_forward_together(harness: ClockHarness) -> None:
    clock = harness.clock
    monotonic_ns, wall = clock.monotonic_ns(), clock.wall()
    harness.run(lambda _: None)
    passed_s = (clock.monotonic_ns() - monotonic_ns) / SECOND
    assert passed_s >= 0.2
    assert clock.wall() - wall == pytest.approx(passed_s, abs=0.1)
