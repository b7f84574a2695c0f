"""The Lease: who gets it, and how long it is good for."""

from __future__ import annotations

import pytest

from netctl.kube.fake import FakeKube
from netctl.kube.lease import LeaseMachine, Tenure
from netctl.model.clock import MS, SECOND
from netctl.model.kube import LEASES, BusyError, ConflictError, UnknownOutcomeError
from tests.kube.desk import DURATION_NS, Desk, answered, tell


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_the_first_one_creates_it_and_leads_at_once(desk: Desk) -> None:
    one = desk.machine("c1")
    assert not desk.writes(one)
    desk.step(one)
    assert desk.writes(one)
    assert (one.leading, one.holder, one.epoch) == (True, "c1", 1)
    spec = desk.lease()["spec"]
    assert spec["leaseDurationSeconds"] == 3
    assert spec["renewTime"] == spec["acquireTime"] == "2027-01-15T08:00:00.000000Z"


def test_it_is_renewed_each_third_of_its_duration_and_lasts_as_long_as_that_goes_on(desk: Desk) -> None:
    one = desk.machine("c1")
    desk.step(one)
    first = desk.kube.version
    desk.run(30 * SECOND, one)
    assert 29 <= desk.kube.version - first <= 31
    assert desk.writes(one)
    assert desk.lease()["spec"]["acquireTime"] < desk.lease()["spec"]["renewTime"]
    assert desk.lease()["spec"]["leaseTransitions"] == 1


def test_a_second_one_waits_and_takes_it_within_five_seconds_of_the_first_one_s_death(desk: Desk) -> None:
    one, two = desk.machine("c1"), desk.machine("c2")
    desk.step(one)
    for offset_ms in range(0, 1000, 90):
        desk.run(10 * SECOND + offset_ms * MS, one, two)
        assert desk.writes(one)
        assert (two.tenure, two.holder) == (Tenure.OTHERS, "c1")
    died_ns = desk.now_ns()
    while not desk.writes(two):
        desk.run(10 * MS, two)
    assert desk.now_ns() - died_ns < 4 * SECOND
    assert two.epoch == 2


def test_the_right_to_write_ends_before_the_lease_when_renewals_do_not_come_through(desk: Desk) -> None:
    one = desk.machine("c1")
    desk.step(one)
    start_ns = desk.now_ns()
    while desk.writes(one):
        desk.clock.advance(10 * MS)
        action = one.due(desk.now_ns(), desk.clock.wall())
        if action is not None:
            one.sent(action, desk.now_ns())
            one.refused(BusyError("no", 500), desk.now_ns())
    assert 2400 * MS < desk.now_ns() - start_ns <= 2500 * MS
    assert not one.leading
    desk.run(600 * MS, one)
    assert desk.writes(one)
    assert one.epoch == 1, "nobody had it since"


def test_the_right_to_write_counts_from_when_the_renewal_was_sent(desk: Desk) -> None:
    one = desk.machine("c1")
    desk.step(one)
    desk.run(SECOND, one)
    action = one.due(desk.now_ns(), desk.clock.wall())
    assert action is not None
    sent_ns = desk.now_ns()
    one.sent(action, sent_ns)
    answer = answered(desk.kube, one, action)
    desk.clock.advance(900 * MS)
    tell(one, action, answer, desk.now_ns())
    assert one.deadline_ns == sent_ns + 2500 * MS


def test_an_answer_that_comes_after_the_deadline_gives_no_right(desk: Desk) -> None:
    one = desk.machine("c1")
    one.due(desk.now_ns(), 0.0)
    one.observe(None, desk.now_ns())
    action = one.due(desk.now_ns(), desk.clock.wall())
    assert action is not None
    one.sent(action, desk.now_ns())
    answer = answered(desk.kube, one, action)
    desk.clock.advance(4 * SECOND)
    tell(one, action, answer, desk.now_ns())
    assert not desk.writes(one)


def test_after_a_gap_of_its_own_it_renews_before_it_writes(desk: Desk) -> None:
    one = desk.machine("c1")
    desk.step(one)
    desk.run(500 * MS, one)
    desk.clock.advance(1100 * MS)  # stopped, or suspended
    assert not desk.writes(one)
    desk.step(one)
    assert desk.writes(one)


def test_a_restart_of_its_own_takes_it_back_at_once_and_keeps_the_epoch(desk: Desk) -> None:
    one = desk.machine("c1")
    desk.step(one)
    desk.run(700 * MS, one)
    again = desk.machine("c1")
    desk.step(again)
    assert desk.writes(again)
    assert again.epoch == 1


def test_after_a_release_another_one_leads_at_once_with_a_higher_epoch(desk: Desk) -> None:
    one, two = desk.machine("c1"), desk.machine("c2")
    desk.step(one, two)
    action = one.release(desk.now_ns(), desk.clock.wall())
    assert action is not None
    desk.do(one, action)
    assert not desk.writes(one)
    assert one.next_timer() is None
    assert one.due(desk.now_ns(), 0.0) is None
    desk.run(600 * MS, two)
    assert desk.writes(two)
    assert two.epoch == 2
    assert desk.lease()["spec"]["holderIdentity"] == "c2"


def test_one_that_does_not_lead_has_nothing_to_release(desk: Desk) -> None:
    one, two = desk.machine("c1"), desk.machine("c2")
    desk.step(one, two)
    assert two.release(desk.now_ns(), 0.0) is None


def test_a_renewal_whose_answer_was_lost_is_read_again_and_costs_no_time(desk: Desk) -> None:
    one = desk.machine("c1")
    desk.step(one)
    desk.run(SECOND, one)
    action = one.due(desk.now_ns(), desk.clock.wall())
    assert action is not None
    one.sent(action, desk.now_ns())
    answered(desk.kube, one, action)
    one.refused(UnknownOutcomeError("no answer"), desk.now_ns())
    assert one.tenure is Tenure.DOUBTED
    assert desk.writes(one), "until the deadline"
    desk.step(one)
    assert (one.tenure, one.epoch, desk.writes(one)) == (Tenure.OURS, 1, True)


def test_a_takeover_whose_answer_was_lost_leads_without_waiting(desk: Desk) -> None:
    one, two = desk.machine("c1"), desk.machine("c2")
    desk.step(one, two)
    desk.run(2900 * MS, two)
    while (action := two.due(desk.now_ns(), desk.clock.wall())) is None or action.verb == "read":
        if action is not None:
            desk.do(two, action)
        desk.clock.advance(10 * MS)
    two.sent(action, desk.now_ns())
    answered(desk.kube, two, action)
    two.refused(UnknownOutcomeError("no answer"), desk.now_ns())
    desk.step(two)
    assert desk.writes(two)
    assert two.epoch == 2


def test_a_renewal_that_was_applied_late_is_no_stranger_s(desk: Desk) -> None:
    one = desk.machine("c1")
    desk.step(one)
    desk.run(SECOND, one)
    late = one.due(desk.now_ns(), desk.clock.wall())
    assert late is not None
    one.sent(late, desk.now_ns())
    one.refused(UnknownOutcomeError("no answer"), desk.now_ns())
    read = one.due(desk.now_ns(), desk.clock.wall())
    assert read is not None
    desk.do(one, read)
    desk.clock.advance(MS)
    second = one.due(desk.now_ns(), desk.clock.wall())
    assert second is not None
    answered(desk.kube, one, late)  # now it comes through
    one.sent(second, desk.now_ns())
    with pytest.raises(ConflictError) as caught:
        answered(desk.kube, one, second)
    one.refused(caught.value, desk.now_ns())
    desk.step(one)
    assert desk.writes(one)


def test_a_lease_that_somebody_deleted_is_made_anew_and_bars_everybody_for_a_whole_duration(desk: Desk) -> None:
    one, two = desk.machine("c1"), desk.machine("c2")
    desk.step(one, two)
    for _ in range(3):
        desk.run(SECOND, one, two)
    desk.kube.delete(LEASES, "vm", "netctl-controller", uid="", resource_version="")
    deleted_ns = desk.now_ns()
    while not (desk.writes(two) or (desk.writes(one) and one.epoch > 1)):
        desk.run(10 * MS, two, one)
    assert desk.now_ns() - deleted_ns >= DURATION_NS
    assert not (desk.writes(one) and desk.writes(two))
    assert max(one.epoch, two.epoch) == 2, "not lower than before"


def test_a_lease_that_came_back_from_a_backup_as_its_own_bars_it_for_a_whole_duration(desk: Desk) -> None:
    one, two = desk.machine("c1"), desk.machine("c2")
    desk.step(one, two)
    backup = desk.kube.snapshot()
    desk.run(5 * SECOND, two)
    assert desk.writes(two)
    desk.run(SECOND, one, two)
    desk.kube.restore(backup)
    restored_ns = desk.now_ns()
    while not desk.writes(one) or one.epoch == 1:
        desk.run(10 * MS, one)
        assert desk.now_ns() - restored_ns < 6 * SECOND
    assert desk.now_ns() - restored_ns >= DURATION_NS
    assert one.epoch == 3, "above the one that the backup does not know of"


def test_another_program_of_the_same_identity_is_told_and_neither_writes_on(desk: Desk) -> None:
    one, twin = desk.machine("c1"), desk.machine("c1")
    desk.step(one)
    desk.run(300 * MS, one)
    desk.step(twin)
    desk.run(2 * SECOND, one, twin)
    for _ in range(80):
        desk.run(100 * MS, one, twin)
        assert "second one of that identity" in one.problem + twin.problem
        assert not desk.writes(one)
        assert not desk.writes(twin)


def test_the_lease_of_another_is_good_for_as_long_as_its_holder_says(desk: Desk) -> None:
    one, two = LeaseMachine("c1", 10 * SECOND), desk.machine("c2")
    desk.step(one, two)
    desk.run(9 * SECOND, two)
    assert not desk.writes(two)
    desk.run(2 * SECOND, two)
    assert desk.writes(two)


def test_the_epoch_is_above_what_objects_have_told(desk: Desk) -> None:
    one = desk.machine("c1")
    one.epoch_floor = 41
    desk.step(one)
    assert one.epoch == 42


def test_the_wall_clock_decides_nothing(desk: Desk) -> None:
    one, two = desk.machine("c1"), desk.machine("c2")
    desk.step(one, two)
    desk.clock.step_wall(-86_400)
    desk.run(5 * SECOND, one, two)
    desk.clock.step_wall(2 * 86_400)
    desk.run(5 * SECOND, one, two)
    assert desk.writes(one)
    assert one.epoch == 1


@pytest.mark.parametrize("spec", [{}, {"holderIdentity": None, "leaseTransitions": None}, None])
def test_a_lease_made_by_hand_without_a_holder_is_taken(desk: Desk, spec: object) -> None:
    desk.kube.create(LEASES, "vm", {"metadata": {"name": "netctl-controller"}, "spec": spec})
    one = desk.machine("c1")
    desk.step(one)
    assert desk.writes(one)


def test_a_missing_namespace_is_told_and_tried_again_without_hurry(desk: Desk) -> None:
    one = LeaseMachine("c1", DURATION_NS)
    desk.kube = FakeKube()
    desk.step(one)
    assert 'namespaces "vm" not found' in one.problem
    timer = one.next_timer()
    assert timer is not None
    assert timer - desk.now_ns() == 500 * MS
    desk.kube.add_namespace("vm")
    desk.run(SECOND, one)
    assert desk.writes(one)
    assert one.problem == ""


def test_a_lease_of_ours_whose_epoch_is_below_what_objects_carry_begins_a_new_one() -> None:
    machine = LeaseMachine("c1", 3 * SECOND)
    metadata = {"name": "netctl-controller", "uid": "u", "resourceVersion": "5"}
    spec = {"holderIdentity": "c1", "leaseDurationSeconds": 3, "leaseTransitions": 1}
    machine.observe({"metadata": metadata, "spec": spec}, 0)  # a backup's
    machine.epoch_floor = 4
    action = machine.due(0, 1_800_000_000.0)
    assert action is not None
    assert action.object is not None
    assert action.object["spec"]["leaseTransitions"] == 5
