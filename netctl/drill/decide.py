"""The course of a drill: a table of (phase, event) → (phase, effects). Pure.

Each effect is performed to its end (or cancelled) and answers with one event; the outside adds INTERRUPTED, PROBE_GONE,
GUARDIAN_GONE and UNDONE (the guardian undid by itself) at any time, and LAB_GONE after the end. From the moment the
journal may be on disk, every way out leads through a confirmed undo: UNDO in the ordinary course, RESCUE in any other.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Where a drill stands; the values are for people."""

    START = "start"
    LOCKING = "lock"
    CHECKING = "steady state"
    CHOOSING = "choose flows"
    PROBING = "probe"
    GUARDING = "undo on disk"
    BASELINE = "baseline"
    INJECTING = "inject"
    HOLDING = "hold"
    UNDOING = "undo"
    SETTLING = "steady again"
    TAIL = "quiet tail"
    COLLECTING = "collect"
    RESCUING = "abort and undo"
    DONE = "done"


class Event(StrEnum):
    """What can come back."""

    BEGIN = "begin"
    OK = "ok"
    """The effect was performed; of a wait: what it waited for is there."""
    FAILED = "failed"
    """It could not be performed; of a wait: the time is over."""
    INTERRUPTED = "interrupted"
    PROBE_GONE = "probe_gone"
    GUARDIAN_GONE = "guardian_gone"
    UNDONE = "undone"
    LAB_GONE = "lab_gone"
    """The lab was taken down meanwhile: whatever failed, failed by that, and no fault outlives its lab."""


class Effect(StrEnum):
    """What is to be done."""

    LOCK = "lock"
    CHECK = "check"
    CHOOSE = "choose"
    PROBE = "probe"
    GUARD = "guard"
    BASELINE = "baseline"
    INJECT = "inject"
    HOLD = "hold"
    UNDO = "undo"
    SETTLE = "settle"
    TAIL = "tail"
    COLLECT = "collect"
    CANCEL = "cancel"
    """Stop performing what is being performed."""
    RESCUE = "rescue"
    """Leave the guardian alone (it undoes then) and undo from the journal: OK only when that is confirmed."""
    FINISH = "finish"


class Outcome(StrEnum):
    """How it ended."""

    MEASURED = "measured"
    """The verdict is the judge's."""
    REFUSED = "refused"
    UNSETTLED = "unsettled"
    """Measured, but the lab did not become steady and quiet again in time."""
    ABORTED = "aborted"
    RESTORE_FAILED = "restore_failed"
    INCONCLUSIVE = "inconclusive"


_ABORT = (Effect.CANCEL, Effect.RESCUE)
_END = (Effect.CANCEL, Effect.FINISH)
_Step = tuple[Phase, tuple[Effect, ...], Outcome | None]

_COURSE: tuple[tuple[Phase, Phase, Effect], ...] = (
    (Phase.LOCKING, Phase.CHECKING, Effect.CHECK),
    (Phase.CHECKING, Phase.CHOOSING, Effect.CHOOSE),
    (Phase.CHOOSING, Phase.PROBING, Effect.PROBE),
    (Phase.PROBING, Phase.GUARDING, Effect.GUARD),
    (Phase.GUARDING, Phase.BASELINE, Effect.BASELINE),
    (Phase.BASELINE, Phase.INJECTING, Effect.INJECT),
    (Phase.INJECTING, Phase.HOLDING, Effect.HOLD),
    (Phase.HOLDING, Phase.UNDOING, Effect.UNDO),
    (Phase.UNDOING, Phase.SETTLING, Effect.SETTLE),
    (Phase.SETTLING, Phase.TAIL, Effect.TAIL),
    (Phase.TAIL, Phase.COLLECTING, Effect.COLLECT),
    (Phase.COLLECTING, Phase.DONE, Effect.FINISH),
)
_BEFORE = (Phase.LOCKING, Phase.CHECKING, Phase.CHOOSING, Phase.PROBING)
_GUARDED = (Phase.GUARDING, Phase.BASELINE, Phase.INJECTING, Phase.HOLDING, Phase.UNDOING)
_AFTER = (Phase.SETTLING, Phase.TAIL, Phase.COLLECTING)


def _table() -> dict[tuple[Phase, Event], _Step]:
    table: dict[tuple[Phase, Event], _Step] = {
        (Phase.START, Event.BEGIN): (Phase.LOCKING, (Effect.LOCK,), None),
        (Phase.START, Event.INTERRUPTED): (Phase.DONE, (Effect.FINISH,), Outcome.ABORTED),
    }
    for phase, following, effect in _COURSE:
        table[phase, Event.OK] = (following, (effect,), None)
    for phase in _BEFORE:
        table[phase, Event.FAILED] = (Phase.DONE, _END, Outcome.REFUSED)
        table[phase, Event.INTERRUPTED] = (Phase.DONE, _END, Outcome.ABORTED)
        table[phase, Event.PROBE_GONE] = (Phase.DONE, _END, Outcome.INCONCLUSIVE)
    table[Phase.CHOOSING, Event.FAILED] = (Phase.DONE, _END, Outcome.INCONCLUSIVE)
    for phase in _GUARDED:
        for event in (Event.FAILED, Event.INTERRUPTED, Event.PROBE_GONE, Event.GUARDIAN_GONE, Event.UNDONE):
            table[phase, event] = (Phase.RESCUING, _ABORT, Outcome.ABORTED)
    table[Phase.GUARDING, Event.FAILED] = (Phase.RESCUING, _ABORT, Outcome.REFUSED)
    for phase in _AFTER:
        table[phase, Event.INTERRUPTED] = (Phase.DONE, _END, Outcome.ABORTED)
        table[phase, Event.PROBE_GONE] = (Phase.DONE, _END, Outcome.INCONCLUSIVE)
        table[phase, Event.FAILED] = (Phase.COLLECTING, (Effect.COLLECT,), Outcome.UNSETTLED)
    table[Phase.COLLECTING, Event.FAILED] = (Phase.DONE, (Effect.FINISH,), Outcome.INCONCLUSIVE)
    table[Phase.RESCUING, Event.OK] = (Phase.DONE, (Effect.FINISH,), None)
    table[Phase.RESCUING, Event.FAILED] = (Phase.DONE, (Effect.FINISH,), Outcome.RESTORE_FAILED)
    for event in (Event.INTERRUPTED, Event.PROBE_GONE, Event.GUARDIAN_GONE, Event.UNDONE):
        table[Phase.RESCUING, event] = (Phase.RESCUING, (), None)
        table[Phase.DONE, event] = (Phase.DONE, (), None)
    table[Phase.DONE, Event.LAB_GONE] = (Phase.DONE, (), Outcome.ABORTED)
    return table


TABLE = _table()


@dataclass(slots=True)
class Course:
    """One drill's course. ``reason`` is why it left the ordinary one, in words."""

    phase: Phase = Phase.START
    outcome: Outcome = Outcome.MEASURED
    reason: str = ""

    def handle(self, event: Event, detail: str = "") -> tuple[Effect, ...]:
        """One event → effects, to be performed in order. Raises KeyError for what cannot happen in this phase.

        The first cause of leaving the course is kept; only a failed restore outranks it, and the lab's end both.
        """
        before = self.phase
        self.phase, effects, outcome = TABLE[self.phase, event]
        outranks = outcome is Outcome.RESTORE_FAILED or event is Event.LAB_GONE
        if outcome is not None and (self.outcome is Outcome.MEASURED or outranks):
            self.outcome = outcome
            self.reason = detail or f"{event.value.replace('_', ' ')} in phase {before.value!r}"
        return effects
