"""What the agent is told (events) and what it wants done (effects)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from netctl.ipc.messages import Message
from netctl.model.routing import KernelEvent, KernelState, OpFailed


@dataclass(frozen=True, slots=True)
class SpeakerConnected:
    """The socket of this peer's speaker answered; its first messages follow."""

    peer: str


@dataclass(frozen=True, slots=True)
class SpeakerSaid:
    peer: str
    message: Message


@dataclass(frozen=True, slots=True)
class SpeakerLost:
    """The socket closed: nothing is known about the session itself."""

    peer: str


@dataclass(frozen=True, slots=True)
class LivenessConnected:
    pass


@dataclass(frozen=True, slots=True)
class LivenessSaid:
    message: Message


@dataclass(frozen=True, slots=True)
class LivenessLost:
    pass


@dataclass(frozen=True, slots=True)
class CheckRan:
    """One run of a health check; ``detail`` says in words what happened."""

    name: str
    passed: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class KernelRead:
    """What the kernel has of netctl's: everything (``dump``), or members and groups alone (``nexthops``)."""

    state: KernelState
    look: Literal["dump", "nexthops"] = "dump"


@dataclass(frozen=True, slots=True)
class KernelChanged:
    event: KernelEvent


@dataclass(frozen=True, slots=True)
class OpsApplied:
    """The operations last taken from ``kernel_ops`` were applied; ``failures`` were refused."""

    failures: tuple[OpFailed, ...]


@dataclass(frozen=True, slots=True)
class ResetAsked:
    """Somebody asked to reset the BGP session with this peer."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True)
class TimerDue:
    pass


@dataclass(frozen=True, slots=True)
class Slept:
    """The agent itself did not run for this long (stopped, starved): what others said meanwhile is still unread, so
    nobody's time is over because of it."""

    gap_ns: int


Event = (
    SpeakerConnected
    | SpeakerSaid
    | SpeakerLost
    | LivenessConnected
    | LivenessSaid
    | LivenessLost
    | CheckRan
    | KernelRead
    | KernelChanged
    | OpsApplied
    | ResetAsked
    | TimerDue
    | Slept
)


@dataclass(frozen=True, slots=True)
class TellSpeaker:
    peer: str
    message: Message


@dataclass(frozen=True, slots=True)
class TellLiveness:
    message: Message


Level = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the log."""

    level: Level
    event: str
    fields: Mapping[str, Any] = field(default_factory=dict)


Effect = TellSpeaker | TellLiveness | Note
