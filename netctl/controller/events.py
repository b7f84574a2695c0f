"""What the controller is told (events) and what it wants done (effects).

``cluster`` is a cluster's name, ``service`` a service's. The guard's ConfigMap is written and read under the service
"" (no service can be called so).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from netctl.ipc.messages import CheckTargets, Verdicts
from netctl.kube.informer import Notice
from netctl.model.kube import KubeError, Obj, Resource, Write
from netctl.model.ports import RegistryEvent


@dataclass(frozen=True, slots=True)
class SourceSaid:
    source: str
    event: RegistryEvent


@dataclass(frozen=True, slots=True)
class ClusterSaid:
    """What following one kind of objects in the cluster's namespace brings."""

    cluster: str
    resource: Resource
    notice: Notice


@dataclass(frozen=True, slots=True)
class LeaseTurned:
    """The cluster's Lease machine was given an answer, or its time came: look at it again."""

    cluster: str


@dataclass(frozen=True, slots=True)
class Wrote:
    """A write was applied; ``stored`` is the object as it is now, None after a delete."""

    cluster: str
    service: str
    write: Write
    stored: Obj | None


@dataclass(frozen=True, slots=True)
class WriteFailed:
    """``error`` None: it was not sent, because the Lease did not allow it any more."""

    cluster: str
    service: str
    write: Write
    error: KubeError | None


@dataclass(frozen=True, slots=True)
class ObjectRead:
    """The answer to ReadObject: the object as etcd has it, None when there is none."""

    cluster: str
    service: str
    resource: Resource
    name: str
    stored: Obj | None


@dataclass(frozen=True, slots=True)
class ReadFailed:
    cluster: str
    service: str
    resource: Resource
    name: str
    error: KubeError


@dataclass(frozen=True, slots=True)
class CheckerCame:
    """A checker connected; ``key`` names the connection, ``name`` the checker."""

    key: int
    cloud: str
    name: str


@dataclass(frozen=True, slots=True)
class CheckerSaid:
    key: int
    verdicts: Verdicts


@dataclass(frozen=True, slots=True)
class CheckerLeft:
    key: int


@dataclass(frozen=True, slots=True)
class TimerDue:
    """The deadline of ``next_timer`` has come."""


Event = (
    SourceSaid
    | ClusterSaid
    | LeaseTurned
    | Wrote
    | WriteFailed
    | ObjectRead
    | ReadFailed
    | CheckerCame
    | CheckerSaid
    | CheckerLeft
    | TimerDue
)


# --- effects ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SendWrite:
    """Send this write if the Lease still allows it at that very moment; answer with Wrote or WriteFailed."""

    cluster: str
    service: str
    write: Write


@dataclass(frozen=True, slots=True)
class ReadObject:
    """Read one object; answer with ObjectRead or ReadFailed."""

    cluster: str
    service: str
    resource: Resource
    name: str


@dataclass(frozen=True, slots=True)
class ListObjects:
    """List all objects of a kind; answer with ClusterSaid(Relisted), or not at all where that fails."""

    cluster: str
    resource: Resource


@dataclass(frozen=True, slots=True)
class TellChecker:
    key: int
    message: CheckTargets


@dataclass(frozen=True, slots=True)
class Note:
    """A line for the log."""

    level: Literal["info", "warning", "error"]
    event: str
    fields: Mapping[str, Any] = field(default_factory=dict)


Effect = SendWrite | ReadObject | ListObjects | TellChecker | Note
