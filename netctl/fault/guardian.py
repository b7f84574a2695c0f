"""What the guardian does on what it hears: a table. Pure.

It undoes at most once for each cause and always before it leaves; a failed undo is tried again until the patience is
over, and leaves the journal open for a recovery.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from netctl.model.clock import MS, SECOND

RETRY_NS = 250 * MS
PATIENCE_NS = 10 * SECOND


class State(StrEnum):
    READY = "ready"
    """Everything is captured and on disk; nothing has happened yet."""
    IN_PLACE = "in_place"
    """The fault is, or may be, in place."""
    UNDOING = "undoing"
    DONE = "done"


class Event(StrEnum):
    INJECT = "inject"
    INJECT_FAILED = "inject_failed"
    UNDO = "undo"
    RUNNER_GONE = "runner_gone"
    LIMIT = "limit"
    SIGNALLED = "signalled"
    UNDONE = "undone"
    UNDO_FAILED = "undo_failed"
    RETRY = "retry"


class Effect(StrEnum):
    INJECT = "inject"
    UNDO = "undo"
    CLOSE = "close"
    """Close the journal, say so, leave with 0."""
    GIVE_UP = "give_up"
    """Leave the journal open, leave with 5."""


_ENDINGS = (Event.UNDO, Event.RUNNER_GONE, Event.LIMIT, Event.SIGNALLED)
_TABLE: dict[tuple[State, Event], tuple[State, Effect | None]] = {
    (State.READY, Event.INJECT): (State.IN_PLACE, Effect.INJECT),
    **{(State.READY, ending): (State.UNDOING, Effect.UNDO) for ending in _ENDINGS},
    (State.IN_PLACE, Event.INJECT): (State.IN_PLACE, None),
    (State.IN_PLACE, Event.INJECT_FAILED): (State.UNDOING, Effect.UNDO),
    **{(State.IN_PLACE, ending): (State.UNDOING, Effect.UNDO) for ending in _ENDINGS},
    (State.UNDOING, Event.INJECT): (State.UNDOING, None),
    **{(State.UNDOING, ending): (State.UNDOING, None) for ending in _ENDINGS},
    (State.UNDOING, Event.UNDONE): (State.DONE, Effect.CLOSE),
    (State.UNDOING, Event.UNDO_FAILED): (State.UNDOING, None),
    (State.UNDOING, Event.RETRY): (State.UNDOING, Effect.UNDO),
}


@dataclass(slots=True)
class Guardian:
    """``deadline_ns`` is when the fault has to be over."""

    deadline_ns: int
    state: State = State.READY
    cause: str = ""
    _tried_until_ns: int | None = None
    _retry_ns: int | None = None

    def handle(self, event: Event, now_ns: int) -> Effect | None:
        """One event → at most one effect. Raises KeyError for what cannot happen in this state."""
        self.state, effect = _TABLE[self.state, event]
        if effect is Effect.UNDO and self._tried_until_ns is None:
            self.cause = event.value
            self._tried_until_ns = now_ns + PATIENCE_NS
        if event is Event.UNDO_FAILED:
            self._retry_ns = now_ns + RETRY_NS
            if self._tried_until_ns is not None and now_ns >= self._tried_until_ns:
                self.state = State.DONE
                return Effect.GIVE_UP
        return effect

    def next_timer(self) -> int | None:
        """When ``expired`` wants to be asked again."""
        if self.state is State.UNDOING:
            return self._retry_ns
        return None if self.state is State.DONE else self.deadline_ns

    def expired(self, now_ns: int) -> Event | None:
        """The event that time alone brings, once it is due."""
        due = self.next_timer()
        if due is None or now_ns < due:
            return None
        if self.state is State.UNDOING:
            self._retry_ns = None
            return Event.RETRY
        return Event.LIMIT
