"""Kubernetes' API as netctl sees it: resources, objects as plain JSON data, watch events and errors.

Source: Kubernetes API conventions (sig-architecture/api-conventions.md) and "Efficient detection of changes".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Obj = dict[str, Any]
"""One API object as JSON data. ``kind`` and ``apiVersion`` may be missing from those that come from a list."""


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind of objects: ``api`` is the path of its group and version, ``plural`` its name in paths."""

    api: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """As objects carry it: ``v1``, ``discovery.k8s.io/v1``."""
        return self.api.removeprefix("/apis/").removeprefix("/api/")


SERVICES = Resource("/api/v1", "services", "Service")
CONFIG_MAPS = Resource("/api/v1", "configmaps", "ConfigMap")
NAMESPACES = Resource("/api/v1", "namespaces", "Namespace", namespaced=False)
ENDPOINT_SLICES = Resource("/apis/discovery.k8s.io/v1", "endpointslices", "EndpointSlice")
LEASES = Resource("/apis/coordination.k8s.io/v1", "leases", "Lease")

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by"
OWNER_LABEL = "app.kubernetes.io/managed-by"
"""On Services; slices have their own label."""
HEADLESS_LABEL = "service.kubernetes.io/headless"
MANAGER = "netctl"
"""The value of both labels on what is netctl's. An object without it is foreign and never changed."""
EPOCH_ANNOTATION = "netctl.io/epoch"
"""leaseTransitions of the Lease under which the object was written."""


@dataclass(frozen=True, slots=True)
class KubeList:
    """One complete list, and the version from which to watch."""

    items: Sequence[Obj]
    resource_version: str


@dataclass(frozen=True, slots=True)
class KubeEvent:
    """One watch event. A ``BOOKMARK`` carries no object but its metadata.resourceVersion."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Obj


class KubeError(Exception):
    """A request that did not do what it should. ``str()`` is one line for people.

    ``status`` is the HTTP status, 0 when no answer came.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class NotFoundError(KubeError):
    """404: no such object, or no such namespace."""


class ConflictError(KubeError):
    """409: it exists already, or is not the version (or uid) that was named: read again."""


class GoneError(KubeError):
    """410, or an ERROR event with that code: the version to watch from is too old: list again."""


class InvalidError(KubeError):
    """422 or 400: the API server refuses this object for what it is; sending it again is pointless."""


class DeniedError(KubeError):
    """401 or 403: no valid credentials, or not allowed."""


class BusyError(KubeError):
    """429 or 5xx: the API server cannot do it now. ``retry_after_s``: what it asked for, else 0."""

    def __init__(self, message: str, status: int, retry_after_s: float = 0.0) -> None:
        super().__init__(message, status)
        self.retry_after_s = retry_after_s


class UnreachableError(KubeError):
    """No connection, TLS refused, certificate expired: certainly nothing was written."""


class UnknownOutcomeError(KubeError):
    """The request was sent and no answer came in time: a write may be applied, now or later. Read again."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write of a plan. ``create``: POST; ``replace``: PUT with the object's resourceVersion (compare and swap);
    ``delete``: with uid and resourceVersion as preconditions, read from ``object``'s metadata."""

    verb: Literal["create", "replace", "delete"]
    resource: Resource
    name: str
    object: Obj
    why: str = ""
    """In words, for logs and plans: ``add 10.1.0.5``."""
    removes: int = 0
    """How many ready endpoints it takes away that health does not call dead (the removal budget's unit)."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """An object that is in the way and not netctl's: left alone and shown."""

    resource: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The ordered writes for one service in one cluster; empty: it is as it should be."""

    writes: tuple[Write, ...] = ()
    foreign: tuple[Foreign, ...] = field(default=())
    more: bool = False
    """What follows needs the outcome of these writes (a new Service's uid): plan again as soon as they are done."""
    removed: tuple[str, ...] = ()
    """The instances whose ready endpoints the writes' ``removes`` count, by name."""
