# long because: it is one state machine with its one-line readers
"""Who may write a cluster: the Lease there, judged by one's own monotonic clock alone.

What makes it safe whatever clocks and delays do: a holder counts its right from the moment it *sent* the last renewal
that was granted, and gives it up a margin before the end. Everybody else counts from the moment they *saw* the Lease
change, which cannot be earlier, and takes it by compare-and-swap against that very version.

A Lease that vanished, or came back from a backup, proves nothing about others, who may still count on it: whoever
gets it then waits a whole duration before writing (``settle``). The one exception: where there is none when one starts,
it is a new installation, and nobody waits; whoever deletes a Lease in use while a controller starts has two that write
until the first one's next renewal fails (a third of the duration).

Source: coordination.k8s.io/v1 Lease.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal

from netctl.model.clock import SECOND
from netctl.model.kube import BusyError, ConflictError, KubeError, NotFoundError, Obj, UnknownOutcomeError

NAME = "netctl-controller"


class Tenure(Enum):
    """What is known of the Lease, and so what to do next."""

    UNSEEN = "unseen"
    """It has to be read."""
    FREE = "free"
    """None, nobody's, or our own from before: to be taken now."""
    OTHERS = "others"
    """To be read now and then, and taken when it has not changed for its whole duration."""
    OURS = "ours"
    """To be renewed in time."""
    DOUBTED = "doubted"
    """Ours until the deadline, but what became of the last renewal is unknown: to be read."""
    RELEASED = "released"
    """Wanted no more."""


_Event = Literal["absent", "nobodys", "own", "others", "granted", "doubt", "lapsed"]
_SEEN: dict[_Event, Tenure] = {
    "absent": Tenure.FREE,
    "nobodys": Tenure.FREE,
    "own": Tenure.FREE,
    "others": Tenure.OTHERS,
}
_NOT_OURS: dict[_Event, Tenure] = {**_SEEN, "granted": Tenure.OURS, "doubt": Tenure.UNSEEN}
TABLE: dict[Tenure, dict[_Event, Tenure]] = {
    Tenure.UNSEEN: _NOT_OURS,
    Tenure.FREE: _NOT_OURS,
    Tenure.OTHERS: _NOT_OURS,
    Tenure.OURS: {
        **_SEEN,
        "own": Tenure.OURS,
        "granted": Tenure.OURS,
        "doubt": Tenure.DOUBTED,
        "lapsed": Tenure.UNSEEN,
    },
    Tenure.DOUBTED: {
        **_SEEN,
        "own": Tenure.OURS,
        "granted": Tenure.OURS,
        "doubt": Tenure.DOUBTED,
        "lapsed": Tenure.UNSEEN,
    },
    Tenure.RELEASED: dict.fromkeys(("absent", "nobodys", "own", "others", "granted", "doubt"), Tenure.RELEASED),
}


@dataclass(frozen=True, slots=True)
class LeaseAction:
    """A request to make. ``object`` is None for ``read``."""

    verb: Literal["read", "create", "replace"]
    object: Obj | None = None


class LeaseMachine:
    """``due`` says what to send; tell ``sent`` just before, and its outcome by ``observe`` (of a read), ``granted`` (of
    a write) or ``refused``. Call ``due`` at ``next_timer`` at the latest. All times are monotonic nanoseconds.

    Between two renewals ``next_timer`` asks to be called twice a third of the duration: so a gap of one's own (the
    machine was suspended, the process stopped) is noticed, after which nothing is written before a renewal.
    """

    def __init__(self, identity: str, duration_ns: int, *, name: str = NAME) -> None:
        self.identity = identity
        self.name = name
        self.tenure = Tenure.UNSEEN
        self.epoch_floor = 0
        """The highest epoch seen anywhere: one taken anew is higher. The controller raises it by what objects tell."""
        self.problem = ""
        """Why the last request failed, in words; "" when it did not."""
        self._duration_ns = duration_ns
        self._known: Obj | None = None
        self._changed_ns = 0
        """When the Lease was first seen as it is known."""
        self._next_ns = 0
        """When to make the next request."""
        self._in_flight: tuple[LeaseAction, int] | None = None
        self._tried: deque[tuple[object, ...]] = deque(maxlen=16)
        """Marks of what was sent: found in the cluster, it was stored although its answer was lost."""
        self._granted_ns = 0
        """When the last granted renewal was sent."""
        self._granted_version = ""
        self._settle = False
        self._settled_ns = 0
        self._pulse_ns: int | None = None
        self._paused_ns: int | None = None
        self._fresh = True
        """Nothing was seen yet, so our own Lease is that of our dead predecessor."""

    @property
    def holder(self) -> str:
        """Whom the Lease names; "" for nobody or unknown."""
        return _holder(self._known)

    @property
    def exists(self) -> bool:
        """Whether there was a Lease, whoever's, when last seen."""
        return self._known is not None

    @property
    def epoch(self) -> int:
        """leaseTransitions of the Lease as last seen."""
        return _transitions(self._known)

    @property
    def leading(self) -> bool:
        """Whether the Lease was ours at the last call."""
        return self.tenure in (Tenure.OURS, Tenure.DOUBTED)

    @property
    def deadline_ns(self) -> int:
        """Until when one may write without another renewal."""
        return self._granted_ns + self._duration_ns - self._duration_ns // 6

    @property
    def patience_s(self) -> float:
        """How long to wait for an answer: a renewal that hangs leaves time for another one before the deadline."""
        return self._duration_ns / 3 / SECOND

    def may_write(self, now_ns: int) -> bool:
        """Whether a write may be sent now."""
        self._look(now_ns)
        return self.leading and self._paused_ns is None and now_ns >= self._settled_ns

    def due(self, now_ns: int, wall: float) -> LeaseAction | None:
        """The request to make now; ``wall`` (seconds since the epoch) is only written into it, for people."""
        self._look(now_ns)
        if self._in_flight is not None or now_ns < self._next_ns or self.tenure is Tenure.RELEASED:
            return None
        if self.tenure in (Tenure.UNSEEN, Tenure.DOUBTED):
            return LeaseAction("read")
        if self.tenure is Tenure.OTHERS and now_ns < self._expiry_ns():
            return LeaseAction("read")
        return LeaseAction("create" if self._known is None else "replace", self._ours(wall, self.identity))

    def next_timer(self) -> int | None:
        """When to call ``due`` next; None: released, or only an answer can change anything."""
        if self.tenure is Tenure.RELEASED:
            return None
        timers = [] if self._in_flight is not None else [self._next_ns]
        if self.leading and self._pulse_ns is not None:
            timers += [self._pulse_ns + self._duration_ns // 6, self.deadline_ns]
            timers += [self._settled_ns] if self._settled_ns > self._pulse_ns else []
        return min(timers, default=None)

    def release(self, now_ns: int, wall: float) -> LeaseAction | None:
        """Write no more, and want it no more. The request by which another may lead at once; None: it is not ours."""
        self._look(now_ns)
        action = LeaseAction("replace", self._ours(wall, "")) if self.tenure is Tenure.OURS else None
        self.tenure = Tenure.RELEASED
        return action

    # --- what happened ---

    def sent(self, action: LeaseAction, now_ns: int) -> None:
        """The action is about to be sent."""
        self._in_flight = action, now_ns
        if action.object is not None:
            self._tried.append(_mark(action.object))

    def observe(self, lease: Obj | None, now_ns: int) -> None:
        """The Lease as it was read; None: there is none."""
        self._in_flight, self.problem = None, ""
        self._next_ns = now_ns
        if lease is None:
            self._settle |= not self._fresh
            self._known, self._fresh = None, False
            self._move("absent")
            return
        backwards = self._known is not None and _version(lease) < _version(self._known)
        self._settle |= backwards
        self._learn(lease, now_ns)
        if self.holder == self.identity:
            # Later than right after our start it is ours by a write of ours, or comes from a backup.
            if not (self._fresh or self._is_my_writing(lease)):
                self._settle = True
                self.problem = (
                    f"the Lease was written as {self.identity}, but not by us: a second one of that identity?"
                )
            self._move("own")
        elif not self.holder:
            self._move("nobodys")
        else:
            self._settle = False  # taking it means waiting for a whole duration anyway
            self._next_ns = max(now_ns, min(now_ns + self._duration_ns // 6, self._expiry_ns()))
            self._move("others")
        self._fresh = False

    def granted(self, lease: Obj, now_ns: int) -> None:
        """The create or replace was stored, as ``lease``."""
        self._look(now_ns)
        sent_ns = self._in_flight[1] if self._in_flight is not None else now_ns
        self._in_flight = None
        if not self._settle:
            self.problem = ""
        self._learn(lease, now_ns)
        self._granted_ns, self._granted_version = sent_ns, lease["metadata"]["resourceVersion"]
        self._next_ns = sent_ns + self._duration_ns // 3
        if self._settle:
            self._settle, self._settled_ns = False, now_ns + self._duration_ns
        if self._paused_ns is not None and sent_ns >= self._paused_ns:
            self._paused_ns = None
        self._move("granted")
        self._pulse_ns = now_ns
        self._look(now_ns)  # an answer may come too late to be of use

    def refused(self, error: KubeError, now_ns: int) -> None:
        """The request failed."""
        action = self._in_flight[0] if self._in_flight is not None else LeaseAction("read")
        self._in_flight, self.problem = None, str(error)
        if isinstance(error, NotFoundError) and action.verb != "create":
            self.observe(None, now_ns)
            return
        self._next_ns = now_ns + self._duration_ns // 6
        if isinstance(error, BusyError):
            asked_ns = min(int(error.retry_after_s * SECOND), self._duration_ns)
            self._next_ns = now_ns + max(self._duration_ns // 6, asked_ns)
        if isinstance(error, ConflictError | UnknownOutcomeError) and action.verb != "read":
            self._next_ns = now_ns
            self._move("doubt")

    # --- inside ---

    def _move(self, event: _Event) -> None:
        self.tenure = TABLE[self.tenure][event]

    def _look(self, now_ns: int) -> None:
        """Notice what time alone has done: a gap of one's own, a deadline that passed."""
        gap_ns = now_ns - self._pulse_ns if self._pulse_ns is not None else 0
        self._pulse_ns = now_ns
        if not self.leading:
            self._paused_ns = None
            return
        if now_ns >= self.deadline_ns:
            self._move("lapsed")
            self._next_ns = min(self._next_ns, now_ns)
        elif gap_ns > self._duration_ns // 3:
            self._paused_ns = now_ns
            self._next_ns = min(self._next_ns, now_ns)

    def _learn(self, lease: Obj, now_ns: int) -> None:
        if self._known is None or _uid_version(lease) != _uid_version(self._known):
            self._changed_ns = now_ns
        self._known = lease
        self.epoch_floor = max(self.epoch_floor, _transitions(lease))

    def _is_my_writing(self, lease: Obj) -> bool:
        """Nobody can have led since: it is the very version granted to us, or the one whose answer was lost."""
        if lease["metadata"]["resourceVersion"] == self._granted_version:
            return True
        return _mark(lease) in self._tried

    def _expiry_ns(self) -> int:
        """When the Lease of another is free for us."""
        seconds = _spec(self._known).get("leaseDurationSeconds") or 0
        return self._changed_ns + max(int(seconds * SECOND), self._duration_ns)

    def _ours(self, wall: float, holder: str) -> Obj:
        """The Lease to write over the known one (None: to create)."""
        known, now = _spec(self._known), _micro_time(wall)
        # Ours with an epoch below what objects carry comes from a backup: from here on it is a new one.
        mine = self.holder == self.identity and not self._settle and self.epoch >= self.epoch_floor
        spec = {
            **known,
            "holderIdentity": holder,
            "leaseDurationSeconds": -(-self._duration_ns // SECOND),
            "renewTime": now,
            "acquireTime": known.get("acquireTime", now) if mine else now,
            "leaseTransitions": self.epoch if mine else max(self.epoch_floor, self.epoch) + 1,
        }
        metadata = dict(self._known["metadata"]) if self._known is not None else {"name": self.name}
        metadata.pop("managedFields", None)
        return {"metadata": metadata, "spec": spec}


def _spec(lease: Obj | None) -> dict[str, Any]:
    return (lease.get("spec") or {}) if lease is not None else {}


def _holder(lease: Obj | None) -> str:
    return str(_spec(lease).get("holderIdentity") or "")


def _transitions(lease: Obj | None) -> int:
    return int(_spec(lease).get("leaseTransitions") or 0)


def _version(lease: Obj) -> int:
    version = lease["metadata"]["resourceVersion"]
    return int(version) if version.isdecimal() else 0


def _uid_version(lease: Obj) -> tuple[str, str]:
    return lease["metadata"].get("uid", ""), lease["metadata"]["resourceVersion"]


def _mark(lease: Obj) -> tuple[object, ...]:
    """What tells one writing of the Lease from another."""
    spec = _spec(lease)
    return spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions")


def _micro_time(wall: float) -> str:
    """RFC 3339 with microseconds, as MicroTime wants it."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
