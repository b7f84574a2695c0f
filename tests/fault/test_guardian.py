"""The guardian's table: a fault that may be in place is undone before the guardian is done."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netctl.fault.guardian import PATIENCE_NS, Effect, Event, Guardian, State
from netctl.model.clock import SECOND

OUTSIDE = (Event.INJECT, Event.UNDO, Event.RUNNER_GONE, Event.LIMIT, Event.SIGNALLED)


@given(st.lists(st.sampled_from(OUTSIDE), min_size=1, max_size=12), st.integers(0, 5))
def test_whatever_happens_it_is_done_only_after_a_confirmed_undo(events: list[Event], failures: int) -> None:
    guardian = Guardian(deadline_ns=60 * SECOND)
    undone = injected = False
    now = 0
    for event in [*events, Event.RUNNER_GONE]:
        if guardian.state is State.DONE:
            break
        effect = guardian.handle(event, now)
        while effect is not None:
            if effect is Effect.INJECT:
                assert not undone
                injected, effect = True, None
            elif effect is Effect.UNDO:
                failures -= 1
                undone = failures < 0
                effect = guardian.handle(Event.UNDONE if undone else Event.UNDO_FAILED, now)
                while effect is None and guardian.state is State.UNDOING:
                    now = guardian.next_timer() or now
                    retry = guardian.expired(now)
                    assert retry is Event.RETRY
                    effect = guardian.handle(retry, now)
            else:
                assert effect is Effect.CLOSE
                effect = None
    assert guardian.state is State.DONE
    assert undone or not injected


def test_the_limit_undoes() -> None:
    guardian = Guardian(deadline_ns=100)
    guardian.handle(Event.INJECT, 0)
    assert guardian.expired(99) is None
    assert guardian.expired(100) is Event.LIMIT
    assert guardian.handle(Event.LIMIT, 100) is Effect.UNDO
    assert guardian.cause == "limit"


def test_an_undo_that_keeps_failing_is_given_up_and_left_to_a_recovery() -> None:
    guardian = Guardian(deadline_ns=100)
    guardian.handle(Event.INJECT, 0)
    guardian.handle(Event.UNDO, 1)
    assert guardian.handle(Event.UNDO_FAILED, 2) is None
    assert guardian.handle(Event.RETRY, 2) is Effect.UNDO
    assert guardian.handle(Event.UNDO_FAILED, 1 + PATIENCE_NS) is Effect.GIVE_UP


def test_a_failed_injection_is_undone_at_once() -> None:
    guardian = Guardian(deadline_ns=100)
    assert guardian.handle(Event.INJECT, 0) is Effect.INJECT
    assert guardian.handle(Event.INJECT_FAILED, 0) is Effect.UNDO
