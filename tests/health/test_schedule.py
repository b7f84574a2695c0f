"""When targets are checked, and what counts as a failure."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from netctl.health.schedule import TICK_NS, Run, Schedule
from netctl.ipc.messages import CheckTarget
from netctl.model.clock import MS, SECOND

START = 1000 * SECOND


def target(number: int = 1, rise: int = 2, fall: int = 2) -> CheckTarget:
    return CheckTarget("orders", f"vm{number}", tcp=f"10.1.0.{number}:80", rise=rise, fall=fall)


class Player:
    """Runs a schedule on virtual time; ``outcomes`` says of each run whether it passes and after how many ms."""

    def __init__(self, *targets: CheckTarget, most: int = 1000) -> None:
        self.now = START
        self.schedule = Schedule(self.now)
        self.most = most
        self.begun: list[tuple[float, CheckTarget]] = []
        """(ms since the start, target)."""
        self.changes: list[tuple[float, bool | None]] = []
        self.passes = True
        self.takes_ms = 1
        self.ticking = True
        self._ends: list[tuple[int, Run, bool]] = []
        self._next_tick = self.now + TICK_NS
        for one in targets:
            self.schedule.add(one, self.now)

    def ms(self) -> float:
        return (self.now - START) / MS

    def until(self, ms: float) -> None:
        """Step by milliseconds up to this time."""
        while self.ms() < ms:
            self.now += MS
            if self.ticking and self.now >= self._next_tick:
                self.schedule.tick(self.now)
                self._next_tick = self.now + TICK_NS
            self._end_runs()
            for run in self.schedule.begin(self.now, self.most):
                self.begun.append((self.ms(), run.target))
                self._ends.append((self.now + self.takes_ms * MS, run, self.passes))

    def stall(self, ms: int) -> None:
        """This process is stopped: no tick, no outcome is taken, until it goes on."""
        self.now += ms * MS

    def _end_runs(self) -> None:
        due = [end for end in self._ends if end[0] <= self.now]
        self._ends = [end for end in self._ends if end[0] > self.now]
        for _, run, passed in due:
            if self.schedule.ended(run, passed=passed, detail="", now=self.now):
                verdict = self.schedule.verdict(run.target)
                self.changes.append((self.ms(), verdict.passing if verdict else None))


def test_a_settled_target_is_checked_once_an_interval() -> None:
    player = Player(target())
    player.until(1000)
    del player.begun[:]
    player.until(4000)
    times = [ms for ms, _ in player.begun]
    assert len(times) == 10
    assert all(later - earlier == 300 for earlier, later in pairwise(times))


def test_thousands_of_targets_are_spread_evenly_over_the_interval() -> None:
    player = Player(*(target(number) for number in range(3000)))
    player.until(2000)
    del player.begun[:]
    player.until(2300)
    per_slot = Counter(int(ms - 2001) // 30 for ms, _ in player.begun)
    assert len(player.begun) == 3000
    assert len(per_slot) == 10
    assert max(per_slot.values()) < 1.4 * min(per_slot.values())


def test_the_phase_of_a_target_depends_on_its_name_alone() -> None:
    one, other = Player(target(7)), Player(target(3), target(7), target(9))
    one.until(300)
    other.until(300)
    assert [ms for ms, who in other.begun if who == target(7)] == [ms for ms, _ in one.begun]


def test_a_first_failure_is_followed_up_after_a_third_of_the_interval() -> None:
    player = Player(target())
    player.until(1000)
    player.passes = False
    player.until(2000)
    first = next(ms for ms, _ in player.begun if ms > 1000)
    assert [ms for ms, _ in player.begun if ms > first][:2] == [first + 100, first + 400]
    assert player.changes[-1] == (first + 101, False)


def test_a_dead_server_is_known_within_500_ms_and_a_hung_one_within_810() -> None:
    for takes_ms, bound_ms in ((1, 500), (250, 810)):
        worst = 0.0
        for phase_ms in range(0, 300, 7):
            player = Player(target())
            player.until(1000 + phase_ms)
            player.passes, player.takes_ms = False, takes_ms
            player.until(3000)
            worst = max(worst, player.changes[-1][0] - 1000 - phase_ms)
        assert worst <= bound_ms


def test_one_failure_between_passes_is_no_verdict() -> None:
    player = Player(target())
    player.until(1000)
    player.passes = False
    count = len(player.begun)
    while len(player.begun) == count:
        player.until(player.ms() + 1)
    player.passes = True
    player.until(3000)
    assert [passing for _, passing in player.changes] == [True]


def test_no_more_runs_than_allowed_are_under_way_and_those_that_wait_lose_no_time() -> None:
    player = Player(*(target(number) for number in range(50)), most=10)
    player.takes_ms = 40
    player.until(3000)
    assert player.schedule.running <= 10
    assert {who for _, who in player.begun} == {target(number) for number in range(50)}
    assert player.schedule.late_total == 0
    assert all(passing for _, passing in player.changes)


def test_a_stall_of_this_process_makes_no_target_fail() -> None:
    player = Player(*(target(number) for number in range(20)))
    player.takes_ms = 249
    player.until(1000)
    player.passes, player.takes_ms = False, 250
    player.until(1040)
    player.stall(2000)
    player.passes, player.takes_ms = True, 1
    player.until(5000)
    assert player.schedule.late_total > 0
    assert [passing for _, passing in player.changes if passing is False] == []


def test_many_short_stalls_within_one_run_count_as_one_long_stall() -> None:
    player = Player(target())
    player.until(1000)
    player.passes, player.takes_ms = False, 250
    count = len(player.begun)
    while len(player.begun) == count:
        player.until(player.ms() + 1)
    for _ in range(4):
        player.stall(70)
        player.until(player.ms() + 1)
    assert player.schedule.late_total == 1


def test_a_refusal_counts_also_after_a_stall_when_it_came_in_time() -> None:
    player = Player(target())
    player.until(1000)
    player.stall(2000)
    player.passes = False
    player.until(4000)
    assert player.changes[-1][1] is False


def test_after_a_stall_targets_are_spread_again() -> None:
    player = Player(*(target(number) for number in range(300)))
    player.until(1000)
    player.stall(5000)
    player.until(7000)
    del player.begun[:]
    player.until(7300)
    per_slot = Counter(int(ms - 7001) // 30 for ms, _ in player.begun)
    assert len(player.begun) == 300
    assert max(per_slot.values()) < 60


def test_a_run_that_could_not_take_place_changes_nothing() -> None:
    schedule = Schedule(START)
    schedule.add(target(fall=1), START)
    for second in range(1, 5):
        now = START + second * SECOND
        schedule.tick(now)
        (run,) = schedule.begin(now, 10)
        assert not schedule.ended(run, passed=None, detail="Too many open files", now=now)
    verdict = schedule.verdict(target(fall=1))
    assert verdict is not None
    assert verdict.passing is None
    assert verdict.detail == "Too many open files"
    assert schedule.not_run_total == 4


def test_the_outcome_for_a_target_that_was_removed_or_added_again_meanwhile_is_passed_over() -> None:
    schedule = Schedule(START)
    schedule.add(target(rise=1), START)
    (run,) = schedule.begin(START + SECOND, 10)
    schedule.remove(target(rise=1))
    assert schedule.running == 0
    schedule.add(target(rise=1), START + SECOND)
    assert not schedule.ended(run, passed=True, detail="", now=START + SECOND)
    verdict = schedule.verdict(target(rise=1))
    assert verdict is not None
    assert verdict.passing is None
    assert schedule.running == 0
    assert len(schedule) == 1
