"""Services and their instances, as the registries give them and as everything after them sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

InstanceId = tuple[str, str]
"""(service, instance name): what an instance is called. It stays when the instance moves to another address."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance of a service. Every value is checked: ``service`` is a DNS label (RFC 1035, at most 63 characters),
    ``name`` too, but may begin with a digit (RFC 1123), ``address`` is canonical text that Kubernetes takes in an
    EndpointSlice (no loopback, link-local, multicast or unspecified address), ``ports`` are (port name, number), sorted
    by name."""

    service: str
    name: str
    address: str
    ports: tuple[tuple[str, int], ...]
    cloud: str
    weight: int = 1
    healthy: bool = True
    """The registry's own opinion; False: not ready, whatever the checks say."""
    hostname: str = ""
    source: str = ""

    @property
    def id(self) -> InstanceId:
        return self.service, self.name


@dataclass(frozen=True, slots=True)
class Skipped:
    """A registry entry that cannot be used. ``key`` is the source's own (``orders/vm5``), ``reason`` is for people."""

    source: str
    key: str
    reason: str


Readiness = Mapping[InstanceId, bool]
"""What the checks found; an instance that is not in it has no verdict yet, and unknown is never down."""
