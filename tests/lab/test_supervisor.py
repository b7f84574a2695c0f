"""When the lab's init starts what."""

from __future__ import annotations

from netctl.lab.plan import Half, ProcessPlan
from netctl.lab.supervisor import BACK_OFF_S, HELD_LOOK_S, STEADY_S, WAIT_AT_MOST_S, Supervisor


def program(name: str, *waits_for: str, half: Half = "routing", once: bool = False) -> ProcessPlan:
    return ProcessPlan("n1", name, "role", (name,), "/log", waits_for, half, once)


def test_everything_is_due_at_once() -> None:
    plans = (program("one"), program("two"))
    assert Supervisor(plans, lambda _: False, 0.0).due(0.0) == list(plans)


def test_a_program_that_keeps_ending_is_started_ever_more_rarely() -> None:
    plan = program("one")
    supervisor = Supervisor((plan,), lambda _: False, 0.0)
    now = 0.0
    for pause in (*BACK_OFF_S, BACK_OFF_S[-1]):
        supervisor.started(plan, 7, now)
        assert supervisor.exited(7, 1, now) is plan
        assert supervisor.due(now + pause - 0.01) == []
        now += pause + 0.001
        assert supervisor.due(now) == [plan]
    assert supervisor.records()[0].restarts == len(BACK_OFF_S)
    assert supervisor.records()[0].last_exit == 1


def test_a_program_that_ran_for_long_is_started_again_soon() -> None:
    plan = program("one")
    supervisor = Supervisor((plan,), lambda _: False, 0.0)
    for _ in range(3):
        supervisor.started(plan, 7, 0.0)
        supervisor.exited(7, 1, 0.0)
    supervisor.started(plan, 7, 100.0)
    ended = 100.0 + STEADY_S
    supervisor.exited(7, 0, ended)
    assert supervisor.due(ended + BACK_OFF_S[0] + 0.001) == [plan]


def test_a_program_waits_for_its_file_but_not_for_ever() -> None:
    there: set[str] = set()
    plan = program("bgpd", "/run/zserv.api")
    supervisor = Supervisor((plan,), there.__contains__, 0.0)
    assert supervisor.due(1.0) == []
    assert supervisor.records()[0].state == "waiting"
    assert supervisor.due(WAIT_AT_MOST_S) == [plan]
    there.add("/run/zserv.api")
    assert supervisor.due(1.0) == [plan]


def test_a_program_of_the_names_half_waits_for_all_its_files_as_long_as_it_takes_and_says_for_which() -> None:
    there: set[str] = set()
    plan = program("c1", "/a", "/b", half="names")
    supervisor = Supervisor((plan,), there.__contains__, 0.0)
    assert supervisor.due(1000.0) == []
    assert (supervisor.records()[0].state, supervisor.records()[0].waits_for) == ("waiting", "/a")
    there.add("/a")
    assert supervisor.due(1000.0) == []
    assert supervisor.records()[0].waits_for == "/b"
    assert supervisor.next_look(1000.0) == HELD_LOOK_S
    there.add("/b")
    assert supervisor.due(1000.0) == [plan]


def test_a_job_that_ended_well_is_done_and_one_that_failed_is_tried_again() -> None:
    plan = program("setup", half="names", once=True)
    supervisor = Supervisor((plan,), lambda _: True, 0.0)
    supervisor.started(plan, 7, 0.0)
    supervisor.exited(7, 1, 1.0)
    assert supervisor.due(1.0 + BACK_OFF_S[0] + 0.001) == [plan]
    supervisor.started(plan, 8, 2.0)
    supervisor.exited(8, 0, 3.0)
    assert supervisor.due(1000.0) == []
    assert supervisor.next_look(1000.0) is None
    assert supervisor.records()[0].state == "done"


def test_a_program_that_is_held_down_stays_down_and_starts_at_once_when_it_no_longer_is() -> None:
    held = False
    plan = program("page")
    supervisor = Supervisor((plan,), lambda _: True, 0.0, lambda _: held)
    for ended in range(5):  # it has come to the longest pause
        supervisor.started(plan, 7, ended)
        supervisor.exited(7, 1, ended)
    supervisor.started(plan, 7, 5.0)
    held = True
    assert supervisor.records()[0].state == "running"
    supervisor.exited(7, -9, 6.0)
    assert supervisor.due(100.0) == []
    assert supervisor.records()[0].state == "held"
    assert supervisor.next_look(100.0) == HELD_LOOK_S
    held = False
    assert supervisor.due(100.01) == [plan]


def test_programs_that_are_added_start_and_those_that_run_are_left_alone() -> None:
    one, two = program("one"), program("two")
    supervisor = Supervisor((one,), lambda _: True, 0.0)
    supervisor.started(one, 7, 0.0)
    supervisor.add((program("one"), two), 1.0)
    assert supervisor.due(1.0) == [two]
    assert [(r.name, r.pid) for r in supervisor.records()] == [("one", 7), ("two", 0)]


def test_an_orphan_that_ends_concerns_nobody() -> None:
    plan = program("one")
    supervisor = Supervisor((plan,), lambda _: False, 0.0)
    supervisor.started(plan, 7, 0.0)
    assert supervisor.exited(8, 0, 1.0) is None
    assert supervisor.due(1.0) == []
    assert supervisor.next_look(1.0) is None


def test_a_program_that_cannot_be_started_is_tried_again() -> None:
    plan = program("one")
    supervisor = Supervisor((plan,), lambda _: False, 0.0)
    supervisor.failed_to_start(plan, 0.0)
    assert supervisor.due(0.0) == []
    assert supervisor.due(BACK_OFF_S[0]) == [plan]
