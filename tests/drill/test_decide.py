"""A drill's course: whatever interrupts it wherever, the undo happens and is confirmed."""

from __future__ import annotations

import pytest

from netctl.drill.decide import TABLE, Course, Effect, Event, Outcome, Phase

ORDER = [
    Effect.LOCK,
    Effect.CHECK,
    Effect.CHOOSE,
    Effect.PROBE,
    Effect.GUARD,
    Effect.BASELINE,
    Effect.INJECT,
    Effect.HOLD,
    Effect.UNDO,
    Effect.SETTLE,
    Effect.TAIL,
    Effect.COLLECT,
    Effect.FINISH,
]
TROUBLES = [Event.INTERRUPTED, Event.PROBE_GONE, Event.GUARDIAN_GONE, Event.UNDONE, Event.FAILED]


def play(
    trouble: Event | None = None, after: Effect | None = None, rescue: Event = Event.OK
) -> tuple[Course, list[Effect]]:
    """Performs every effect successfully, but ``after`` one the ``trouble`` comes instead of its answer."""
    course = Course()
    performed: list[Effect] = []
    waiting = list(course.handle(Event.BEGIN))
    while waiting:
        effect = waiting.pop(0)
        performed.append(effect)
        if effect in {Effect.CANCEL, Effect.FINISH}:
            continue
        if effect is after and trouble is not None:
            waiting += course.handle(trouble)
        else:
            waiting += course.handle(rescue if effect is Effect.RESCUE else Event.OK)
    return course, performed


def test_undisturbed_every_step_comes_once_in_order() -> None:
    course, performed = play()
    assert performed == ORDER
    assert (course.phase, course.outcome) == (Phase.DONE, Outcome.MEASURED)


@pytest.mark.parametrize("trouble", TROUBLES)
@pytest.mark.parametrize("after", ORDER[:-1])
def test_interrupted_after_any_effect_the_undo_is_confirmed_before_the_end(trouble: Event, after: Effect) -> None:
    if (phase_of(after), trouble) not in TABLE:
        with pytest.raises(KeyError):
            play(trouble, after)
        return
    course, performed = play(trouble, after)
    assert course.phase is Phase.DONE
    assert performed[-1] is Effect.FINISH
    assert course.outcome is not Outcome.MEASURED
    if Effect.GUARD in performed:
        undone = Effect.UNDO in performed and after is not Effect.UNDO
        assert undone or Effect.RESCUE in performed


@pytest.mark.parametrize("after", [Effect.GUARD, Effect.BASELINE, Effect.INJECT, Effect.HOLD, Effect.UNDO])
def test_while_a_fault_may_be_in_place_every_trouble_is_provided_for(after: Effect) -> None:
    for trouble in TROUBLES:
        course, performed = play(trouble, after)
        assert Effect.RESCUE in performed
        assert course.outcome in {Outcome.ABORTED, Outcome.REFUSED}


def test_a_restore_that_fails_outranks_every_other_outcome() -> None:
    course, _ = play(Event.INTERRUPTED, Effect.HOLD, rescue=Event.FAILED)
    assert course.outcome is Outcome.RESTORE_FAILED


@pytest.mark.parametrize("rescue", [Event.OK, Event.FAILED])
def test_when_the_lab_was_taken_down_nothing_is_left_to_restore(rescue: Event) -> None:
    course, _ = play(Event.PROBE_GONE, Effect.HOLD, rescue)
    assert course.handle(Event.LAB_GONE, "the lab was taken down") == ()
    assert (course.outcome, course.reason) == (Outcome.ABORTED, "the lab was taken down")


def test_more_interruptions_do_not_stop_a_rescue() -> None:
    course = Course(Phase.HOLDING)
    assert Effect.RESCUE in course.handle(Event.INTERRUPTED)
    for event in (Event.INTERRUPTED, Event.GUARDIAN_GONE, Event.PROBE_GONE, Event.UNDONE):
        assert course.handle(event) == ()
        assert course.phase is Phase.RESCUING


def test_the_first_reason_is_kept() -> None:
    course = Course(Phase.HOLDING)
    course.handle(Event.PROBE_GONE, "the probe died")
    course.handle(Event.INTERRUPTED, "interrupted")
    assert course.reason == "the probe died"


def test_a_lab_that_does_not_settle_is_still_measured() -> None:
    course, performed = play(Event.FAILED, Effect.SETTLE)
    assert course.outcome is Outcome.UNSETTLED
    assert Effect.COLLECT in performed


def phase_of(effect: Effect) -> Phase:
    """The phase in which an effect is performed."""
    course = Course()
    effects = course.handle(Event.BEGIN)
    while effect not in effects:
        effects = course.handle(Event.OK)
    return course.phase
