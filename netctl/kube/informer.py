"""Following one kind of objects: when to list, when to watch, from where, and how long to wait after trouble.

``list`` reads everything, ``watch`` goes on from there. After every end of a watch, orderly or not, ``check`` compares
versions with the API server before watching on: one that was restored from a backup accepts a version it has not
reached yet and then silently leaves out everything up to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from netctl.model.kube import (
    BusyError,
    GoneError,
    KubeError,
    KubeEvent,
    KubeList,
    Obj,
    UnknownOutcomeError,
    UnreachableError,
)

NOTHING = "netctl.io/version-only=1"
"""A selector that no object matches: a list with it costs next to nothing and tells the API's version."""
FIRST_WAIT_S = 0.1
SOON_S = 1.0
"""The longest wait for an API server that is away or busy: names wait for it, and one request a second harms nobody."""
LATE_S = 5.0
"""The longest wait for what somebody has to mend: permissions, a namespace, credentials."""

Step = Literal["list", "check", "watch"]
_Input = Literal["listed", "same", "backwards", "ended", "failed", "gone"]

TABLE: dict[tuple[Step, _Input], Step] = {
    ("list", "listed"): "watch",
    ("list", "failed"): "list",
    ("list", "gone"): "list",
    ("check", "same"): "watch",
    ("check", "backwards"): "list",
    ("check", "failed"): "check",
    ("check", "gone"): "list",
    ("watch", "ended"): "check",
    ("watch", "failed"): "check",
    ("watch", "gone"): "list",
    ("watch", "backwards"): "list",
}


@dataclass(frozen=True, slots=True)
class Relisted:
    """Everything that exists; what is not in it is gone. ``restored``: the API's version went backwards, so what was
    known from before may never have been."""

    items: Sequence[Obj]
    resource_version: str
    restored: bool = False


@dataclass(frozen=True, slots=True)
class Trouble:
    """It cannot be followed now; what was known stands. Told once until Recovered, and again for another kind."""

    reason: str
    error: KubeError | None = None


@dataclass(frozen=True, slots=True)
class Recovered:
    """It can be followed again, and nothing was missed (or Relisted follows at once)."""


Notice = Relisted | KubeEvent | Trouble | Recovered


class Informer:
    """``step`` is what to do next, after waiting ``wait_s``; tell the outcome by the method of its name."""

    def __init__(self) -> None:
        self.step: Step = "list"
        self.version = ""
        """Of the last object, bookmark or list seen; "" before the first list."""
        self._failures = 0
        self._retry_after_s = 0.0
        self._cap_s = SOON_S
        self._kind: type[KubeError] | None = None
        self._trouble: type[KubeError] | None = None
        self._restored = False

    def wait_s(self, jitter: float) -> float:
        """How long to wait before the step; ``jitter`` is drawn from 0 to 1. The first new attempt is made at once."""
        if self.step == "watch" or not self._failures:
            return 0.0
        backoff_s = min(self._cap_s, FIRST_WAIT_S * 2.0 ** min(self._failures - 2, 16)) if self._failures > 1 else 0.0
        return max(self._retry_after_s, backoff_s * (0.5 + jitter / 2))

    def listed(self, found: KubeList) -> list[Notice]:
        """The list is here."""
        restored = self._restored or _before(found.resource_version, self.version)
        notices = self._backwards(found.resource_version) if restored and not self._restored else []
        self._move("listed")
        self.version, self._restored = found.resource_version, False
        return [*self._well(), *notices, Relisted(found.items, found.resource_version, restored)]

    def checked(self, found: KubeList) -> list[Notice]:
        """The list of nothing is here."""
        if _before(found.resource_version, self.version):
            self._move("backwards")
            self._restored = True
            return self._backwards(found.resource_version)
        self._move("same")
        return self._well()

    def changed(self, event: KubeEvent) -> list[Notice]:
        """The watch brought an event. After one that goes backwards ``step`` is ``list``: leave the watch."""
        version = str(event.object["metadata"]["resourceVersion"])
        if _before(version, self.version):
            self._move("backwards")
            self._restored = True
            return self._backwards(version)
        self.version, self._failures = version, 0
        return [] if event.type == "BOOKMARK" else [event]

    def ended(self) -> None:
        """The server ended the watch. One that ends before anything came counts as a failure."""
        self._failures, self._cap_s, self._retry_after_s = self._failures + 1, SOON_S, 0.0
        self._move("ended")

    def failed(self, error: KubeError) -> list[Notice]:
        """The step failed."""
        # Another kind of error begins a new count: an API server that has just come back denies for a moment.
        self._failures = self._failures + 1 if type(error) is self._kind else min(self._failures + 1, 2)
        self._kind = type(error)
        self._retry_after_s = error.retry_after_s if isinstance(error, BusyError) else 0.0
        soon = isinstance(error, UnreachableError | UnknownOutcomeError | BusyError | GoneError)
        self._cap_s = SOON_S if soon else LATE_S
        if isinstance(error, GoneError):
            self._move("gone")
            return []
        # The connection of a watch breaks whenever an API server restarts; it is trouble once it cannot be made again.
        told = self._trouble is type(error) or self.step == "watch"
        self._move("failed")
        if told:
            return []
        self._trouble = type(error)
        return [Trouble(str(error), error)]

    def _move(self, what: _Input) -> None:
        self.step = TABLE[self.step, what]

    def _well(self) -> list[Notice]:
        if self.step == "watch" and self._trouble is not None:
            self._trouble = None
            return [Recovered()]
        return []

    def _backwards(self, version: str) -> list[Notice]:
        return [Trouble(f"the API went back from version {self.version} to {version} (restored from a backup?)")]


def _before(version: str, other: str) -> bool:
    """Since 1.35 the API promises that versions are decimal numbers that can be compared; before, they just were."""
    return version.isdecimal() and other.isdecimal() and int(version) < int(other)
