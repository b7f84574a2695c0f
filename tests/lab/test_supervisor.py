"""When the lab's init starts what."""

from __future__ import annotations

from netctl.lab.plan import ProcessPlan
from netctl.lab.supervisor import BACK_OFF_S, STEADY_S, WAIT_AT_MOST_S, Supervisor


def program(name: str, waits_for: str | None = None) -> ProcessPlan:
    return ProcessPlan("n1", name, "role", (name,), "/log", waits_for)


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
